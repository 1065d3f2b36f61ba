/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef NETSTATD_ADDRESS_H
#define NETSTATD_ADDRESS_H

#include "maps.h"

#define LOOPBACK_NET bpf_htonl(0x7f000000)
#define LOOPBACK_MASK bpf_htonl(0xff000000)
#define MAPPED_PREFIX bpf_htonl(0x0000ffff)

static __always_inline bool address4_is_loopback(u32 address)
{
	return (address & LOOPBACK_MASK) == LOOPBACK_NET;
}

/* ::ffff:a.b.c.d, an IPv4 address in an IPv6 socket. */
static __always_inline bool address6_is_mapped(const u32 address[4])
{
	return !address[0] && !address[1] && address[2] == MAPPED_PREFIX;
}

static __always_inline bool address6_is_loopback(const u32 address[4])
{
	return (!address[0] && !address[1] && !address[2] && address[3] == bpf_htonl(1)) ||
	       (address6_is_mapped(address) && address4_is_loopback(address[3]));
}

static __always_inline void address6_read(u32 to[4], const struct in6_addr *from)
{
	to[0] = from->in6_u.u6_addr32[0];
	to[1] = from->in6_u.u6_addr32[1];
	to[2] = from->in6_u.u6_addr32[2];
	to[3] = from->in6_u.u6_addr32[3];
}

/*
 * Settles family and addresses of a zeroed record, into which the IPv6 addresses of an AF_INET6 socket have been
 * read: IPv4-mapped IPv6 becomes IPv4, whose addresses every inet socket has too.
 */
static __always_inline void address_settle(struct socket_record *record, u16 family, u32 local4, u32 remote4)
{
	u32 *local = (u32 *)record->local_address, *remote = (u32 *)record->remote_address;

	if (family == AF_INET6 && !address6_is_mapped(remote) && !address6_is_mapped(local)) {
		record->family = AF_INET6;
		return;
	}
	record->family = AF_INET;
	local[1] = local[2] = local[3] = 0;
	remote[1] = remote[2] = remote[3] = 0;
	local[0] = local4;
	remote[0] = remote4;
}

/* Writes the addresses of a socket that the verifier knows. */
static __always_inline void address_to_record(struct socket_record *record, const struct sock *sk)
{
	u16 family = sk->__sk_common.skc_family;

	if (family == AF_INET6) {
		address6_read((u32 *)record->local_address, &sk->__sk_common.skc_v6_rcv_saddr);
		address6_read((u32 *)record->remote_address, &sk->__sk_common.skc_v6_daddr);
	}
	address_settle(record, family, sk->__sk_common.skc_rcv_saddr, sk->__sk_common.skc_daddr);
}

/* True for a socket that the collector's options exclude. */
static __always_inline bool address_is_unwanted(const struct sock *sk)
{
	u32 address[4];

	if (option_loopback)
		return false;
	if (sk->__sk_common.skc_family == AF_INET)
		return address4_is_loopback(sk->__sk_common.skc_rcv_saddr) ||
		       address4_is_loopback(sk->__sk_common.skc_daddr);
	address6_read(address, &sk->__sk_common.skc_v6_rcv_saddr);
	if (address6_is_loopback(address))
		return true;
	address6_read(address, &sk->__sk_common.skc_v6_daddr);
	return address6_is_loopback(address);
}

/* The same for a finished record. */
static __always_inline bool address_record_is_unwanted(const struct socket_record *record)
{
	const u32 *local = (const u32 *)record->local_address, *remote = (const u32 *)record->remote_address;

	if (option_loopback)
		return false;
	if (record->family == AF_INET)
		return address4_is_loopback(local[0]) || address4_is_loopback(remote[0]);
	return address6_is_loopback(local) || address6_is_loopback(remote);
}

#endif /* NETSTATD_ADDRESS_H */
