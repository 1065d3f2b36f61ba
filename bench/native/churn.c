/* SPDX-License-Identifier: Apache-2.0 */
#include "load.h"

#include <arpa/inet.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Connections that may wait to be accepted: far below the backlog, where SYNs would be dropped. */
#define BACKLOG 4096
#define AHEAD 1024

static int listen_anywhere(int port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at)) || listen(fd, BACKLOG))
		fail("listen");
	return fd;
}

static void serve(int listener, bool reset, atomic_ulong *accepted)
{
	char byte;

	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			continue;
		while (!reset && read(fd, &byte, 1) > 0)
			;
		close(fd);
		atomic_fetch_add(accepted, 1);
	}
}

static void wait_until(double when)
{
	struct timespec at = { .tv_sec = (time_t)when, .tv_nsec = (when - (time_t)when) * 1e9 };

	if (when > seconds())
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

struct stamp {
	uint64_t cookie;
	uint64_t wall_ns; /* when connect() had returned */
};

static void take_stamp(struct stamp *stamp, int fd)
{
	socklen_t size = sizeof(stamp->cookie);
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	stamp->wall_ns = now.tv_sec * 1000000000ULL + now.tv_nsec;
	getsockopt(fd, SOL_SOCKET, SO_COOKIE, &stamp->cookie, &size);
}

/*
 * churn --close rst|fin --seconds S --port P [--rate R] [--cpus CLIENT,SERVER] [--stamps FILE]
 *
 * One process connects over loopback and closes, another accepts and closes. With --rate that many a second,
 * else one after the other without a pause. The stamps of all connections go to a file at the end.
 */
int run_churn(char **argv)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };
	bool reset = !strcmp(option(argv, "--close", "rst"), "rst");
	double length = number(argv, "--seconds", 1), rate = number(argv, "--rate", 0);
	int port = number(argv, "--port", 0), client_cpu = -1, server_cpu = -1;
	const char *stamps_path = option(argv, "--stamps", NULL);
	atomic_ulong *accepted = shared(4096);
	struct stamp *stamps = stamps_path ? calloc(rate * length + 1, sizeof(*stamps)) : NULL;
	uint64_t made = 0, failed = 0;

	sscanf(option(argv, "--cpus", ""), "%d,%d", &client_cpu, &server_cpu);
	int listener = listen_anywhere(port), server = fork_bound();
	if (!server) {
		pin(server_cpu);
		serve(listener, reset, accepted);
	}
	close(listener);
	pin(client_cpu);
	double begin = seconds(), end = begin + length, now = begin;
	for (uint64_t i = 0; now < end && !(rate && i >= rate * length); i++) {
		struct sockaddr_in to = spread(i, port);
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		if (rate)
			wait_until(begin + i / rate);
		bool ok = !connect(fd, (struct sockaddr *)&to, sizeof(to));
		if (ok && stamps)
			take_stamp(&stamps[made], fd);
		if (reset)
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
		close(fd);
		made += ok;
		failed += !ok;
		while (made - atomic_load(accepted) > AHEAD)
			usleep(50);
		if (!(i & 63) || rate)
			now = seconds();
	}
	double took = seconds() - begin;
	for (int i = 0; i < 2000 && atomic_load(accepted) < made; i++)
		usleep(1000);
	if (stamps) {
		FILE *file = fopen(stamps_path, "w");

		if (!file || fwrite(stamps, sizeof(*stamps), made, file) != made || fclose(file))
			fail(stamps_path);
	}
	printf("{\"event\":\"done\",\"made\":%llu,\"failed\":%llu,\"accepted\":%lu,\"seconds\":%.6f}\n",
	       (unsigned long long)made, (unsigned long long)failed, atomic_load(accepted), took);
	return 0;
}
