/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef NETSTATD_TCP_H
#define NETSTATD_TCP_H

/*
 * TCP by its state machine. Ownership is taken only in the two transitions that a process makes itself,
 * CLOSE -> SYN_SENT (connect) and CLOSE -> LISTEN; every other one may run in softirq on behalf of anybody.
 */

#include "emit.h"
#include "socket.h"

/*
 * The kernel does not run a program that already runs on the same cpu: a transition in softirq that interrupts
 * tcp_state in the midst of another would be lost. tcp_state_nested is attached beside it, finds tcp_state busy,
 * and takes over. What neither of them sees is the difference between the runs that the kernel counts as missed
 * (recursion_misses) and those taken over; the collector reports it as lost.
 * One entry per cpu, for good.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct tcp_runs);
} tcp_runs SEC(".maps");

static __always_inline struct tcp_runs *tcp_runs_here(void)
{
	u32 only = 0;

	return bpf_map_lookup_elem(&tcp_runs, &only);
}

/* Payload bytes received: tcp_rcv_nxt_update() counts the FIN as one, and tcp_fin() sets SOCK_DONE. */
static __always_inline u64 tcp_bytes_received(struct tcp_sock *tp)
{
	u64 bytes = tp->bytes_received;
	bool fin = tp->inet_conn.icsk_inet.sk.__sk_common.skc_flags & (1UL << SOCK_DONE);

	return fin && bytes ? bytes - 1 : bytes;
}

static __always_inline u16 tcp_sport(struct tcp_sock *tp)
{
	return tp->inet_conn.icsk_inet.inet_sport;
}

static __always_inline void tcp_counts_to_record(struct socket_record *record, struct tcp_sock *tp)
{
	record->bytes_sent = tp->bytes_sent - tp->bytes_retrans;
	record->bytes_received = tcp_bytes_received(tp);
	record->rtt_us = tp->srtt_us >> 3;
	record->retransmits = tp->total_retrans;
}

static __always_inline void tcp_forget_owner(struct socket_memory *memory)
{
	__builtin_memset(&memory->owner, 0, sizeof(memory->owner));
}

static __always_inline void tcp_emit(struct sock *sk, struct tcp_sock *tp, const struct socket_memory *memory,
				     u8 kind, u8 state, u64 now)
{
	struct socket_record *record = emit_socket(kind, 0, now);

	if (!record)
		return;
	socket_to_record(record, sk, IPPROTO_TCP, tcp_sport(tp));
	record->state = state;
	if (memory)
		socket_memory_to_record(record, memory);
	if (kind == SOCKET_LISTENING || kind == SOCKET_UNLISTENED)
		record->direction = DIRECTION_UNKNOWN; /* the memory holds that of its children */
	if (kind == SOCKET_ESTABLISHED)
		record->rtt_us = tp->srtt_us >> 3;
	emit_submit(record, now);
}

/* connect() in its own process: the port is not chosen yet, but the peer and the owner are known. */
static __always_inline void tcp_connecting(struct sock *sk, struct tcp_sock *tp, u64 now)
{
	struct socket_memory *memory = socket_memory(sk, true);

	if (memory) {
		owner_of_current(&memory->owner);
		memory->seeded = 0;
		memory->since_ns = now;
		memory->handshake_us = 0;
		memory->direction = DIRECTION_OUTBOUND;
		memory->close_side = CLOSE_UNKNOWN;
		memory->open = 1;
	}
	tcp_emit(sk, tp, memory, SOCKET_CONNECTING, TCP_SYN_SENT, now);
}

static __always_inline void tcp_listening(struct sock *sk, struct tcp_sock *tp, u64 now)
{
	struct socket_memory *memory = socket_memory(sk, true);
	struct tcp_runs *runs = tcp_runs_here();

	if (runs)
		__sync_fetch_and_add(&runs->listened, 1);
	if (memory) {
		owner_of_current(&memory->owner);
		memory->seeded = 0;
		memory->since_ns = 0;
		memory->direction = DIRECTION_INBOUND;
		memory->close_side = CLOSE_UNKNOWN;
	}
	if (tcp_sport(tp)) {
		tcp_emit(sk, tp, memory, SOCKET_LISTENING, TCP_LISTEN, now);
	} else { /* listen() on an unbound socket takes a port only after this: tcp_listen_exit() tells it */
		u64 cookie = bpf_get_socket_cookie(sk);
		u8 waiting = 1;

		bpf_map_update_elem(&portless_listeners, &cookie, &waiting, BPF_ANY);
	}
}

/*
 * A child of a listener comes here from SYN_RECV with the listener's memory: nobody owns it before accept().
 * A child that has none (its listener is unknown) gets its own; so does a socket older than the collector.
 */
static __always_inline void tcp_established(struct sock *sk, struct tcp_sock *tp, u8 from, u64 now)
{
	struct socket_memory *memory = socket_memory(sk, true);

	if (memory) {
		if (from == TCP_SYN_SENT) {
			memory->direction = DIRECTION_OUTBOUND;
		} else if (memory->direction != DIRECTION_OUTBOUND) { /* else: both ends connected at once */
			tcp_forget_owner(memory);
			memory->since_ns = 0;
			if (sk->sk_max_ack_backlog) /* every child copies it from its listener */
				memory->direction = DIRECTION_INBOUND;
		}
		if (memory->since_ns)
			memory->handshake_us = (now - memory->since_ns) / 1000;
		memory->since_ns = now;
		memory->open = 1;
	}
	tcp_emit(sk, tp, memory, SOCKET_ESTABLISHED, TCP_ESTABLISHED, now);
}

