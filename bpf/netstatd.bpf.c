// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * netstatd's kernel side: one object, one program per hook. Each header below holds one concern with its
 * entry points; records are defined in record.h, maps and who fills them in maps.h.
 */
#include "kernel.h"
#include "record.h"

#include "tcp.h"
#include "accept.h"
#include "connect.h"
#include "listen.h"
#include "syscall.h"
#include "udp.h"
#include "process.h"
#include "cgroup.h"
#include "snapshot.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";
