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

static __always_inline void accepted(struct file_socket *found, const struct owner *owner)
{
	struct socket_record record = {};

	file_socket_to_record(&record, found);
	if (address_record_is_unwanted(&record))
		return;
	/* Its ESTABLISHED found no room or went unseen, so it never got a cookie: this record is lost with it. */
	if (!record.cookie) {
		emit_count_drop(SOCKET_ACCEPTED);
		return;
	}
	emit_head(&record.header, sizeof(record), RECORD_SOCKET, SOCKET_ACCEPTED, 0, bpf_ktime_get_ns());
	record.direction = DIRECTION_INBOUND;
	owner_to_record(&record, owner);
	emit_copy(&record.header, sizeof(record), SOCKET_ACCEPTED);
}

static __always_inline int accept_returns(s64 fd)
{
	struct file_socket found;
	struct owner owner;

	if (fd < 0 || !file_tcp_socket_of_current(&found, fd))
		return 0;
	owner_of_current(&owner);
	accepted(&found, &owner);
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

/*
 * io_uring's accept returns no system call. The descriptor belongs to the task of the request, not to the one
 * that happens to complete it. Completions of a multishot accept but its last name no request; accepts into the
 * ring's own file table have no descriptor.
 */
SEC("tp_btf/io_uring_complete")
int tcp_accept_ring(u64 *context)
{
	struct io_kiocb *request = (struct io_kiocb *)context[1];
	struct file_socket found;
	struct task_struct *task;
	struct fdtable *table;
	struct owner owner;
	s32 fd;

	if (!request || BPF_CORE_READ(request, opcode) != IORING_OP_ACCEPT ||
	    BPF_CORE_READ((struct io_accept *)request, file_slot))
		return 0;
	fd = BPF_CORE_READ(request, cqe.res);
	if (fd < 0)
		return 0;
	if (bpf_core_field_exists(struct io_kiocb___until_6_12, task))
		task = BPF_CORE_READ((struct io_kiocb___until_6_12 *)request, task);
	else
		task = BPF_CORE_READ(request, tctx, task);
	table = BPF_CORE_READ(task, files, fdt);
	if (!file_tcp_socket(&found, BPF_CORE_READ(table, fd), BPF_CORE_READ(table, max_fds), fd))
		return 0;
	owner_of_task(&owner, task);
	accepted(&found, &owner);
	return 0;
}

#endif /* NETSTATD_ACCEPT_H */
