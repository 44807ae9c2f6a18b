/*
 * cache.h - one simulated cache: which keys it holds, by the policies of
 * layers/policy.h.
 *
 * Keys are numbers below n_keys.  Nothing is stored but what the policy needs to
 * know, 16 bytes a key.  A value that ends is a miss from then on, and goes when it is
 * asked for or its turn comes.
 *
 * The policies are those of the field: lru is exact (a value comes to the
 * newest end when it is used), s3fifo's small queue is a tenth.  `as_built` makes
 * them what the memory layer does: CLOCK for lru, POLICY_SMALL_ITEMS, POLICY_MOVES_MAX.
 *
 * One thread per cache.
 */
#ifndef TOWER_SIM_CACHE_H
#define TOWER_SIM_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "layers/policy.h"

#define CACHE_NEVER UINT32_MAX /* a deadline that does not come */

struct cache_options {
	enum policy_kind policy;
	bool as_built;
	uint32_t n_keys;
	bool by_bytes; /* max counts bytes, else values */
	uint64_t max;  /* no more is held; 0: nothing */
	double share;  /* of all keys so many are simulated, so that few of all are fewer here */
};

struct cache;

/* NULL where memory is out. */
struct cache *cache_new(const struct cache_options *options);

/* Whether the key is held; a hit counts for the policy. */
bool cache_get(struct cache *cache, uint32_t key, uint32_t now_ms);

/* Holds a value of so many bytes (all that it takes) under the key, if it fits at all. */
void cache_put(struct cache *cache, uint32_t key, uint32_t n_bytes, uint32_t deadline_ms);

/* Not held any more. */
void cache_drop(struct cache *cache, uint32_t key);

/* NULL is accepted. */
void cache_free(struct cache **cache);

#endif
