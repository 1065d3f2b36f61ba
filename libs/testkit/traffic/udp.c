/* SPDX-License-Identifier: Apache-2.0 */
#include "traffic.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define BATCH 16
#define LARGEST 2048

static char payload[LARGEST];

static void send_by(const char *api, int fd, size_t size, const struct endpoint *to)
{
	struct iovec part = { .iov_base = payload, .iov_len = size };
	struct msghdr message = { .msg_name = (void *)&to->address,
				  .msg_namelen = to->length,
				  .msg_iov = &part,
				  .msg_iovlen = 1 };
	struct mmsghdr several = { .msg_hdr = message };
	ssize_t sent;

	if (strcmp(api, "send") == 0)
		sent = send(fd, payload, size, 0);
	else if (strcmp(api, "write") == 0)
		sent = write(fd, payload, size);
	else if (strcmp(api, "sendmsg") == 0)
		sent = sendmsg(fd, &message, 0);
	else if (strcmp(api, "sendmmsg") == 0)
		sent = sendmmsg(fd, &several, 1, 0) == 1 ? (ssize_t)several.msg_len : -1;
	else if (strcmp(api, "uring") == 0)
		sent = uring_sendto(fd, payload, size, to);
	else
		sent = sendto(fd, payload, size, 0, (struct sockaddr *)&to->address, to->length);
	if (sent != (ssize_t)size)
		fail("send");
}

/* Up to BATCH equal datagrams by one call. */
static void send_many(int fd, size_t size, const struct endpoint *to, int count)
{
	struct iovec part = { .iov_base = payload, .iov_len = size };
	struct mmsghdr several[BATCH] = { 0 };

	for (int i = 0; i < count; i++) {
		several[i].msg_hdr.msg_name = (void *)&to->address;
		several[i].msg_hdr.msg_namelen = to->length;
		several[i].msg_hdr.msg_iov = &part;
		several[i].msg_hdr.msg_iovlen = 1;
	}
	if (sendmmsg(fd, several, count, 0) != count)
		fail("sendmmsg");
}

/* A child goes on in this process's place, with its descriptors. */
static void leave_to_heir(void)
{
	int status, heir = fork();

	if (heir < 0)
		fail("fork");
	if (heir) {
		waitpid(heir, &status, 0);
		exit(status ? 1 : 0);
	}
}

static void pass_descriptor(int channel, int *fd, bool give)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .head = { .cmsg_len = CMSG_LEN(sizeof(int)),
				.cmsg_level = SOL_SOCKET,
				.cmsg_type = SCM_RIGHTS } };
	char byte = 0;
	struct iovec part = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control.room) };

	if (give)
		memcpy(CMSG_DATA(&control.head), fd, sizeof(*fd));
	if ((give ? sendmsg(channel, &message, 0) : recvmsg(channel, &message, 0)) != 1)
		fail("descriptor");
	if (!give)
		memcpy(fd, CMSG_DATA(&control.head), sizeof(*fd));
}

/* A child makes the socket, hands it to this process and stays until that ends. */
static int socket_of_stranger(int family)
{
	int channel[2], fd = -1;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, channel))
		fail("socketpair");
	int stranger = fork();
	if (stranger < 0)
		fail("fork");
	if (!stranger) {
		char byte;

		close(channel[0]);
		fd = socket(family, SOCK_DGRAM, 0);
		pass_descriptor(channel[1], &fd, true);
		_exit(read(channel[1], &byte, 1) > 0);
	}
	close(channel[1]);
	pass_descriptor(channel[0], &fd, false);
	return fd;
}

/*
 * send --to A --port P [--api sendto|send|write|sendmsg|sendmmsg|uring] [--connected] [--mapped]
 *      [--count N] [--size S] [--echo] [--hold] [--inherited] [--passed]
 *
 * One flow of N datagrams of S bytes. `send` and `write` connect the socket first. With --echo each
 * datagram waits for its answer, read by recv without an address. The sender has the socket from its
 * parent with --inherited, from another process with --passed.
 */
