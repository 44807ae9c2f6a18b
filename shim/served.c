/* Where the keys of a read were found, by function. */
#include "shim/shim.h"

_Static_assert(CALL_memcached_exist_by_key < STATS_READS_MAX, "functions that read come first");

void shim_served(struct tower *tower, enum shim_call call, enum stats_read where, size_t n)
{
	if (n) {
		counter_add(&tower->stats->counts->reads[call][where], n);
	}
}

void shim_served_items(struct tower *tower, enum shim_call call, const struct layer_item *items,
		       size_t n)
{
	size_t found[STATS_READ_COUNTS] = { 0 };

	for (size_t i = 0; i < n; i++) {
		if (items[i].answer == LAYER_HIT) {
			found[STATS_READ_LAYERS + tower->layers[items[i].layer].stats]++;
		} else if (items[i].answer != LAYER_UNASKED) {
			found[items[i].answer == LAYER_MISS ? STATS_READ_NOWHERE
							    : STATS_READ_FAILED]++;
		}
	}
	for (unsigned where = 0; where < STATS_READ_COUNTS; where++) {
		shim_served(tower, call, where, found[where]);
	}
}
