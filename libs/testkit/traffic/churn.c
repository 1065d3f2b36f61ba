/* SPDX-License-Identifier: Apache-2.0 */
#include "traffic.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

/*
 * churn --count N [--address A]
 *
 * Connects to itself over loopback, accepts, and resets, N times one after the other: both ends are
 * gone before the next begins, so that ports never run out and the count is exact.
 */
int run_churn(char **argv)
{
	struct endpoint at = parse_endpoint(option(argv, "--address", "127.0.0.1"), 0, false);
	struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	int count = number(argv, "--count", 1000), made = 0, failed = 0;

	hello("churn");
	int listener = socket(at.address.ss_family, SOCK_STREAM, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *)&at.address, at.length) ||
	    listen(listener, 64) ||
	    getsockname(listener, (struct sockaddr *)&at.address, &at.length))
		fail("listen");
	for (int i = 0; i < count; i++) {
		int client = socket(at.address.ss_family, SOCK_STREAM, 0);
		bool ok = connect(client, (struct sockaddr *)&at.address, at.length) == 0;
		int server = ok ? accept(listener, NULL, NULL) : -1;

		setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		close(client);
		if (server >= 0)
			close(server);
		made += ok;
		failed += !ok;
	}
	say("{\"event\":\"done\",\"pid\":%d,\"port\":%d,\"made\":%d,\"failed\":%d}", getpid(),
	    port_of(&at.address), made, failed);
	await_stop();
	return 0;
}
