// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "capture.h"

#include <errno.h>
#include <fcntl.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>

/* Without this one there is nothing to capture; every other program is optional. */
#define REQUIRED_HOOK "tcp_state"

/*
 * Hooks that stand in for others: attached only when one of these is missing. Which they are is told to the program by
 * bits in an array, in the order of this table.
 */
static const struct stand_in {
	const char *name, *wanted_map;
	const char *hooks[4];
} stand_ins[] = {
	{ "syscall_exit", "syscalls_wanted", { "tcp_accept4", "tcp_accept", "tcp_connect_exit", "tcp_listen_exit" } },
};

/* Hooks that mislead without each other: the first datagram that is seen of a flow tells who began it. */
static const char *const pairs[][2] = { { "udp_egress", "udp_ingress" } };

/* Certain of who sends, but dear: attached only when udp_egress has met a sender that it cannot be certain of. */
#define SENDER_HOOKS "udp_sendmsg"
#define SENDERS_ELSE "udp_egress"

/* One entry each for each flow. */
static const char *const flow_maps[] = { "flows", "flow_slots" };

/* libbpf explains failures only on its log: the first line of this thread's current call is kept. */
static __thread char *log_line;

static int keep_log_line(enum libbpf_print_level level, const char *format, va_list arguments)
{
	if (level != LIBBPF_WARN || !log_line || *log_line)
		return 0;
	vsnprintf(log_line, REASON_BYTES, format, arguments);
	log_line[strcspn(log_line, "\n")] = '\0';
	if (!strncmp(log_line, "libbpf: ", 8))
		memmove(log_line, log_line + 8, strlen(log_line + 8) + 1);
	return 0;
}

/* Sets a constant of the object before it is loaded. */
static void set_option(struct bpf_object *object, const char *name, const void *value, size_t size)
{
	const struct btf *btf = bpf_object__btf(object);
	int section = btf__find_by_name_kind(btf, ".rodata", BTF_KIND_DATASEC);
	const struct btf_type *type = section > 0 ? btf__type_by_id(btf, section) : NULL;
	const struct btf_var_secinfo *var = type ? btf_var_secinfos(type) : NULL;
	struct bpf_map *map;

	for (int i = 0; type && i < btf_vlen(type); i++, var++) {
		const struct btf_type *variable = btf__type_by_id(btf, var->type);

		if (strcmp(btf__name_by_offset(btf, variable->name_off), name) || var->size != size)
			continue;
		bpf_object__for_each_map(map, object) {
			const char *suffix = strrchr(bpf_map__name(map), '.');
			size_t length = 0;
			/* Const in libbpf's older headers only; nothing is loaded yet, so it may change. */
			uint8_t *data = (uint8_t *)bpf_map__initial_value(map, &length);

			if (suffix && !strcmp(suffix, ".rodata") && data && var->offset + size <= length)
				memcpy(data + var->offset, value, size);
		}
	}
}

static struct bpf_object *open_object(const struct capture_options *options, uint32_t ring_bytes)
{
	struct bpf_object *object = bpf_object__open_file(options->object_path, NULL);
	struct bpf_map *map;

	if (!object)
		return NULL;
	set_option(object, "option_loopback", &options->loopback, sizeof(options->loopback));
	set_option(object, "option_udp", &options->udp, sizeof(options->udp));
	set_option(object, "option_flow_idle_ns", &options->flow_idle_ns, sizeof(options->flow_idle_ns));
	map = bpf_object__find_map_by_name(object, "records");
	if (map)
		bpf_map__set_max_entries(map, ring_bytes);
	for (size_t i = 0; i < sizeof(flow_maps) / sizeof(*flow_maps); i++) {
		map = bpf_object__find_map_by_name(object, flow_maps[i]);
		if (map)
			bpf_map__set_max_entries(map, options->flow_table_size);
	}
	return object;
}

static bool starts_with(const char *text, const char *start)
{
	return !strncmp(text, start, strlen(start));
}

/* Whether a list of names, separated by commas, has this one. */
static bool names(const char *list, const char *name)
{
	size_t length = strlen(name);

	for (const char *at = list; at && *at; at += strcspn(at, ","), at += *at == ',')
		if (!strncmp(at, name, length) && (at[length] == ',' || !at[length]))
			return true;
	return false;
}

/* Notes that a program is not to be loaded, by the options. */
static void leave_out(struct hook *hook, const struct capture_options *options)
{
	const char *name = bpf_program__name(hook->program);

	if (names(options->without, name))
		snprintf(hook->reason, sizeof(hook->reason), "left out by --without");
	else if (options->udp || !starts_with(name, "udp_"))
		return;
	hook->state = HOOK_OFF;
}

