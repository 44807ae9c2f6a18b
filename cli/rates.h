/*
 * rates.h - what happened between two snapshots of the statistics, and what follows from counts.
 *
 * Pure functions.  Snapshots are of one domain, `before` is the older.  Counters only grow, and
 * what a process counted goes over into the total when it ends.
 */
#ifndef TOWER_CLI_RATES_H
#define TOWER_CLI_RATES_H

#include "core/stats_snapshot.h"

/* Seconds between the two; 0 where `before` is NULL or not older. */
double rates_seconds(const struct stats_snapshot *before, const struct stats_snapshot *after);

/*
 * What `after` has more of each counter than `before`; gauges are those of `after`.
 * A counter that is less than it was is of another process of the same pid: all of
 * it counts.  NULL as `before` is one that had counted nothing.
 */
void rates_difference(const struct stats_values *before, const struct stats_values *after,
		      struct stats_values *ret);

/* The first process of this pid, or NULL; `snapshot` may be NULL. */
const struct stats_process *rates_process(const struct stats_snapshot *snapshot, pid_t pid);

/* What the programs would have asked memcached for without the memory layer. */
struct rates_saved {
	uint64_t round_trips;
	uint64_t bytes; /* of values */
};

struct rates_saved rates_saved(const struct stats_values *values);

/* All reads of single keys and of keys of batches, each once. */
uint64_t rates_reads(const struct stats_values *values);

#endif
