// SPDX-License-Identifier: Apache-2.0
/*
 * The JavaScript face, as thin as it can be: src/addon.ts has the types and the documentation of each function.
 * A capture belongs to one environment, so that worker threads may each have their own.
 */
#include "ring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PATH_LIMIT 4096

static const char *const failure_names[] = {
	[FAILURE_NONE] = "",
	[FAILURE_NO_BTF] = "NO_BTF",
	[FAILURE_NO_RIGHTS] = "NO_RIGHTS",
	[FAILURE_NO_OBJECT] = "NO_OBJECT",
	[FAILURE_OLD_KERNEL] = "OLD_KERNEL",
	[FAILURE_LOAD] = "LOAD_FAILED",
};

static const char *const state_names[] = {
	[HOOK_ATTACHED] = "attached",
	[HOOK_UNSUPPORTED] = "unsupported",
	[HOOK_FAILED] = "failed",
	[HOOK_OFF] = "off",
	[HOOK_SPARE] = "spare",
};

static napi_value throw_error(napi_env env, const char *code, const char *message)
{
	napi_throw_error(env, code, message);
	return NULL;
}

static void set_number(napi_env env, napi_value object, const char *name, double number)
{
	napi_value value;

	if (napi_create_double(env, number, &value) == napi_ok)
		napi_set_named_property(env, object, name, value);
}

static void set_text(napi_env env, napi_value object, const char *name, const char *text)
{
	napi_value value;

	if (napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &value) == napi_ok)
		napi_set_named_property(env, object, name, value);
}

static double get_number(napi_env env, napi_value object, const char *name)
{
	napi_value value;
	double number = 0;

	if (napi_get_named_property(env, object, name, &value) == napi_ok)
		napi_get_value_double(env, value, &number);
	return number;
}

static bool get_bool(napi_env env, napi_value object, const char *name)
{
	napi_value value;
	bool truth = false;

	if (napi_get_named_property(env, object, name, &value) == napi_ok)
		napi_get_value_bool(env, value, &truth);
	return truth;
}

/* Ends everything but the memory of the capture itself, to which JavaScript may still point. */
static void shut(void *data)
{
	struct capture *capture = data;

	reader_stop(capture);
	capture_close(capture);
}

static void finalize(napi_env env, void *data, void *hint)
{
	(void)hint;
	napi_remove_env_cleanup_hook(env, shut, data);
	shut(data);
	free(data);
}

/* The capture of a call and its other argument; NULL with an exception pending when it is closed. */
static struct capture *get_capture(napi_env env, napi_callback_info info, napi_value *argument)
{
	napi_value arguments[2];
	size_t count = 2;
	struct capture *capture = NULL;

	if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) == napi_ok && count >= 1)
		napi_get_value_external(env, arguments[0], (void **)&capture);
	if (!capture || !capture->object) {
		throw_error(env, "CLOSED", "the capture is closed");
		return NULL;
	}
	if (argument)
		*argument = arguments[1];
	return capture;
}

static napi_value addon_open(napi_env env, napi_callback_info info)
{
	struct capture_options options = { 0 };
	struct capture *capture;
	napi_value argument, value, handle;
	size_t count = 1, length = 0;
	char path[PATH_LIMIT] = "", without[PATH_LIMIT] = "";

	napi_get_cb_info(env, info, &count, &argument, NULL, NULL);
	if (napi_get_named_property(env, argument, "objectPath", &value) == napi_ok)
		napi_get_value_string_utf8(env, value, path, sizeof(path), &length);
	options.object_path = path;
	if (napi_get_named_property(env, argument, "without", &value) == napi_ok)
		napi_get_value_string_utf8(env, value, without, sizeof(without), &length);
	options.without = without;
	options.loopback = get_bool(env, argument, "loopback");
	options.udp = get_bool(env, argument, "udp");
	options.ring_bytes = get_number(env, argument, "ringBytes");
	options.flow_idle_ns = get_number(env, argument, "flowIdleMs") * 1e6;
	options.flow_table_size = get_number(env, argument, "flowTableSize");
	capture = calloc(1, sizeof(*capture));
	if (!capture)
		return throw_error(env, "LOAD_FAILED", "out of memory");
	if (!capture_open(capture, &options)) {
		throw_error(env, failure_names[capture->failure], capture->failure_reason);
		shut(capture);
		free(capture);
		return NULL;
	}
	if (napi_create_external(env, capture, finalize, NULL, &handle) != napi_ok) {
		shut(capture);
		free(capture);
		return throw_error(env, "LOAD_FAILED", "out of memory");
	}
	napi_add_env_cleanup_hook(env, shut, capture);
	return handle;
}

static napi_value addon_hooks(napi_env env, napi_callback_info info)
{
	struct capture *capture = get_capture(env, info, NULL);
	napi_value list, entry;

	if (!capture || napi_create_array_with_length(env, capture->hook_count, &list) != napi_ok)
		return NULL;
	for (size_t i = 0; i < capture->hook_count; i++) {
		struct hook *hook = &capture->hooks[i];

		if (napi_create_object(env, &entry) != napi_ok)
			return NULL;
		set_text(env, entry, "name", bpf_program__name(hook->program));
		set_text(env, entry, "section", bpf_program__section_name(hook->program));
		set_text(env, entry, "state", state_names[hook->state]);
		if (hook->state != HOOK_ATTACHED && hook->state != HOOK_SPARE && *hook->reason)
			set_text(env, entry, "reason", hook->reason);
		if (hook->stand_in)
			set_text(env, entry, "standIn", hook->stand_in);
		napi_set_element(env, list, i, entry);
	}
	return list;
}

