/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef NETSTATD_UDP_H
#define NETSTATD_UDP_H

/*
 * UDP as flows: what a socket and one peer exchange, counted here and reported when it begins and ends.
 * cgroup_skb programs see every datagram of every socket whatever call moved it, with its true peer, but run
 * without a process; the hooks in udp_owner.h run in the process and remember it with the socket.
 */
#include "address.h"
#include "emit.h"
#include "owner.h"
#include "udp_owner.h"

#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86dd
#define IP_FRAGMENT 0x3fff /* more fragments, or an offset: not a whole datagram */
#define UDP_HEADER_BYTES 8

struct ipv4_header {
	u8 ihl : 4, version : 4;
	u8 tos;
	u16 total_length;
	u16 id;
	u16 fragment;
	u8 ttl;
	u8 protocol;
	u16 checksum;
	u32 source;
	u32 destination;
};

struct ipv6_header {
	u32 version;
	u16 payload_length;
	u8 next_header;
	u8 hop_limit;
	u32 source[4];
	u32 destination[4];
};

struct udp_header {
	u16 source;
	u16 destination;
	u16 length;
	u16 checksum;
};

/* Where a datagram comes from and goes to, as a socket sees it. */
struct datagram {
	u32 local_address[4];
	u32 remote_address[4];
	u16 local_port; /* host order */
	u16 remote_port;
	u16 family;
	u32 payload; /* bytes */
};

/* All of a datagram's addresses. False for what is no whole UDP datagram. */
static __always_inline bool datagram_parse(struct datagram *datagram, struct __sk_buff *skb, bool egress)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct udp_header *udp;

	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		struct ipv4_header *ip = data;

		if ((void *)(ip + 1) > end || ip->protocol != IPPROTO_UDP ||
		    ip->fragment & bpf_htons(IP_FRAGMENT))
			return false;
		datagram->family = AF_INET;
		datagram->local_address[0] = egress ? ip->source : ip->destination;
		datagram->remote_address[0] = egress ? ip->destination : ip->source;
		udp = data + ip->ihl * 4;
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		struct ipv6_header *ip = data;

		/* Datagrams behind extension headers are not counted: no common sender makes them. */
		if ((void *)(ip + 1) > end || ip->next_header != IPPROTO_UDP)
			return false;
		datagram->family = AF_INET6;
		__builtin_memcpy(datagram->local_address, egress ? ip->source : ip->destination, 16);
		__builtin_memcpy(datagram->remote_address, egress ? ip->destination : ip->source, 16);
		udp = (void *)(ip + 1);
	} else {
		return false;
	}
	if ((void *)(udp + 1) > end)
		return false;
	datagram->local_port = bpf_ntohs(egress ? udp->source : udp->destination);
	datagram->remote_port = bpf_ntohs(egress ? udp->destination : udp->source);
	/* Not by the header's length, which is 0 or too small on segmentation offload. */
	datagram->payload = skb->len - ((void *)(udp + 1) - data);
	return true;
}

static __always_inline void flow_to_record(struct socket_record *record, const struct flow_key *key,
					   const struct flow *flow)
{
	record->cookie = key->cookie;
	record->bytes_sent = flow->bytes_sent;
	record->bytes_received = flow->bytes_received;
	record->duration_ns = record->header.time_ns - flow->opened_ns;
	record->uid = flow->uid;
	record->netns = flow->netns;
	record->local_port = flow->local_port;
	record->remote_port = key->port;
	__builtin_memcpy(record->local_address, flow->local_address, 16);
	__builtin_memcpy(record->remote_address, key->address, 16);
	record->family = key->family;
	record->protocol = IPPROTO_UDP;
	record->direction = flow->direction;
	record->cgroup_id = flow->owner.cgroup_id;
	owner_to_record(record, &flow->owner);
}

static __always_inline void flow_emit(u8 kind, u64 now, const struct flow_key *key, const struct flow *flow)
{
	struct socket_record *record = emit_socket(kind, 0, now);

	if (!record)
		return;
	flow_to_record(record, key, flow);
	emit_submit(record, now);
}

/* The time of the last sweep: precise enough to see a flow idle, and much cheaper than a clock. */
u64 sweep_clock_ns;

static __always_inline void flow_count(struct flow *flow, u32 payload, bool egress)
{
	__sync_fetch_and_add(egress ? &flow->bytes_sent : &flow->bytes_received, payload);
	flow->last_sweep_ns = sweep_clock_ns;
}

/* The first datagram between a socket and a peer. */
static __noinline int flow_open(struct __sk_buff *skb, const struct flow_key *key, bool egress)
{
	struct bpf_sock *sk = skb->sk;
	struct datagram datagram = {};
	struct flow flow = {};
	struct flow *winner;
	struct udp_memory *memory;

	if (!key || !sk)
		return 0;
	sk = bpf_sk_fullsock(sk);
	/* Raw sockets see UDP too. */
	if (!sk || sk->type != SOCK_DGRAM || sk->protocol != IPPROTO_UDP)
		return 0;
	if (!datagram_parse(&datagram, skb, egress))
		return 0;
	memory = bpf_sk_storage_get(&udp_memories, sk, NULL, 0);
	if (memory) {
		if (memory->released)
			return 0;
		flow.owner = memory->owner;
		flow.netns = memory->netns;
		flow.uid = memory->uid;
	} else {
		flow.owner.cgroup_id = bpf_skb_cgroup_id(skb);
	}
	flow.opened_ns = bpf_ktime_get_ns();
	flow.bytes_sent = egress ? datagram.payload : 0;
	flow.bytes_received = egress ? 0 : datagram.payload;
	__builtin_memcpy(flow.local_address, datagram.local_address, 16);
	flow.local_port = datagram.local_port;
	flow.direction = egress ? DIRECTION_OUTBOUND : DIRECTION_INBOUND;
	if (!bpf_map_update_elem(&flows, key, &flow, BPF_NOEXIST)) {
		if (memory) {
			memory->last_flow = *key;
			__sync_fetch_and_add(&memory->flows, 1);
		}
		flow_emit(FLOW_OPENED, flow.opened_ns, key, &flow);
		return 0;
	}
	/* Another cpu was first, or the table is full. */
	winner = bpf_map_lookup_elem(&flows, key);
	if (winner)
		flow_count(winner, datagram.payload, egress);
	else
		emit_count_drop(DROP_FLOWS_UNTRACKED);
	return 0;
}

