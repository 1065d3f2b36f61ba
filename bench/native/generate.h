/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef BENCH_GENERATE_H
#define BENCH_GENERATE_H

/* Records and events of one made-up connection: both its ends, from connect to close. */
#define RECORDS_PER_CONNECTION 6
#define EVENTS_PER_CONNECTION 5

/* What the generator is asked for, and what came of it: the context of SEC("syscall") generate. */
struct generate {
	unsigned long long first_cookie; /* the connection i has this + 2 i, and the next */
	unsigned int connections;
	unsigned short port; /* of the server, in every record */
	unsigned short reserved;
	unsigned int netns;
	unsigned int lost; /* records the ring had no room for */
};

#endif /* BENCH_GENERATE_H */
