/* SPDX-License-Identifier: Apache-2.0 */
#include "traffic.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Fills in the name as the kernel would show it: any bytes but NUL, given as hexadecimal digits. */
static void take_name(const char *hex)
{
	char name[16] = { 0 };
	unsigned byte;

	for (size_t i = 0; i < sizeof(name) - 1 && sscanf(hex + 2 * i, "%2x", &byte) == 1; i++)
		name[i] = (char)byte;
	prctl(PR_SET_NAME, name);
}

static int open_socket(char **argv, const struct endpoint *to)
{
	int user_timeout = number(argv, "--user-timeout", 0);
	int syn_retries = number(argv, "--syn-retries", 0);
	int fd = socket(to->address.ss_family, SOCK_STREAM, 0);

	if (fd < 0 ||
	    (user_timeout && setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout, 4)) ||
	    (syn_retries && setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, &syn_retries, 4)))
		fail("socket");
	return fd;
}

static void send_bytes(int fd, char first, int bytes)
{
	char buffer[4096] = { first };

	for (int sent = 0; sent < bytes;) {
		size_t chunk = bytes - sent < 4096 ? bytes - sent : 4096;
		ssize_t n = send(fd, buffer, chunk, MSG_NOSIGNAL);
		if (n <= 0)
			return;
		sent += n;
		buffer[0] = 0;
	}
}

static void finish(int fd, const char *mode, int bytes)
{
	char buffer[4096];
	struct linger reset = { .l_onoff = 1, .l_linger = 0 };

	if (strcmp(mode, "hold") == 0)
		return;
	if (strcmp(mode, "exit") == 0)
		_exit(0);
	send_bytes(fd, mode[0], bytes);
	if (strcmp(mode, "passive") == 0)
		while (recv(fd, buffer, sizeof(buffer), 0) > 0)
			;
	if (strcmp(mode, "reset") == 0)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(fd);
}

static bool connect_once(char **argv, const char *mode)
{
	struct endpoint to = parse_endpoint(option(argv, "--to", "127.0.0.1"),
					    number(argv, "--port", 0), given(argv, "--mapped"));
	int fd = open_socket(argv, &to);
	bool uring = strcmp(option(argv, "--api", "connect"), "uring") == 0;

	if (uring ? uring_connect(fd, &to) : connect(fd, (struct sockaddr *)&to.address, to.length)) {
		say("{\"event\":\"failed\",\"pid\":%d,\"error\":\"%s\"}", getpid(),
		    strerrorname_np(errno));
		close(fd);
		return false;
	}
	say("{\"event\":\"connected\",\"pid\":%d,\"localPort\":%d}", getpid(), local_port(fd));
	finish(fd, mode, number(argv, "--bytes", 1));
	return true;
}

/* A process of its own, by fork and exec, that connects and exits without closing. */
static bool connect_and_exit(char **argv)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		char *arguments[64] = { "traffic-client", "connect", "--one" };
		int count = 3;

		for (; *argv && count < 63; argv++)
			arguments[count++] = *argv;
		execv(sibling("traffic-client"), arguments);
		fail("exec client");
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		fail("client");
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/*
 * connect --to A --port P [--count N] [--close active|passive|reset|exit|hold] [--bytes N]
 *         [--api connect|uring] [--mapped] [--name-hex H] [--user-timeout MS] [--syn-retries N]
 *
 * active: this end closes first. passive: the other end does. reset: this end resets. exit: a new
 * process for each connection, which exits at once. hold: all stay open until stdin ends.
 */
int run_connect(char **argv)
{
	const char *mode = option(argv, "--close", "active");
	int made = 0, failed = 0;

	if (given(argv, "--one"))
		return connect_once(argv, mode) ? 0 : 1;
	if (option(argv, "--name-hex", NULL))
		take_name(option(argv, "--name-hex", NULL));
	hello("client");
	for (int i = 0; i < number(argv, "--count", 1); i++) {
		bool ok = strcmp(mode, "exit") == 0 ? connect_and_exit(argv) :
						      connect_once(argv, mode);
		made += ok;
		failed += !ok;
	}
	say("{\"event\":\"done\",\"made\":%d,\"failed\":%d}", made, failed);
	await_stop();
	return 0;
}
