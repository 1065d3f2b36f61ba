/* SPDX-License-Identifier: Apache-2.0 */
#include "traffic.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct {
	int fd;
	struct io_uring_sqe *entries;
	unsigned *sq_tail, *sq_array, *cq_head, *cq_tail;
	struct io_uring_cqe *completions;
} ring = { .fd = -1 };

static void open_ring(void)
{
	struct io_uring_params params = { 0 };

	ring.fd = (int)syscall(__NR_io_uring_setup, 4, &params);
	if (ring.fd < 0)
		fail("io_uring_setup");
	/* IORING_FEAT_SINGLE_MMAP (Linux 5.4): both rings lie in one mapping. */
	size_t sq = params.sq_off.array + params.sq_entries * sizeof(unsigned);
	size_t cq = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
	char *base = mmap(NULL, sq > cq ? sq : cq, PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd,
			  IORING_OFF_SQ_RING);
	ring.entries = mmap(NULL, params.sq_entries * sizeof(struct io_uring_sqe),
			    PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd, IORING_OFF_SQES);
	if (base == MAP_FAILED || ring.entries == MAP_FAILED)
		fail("io_uring mmap");
	ring.sq_tail = (unsigned *)(base + params.sq_off.tail);
	ring.sq_array = (unsigned *)(base + params.sq_off.array);
	ring.cq_head = (unsigned *)(base + params.cq_off.head);
	ring.cq_tail = (unsigned *)(base + params.cq_off.tail);
	ring.completions = (struct io_uring_cqe *)(base + params.cq_off.cqes);
}

static int submit_and_wait(const struct io_uring_sqe *request)
{
	if (ring.fd < 0)
		open_ring();
	unsigned tail = *ring.sq_tail;

	ring.entries[tail & 3] = *request;
	ring.sq_array[tail & 3] = tail & 3;
	__atomic_store_n(ring.sq_tail, tail + 1, __ATOMIC_RELEASE);
	unsigned submit = 1;
	while (*ring.cq_head == __atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE)) {
		int done = (int)syscall(__NR_io_uring_enter, ring.fd, submit, 1,
					IORING_ENTER_GETEVENTS, NULL, 0);
		if (done < 0 && errno != EINTR)
			fail("io_uring_enter");
		if (done > 0)
			submit = 0;
	}
	/* The completion ring has twice as many entries as were asked for. */
	int result = ring.completions[*ring.cq_head & 7].res;
	__atomic_store_n(ring.cq_head, *ring.cq_head + 1, __ATOMIC_RELEASE);
	if (result >= 0)
		return result;
	errno = -result;
	return -1;
}

int uring_accept(int fd)
{
	struct io_uring_sqe request = { .opcode = IORING_OP_ACCEPT, .fd = fd };

	return submit_and_wait(&request);
}

int uring_connect(int fd, const struct endpoint *to)
{
	struct io_uring_sqe request = { .opcode = IORING_OP_CONNECT,
					.fd = fd,
					.addr = (uintptr_t)&to->address,
					.off = to->length };

	return submit_and_wait(&request);
}

int uring_sendto(int fd, const void *data, size_t length, const struct endpoint *to)
{
	struct iovec part = { .iov_base = (void *)data, .iov_len = length };
	struct msghdr message = { .msg_name = (void *)&to->address,
				  .msg_namelen = to->length,
				  .msg_iov = &part,
				  .msg_iovlen = 1 };
	struct io_uring_sqe request = { .opcode = IORING_OP_SENDMSG,
					.fd = fd,
					.addr = (uintptr_t)&message,
					.len = 1 };

	return submit_and_wait(&request);
}
