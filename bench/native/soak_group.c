/* SPDX-License-Identifier: Apache-2.0 */
#include "load.h"
#include "soak.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Listeners that come and go, and connects that nobody takes, before the rest begins. */
#define LISTENERS 4
#define REFUSED 10
/* Every fourth connection ends with a FIN, the others with a reset. */
#define FIN_EVERY 4
/* Flows of a socket; every fourth socket has only one. */
#define FLOWS 8
/* How many were begun in each 50 ms, counted from the bin in which the group began. */
#define BIN_US 50000
#define BINS 160

struct made {
	uint64_t begin_us;
	uint32_t tcp, failed, refused, listeners, forks, flows, senders, sender_ports;
	uint16_t bins[BINS];
	uint8_t ports[8192]; /* of senders, a bit each */
};

static void count_bin(struct made *made)
{
	uint64_t bin = soak_wall_us() / BIN_US - made->begin_us / BIN_US;

	made->bins[bin < BINS ? bin : BINS - 1]++;
}

static int listen_at(struct sockaddr_in at, int backlog)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) || listen(fd, backlog))
		fail("soak: listen");
	return fd;
}

static void end_connection(int fd, bool fin)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };

	if (!fin)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(fd);
}

static bool connect_and_end(struct sockaddr_in to, bool fin)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	bool ok = !connect(fd, (struct sockaddr *)&to, sizeof(to));

	end_connection(fd, fin);
	return ok;
}

/* In this process, or in one that ends with its connection; it is accepted here. */
static void one_connection(struct made *made, int listener, struct sockaddr_in to, uint32_t index, bool forked)
{
	bool fin = index % FIN_EVERY == 0, ok;
	int status = 0, pid = 0;

	count_bin(made);
	if (forked) {
		pid = fork_bound();
		if (!pid)
			_exit(connect_and_end(to, fin) ? 0 : 1);
		waitpid(pid, &status, 0);
		ok = !status;
		made->forks++;
	} else {
		ok = connect_and_end(to, fin);
	}
	made->tcp += ok;
	made->failed += !ok;
	if (ok)
		close(accept(listener, NULL, NULL));
}

static void count_port(struct made *made, int fd)
{
	struct sockaddr_in at;
	socklen_t size = sizeof(at);

	if (getsockname(fd, (struct sockaddr *)&at, &size))
		return;
	uint32_t port = ntohs(at.sin_port), bit = 1 << (port & 7);

	made->sender_ports += !(made->ports[port >> 3] & bit);
	made->ports[port >> 3] |= bit;
}

/* A socket that sends one datagram to each of some peers; how many. */
static uint32_t one_sender(struct made *made, uint32_t first_peer, uint32_t most, int port)
{
	uint32_t flows = made->senders++ % 4 == 0 ? 1 : FLOWS;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (flows > most)
		flows = most;
	for (uint32_t i = 0; i < flows; i++) {
		struct sockaddr_in to = soak_peer(first_peer + i, port);

		if (sendto(fd, "soak", 4, 0, (struct sockaddr *)&to, sizeof(to)) == 4)
			made->flows++;
		else
			made->failed++;
	}
	count_port(made, fd);
	close(fd);
	return flows;
}

static void report(const struct soak_group *group, const struct made *made, int port, uint32_t netns)
{
	char bins[BINS * 6 + 1];
	int at = 0, last = BINS - 1;

	while (last > 0 && !made->bins[last])
		last--;
	for (int i = 0; i <= last; i++)
		at += sprintf(bins + at, "%s%u", i ? "," : "", made->bins[i]);
	soak_say("{\"event\":\"group\",\"number\":%u,\"port\":%d,\"netns\":%u,\"beginUs\":%llu,\"endUs\":%llu,"
		 "\"tcp\":%u,\"refused\":%u,\"failed\":%u,\"forks\":%u,\"listeners\":%u,\"flows\":%u,"
		 "\"senders\":%u,\"bins\":[%s]}\n",
		 group->number, port, netns, (unsigned long long)made->begin_us,
		 (unsigned long long)soak_wall_us(), made->tcp, made->refused, made->failed, made->forks,
		 made->listeners, made->flows, made->sender_ports, bins);
}

void soak_group(const struct soak_group *group)
{
	static struct made made;
	int port = SOAK_FIRST_PORT + group->number % SOAK_PORTS, receiver = -1, bytes = 4096;
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(port) };
	uint32_t peer = group->first_peer, tcp = 0, udp = 0, forked = 0;

	made.begin_us = soak_wall_us();
	uint32_t netns = soak_unshare();
	for (int i = 0; i < REFUSED; i++)
		made.refused += !connect_and_end(soak_peer(peer++, port), false) && errno != EADDRNOTAVAIL;
	for (int i = 0; i < LISTENERS; i++, made.listeners++)
		close(listen_at(soak_peer(i, port), 1));
	int listener = listen_at(any, 1024);
	made.listeners++;
	if (group->udp) {
		receiver = socket(AF_INET, SOCK_DGRAM, 0);
		setsockopt(receiver, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
		if (bind(receiver, (struct sockaddr *)&any, sizeof(any)))
			fail("soak: bind");
	}
	for (double begin = seconds(); tcp < group->tcp || udp < group->udp; usleep(1000)) {
		double part = (seconds() - begin) / group->seconds;

		for (part = part < 1 ? part : 1; tcp < part * group->tcp; tcp++) {
			bool own = forked < (uint64_t)group->forks * (tcp + 1) / group->tcp;

			forked += own;
			one_connection(&made, listener, soak_peer(peer++, port), tcp, own);
		}
		for (uint32_t flows; udp < part * group->udp; udp += flows, peer += flows)
			flows = one_sender(&made, peer, group->udp - udp, port);
	}
	close(listener);
	if (receiver >= 0)
		close(receiver);
	report(group, &made, port, netns);
	_exit(0);
}
