/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NETSTATD_CAPTURE_H
#define NETSTATD_CAPTURE_H

/*
 * The capture: one BPF object, loaded, attached and read. This header is what the files of the addon share;
 * only addon.c and ring.c know Node-API.
 *
 *   machine.c   whether this machine allows it at all
 *   hooks.c     probes, loads and attaches
 *   tracefs.c   attaches syscall tracepoints, with or without a mounted tracefs
 *   ring.c      the reader thread: ring buffer -> chunks -> a bounded queue towards JavaScript
 *   snapshot.c  runs the iterators
 *   namespaces.c the network namespaces of a snapshot, and which of them need a look of their own
 *   addon.c     the JavaScript face
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <bpf/libbpf.h>
#include <linux/types.h>

#include "record.h"

#define MAX_HOOKS 48
#define REASON_BYTES 256
#define CHUNK_BYTES (128 << 10) /* of records, behind the headroom */
#define CHUNK_HEADROOM sizeof(struct batch_header)
#define RECORD_MAX_BYTES 512

/* Why open() failed: the codes of CaptureError. */
enum capture_failure {
	FAILURE_NONE,
	FAILURE_NO_BTF,
	FAILURE_NO_RIGHTS,
	FAILURE_NO_OBJECT,
	FAILURE_OLD_KERNEL,
	FAILURE_LOAD,
};

enum hook_state {
	HOOK_ATTACHED,
	HOOK_UNSUPPORTED, /* this kernel cannot load it */
	HOOK_FAILED, /* it loads, but could not be attached */
	HOOK_OFF, /* excluded by an option */
	HOOK_SPARE, /* not needed so far: what it stands in for does */
};

struct hook {
	struct bpf_program *program;
	struct bpf_link *link; /* iterators too; NULL for programs that are run by hand */
	enum hook_state state;
	const char *stand_in; /* name of the hook that is attached in its place, or NULL */
	char reason[REASON_BYTES];
};

struct capture_options {
	const char *object_path;
	bool loopback;
	bool udp;
	uint32_t ring_bytes; /* power of two times the page size */
	uint64_t flow_idle_ns;
	uint32_t flow_table_size;
	const char *without; /* names of hooks to be left out, separated by commas */
};

/* Records laid end to end behind CHUNK_HEADROOM bytes, in which the batch header is written later. */
struct chunk {
	uint8_t *data; /* malloc'd */
	size_t used; /* bytes of records */
	uint32_t records;
};

/* A growing list of full chunks and the one being filled. */
struct chunk_list {
	struct chunk *chunks;
	size_t count;
};

struct reader; /* ring.c */

struct capture {
	struct bpf_object *object;
	struct hook hooks[MAX_HOOKS];
	size_t hook_count;
	enum capture_failure failure;
	char failure_reason[REASON_BYTES * 2];
	struct reader *reader;
	bool visited; /* a snapshot has been in all network namespaces */
};

/* -- machine.c ----------------------------------------------------------------------------------------- */

/* What can be told before anything is loaded, so that the reason given is the real one. */
bool machine_check(struct capture *capture, const char *object_path);
/* Whether the kernel's version is below the oldest that is known to have all that tcp_state needs. */
bool machine_is_old(void);
/* Notes why the capture cannot be opened. Returns false. */
__attribute__((format(printf, 3, 4))) bool capture_fail(struct capture *capture, enum capture_failure failure,
							const char *format, ...);

/* -- hooks.c ------------------------------------------------------------------------------------------- */

/* Loads and attaches. On failure `failure` and `failure_reason` say why, and capture_close() is still due. */
bool capture_open(struct capture *capture, const struct capture_options *options);
/* Detaches everything and frees the object; safe to call twice. The reader must have been stopped. */
void capture_close(struct capture *capture);
struct hook *capture_hook(struct capture *capture, const char *name);
/* File descriptor of a map, or -1. */
int capture_map(struct capture *capture, const char *name);
/* Losses by enum drop_slot, over all cpus. */
bool capture_drops(struct capture *capture, uint64_t drops[DROP_SLOTS]);
/* What the TCP programs have counted since the capture was opened, over all cpus. */
bool capture_tcp_runs(struct capture *capture, struct tcp_runs *runs);
/* Runs the program that closes idle UDP flows, and attaches the hooks that tell senders when due. Flows left, or -errno. */
int capture_sweep_flows(struct capture *capture);

/* -- tracefs.c ----------------------------------------------------------------------------------------- */

/* Attaches a "tp/category/event" program; NULL with errno on failure. */
struct bpf_link *tracefs_attach(struct bpf_program *program, const char *section);

/* -- chunk.c ------------------------------------------------------------------------------------------- */

/* Takes an empty chunk; false when memory is short. */
bool chunk_begin(struct chunk *chunk);
/* Gives back the unused room. */
void chunk_trim(struct chunk *chunk);
/* Appends a record, in a new chunk where needed. Returns where it lies (valid until the chunk is trimmed). */
void *chunk_list_append(struct chunk_list *list, const void *record, size_t size);
void chunk_list_free(struct chunk_list *list);

/* -- snapshot.c ---------------------------------------------------------------------------------------- */

/*
 * Runs the iterators: MARK_SNAPSHOT_BEGIN, processes, sockets with their owners, sockets without a descriptor,
 * MARK_SNAPSHOT_END. Returns 0 or -errno; `list` is to be freed by the caller either way.
 */
int snapshot_take(struct capture *capture, struct chunk_list *list);

#endif /* NETSTATD_CAPTURE_H */
