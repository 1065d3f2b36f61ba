/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

/* Each command prints one JSON object a line, and dies with its parent. */
int run_generate(char **argv);
int run_consume(char **argv);
int run_statistics(char **argv);
int run_churn(char **argv);
int run_flood(char **argv);
int run_bulk(char **argv);
int run_hold(char **argv);
int run_soak(char **argv);

/* The value of "--name value", or `otherwise`. */
const char *option(char **argv, const char *name, const char *otherwise);
double number(char **argv, const char *name, double otherwise);

void fail(const char *what) __attribute__((noreturn));
/* Monotonic seconds. */
double seconds(void);
/* Runs on this cpu alone; any if negative. */
void pin(int cpu);
/* Forks a child that dies with this process. */
int fork_bound(void);
/* Memory that children share, zeroed. */
void *shared(uint64_t bytes);
/* The next line of stdin begins with this word; false at the end of stdin. */
bool next_command(char *line, int size);
/* In the network namespace of the moment. */
void bring_up_loopback(void);
/* Connects to itself, and holds both ends. */
void hold_connections(uint32_t connections, int port);
/* 127.0.x.1, 256 of them in turn: so that source ports do not run out. */
struct sockaddr_in spread(uint32_t index, int port);

#endif /* BENCH_LOAD_H */
