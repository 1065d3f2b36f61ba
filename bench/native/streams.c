/* SPDX-License-Identifier: Apache-2.0 */
#include "load.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * flood --seconds S --port P [--cpus SENDER,RECEIVER]: datagrams of 64 bytes over loopback as fast as one
 * process sends them; loopback takes them to the receiver's queue in the sender's own time.
 */
int run_flood(char **argv)
{
	struct sockaddr_in to = spread(0, number(argv, "--port", 0));
	double length = number(argv, "--seconds", 1);
	int sender_cpu = -1, receiver_cpu = -1, bytes = 4 << 20;
	int receiver = socket(AF_INET, SOCK_DGRAM, 0), sender = socket(AF_INET, SOCK_DGRAM, 0);
	atomic_ulong *received = shared(4096);
	char datagram[64] = { 0 };
	uint64_t sent = 0;

	sscanf(option(argv, "--cpus", ""), "%d,%d", &sender_cpu, &receiver_cpu);
	setsockopt(receiver, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	if (bind(receiver, (struct sockaddr *)&to, sizeof(to)))
		fail("bind");
	if (!fork_bound()) {
		pin(receiver_cpu);
		while (recv(receiver, datagram, sizeof(datagram), 0) >= 0)
			atomic_fetch_add(received, 1);
		_exit(0);
	}
	pin(sender_cpu);
	double begin = seconds(), now = begin;
	while (now < begin + length) {
		for (int i = 0; i < 64; i++)
			sent += sendto(sender, datagram, sizeof(datagram), 0, (struct sockaddr *)&to,
				       sizeof(to)) == sizeof(datagram);
		now = seconds();
	}
	usleep(20000);
	printf("{\"event\":\"done\",\"sent\":%llu,\"received\":%lu,\"seconds\":%.6f}\n", (unsigned long long)sent,
	       atomic_load(received), now - begin);
	return 0;
}

/* bulk --seconds S --port P: one TCP connection over loopback, as much as it carries. */
int run_bulk(char **argv)
{
	static char buffer[256 << 10];
	struct sockaddr_in at = spread(0, number(argv, "--port", 0));
	double length = number(argv, "--seconds", 1);
	int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0), on = 1;
	uint64_t bytes = 0;
	ssize_t moved;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) || listen(listener, 1))
		fail("listen");
	if (!fork_bound()) {
		int fd = accept(listener, NULL, NULL);

		pin(number(argv, "--server-cpu", -1));
		while (read(fd, buffer, sizeof(buffer)) > 0)
			;
		_exit(0);
	}
	pin(number(argv, "--client-cpu", -1));
	if (connect(client, (struct sockaddr *)&at, sizeof(at)))
		fail("connect");
	double begin = seconds(), now = begin;
	while (now < begin + length && (moved = write(client, buffer, sizeof(buffer))) > 0) {
		bytes += moved;
		now = seconds();
	}
	printf("{\"event\":\"done\",\"bytes\":%llu,\"seconds\":%.6f}\n", (unsigned long long)bytes, now - begin);
	return 0;
}

void bring_up_loopback(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (ioctl(fd, SIOCSIFFLAGS, &request))
		fail("loopback");
	close(fd);
}

void hold_connections(uint32_t connections, int port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) || listen(listener, 128))
		fail("listen");
	for (uint32_t i = 0; i < connections; i++) {
		struct sockaddr_in to = spread(i, port);
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		if (connect(fd, (struct sockaddr *)&to, sizeof(to)) || accept(listener, NULL, NULL) < 0)
			fail("connect");
	}
}

/* hold --sockets N --processes M: so many connected sockets, in M processes with a network namespace each. */
int run_hold(char **argv)
{
	int processes = number(argv, "--processes", 3), each = number(argv, "--sockets", 1000) / 2 / processes;
	atomic_int *ready = shared(4096);
	char line[16];

	printf("{\"event\":\"holders\",\"sockets\":%d,\"pids\":[", 2 * each * processes);
	fflush(stdout);
	for (int i = 0; i < processes; i++) {
		int pid = fork_bound();

		if (!pid) {
			if (unshare(CLONE_NEWNET))
				fail("network namespace");
			bring_up_loopback();
			hold_connections(each, 7000);
			atomic_fetch_add(ready, 1);
			pause();
			_exit(0);
		}
		printf("%s%d", i ? "," : "", pid);
	}
	printf("]}\n");
	while (atomic_load(ready) < processes)
		usleep(1000);
	printf("{\"event\":\"ready\",\"sockets\":%d}\n", 2 * each * processes);
	next_command(line, sizeof(line));
	return 0;
}
