/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef NETSTATD_LISTEN_H
#define NETSTATD_LISTEN_H

/*
 * listen() on a socket that never was bound takes a free port after the transition to LISTEN, so that only the
 * return of the call knows it.
 */

#include "emit.h"
#include "file.h"
#include "owner.h"

static __always_inline int listen_returns(struct pt_regs *registers)
{
	struct socket_record record = {};
	struct file_socket found;
	struct owner owner;

	if (!file_tcp_socket_of_current(&found, PT_REGS_PARM1_CORE_SYSCALL(registers)) ||
	    FILE_SOCKET_FIELD(&found, skc_state) != TCP_LISTEN)
		return 0;
	file_socket_to_record(&record, &found);
	if (bpf_map_delete_elem(&portless_listeners, &record.cookie))
		return 0; /* it was bound before, and told at LISTEN */
	if (address_record_is_unwanted(&record))
		return 0;
	emit_head(&record.header, sizeof(record), RECORD_SOCKET, SOCKET_LISTENING, 0, bpf_ktime_get_ns());
	owner_of_current(&owner);
	owner_to_record(&record, &owner);
	emit_copy(&record.header, sizeof(record), SOCKET_LISTENING);
	return 0;
}

SEC("tp/syscalls/sys_exit_listen")
int tcp_listen_exit(struct trace_event_raw_sys_exit *context)
{
	if (context->ret)
		return 0;
	return listen_returns((struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf()));
}

#endif /* NETSTATD_LISTEN_H */
