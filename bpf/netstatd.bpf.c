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

char LICENSE[] SEC("license") = "Dual BSD/GPL";
