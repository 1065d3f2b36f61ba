/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef NETSTATD_DATAGRAM_H
#define NETSTATD_DATAGRAM_H

/* A UDP datagram in the packet that a cgroup_skb program is given. */

#include "address.h"
#include "flow.h"

#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86dd
#define IP_FRAGMENT 0x3fff /* more fragments, or an offset: not a whole datagram */

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
	struct flow_peer peer;
	u64 local_address[2];
	u16 local_port; /* host order */
	u32 payload; /* bytes */
};

/* Whole words: what is written in parts and read as a whole has to wait until it is in memory. */
static __always_inline void datagram_address6(u64 to[2], const u32 from[4])
{
	to[0] = from[0] | (u64)from[1] << 32;
	to[1] = from[2] | (u64)from[3] << 32;
}

/* All of a datagram's addresses into a zeroed `datagram`. False for what is no whole UDP datagram. */
static __always_inline bool datagram_parse(struct datagram *datagram, struct __sk_buff *skb, bool egress)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct udp_header *udp;
	u16 family;

	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		struct ipv4_header *ip = data;

		if ((void *)(ip + 1) > end || ip->protocol != IPPROTO_UDP ||
		    ip->fragment & bpf_htons(IP_FRAGMENT))
			return false;
		family = AF_INET;
		datagram->local_address[0] = egress ? ip->source : ip->destination;
		datagram->peer.address[0] = egress ? ip->destination : ip->source;
		udp = data + ip->ihl * 4;
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		struct ipv6_header *ip = data;

		/* Datagrams behind extension headers are not counted: no common sender makes them. */
		if ((void *)(ip + 1) > end || ip->next_header != IPPROTO_UDP)
			return false;
		family = AF_INET6;
		datagram_address6(datagram->local_address, egress ? ip->source : ip->destination);
		datagram_address6(datagram->peer.address, egress ? ip->destination : ip->source);
		udp = (void *)(ip + 1);
	} else {
		return false;
	}
	if ((void *)(udp + 1) > end)
		return false;
	datagram->local_port = bpf_ntohs(egress ? udp->source : udp->destination);
	datagram->peer.port_family = flow_port_family(bpf_ntohs(egress ? udp->destination : udp->source), family);
	/* Not by the header's length, which is 0 or too small on segmentation offload. */
	datagram->payload = skb->len - ((void *)(udp + 1) - data);
	return true;
}

/* True for what the collector's options exclude. */
static __always_inline bool datagram_is_unwanted(const struct datagram *datagram)
{
	const u32 *local = (const u32 *)datagram->local_address;
	const u32 *remote = (const u32 *)datagram->peer.address;

	if (option_loopback)
		return false;
	if (flow_family(&datagram->peer) == AF_INET)
		return address4_is_loopback(local[0]) || address4_is_loopback(remote[0]);
	return address6_is_loopback(local) || address6_is_loopback(remote);
}

#endif /* NETSTATD_DATAGRAM_H */
