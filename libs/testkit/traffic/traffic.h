/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NETSTATD_TRAFFIC_H
#define NETSTATD_TRAFFIC_H

/*
 * Traffic whose truth is known: every subcommand says on stdout, one JSON object a line, who it is
 * and what it did. A process says hello with its pid and waits for the line "go", so that the
 * harness can move it into a cgroup before it makes its first socket; it ends when stdin ends.
 */

#include <netinet/in.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* An IPv4 or IPv6 endpoint; IPv4 is held as IPv4-mapped when `mapped` was asked for. */
struct endpoint {
	struct sockaddr_storage address;
	socklen_t length;
};

/* Writes one line of JSON with a single write(2), so that lines of several processes never mix. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Prints the cause and ends the process with status 1. */
void fail(const char *what) __attribute__((noreturn));

/* Says hello and returns once the harness has said "go"; ends the process when stdin ends first. */
void hello(const char *role);

/* Reads a line of stdin without its end, cut at `size`; false when stdin has ended. */
bool read_line(char *line, size_t size);

/* Returns when stdin ends or says "stop". */
void await_stop(void);

struct endpoint parse_endpoint(const char *address, int port, bool mapped);
int port_of(const struct sockaddr_storage *address);
int local_port(int fd);

/* The directory of this executable joined with `name`, in a static buffer. */
const char *sibling(const char *name);

/* The value of `--name VALUE` in argv, or `otherwise`. */
const char *option(char **argv, const char *name, const char *otherwise);
int number(char **argv, const char *name, int otherwise);
bool given(char **argv, const char *name);

/* io_uring by raw system calls, one request at a time; results and errno as of the plain calls. */
int uring_accept(int fd);
int uring_connect(int fd, const struct endpoint *to);
int uring_sendto(int fd, const void *data, size_t length, const struct endpoint *to);

int run_listen(char **argv);
int run_accept(char **argv);
int run_connect(char **argv);
int run_send(char **argv);
int run_receive(char **argv);
int run_churn(char **argv);
int run_ports(char **argv);

#endif /* NETSTATD_TRAFFIC_H */