/* Asks the kernel about one program by loading it alone. */
static bool hook_loads(struct hook *hook, const struct capture_options *options)
{
	const char *name = bpf_program__name(hook->program);
	struct bpf_object *object = open_object(options, sysconf(_SC_PAGESIZE));
	struct bpf_program *program;
	int error;

	if (!object)
		return false;
	bpf_object__for_each_program(program, object)
		bpf_program__set_autoload(program, !strcmp(bpf_program__name(program), name));
	hook->reason[0] = '\0';
	log_line = hook->reason;
	error = bpf_object__load(object);
	log_line = NULL;
	bpf_object__close(object);
	if (error && !hook->reason[0])
		snprintf(hook->reason, sizeof(hook->reason), "%s", strerror(-error));
	return !error;
}

/*
 * Opens the object with the programs that are on, and loads it. Should the kernel refuse it whole, each program
 * is tried alone and what fails is left out.
 */
static bool load(struct capture *capture, const struct capture_options *options)
{
	char reason[REASON_BYTES] = "";
	int error;

	for (bool probed = false;; probed = true) {
		struct bpf_program *program;
		size_t i = 0;

		capture->object = open_object(options, options->ring_bytes);
		if (!capture->object)
			return capture_fail(capture, FAILURE_LOAD, "%s is not a BPF object: %s", options->object_path,
				    strerror(errno));
		bpf_object__for_each_program(program, capture->object) {
			struct hook *hook = &capture->hooks[i];

			if (i++ == MAX_HOOKS)
				return capture_fail(capture, FAILURE_LOAD, "more than %d programs", MAX_HOOKS);
			hook->program = program;
			if (!probed)
				leave_out(hook, options);
			bpf_program__set_autoload(program, hook->state == HOOK_ATTACHED);
		}
		capture->hook_count = i;
		log_line = reason;
		error = bpf_object__load(capture->object);
		log_line = NULL;
		if (!error)
			return true;
		if (probed)
			return capture_fail(capture, FAILURE_LOAD, "the kernel refused the BPF object: %s (%s)", reason,
				    strerror(-error));
		for (i = 0; i < capture->hook_count; i++) {
			struct hook *hook = &capture->hooks[i];

			if (hook->state == HOOK_OFF || hook_loads(hook, options))
				continue;
			hook->state = HOOK_UNSUPPORTED;
			if (!strcmp(bpf_program__name(hook->program), REQUIRED_HOOK))
				return capture_fail(capture, machine_is_old() ? FAILURE_OLD_KERNEL : FAILURE_LOAD,
						    "the kernel refused " REQUIRED_HOOK ": %s", hook->reason);
		}
		bpf_object__close(capture->object);
		capture->object = NULL;
	}
}

/* The root of the default (v2) cgroup hierarchy, from mountinfo: fields 5 (mount point) and, after " - ", type. */
static int open_cgroup_root(void)
{
	FILE *mounts = fopen("/proc/self/mountinfo", "re");
	char line[4096], point[4096];
	int fd = -1;

	while (mounts && fd < 0 && fgets(line, sizeof(line), mounts)) {
		const char *type = strstr(line, " - ");

		if (type && starts_with(type, " - cgroup2 ") && sscanf(line, "%*s %*s %*s %*s %4095s", point) == 1)
			fd = open(point, O_DIRECTORY | O_CLOEXEC);
	}
	if (mounts)
		fclose(mounts);
	return fd;
}

/* Iterators over a map are told which one. */
static struct bpf_link *attach_iterator(struct capture *capture, struct bpf_program *program, const char *section)
{
	union bpf_iter_link_info what = { 0 };
	LIBBPF_OPTS(bpf_iter_attach_opts, options, .link_info = &what, .link_info_len = sizeof(what));

	if (!strcmp(section, "iter/bpf_map_elem"))
		what.map.map_fd = capture_map(capture, "flows");
	else if (!strcmp(section, "iter/bpf_sk_storage_map"))
		what.map.map_fd = capture_map(capture, "socket_memories");
	else
		options.link_info = NULL, options.link_info_len = 0;
	return bpf_program__attach_iter(program, &options);
}

