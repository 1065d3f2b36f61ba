/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef NETSTATD_FILE_H
#define NETSTATD_FILE_H

#include "address.h"

/*
 * The IPv4 or IPv6 stream socket behind a file descriptor of `task`, or NULL. The pointer is no more than an
 * address to the verifier: its fields are read with probe reads, and it has no storage and makes no cookie.
 */
static __always_inline struct sock *file_tcp_socket(struct task_struct *task, u32 fd)
{
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **slots, *file = NULL;
	struct socket *socket;
	struct sock *sk;
	u16 family;

	if (fd >= BPF_CORE_READ(table, max_fds))
		return NULL;
	slots = BPF_CORE_READ(table, fd);
	bpf_probe_read_kernel(&file, sizeof(file), &slots[fd]);
	if (!file || (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return NULL;
	socket = BPF_CORE_READ(file, private_data);
	sk = BPF_CORE_READ(socket, sk);
	if (!sk)
		return NULL;
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if ((family != AF_INET && family != AF_INET6) || BPF_CORE_READ(sk, sk_protocol) != IPPROTO_TCP)
		return NULL;
	return sk;
}

/* Writes what a socket from file_tcp_socket() knows of itself into a zeroed record; see socket_to_record(). */
static __always_inline void file_to_record(struct socket_record *record, struct sock *sk)
{
	struct sock_common *common = &sk->__sk_common;
	u16 family = BPF_CORE_READ(common, skc_family);

	record->cookie = BPF_CORE_READ(common, skc_cookie.counter);
	record->uid = BPF_CORE_READ(sk, sk_uid.val);
	record->netns = BPF_CORE_READ(common, skc_net.net, ns.inum);
	record->local_port = bpf_ntohs(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));
	record->remote_port = bpf_ntohs(BPF_CORE_READ(common, skc_dport));
	record->protocol = IPPROTO_TCP;
	record->state = BPF_CORE_READ(common, skc_state);
	if (family == AF_INET6) {
		BPF_CORE_READ_INTO(&record->local_address, common, skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&record->remote_address, common, skc_v6_daddr);
	}
	address_settle(record, family, BPF_CORE_READ(common, skc_rcv_saddr), BPF_CORE_READ(common, skc_daddr));
}

#endif /* NETSTATD_FILE_H */
