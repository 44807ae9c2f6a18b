/*
 * calls.h - calls of a memory layer as the walk makes them, for unit tests.
 *
 * A layer is opened on a fake clock at CALLS_START_NS and counts in
 * calls_counted.  Values are C strings.  One layer at a time.
 */
#ifndef TESTS_UNIT_LIB_CALLS_H
#define TESTS_UNIT_LIB_CALLS_H

#include "base/clock.h"
#include "layers/memory.h"

#define CALLS_START_NS (1000 * CLOCK_NS_PER_S)

extern struct layer_counters calls_counted;
extern struct layer_counters *calls_counters;

/* lru; max_item_bytes is 1 MiB. */
struct layer *calls_open(uint64_t max_bytes, uint64_t max_items, int64_t ttl_ns);

/* Of 1 MiB. */
struct layer *calls_open_policy(enum policy_kind policy, uint64_t max_items);

/* Closes it and returns to the real clock. */
void calls_done(struct layer *layer);

struct layer_key calls_key(const char *text, uint64_t place);

/* A batch's allocator; `owner` is not used. */
void *calls_malloc(void *owner, size_t n);
void calls_free(void *owner, void *bytes);

/* At place 1, as if a deeper layer had answered. */
void calls_fill(struct layer *layer, const char *key, const char *value, uint64_t slot,
		int64_t deadline_ns);

/* A batch of one; its value is to be freed. */
struct layer_item calls_get(struct layer *layer, const char *key, uint64_t slot, uint64_t place,
			    bool want_cas);

/* The value, to be freed, or NULL.  A peek must say the same: for one thread. */
char *calls_read(struct layer *layer, const char *key, uint64_t slot, uint64_t place,
		 bool want_cas);

/* At place 1; `expected` NULL: a miss. */
void calls_assert_reads(struct layer *layer, const char *key, uint64_t slot, const char *expected);

/* At place 1; `value` may be NULL. */
void calls_write(struct layer *layer, const char *key, const char *value,
		 enum layer_outcome outcome, enum layer_verb verb, uint64_t slot);

#endif