static void attach(struct capture *capture, struct hook *hook, int cgroup_fd)
{
	const char *section = bpf_program__section_name(hook->program);

	errno = 0;
	hook->reason[0] = '\0';
	log_line = hook->reason;
	if (!strcmp(section, "syscall")) {
		log_line = NULL;
		return; /* run by hand */
	} else if (starts_with(section, "iter/")) {
		hook->link = attach_iterator(capture, hook->program, section);
	} else if (starts_with(section, "tp/")) {
		hook->link = tracefs_attach(hook->program, section);
	} else if (starts_with(section, "cgroup")) {
		if (cgroup_fd >= 0)
			hook->link = bpf_program__attach_cgroup(hook->program, cgroup_fd);
		else
			snprintf(hook->reason, sizeof(hook->reason), "no cgroup v2 hierarchy is mounted");
	} else {
		hook->link = bpf_program__attach(hook->program);
	}
	log_line = NULL;
	if (hook->link)
		return;
	hook->state = errno == ENOENT || cgroup_fd < 0 ? HOOK_UNSUPPORTED : HOOK_FAILED;
	if (!hook->reason[0])
		snprintf(hook->reason, sizeof(hook->reason), "%s: %s", section, strerror(errno));
}

static struct hook *find_hook(struct capture *capture, const char *name)
{
	for (size_t i = 0; i < capture->hook_count; i++)
		if (!strcmp(bpf_program__name(capture->hooks[i].program), name))
			return &capture->hooks[i];
	return NULL;
}

static const struct stand_in *stand_in_named(const char *name)
{
	for (size_t i = 0; i < sizeof(stand_ins) / sizeof(*stand_ins); i++)
		if (!strcmp(stand_ins[i].name, name))
			return &stand_ins[i];
	return NULL;
}

/* Detaches what is left of a pair. */
static void detach_widowed(struct capture *capture, const char *name, const char *other)
{
	struct hook *hook = capture_hook(capture, name);

	if (!hook || capture_hook(capture, other))
		return;
	bpf_link__destroy(hook->link);
	hook->link = NULL;
	hook->state = HOOK_OFF;
	snprintf(hook->reason, sizeof(hook->reason), "of no use without %s", other);
}

/* Attaches what stands in for hooks that are missing, or puts it aside. */
static void attach_stand_in(struct capture *capture, const struct stand_in *stand_in, int cgroup_fd)
{
	size_t count = sizeof(stand_in->hooks) / sizeof(*stand_in->hooks);
	struct hook *hook = find_hook(capture, stand_in->name);
	uint32_t wanted = 0, only = 0;

	for (size_t i = 0; i < count && stand_in->hooks[i]; i++)
		if (!capture_hook(capture, stand_in->hooks[i]))
			wanted |= 1u << i;
	if (!hook || hook->state == HOOK_OFF)
		return;
	if (!wanted)
		hook->state = HOOK_SPARE;
	if (hook->state != HOOK_ATTACHED)
		return;
	bpf_map_update_elem(capture_map(capture, stand_in->wanted_map), &only, &wanted, BPF_ANY);
	attach(capture, hook, cgroup_fd);
	for (size_t i = 0; i < count && hook->state == HOOK_ATTACHED; i++) {
		struct hook *missing = wanted >> i & 1 ? find_hook(capture, stand_in->hooks[i]) : NULL;

		if (missing)
			missing->stand_in = stand_in->name;
	}
}

static bool tells_senders(const struct hook *hook)
{
	return starts_with(bpf_program__name(hook->program), SENDER_HOOKS);
}

/* Attaches those that are spare. True if all are attached then. */
static bool attach_sender_hooks(struct capture *capture, int cgroup_fd)
{
	bool all = true;

	for (size_t i = 0; i < capture->hook_count; i++) {
		struct hook *hook = &capture->hooks[i];

		if (!tells_senders(hook))
			continue;
		if (hook->state == HOOK_SPARE) {
			hook->state = HOOK_ATTACHED;
			attach(capture, hook, cgroup_fd);
		}
		all &= hook->state == HOOK_ATTACHED;
	}
	return all;
}

/* Attaches them once udp_egress has met a sender that it cannot be certain of. */
static void attach_sender_hooks_if_due(struct capture *capture)
{
	struct sender_watch watch = { 0 };
	int map = capture_map(capture, "sender_watches"), cgroup_fd;
	uint32_t key = 0;

	if (map < 0 || bpf_map_lookup_elem(map, &key, &watch) || watch.hooked || !watch.uncertain)
		return;
	cgroup_fd = open_cgroup_root();
	watch.hooked = attach_sender_hooks(capture, cgroup_fd);
	if (cgroup_fd >= 0)
		close(cgroup_fd);
	bpf_map_update_elem(map, &key, &watch, BPF_ANY);
}

