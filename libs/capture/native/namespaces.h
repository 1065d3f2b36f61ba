/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NETSTATD_NAMESPACES_H
#define NETSTATD_NAMESPACES_H

/*
 * The network namespaces of a snapshot, and whether all their TCP sockets have been told already. The kernel
 * counts a namespace's TCP sockets, and those that connect() and listeners ever made there. When these numbers
 * stand still and as many sockets have been told as there are, none is missing.
 */

#include "capture.h"

/* The kernel's own account of a namespace's TCP sockets. */
struct tcp_account {
	bool known;
	uint64_t in_use; /* in its tables: listening, connecting, connected, closing; no TIME_WAIT */
	uint64_t made; /* ever connected, either way */
	uint64_t listened; /* sockets of all namespaces that ever began to listen */
};

struct namespace {
	uint32_t netns; /* inode */
	uint32_t pid; /* a process in it, or 0 */
	char *name; /* below /run/netns, where there is no process */
	struct tcp_account before;
	uint64_t told; /* TCP sockets told so far */
};

struct namespace_list {
	struct namespace *all;
	size_t count;
	size_t last; /* the one of the last socket */
};

/* Remembers the namespace of a process; short memory costs completeness only. */
void namespaces_note_process(struct namespace_list *list, const struct process_record *process);
/* Notes that a TCP socket of a namespace has been told. */
void namespaces_note_socket(struct namespace_list *list, uint32_t netns);
/* Adds the namespaces that have a name and no process; takes the account of each. */
void namespaces_count(struct namespace_list *list, struct capture *capture);
/*
 * Calls `visit` inside each namespace of which not all TCP sockets are certain to have been told since
 * namespaces_count(), until it returns false. One that is gone or may not be entered has nothing to tell.
 * Returns 0 or -errno.
 */
int namespaces_visit_uncertain(struct namespace_list *list, struct capture *capture,
			       bool (*visit)(void *context), void *context);
void namespaces_free(struct namespace_list *list);

#endif /* NETSTATD_NAMESPACES_H */
