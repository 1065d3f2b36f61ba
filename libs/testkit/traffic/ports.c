/* SPDX-License-Identifier: Apache-2.0 */
#include "traffic.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SOCKETS 64

static int sockets[SOCKETS];

static void set(int fd, int level, int name)
{
	int on = 1;

	if (setsockopt(fd, level, name, &on, sizeof(on)))
		fail("setsockopt");
}

/* open ID tcp|udp ADDRESS PORT [reuseport] [v6only] */
static void open_port(int id, char **words)
{
	bool udp = words[0] && !strcmp(words[0], "udp");
	struct endpoint at = parse_endpoint(words[1] ? words[1] : "", words[2] ? atoi(words[2]) : 0, false);
	int fd = socket(at.address.ss_family, udp ? SOCK_DGRAM : SOCK_STREAM, 0);

	if (fd < 0)
		fail("socket");
	/* A port that was just closed can be opened again. */
	set(fd, SOL_SOCKET, SO_REUSEADDR);
	if (given(words, "reuseport"))
		set(fd, SOL_SOCKET, SO_REUSEPORT);
	if (given(words, "v6only"))
		set(fd, IPPROTO_IPV6, IPV6_V6ONLY);
	if (bind(fd, (struct sockaddr *)&at.address, at.length))
		fail("bind");
	if (!udp && listen(fd, 16))
		fail("listen");
	sockets[id] = fd;
	say("{\"event\":\"opened\",\"pid\":%d,\"id\":%d,\"port\":%d}", getpid(), id, local_port(fd));
}

/* A child that holds every socket of its parent, and goes on without it until it is killed, or the harness is. */
static void share(void)
{
	pid_t harness = getppid();

	if (fork())
		return;
	say("{\"event\":\"shared\",\"pid\":%d}", getpid());
	while (!kill(harness, 0))
		usleep(50000);
	exit(0);
}

/*
 * ports: opens and closes ports as it is told on stdin: "open ID tcp|udp ADDRESS PORT [reuseport] [v6only]",
 * "close ID", "share" (fork a child that holds them all), "leave" (end, the children stay).
 */
int run_ports(char **argv)
{
	char line[256];

	(void)argv;
	hello("opener");
	while (read_line(line, sizeof(line))) {
		char *words[8] = { 0 };
		int count = 0;

		for (char *word = strtok(line, " "); word && count < 7; word = strtok(NULL, " "))
			words[count++] = word;
		int id = count > 1 ? atoi(words[1]) : 0;

		if (count == 0 || id < 0 || id >= SOCKETS)
			continue;
		if (!strcmp(words[0], "open")) {
			open_port(id, words + 2);
		} else if (!strcmp(words[0], "close")) {
			close(sockets[id]);
			say("{\"event\":\"closed\",\"pid\":%d,\"id\":%d}", getpid(), id);
		} else if (!strcmp(words[0], "share")) {
			share();
		} else if (!strcmp(words[0], "leave")) {
			return 0;
		}
	}
	return 0;
}
