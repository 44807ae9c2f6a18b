/* Where the keys of a read were found, by function. */
#include "shim/shim.h"

_Static_assert(CALL_memcached_exist_by_key < STATS_READS_MAX, "functions that read come first");

void shim_served(struct tower *tower, enum shim_call call, enum stats_read where, size_t n)
{
	if (n) {
		counter_add(&tower->stats->counts->reads[call][where], n);
	}
}

/* STATS_READ_ASKED where it is not known. */
static inline enum stats_read place_of(const struct tower *tower, const struct layer_item *item)
{
	static const enum stats_read places[] = {
		[LAYER_UNASKED] = STATS_READ_ASKED,
		[LAYER_MISS] = STATS_READ_NOWHERE,
		[LAYER_DOWN] = STATS_READ_FAILED,
	};

	return item->answer == LAYER_HIT ? STATS_READ_LAYERS + tower->layers[item->layer].stats
					 : places[item->answer];
}

void shim_served_items(struct tower *tower, enum shim_call call, const struct layer_item *items,
		       size_t n)
{
	size_t found[STATS_READ_COUNTS] = { 0 };

	if (n == 1) {
		enum stats_read where = place_of(tower, items);

		shim_served(tower, call, where, where != STATS_READ_ASKED);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		found[place_of(tower, &items[i])]++;
	}
	for (unsigned where = STATS_READ_LAYERS; where < STATS_READ_COUNTS; where++) {
		shim_served(tower, call, where, found[where]);
	}
}
