// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "capture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/mount.h>
#include <linux/perf_event.h>
#include <sys/syscall.h>

/*
 * A directory descriptor of tracefs. Where it is not mounted (minimal systems, containers) a mount is made that
 * nobody else can see and that ends with the descriptor.
 */
static int tracefs_open(void)
{
	static const char *const places[] = { "/sys/kernel/tracing", "/sys/kernel/debug/tracing" };
	int fd, context;

	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		fd = open(places[i], O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0 && !faccessat(fd, "events", R_OK, 0))
			return fd;
		if (fd >= 0)
			close(fd);
	}
	context = syscall(SYS_fsopen, "tracefs", FSOPEN_CLOEXEC);
	if (context < 0)
		return -1;
	fd = -1;
	if (!syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		fd = syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, 0);
	close(context);
	return fd;
}

/* The number by which perf knows a tracepoint ("syscalls/sys_exit_accept"); -1 with errno. */
static long tracepoint_id(const char *event)
{
	char path[128], text[24] = "";
	int fs = tracefs_open(), fd;
	ssize_t length;

	if (fs < 0)
		return -1;
	snprintf(path, sizeof(path), "events/%s/id", event);
	fd = openat(fs, path, O_RDONLY | O_CLOEXEC);
	close(fs);
	if (fd < 0)
		return -1;
	length = read(fd, text, sizeof(text) - 1);
	close(fd);
	return length > 0 ? strtol(text, NULL, 10) : -1;
}

struct bpf_link *tracefs_attach(struct bpf_program *program, const char *section)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(attr),
		.sample_period = 1,
		.wakeup_events = 1,
	};
	const char *event = strchr(section, '/');
	long id = event ? tracepoint_id(event + 1) : -1;
	struct bpf_link *link;
	int fd;

	if (id < 0)
		return NULL;
	attr.config = id;
	/* BPF programs of a tracepoint run for every process and cpu, whatever the event itself is bound to. */
	fd = syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0)
		return NULL;
	link = bpf_program__attach_perf_event(program, fd);
	if (!link) {
		int reason = errno;

		close(fd);
		errno = reason;
	}
	return link;
}
