/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef NETSTATD_MAPS_H
#define NETSTATD_MAPS_H

#include "kernel.h"
#include "record.h"

/* Set by the collector before the object is loaded; constants for the verifier, so that dead branches go. */
const volatile bool option_loopback = true; /* record sockets whose addresses are loopback */
const volatile bool option_udp = true;
const volatile u64 option_flow_idle_ns = 30000000000ULL;

/*
 * Records on their way to the collector.
 * Inserted by every hook (emit.h), consumed by the collector's reader thread. Bounded by its size, which the
 * collector sets; a record that finds no room is counted in `drops`.
 */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 << 20);
} records SEC(".maps");

/*
 * Records lost because `records` was full, per cpu and enum drop_slot. Only ever grows; read by the collector.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, DROP_SLOTS);
	__type(key, u32);
	__type(value, u64);
} drops SEC(".maps");

/* A process that owns sockets, as it was when it became the owner. pid 0: nobody is known. */
struct owner {
	u64 start_ns; /* start_boottime of the thread group leader */
	u64 cgroup_id;
	u32 pid; /* thread group id */
	char comm[RECORD_COMM_BYTES];
};

/* What the kernel itself does not remember about a socket. */
struct socket_memory {
	struct owner owner;
	u64 since_ns; /* entry into SYN_SENT, then into ESTABLISHED (UDP: first datagram) */
	u32 handshake_us;
	u32 snapshot; /* number of the last snapshot that found a holder of the socket */
	u8 direction; /* enum direction; on a listener that of its future children */
	u8 close_side; /* enum close_side: who sent the first FIN */
	u8 seeded; /* the owner was found by a snapshot: an older holder of the socket is a better one */
	u8 open; /* a connection that was told, and whose end was not */
	u8 reserved[4];
};

/*
 * Memory of each socket. Created by tcp.h at SYN_SENT and LISTEN, by udp.h at the first use by a process and by
 * snapshot.h for sockets older than the collector; a listener's is cloned into each child (BPF_F_CLONE), where
 * tcp.h clears the owner. Freed by the kernel with the socket, which is also its bound: one per socket.
 */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct socket_memory);
} socket_memories SEC(".maps");

/*
 * Cookies of sockets that listen() has yet to find a port for. Inserted by tcp.h at LISTEN, removed by listen.h
 * when the call returns; should it fail or the hook be missing, the oldest make room.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, u64);
	__type(value, u8);
} portless_listeners SEC(".maps");

#endif /* NETSTATD_MAPS_H */
