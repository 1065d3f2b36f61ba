/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef NETSTATD_UDP_OWNER_H
#define NETSTATD_UDP_OWNER_H

/*
 * Who owns a UDP socket, and where it is bound: hooks that run in the process that uses the socket. They only
 * look: each lets the call pass unchanged.
 *
 * A datagram leaves in the context of whoever sends it, so that cgroup_skb/egress learns of a new sender. The kernel
 * locks the socket for the sendmsg hooks, which makes them dearer than all else that is done for a datagram. They are
 * attached only where egress was ever seen in a context of which it is not certain whose it is.
 */
#include "address.h"
#include "file.h"
#include "flow.h"

#define CGROUP_PASS 1

/*
 * Time of release of sockets that had several flows, by cookie. Inserted at release, removed by udp_sweep.
 * When it is full the flows end by being idle.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, u64);
} released_sockets SEC(".maps");

struct udp_memory {
	struct owner owner;
	u64 cookie;
	u32 netns;
	u32 uid;
	u32 last_slot; /* of a flow it had; perhaps another's by now */
	u32 flows; /* opened so far */
	u32 bound_address[4];
	u16 bound_port;
	u8 bound_family; /* 0: not bound by its process, or connected */
	u8 port_asked;
	u8 released;
	u8 seeded; /* the owner was found by a snapshot, not seen to use the socket */
	u8 zero[2];
};

/* Memory of each UDP socket. Created and updated by the hooks below, freed by the kernel with the socket. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct udp_memory);
} udp_memories SEC(".maps");

/* One entry: counted here, looked up and answered by the collector. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct sender_watch);
} sender_watches SEC(".maps");

/* The current process is the one that uses the socket. */
static __always_inline void udp_own(struct udp_memory *memory)
{
	owner_of_task(&memory->owner, bpf_get_current_task_btf());
	memory->seeded = 0;
}

static __always_inline bool udp_current_is_owner(const struct udp_memory *memory)
{
	return (u32)bpf_get_current_task_btf()->tgid == memory->owner.pid;
}

/*
 * A process that is not known to use the socket sends, or a datagram leaves in its time only: one that was queued by
 * a packet filter, or made by a tunnel. What it is doing tells: a system call on a descriptor of this very socket.
 */
static __noinline int udp_sender_differs(struct udp_memory *memory)
{
	struct sender_watch *watch;

	if (!memory)
		return 0;
	if (file_cookie_of_call() == memory->cookie) {
		udp_own(memory);
		return 0;
	}
	watch = bpf_map_lookup_elem(&sender_watches, &(u32){ 0 });
	if (watch)
		__sync_fetch_and_add(&watch->uncertain, 1);
	return 0;
}

/* Runs for every datagram that is sent. */
static __always_inline void udp_sender(struct udp_memory *memory)
{
	if (!udp_current_is_owner(memory))
		udp_sender_differs(memory);
}

/* After udp_sender(): whether it is the sender that is remembered. */
static __always_inline bool udp_sender_is_certain(const struct udp_memory *memory)
{
	struct sender_watch *watch = bpf_map_lookup_elem(&sender_watches, &(u32){ 0 });

	return udp_current_is_owner(memory) || (watch && watch->hooked);
}

static __always_inline bool udp_bound_is_unwanted(const struct udp_memory *memory)
{
	if (option_loopback)
		return false;
	return memory->bound_family == AF_INET ? address4_is_loopback(memory->bound_address[0]) :
						 address6_is_loopback(memory->bound_address);
}

static __always_inline void udp_bound_to_record(struct socket_record *record, const struct udp_memory *memory)
{
	record->header.flags |= memory->port_asked ? RECORD_F_PORT_ASKED : 0;
	record->cookie = memory->cookie;
	record->netns = memory->netns;
	record->uid = memory->uid;
	record->local_port = memory->bound_port;
	__builtin_memcpy(record->local_address, memory->bound_address, 16);
	record->family = memory->bound_family;
	record->protocol = IPPROTO_UDP;
	owner_to_record(record, &memory->owner);
}

static __always_inline void udp_emit_bound(u8 kind, const struct udp_memory *memory, u64 now)
{
	struct socket_record *record;

	if (udp_bound_is_unwanted(memory))
		return;
	record = emit_socket(kind, 0, now);
	if (!record)
		return;
	udp_bound_to_record(record, memory);
	emit_submit(record, now);
}

