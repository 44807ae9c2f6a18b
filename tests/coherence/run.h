/*
 * run.h - one run of one variant: a private memcached, a domain of its own,
 * and worker processes, which it starts, kills, stops and counts.
 */
#ifndef TOWER_TESTS_COHERENCE_RUN_H
#define TOWER_TESTS_COHERENCE_RUN_H

#include <limits.h>
#include <sys/types.h>

#include "tests/coherence/board.h"
#include "tests/coherence/deep.h"
#include "tests/coherence/variant.h"
#include "tests/lib/servers.h"

struct run {
	const struct variant *variant;
	const char *library; /* libtower.so */
	double seconds;
	bool until_red; /* ends at the first violation */

	char folder[PATH_MAX];
	char board_path[PATH_MAX + 16];
	char end_path[PATH_MAX + 16]; /* workers in other languages end when it is there */
	char domain[64];
	struct server *server;
	int control; /* a connection to it */
	struct board *board;
	pid_t workers[BOARD_WORKERS];
	uint64_t stopped_until_ns[BOARD_WORKERS]; /* 0: runs */
	uint64_t server_stopped_until_ns;
	struct deep deep; /* of a variant with Redis */
	pid_t evictor;
	pid_t relay;	 /* of a variant with several domains */
	pid_t switching; /* the last `tower disable` or `enable`; 0: none so far */
	unsigned kills;
	unsigned broken; /* workers that ended by themselves */
};

/* What came out of it. */
struct figures {
	uint64_t gets, memory_hits, writes, stale, resurrected, backwards, unexplained, late, split;
	uint64_t corrupt, failed, lost;
	uint64_t deep_hits; /* records and bodies that Redis found since it was last started */
	unsigned unserved;
};

/* False where it could not be made; then everything is undone. */
bool run_open(struct run *run, const struct variant *variant, const char *library);
void run_close(struct run *run);

/* False where workers do not start or do not end. */
bool run_perform(struct run *run, struct figures *ret);

uint64_t run_violations(const struct run *run);

#endif
