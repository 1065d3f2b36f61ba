/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef NETSTATD_RECORD_H
#define NETSTATD_RECORD_H

/*
 * The raw record: what the kernel side writes into the ring buffer, the snapshot iterators into their
 * sequence file, the collector onto the bus and into recordings, and the enricher reads. This header is the
 * only definition; libs/records is generated from the BTF of the compiled object.
 *
 * All integers are little-endian, ports are in host order, times are CLOCK_MONOTONIC nanoseconds
 * (bpf_ktime_get_ns) unless named otherwise. Zero means "not known" wherever a comment does not say more.
 * Every record starts with struct record_header and its size is a multiple of 8, so that records can be laid
 * end to end and a reader can step over a type it does not know.
 */

/* Constants are enums, not macros: only so do they reach the BTF, and from there the generated readers. */
enum record_constant {
	RECORD_LAYOUT_VERSION = 1,
	RECORD_PATH_BYTES = 256,
	RECORD_COMM_BYTES = 16,
	RECORD_FACTS_BYTES = 32768,
	BATCH_MAGIC = 0x3154534e, /* "NST1" */
	DROP_SLOTS = 16, /* slots of the per-cpu drop counters */
};

enum record_type {
	RECORD_SOCKET = 1, /* struct socket_record */
	RECORD_PROCESS = 2, /* struct process_record, or its first PROCESS_RECORD_SHORT bytes */
	RECORD_CGROUP = 3, /* struct cgroup_record */
	RECORD_MARK = 4, /* struct mark_record, written by the collector only */
	RECORD_HOST = 5, /* struct host_record, up to its NUL; written by the collector while it records */
};

struct record_header {
	__u16 size; /* bytes of this record, header included */
	__u8 type; /* enum record_type */
	__u8 kind; /* enum socket_kind, process_kind, cgroup_kind or mark_kind */
	__u16 cpu;
	__u16 flags; /* RECORD_F_* */
	__u64 time_ns;
};

enum record_flag {
	/* The record comes from a snapshot iterator: it states what is, nothing happened at time_ns. */
	RECORD_F_SNAPSHOT = 1 << 0,
	/* pid, uid, comm and cgroup_id are those of the owning process, taken in its own context. */
	RECORD_F_OWNER = 1 << 1,
	/* path holds only the last part of a longer path. */
	RECORD_F_PATH_CUT = 1 << 2,
	/* The socket is bound to a port that the process asked for (SOCK_BINDPORT_LOCK). */
	RECORD_F_PORT_ASKED = 1 << 3,
	/* Nobody counted: bytes, times and retransmissions of a socket record are not known, whatever they hold. */
	RECORD_F_UNCOUNTED = 1 << 4,
	/* The process that is named holds the socket, but is not known to have opened it. */
	RECORD_F_HOLDER = 1 << 5,
};

enum socket_kind {
	SOCKET_CONNECTING = 1, /* TCP CLOSE -> SYN_SENT; local_port is not chosen yet */
	SOCKET_ESTABLISHED = 2, /* TCP, either end; an inbound socket has no owner yet */
	SOCKET_ACCEPTED = 3, /* TCP: a process took the inbound socket by accept */
	SOCKET_CLOSED = 4, /* TCP, from any state but LISTEN; failed connects too */
	SOCKET_LISTENING = 5, /* TCP -> LISTEN */
	SOCKET_UNLISTENED = 6, /* TCP LISTEN -> CLOSE */
	SOCKET_BOUND = 7, /* UDP: bound by its process to a port, unconnected */
	SOCKET_UNBOUND = 8, /* UDP: a bound socket was released or connected */
	FLOW_OPENED = 9, /* UDP: first datagram between a socket and a peer */
	FLOW_CLOSED = 10, /* UDP: idle for the flow timeout, or its socket released; final counts */
	SOCKET_OPEN = 11, /* snapshot only: a connected or connecting TCP socket that exists */
};

enum direction {
	DIRECTION_UNKNOWN = 0,
	DIRECTION_OUTBOUND = 1,
	DIRECTION_INBOUND = 2,
};

/* Who ended a connection, as far as the TCP states tell; `error` says more. */
enum close_side {
	CLOSE_UNKNOWN = 0,
	CLOSE_LOCAL = 1, /* this end sent the first FIN, or a reset */
	CLOSE_REMOTE = 2, /* the other end sent the first FIN, or a reset */
};

struct socket_record {
	struct record_header header;
	/* bpf_get_socket_cookie: the key of a connection on this node; 0: a connect that never began, and failed */
	__u64 cookie;
	__u64 cgroup_id; /* of the owner with RECORD_F_OWNER, else of the socket (sk_cgrp_data) */
	__u64 owner_start_ns; /* start_boottime (CLOCK_BOOTTIME) of the owner's thread group leader */
	__u64 bytes_sent; /* payload, without SYN, FIN and retransmissions */
	__u64 bytes_received; /* payload, without SYN and FIN */
	__u64 duration_ns; /* ESTABLISHED (UDP: first datagram) until this record */
	__u32 handshake_us; /* SYN_SENT -> ESTABLISHED, outbound only */
	__u32 rtt_us; /* smoothed round trip time, srtt_us >> 3 */
	__u32 retransmits; /* segments, total_retrans */
	__u32 pid; /* thread group id in the initial pid namespace */
	__u32 uid; /* sk_uid: the user that made the socket */
	__u32 netns; /* inode of the network namespace */
	__u32 error; /* positive errno at SOCKET_CLOSED: sk_err, or ECONNRESET for a reset by either end */
	__u16 local_port;
	__u16 remote_port;
	__u8 local_address[16]; /* IPv4: the first 4 bytes, the rest zero */
	__u8 remote_address[16];
	char comm[RECORD_COMM_BYTES]; /* of the owner, at the time it became the owner */
	__u8 family; /* AF_INET 2 or AF_INET6 10; IPv4-mapped IPv6 is AF_INET here */
	__u8 protocol; /* IPPROTO_TCP 6, IPPROTO_UDP 17 */
	__u8 state; /* TCP: enum of the kernel, TCP_ESTABLISHED 1 … TCP_NEW_SYN_RECV 12 */
	__u8 direction; /* enum direction */
	__u8 close_side; /* enum close_side */
	__u8 reserved[3];
};

