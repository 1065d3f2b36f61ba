// SPDX-License-Identifier: Apache-2.0
/*
 * recorder OBJECT [WITHOUT]: the addon's capture without Node, for kernels that run in an emulator. What it loads and
 * attaches is the same object by the same code. Tells on stdout, one JSON object a line, what became of each
 * hook and then every record, in base64: those of a snapshot, of the ring until stdin ends, of a snapshot again.
 */
#define _GNU_SOURCE
#include "../native/capture.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WAIT_MS 10
#define RING_BYTES (1 << 20)
#define FLOW_IDLE_NS 60000000000ull
#define FLOW_TABLE_SIZE 4096

static void print_text(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			putchar('\\');
		putchar((unsigned char)*text < ' ' ? ' ' : *text);
	}
	putchar('"');
}

static void print_records(const char *from, const uint8_t *data, size_t size, uint32_t records)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	printf("{\"from\":\"%s\",\"records\":%u,\"data\":\"", from, records);
	for (size_t i = 0; i < size; i += 3) {
		uint32_t bits = data[i] << 16 | (i + 1 < size ? data[i + 1] << 8 : 0) |
				(i + 2 < size ? data[i + 2] : 0);

		putchar(digits[bits >> 18]);
		putchar(digits[bits >> 12 & 63]);
		putchar(i + 1 < size ? digits[bits >> 6 & 63] : '=');
		putchar(i + 2 < size ? digits[bits & 63] : '=');
	}
	puts("\"}");
}

static void print_hooks(const struct capture *capture)
{
	static const char *const states[] = {
		[HOOK_ATTACHED] = "attached",
		[HOOK_UNSUPPORTED] = "unsupported",
		[HOOK_FAILED] = "failed",
		[HOOK_OFF] = "off",
		[HOOK_SPARE] = "spare",
	};

	for (size_t i = 0; i < capture->hook_count; i++) {
		const struct hook *hook = &capture->hooks[i];

		printf("{\"name\":\"%s\",\"section\":\"%s\",\"state\":\"%s\",\"reason\":",
		       bpf_program__name(hook->program), bpf_program__section_name(hook->program),
		       states[hook->state]);
		print_text(hook->state == HOOK_ATTACHED ? "" : hook->reason);
		if (hook->stand_in)
			printf(",\"standIn\":\"%s\"", hook->stand_in);
		puts("}");
	}
}

static void snapshot(struct capture *capture)
{
	struct chunk_list list = { 0 };
	int error = snapshot_take(capture, &list);

	if (error)
		printf("{\"failure\":\"snapshot: %s\"}\n", strerror(-error));
	for (size_t i = 0; !error && i < list.count; i++)
		print_records("snapshot", list.chunks[i].data + CHUNK_HEADROOM, list.chunks[i].used,
			      list.chunks[i].records);
	chunk_list_free(&list);
}

static int on_record(void *context, void *data, size_t size)
{
	(void)context;
	print_records("ring", data, size, 1);
	return 0;
}

static bool stdin_is_open(void)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	char byte;

	return poll(&input, 1, WAIT_MS) == 0 || read(STDIN_FILENO, &byte, 1) == 1;
}

int main(int argc, char **argv)
{
	static struct capture capture;
	struct capture_options options = {
		.object_path = argc > 1 ? argv[1] : "",
		.loopback = true,
		.udp = true,
		.ring_bytes = RING_BYTES,
		.flow_idle_ns = FLOW_IDLE_NS,
		.flow_table_size = FLOW_TABLE_SIZE,
		.without = argc > 2 ? argv[2] : NULL,
	};
	uint64_t drops[DROP_SLOTS] = { 0 }, lost = 0;
	struct ring_buffer *ring;

	if (!capture_open(&capture, &options)) {
		printf("{\"failure\":");
		print_text(capture.failure_reason);
		puts("}");
		return 1;
	}
	print_hooks(&capture);
	snapshot(&capture);
	ring = ring_buffer__new(capture_map(&capture, "records"), on_record, NULL, NULL);
	if (!ring) {
		puts("{\"failure\":\"ring buffer\"}");
		return 1;
	}
	puts("{\"ready\":true}");
	fflush(stdout);
	while (stdin_is_open())
		ring_buffer__consume(ring);
	snapshot(&capture);
	capture_sweep_flows(&capture);
	ring_buffer__consume(ring);
	capture_drops(&capture, drops);
	for (size_t slot = 0; slot < DROP_SLOTS; slot++)
		lost += drops[slot];
	printf("{\"lost\":%llu}\n", (unsigned long long)lost);
	capture_close(&capture);
	return 0;
}
