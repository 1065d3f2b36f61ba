/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef NETSTATD_PROCESS_H
#define NETSTATD_PROCESS_H

/*
 * Processes (thread groups): fork, exec, exit, and all that exist. The executable's path is taken here and
 * not from /proc, so that a process that lived for a few milliseconds still has a name.
 */
#include "emit.h"
#include "owner.h"

#define PATH_COMPONENTS 48 /* deeper paths are cut */
#define NAME_BYTES 256 /* NAME_MAX and its NUL */
#define PF_KTHREAD 0x00200000

/* A record with room for one more name, so that a name that does not fit can be copied before it is cut. */
struct process_scratch {
	struct process_record record;
	char spill[NAME_BYTES];
};

enum scratch_user {
	SCRATCH_EXEC = 0,
	SCRATCH_SNAPSHOT = 1, /* preemptible, hence not the one of exec */
	SCRATCH_USERS,
};

/* Where a full record is put together: too big for the stack. Used within one run of a program only. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SCRATCH_USERS);
	__type(key, u32);
	__type(value, struct process_scratch);
} process_scratches SEC(".maps");

static __always_inline void process_describe(struct process_record *record, struct task_struct *task)
{
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);

	record->start_ns = BPF_CORE_READ(leader, start_boottime);
	record->cgroup_id = owner_cgroup_id(task);
	record->pid = BPF_CORE_READ(task, tgid);
	record->ppid = BPF_CORE_READ(task, real_parent, tgid);
	record->uid = BPF_CORE_READ(task, cred, uid.val);
	record->netns = BPF_CORE_READ(task, nsproxy, net_ns, ns.inum);
	bpf_probe_read_kernel(record->comm, sizeof(record->comm), leader->comm);
}

/*
 * Writes the components of the executable's path, last one first, as /proc/<pid>/exe read outside of
 * containers would say: up to the root of the mount namespace (d_path() and prepend_path() in fs/d_path.c).
 * A deleted file keeps its path. Sets RECORD_F_PATH_CUT when only the last part fits.
 */
static __always_inline void process_path(struct process_scratch *scratch, struct task_struct *task)
{
	struct process_record *record = &scratch->record;
	struct file *file = BPF_CORE_READ(task, mm, exe_file);
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
	struct vfsmount *vfsmount = BPF_CORE_READ(file, f_path.mnt);
	struct mount *mount = (void *)vfsmount - bpf_core_field_offset(struct mount, mnt);
	u32 at = 0;

	record->path[0] = 0;
	if (!file || BPF_CORE_READ(task, flags) & PF_KTHREAD)
		return;
	for (int i = 0; i < PATH_COMPONENTS; i++) {
		struct dentry *parent = BPF_CORE_READ(dentry, d_parent);

		if (dentry == BPF_CORE_READ(mount, mnt.mnt_root)) {
			struct mount *below = BPF_CORE_READ(mount, mnt_parent);

			if (below == mount)
				goto done;
			dentry = BPF_CORE_READ(mount, mnt_mountpoint);
			mount = below;
			continue;
		}
		/* A file without a parent has no place in a tree (memfd): its name is all there is. */
		if (dentry == parent && at)
			goto done;
		at &= RECORD_PATH_BYTES - 1;
		long bytes = bpf_probe_read_kernel_str(record->path + at, NAME_BYTES,
						       BPF_CORE_READ(dentry, d_name.name));
		if (bytes <= 0)
			break;
		if (at + bytes >= RECORD_PATH_BYTES) {
			record->path[at] = 0;
			break;
		}
		at += bytes;
		if (dentry == parent)
			goto done;
		dentry = parent;
	}
	record->header.flags |= RECORD_F_PATH_CUT;
done:
	/* `at` ends one component, so an empty one after it ends the path; what earlier runs left is beyond. */
	record->path[at & (RECORD_PATH_BYTES - 1)] = 0;
}

static __always_inline struct process_record *process_full(u32 user, u8 kind, u16 flags, u64 now,
							    struct task_struct *task)
{
	struct process_scratch *scratch = bpf_map_lookup_elem(&process_scratches, &user);

	if (!scratch)
		return NULL;
	emit_head(&scratch->record.header, sizeof(scratch->record), RECORD_PROCESS, kind, flags, now);
	process_describe(&scratch->record, task);
	process_path(scratch, task);
	return &scratch->record;
}

static __always_inline void process_emit_short(u8 kind, struct task_struct *task)
{
	u64 now = bpf_ktime_get_ns();
	struct process_record *record =
		emit_reserve(PROCESS_RECORD_SHORT, RECORD_PROCESS, kind, 0, now, DROP_OTHER);

	if (!record)
		return;
	process_describe(record, task);
	emit_submit(record, now);
}

/* A new thread group, before it runs for the first time. */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(process_forked, struct task_struct *parent, struct task_struct *child)
{
	if (child->pid == child->tgid)
		process_emit_short(PROCESS_FORKED, child);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_executed, struct task_struct *task)
{
	u64 now = bpf_ktime_get_ns();
	struct process_record *record = process_full(SCRATCH_EXEC, PROCESS_EXECUTED, 0, now, task);

	if (record)
		emit_copy(&record->header, sizeof(*record), DROP_OTHER);
	return 0;
}

/* Two threads that exit at the same moment may both see that none is left: a reader takes the first. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exited, struct task_struct *task)
{
	if (!BPF_CORE_READ(task, signal, live.counter))
		process_emit_short(PROCESS_EXITED, task);
	return 0;
}

SEC("iter/task")
int snapshot_processes(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct process_record *record;

	if (!task || task->pid != task->tgid)
		return 0;
	record = process_full(SCRATCH_SNAPSHOT, PROCESS_EXISTS, RECORD_F_SNAPSHOT, bpf_ktime_get_ns(), task);
	if (record)
		bpf_seq_write(ctx->meta->seq, record, sizeof(*record));
	return 0;
}

#endif /* NETSTATD_PROCESS_H */
