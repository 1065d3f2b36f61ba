/* SPDX-License-Identifier: Apache-2.0 */
#include "traffic.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define HELD_MOST 16384

static int open_listener(const char *address, int port, int flags)
{
	struct endpoint at = parse_endpoint(address, port, false);
	int on = 1;
	int fd = socket(at.address.ss_family, SOCK_STREAM | flags, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(fd, (struct sockaddr *)&at.address, at.length) || listen(fd, 4096))
		fail("listen");
	return fd;
}

/*
 * listen [--address A] [--port P] [--extra N] [--no-acceptor] [accept's options]
 *
 * Binds and listens, then starts the acceptor as a child that inherits the listening socket, before
 * any connection is accepted. The extra listeners stay with this process alone.
 */
int run_listen(char **argv)
{
	const char *address = option(argv, "--address", "0.0.0.0");

	hello("listener");
	for (int i = 0; i < number(argv, "--extra", 0); i++) {
		int extra = open_listener(address, 0, SOCK_CLOEXEC);
		say("{\"event\":\"listening\",\"extra\":true,\"port\":%d,\"pid\":%d}", local_port(extra),
		    getpid());
	}
	int fd = open_listener(address, number(argv, "--port", 0), 0);
	say("{\"event\":\"listening\",\"extra\":false,\"port\":%d,\"pid\":%d}", local_port(fd),
	    getpid());
	if (given(argv, "--no-acceptor")) {
		await_stop();
		return 0;
	}

	pid_t child = fork();
	if (child == 0) {
		char text[16];
		char *arguments[64] = { "traffic-acceptor", "accept", "--fd", text };
		int count = 4;

		snprintf(text, sizeof(text), "%d", fd);
		for (; *argv && count < 63; argv++)
			arguments[count++] = *argv;
		execv(sibling("traffic-acceptor"), arguments);
		fail("exec acceptor");
	}
	if (child < 0 || waitpid(child, NULL, 0) != child)
		fail("acceptor");
	return 0;
}

static int accept_by(const char *api, int fd)
{
	if (strcmp(api, "uring") == 0)
		return uring_accept(fd);
	if (strcmp(api, "accept") == 0)
		return accept(fd, NULL, NULL);
	return accept4(fd, NULL, NULL, SOCK_CLOEXEC);
}

/*
 * The first byte says who closes first: 'p' asks this end to, anything else waits for the client.
 */
static void serve(int fd, int reply)
{
	char buffer[4096] = { 0 };
	ssize_t got = recv(fd, buffer, sizeof(buffer), 0);

	if (got > 0 && buffer[0] == 'p') {
		for (int sent = 0; sent < reply;) {
			size_t chunk = reply - sent < 4096 ? reply - sent : 4096;
			ssize_t n = send(fd, buffer, chunk, MSG_NOSIGNAL);
			if (n <= 0)
				break;
			sent += n;
		}
	} else {
		while (got > 0)
			got = recv(fd, buffer, sizeof(buffer), 0);
	}
	close(fd);
}

static struct pollfd watched[2 + HELD_MOST] = { { .events = POLLIN },
						{ .fd = STDIN_FILENO, .events = POLLIN } };
static nfds_t watching = 2;

/* Closes the held connections that the other end has closed. */
static void close_ended(void)
{
	for (nfds_t i = 2; i < watching; i++) {
		if (!watched[i].revents)
			continue;
		close(watched[i].fd);
		watched[i--] = watched[--watching];
	}
}

/* Returns once a connection waits to be accepted; false when stdin ends. */
static bool connection_is_waiting(int fd)
{
	watched[0].fd = fd;
	do {
		while (poll(watched, watching, -1) < 0 && errno == EINTR)
			;
		if (watched[1].revents)
			return false;
		close_ended();
	} while (!watched[0].revents);
	return true;
}

static void hold(int fd)
{
	if (watching == 2 + HELD_MOST)
		fail("too many connections to hold");
	watched[watching++] = (struct pollfd){ .fd = fd, .events = POLLIN };
}

/*
 * accept --fd N [--api accept4|accept|uring] [--netns PATH] [--reply BYTES] [--hold]
 *
 * With --netns the process leaves the listener's namespace; the sockets it accepts stay there. With
 * --hold it keeps each connection until the other end closes it.
 */
int run_accept(char **argv)
{
	int listener = number(argv, "--fd", -1);
	int reply = number(argv, "--reply", 0);
	const char *api = option(argv, "--api", "accept4");
	const char *netns = option(argv, "--netns", NULL);
	bool keep = given(argv, "--hold");

	if (netns) {
		int fd = open(netns, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || setns(fd, CLONE_NEWNET))
			fail(netns);
		close(fd);
	}
	hello("acceptor");
	say("{\"event\":\"ready\",\"pid\":%d}", getpid());
	while (connection_is_waiting(listener)) {
		struct sockaddr_storage peer;
		socklen_t length = sizeof(peer);
		int fd = accept_by(api, listener);

		if (fd < 0) {
			if (errno == ECONNABORTED || errno == EINTR)
				continue;
			fail("accept");
		}
		/* A reset that came first takes the peer's name with it. */
		int port = getpeername(fd, (struct sockaddr *)&peer, &length) ? 0 : port_of(&peer);
		say("{\"event\":\"accepted\",\"pid\":%d,\"peerPort\":%d}", getpid(), port);
		if (keep)
			hold(fd);
		else
			serve(fd, reply);
	}
	return 0;
}
