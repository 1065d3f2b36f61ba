// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Makes records as netstatd's own programs do, with its own emit.h, but without sockets: as fast as the ring
 * takes them. The ring is that of a running collector, given by the loader. The empty programs cost what the
 * kernel charges for running any.
 */
#include "../../bpf/emit.h"
#include "../../bpf/owner.h"
#include "generate.h"

struct making {
	struct generate *request;
	struct owner owner;
	u32 lost;
};

static __always_inline bool make(struct making *making, struct generate *request, u32 index, u8 kind, bool server)
{
	u64 now = bpf_ktime_get_ns();
	struct socket_record *record = emit_socket(kind, 0, now);
	u16 other = 1024 + index % 60000;
	u32 peer = bpf_htonl(0x0a000000 | (index & 0xfff));

	if (!record)
		return false;
	record->cookie = request->first_cookie + 2 * (u64)index + server;
	record->netns = request->netns;
	record->family = AF_INET;
	record->protocol = IPPROTO_TCP;
	record->direction = server ? DIRECTION_INBOUND : DIRECTION_OUTBOUND;
	record->local_port = server ? request->port : kind == SOCKET_CONNECTING ? 0 : other;
	record->remote_port = server ? other : request->port;
	*(u32 *)record->local_address = server ? peer : bpf_htonl(0x0a010001);
	*(u32 *)record->remote_address = server ? bpf_htonl(0x0a010001) : peer;
	if (!server || kind != SOCKET_ESTABLISHED)
		owner_to_record(record, &making->owner);
	if (kind == SOCKET_CLOSED) {
		record->state = TCP_CLOSE;
		record->bytes_sent = 100 + (index & 0xfff);
		record->bytes_received = 1000 + (index & 0xfff);
		record->duration_ns = 1000000 + index;
		record->close_side = server ? CLOSE_REMOTE : CLOSE_LOCAL;
	} else {
		record->state = kind == SOCKET_CONNECTING ? TCP_SYN_SENT : TCP_ESTABLISHED;
	}
	if (kind != SOCKET_CONNECTING) {
		record->rtt_us = 20 + (index & 15);
		record->handshake_us = server ? 0 : 30 + (index & 15);
	}
	emit_submit(record, now);
	return true;
}

static long make_connection(u32 index, void *context)
{
	struct making *making = context;
	struct generate *request = making->request;
	u32 made = 0;

	made += make(making, request, index, SOCKET_CONNECTING, false);
	made += make(making, request, index, SOCKET_ESTABLISHED, false);
	made += make(making, request, index, SOCKET_ESTABLISHED, true);
	made += make(making, request, index, SOCKET_ACCEPTED, true);
	made += make(making, request, index, SOCKET_CLOSED, false);
	made += make(making, request, index, SOCKET_CLOSED, true);
	making->lost += RECORDS_PER_CONNECTION - made;
	return 0;
}

SEC("syscall")
int generate(struct generate *request)
{
	struct making making = { .request = request };

	owner_of_current(&making.owner);
	bpf_loop(request->connections, make_connection, &making, 0);
	request->lost = making.lost;
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(empty_state, struct sock *sk, int from, int to)
{
	return 0;
}

SEC("cgroup_skb/egress")
int empty_egress(struct __sk_buff *skb)
{
	return 1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
