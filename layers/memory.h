/*
 * memory.h - layer "memory": copies of values in the program's own process.
 *
 * Entries lie one after the other in a ring (memory_log.h), found through a table
 * of words (memory_index.h).  A hit takes no lock: it copies, then checks that
 * what it copied had not been given up meanwhile.  Changes are made under one
 * mutex.  Room is made at the ring's oldest end; what was used since it was put
 * there comes to the newest end once more (CLOCK, an approximation of LRU).
 *
 * An entry is a hit only while its slot token is the item's and its deadline
 * has not come; memcached ends items up to a second before their time, so a
 * known deadline counts one second less here.  The budget counts the ring as far
 * as it is in use, what is dead in it included, and the table.
 *
 * The layer owns its copies; any thread may call any operation.
 */
#ifndef TOWER_LAYERS_MEMORY_H
#define TOWER_LAYERS_MEMORY_H

#include "layers/layer.h"

struct memory_options {
	uint64_t max_bytes;	 /* of everything held, overhead counted */
	uint64_t max_items;	 /* 0: no limit */
	uint64_t max_item_bytes; /* key and value; 0: no limit but max_bytes */
	int64_t ttl_ns;		 /* the most an entry lives; 0: its own expiry only */
	unsigned ttl_jitter;	 /* percent by which ttl is shortened at random, 0 to 100 */
};

extern const struct layer_ops memory_ops;

/* NULL where memory is out.  `counters` is borrowed for the layer's life; the pointer
 * it points at is exchanged after a fork. */
struct layer *memory_open(const struct memory_options *options, struct layer_counters **counters);

#endif
