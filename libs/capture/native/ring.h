/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NETSTATD_RING_H
#define NETSTATD_RING_H

#include "capture.h"

#include <node_api.h>

struct reader_stats {
	uint64_t records; /* handed over so far */
	uint64_t bytes;
	uint64_t chunks;
	uint64_t blocked; /* times the queue was full, so that records had to wait in the ring */
	uint64_t oversize; /* records longer than RECORD_MAX_BYTES, skipped */
	uint64_t ring_used; /* bytes waiting in the ring now */
};

/* A JavaScript Buffer over the chunk, without a copy where the runtime allows it. Takes the chunk's memory. */
napi_status chunk_to_buffer(napi_env env, struct chunk *chunk, napi_value *buffer);

/*
 * Starts the thread that empties the ring. `callback` gets (buffer, payloadBytes, records) on the JavaScript
 * thread, for at most QUEUE_CHUNKS chunks waiting. Returns 0 or -errno.
 */
int reader_start(struct capture *capture, napi_env env, napi_value callback);
/* Stops and joins the thread; what it had not handed over is lost. Does nothing when there is none. */
void reader_stop(struct capture *capture);
void reader_read_stats(const struct capture *capture, struct reader_stats *stats);

#endif /* NETSTATD_RING_H */