bool capture_open(struct capture *capture, const struct capture_options *options)
{
	int cgroup_fd;

	if (!machine_check(capture, options->object_path))
		return false;
	libbpf_set_print(keep_log_line);
	if (!load(capture, options))
		return false;
	cgroup_fd = open_cgroup_root();
	for (size_t i = 0; i < capture->hook_count; i++) {
		struct hook *hook = &capture->hooks[i];

		if (hook->state == HOOK_ATTACHED && tells_senders(hook))
			hook->state = HOOK_SPARE;
		else if (hook->state == HOOK_ATTACHED && !stand_in_named(bpf_program__name(hook->program)))
			attach(capture, hook, cgroup_fd);
	}
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		detach_widowed(capture, pairs[i][0], pairs[i][1]);
		detach_widowed(capture, pairs[i][1], pairs[i][0]);
	}
	for (size_t i = 0; i < sizeof(stand_ins) / sizeof(*stand_ins); i++)
		attach_stand_in(capture, &stand_ins[i], cgroup_fd);
	if (!capture_hook(capture, SENDERS_ELSE))
		attach_sender_hooks(capture, cgroup_fd);
	if (cgroup_fd >= 0)
		close(cgroup_fd);
	if (!capture_hook(capture, REQUIRED_HOOK)) {
		struct hook *required = find_hook(capture, REQUIRED_HOOK);

		if (required)
			return capture_fail(capture, FAILURE_LOAD, REQUIRED_HOOK ": %s", required->reason);
		return capture_fail(capture, FAILURE_LOAD, "%s has no program " REQUIRED_HOOK, options->object_path);
	}
#ifdef __GLIBC__
	/* Loading has read the kernel's whole type information; what it took is given back. */
	malloc_trim(0);
#endif
	return true;
}

void capture_close(struct capture *capture)
{
	for (size_t i = 0; i < capture->hook_count; i++)
		bpf_link__destroy(capture->hooks[i].link);
	capture->hook_count = 0;
	bpf_object__close(capture->object);
	capture->object = NULL;
}

struct hook *capture_hook(struct capture *capture, const char *name)
{
	struct hook *hook = find_hook(capture, name);

	return hook && hook->state == HOOK_ATTACHED ? hook : NULL;
}

int capture_map(struct capture *capture, const char *name)
{
	return bpf_object__find_map_fd_by_name(capture->object, name);
}

/* Adds up what each cpu has of an entry's value, as whole numbers. */
static bool sum_cpus(int fd, uint32_t key, size_t value_size, uint64_t *sums)
{
	int cpus = libbpf_num_possible_cpus();
	size_t words = value_size / sizeof(uint64_t);
	uint64_t *values = cpus > 0 ? calloc(cpus, value_size) : NULL;
	bool found = values && fd >= 0 && !bpf_map_lookup_elem(fd, &key, values);

	memset(sums, 0, value_size);
	for (size_t i = 0; found && i < cpus * words; i++)
		sums[i % words] += values[i];
	free(values);
	return found;
}

bool capture_tcp_runs(struct capture *capture, struct tcp_runs *runs)
{
	return sum_cpus(capture_map(capture, "tcp_runs"), 0, sizeof(*runs), (uint64_t *)runs);
}

/* Transitions that tcp_state missed because it was running, and that tcp_state_nested did not take over. */
static uint64_t unseen_transitions(struct capture *capture)
{
	struct hook *hook = capture_hook(capture, REQUIRED_HOOK);
	struct bpf_prog_info info = {};
	uint32_t size = sizeof(info);
	struct tcp_runs runs;

	if (!hook || bpf_obj_get_info_by_fd(bpf_program__fd(hook->program), &info, &size) ||
	    !capture_tcp_runs(capture, &runs))
		return 0;
	return info.recursion_misses > runs.taken_over ? info.recursion_misses - runs.taken_over : 0;
}

bool capture_drops(struct capture *capture, uint64_t drops[DROP_SLOTS])
{
	int fd = capture_map(capture, "drops");

	for (uint32_t slot = 0; slot < DROP_SLOTS; slot++)
		if (!sum_cpus(fd, slot, sizeof(*drops), &drops[slot]))
			return false;
	drops[DROP_UNSEEN] = unseen_transitions(capture);
	return true;
}

int capture_sweep_flows(struct capture *capture)
{
	LIBBPF_OPTS(bpf_test_run_opts, run);
	struct hook *hook = capture_hook(capture, "udp_sweep");
	int error;

	attach_sender_hooks_if_due(capture);
	if (!hook)
		return 0;
	error = bpf_prog_test_run_opts(bpf_program__fd(hook->program), &run);
	return error ? error : (int)run.retval;
}