/* The first FIN decides who closed. */
static __always_inline void tcp_closing(struct sock *sk, u8 side)
{
	struct socket_memory *memory = socket_memory(sk, false);

	if (memory && memory->close_side == CLOSE_UNKNOWN)
		memory->close_side = side;
}

/*
 * A reset of our own (SO_LINGER 0, close with unread data) reaches CLOSE without sk_err, straight from a state
 * in which a connection is open. One from the peer, a timeout or an ICMP error has set sk_err.
 */
static __always_inline void tcp_end_to_record(struct socket_record *record, struct sock *sk, u8 from)
{
	bool open = from == TCP_ESTABLISHED || from == TCP_CLOSE_WAIT;

	record->error = sk->sk_err == EPIPE ? ECONNRESET : sk->sk_err; /* tcp_reset() in CLOSE_WAIT */
	if (record->close_side == CLOSE_UNKNOWN && (record->error == ECONNRESET || record->error == ECONNREFUSED))
		record->close_side = CLOSE_REMOTE;
	if (!record->error && open)
		record->error = ECONNRESET;
	if (!record->error && from == TCP_SYN_SENT && !record->local_port) {
		record->error = EADDRNOTAVAIL; /* connect() found no free port, and says so only to its caller */
		return;
	}
	if (record->close_side == CLOSE_UNKNOWN && (open || from == TCP_SYN_SENT) &&
	    (!sk->sk_err || sk->sk_err == ECONNABORTED))
		record->close_side = CLOSE_LOCAL;
}

static __always_inline void tcp_closed(struct sock *sk, struct tcp_sock *tp, u8 from, u64 now)
{
	struct socket_memory *memory = socket_memory(sk, false);
	struct socket_record *record;

	/* A child that never was established: its listener's memory, and nobody heard of it. */
	if (from == TCP_SYN_RECV && !(memory && memory->direction == DIRECTION_OUTBOUND))
		return;
	if (memory)
		memory->open = 0;
	record = emit_socket(SOCKET_CLOSED, 0, now);
	if (!record)
		return;
	socket_to_record(record, sk, IPPROTO_TCP, tcp_sport(tp));
	record->state = TCP_CLOSE;
	tcp_counts_to_record(record, tp);
	if (memory) {
		socket_memory_to_record(record, memory);
		if (memory->since_ns && from != TCP_SYN_SENT && from != TCP_SYN_RECV)
			record->duration_ns = now - memory->since_ns;
	}
	tcp_end_to_record(record, sk, from);
	emit_submit(record, now);
}

static __always_inline int tcp_transition(struct sock *sk, int from, int to)
{
	struct tcp_sock *tp;
	u64 now;

	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	switch (to) {
	case TCP_FIN_WAIT1:
		tcp_closing(sk, CLOSE_LOCAL);
		return 0;
	case TCP_CLOSE_WAIT:
		tcp_closing(sk, CLOSE_REMOTE);
		return 0;
	case TCP_SYN_SENT:
	case TCP_LISTEN:
	case TCP_ESTABLISHED:
		break;
	case TCP_CLOSE:
		if (from == TCP_CLOSE)
			return 0;
		break;
	default:
		return 0;
	}
	if (address_is_unwanted(sk))
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return 0;
	now = bpf_ktime_get_ns();
	if (to == TCP_SYN_SENT)
		tcp_connecting(sk, tp, now);
	else if (to == TCP_LISTEN)
		tcp_listening(sk, tp, now);
	else if (to == TCP_ESTABLISHED)
		tcp_established(sk, tp, from, now);
	else if (from == TCP_LISTEN)
		tcp_emit(sk, tp, socket_memory(sk, false), SOCKET_UNLISTENED, TCP_CLOSE, now);
	else
		tcp_closed(sk, tp, from, now);
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(tcp_state, struct sock *sk, int from, int to)
{
	struct tcp_runs *runs = tcp_runs_here();

	if (!runs)
		return 0;
	runs->busy = true;
	barrier();
	tcp_transition(sk, from, to);
	barrier();
	runs->busy = false;
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(tcp_state_nested, struct sock *sk, int from, int to)
{
	struct tcp_runs *runs = tcp_runs_here();

	if (!runs || !runs->busy)
		return 0;
	runs->taken_over++;
	return tcp_transition(sk, from, to);
}

/*
 * The end of a socket that was told to be open and whose CLOSE no program saw: with contended processors some in a
 * million transitions are not run and not counted. Nothing else would close the connection in anybody's view.
 */
SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(tcp_destroyed, struct sock *sk)
{
	struct socket_memory *memory = socket_memory(sk, false);
	struct tcp_runs *runs = tcp_runs_here();
	struct tcp_sock *tp;

	if (!memory || !memory->open)
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return 0;
	if (runs)
		__sync_fetch_and_add(&runs->ended_late, 1);
	tcp_closed(sk, tp, TCP_CLOSE, bpf_ktime_get_ns());
	return 0;
}

#endif /* NETSTATD_TCP_H */
