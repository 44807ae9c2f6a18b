/*
 * memory.h - layer "memory": copies of values in the program's own process.
 *
 * Entries lie one after the other in rings (memory_log.h), one for each of the
 * policy's queues (policy.h), found through a table of words (memory_index.h).
 * A hit takes no lock: it copies, then checks that what it copied had not been
 * given up meanwhile.  Changes are made under one mutex.  Room is made at a
 * ring's oldest end; what the policy keeps comes to a newest end once more.
 *
 * An entry is a hit only while its slot token is the item's and its deadline
 * has not come; memcached ends items up to a second before their time, so a
 * known deadline counts one second less here.  What has ended goes when it is
 * asked for, and else by and by with every change: each looks at a few entries.
 *
 * The budget counts the rings as far as they are in use, what is dead in them
 * included, pages that were not given back yet, the table, and what the policy
 * remembers.
 *
 * The layer owns its copies; any thread may call any operation.
 */
#ifndef TOWER_LAYERS_MEMORY_H
#define TOWER_LAYERS_MEMORY_H

#include "layers/layer.h"
#include "layers/policy.h"

/* A budget is no smaller than this. */
#define MEMORY_BYTES_MIN 4096

struct memory_options {
	enum policy_kind policy;
	uint64_t max_bytes; /* of everything held, overhead counted; MEMORY_BYTES_MIN or more */
	uint64_t max_items; /* 0: no limit */
	uint64_t max_item_bytes;   /* key and value; 0: no limit but max_bytes */
	int64_t ttl_ns;		   /* the most an entry lives; 0: its own expiry only */
	unsigned ttl_jitter;	   /* percent by which ttl is shortened at random, 0 to 100 */
	uint64_t remember_evicted; /* so many evictions, to count those that come again; 0: none */
};

extern const struct layer_ops memory_ops;

/*
 * NULL where memory is out.  What is above a smaller budget has gone when
 * set_budget() returns, so that it may take milliseconds.  `counters` is borrowed for
 * the layer's life; the pointer it points at is exchanged after a fork.
 */
struct layer *memory_open(const struct memory_options *options, struct layer_counters **counters);

#endif
