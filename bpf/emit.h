/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef NETSTATD_EMIT_H
#define NETSTATD_EMIT_H

#include "maps.h"

/* Bytes that may wait in the ring before the reader is woken ahead of its 10 ms timeout. */
#define EMIT_WAKE_BYTES (64 << 10)

/* One record in so many looks at the fill level: the query costs as much as the record. Power of two. */
#define EMIT_LOOK_EVERY 16

/* Counts a record that was lost, by enum drop_slot. */
static __always_inline void emit_count_drop(u32 slot)
{
	u64 *lost = bpf_map_lookup_elem(&drops, &slot);

	if (lost)
		__sync_fetch_and_add(lost, 1); /* softirq may interrupt a program on this cpu */
}

static __always_inline void emit_head(struct record_header *header, u16 size, u8 type, u8 kind, u16 flags,
				      u64 now)
{
	header->size = size;
	header->type = type;
	header->kind = kind;
	header->cpu = bpf_get_smp_processor_id();
	header->flags = flags;
	header->time_ns = now;
}

/*
 * Zeroed room for a record of constant `size` with its header filled in, or NULL: then the loss has been
 * counted in `slot`.
 */
static __always_inline void *emit_reserve(u16 size, u8 type, u8 kind, u16 flags, u64 now, u32 slot)
{
	void *record = bpf_ringbuf_reserve(&records, size, 0);

	if (!record) {
		emit_count_drop(slot);
		return NULL;
	}
	__builtin_memset(record, 0, size);
	emit_head(record, size, type, kind, flags, now);
	return record;
}

/*
 * Whether to wake the reader for a record made at `now`. The reader comes by itself every 10 ms; it is woken only when much is
 * waiting, because a wakeup costs five times as much as a record. The low bits of the time pick who looks.
 */
static __always_inline u64 emit_wakeup(u64 now)
{
	if (!(now & (EMIT_LOOK_EVERY - 1)) &&
	    bpf_ringbuf_query(&records, BPF_RB_AVAIL_DATA) >= EMIT_WAKE_BYTES)
		return BPF_RB_FORCE_WAKEUP;
	return BPF_RB_NO_WAKEUP;
}

/* Hands a reserved record to the reader. */
static __always_inline void emit_submit(void *record, u64 now)
{
	bpf_ringbuf_submit(record, emit_wakeup(now));
}

/* Copies a finished record from the stack; a loss is counted in `slot`. */
static __always_inline void emit_copy(struct record_header *record, u64 size, u32 slot)
{
	if (bpf_ringbuf_output(&records, record, size, emit_wakeup(record->time_ns)))
		emit_count_drop(slot);
}

/* Room for a socket record of `kind`; see emit_reserve(). */
static __always_inline struct socket_record *emit_socket(u8 kind, u16 flags, u64 now)
{
	return emit_reserve(sizeof(struct socket_record), RECORD_SOCKET, kind, flags, now, kind);
}

#endif /* NETSTATD_EMIT_H */
