// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "namespaces.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/stat.h>

#define NAMED_NAMESPACES "/run/netns"
#define FIELDS 32 /* of the line "Tcp:" in /proc/net/snmp, which has 15 */

/* Namespaces are few, processes many and mostly in the last one seen. */
static struct namespace *find(const struct namespace_list *list, uint32_t netns)
{
	for (size_t i = list->count; i-- > 0;)
		if (list->all[i].netns == netns)
			return &list->all[i];
	return NULL;
}

static struct namespace *add(struct namespace_list *list, uint32_t netns)
{
	struct namespace *more = realloc(list->all, (list->count + 1) * sizeof(*more));

	if (!more)
		return NULL;
	list->all = more;
	more[list->count] = (struct namespace){ .netns = netns };
	return &more[list->count++];
}

void namespaces_note_process(struct namespace_list *list, const struct process_record *process)
{
	struct namespace *namespace = find(list, process->netns);

	if (!namespace)
		namespace = add(list, process->netns);
	if (namespace && !namespace->pid)
		namespace->pid = process->pid;
}

void namespaces_note_socket(struct namespace_list *list, uint32_t netns)
{
	struct namespace *namespace = list->last < list->count ? &list->all[list->last] : NULL;

	if (!namespace || namespace->netns != netns)
		namespace = find(list, netns);
	if (!namespace)
		return;
	namespace->told++;
	list->last = namespace - list->all;
}

void namespaces_free(struct namespace_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->all[i].name);
	free(list->all);
}

/* Namespaces with a name and without a process: only their number is learnt here. */
static void add_named(struct namespace_list *list)
{
	DIR *named = opendir(NAMED_NAMESPACES);
	char path[sizeof(NAMED_NAMESPACES) + NAME_MAX + 1];
	struct namespace *namespace;
	struct dirent *entry;
	struct stat status;

	while (named && (entry = readdir(named))) {
		snprintf(path, sizeof(path), NAMED_NAMESPACES "/%s", entry->d_name);
		if (*entry->d_name == '.' || stat(path, &status) || find(list, status.st_ino))
			continue;
		namespace = add(list, status.st_ino);
		if (namespace)
			namespace->name = strdup(path);
	}
	if (named)
		closedir(named);
}

/* Moves this thread into a namespace, for good. */
static bool enter(const struct namespace *namespace)
{
	char path[32];
	bool entered;
	int fd;

	snprintf(path, sizeof(path), "/proc/%u/ns/net", namespace->pid);
	fd = open(namespace->name ? namespace->name : path, O_RDONLY | O_CLOEXEC);
	entered = fd >= 0 && !setns(fd, CLONE_NEWNET);
	if (fd >= 0)
		close(fd);
	return entered;
}

static bool read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd >= 0 ? read(fd, text, size - 1) : -1;

	if (fd >= 0)
		close(fd);
	text[length > 0 ? length : 0] = '\0';
	return length > 0;
}

/* The number behind `name` on the line that begins with `line`. */
static bool number_after(const char *text, const char *line, const char *name, uint64_t *number)
{
	const char *at = strstr(text, line), *end = at ? strchr(at, '\n') : NULL;

	at = at ? strstr(at, name) : NULL;
	if (!at || !end || at > end)
		return false;
	*number = strtoull(at + strlen(name), NULL, 10);
	return true;
}

/* The number in the column `name` of the two lines that begin with "Tcp:". */
static bool snmp_number(const char *text, const char *name, uint64_t *number)
{
	const char *names = strstr(text, "\nTcp: "), *numbers = names ? strstr(names + 1, "\nTcp: ") : NULL;

	if (!numbers)
		return false;
	names += strlen("\nTcp: ");
	numbers += strlen("\nTcp: ");
	for (int field = 0; field < FIELDS; field++) {
		size_t length = strcspn(names, " \n");

		if (length == strlen(name) && !strncmp(names, name, length)) {
			*number = strtoull(numbers, NULL, 10);
			return true;
		}
		names += length;
		numbers += strcspn(numbers, " \n");
		if (*names != ' ' || *numbers != ' ')
			return false;
		names++, numbers++;
	}
	return false;
}

/* Connections ever made in the namespace that this thread is in. */
static bool read_made(uint64_t *made)
{
	uint64_t active, passive;
	char text[4096];

	if (!read_file("/proc/thread-self/net/snmp", text, sizeof(text)) ||
	    !snmp_number(text, "ActiveOpens", &active) || !snmp_number(text, "PassiveOpens", &passive))
		return false;
	*made = active + passive;
	return true;
}

static bool read_in_use(uint64_t *in_use)
{
	uint64_t in_use6 = 0;
	char text[1024];

	if (!read_file("/proc/thread-self/net/sockstat", text, sizeof(text)) ||
	    !number_after(text, "TCP: ", "inuse ", in_use))
		return false;
	/* The file is missing where IPv6 is. */
	if (read_file("/proc/thread-self/net/sockstat6", text, sizeof(text)) &&
	    !number_after(text, "TCP6: ", "inuse ", &in_use6))
		return false;
	*in_use += in_use6;
	return true;
}

static bool read_listened(struct capture *capture, uint64_t *listened)
{
	struct tcp_runs runs;
	bool known = capture_tcp_runs(capture, &runs);

	*listened = runs.listened;
	return known;
}

/*
 * The account of the namespace that this thread is in. What was made is read before the first number in use and
 * after the second, so that nothing can come in between unnoticed.
 */
static struct tcp_account take_account(struct capture *capture, bool first)
{
	struct tcp_account account = { 0 };

	account.known = (!first || (read_listened(capture, &account.listened) && read_made(&account.made))) &&
			read_in_use(&account.in_use) &&
			(first || (read_made(&account.made) && read_listened(capture, &account.listened)));
	return account;
}

struct tour {
	struct namespace_list *list;
	struct capture *capture;
	bool (*visit)(void *context); /* NULL: the tour that counts */
	void *context;
};

/*
 * Only leaving sockets can be gone unnoticed when nothing was made meanwhile: as many as told and in use are the
 * very same then.
 */
static bool all_told(const struct namespace *namespace, const struct tcp_account *after)
{
	const struct tcp_account *before = &namespace->before;

	return before->known && after->known && before->made == after->made &&
	       before->listened == after->listened && before->in_use == after->in_use &&
	       namespace->told == after->in_use;
}

static void *go_round(void *context)
{
	struct tour *tour = context;

	for (size_t i = 0; i < tour->list->count; i++) {
		struct namespace *namespace = &tour->list->all[i];
		struct tcp_account account;

		if (!enter(namespace))
			continue;
		account = take_account(tour->capture, !tour->visit);
		if (!tour->visit)
			namespace->before = account;
		else if (!all_told(namespace, &account) && !tour->visit(tour->context))
			break;
	}
	return NULL;
}

/* In a thread of its own, because it changes its network namespace for good. */
static int make_tour(struct tour tour)
{
	pthread_t thread;
	int error = pthread_create(&thread, NULL, go_round, &tour);

	if (!error)
		pthread_join(thread, NULL);
	return -error;
}

void namespaces_count(struct namespace_list *list, struct capture *capture)
{
	add_named(list);
	/* Should it fail, nothing is certain about any. */
	make_tour((struct tour){ .list = list, .capture = capture });
}

int namespaces_visit_uncertain(struct namespace_list *list, struct capture *capture,
			       bool (*visit)(void *context), void *context)
{
	return make_tour((struct tour){ list, capture, visit, context });
}