static __always_inline void udp_unbound(struct udp_memory *memory, u64 now)
{
	if (!memory->bound_family)
		return;
	udp_emit_bound(SOCKET_UNBOUND, memory, now);
	memory->bound_family = 0;
}

SEC("cgroup/sock_create")
int udp_sock_create(struct bpf_sock *ctx)
{
	struct udp_memory *memory;

	if (ctx->protocol != IPPROTO_UDP || ctx->type != SOCK_DGRAM)
		return CGROUP_PASS;
	memory = bpf_sk_storage_get(&udp_memories, ctx, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!memory)
		return CGROUP_PASS;
	memory->cookie = bpf_get_socket_cookie(ctx);
	memory->uid = bpf_get_current_uid_gid();
	memory->netns = BPF_CORE_READ(bpf_get_current_task_btf(), nsproxy, net_ns, ns.inum);
	udp_own(memory);
	return CGROUP_PASS;
}

static __always_inline int udp_bound(struct udp_memory *memory, u16 family, u16 port)
{
	udp_own(memory);
	memory->bound_family = family;
	memory->bound_port = port;
	udp_emit_bound(SOCKET_BOUND, memory, bpf_ktime_get_ns());
	return CGROUP_PASS;
}

SEC("cgroup/post_bind4")
int udp_post_bind4(struct bpf_sock *ctx)
{
	struct udp_memory *memory;

	if (ctx->protocol != IPPROTO_UDP)
		return CGROUP_PASS;
	memory = bpf_sk_storage_get(&udp_memories, ctx, NULL, 0);
	if (!memory)
		return CGROUP_PASS;
	memory->bound_address[0] = ctx->src_ip4;
	return udp_bound(memory, AF_INET, ctx->src_port);
}

SEC("cgroup/post_bind6")
int udp_post_bind6(struct bpf_sock *ctx)
{
	struct udp_memory *memory;
	u32 *address;

	if (ctx->protocol != IPPROTO_UDP)
		return CGROUP_PASS;
	memory = bpf_sk_storage_get(&udp_memories, ctx, NULL, 0);
	if (!memory)
		return CGROUP_PASS;
	address = memory->bound_address;
	address[0] = ctx->src_ip6[0];
	address[1] = ctx->src_ip6[1];
	address[2] = ctx->src_ip6[2];
	address[3] = ctx->src_ip6[3];
	if (!address6_is_mapped(address))
		return udp_bound(memory, AF_INET6, ctx->src_port);
	address[0] = address[3];
	address[1] = address[2] = address[3] = 0;
	return udp_bound(memory, AF_INET, ctx->src_port);
}

static __always_inline struct udp_memory *udp_memory_of(struct bpf_sock_addr *ctx)
{
	if (ctx->protocol != IPPROTO_UDP || !ctx->sk)
		return NULL;
	return bpf_sk_storage_get(&udp_memories, ctx->sk, NULL, 0);
}

static __always_inline int udp_bind(struct bpf_sock_addr *ctx)
{
	struct udp_memory *memory = udp_memory_of(ctx);

	if (memory)
		memory->port_asked = ctx->user_port != 0;
	return CGROUP_PASS;
}

static __always_inline int udp_connect(struct bpf_sock_addr *ctx)
{
	struct udp_memory *memory = udp_memory_of(ctx);

	if (!memory)
		return CGROUP_PASS;
	udp_own(memory);
	udp_unbound(memory, bpf_ktime_get_ns());
	return CGROUP_PASS;
}

/* Runs for every datagram: a process that is known already is not described again. */
static __always_inline int udp_message(struct bpf_sock_addr *ctx)
{
	struct udp_memory *memory = udp_memory_of(ctx);

	if (memory && memory->owner.pid != bpf_get_current_pid_tgid() >> 32)
		udp_own(memory);
	return CGROUP_PASS;
}

#define UDP_HOOK(section, name, body)                                                                          \
	SEC("cgroup/" section) int name(struct bpf_sock_addr *ctx)                                             \
	{                                                                                                      \
		return body(ctx);                                                                              \
	}

