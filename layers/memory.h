/*
 * memory.h - layer "memory": copies of values in the program's own process.
 *
 * A uthash table and a list in order of use under one mutex.  An entry is a
 * hit only while its slot token is the item's and its deadline has not come;
 * memcached ends items up to a second before their time, so a known deadline
 * counts one second less here.  Budgets count keys, values and overhead.
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
