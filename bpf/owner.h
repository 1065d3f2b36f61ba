/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef NETSTATD_OWNER_H
#define NETSTATD_OWNER_H

#include "maps.h"

/* The default (v2) hierarchy's cgroup of a task; 0 when not known. */
static __always_inline u64 owner_cgroup_id(struct task_struct *task)
{
	return BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
}

/* Describes the thread group of `task`. */
static __always_inline void owner_of_task(struct owner *owner, struct task_struct *task)
{
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);

	owner->start_ns = BPF_CORE_READ(leader, start_boottime);
	owner->cgroup_id = owner_cgroup_id(task);
	owner->pid = BPF_CORE_READ(task, tgid);
	bpf_probe_read_kernel(owner->comm, sizeof(owner->comm), leader->comm);
}

/* The same for a task that the verifier knows: its fields are read without a call each. */
static __always_inline void owner_of_known_task(struct owner *owner, struct task_struct *task)
{
	struct task_struct *leader = task->group_leader;

	owner->start_ns = leader->start_boottime;
	owner->cgroup_id = task->cgroups->dfl_cgrp->kn->id;
	owner->pid = task->tgid;
	bpf_probe_read_kernel(owner->comm, sizeof(owner->comm), leader->comm);
}

/* Describes the process that runs now. Only to be called where it is certainly the one that acts. */
static __always_inline void owner_of_current(struct owner *owner)
{
	owner_of_known_task(owner, bpf_get_current_task_btf());
}

/* Names `owner`, if there is one, in a record. */
static __always_inline void owner_to_record(struct socket_record *record, const struct owner *owner)
{
	if (!owner->pid)
		return;
	record->header.flags |= RECORD_F_OWNER;
	record->owner_start_ns = owner->start_ns;
	record->cgroup_id = owner->cgroup_id;
	record->pid = owner->pid;
	__builtin_memcpy(record->comm, owner->comm, sizeof(record->comm));
}

/* Names the holder of a port if it is another than `owner`, who may have ended: each of several is told. */
static __always_inline void owner_of_holder_to_record(struct socket_record *record, const struct owner *owner,
						      struct task_struct *holder)
{
	struct owner other;

	if ((u32)holder->tgid == owner->pid)
		return;
	owner_of_known_task(&other, holder);
	owner_to_record(record, &other);
	record->header.flags |= RECORD_F_HOLDER;
}

#endif /* NETSTATD_OWNER_H */
