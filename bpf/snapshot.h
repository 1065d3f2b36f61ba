/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef NETSTATD_SNAPSHOT_H
#define NETSTATD_SNAPSHOT_H

/*
 * What is open: every socket that a process holds a descriptor of, in all network namespaces in one pass, then
 * those that nobody holds (not yet accepted, or closed and still sending): at first with iter/tcp in each
 * namespace, later among the sockets that are remembered. What is learnt about owners stays with the sockets.
 */

#include "tcp.h"
#include "udp_owner.h"

/* The bind bucket of a port that connect() chose, not bind(): __inet_hash_connect() */
#define BUCKET_OF_CONNECT (-1)

/* Number of the running or last snapshot, so that its second pass leaves out what the first has told. */
u32 snapshot_number;

/*
 * Which end opened a connection, from traces that connect() and listen() leave; unknown when they leave none.
 * A child copies its listener's backlog and never its SOCK_BINDPORT_LOCK.
 */
static __always_inline u8 snapshot_direction(struct sock *sk, struct tcp_sock *tp)
{
	if (sk->__sk_common.skc_state == TCP_SYN_SENT || socket_port_was_asked(sk))
		return DIRECTION_OUTBOUND;
	if (sk->sk_max_ack_backlog)
		return DIRECTION_INBOUND;
	if (tp->inet_conn.icsk_bind_hash && tp->inet_conn.icsk_bind_hash->fastreuse == BUCKET_OF_CONNECT)
		return DIRECTION_OUTBOUND;
	return DIRECTION_UNKNOWN;
}

/*
 * Names `task`, which holds the socket, as the owner if nobody is known, or only a younger holder: children
 * inherit what their parents opened.
 */
static __always_inline void snapshot_seed_owner(struct socket_memory *memory, struct task_struct *task)
{
	if (memory->owner.pid &&
	    (!memory->seeded || memory->owner.start_ns <= task->group_leader->start_boottime))
		return;
	owner_of_known_task(&memory->owner, task);
	memory->seeded = 1;
}

static __always_inline void snapshot_write(struct bpf_iter_meta *meta, struct socket_record *record, u8 kind)
{
	emit_head(&record->header, sizeof(*record), RECORD_SOCKET, kind,
		  record->header.flags | RECORD_F_SNAPSHOT, bpf_ktime_get_ns());
	bpf_seq_write(meta->seq, record, sizeof(*record));
}

/* The holder is NULL for a socket without a descriptor. */
static __always_inline void snapshot_tcp_socket(struct bpf_iter_meta *meta, struct sock *sk, struct tcp_sock *tp,
						struct socket_memory *memory, struct task_struct *holder)
{
	bool listening = sk->__sk_common.skc_state == TCP_LISTEN;
	struct socket_record record = {};

	if (sk->__sk_common.skc_state == TCP_CLOSE || address_is_unwanted(sk))
		return;
	/* A child that is not established yet still has its listener's memory. */
	if (!memory || (sk->__sk_common.skc_state == TCP_SYN_RECV && memory->direction == DIRECTION_INBOUND))
		return;
	if (holder) {
		snapshot_seed_owner(memory, holder);
		memory->snapshot = snapshot_number;
	} else if (memory->snapshot == snapshot_number) {
		return;
	}
	if (memory->direction == DIRECTION_UNKNOWN)
		memory->direction = listening ? DIRECTION_INBOUND : snapshot_direction(sk, tp);
	socket_to_record(&record, sk, IPPROTO_TCP, tcp_sport(tp));
	tcp_counts_to_record(&record, tp);
	socket_memory_to_record(&record, memory);
	if (memory->since_ns && record.state != TCP_SYN_SENT)
		record.duration_ns = bpf_ktime_get_ns() - memory->since_ns;
	if (listening) {
		record.direction = DIRECTION_UNKNOWN;
		if (holder)
			owner_of_holder_to_record(&record, &memory->owner, holder);
	}
	snapshot_write(meta, &record, listening ? SOCKET_LISTENING : SOCKET_OPEN);
}

SEC("iter/task_file")
int snapshot_files(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct socket *socket;
	struct tcp_sock *tp;
	struct sock *sk;

	if (!ctx->meta->seq_num)
		snapshot_number++;
	if (!task || !file)
		return 0;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = socket->sk;
	if (!sk || (sk->__sk_common.skc_family != AF_INET && sk->__sk_common.skc_family != AF_INET6))
		return 0;
	if (sk->sk_protocol == IPPROTO_TCP) {
		tp = bpf_skc_to_tcp_sock(sk);
		if (tp)
			snapshot_tcp_socket(ctx->meta, sk, tp, socket_memory(sk, true), task);
	} else if (sk->sk_protocol == IPPROTO_UDP && sk->sk_type == SOCK_DGRAM) {
		udp_snapshot_socket(ctx->meta, sk, task);
	}
	return 0;
}

/* In one network namespace; needed once, since afterwards all sockets are remembered. */
SEC("iter/tcp")
int snapshot_namespace(struct bpf_iter__tcp *ctx)
{
	struct sock_common *common = ctx->sk_common;
	struct tcp_sock *tp;

	if (!common)
		return 0;
	tp = bpf_skc_to_tcp_sock(common); /* NULL for requests and TIME_WAIT */
	if (tp)
		snapshot_tcp_socket(ctx->meta, (struct sock *)tp, tp, socket_memory(tp, true), NULL);
	return 0;
}

SEC("iter/bpf_sk_storage_map")
int snapshot_memories(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct socket_memory *memory = ctx->value;
	struct sock *sk = ctx->sk;
	struct tcp_sock *tp;

	if (!sk || !memory)
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (tp)
		snapshot_tcp_socket(ctx->meta, sk, tp, memory, NULL);
	return 0;
}

#endif /* NETSTATD_SNAPSHOT_H */
