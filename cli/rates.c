#include "cli/rates.h"

#include <stddef.h>

#include "base/clock.h"
#include "core/stats_file.h"

double rates_seconds(const struct stats_snapshot *before, const struct stats_snapshot *after)
{
	if (before == NULL || before->taken_ns >= after->taken_ns) {
		return 0;
	}
	return (double)(after->taken_ns - before->taken_ns) / CLOCK_NS_PER_S;
}

void rates_difference(const struct stats_values *before, const struct stats_values *after,
		      struct stats_values *ret)
{
	*ret = *after;
	for (size_t i = 0; before && i < STATS_N_NUMBERS; i++) {
		uint64_t was = ((const uint64_t *)before)[i];
		uint64_t *now = (uint64_t *)ret + i;

		if (stats_count_adds(i) && was <= *now) {
			*now -= was;
		}
	}
}

const struct stats_process *rates_process(const struct stats_snapshot *snapshot, pid_t pid)
{
	for (unsigned i = 0; snapshot && i < snapshot->n_processes; i++) {
		if (snapshot->processes[i].pid == pid) {
			return &snapshot->processes[i];
		}
	}
	return NULL;
}

/*
 * Memory's misses go on to memcached, and Redis is only asked for what
 * memcached missed: so these are all reads, each counted once.
 */
uint64_t rates_reads(const struct stats_values *values)
{
	return values->layers[STATS_MEMORY].hits + values->layers[STATS_MEMCACHED].hits +
	       values->layers[STATS_MEMCACHED].misses;
}

struct rates_saved rates_saved(const struct stats_values *values)
{
	const struct stats_layer_values *memory = &values->layers[STATS_MEMORY];
	/* Of moments that differ a little: no fewer than none. */
	uint64_t single = memory->hits > memory->batch_hits ? memory->hits - memory->batch_hits : 0;

	return (struct rates_saved){ single + memory->batches, memory->hit_bytes };
}
