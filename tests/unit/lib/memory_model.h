/*
 * memory_model.h - a memory layer beside a naive map, driven by bytes.
 *
 * The bytes say which policy, budget and limits, then which operations; random
 * bytes make a random test, a fuzzer's make its own.  A cache may forget at any
 * time, so that a miss is always right, but where there is room for everything;
 * a hit must be what the map holds, whole, in time, under the slot asked for.
 * Now and then the layer's own books are compared with what lies in its logs.
 */
#ifndef TESTS_UNIT_LIB_MEMORY_MODEL_H
#define TESTS_UNIT_LIB_MEMORY_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "layers/memory.h"

/* What was seen, so that a test can say that anything was. */
struct memory_model_seen {
	uint64_t n_operations;
	uint64_t n_hits;
	uint64_t n_misses;
	uint64_t n_evictions;
	uint64_t n_expired;
	uint64_t n_moving; /* operations after which there were two tables */
	uint64_t n_turned; /* operations in which a log began anew before its ring's end */
};

/*
 * Runs until the bytes are used up.  NULL where all agrees, else what does not.
 * *seen is added to.  Sets the fake clock, and returns to the real one.
 */
const char *memory_model_run(const uint8_t *bytes, size_t n, struct memory_model_seen *seen);

/* Whether the layer's books agree with its logs and words: NULL, or what does not. */
const char *memory_model_books(struct layer *layer);

#endif