UDP_HOOK("bind4", udp_bind4, udp_bind)
UDP_HOOK("bind6", udp_bind6, udp_bind)
UDP_HOOK("connect4", udp_connect4, udp_connect)
UDP_HOOK("connect6", udp_connect6, udp_connect)
UDP_HOOK("sendmsg4", udp_sendmsg4, udp_message)
UDP_HOOK("sendmsg6", udp_sendmsg6, udp_message)
UDP_HOOK("recvmsg4", udp_recvmsg4, udp_message)
UDP_HOOK("recvmsg6", udp_recvmsg6, udp_message)

/* A connected socket's flow. Which side spoke first is not known, but a port nobody asked for is a client's. */
static __always_inline void udp_seed_flow(struct udp_memory *memory, const struct socket_record *where)
{
	const u64 *local = (const u64 *)where->local_address, *remote = (const u64 *)where->remote_address;
	struct flow_key key = {
		.cookie = memory->cookie,
		.peer.address = { remote[0], remote[1] },
		.peer.port_family = flow_port_family(where->remote_port, where->family),
	};
	struct flow *flow;
	u32 slot = 0;

	if (address_record_is_unwanted(where))
		return;
	flow = flow_take_slot(&slot);
	if (!flow)
		return;
	__builtin_memset(&flow->owner, 0, sizeof(flow->owner));
	flow->netns = memory->netns;
	flow->uid = memory->uid;
	flow_fill(flow, &key, local, where->local_port,
		  memory->port_asked ? DIRECTION_UNKNOWN : DIRECTION_OUTBOUND);
	if (bpf_map_update_elem(&flows, &key, &slot, BPF_NOEXIST)) {
		flow_claim(flow, key.cookie);
		flow_free_slot(flow, slot);
		return;
	}
	memory->last_slot = slot;
	memory->flows = 1;
}

/* Learns about a socket that is older than the collector. */
static __always_inline struct udp_memory *udp_seed(struct sock *sk)
{
	struct socket_record where = {};
	struct udp_memory *memory =
		bpf_sk_storage_get(&udp_memories, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);

	if (!memory)
		return NULL;
	memory->seeded = 1;
	memory->cookie = bpf_get_socket_cookie(sk);
	memory->uid = sk->sk_uid.val;
	memory->netns = sk->__sk_common.skc_net.net->ns.inum;
	memory->port_asked = !!(BPF_CORE_READ_BITFIELD_PROBED(sk, sk_userlocks) & SOCK_BINDPORT_LOCK);
	where.local_port = sk->__sk_common.skc_num;
	where.remote_port = bpf_ntohs(sk->__sk_common.skc_dport);
	address_to_record(&where, sk);
	if (sk->__sk_common.skc_state == TCP_ESTABLISHED) {
		udp_seed_flow(memory, &where);
	} else if (where.local_port) {
		memory->bound_family = where.family;
		memory->bound_port = where.local_port;
		__builtin_memcpy(memory->bound_address, where.local_address, 16);
	}
	return memory;
}

/* Of several holders the oldest is the owner: children inherit what their parents opened. */
static __always_inline void udp_seed_owner(struct udp_memory *memory, struct task_struct *holder)
{
	struct owner owner;
	struct flow *flow;

	owner_of_task(&owner, holder);
	if (memory->owner.pid && memory->owner.start_ns <= owner.start_ns)
		return;
	memory->owner = owner;
	flow = bpf_map_lookup_elem(&flow_slots, &memory->last_slot);
	if (flow && flow->key.cookie == memory->cookie)
		flow->owner = owner;
}

/* Tells of a socket that `holder` has a descriptor of, when it is bound; flows are told by udp_snapshot. */
static __always_inline void udp_snapshot_socket(struct bpf_iter_meta *meta, struct sock *sk,
						struct task_struct *holder)
{
	struct udp_memory *memory = bpf_sk_storage_get(&udp_memories, sk, NULL, 0);
	struct socket_record record = {};

	if (!option_udp)
		return;
	if (!memory)
		memory = udp_seed(sk);
	if (!memory)
		return;
	if (memory->seeded)
		udp_seed_owner(memory, holder);
	if (!memory->bound_family || udp_bound_is_unwanted(memory))
		return;
	emit_head(&record.header, sizeof(record), RECORD_SOCKET, SOCKET_BOUND, RECORD_F_SNAPSHOT,
		  bpf_ktime_get_ns());
	udp_bound_to_record(&record, memory);
	owner_of_holder_to_record(&record, &memory->owner, holder);
	bpf_seq_write(meta->seq, &record, sizeof(record));
}

#endif /* NETSTATD_UDP_OWNER_H */
