/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef NETSTATD_KERNEL_H
#define NETSTATD_KERNEL_H

/*
 * The kernel's structures, as far as they are read here. Only names and nesting count: offsets and sizes are
 * relocated at load time against the BTF of the running kernel (CO-RE), so this small file takes the place of
 * a generated vmlinux.h and the object builds on machines that have no BTF themselves. Fields that some
 * kernels lack are read behind bpf_core_field_exists().
 */

#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;
typedef __s64 s64;

#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define SOCK_DGRAM 2
#define SOCK_BINDPORT_LOCK 8 /* sk_userlocks: the process chose the port */
#define SOCK_DONE 1 /* enum sock_flags, bit number in sk_flags: a FIN was received */
#define S_IFMT 00170000
#define S_IFSOCK 0140000
#define IORING_OP_ACCEPT 13

#define EPERM 1
#define EACCES 13
#define EINVAL 22
#define EPIPE 32
#define ENETDOWN 100
#define ENETUNREACH 101
#define EADDRNOTAVAIL 99
#define ECONNABORTED 103
#define ECONNRESET 104
#define ECONNREFUSED 111
#define EHOSTDOWN 112
#define EHOSTUNREACH 113

enum {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT,
	TCP_SYN_RECV,
	TCP_FIN_WAIT1,
	TCP_FIN_WAIT2,
	TCP_TIME_WAIT,
	TCP_CLOSE,
	TCP_CLOSE_WAIT,
	TCP_LAST_ACK,
	TCP_LISTEN,
	TCP_CLOSING,
	TCP_NEW_SYN_RECV,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	__u32 val;
} kuid_t;

/* -- cgroups ------------------------------------------------------------------------------------------- */

struct kernfs_node {
	const char *name;
	u64 id;
};

struct cgroup_root {
	int hierarchy_id; /* 0: the default (v2) hierarchy */
};

struct cgroup {
	struct kernfs_node *kn;
	struct cgroup_root *root;
};

struct css_set {
	struct cgroup *dfl_cgrp;
};

struct sock_cgroup_data {
	struct cgroup *cgroup;
};

/* -- processes ----------------------------------------------------------------------------------------- */

struct qstr {
	const unsigned char *name;
};

struct inode {
	unsigned short i_mode;
};

struct dentry {
	struct dentry *d_parent;
	struct qstr d_name;
};

struct vfsmount {
	struct dentry *mnt_root;
};

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct file {
	void *private_data;
	struct inode *f_inode;
	struct path f_path;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct ns_common {
	unsigned int inum;
};

struct net {
	struct ns_common ns;
};

struct nsproxy {
	struct net *net_ns;
};

struct cred {
	kuid_t uid;
};

struct mm_struct {
	struct file *exe_file;
};

struct signal_struct {
	struct {
		int counter;
	} live;
};

struct thread_info {
	unsigned long flags;
#if defined(__TARGET_ARCH_x86)
	u32 status;
#endif
};

struct task_struct {
	struct thread_info thread_info;
	unsigned int flags;
	int pid;
	int tgid;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	u64 start_boottime;
	const struct cred *cred;
	char comm[16];
	struct files_struct *files;
	struct nsproxy *nsproxy;
	struct signal_struct *signal;
	struct css_set *cgroups;
	struct mm_struct *mm;
};

/* -- sockets ------------------------------------------------------------------------------------------- */

typedef struct {
	struct net *net;
} possible_net_t;

struct in6_addr {
	union {
		u8 u6_addr8[16];
		u32 u6_addr32[4];
	} in6_u;
};

typedef struct {
	s64 counter;
} atomic64_t;

struct sock_common {
	union {
		struct {
			u32 skc_daddr;
			u32 skc_rcv_saddr;
		};
	};
	union {
		struct {
			u16 skc_dport;
			u16 skc_num;
		};
	};
	unsigned short skc_family;
	volatile unsigned char skc_state;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	atomic64_t skc_cookie;
	union {
		unsigned long skc_flags;
	};
};

struct sock {
	struct sock_common __sk_common;
	u8 sk_userlocks;
	u16 sk_type;
	u16 sk_protocol;
	int sk_err;
	u32 sk_max_ack_backlog;
	kuid_t sk_uid;
	struct sock_cgroup_data sk_cgrp_data;
};

struct socket {
	struct sock *sk;
};

struct inet_sock {
	struct sock sk;
	u16 inet_sport;
};

struct inet_bind_bucket {
	signed char fastreuse;
};

struct inet_connection_sock {
	struct inet_sock icsk_inet;
	struct inet_bind_bucket *icsk_bind_hash;
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	u32 write_seq;
	u64 bytes_received;
	u64 bytes_sent;
	u64 bytes_retrans;
	u32 srtt_us;
	u32 total_retrans;
};

/* -- io_uring ------------------------------------------------------------------------------------------ */

struct io_cqe {
	s32 res;
};

struct io_uring_cqe {
	s32 res;
	u32 flags;
};

struct io_uring_task {
	struct task_struct *task;
};

struct io_kiocb {
	u8 opcode;
	struct io_cqe cqe;
	struct io_uring_task *tctx;
};

struct io_kiocb___until_6_12 {
	struct task_struct *task;
};

/* Lies at the start of an io_kiocb whose opcode is IORING_OP_ACCEPT. */
struct io_accept {
	u32 file_slot;
};

/* -- contexts ------------------------------------------------------------------------------------------ */

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
	u64 session_id;
	u64 seq_num;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	u32 fd;
	struct file *file;
};

struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
	u32 uid;
};

struct bpf_map;

struct bpf_iter__bpf_map_elem {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	void *key;
	void *value;
};

struct bpf_iter__bpf_sk_storage_map {
	struct bpf_iter_meta *meta;
	struct sock *sk;
	void *value;
};

struct trace_entry {
	unsigned short type;
};

struct trace_event_raw_sys_exit {
	struct trace_entry ent;
	long id;
	long ret;
};

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long bp;
	unsigned long r10;
	unsigned long r8;
	unsigned long r9;
	unsigned long ax;
	unsigned long cx;
	unsigned long dx;
	unsigned long si;
	unsigned long di;
	unsigned long orig_ax;
	unsigned long ip;
	unsigned long sp;
};
#elif defined(__TARGET_ARCH_arm64)
struct user_pt_regs {
	u64 regs[31];
	u64 sp;
	u64 pc;
	u64 pstate;
};
struct pt_regs {
	s32 syscallno;
};
#endif

#pragma clang attribute pop

/* bpf_tracing.h: registers by the kernel's own names. */
#define __VMLINUX_H__
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

#endif /* NETSTATD_KERNEL_H */
