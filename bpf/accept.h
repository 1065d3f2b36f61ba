/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef NETSTATD_ACCEPT_H
#define NETSTATD_ACCEPT_H

/*
 * Which process took an inbound connection: known for certain only where accept() returns a descriptor to it.
 * The record carries the socket's cookie, by which the enricher joins it to what was said before.
 */

#include "file.h"
#include "emit.h"
#include "owner.h"

static __always_inline void accepted(struct task_struct *task, const struct owner *owner, s64 fd)
{
	struct socket_record record = {};
	struct sock *sk;

	if (fd < 0)
		return;
	sk = file_tcp_socket(task, fd);
	if (!sk)
		return;
	file_to_record(&record, sk);
	/* Without a cookie the socket is older than our hooks: the snapshot tells its owner. */
	if (!record.cookie || address_record_is_unwanted(&record))
		return;
	emit_head(&record.header, sizeof(record), RECORD_SOCKET, SOCKET_ACCEPTED, 0, bpf_ktime_get_ns());
	record.direction = DIRECTION_INBOUND;
	owner_to_record(&record, owner);
	emit_copy(&record.header, sizeof(record), SOCKET_ACCEPTED);
}

static __always_inline int accept_returns(s64 fd)
{
	struct owner owner;

	if (fd < 0)
		return 0;
	owner_of_current(&owner);
	accepted(bpf_get_current_task_btf(), &owner, fd);
	return 0;
}

SEC("tp/syscalls/sys_exit_accept4")
int tcp_accept4(struct trace_event_raw_sys_exit *context)
{
	return accept_returns(context->ret);
}

SEC("tp/syscalls/sys_exit_accept")
int tcp_accept(struct trace_event_raw_sys_exit *context)
{
	return accept_returns(context->ret);
}

#endif /* NETSTATD_ACCEPT_H */
