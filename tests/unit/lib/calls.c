#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "calls.h"

struct layer_counters calls_counted;
struct layer_counters *calls_counters = &calls_counted;

void *calls_malloc(void *owner, size_t n)
{
	return malloc(n);
}

void calls_free(void *owner, void *bytes)
{
	free(bytes);
}

struct layer_key calls_key(const char *text, uint64_t place)
{
	return (struct layer_key){
		.wire = text,
		.n_wire = strlen(text),
		.hash = hash_bytes(text, strlen(text)),
		.place = place,
		.server = "server:1",
	};
}

struct layer *calls_open(uint64_t max_bytes, uint64_t max_items, int64_t ttl_ns)
{
	const struct memory_options options = {
		.max_bytes = max_bytes,
		.max_items = max_items,
		.max_item_bytes = 1 << 20,
		.ttl_ns = ttl_ns,
	};

	memset(&calls_counted, 0, sizeof(calls_counted));
	clock_fake(CALLS_START_NS, 1700000000);
	return memory_open(&options, &calls_counters);
}

void calls_done(struct layer *layer)
{
	memory_ops.close(&layer);
	assert_null(layer);
	clock_fake(0, 0);
}

void calls_fill(struct layer *layer, const char *key, const char *value, uint64_t slot,
		int64_t deadline_ns)
{
	struct layer_item item = {
		.key = calls_key(key, 1),
		.slot = slot,
		.answer = LAYER_HIT,
		.layer = 1,
		.value = (char *)value,
		.n_value = strlen(value),
		.flags = 7,
		.deadline_ns = deadline_ns,
	};
	const struct layer_batch batch = { .items = &item, .n_items = 1, .n_hits = 1 };

	memory_ops.fill(layer, &batch, 0);
}

/* As a single get does it; `got` is what a batch of one got a moment before. */
static void assert_peek_agrees(struct layer *layer, const struct layer_key *key, uint64_t slot,
			       const struct layer_item *got)
{
	const struct layer_allocator allocator = { calls_malloc, calls_free, NULL };
	struct layer_item peeked = { .slot = slot };
	bool found = memory_ops.peek(layer, key, false, &allocator, &peeked) == LAYER_HIT;

	assert_int_equal(found, got->answer == LAYER_HIT);
	if (found) {
		assert_int_equal(peeked.n_value, got->n_value);
		assert_int_equal(peeked.flags, got->flags);
		assert_true(peeked.deadline_ns == got->deadline_ns);
		assert_true((peeked.value == NULL) == (got->value == NULL));
		if (peeked.value) {
			assert_memory_equal(peeked.value, got->value, got->n_value + 1);
		}
		free(peeked.value);
	}
	/* Tests count what the batch counts. */
	counter_add(found ? &calls_counted.hits : &calls_counted.misses, (uint64_t)-1);
}

struct layer_item calls_get(struct layer *layer, const char *key, uint64_t slot, uint64_t place,
			    bool want_cas)
{
	struct layer_item item = { .key = calls_key(key, place), .slot = slot };
	struct layer_batch batch = {
		.items = &item,
		.n_items = 1,
		.want_cas = want_cas,
		.allocator = { calls_malloc, calls_free, NULL },
	};

	memory_ops.get(layer, &batch);
	assert_int_equal(batch.n_hits, item.answer == LAYER_HIT);
	return item;
}

char *calls_read(struct layer *layer, const char *key, uint64_t slot, uint64_t place, bool want_cas)
{
	struct layer_item item = calls_get(layer, key, slot, place, want_cas);

	if (!want_cas && slot != LAYER_SLOT_BUSY) {
		assert_peek_agrees(layer, &item.key, slot, &item);
	}
	return item.answer == LAYER_HIT ? item.value : NULL;
}

void calls_assert_reads(struct layer *layer, const char *key, uint64_t slot, const char *expected)
{
	char *value = calls_read(layer, key, slot, 1, false);

	if (expected) {
		assert_non_null(value);
		assert_string_equal(value, expected);
	} else {
		assert_null(value);
	}
	free(value);
}

void calls_write(struct layer *layer, const char *key, const char *value,
		 enum layer_outcome outcome, enum layer_verb verb, uint64_t slot)
{
	const struct layer_write write = {
		.verb = verb,
		.key = calls_key(key, 1),
		.slot = slot,
		.value = value,
		.n_value = value ? strlen(value) : 0,
		.deadline_ns = CLOCK_NEVER,
		.outcome = outcome,
	};

	memory_ops.written(layer, &write);
}

struct layer *calls_open_policy(enum policy_kind policy, uint64_t max_items)
{
	const struct memory_options options = {
		.policy = policy,
		.max_bytes = 1 << 20,
		.max_items = max_items,
	};

	memset(&calls_counted, 0, sizeof(calls_counted));
	clock_fake(CALLS_START_NS, 1700000000);
	return memory_open(&options, &calls_counters);
}
