/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef NETSTATD_SOCKET_H
#define NETSTATD_SOCKET_H

#include "address.h"
#include "owner.h"

/* What is remembered about a socket; NULL when there is nothing, or with `create` when memory is short. */
static __always_inline struct socket_memory *socket_memory(void *sk, bool create)
{
	return bpf_sk_storage_get(&socket_memories, sk, NULL, create ? BPF_SK_STORAGE_GET_F_CREATE : 0);
}

/* Whether bind() asked for this very port. */
static __always_inline bool socket_port_was_asked(struct sock *sk)
{
	return BPF_CORE_READ_BITFIELD(sk, sk_userlocks) & SOCK_BINDPORT_LOCK;
}

/*
 * Writes what the socket itself knows into a zeroed record. cgroup_id is the socket's: an owner's, if there is
 * one, goes over it afterwards. `sport` is inet_sport, which outlives skc_num: that is 0 again at TCP's CLOSE.
 */
static __always_inline void socket_to_record(struct socket_record *record, struct sock *sk, u8 protocol, u16 sport)
{
	record->cookie = bpf_get_socket_cookie(sk);
	record->cgroup_id = sk->sk_cgrp_data.cgroup->kn->id;
	record->uid = sk->sk_uid.val;
	record->netns = sk->__sk_common.skc_net.net->ns.inum;
	record->local_port = bpf_ntohs(sport);
	record->remote_port = bpf_ntohs(sk->__sk_common.skc_dport);
	record->protocol = protocol;
	record->state = sk->__sk_common.skc_state;
	address_to_record(record, sk);
}

/* Writes what is remembered about the socket. */
static __always_inline void socket_memory_to_record(struct socket_record *record, const struct socket_memory *memory)
{
	record->direction = memory->direction;
	record->handshake_us = memory->handshake_us;
	record->close_side = memory->close_side;
	owner_to_record(record, &memory->owner);
}

#endif /* NETSTATD_SOCKET_H */
