/*
 * deep.h - a litmus run with a deep tier: a private Redis, and what happens to
 * it; and to memcached, which loses keys all the time.
 */
#ifndef TOWER_TESTS_COHERENCE_DEEP_H
#define TOWER_TESTS_COHERENCE_DEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/coherence/variant.h"
#include "tests/lib/servers.h"

struct deep {
	struct server *server;
	uint64_t next_ns;  /* when something happens to it next */
	uint64_t until_ns; /* until when it lasts; 0: nothing does */
	const char *undo;  /* the command that ends it; NULL: SIGCONT */
	bool mild;	   /* only such troubles as VARIANT_DOMAINS has */
	unsigned n_troubles;
	uint64_t hits; /* of servers that were killed since */
};

/* False where there is no Redis to be had. */
bool deep_open(struct deep *deep);
void deep_close(struct deep *deep);

/* In a process that becomes a worker, before it does. */
void deep_environment(const struct deep *deep);

/* After that, in one of a variant with several domains: through the relay of the run. */
void deep_environment_of_several(const char *board_path);

/* Now and then: stopped, killed with an older snapshot, full, read-only, emptied. */
void deep_disturb(struct deep *deep, uint64_t now_ns);

/* Whatever it was, it is over. */
void deep_calm(struct deep *deep);

/* How many reads it has answered with a value so far. */
uint64_t deep_hits(const struct deep *deep);

/* The process that makes memcached lose keys, as evictions do; the exit status. */
int deep_evict(const struct worker_job *job);

#endif
