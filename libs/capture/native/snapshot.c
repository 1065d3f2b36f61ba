// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "capture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <sys/stat.h>

#define READ_BYTES (64 << 10)
#define NAMED_NAMESPACES "/run/netns"

struct snapshot {
	struct chunk_list *list;
	uint64_t sockets, processes;
	/* One process of each network namespace. */
	struct namespace {
		uint32_t netns, pid;
	} *namespaces;
	size_t namespace_count;
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
 * A socket that several processes hold comes once for each: the oldest of them is taken for the owner, since a
 * child inherits what its parent opened.
 */
static int add_socket(struct snapshot *snapshot, const struct socket_record *record)
{
	struct socket_record **place;

	if (snapshot->used * 2 >= snapshot->slots && !grow(snapshot))
		return -ENOMEM;
	place = find(snapshot, record->cookie);
	if (*place) {
		if (record->header.flags & RECORD_F_OWNER &&
		    (!((*place)->header.flags & RECORD_F_OWNER) || record->owner_start_ns < (*place)->owner_start_ns))
			memcpy(*place, record, sizeof(*record));
		return 0;
	}
	*place = chunk_list_append(snapshot->list, record, record->header.size);
	if (!*place)
		return -ENOMEM;
	snapshot->used++;
	snapshot->sockets++;
	return 0;
}

/* Namespaces are few, processes many and mostly in the last one seen. */
static bool knows_namespace(const struct snapshot *snapshot, uint32_t netns)
{
	for (size_t i = snapshot->namespace_count; i-- > 0;)
		if (snapshot->namespaces[i].netns == netns)
			return true;
	return false;
}

/* Short memory costs completeness only. */
static void note_namespace(struct snapshot *snapshot, const struct process_record *process)
{
	struct namespace *more;

	if (knows_namespace(snapshot, process->netns))
		return;
	more = realloc(snapshot->namespaces, (snapshot->namespace_count + 1) * sizeof(*more));
	if (!more)
		return;
	snapshot->namespaces = more;
	more[snapshot->namespace_count++] = (struct namespace){ process->netns, process->pid };
}

static int add_record(struct snapshot *snapshot, const struct record_header *header)
{
	if (header->type == RECORD_SOCKET && header->kind == FLOW_OPENED)
		snapshot->sockets++; /* one socket has many flows */
	else if (header->type == RECORD_SOCKET)
		return add_socket(snapshot, (const struct socket_record *)header);
	if (header->type == RECORD_PROCESS) {
		snapshot->processes++;
		note_namespace(snapshot, (const struct process_record *)header);
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

/* Runs the iterator in one namespace. One that is gone or may not be entered has nothing to tell. */
static int visit_namespace(struct visit *visit, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), error = 0;

	if (fd >= 0 && !setns(fd, CLONE_NEWNET))
		error = run_iterator(visit->snapshot, visit->hook);
	if (fd >= 0)
		close(fd);
	return error;
}

/* In a thread of its own, because it changes its network namespace for good. */
static void *visit_namespaces(void *context)
{
	struct visit *visit = context;
	struct snapshot *snapshot = visit->snapshot;
	DIR *named = opendir(NAMED_NAMESPACES);
	struct dirent *entry;
	struct stat status;
	char path[sizeof(NAMED_NAMESPACES) + 256];

	/* Namespaces with a name and without a process: only their number is learnt here. */
	while (named && (entry = readdir(named)))
		if (*entry->d_name != '.') {
			snprintf(path, sizeof(path), NAMED_NAMESPACES "/%s", entry->d_name);
			if (!stat(path, &status) && !knows_namespace(snapshot, status.st_ino) && !visit->error)
				visit->error = visit_namespace(visit, path);
		}
	if (named)
		closedir(named);
	for (size_t i = 0; i < snapshot->namespace_count && !visit->error; i++) {
		snprintf(path, sizeof(path), "/proc/%u/ns/net", snapshot->namespaces[i].pid);
		visit->error = visit_namespace(visit, path);
	}
	return NULL;
}

/* Sockets that no process holds: not accepted yet, or closed with data on the way. */
static int run_in_namespaces(struct capture *capture, struct snapshot *snapshot)
{
	struct visit visit = { .snapshot = snapshot, .hook = capture_hook(capture, "snapshot_namespace") };
	pthread_t thread;
	int error;

	if (!visit.hook)
		return 0;
	error = pthread_create(&thread, NULL, visit_namespaces, &visit);
	if (error)
		return -error;
	pthread_join(thread, NULL);
	return visit.error;
}

int snapshot_take(struct capture *capture, struct chunk_list *list)
{
	struct snapshot snapshot = { .list = list };
	int error = mark(&snapshot, MARK_SNAPSHOT_BEGIN);

	if (!error)
		error = run_named(capture, &snapshot, "snapshot_processes");
	if (!error)
		error = run_named(capture, &snapshot, "snapshot_files");
	if (!error)
		error = run_named(capture, &snapshot, "udp_snapshot");
	if (!error) {
		/* The namespaces cost 2 ms each; once they have been visited, all their sockets are remembered. */
		if (capture->visited && capture_hook(capture, "snapshot_memories"))
			error = run_named(capture, &snapshot, "snapshot_memories");
		else
			error = run_in_namespaces(capture, &snapshot);
		capture->visited |= !error;
	}
	if (!error)
		error = mark(&snapshot, MARK_SNAPSHOT_END);
	free(snapshot.namespaces);
	free(snapshot.seen);
	return error;
}