int run_send(char **argv)
{
	const char *api = option(argv, "--api", "sendto");
	struct endpoint to = parse_endpoint(option(argv, "--to", "127.0.0.1"),
					    number(argv, "--port", 0), given(argv, "--mapped"));
	int count = number(argv, "--count", 1);
	int size = number(argv, "--size", 100);
	long answered = 0;
	char answer[LARGEST];

	hello("sender");
	int fd = given(argv, "--passed") ? socket_of_stranger(to.address.ss_family) :
					   socket(to.address.ss_family, SOCK_DGRAM, 0);
	if (fd < 0)
		fail("socket");
	if (given(argv, "--connected") || strcmp(api, "send") == 0 || strcmp(api, "write") == 0) {
		if (connect(fd, (struct sockaddr *)&to.address, to.length))
			fail("connect");
	}
	if (given(argv, "--inherited"))
		leave_to_heir();
	bool many = strcmp(api, "sendmmsg") == 0 && !given(argv, "--echo");
	for (int left = count; left > 0;) {
		int now = many ? (left < BATCH ? left : BATCH) : 1;

		if (many)
			send_many(fd, size, &to, now);
		else
			send_by(api, fd, size, &to);
		if (given(argv, "--echo"))
			answered += recv(fd, answer, sizeof(answer), 0);
		left -= now;
	}
	say("{\"event\":\"done\",\"pid\":%d,\"localPort\":%d,\"datagrams\":%d,\"bytes\":%ld,"
	    "\"answered\":%ld}",
	    getpid(), local_port(fd), count, (long)count * size, answered);
	if (given(argv, "--hold"))
		await_stop();
	close(fd);
	await_stop();
	return 0;
}

/* Receives one or more datagrams; `from` is filled in only by the calls that ask for it. */
static int receive_by(const char *api, int fd, struct sockaddr_storage *from, long *bytes)
{
	static char buffers[BATCH][LARGEST];
	struct iovec parts[BATCH];
	struct mmsghdr several[BATCH] = { 0 };
	socklen_t length = sizeof(*from);
	ssize_t got;

	for (int i = 0; i < BATCH; i++) {
		parts[i] = (struct iovec){ .iov_base = buffers[i], .iov_len = LARGEST };
		several[i].msg_hdr.msg_iov = &parts[i];
		several[i].msg_hdr.msg_iovlen = 1;
	}
	if (strcmp(api, "recvmmsg") == 0) {
		int count = recvmmsg(fd, several, BATCH, MSG_WAITFORONE, NULL);
		for (int i = 0; i < count; i++)
			*bytes += several[i].msg_len;
		return count;
	}
	if (strcmp(api, "recv") == 0) {
		got = recv(fd, buffers[0], LARGEST, 0);
	} else if (strcmp(api, "read") == 0) {
		got = read(fd, buffers[0], LARGEST);
	} else if (strcmp(api, "recvmsg") == 0) {
		several[0].msg_hdr.msg_name = from;
		several[0].msg_hdr.msg_namelen = sizeof(*from);
		got = recvmsg(fd, &several[0].msg_hdr, 0);
	} else {
		got = recvfrom(fd, buffers[0], LARGEST, 0, (struct sockaddr *)from, &length);
	}
	if (got < 0)
		return -1;
	*bytes += got;
	return 1;
}

static bool datagram_is_waiting(int fd)
{
	struct pollfd both[2] = { { .fd = fd, .events = POLLIN },
				  { .fd = STDIN_FILENO, .events = POLLIN } };

	while (poll(both, 2, -1) < 0 && errno == EINTR)
		;
	return !both[1].revents;
}

/*
 * receive [--address A] [--port P] [--api recvfrom|recv|read|recvmsg|recvmmsg] [--count N] [--echo]
 *
 * Says when N datagrams have come. Its buffer is large enough to lose none of a test's.
 */
int run_receive(char **argv)
{
	const char *api = option(argv, "--api", "recvfrom");
	struct endpoint at = parse_endpoint(option(argv, "--address", "0.0.0.0"),
					    number(argv, "--port", 0), false);
	int wanted = number(argv, "--count", 1), room = 64 << 20, datagrams = 0;
	long bytes = 0;

	hello("receiver");
	int fd = socket(at.address.ss_family, SOCK_DGRAM, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&at.address, at.length))
		fail("bind");
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	say("{\"event\":\"ready\",\"pid\":%d,\"port\":%d}", getpid(), local_port(fd));
	while (datagrams < wanted && datagram_is_waiting(fd)) {
		struct sockaddr_storage from = { 0 };
		int got = receive_by(api, fd, &from, &bytes);

		if (got < 0)
			fail("receive");
		datagrams += got;
		if (given(argv, "--echo") &&
		    sendto(fd, payload, 10, 0, (struct sockaddr *)&from, sizeof(struct sockaddr_in6)) < 0)
			fail("answer");
	}
	say("{\"event\":\"done\",\"pid\":%d,\"datagrams\":%d,\"bytes\":%ld}", getpid(), datagrams, bytes);
	await_stop();
	return 0;
}
