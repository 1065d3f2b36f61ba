/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef NETSTATD_FLOW_H
#define NETSTATD_FLOW_H

/*
 * What a UDP socket and one peer exchange. A flow lies in a numbered slot: its socket remembers the slot it used
 * last, so that most datagrams find their flow without a search.
 */
#include "emit.h"
#include "owner.h"

/* The other end, in words that can be compared. */
struct flow_peer {
	u64 address[2]; /* in network order; IPv4: the first 4 bytes */
	u64 port_family; /* see flow_port_family() */
};

struct flow_key {
	u64 cookie;
	struct flow_peer peer;
};

struct flow {
	struct flow_key key; /* cookie 0: the slot is free, or about to be */
	u64 last_sweep_ns; /* time of the sweep before the last datagram; 0: it was the first */
	u64 bytes_sent; /* payload */
	u64 bytes_received;
	u64 opened_ns;
	struct owner owner; /* of the socket, when the flow was opened */
	u32 netns;
	u32 uid;
	u64 local_address[2];
	u16 local_port; /* host order */
	u8 direction; /* enum direction, by the first datagram */
	u8 zero;
	u32 next_free; /* of a free slot; see free_slots */
};

/*
 * Flows that are not idle, by slot. Filled at the first datagram, emptied at the socket's release and by udp_sweep.
 * When it is full, datagrams of further flows are counted in `drops`. The collector sets its size, and that of
 * the map below.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 65536);
	__type(key, u32);
	__type(value, struct flow);
} flow_slots SEC(".maps");

/* The slot of each flow. Inserted and removed with the flow. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct flow_key);
	__type(value, u32);
} flows SEC(".maps");

/*
 * The slots that had a flow and have none now, as a list: the number of the first, 0 for none, below the number of
 * changes, which keeps a list that has changed in between from looking the same. A queue map would do, but programs
 * that may sleep, such as udp_sweep, are refused one on Linux 6.1.
 */
u64 free_slots;

/* Slots from here on never had a flow. */
u32 slots_used;

/* More than ever change the list at the same time. */
#define FREE_SLOT_TRIES 64

/* The time of the last sweep: precise enough to see a flow idle, and much cheaper than a clock. */
u64 sweep_clock_ns;

static __always_inline u64 flow_port_family(u16 port, u16 family)
{
	return port | (u64)family << 16;
}

static __always_inline u16 flow_port(const struct flow_peer *peer)
{
	return peer->port_family;
}

static __always_inline u16 flow_family(const struct flow_peer *peer)
{
	return peer->port_family >> 16;
}

static __always_inline bool flow_is(const struct flow *flow, u64 cookie, const struct flow_peer *peer)
{
	return flow->key.cookie == cookie && flow->key.peer.port_family == peer->port_family &&
	       flow->key.peer.address[0] == peer->address[0] && flow->key.peer.address[1] == peer->address[1];
}

static __always_inline void flow_count(struct flow *flow, u32 payload, bool egress)
{
	__sync_fetch_and_add(egress ? &flow->bytes_sent : &flow->bytes_received, payload);
	flow->last_sweep_ns = sweep_clock_ns;
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
	record->remote_port = flow_port(&key->peer);
	__builtin_memcpy(record->local_address, flow->local_address, 16);
	__builtin_memcpy(record->remote_address, key->peer.address, 16);
	record->family = flow_family(&key->peer);
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

static __always_inline bool flow_change_free(u64 old, u32 first)
{
	return __sync_val_compare_and_swap(&free_slots, old, ((old >> 32) + 1) << 32 | first) == old;
}

static __always_inline void flow_free_slot(struct flow *flow, u32 slot)
{
	for (int i = 0; i < FREE_SLOT_TRIES; i++) {
		u64 old = free_slots;

		flow->next_free = old;
		if (flow_change_free(old, slot + 1))
			return;
	}
}

/* A slot for a new flow; NULL when there is none left. */
static __always_inline struct flow *flow_take_slot(u32 *slot)
{
	for (int i = 0; i < FREE_SLOT_TRIES; i++) {
		u64 old = free_slots;
		struct flow *flow;

		*slot = (u32)old - 1;
		flow = (u32)old ? bpf_map_lookup_elem(&flow_slots, slot) : NULL;
		if (!flow)
			break;
		if (flow_change_free(old, flow->next_free))
			return flow;
	}
	*slot = slots_used;
	if (!bpf_map_lookup_elem(&flow_slots, slot))
		return NULL;
	*slot = __sync_fetch_and_add(&slots_used, 1);
	return bpf_map_lookup_elem(&flow_slots, slot);
}

/* Fills the slot of a flow but for its owner's part, with nothing counted; it can be found by its slot from now on. */
static __always_inline void flow_fill(struct flow *flow, const struct flow_key *key, const u64 local_address[2],
				      u16 local_port, u8 direction)
{
	flow->key.peer = key->peer;
	flow->last_sweep_ns = 0;
	flow->bytes_sent = 0;
	flow->bytes_received = 0;
	flow->opened_ns = bpf_ktime_get_ns();
	flow->local_address[0] = local_address[0];
	flow->local_address[1] = local_address[1];
	flow->local_port = local_port;
	flow->direction = direction;
	__sync_lock_test_and_set(&flow->key.cookie, key->cookie);
}

/* True for one caller only: from now on the flow is its own. Whatever still comes for it is counted as lost. */
static __always_inline bool flow_claim(struct flow *flow, u64 cookie)
{
	return cookie && __sync_val_compare_and_swap(&flow->key.cookie, cookie, 0) == cookie;
}

/* Ends a flow, if nobody else does. */
static __always_inline void flow_close(struct flow *flow, u32 slot, u64 cookie, u64 now)
{
	struct flow_key key = { .cookie = cookie };

	if (!flow_claim(flow, cookie))
		return;
	key.peer = flow->key.peer;
	flow_emit(FLOW_CLOSED, now, &key, flow);
	bpf_map_delete_elem(&flows, &key);
	flow_free_slot(flow, slot);
}

#endif /* NETSTATD_FLOW_H */
