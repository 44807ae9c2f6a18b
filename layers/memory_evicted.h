/*
 * memory_evicted.h - what the memory layer had to drop for want of room, as far as it still
 * could have been a hit: for onlookers who ask what more room would bring.
 *
 * Remembers an entry's hash, slot token and deadline, one entry for each place of a table
 * by hash; a later one takes the place.  Nothing need be told of writes and flushes:
 * they change the token.  Beside the budget, and of a fixed size.
 *
 * Under the layer's lock.
 */
#ifndef TOWER_LAYERS_MEMORY_EVICTED_H
#define TOWER_LAYERS_MEMORY_EVICTED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct memory_evicted {
	size_t n; /* places; 0: nothing is remembered */
	struct memory_evicted_one {
		uint64_t hash; /* memory_hash(); with slot and deadline 0: free */
		uint64_t slot;
		int64_t deadline_ns;
	} * places; /* owned */
};

/* `n` places, rounded up to a power of two; false where memory is out. */
bool memory_evicted_open(struct memory_evicted *evicted, uint64_t n);

void memory_evicted_close(struct memory_evicted *evicted);

void memory_evicted_note(struct memory_evicted *evicted, uint64_t hash, uint64_t slot,
			 int64_t deadline_ns);

/*
 * A read of this item was a miss, and has found its value deeper: whether it would have
 * been a hit, had nothing been dropped.  Said once.
 */
bool memory_evicted_returns(struct memory_evicted *evicted, uint64_t hash, uint64_t slot,
			    int64_t now);

#endif
