/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef NETSTATD_SYSCALL_H
#define NETSTATD_SYSCALL_H

/*
 * Stands in for the tracepoints of single system calls, which kernels built without CONFIG_FTRACE_SYSCALLS lack, or
 * which somebody keeps us away from. It runs at the return of every system call of the machine (some 90 ns each), and
 * so is attached only when one of those is missing.
 */

#include "accept.h"
#include "connect.h"
#include "listen.h"

/* The calls of hooks.c's table, by their place in it. */
enum syscall_wanted {
	WANTS_ACCEPT4 = 1 << 0,
	WANTS_ACCEPT = 1 << 1,
	WANTS_CONNECT = 1 << 2,
	WANTS_LISTEN = 1 << 3,
};

/* One entry, for good: enum syscall_wanted, set by the collector before it attaches the program. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} syscalls_wanted SEC(".maps");

#if defined(__TARGET_ARCH_x86)
#define TS_COMPAT 2

enum { CALL_CONNECT = 42, CALL_ACCEPT = 43, CALL_LISTEN = 50, CALL_ACCEPT4 = 288 };

/* Numbers mean something else in 32-bit calls, whoever makes them. */
static __always_inline bool syscall_is_native(void)
{
	return !(bpf_get_current_task_btf()->thread_info.status & TS_COMPAT);
}

static __always_inline long syscall_number(struct pt_regs *registers)
{
	return registers->orig_ax;
}
#elif defined(__TARGET_ARCH_arm64)
#define TIF_32BIT 22

enum { CALL_LISTEN = 201, CALL_ACCEPT = 202, CALL_CONNECT = 203, CALL_ACCEPT4 = 242 };

static __always_inline bool syscall_is_native(void)
{
	return !(bpf_get_current_task_btf()->thread_info.flags & 1UL << TIF_32BIT);
}

static __always_inline long syscall_number(struct pt_regs *registers)
{
	return registers->syscallno;
}
#endif

SEC("tp_btf/sys_exit")
int BPF_PROG(syscall_exit, struct pt_regs *registers, long result)
{
	long number = syscall_number(registers);
	u32 only = 0, *wanted;

	if (number != CALL_ACCEPT4 && number != CALL_ACCEPT && number != CALL_CONNECT && number != CALL_LISTEN)
		return 0;
	wanted = bpf_map_lookup_elem(&syscalls_wanted, &only);
	if (!wanted || !syscall_is_native())
		return 0;
	if (number == CALL_ACCEPT4)
		return *wanted & WANTS_ACCEPT4 ? accept_returns(result) : 0;
	if (number == CALL_ACCEPT)
		return *wanted & WANTS_ACCEPT ? accept_returns(result) : 0;
	if (number == CALL_CONNECT)
		return *wanted & WANTS_CONNECT && connect_error_is_of_network(-result) ?
			       connect_returns(registers, result) : 0;
	return *wanted & WANTS_LISTEN && !result ? listen_returns(registers) : 0;
}

#endif /* NETSTATD_SYSCALL_H */
