// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "namespaces.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <netinet/in.h>

#define READ_BYTES (64 << 10)

struct snapshot {
	struct chunk_list *list;
	uint64_t sockets, processes;
	struct namespace_list namespaces;
	/* Open-addressing table of the socket records so far, by cookie; a power of two slots. */
	struct socket_record **seen;
	size_t slots, used;
};

static uint64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static struct socket_record **find(struct snapshot *snapshot, uint64_t cookie)
{
	size_t slot = (cookie * 0x9e3779b97f4a7c15ull) >> 20;

	for (;; slot++) {
		struct socket_record **place = &snapshot->seen[slot & (snapshot->slots - 1)];

		if (!*place || (*place)->cookie == cookie)
			return place;
	}
}

static bool grow(struct snapshot *snapshot)
{
	struct socket_record **old = snapshot->seen;
	size_t slots = snapshot->slots;

	snapshot->slots = slots ? slots * 2 : 4096;
	snapshot->seen = calloc(snapshot->slots, sizeof(*snapshot->seen));
	if (!snapshot->seen) {
		snapshot->seen = old;
		snapshot->slots = slots;
		return false;
	}
	for (size_t i = 0; i < slots; i++)
		if (old[i])
			*find(snapshot, old[i]->cookie) = old[i];
	free(old);
	return true;
}

/*
 * A socket that several processes hold comes once for each. The one that opened it is its owner, else the oldest:
 * a child inherits what its parent opened.
 */
static bool names_better_owner(const struct socket_record *record, const struct socket_record *than)
{
	bool holds = record->header.flags & RECORD_F_HOLDER, other_holds = than->header.flags & RECORD_F_HOLDER;

	if (!(record->header.flags & RECORD_F_OWNER))
		return false;
	if (!(than->header.flags & RECORD_F_OWNER))
		return true;
	return holds == other_holds ? record->owner_start_ns < than->owner_start_ns : other_holds;
}

static int add_socket(struct snapshot *snapshot, const struct socket_record *record)
{
	struct socket_record **place;

	if (snapshot->used * 2 >= snapshot->slots && !grow(snapshot))
		return -ENOMEM;
	place = find(snapshot, record->cookie);
	if (*place) {
		if (names_better_owner(record, *place))
			memcpy(*place, record, sizeof(*record));
		return 0;
	}
	*place = chunk_list_append(snapshot->list, record, record->header.size);
	if (!*place)
		return -ENOMEM;
	snapshot->used++;
	snapshot->sockets++;
	if (record->protocol == IPPROTO_TCP)
		namespaces_note_socket(&snapshot->namespaces, record->netns);
	return 0;
}

static int add_record(struct snapshot *snapshot, const struct record_header *header)
{
	if (header->type == RECORD_SOCKET && header->kind == FLOW_OPENED)
		snapshot->sockets++; /* one socket has many flows */
	else if (header->type == RECORD_SOCKET)
		return add_socket(snapshot, (const struct socket_record *)header);
	if (header->type == RECORD_PROCESS) {
		snapshot->processes++;
		namespaces_note_process(&snapshot->namespaces, (const struct process_record *)header);
	}
	return chunk_list_append(snapshot->list, header, header->size) ? 0 : -ENOMEM;
}

/* Reads the records that one run of an iterator writes; a record may lie across two reads. */
static int run_iterator(struct snapshot *snapshot, struct hook *hook)
{
	int fd = bpf_iter_create(bpf_link__fd(hook->link)), error = 0;
	uint8_t *buffer = malloc(READ_BYTES);
	size_t filled = 0;
	ssize_t length;

	if (fd < 0 || !buffer) {
		error = fd < 0 ? -errno : -ENOMEM;
		goto out;
	}
	while (!error) {
		size_t at = 0;

		length = read(fd, buffer + filled, READ_BYTES - filled);
		if (length < 0 && (errno == EAGAIN || errno == EINTR))
			continue; /* it has looked at many objects without a record */
		if (length <= 0) {
			error = length ? -errno : 0;
			break;
		}
		filled += length;
		while (!error && filled - at >= sizeof(struct record_header)) {
			const struct record_header *header = (const void *)(buffer + at);

			if (header->size < sizeof(*header) || header->size > RECORD_MAX_BYTES)
				error = -EPROTO;
			else if (header->size > filled - at)
				break;
			else
				error = add_record(snapshot, header);
			at += header->size;
		}
		filled -= at;
		memmove(buffer, buffer + at, filled);
	}
out:
	if (fd >= 0)
		close(fd);
	free(buffer);
	return error;
}

static int mark(struct snapshot *snapshot, enum mark_kind kind)
{
	struct mark_record record = {
		.header = { .size = sizeof(record), .type = RECORD_MARK, .kind = kind,
			    .flags = RECORD_F_SNAPSHOT, .time_ns = monotonic_ns() },
		.sockets = snapshot->sockets,
		.processes = snapshot->processes,
	};

	return chunk_list_append(snapshot->list, &record, sizeof(record)) ? 0 : -ENOMEM;
}

/* Runs an iterator if the kernel has it: what it would tell is missing otherwise, not wrong. */
static int run_named(struct capture *capture, struct snapshot *snapshot, const char *name)
{
	struct hook *hook = capture_hook(capture, name);

	return hook ? run_iterator(snapshot, hook) : 0;
}

struct visit {
	struct snapshot *snapshot;
	struct hook *hook;
	int error;
};

static bool walk_namespace(void *context)
{
	struct visit *visit = context;

	visit->error = run_iterator(visit->snapshot, visit->hook);
	return !visit->error;
}

/*
 * TCP sockets that no process holds: not accepted yet, or closed with data on the way. A walk takes some 5 ms in
 * each namespace, so it is left out where `files`, run in between, tells of all that the kernel counts there.
 */
static int run_with_namespaces(struct capture *capture, struct snapshot *snapshot)
{
	struct visit visit = { .snapshot = snapshot, .hook = capture_hook(capture, "snapshot_namespace") };
	int error;

	if (visit.hook)
		namespaces_count(&snapshot->namespaces, capture);
	error = run_named(capture, snapshot, "snapshot_files");
	if (error || !visit.hook)
		return error;
	error = namespaces_visit_uncertain(&snapshot->namespaces, capture, walk_namespace, &visit);
	return error ? error : visit.error;
}

int snapshot_take(struct capture *capture, struct chunk_list *list)
{
	struct snapshot snapshot = { .list = list };
	/* Once all namespaces have been looked into, all their sockets are remembered. */
	bool remembered = capture->visited && capture_hook(capture, "snapshot_memories");
	int error = mark(&snapshot, MARK_SNAPSHOT_BEGIN);

	if (!error)
		error = run_named(capture, &snapshot, "snapshot_processes");
	if (!error && remembered)
		error = run_named(capture, &snapshot, "snapshot_files");
	if (!error && remembered)
		error = run_named(capture, &snapshot, "snapshot_memories");
	if (!error && !remembered)
		error = run_with_namespaces(capture, &snapshot);
	capture->visited |= !error;
	if (!error)
		error = run_named(capture, &snapshot, "udp_snapshot");
	if (!error)
		error = mark(&snapshot, MARK_SNAPSHOT_END);
	namespaces_free(&snapshot.namespaces);
	free(snapshot.seen);
	return error;
}
