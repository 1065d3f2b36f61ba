/* SPDX-License-Identifier: Apache-2.0 */
#include "soak.h"
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A group begins so often, and lasts twice as long. */
#define GROUP_EVERY 0.5
/* A machine that does not keep up has no more than so many at a time. */
#define GROUPS_AT_ONCE 6
/* Before and after a flood there are no flows but its own: flows end with a sweep, once a second. */
#define FLOOD_CALM 3.0
#define FLOOD_HOLD 3.0

struct sockaddr_in soak_peer(uint32_t index, int port)
{
	uint32_t block = 1 + (index >> 16) % 250;

	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(0x7f000000 | block << 16 | (index & 0xffff)),
	};
}

uint64_t soak_wall_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * 1000000ULL + now.tv_nsec / 1000;
}

uint32_t soak_unshare(void)
{
	struct stat netns;

	if (unshare(CLONE_NEWNET) || stat("/proc/self/ns/net", &netns))
		fail("soak: network namespace");
	bring_up_loopback();
	return netns.st_ino;
}

void soak_say(const char *format, ...)
{
	char line[4096];
	va_list arguments;

	va_start(arguments, format);
	int length = vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	if (length >= (int)sizeof(line) || write(1, line, length) != length)
		fail("soak: report");
}

void soak_reside(uint32_t connections)
{
	uint32_t netns = soak_unshare();

	hold_connections(connections, SOAK_RESIDENT_PORT);
	soak_say("{\"event\":\"residents\",\"port\":%d,\"connections\":%u,\"netns\":%u}\n", SOAK_RESIDENT_PORT,
		 connections, netns);
	for (;;)
		pause();
}

void soak_flood(uint32_t first_peer, uint32_t flows, uint32_t rate)
{
	usleep(FLOOD_CALM * 1e6);
	uint32_t netns = soak_unshare();
	int fd = socket(AF_INET, SOCK_DGRAM, 0), sent = 0;
	double begin = seconds();

	for (uint32_t made = 0; made < flows; usleep(1000))
		for (double due = (seconds() - begin) * rate; made < flows && made < due; made++) {
			struct sockaddr_in to = soak_peer(first_peer + made, SOAK_FLOOD_PORT);

			sent += sendto(fd, "soak", 4, 0, (struct sockaddr *)&to, sizeof(to)) == 4;
		}
	usleep(FLOOD_HOLD * 1e6);
	close(fd);
	usleep(FLOOD_CALM * 1e6);
	soak_say("{\"event\":\"flooded\",\"port\":%d,\"netns\":%u,\"flows\":%d}\n", SOAK_FLOOD_PORT, netns,
		 sent);
	_exit(0);
}

/* The next command on stdin, at most until a time; false when there is none. */
static bool command_until(double when, char *line, int size)
{
	struct pollfd input = { .fd = 0, .events = POLLIN };
	double left = when - seconds();

	if (poll(&input, 1, left > 0 ? left * 1000 + 1 : 0) <= 0)
		return false;
	ssize_t length = read(0, line, size - 1);

	if (length <= 0)
		strcpy(line, "stop\n");
	else
		line[length] = 0;
	return true;
}

/* Ended children; whether one of them was the flood. */
static int reap(int *running, int flood)
{
	for (int pid, status; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
		if (status)
			fail("soak: a part of the load failed");
		if (pid == flood)
			flood = 0;
		else
			--*running;
	}
	return flood;
}

/*
 * soak --tcp R --udp R --forks R --residents N: so many connections, flows and processes a second, in groups that
 * have a network namespace, a port and a line of what was made each. Commands: "flood FLOWS RATE", "stop".
 */
int run_soak(char **argv)
{
	struct soak_group group = {
		.tcp = number(argv, "--tcp", 3000) * GROUP_EVERY,
		.udp = number(argv, "--udp", 1800) * GROUP_EVERY,
		.forks = number(argv, "--forks", 200) * GROUP_EVERY,
		.seconds = 2 * GROUP_EVERY,
	};
	uint32_t udp = group.udp, each = 64 + group.tcp + group.udp, late = 0, flows, rate;
	int residents = number(argv, "--residents", 500), running = 0, flood = 0;
	char line[64];

	int resident = fork_bound();
	if (!resident)
		soak_reside(residents);
	for (double next = seconds();; next += GROUP_EVERY) {
		while (command_until(next, line, sizeof(line))) {
			if (sscanf(line, "flood %u %u", &flows, &rate) == 2) {
				flood = fork_bound();
				if (!flood)
					soak_flood(group.first_peer, flows, rate);
				group.first_peer += flows;
			} else {
				goto stop;
			}
		}
		flood = reap(&running, flood);
		if (running >= GROUPS_AT_ONCE) {
			late++;
			continue;
		}
		group.udp = flood ? 0 : udp;
		if (!fork_bound())
			soak_group(&group);
		running++;
		group.number++;
		group.first_peer += each;
	}
stop:
	while (running > 0 || flood) {
		flood = reap(&running, flood);
		usleep(10000);
	}
	soak_say("{\"event\":\"stopped\",\"groups\":%u,\"late\":%u}\n", group.number, late);
	/* Those that stay do so until they are told to go, too. */
	command_until(seconds() + 3600, line, sizeof(line));
	return 0;
}
