// SPDX-License-Identifier: Apache-2.0
/*
 * The reader thread. Most records are submitted without a wakeup, so the ring is looked at every 10 ms whatever
 * epoll says: a ring that has become full that way would otherwise never be read again. A full queue towards
 * JavaScript stops the reading; the ring then fills, and the kernel counts what finds no room in it.
 */
#define _GNU_SOURCE
#include "ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#define WAIT_MS 10
#define QUEUE_CHUNKS 16
#define CHUNK_FULL (-ENOBUFS) /* how the consumer tells libbpf to stop after this record */

struct reader {
	struct ring_buffer *ring;
	/* The kernel's own positions in the ring: one page each. */
	const atomic_ulong *consumed, *produced;
	int epoll_fd, wake_fd;
	pthread_t thread;
	bool running;
	napi_threadsafe_function deliver;
	struct chunk filling;
	atomic_bool stop, blocked;
	atomic_uint_least64_t records, bytes, chunks, blocked_count, oversize;
};

static void free_data(napi_env env, void *data, void *hint)
{
	(void)env, (void)hint;
	free(data);
}

napi_status chunk_to_buffer(napi_env env, struct chunk *chunk, napi_value *buffer)
{
	size_t size = CHUNK_HEADROOM + chunk->used;
	napi_status status = napi_create_external_buffer(env, size, chunk->data, free_data, NULL, buffer);

	if (status != napi_ok) {
		status = napi_create_buffer_copy(env, size, chunk->data, NULL, buffer);
		free(chunk->data);
	}
	chunk->data = NULL;
	return status;
}

static void wake(struct reader *reader)
{
	uint64_t one = 1;

	if (write(reader->wake_fd, &one, sizeof(one)) < 0)
		return; /* cannot happen below 2^64 - 1 wakeups; the timeout would do as well */
}

/* On the JavaScript thread, once per chunk; env is NULL when the queue is torn down, and `reader` gone. */
static void call_javascript(napi_env env, napi_value callback, void *context, void *data)
{
	struct reader *reader = context;
	struct chunk *chunk = data;
	napi_value receiver, arguments[3];

	if (env) {
		uint32_t payload = chunk->used, records = chunk->records;

		if (atomic_exchange(&reader->blocked, false))
			wake(reader);
		chunk_trim(chunk);
		if (chunk_to_buffer(env, chunk, &arguments[0]) == napi_ok &&
		    napi_create_uint32(env, payload, &arguments[1]) == napi_ok &&
		    napi_create_uint32(env, records, &arguments[2]) == napi_ok &&
		    napi_get_undefined(env, &receiver) == napi_ok)
			napi_call_function(env, receiver, callback, 3, arguments, NULL);
	}
	free(chunk->data);
	free(chunk);
}

/* Hands the chunk being filled over. False when it has to wait for room in the queue. */
static bool push(struct reader *reader)
{
	struct chunk *chunk;
	uint64_t bytes = reader->filling.used, records = reader->filling.records;

	if (!bytes)
		return true;
	chunk = malloc(sizeof(*chunk));
	if (!chunk)
		return false;
	*chunk = reader->filling;
	/* Said before the attempt: a slot that is freed right after it must still lead to a wakeup. */
	atomic_store(&reader->blocked, true);
	if (napi_call_threadsafe_function(reader->deliver, chunk, napi_tsfn_nonblocking) != napi_ok) {
		free(chunk);
		atomic_fetch_add(&reader->blocked_count, 1);
		return false;
	}
	atomic_store(&reader->blocked, false);
	memset(&reader->filling, 0, sizeof(reader->filling));
	atomic_fetch_add(&reader->records, records);
	atomic_fetch_add(&reader->bytes, bytes);
	atomic_fetch_add(&reader->chunks, 1);
	return true;
}

static int on_record(void *context, void *data, size_t size)
{
	struct reader *reader = context;
	struct chunk *chunk = &reader->filling;

	if (size > RECORD_MAX_BYTES) {
		atomic_fetch_add(&reader->oversize, 1);
		return 0;
	}
	memcpy(chunk->data + CHUNK_HEADROOM + chunk->used, data, size);
	chunk->used += size;
	chunk->records++;
	return CHUNK_BYTES - chunk->used < RECORD_MAX_BYTES ? CHUNK_FULL : 0;
}

