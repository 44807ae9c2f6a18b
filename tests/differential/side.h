/*
 * side.h - one of the two worlds that are compared: two memcached servers,
 * perhaps a Redis, and the workers that use them, with or without something
 * preloaded.
 *
 * The driver's one thread opens, uses and closes sides; servers and workers die
 * with it.  Functions that fail say why on stderr.
 */
#ifndef TOWER_TESTS_DIFFERENTIAL_SIDE_H
#define TOWER_TESTS_DIFFERENTIAL_SIDE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/differential/board.h"
#include "tests/lib/servers.h"

#define SIDE_SERVERS 2

/* What makes a side; all borrowed. */
struct side_plan {
	const char *name;
	const char *preload;		/* into the workers, beside the clock; NULL: nothing */
	const char *const *environment; /* name, value, ... , NULL */
	const char *memcached_args;
	size_t key_max;	   /* the longest key that the program may use */
	bool has_expiries; /* worker.h */
	bool is_big;	   /* the workers run the sequence of big.c */
	bool has_redis;	   /* a Redis of its own, of which the environment is told */
};

struct side {
	const struct side_plan *plan;
	unsigned number;
	struct server *servers[SIDE_SERVERS];
	struct server *redis;  /* NULL: none */
	char folder[PATH_MAX]; /* where the workers run */
	pid_t workers[BOARD_WORKERS_MAX];
};

/* Starts the servers.  clock.so and everybody's folder are given by full path. */
bool side_open(struct side *side, const struct side_plan *plan, unsigned number,
	       const char *clock_library, const char *folder);

/* Starts so many workers, which wait for their turns on the board. */
bool side_start(struct side *side, const char *clock_library, const char *board_path,
		unsigned n_workers, uint64_t seed);

/* Whether a worker has ended; then *ret_status is as of waitpid(). */
bool side_has_ended(struct side *side, unsigned worker, int *ret_status);

/* Whether all workers ended well within some seconds. */
bool side_finish(struct side *side);

void side_close(struct side *side);

#endif
