/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_SOAK_H
#define BENCH_SOAK_H

#include <stdbool.h>
#include <stdint.h>

/* Ports by which a reader tells what an event belongs to; each group of connections has one of its own. */
enum {
	SOAK_FLOOD_PORT = 1998,
	SOAK_RESIDENT_PORT = 1999,
	SOAK_FIRST_PORT = 2000,
	SOAK_PORTS = 30000, /* below those that the kernel chooses */
};

/* What one group makes: connections, flows and processes in a network namespace that goes with it. */
struct soak_group {
	uint32_t number;
	uint32_t first_peer;
	uint32_t tcp;
	uint32_t udp; /* flows */
	uint32_t forks; /* of the connections, those that a process of their own makes */
	double seconds;
};

/* Each runs in a process of its own, in its own network namespace; says what it made, and ends. */
void soak_group(const struct soak_group *group) __attribute__((noreturn));
void soak_flood(uint32_t first_peer, uint32_t flows, uint32_t rate) __attribute__((noreturn));
/* Holds so many connections to itself until it is killed. */
void soak_reside(uint32_t connections) __attribute__((noreturn));

/* 127.1.0.0 … 127.250.255.255: as many peers as there are addresses. */
struct sockaddr_in soak_peer(uint32_t index, int port);
/* Microseconds since 1970. */
uint64_t soak_wall_us(void);
/* A new network namespace with loopback; its inode. */
uint32_t soak_unshare(void);
/* One line, whole, however many processes write. */
void soak_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif /* BENCH_SOAK_H */
