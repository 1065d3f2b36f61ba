/* SPDX-License-Identifier: Apache-2.0 */
#include "traffic.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

static const struct {
	const char *name;
	int (*run)(char **argv);
} commands[] = {
	{ "listen", run_listen },   { "accept", run_accept },	{ "connect", run_connect },
	{ "send", run_send },	    { "receive", run_receive }, { "churn", run_churn },
	{ "ports", run_ports },
};

int main(int argc, char **argv)
{
	/* A harness that is killed leaves no traffic behind. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(*commands); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argv + 2);
	fprintf(stderr, "usage: traffic listen|accept|connect|send|receive|churn|ports [--option value]...\n");
	return 2;
}