enum process_kind {
	PROCESS_FORKED = 1, /* short record: a new thread group; its executable is its parent's */
	PROCESS_EXECUTED = 2, /* full record */
	PROCESS_EXITED = 3, /* short record: the last thread of the group is gone */
	PROCESS_EXISTS = 4, /* full record, snapshot only */
};

struct process_record {
	struct record_header header;
	__u64 start_ns; /* start_boottime (CLOCK_BOOTTIME) of the thread group leader */
	__u64 cgroup_id; /* of the default (v2) hierarchy */
	__u32 pid; /* thread group id in the initial pid namespace */
	__u32 ppid;
	__u32 uid;
	__u32 netns;
	char comm[RECORD_COMM_BYTES];
	/* The executable's path components, last one first, each ended by NUL: "curl\0bin\0usr\0". */
	char path[RECORD_PATH_BYTES];
};

#define PROCESS_RECORD_SHORT (sizeof(struct process_record) - RECORD_PATH_BYTES)

enum cgroup_kind {
	CGROUP_MADE = 1,
	CGROUP_REMOVED = 2,
};

struct cgroup_record {
	struct record_header header;
	__u64 cgroup_id; /* inode of its directory in the default (v2) hierarchy */
	/* Path below the hierarchy's root, NUL-terminated; with RECORD_F_PATH_CUT only the last part. */
	char path[RECORD_PATH_BYTES];
};

enum mark_kind {
	MARK_SNAPSHOT_BEGIN = 1, /* what follows, up to MARK_SNAPSHOT_END, is all that is open */
	MARK_SNAPSHOT_END = 2,
};

struct mark_record {
	struct record_header header;
	__u64 sockets; /* at MARK_SNAPSHOT_END: socket records in the snapshot */
	__u64 processes; /* at MARK_SNAPSHOT_END: process records in the snapshot */
};

/* The machine that a recording was made on, which the machine that replays it must not be taken for. */
struct host_record {
	struct record_header header;
	char facts[RECORD_FACTS_BYTES]; /* JSON as in the event host.info; NUL-terminated, padded to 8 bytes */
};

enum batch_flag {
	/* Played from a recording: nothing of it can be looked up on this machine. */
	BATCH_F_REPLAYED = 1 << 0,
};

/*
 * Heads a batch of records on the bus (netstatd.<node>.raw) and in a recording.
 * lost_before - (lost_before of the batch before) records were dropped by the kernel in between;
 * a jump in seq or records_before is a loss on the bus.
 */
struct batch_header {
	__u32 magic;
	__u16 version; /* RECORD_LAYOUT_VERSION */
	__u16 header_size; /* bytes, so that fields can be added at the end */
	__u32 payload_bytes;
	__u32 records;
	__u64 epoch; /* CLOCK_REALTIME ns at the collector's start */
	__u64 seq; /* grows by one per batch, first is 1 */
	__u64 records_before; /* records in all earlier batches of this epoch */
	__u64 lost_before; /* records the kernel could not reserve room for, in this epoch so far */
	__s64 wall_offset_ns; /* CLOCK_REALTIME - CLOCK_MONOTONIC when the batch was read */
	__u64 read_ns; /* CLOCK_MONOTONIC when the batch was read: the clock of whoever reads a recording */
	__u32 flags; /* BATCH_F_* */
	__u32 reserved;
};

/* The index of what was dropped in the per-cpu drop counters. */
enum drop_slot {
	DROP_OTHER = 0, /* process and cgroup records */
	/* 1 … 11: socket_kind */
	DROP_FLOWS_UNTRACKED = 12, /* datagrams of flows the flow table had no room for */
	DROP_UNSEEN = 13, /* TCP transitions that no program saw, because one was interrupted; see tcp.h */
};

/* Of one cpu: whether tcp_state is at work on it, and how many transitions tcp_state_nested took over. */
struct tcp_runs {
	__u64 taken_over;
	__u64 busy; /* 0 or 1 */
	__u64 listened; /* transitions to LISTEN */
	__u64 ended_late; /* connections whose CLOSE was not seen, but their destruction */
};

/* Whether udp_egress alone cannot say who sends; see udp_owner.h. */
struct sender_watch {
	__u64 uncertain; /* datagrams whose sender was not certain */
	__u64 hooked; /* the sendmsg hooks are attached: what is remembered is the sender */
};

#ifdef __bpf__
/* Clang leaves types that no code names out of the BTF; this pointer names them all. */
struct record_types {
	struct record_header header;
	struct socket_record socket;
	struct process_record process;
	struct cgroup_record cgroup;
	struct mark_record mark;
	struct host_record host;
	struct batch_header batch;
	enum record_constant constant;
	enum record_type type;
	enum record_flag flag;
	enum socket_kind socket_kind;
	enum direction direction;
	enum close_side close_side;
	enum process_kind process_kind;
	enum cgroup_kind cgroup_kind;
	enum mark_kind mark_kind;
	enum batch_flag batch_flag;
	enum drop_slot drop_slot;
};
const struct record_types *record_types __attribute__((unused));
#endif

#endif /* NETSTATD_RECORD_H */
