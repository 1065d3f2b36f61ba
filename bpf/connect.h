/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef NETSTATD_CONNECT_H
#define NETSTATD_CONNECT_H

/*
 * connect() that fails before SYN_SENT: no route, no address, forbidden. The state machine never hears of it, so
 * that such a socket mostly has no cookie either; the destination is only in the caller's memory.
 */

#include "emit.h"
#include "file.h"
#include "owner.h"

/* struct sockaddr_in6, whose first 8 bytes are those of struct sockaddr_in. */
struct destination {
	u16 family;
	u16 port;
	u32 address4; /* sin6_flowinfo */
	u32 address6[4];
};

/* What the network or its rules say; not what a wrong argument or a socket already in use gives. */
static __always_inline bool connect_error_is_of_network(s64 error)
{
	return error == ENETUNREACH || error == EHOSTUNREACH || error == EADDRNOTAVAIL || error == EACCES ||
	       error == EPERM || error == EINVAL || error == ENETDOWN || error == EHOSTDOWN;
}

/*
 * Whether the connect() that just failed on this socket never got to SYN_SENT. tcp_v4_connect() sets the peer
 * before SYN_SENT and leaves it there on failure; write_seq is chosen after the port. tcp_v6_connect() sets the
 * peer first of all, but for lack of a port alone it fails later.
 */
static __always_inline bool connect_never_began(struct file_socket *found, s64 error)
{
	struct tcp_sock *tp = (struct tcp_sock *)found->sk;

	if (FILE_SOCKET_FIELD(found, skc_state) != TCP_CLOSE || FILE_SOCKET_FIELD(found, skc_daddr) ||
	    BPF_CORE_READ(tp, write_seq))
		return false;
	return FILE_SOCKET_FIELD(found, skc_family) == AF_INET ||
	       !FILE_SOCKET_FIELD(found, skc_cookie.counter) || error != EADDRNOTAVAIL;
}

static __always_inline bool connect_destination_to_record(struct socket_record *record, const void *address)
{
	u32 *local = (u32 *)record->local_address, *remote = (u32 *)record->remote_address;
	struct destination to = {};

	if (bpf_probe_read_user(&to, offsetof(struct destination, address6), address) ||
	    (to.family == AF_INET6 && bpf_probe_read_user(to.address6, sizeof(to.address6),
							   address + offsetof(struct destination, address6))))
		return false;
	record->remote_port = bpf_ntohs(to.port);
	if (to.family == AF_INET6)
		__builtin_memcpy(remote, to.address6, sizeof(to.address6));
	address_settle(record, to.family, local[0], to.family == AF_INET6 ? to.address6[3] : to.address4);
	return to.family == AF_INET || to.family == AF_INET6;
}

static __always_inline int connect_returns(struct pt_regs *registers, s64 result)
{
	struct socket_record record = {};
	struct file_socket found;
	struct owner owner;
	s64 error = -result;

	if (!file_tcp_socket_of_current(&found, PT_REGS_PARM1_CORE_SYSCALL(registers)) ||
	    !connect_never_began(&found, error))
		return 0;
	file_socket_to_record(&record, &found);
	if (!connect_destination_to_record(&record, (const void *)PT_REGS_PARM2_CORE_SYSCALL(registers)) ||
	    address_record_is_unwanted(&record))
		return 0;
	emit_head(&record.header, sizeof(record), RECORD_SOCKET, SOCKET_CLOSED, 0, bpf_ktime_get_ns());
	record.error = error;
	record.direction = DIRECTION_OUTBOUND;
	owner_of_current(&owner);
	owner_to_record(&record, &owner);
	emit_copy(&record.header, sizeof(record), SOCKET_CLOSED);
	return 0;
}

SEC("tp/syscalls/sys_exit_connect")
int tcp_connect_exit(struct trace_event_raw_sys_exit *context)
{
	if (!connect_error_is_of_network(-context->ret))
		return 0;
	return connect_returns((struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf()), context->ret);
}

#endif /* NETSTATD_CONNECT_H */