static napi_value addon_start(napi_env env, napi_callback_info info)
{
	napi_value callback;
	struct capture *capture = get_capture(env, info, &callback);
	int error;

	if (!capture)
		return NULL;
	if (capture->reader)
		return throw_error(env, "STARTED", "the capture has been started before");
	error = reader_start(capture, env, callback);
	return error ? throw_error(env, "START_FAILED", strerror(-error)) : NULL;
}

static napi_value addon_snapshot(napi_env env, napi_callback_info info)
{
	struct capture *capture = get_capture(env, info, NULL);
	struct chunk_list list = { 0 };
	napi_value result, entry, buffer;
	int error;

	if (!capture)
		return NULL;
	error = snapshot_take(capture, &list);
	if (error) {
		chunk_list_free(&list);
		return throw_error(env, "SNAPSHOT_FAILED", strerror(-error));
	}
	napi_create_array_with_length(env, list.count, &result);
	for (size_t i = 0; i < list.count; i++) {
		struct chunk *chunk = &list.chunks[i];

		chunk_trim(chunk);
		if (napi_create_object(env, &entry) != napi_ok)
			break;
		set_number(env, entry, "payloadBytes", chunk->used);
		set_number(env, entry, "records", chunk->records);
		if (chunk_to_buffer(env, chunk, &buffer) != napi_ok)
			break;
		napi_set_named_property(env, entry, "buffer", buffer);
		napi_set_element(env, result, i, entry);
	}
	chunk_list_free(&list);
	return result;
}

static napi_value addon_sweep_flows(napi_env env, napi_callback_info info)
{
	struct capture *capture = get_capture(env, info, NULL);
	napi_value result;
	int flows;

	if (!capture)
		return NULL;
	flows = capture_sweep_flows(capture);
	if (flows < 0)
		return throw_error(env, "SWEEP_FAILED", strerror(-flows));
	napi_create_int32(env, flows, &result);
	return result;
}

static napi_value addon_stats(napi_env env, napi_callback_info info)
{
	struct capture *capture = get_capture(env, info, NULL);
	uint64_t drops[DROP_SLOTS];
	struct reader_stats stats;
	struct tcp_runs runs;
	napi_value result, lost, value;

	if (!capture || napi_create_object(env, &result) != napi_ok ||
	    napi_create_array_with_length(env, DROP_SLOTS, &lost) != napi_ok)
		return NULL;
	if (!capture_drops(capture, drops) || !capture_tcp_runs(capture, &runs))
		return throw_error(env, "STATS_FAILED", "cannot read the drop counters");
	for (uint32_t slot = 0; slot < DROP_SLOTS; slot++)
		if (napi_create_double(env, drops[slot], &value) == napi_ok)
			napi_set_element(env, lost, slot, value);
	napi_set_named_property(env, result, "lost", lost);
	reader_read_stats(capture, &stats);
	set_number(env, result, "records", stats.records);
	set_number(env, result, "bytes", stats.bytes);
	set_number(env, result, "chunks", stats.chunks);
	set_number(env, result, "blocked", stats.blocked);
	set_number(env, result, "oversize", stats.oversize);
	set_number(env, result, "ringBytesUsed", stats.ring_used);
	set_number(env, result, "takenOver", runs.taken_over);
	set_number(env, result, "endedLate", runs.ended_late);
	return result;
}

static napi_value addon_close(napi_env env, napi_callback_info info)
{
	struct capture *capture = get_capture(env, info, NULL);

	if (capture)
		shut(capture);
	return NULL;
}

static napi_value addon_wall_offset(napi_env env, napi_callback_info info)
{
	struct timespec wall, monotonic;
	napi_value result = NULL;

	(void)info;
	clock_gettime(CLOCK_MONOTONIC, &monotonic);
	clock_gettime(CLOCK_REALTIME, &wall);
	napi_create_bigint_int64(env,
				 (int64_t)(wall.tv_sec - monotonic.tv_sec) * 1000000000 +
					 (wall.tv_nsec - monotonic.tv_nsec),
				 &result);
	return result;
}

__attribute__((visibility("default"))) napi_value napi_register_module_v1(napi_env env, napi_value exports);

napi_value napi_register_module_v1(napi_env env, napi_value exports)
{
	static const struct {
		const char *name;
		napi_callback function;
	} functions[] = {
		{ "open", addon_open },		{ "hooks", addon_hooks }, { "start", addon_start },
		{ "snapshot", addon_snapshot }, { "stats", addon_stats }, { "sweepFlows", addon_sweep_flows },
		{ "close", addon_close },	{ "wallOffsetNs", addon_wall_offset },
	};
	napi_value function;

	for (size_t i = 0; i < sizeof(functions) / sizeof(*functions); i++)
		if (napi_create_function(env, functions[i].name, NAPI_AUTO_LENGTH, functions[i].function, NULL,
					 &function) == napi_ok)
			napi_set_named_property(env, exports, functions[i].name, function);
	set_number(env, exports, "headroom", CHUNK_HEADROOM);
	return exports;
}
