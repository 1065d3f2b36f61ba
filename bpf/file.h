/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef NETSTATD_FILE_H
#define NETSTATD_FILE_H

/*
 * The TCP socket behind a file descriptor. Its pointer is no more than an address to the verifier: it has no
 * storage, makes no cookie, and each look at it is a probe read. Those cost some 30 ns apiece, so struct
 * sock_common is copied as a whole, and its fields are found in the copy by the offsets that CO-RE knows.
 */

#include "address.h"

#define COMMON_BYTES 128 /* of struct sock_common, whose last field of interest, skc_cookie, lies at 88 */

struct file_socket {
	struct sock *sk;
	u64 common[COMMON_BYTES / 8];
};

/* A field of the copied struct sock_common. */
#define FILE_SOCKET_FIELD(found, field)                                                                        \
	({                                                                                                     \
		u32 __at = bpf_core_field_offset(struct sock_common, field);                                   \
		typedef typeof(((struct sock_common *)0)->field) __type;                                       \
		__at <= COMMON_BYTES - sizeof(__type) ? *(__type *)((u8 *)(found)->common + __at) : 0;         \
	})

static __always_inline void file_socket_address6(u32 to[4], struct file_socket *found, u32 at)
{
	u32 *from = (u32 *)((u8 *)found->common + at);

	if (at > COMMON_BYTES - sizeof(struct in6_addr))
		return;
	to[0] = from[0];
	to[1] = from[1];
	to[2] = from[2];
	to[3] = from[3];
}

/* Finds the socket behind descriptor `fd` of a table of `size`; false unless it is an IPv4 or IPv6 TCP socket. */
static __always_inline bool file_tcp_socket(struct file_socket *found, struct file **slots, u32 size, u32 fd)
{
	struct file *file = NULL;
	struct socket *socket;
	struct sock *sk;
	u16 family;

	if (fd >= size || bpf_probe_read_kernel(&file, sizeof(file), &slots[fd]) || !file ||
	    (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return false;
	socket = BPF_CORE_READ(file, private_data);
	sk = BPF_CORE_READ(socket, sk);
	if (!sk || bpf_probe_read_kernel(found->common, sizeof(found->common), sk))
		return false;
	found->sk = sk;
	family = FILE_SOCKET_FIELD(found, skc_family);
	return (family == AF_INET || family == AF_INET6) && BPF_CORE_READ(sk, sk_protocol) == IPPROTO_TCP;
}

/* The same among the descriptors of the current task, which is one the verifier knows. */
static __always_inline bool file_tcp_socket_of_current(struct file_socket *found, u32 fd)
{
	struct fdtable *table = bpf_get_current_task_btf()->files->fdt;

	return file_tcp_socket(found, table->fd, table->max_fds, fd);
}

/* The cookie of the socket that the current task's system call names by its first argument; 0 if it names none. */
static __always_inline u64 file_cookie_of_call(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct file *file = NULL;
	struct pt_regs *registers;
	struct fdtable *table;
	struct socket *socket;
	u64 fd;

	if (!bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs))
		return 0;
	registers = (struct pt_regs *)bpf_task_pt_regs(task);
	fd = PT_REGS_PARM1_CORE_SYSCALL(registers);
	table = BPF_CORE_READ(task, files, fdt);
	if (fd >= BPF_CORE_READ(table, max_fds) ||
	    bpf_probe_read_kernel(&file, sizeof(file), &BPF_CORE_READ(table, fd)[fd]) || !file ||
	    (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return 0;
	socket = BPF_CORE_READ(file, private_data);
	return BPF_CORE_READ(socket, sk, __sk_common.skc_cookie.counter);
}

/*
 * Writes what the socket knows of itself into a zeroed record; see socket_to_record(). skc_num is the port in
 * host order until the socket is closed.
 */
static __always_inline void file_socket_to_record(struct socket_record *record, struct file_socket *found)
{
	u16 family = FILE_SOCKET_FIELD(found, skc_family);
	struct net *net = FILE_SOCKET_FIELD(found, skc_net.net);
	struct inet_sock *sk = (struct inet_sock *)found->sk;

	record->cookie = FILE_SOCKET_FIELD(found, skc_cookie.counter);
	record->uid = BPF_CORE_READ(sk, sk.sk_uid.val);
	record->netns = BPF_CORE_READ(net, ns.inum);
	record->local_port = FILE_SOCKET_FIELD(found, skc_num);
	if (!record->local_port)
		record->local_port = bpf_ntohs(BPF_CORE_READ(sk, inet_sport));
	record->remote_port = bpf_ntohs(FILE_SOCKET_FIELD(found, skc_dport));
	record->protocol = IPPROTO_TCP;
	record->state = FILE_SOCKET_FIELD(found, skc_state);
	if (family == AF_INET6) {
		file_socket_address6((u32 *)record->local_address, found,
				     bpf_core_field_offset(struct sock_common, skc_v6_rcv_saddr));
		file_socket_address6((u32 *)record->remote_address, found,
				     bpf_core_field_offset(struct sock_common, skc_v6_daddr));
	}
	address_settle(record, family, FILE_SOCKET_FIELD(found, skc_rcv_saddr), FILE_SOCKET_FIELD(found, skc_daddr));
}

#endif /* NETSTATD_FILE_H */
