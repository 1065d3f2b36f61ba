// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * netstatd's kernel side: one object, one program per hook. Each header below holds one concern with its
 * entry points; records are defined in record.h, maps and who fills them in maps.h.
 */
#include "kernel.h"
#include "record.h"
#include "maps.h"
#include "emit.h"
#include "owner.h"

#include "tcp.h"
#include "accept.h"
#include "connect.h"
#include "snapshot.h"

#if __has_include("process.h")
#include "process.h"
#endif
#if __has_include("cgroup.h")
#include "cgroup.h"
#endif
#if __has_include("udp.h")
#include "udp.h"
#endif

/*
 * libs/records is generated from the object's BTF, which holds only what the program mentions: this names the
 * whole of record.h.
 */
struct record_layout {
	struct socket_record socket;
	struct process_record process;
	struct cgroup_record cgroup;
	struct mark_record mark;
	struct batch_header batch;
	enum record_type record_type;
	enum socket_kind socket_kind;
	enum process_kind process_kind;
	enum cgroup_kind cgroup_kind;
	enum mark_kind mark_kind;
	enum direction direction;
	enum close_side close_side;
	enum drop_slot drop_slot;
};
const struct record_layout *const volatile record_layout;

char LICENSE[] SEC("license") = "Dual BSD/GPL";
