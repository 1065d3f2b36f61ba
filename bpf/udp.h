/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef NETSTATD_UDP_H
#define NETSTATD_UDP_H

/*
 * UDP as flows: counted here and reported when they begin and end. cgroup_skb programs see every datagram of every
 * socket whatever call moved it, with its true peer. udp_owner.h knows whose socket it is.
 */
#include "datagram.h"
#include "flow.h"
#include "udp_owner.h"

/* The first datagram between a socket and a peer; `memory` may be NULL. False when there is no room for the flow. */
static __always_inline bool udp_flow_open(struct __sk_buff *skb, const struct flow_key *key,
					  const struct datagram *datagram, struct udp_memory *memory, bool egress)
{
	u32 slot = 0, *winner_slot;
	struct flow *flow = flow_take_slot(&slot), *winner;

	if (!flow)
		return false;
	flow->netns = memory ? memory->netns : 0;
	flow->uid = memory ? memory->uid : 0;
	if (memory && (!egress || udp_sender_is_certain(memory))) {
		flow->owner = memory->owner;
	} else {
		__builtin_memset(&flow->owner, 0, sizeof(flow->owner));
		flow->owner.cgroup_id = bpf_skb_cgroup_id(skb);
	}
	flow_fill(flow, key, datagram->local_address, datagram->local_port,
		  egress ? DIRECTION_OUTBOUND : DIRECTION_INBOUND);
	flow_count(flow, datagram->payload, egress);
	flow->last_sweep_ns = 0;
	if (!bpf_map_update_elem(&flows, key, &slot, BPF_NOEXIST)) {
		if (memory) {
			memory->last_slot = slot;
			__sync_fetch_and_add(&memory->flows, 1);
		}
		flow_emit(FLOW_OPENED, flow->opened_ns, key, flow);
		return true;
	}
	/* Another cpu was first. */
	flow_claim(flow, key->cookie);
	flow_free_slot(flow, slot);
	winner_slot = bpf_map_lookup_elem(&flows, key);
	winner = winner_slot ? bpf_map_lookup_elem(&flow_slots, winner_slot) : NULL;
	if (!winner || !flow_is(winner, key->cookie, &key->peer))
		return false;
	flow_count(winner, datagram->payload, egress);
	return true;
}

/* A datagram whose socket had another peer before, or is not remembered. */
static __noinline int udp_datagram_search(struct __sk_buff *skb, bool egress)
{
	struct datagram datagram = {};
	struct bpf_sock *sk = skb->sk;
	struct udp_memory *memory;
	struct flow_key key = {};
	struct flow *flow;
	u32 *slot;

	if (!sk)
		return 0;
	sk = bpf_sk_fullsock(sk);
	/* Raw sockets see UDP too. */
	if (!sk || sk->type != SOCK_DGRAM || sk->protocol != IPPROTO_UDP)
		return 0;
	if (!datagram_parse(&datagram, skb, egress) || datagram_is_unwanted(&datagram))
		return 0;
	memory = bpf_sk_storage_get(&udp_memories, sk, NULL, 0);
	if (memory && memory->released)
		return 0;
	key.cookie = memory ? memory->cookie : bpf_get_socket_cookie(skb);
	if (!key.cookie)
		return 0;
	key.peer = datagram.peer;
	slot = bpf_map_lookup_elem(&flows, &key);
	if (!slot) {
		if (!udp_flow_open(skb, &key, &datagram, memory, egress))
			emit_count_drop(DROP_FLOWS_UNTRACKED);
		return 0;
	}
	flow = bpf_map_lookup_elem(&flow_slots, slot);
	if (!flow || !flow_is(flow, key.cookie, &key.peer)) {
		emit_count_drop(DROP_FLOWS_UNTRACKED); /* it is being closed */
		return 0;
	}
	flow_count(flow, datagram.payload, egress);
	if (memory)
		memory->last_slot = *slot;
	return 0;
}

/* Runs for each packet of every socket: most are the next datagram of a socket's last flow, or TCP. */
static __always_inline int udp_datagram(struct __sk_buff *skb, bool egress)
{
	struct bpf_sock *sk = skb->sk;
	struct datagram datagram = {};
	struct udp_memory *memory;
	struct flow *flow;

	if (!sk || !datagram_parse(&datagram, skb, egress))
		return CGROUP_PASS;
	memory = bpf_sk_storage_get(&udp_memories, sk, NULL, 0);
	if (memory) {
		if (egress)
			udp_sender(memory);
		flow = bpf_map_lookup_elem(&flow_slots, &memory->last_slot);
		if (flow && flow_is(flow, memory->cookie, &datagram.peer)) {
			flow_count(flow, datagram.payload, egress);
			return CGROUP_PASS;
		}
	}
	udp_datagram_search(skb, egress);
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
		flow = bpf_map_lookup_elem(&flow_slots, &memory->last_slot);
		if (flow)
			flow_close(flow, memory->last_slot, memory->cookie, now);
	}
	return CGROUP_PASS;
}

struct sweep {
	u64 now;
	u64 before; /* time of the sweep before */
	u32 left; /* flows */
};

static long sweep_flow(void *map, const struct flow_key *key, const u32 *of_flow, struct sweep *sweep)
{
	u64 *released = bpf_map_lookup_elem(&released_sockets, &key->cookie), last, cookie = key->cookie;
	u32 slot = *of_flow;
	struct flow *flow = bpf_map_lookup_elem(&flow_slots, &slot);

	if (!flow)
		return 0;
	/* The last datagram came before the sweep that followed `last`, hence not `now` but `before`. */
	last = flow->last_sweep_ns > flow->opened_ns ? flow->last_sweep_ns : flow->opened_ns;
	if (!released && last + option_flow_idle_ns > sweep->before)
		sweep->left++;
	else
		flow_close(flow, slot, cookie, released ? *released : sweep->now);
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
	const u32 *of_flow = ctx->value;
	struct socket_record record = {};
	struct flow *flow;
	u32 slot;

	if (!key || !of_flow)
		return 0;
	slot = *of_flow;
	flow = bpf_map_lookup_elem(&flow_slots, &slot);
	if (!flow || flow->key.cookie != key->cookie)
		return 0;
	emit_head(&record.header, sizeof(record), RECORD_SOCKET, FLOW_OPENED, RECORD_F_SNAPSHOT,
		  bpf_ktime_get_ns());
	flow_to_record(&record, key, flow);
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}

#endif /* NETSTATD_UDP_H */
