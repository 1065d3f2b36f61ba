/* SPDX-License-Identifier: Apache-2.0 */
#include "traffic.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void say(const char *format, ...)
{
	char line[1024];
	va_list arguments;

	va_start(arguments, format);
	int length = vsnprintf(line, sizeof(line) - 1, format, arguments);
	va_end(arguments);
	line[length++] = '\n';
	if (write(STDOUT_FILENO, line, length) != length)
		_exit(1);
}

void fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

/* One byte at a time: what follows the line belongs to whoever inherits stdin. */
bool read_line(char *line, size_t size)
{
	size_t length = 0;
	char byte;

	while (read(STDIN_FILENO, &byte, 1) == 1) {
		if (byte == '\n') {
			line[length] = '\0';
			return true;
		}
		if (length < size - 1)
			line[length++] = byte;
	}
	return false;
}

void hello(const char *role)
{
	char line[16];

	say("{\"event\":\"hello\",\"role\":\"%s\",\"pid\":%d}", role, getpid());
	if (!read_line(line, sizeof(line)) || strcmp(line, "go") != 0)
		exit(0);
}

void await_stop(void)
{
	char line[16];

	while (read_line(line, sizeof(line)) && strcmp(line, "stop") != 0)
		;
}

struct endpoint parse_endpoint(const char *address, int port, bool mapped)
{
	struct endpoint to = { 0 };
	struct sockaddr_in *v4 = (struct sockaddr_in *)&to.address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&to.address;
	char text[INET6_ADDRSTRLEN + 8];

	if (!mapped && inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		to.length = sizeof(*v4);
		return to;
	}
	snprintf(text, sizeof(text), "%s%s", mapped ? "::ffff:" : "", address);
	if (inet_pton(AF_INET6, text, &v6->sin6_addr) != 1) {
		fprintf(stderr, "not an address: %s\n", address);
		exit(2);
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(port);
	to.length = sizeof(*v6);
	return to;
}

int port_of(const struct sockaddr_storage *address)
{
	/* sin_port and sin6_port have the same offset. */
	return ntohs(((const struct sockaddr_in *)address)->sin_port);
}

int local_port(int fd)
{
	struct sockaddr_storage name;
	socklen_t length = sizeof(name);

	return getsockname(fd, (struct sockaddr *)&name, &length) == 0 ? port_of(&name) : 0;
}

const char *sibling(const char *name)
{
	static char path[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (length < 0)
		fail("/proc/self/exe");
	path[length] = '\0';
	char *slash = strrchr(path, '/');
	snprintf(slash + 1, sizeof(path) - (slash + 1 - path), "%s", name);
	return path;
}

const char *option(char **argv, const char *name, const char *otherwise)
{
	for (; *argv; argv++)
		if (strcmp(*argv, name) == 0)
			return argv[1] ? argv[1] : otherwise;
	return otherwise;
}

int number(char **argv, const char *name, int otherwise)
{
	const char *text = option(argv, name, NULL);

	return text ? atoi(text) : otherwise;
}

bool given(char **argv, const char *name)
{
	for (; *argv; argv++)
		if (strcmp(*argv, name) == 0)
			return true;
	return false;
}
