/*
 * policy.h - which value goes when there is no room: lru, fifo, s3fifo.
 *
 * A policy does not know how values are stored.  Whoever stores them keeps
 * POLICY_QUEUES queues and how often each value was used (counted up to
 * uses_max), and asks three things: into which queue a new value goes; of which
 * queue the oldest value is looked at when there is no room; whether that one
 * stays, and where.  So the memory layer and a simulator run the same code.
 *
 * lru     One queue.  A value that was used since it came to the newest end
 *         comes there once more: CLOCK (Corbato, "A paging experiment with the
 *         Multics system", 1968), so that a hit need not move anything.
 * fifo    One queue.  Nothing is counted.
 * s3fifo  New values come into a small queue of a tenth; those used there go on
 *         to the main queue, the others go and leave a fingerprint, by which
 *         they come into the main queue if they come again soon (Yang et al.,
 *         "FIFO queues are all you need for cache eviction", SOSP 2023).  One use
 *         is enough, and the small queue holds 64 values where that is no more
 *         than half of all: caches of a few dozen values need both.
 *
 * Calls for one policy are made by one thread at a time.
 */
#ifndef TOWER_LAYERS_POLICY_H
#define TOWER_LAYERS_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layers/ghost.h"

#define POLICY_QUEUES 2
#define POLICY_USES_MAX 3 /* no policy counts further */

/* Values that may stay, one after the other, before one goes all the same: time is bounded. */
#define POLICY_MOVES_MAX 64

/* Values that s3fifo's small queue holds at least, where that is no more than half of all. */
#define POLICY_SMALL_ITEMS 64

/* In the order of [memory] policy in core/config.def. */
enum policy_kind { POLICY_LRU, POLICY_FIFO, POLICY_S3FIFO };

struct policy {
	enum policy_kind kind;
	unsigned n_queues;
	unsigned uses_max;
	uint64_t small_items; /* POLICY_SMALL_ITEMS; a simulator may want others */
	struct ghost ghost;
};

/* A value, as far as a policy cares. */
struct policy_value {
	uint64_t hash;
	unsigned queue;
	unsigned uses;
};

/* How full the queues are, in what there is too little of: bytes, or values. */
struct policy_load {
	uint64_t held[POLICY_QUEUES];
	uint64_t limit;	   /* of all queues together */
	uint64_t per_item; /* on average; 1 where values are counted */
};

/* `ghost_bytes_max` bounds what is kept of values that went. */
void policy_open(struct policy *policy, enum policy_kind kind, size_t ghost_bytes_max);
void policy_close(struct policy *policy);

/* Bytes that the policy itself takes. */
static inline size_t policy_bytes(const struct policy *policy)
{
	return ghost_bytes(&policy->ghost);
}

/* The bound on policy_bytes() from now on. */
void policy_limit(struct policy *policy, size_t ghost_bytes_max);

/* The queue of a value that is not held; `n_items` are. */
unsigned policy_queue(struct policy *policy, uint64_t hash, uint64_t n_items);

/* The queue whose oldest value is to be judged; one that holds nothing is never named. */
unsigned policy_victim(const struct policy *policy, const struct policy_load *load);

/*
 * The oldest value of its queue.  True: it stays, at the newest end of
 * value->queue, with value->uses.  False: it goes, and is remembered where the
 * policy does that.
 */
bool policy_stays(struct policy *policy, struct policy_value *value, uint64_t n_items);

/* The value went for another reason than want of room: it ended, or was changed elsewhere. */
void policy_lost(struct policy *policy, const struct policy_value *value, uint64_t n_items);

/* Nothing is held or remembered any more. */
void policy_clear(struct policy *policy);

#endif
