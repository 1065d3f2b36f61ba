/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef NETSTATD_CGROUP_H
#define NETSTATD_CGROUP_H

/*
 * Cgroups of the default (v2) hierarchy as they are made and removed, so that a container's id is known from
 * its cgroup before anything in it runs, and after everything in it has gone.
 */
#include "emit.h"

#define CGROUP_PATH_BYTES 1024 /* TRACE_CGROUP_PATH_LEN in kernel/cgroup */

/* The whole path, to see how long it is. Used within one run of a program only. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, char[CGROUP_PATH_BYTES]);
} cgroup_scratch SEC(".maps");

static __always_inline void cgroup_emit(u8 kind, struct cgroup *cgroup, const char *path)
{
	char *whole = bpf_map_lookup_elem(&cgroup_scratch, &(u32){ 0 });
	struct cgroup_record *record;
	u64 now = bpf_ktime_get_ns();
	u32 skip = 0;
	long bytes;

	/* On hybrid machines the tracepoints fire for v1 hierarchies too; 0 is reserved for the default one. */
	if (!whole || BPF_CORE_READ(cgroup, root, hierarchy_id))
		return;
	bytes = bpf_probe_read_kernel_str(whole, CGROUP_PATH_BYTES, path);
	if (bytes > RECORD_PATH_BYTES)
		skip = bytes - RECORD_PATH_BYTES;
	record = emit_reserve(sizeof(*record), RECORD_CGROUP, kind, skip ? RECORD_F_PATH_CUT : 0, now,
			      DROP_OTHER);
	if (!record)
		return;
	record->cgroup_id = BPF_CORE_READ(cgroup, kn, id);
	bpf_probe_read_kernel_str(record->path, sizeof(record->path), path + skip);
	emit_submit(record, now);
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(cgroup_made, struct cgroup *cgroup, const char *path)
{
	cgroup_emit(CGROUP_MADE, cgroup, path);
	return 0;
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(cgroup_removed, struct cgroup *cgroup, const char *path)
{
	cgroup_emit(CGROUP_REMOVED, cgroup, path);
	return 0;
}

#endif /* NETSTATD_CGROUP_H */
