/*
 * timing.h - which operations are timed, and where that is kept.
 *
 * Reading a clock costs about as much as a hit in memory, so only some operations are
 * timed: on average one of TIMING_HITS hits, one of TIMING_WALKS of everything else.
 * They are chosen at random, so that no rhythm of a program falls in step.
 *
 * Each thread counts down for itself; on a hit that is all there is to do.
 */
#ifndef TOWER_CORE_TIMING_H
#define TOWER_CORE_TIMING_H

#include <stdbool.h>
#include <stdint.h>

#include "core/stats.h"

#define TIMING_HITS 128
#define TIMING_WALKS 8

/* Operations of this thread until the next that is timed. */
struct timing {
	int32_t hits; /* where hits are watched: always 0, and `left` counts */
	int32_t walks;
	int32_t left;
	bool untimed;	 /* the hit is watched, but not timed */
	uint32_t random; /* 0: this thread has not begun */
};

extern __thread struct timing timing_now;

/*
 * From now on timing_hit() says yes to every hit of threads that have not begun, because
 * somebody wants to see them all; timing_now.untimed says which are not to be timed.
 * So a hit of a program that is not watched pays nothing.
 */
void timing_watch_hits(void);

/* The rest of the two below; answers whether the operation is timed. */
bool timing_hit_due(void);
bool timing_walk_due(void);

/* Whether to time this one, or watch it. */
static inline bool timing_hit(void)
{
	return __builtin_expect(--timing_now.hits < 0, 0) && timing_hit_due();
}

static inline bool timing_walk(void)
{
	return --timing_now.walks < 0 && timing_walk_due();
}

/* A latency below 0 (a clock that stepped) counts as 0. */
void timing_record(struct stats *stats, unsigned layer, enum stats_operation operation,
		   int64_t latency_ns);

#endif