/* Moves all that is in the ring into the queue, as far as there is room. */
static void drain(struct reader *reader)
{
	int result;

	do {
		if (CHUNK_BYTES - reader->filling.used < RECORD_MAX_BYTES && !push(reader))
			return;
		if (!reader->filling.data && !chunk_begin(&reader->filling))
			return;
		result = ring_buffer__consume(reader->ring);
	} while (result == CHUNK_FULL && !atomic_load(&reader->stop));
	push(reader); /* should it have to wait, the next records join it */
}

static void *run(void *context)
{
	struct reader *reader = context;
	struct epoll_event event;
	uint64_t wakeups;

	pthread_setname_np(pthread_self(), "netstatd-ring");
	while (!atomic_load(&reader->stop)) {
		if (epoll_wait(reader->epoll_fd, &event, 1, WAIT_MS) > 0 && event.data.fd == reader->wake_fd &&
		    read(reader->wake_fd, &wakeups, sizeof(wakeups)) < 0 && errno != EAGAIN)
			break;
		drain(reader);
	}
	return NULL;
}

static void reader_free(struct reader *reader)
{
	long page = sysconf(_SC_PAGESIZE);

	if (reader->running) {
		atomic_store(&reader->stop, true);
		wake(reader);
		pthread_join(reader->thread, NULL);
	}
	if (reader->deliver)
		napi_release_threadsafe_function(reader->deliver, napi_tsfn_abort);
	if (reader->consumed)
		munmap((void *)reader->consumed, page);
	if (reader->produced)
		munmap((void *)reader->produced, page);
	ring_buffer__free(reader->ring);
	if (reader->epoll_fd >= 0)
		close(reader->epoll_fd);
	if (reader->wake_fd >= 0)
		close(reader->wake_fd);
	free(reader->filling.data);
	free(reader);
}

static bool watch(struct reader *reader, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	return !epoll_ctl(reader->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static const atomic_ulong *map_position(int fd, off_t offset)
{
	void *page = mmap(NULL, sysconf(_SC_PAGESIZE), PROT_READ, MAP_SHARED, fd, offset);

	return page == MAP_FAILED ? NULL : page;
}

int reader_start(struct capture *capture, napi_env env, napi_value callback)
{
	struct reader *reader = calloc(1, sizeof(*reader));
	int map = capture_map(capture, "records"), error = ENOMEM;
	napi_value name;

	if (!reader)
		return -ENOMEM;
	reader->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	reader->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	errno = 0;
	reader->ring = ring_buffer__new(map, on_record, reader, NULL);
	reader->consumed = map_position(map, 0);
	reader->produced = map_position(map, sysconf(_SC_PAGESIZE));
	if (!reader->ring || !reader->consumed || !reader->produced || reader->epoll_fd < 0 ||
	    !watch(reader, reader->wake_fd) || !watch(reader, ring_buffer__epoll_fd(reader->ring))) {
		error = errno ? errno : ENOMEM;
		goto failed;
	}
	if (napi_create_string_utf8(env, "netstatd records", NAPI_AUTO_LENGTH, &name) != napi_ok ||
	    napi_create_threadsafe_function(env, callback, NULL, name, QUEUE_CHUNKS, 1, NULL, NULL, reader,
					    call_javascript, &reader->deliver) != napi_ok)
		goto failed;
	error = pthread_create(&reader->thread, NULL, run, reader);
	if (error)
		goto failed;
	reader->running = true;
	capture->reader = reader;
	return 0;
failed:
	reader_free(reader);
	return -error;
}

void reader_stop(struct capture *capture)
{
	if (capture->reader)
		reader_free(capture->reader);
	capture->reader = NULL;
}

void reader_read_stats(const struct capture *capture, struct reader_stats *stats)
{
	struct reader *reader = capture->reader;

	memset(stats, 0, sizeof(*stats));
	if (!reader)
		return;
	stats->records = atomic_load(&reader->records);
	stats->bytes = atomic_load(&reader->bytes);
	stats->chunks = atomic_load(&reader->chunks);
	stats->blocked = atomic_load(&reader->blocked_count);
	stats->oversize = atomic_load(&reader->oversize);
	stats->ring_used = atomic_load(reader->produced) - atomic_load(reader->consumed);
}