static __always_inline bool flow_is_unwanted(const struct datagram *datagram)
{
	if (option_loopback)
		return false;
	if (datagram->family == AF_INET)
		return address4_is_loopback(datagram->local_address[0]) ||
		       address4_is_loopback(datagram->remote_address[0]);
	return address6_is_loopback(datagram->local_address) ||
	       address6_is_loopback(datagram->remote_address);
}

static __always_inline int udp_datagram(struct __sk_buff *skb, bool egress)
{
	struct datagram datagram = {};
	struct flow_key key = {};
	struct flow *flow;

	if (!datagram_parse(&datagram, skb, egress) || flow_is_unwanted(&datagram))
		return CGROUP_PASS;
	key.cookie = bpf_get_socket_cookie(skb);
	if (!key.cookie)
		return CGROUP_PASS;
	__builtin_memcpy(key.address, datagram.remote_address, 16);
	key.port = datagram.remote_port;
	key.family = datagram.family;
	flow = bpf_map_lookup_elem(&flows, &key);
	if (flow)
		flow_count(flow, datagram.payload, egress);
	else
		flow_open(skb, &key, egress);
	return CGROUP_PASS;
}

/* Before fragmentation. Multicast that loops back to this host passes twice, and is counted twice. */
SEC("cgroup_skb/egress")
int udp_egress(struct __sk_buff *skb)
{
	return udp_datagram(skb, true);
}

/* After reassembly, once for each socket that gets the datagram. */
SEC("cgroup_skb/ingress")
int udp_ingress(struct __sk_buff *skb)
{
	return udp_datagram(skb, false);
}

SEC("cgroup/sock_release")
int udp_sock_release(struct bpf_sock *ctx)
{
	struct udp_memory *memory;
	struct flow *flow;
	u64 now;

	if (ctx->protocol != IPPROTO_UDP)
		return CGROUP_PASS;
	memory = bpf_sk_storage_get(&udp_memories, ctx, NULL, 0);
	if (!memory)
		return CGROUP_PASS;
	now = bpf_ktime_get_ns();
	memory->released = 1;
	udp_unbound(memory, now);
	/* The usual socket has one flow, which ends here; the others' end with the next sweep. */
	if (memory->flows > 1) {
		bpf_map_update_elem(&released_sockets, &memory->cookie, &now, BPF_ANY);
	} else if (memory->flows == 1) {
		struct flow_key key = memory->last_flow;

		flow = bpf_map_lookup_elem(&flows, &key);
		if (flow) {
			flow_emit(FLOW_CLOSED, now, &key, flow);
			bpf_map_delete_elem(&flows, &key);
		}
	}
	return CGROUP_PASS;
}

struct sweep {
	u64 now;
	u64 before; /* time of the sweep before */
	u32 left; /* flows */
};

static long sweep_flow(void *map, const struct flow_key *key, struct flow *flow, struct sweep *sweep)
{
	u64 *released = bpf_map_lookup_elem(&released_sockets, &key->cookie);
	u64 last = flow->last_sweep_ns > flow->opened_ns ? flow->last_sweep_ns : flow->opened_ns;
	struct flow_key gone;

	/* The last datagram came before the sweep that followed `last`, hence not `now` but `before`. */
	if (!released && last + option_flow_idle_ns > sweep->before) {
		sweep->left++;
		return 0;
	}
	gone = *key;
	flow_emit(FLOW_CLOSED, released ? *released : sweep->now, &gone, flow);
	bpf_map_delete_elem(&flows, &gone);
	return 0;
}

/* Those released before the sweep began have lost all their flows to it. */
static long sweep_released(void *map, const u64 *cookie, u64 *released, struct sweep *sweep)
{
	u64 gone = *cookie;

	if (*released < sweep->now)
		bpf_map_delete_elem(&released_sockets, &gone);
	return 0;
}

/* Closes idle flows and those of released sockets; run by the collector. Returns how many are left. */
SEC("syscall")
int udp_sweep(void *ctx)
{
	struct sweep sweep = { .now = bpf_ktime_get_ns(), .before = sweep_clock_ns };

	sweep_clock_ns = sweep.now;
	bpf_for_each_map_elem(&flows, sweep_flow, &sweep, 0);
	bpf_for_each_map_elem(&released_sockets, sweep_released, &sweep, 0);
	return sweep.left;
}

SEC("iter/bpf_map_elem")
int udp_snapshot(struct bpf_iter__bpf_map_elem *ctx)
{
	const struct flow_key *key = ctx->key;
	const struct flow *flow = ctx->value;
	struct socket_record record = {};

	if (!key || !flow)
		return 0;
	emit_head(&record.header, sizeof(record), RECORD_SOCKET, FLOW_OPENED, RECORD_F_SNAPSHOT,
		  bpf_ktime_get_ns());
	flow_to_record(&record, key, flow);
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}

#endif /* NETSTATD_UDP_H */
