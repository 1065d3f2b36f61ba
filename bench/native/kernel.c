/* SPDX-License-Identifier: Apache-2.0 */
/* The generator's object: making records, consuming them in C, and what the kernel says about run times. */
#include "load.h"
#include "generate.h"

#include <linux/types.h>
#include "../../bpf/record.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Connections a run of the program; the ring is filled in steps, so that the reader is not kept waiting. */
#define STEP 512

static struct bpf_object *load_object(char **argv, const char *only, int ring_fd, uint32_t ring_bytes)
{
	const char *path = option(argv, "--object", NULL);
	struct bpf_object *object = path ? bpf_object__open_file(path, NULL) : NULL;
	struct bpf_program *program;
	struct bpf_map *ring;

	if (!object)
		fail("--object");
	ring = bpf_object__find_map_by_name(object, "records");
	if (ring_fd >= 0 ? bpf_map__reuse_fd(ring, ring_fd) : bpf_map__set_max_entries(ring, ring_bytes))
		fail("ring");
	bpf_object__for_each_program(program, object)
		bpf_program__set_autoload(program, !strncmp(bpf_program__name(program), only, strlen(only)));
	if (bpf_object__load(object))
		fail("load");
	return object;
}

static uint32_t own_netns(void)
{
	struct stat stat_of;

	return stat("/proc/self/ns/net", &stat_of) ? 0 : stat_of.st_ino;
}

/* Makes connections with cookies that no socket has; returns the records that found no room. */
static uint64_t make(int program_fd, uint64_t connections, int port)
{
	static uint64_t cookie = 1ULL << 44;
	uint64_t lost = 0;

	for (uint64_t left = connections; left;) {
		struct generate request = {
			.first_cookie = cookie,
			.connections = left < STEP ? left : STEP,
			.port = port,
			.netns = own_netns(),
		};
		LIBBPF_OPTS(bpf_test_run_opts, run, .ctx_in = &request, .ctx_size_in = sizeof(request));

		if (bpf_prog_test_run_opts(program_fd, &run))
			fail("run generate");
		cookie += 2 * request.connections;
		left -= request.connections;
		lost += request.lost;
	}
	return lost;
}

/*
 * generate --object O --ring ID [--port P] [--cookies N]: for each line "N" makes N connections in the ring of
 * that id and answers.
 */
int run_generate(char **argv)
{
	int ring_fd = bpf_map_get_fd_by_id(number(argv, "--ring", 0));
	int port = number(argv, "--port", 46999);
	char line[64];

	if (ring_fd < 0)
		fail("--ring");
	struct bpf_object *object = load_object(argv, "generate", ring_fd, 0);
	int program_fd = bpf_program__fd(bpf_object__find_program_by_name(object, "generate"));

	printf("{\"event\":\"ready\",\"pid\":%d}\n", getpid());
	while (next_command(line, sizeof(line))) {
		uint64_t connections = strtoull(line, NULL, 10), lost = make(program_fd, connections, port);

		printf("{\"event\":\"made\",\"connections\":%llu,\"lost\":%llu}\n",
		       (unsigned long long)connections, (unsigned long long)lost);
	}
	return 0;
}

/* Every field of a socket record, as a reader in TypeScript reads them. */
static int touch(void *context, void *data, size_t size)
{
	const struct socket_record *r = data;
	uint64_t *sum = context;

	(void)size;
	sum[0] += r->header.type + r->header.kind + r->header.flags + r->header.cpu + r->header.time_ns + r->cookie +
		  r->cgroup_id + r->owner_start_ns + r->bytes_sent + r->bytes_received + r->duration_ns +
		  r->handshake_us + r->rtt_us + r->retransmits + r->pid + r->uid + r->netns + r->error +
		  r->local_port + r->remote_port + r->family + r->protocol + r->state + r->direction + r->close_side;
	for (int i = 0; i < 16; i += 8)
		sum[0] += *(const uint64_t *)(r->local_address + i) + *(const uint64_t *)(r->remote_address + i) +
			  *(const uint64_t *)(r->comm + i);
	sum[1]++;
	return 0;
}

/* consume --object O --ring-bytes N: for each line "N" fills its ring with N connections and reads it. */
int run_consume(char **argv)
{
	struct bpf_object *object = load_object(argv, "generate", -1, number(argv, "--ring-bytes", 16 << 20));
	int program_fd = bpf_program__fd(bpf_object__find_program_by_name(object, "generate"));
	uint64_t sum[2] = { 0 };
	struct ring_buffer *ring =
		ring_buffer__new(bpf_object__find_map_fd_by_name(object, "records"), touch, sum, NULL);
	char line[64];

	if (!ring)
		fail("ring buffer");
	printf("{\"event\":\"ready\",\"pid\":%d}\n", getpid());
	while (next_command(line, sizeof(line))) {
		uint64_t lost = make(program_fd, strtoull(line, NULL, 10), 46999), before = sum[1];
		double begin = seconds();

		ring_buffer__consume(ring);
		printf("{\"event\":\"consumed\",\"records\":%llu,\"lost\":%llu,\"seconds\":%.9f,\"sum\":%llu}\n",
		       (unsigned long long)(sum[1] - before), (unsigned long long)lost, seconds() - begin,
		       (unsigned long long)(sum[0] & 0xff));
	}
	return 0;
}

/*
 * statistics --object O --cgroup DIR: switches the kernel's run time statistics on for as long as it lives, runs
 * empty programs at the hooks of interest, and prints the sums of all programs for each line.
 */
int run_statistics(char **argv)
{
	struct bpf_object *object = load_object(argv, "empty_", -1, 4096);
	int cgroup = open(option(argv, "--cgroup", "/sys/fs/cgroup"), O_DIRECTORY | O_CLOEXEC);
	struct bpf_program *state = bpf_object__find_program_by_name(object, "empty_state");
	struct bpf_program *egress = bpf_object__find_program_by_name(object, "empty_egress");
	char line[64];

	/* Off again when this descriptor is closed, whatever ends the process. */
	if (bpf_enable_stats(BPF_STATS_RUN_TIME) < 0)
		fail("statistics");
	if (!bpf_program__attach(state) || !bpf_program__attach_cgroup(egress, cgroup))
		fail("attach");
	printf("{\"event\":\"ready\",\"pid\":%d}\n", getpid());
	while (next_command(line, sizeof(line))) {
		const char *comma = "";
		uint32_t id = 0;

		printf("{\"event\":\"statistics\",\"programs\":[");
		while (!bpf_prog_get_next_id(id, &id)) {
			struct bpf_prog_info info = { 0 };
			uint32_t size = sizeof(info);
			int fd = bpf_prog_get_fd_by_id(id);

			if (fd < 0)
				continue;
			if (!bpf_obj_get_info_by_fd(fd, &info, &size)) {
				printf("%s{\"id\":%u,\"name\":\"%s\",\"ns\":%llu,\"runs\":%llu}", comma, id,
				       info.name, (unsigned long long)info.run_time_ns,
				       (unsigned long long)info.run_cnt);
				comma = ",";
			}
			close(fd);
		}
		printf("]}\n");
	}
	return 0;
}
