// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "capture.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <linux/capability.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#define KERNEL_BTF "/sys/kernel/btf/vmlinux"
#define KERNEL_LOCKDOWN "/sys/kernel/security/lockdown" /* "none [integrity] confidentiality" */
/*
 * The first kernel whose tracing programs may have a socket's cookie (5.12) and its storage (5.11). It only explains a
 * refusal: kernels of distributions have more than their version says.
 */
#define OLDEST_MAJOR 5
#define OLDEST_MINOR 12

bool capture_fail(struct capture *capture, enum capture_failure failure, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(capture->failure_reason, sizeof(capture->failure_reason), format, arguments);
	va_end(arguments);
	capture->failure = failure;
	return false;
}

/* The capabilities the capture needs, of those this process lacks; "" when it has all. */
static void missing_capabilities(char *names, size_t size)
{
	static const struct {
		int bit;
		const char *name;
	} needed[] = {
		{ CAP_BPF, "CAP_BPF" },
		{ CAP_PERFMON, "CAP_PERFMON" },
		{ CAP_NET_ADMIN, "CAP_NET_ADMIN" },
	};
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };
	uint64_t effective;
	size_t used = 0;

	names[0] = '\0';
	if (syscall(SYS_capget, &header, data))
		return;
	effective = (uint64_t)data[1].effective << 32 | data[0].effective;
	for (size_t i = 0; i < sizeof(needed) / sizeof(*needed); i++) {
		bool covered = needed[i].bit != CAP_NET_ADMIN && effective >> CAP_SYS_ADMIN & 1;

		if (!covered && !(effective >> needed[i].bit & 1) && used < size)
			used += snprintf(names + used, size - used, "%s%s", used ? ", " : "", needed[i].name);
	}
}

/* Nothing may read the kernel's memory then, and so no program can name the owner of a socket. */
static bool kernel_is_confidential(void)
{
	FILE *file = fopen(KERNEL_LOCKDOWN, "re");
	char line[64] = "";

	if (file && !fgets(line, sizeof(line), file))
		*line = '\0';
	if (file)
		fclose(file);
	return strstr(line, "[confidentiality]") != NULL;
}

bool machine_is_old(void)
{
	struct utsname kernel;
	int major, minor;

	return !uname(&kernel) && sscanf(kernel.release, "%d.%d", &major, &minor) == 2 &&
	       (major < OLDEST_MAJOR || (major == OLDEST_MAJOR && minor < OLDEST_MINOR));
}

bool machine_check(struct capture *capture, const char *object_path)
{
	char missing[64];

	if (access(object_path, R_OK))
		return capture_fail(capture, FAILURE_NO_OBJECT, "cannot read the BPF object %s: %s", object_path,
			    strerror(errno));
	missing_capabilities(missing, sizeof(missing));
	if (*missing)
		return capture_fail(capture, FAILURE_NO_RIGHTS, "missing %s", missing);
	if (access(KERNEL_BTF, R_OK))
		return capture_fail(capture, FAILURE_NO_BTF, "%s cannot be read (%s)", KERNEL_BTF, strerror(errno));
	if (kernel_is_confidential())
		return capture_fail(capture, FAILURE_LOAD,
				    "the kernel is locked down for confidentiality (%s), which forbids it",
				    KERNEL_LOCKDOWN);
	return true;
}
