/* Is the memory layer right: what it answers, keeps, drops and refuses? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/hash.h"
#include "layers/memory.h"

#define START_NS (1000 * CLOCK_NS_PER_S)

static struct layer_counters counted;
static struct layer_counters *counters = &counted;

static void *take_malloc(void *owner, size_t n)
{
	return malloc(n);
}

static void give_free(void *owner, void *bytes)
{
	free(bytes);
}

static void *take_nothing(void *owner, size_t n)
{
	return NULL;
}

static struct layer_key key_of(const char *text, uint64_t place)
{
	return (struct layer_key){
		.wire = text,
		.n_wire = strlen(text),
		.hash = hash_bytes(text, strlen(text)),
		.place = place,
		.server = "server:1",
	};
}

static struct layer *open_with(uint64_t max_bytes, uint64_t max_items, int64_t ttl_ns)
{
	const struct memory_options options = {
		.max_bytes = max_bytes,
		.max_items = max_items,
		.max_item_bytes = 1 << 20,
		.ttl_ns = ttl_ns,
	};

	memset(&counted, 0, sizeof(counted));
	clock_fake(START_NS, 1700000000);
	return memory_open(&options, &counters);
}

static void done(struct layer *layer)
{
	memory_ops.close(&layer);
	assert_null(layer);
	clock_fake(0, 0);
}

/* A fill as the walk makes it: one item that a deeper layer answered. */
static void fill(struct layer *layer, const char *key, const char *value, uint64_t slot,
		 int64_t deadline_ns)
{
	struct layer_item item = {
		.key = key_of(key, 1),
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

/* As a single get does it; `got` is what a batch of one gets a moment later. */
static void assert_peek_agrees(struct layer *layer, const struct layer_key *key, uint64_t slot,
			       const struct layer_item *got)
{
	const struct layer_allocator allocator = { take_malloc, give_free, NULL };
	struct layer_item peeked = { .slot = slot };
	bool found = memory_ops.peek(layer, key, false, &allocator, &peeked);

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
	counter_add(found ? &counted.hits : &counted.misses, (uint64_t)-1);
}

static struct layer_item get_one(struct layer *layer, const char *key, uint64_t slot,
				 uint64_t place, bool want_cas)
{
	struct layer_item item = { .key = key_of(key, place), .slot = slot };
	struct layer_batch batch = {
		.items = &item,
		.n_items = 1,
		.want_cas = want_cas,
		.allocator = { take_malloc, give_free, NULL },
	};

	memory_ops.get(layer, &batch);
	assert_int_equal(batch.n_hits, item.answer == LAYER_HIT);
	return item;
}

/* The value, to be freed, or NULL.  One thread. */
static char *read_at(struct layer *layer, const char *key, uint64_t slot, uint64_t place,
		     bool want_cas)
{
	struct layer_item item = get_one(layer, key, slot, place, want_cas);

	if (!want_cas && slot != LAYER_SLOT_BUSY) {
		assert_peek_agrees(layer, &item.key, slot, &item);
	}
	return item.answer == LAYER_HIT ? item.value : NULL;
}

static void assert_reads(struct layer *layer, const char *key, uint64_t slot, const char *expected)
{
	char *value = read_at(layer, key, slot, 1, false);

	if (expected) {
		assert_non_null(value);
		assert_string_equal(value, expected);
	} else {
		assert_null(value);
	}
	free(value);
}

static void write_key(struct layer *layer, const char *key, const char *value,
		      enum layer_outcome outcome, enum layer_verb verb, uint64_t slot)
{
	const struct layer_write write = {
		.verb = verb,
		.key = key_of(key, 1),
		.slot = slot,
		.value = value,
		.n_value = value ? strlen(value) : 0,
		.deadline_ns = CLOCK_NEVER,
		.outcome = outcome,
	};

	memory_ops.written(layer, &write);
}

static void test_filled_value__is_a_hit_with_all_that_belongs_to_it(void **state)
{
	struct layer *layer = open_with(1 << 20, 0, 0);
	struct layer_item item = { .key = key_of("a", 1), .slot = 5 };
	struct layer_batch batch = { .items = &item,
				     .n_items = 1,
				     .allocator = { take_malloc, give_free, NULL } };

	fill(layer, "a", "value", 5, CLOCK_NEVER);
	memory_ops.get(layer, &batch);
	assert_int_equal(item.answer, LAYER_HIT);
	assert_int_equal(item.n_value, 5);
	assert_int_equal(item.flags, 7);
	assert_false(item.has_cas);
	assert_string_equal(item.value, "value");
	free(item.value);
	assert_int_equal(counted.hits, 1);
	assert_int_equal(counted.items, 1);
	done(layer);
}

static void test_empty_value__is_a_hit_without_bytes(void **state)
{
	struct layer *layer = open_with(1 << 20, 0, 0);
	struct layer_item item = { .key = key_of("a", 1), .slot = 5 };
	struct layer_batch batch = { .items = &item,
				     .n_items = 1,
				     .allocator = { take_malloc, give_free, NULL } };

	fill(layer, "a", "", 5, CLOCK_NEVER);
	memory_ops.get(layer, &batch);
	assert_int_equal(item.answer, LAYER_HIT);
	assert_null(item.value);
	done(layer);
}

static void test_changed_slot__is_a_miss_and_drops_the_entry(void **state)
{
	struct layer *layer = open_with(1 << 20, 0, 0);

	fill(layer, "a", "old", 5, CLOCK_NEVER);
	assert_reads(layer, "a", 6, NULL);
	assert_reads(layer, "a", 5, NULL);
	assert_int_equal(counted.invalidated, 1);
	assert_int_equal(counted.items, 0);
	assert_int_equal(counted.bytes, 0);
	done(layer);
}

static void test_busy_slot__is_neither_answered_nor_filled(void **state)
{
	struct layer *layer = open_with(1 << 20, 0, 0);

	fill(layer, "a", "x", LAYER_SLOT_BUSY, CLOCK_NEVER);
	assert_int_equal(counted.items, 0);
	fill(layer, "a", "x", 5, CLOCK_NEVER);
	assert_reads(layer, "a", LAYER_SLOT_BUSY, NULL);
	assert_int_equal(counted.misses, 0);
	assert_reads(layer, "a", 5, "x");
	done(layer);
}

static void test_other_place__is_another_item(void **state)
{
	struct layer *layer = open_with(1 << 20, 0, 0);

	fill(layer, "a", "x", 5, CLOCK_NEVER);
	assert_null(read_at(layer, "a", 5, 2, false));
	done(layer);
}

static void test_cas_demanded__entry_without_one_is_a_miss_but_stays(void **state)
{
	struct layer *layer = open_with(1 << 20, 0, 0);

	fill(layer, "a", "x", 5, CLOCK_NEVER);
	assert_null(read_at(layer, "a", 5, 1, true));
	assert_reads(layer, "a", 5, "x");
	done(layer);
}

static void test_ttl__ends_an_entry(void **state)
{
	struct layer *layer = open_with(1 << 20, 0, CLOCK_NS_PER_S);

	fill(layer, "a", "x", 5, CLOCK_NEVER);
	clock_fake(START_NS + CLOCK_NS_PER_S - 1, 1700000000);
	assert_reads(layer, "a", 5, "x");
	clock_fake(START_NS + CLOCK_NS_PER_S, 1700000000);
	assert_reads(layer, "a", 5, NULL);
	assert_int_equal(counted.expired, 1);
	done(layer);
}

static void test_known_expiry__ends_a_second_early(void **state)
{
	struct layer *layer = open_with(1 << 20, 0, 0);

	fill(layer, "a", "x", 5, START_NS + 5 * CLOCK_NS_PER_S);
	clock_fake(START_NS + 3900 * CLOCK_NS_PER_MS, 1700000000);
	assert_reads(layer, "a", 5, "x");
	clock_fake(START_NS + 4 * CLOCK_NS_PER_S, 1700000000);
	assert_reads(layer, "a", 5, NULL);
	done(layer);
}

static void test_already_ended__is_rejected_and_takes_the_old_value_along(void **state)
{
	struct layer *layer = open_with(1 << 20, 0, 0);

	fill(layer, "a", "old", 5, CLOCK_NEVER);
	fill(layer, "a", "new", 5, START_NS - 1);
	assert_reads(layer, "a", 5, NULL);
	assert_int_equal(counted.rejected, 1);
	done(layer);
}

static void test_item_limit__evicts_the_least_recently_used(void **state)
{
	struct layer *layer = open_with(1 << 20, 3, 0);

	fill(layer, "a", "1", 5, CLOCK_NEVER);
	fill(layer, "b", "2", 5, CLOCK_NEVER);
	fill(layer, "c", "3", 5, CLOCK_NEVER);
	assert_reads(layer, "a", 5, "1");
	fill(layer, "d", "4", 5, CLOCK_NEVER);
	assert_reads(layer, "b", 5, NULL);
	assert_reads(layer, "a", 5, "1");
	assert_reads(layer, "c", 5, "3");
	assert_reads(layer, "d", 5, "4");
	assert_int_equal(counted.evictions, 1);
	done(layer);
}

static void test_byte_budget__is_never_passed(void **state)
{
	struct layer *layer = open_with(8192, 0, 0);
	char key[16];
	char value[600];

	memset(value, 'v', sizeof(value));
	value[sizeof(value) - 1] = '\0';
	for (int i = 0; i < 200; i++) {
		snprintf(key, sizeof(key), "key%d", i);
		fill(layer, key, value + i * 2, 5, CLOCK_NEVER);
		assert_true(counted.bytes <= 8192);
	}
	assert_true(counted.items > 5);
	assert_true(counted.evictions > 100);
	done(layer);
}

/* Small values: the table grows, and its part of the budget with it. */
static void test_growing_table__stays_within_the_budget(void **state)
{
	struct layer *layer = open_with(1 << 20, 0, 0);
	char key[16];

	for (int i = 0; i < 40000; i++) {
		snprintf(key, sizeof(key), "key%d", i);
		fill(layer, key, "v", 5, CLOCK_NEVER);
		assert_true(counted.bytes <= 1 << 20);
	}
	assert_true(counted.items > 8000);
	assert_reads(layer, "key39999", 5, "v");
	done(layer);
}

static void test_flush_of_locked_memory__leaves_nothing_either(void **state)
{
	struct layer *layer = open_with(1 << 20, 0, 0);
	char key[16];

	assert_int_equal(mlockall(MCL_CURRENT), 0);
	for (int round = 0; round < 2; round++) {
		memory_ops.flush(layer);
		for (int i = 0; i < 1000; i++) {
			snprintf(key, sizeof(key), "key%d", i);
			fill(layer, key, "v", 5, CLOCK_NEVER);
		}
		assert_int_equal(counted.items, 1000);
	}
	munlockall();
	done(layer);
}

static void test_too_large_value__is_rejected_and_takes_the_old_value_along(void **state)
{
	struct layer *layer = open_with(8192, 0, 0);
	char value[9000];

	memset(value, 'v', sizeof(value));
	value[sizeof(value) - 1] = '\0';
	fill(layer, "a", "old", 5, CLOCK_NEVER);
	fill(layer, "b", "stays", 5, CLOCK_NEVER);
	fill(layer, "a", value, 5, CLOCK_NEVER);
	assert_reads(layer, "a", 5, NULL);
	assert_reads(layer, "b", 5, "stays");
	done(layer);
}

static void test_confirmed_set__keeps_the_new_value(void **state)
{
	struct layer *layer = open_with(1 << 20, 0, 0);

	fill(layer, "a", "old", 5, CLOCK_NEVER);
	write_key(layer, "a", "new", LAYER_DONE, LAYER_SET, 6);
	assert_reads(layer, "a", 6, "new");
	done(layer);
}

static void test_every_other_write__leaves_nothing(void **state)
{
	static const struct {
		enum layer_verb verb;
		enum layer_outcome outcome;
		uint64_t slot;
	} writes[] = {
		{ LAYER_DELETE, LAYER_DONE, 5 },
		{ LAYER_DELETE, LAYER_REFUSED, 5 },
		{ LAYER_INCREMENT, LAYER_DONE, 5 },
		{ LAYER_APPEND, LAYER_DONE, 5 },
		{ LAYER_TOUCH, LAYER_DONE, 5 },
		{ LAYER_SET, LAYER_UNCERTAIN, 5 },
		{ LAYER_SET, LAYER_DROPPED, 5 },
		{ LAYER_ADD, LAYER_REFUSED, 5 },
		{ LAYER_SET, LAYER_DONE, LAYER_SLOT_BUSY },
	};
	struct layer *layer = open_with(1 << 20, 0, 0);

	for (size_t i = 0; i < sizeof(writes) / sizeof(writes[0]); i++) {
		fill(layer, "a", "old", 5, CLOCK_NEVER);
		write_key(layer, "a", "new", writes[i].outcome, writes[i].verb, writes[i].slot);
		assert_reads(layer, "a", 5, NULL);
	}
	done(layer);
}

static void test_unsent_write__changes_nothing(void **state)
{
	struct layer *layer = open_with(1 << 20, 0, 0);

	fill(layer, "a", "old", 5, CLOCK_NEVER);
	write_key(layer, "a", "new", LAYER_UNSENT, LAYER_SET, 5);
	assert_reads(layer, "a", 5, "old");
	done(layer);
}

static void test_flush__leaves_nothing(void **state)
{
	struct layer *layer = open_with(1 << 20, 0, 0);

	fill(layer, "a", "1", 5, CLOCK_NEVER);
	fill(layer, "b", "2", 5, CLOCK_NEVER);
	memory_ops.flush(layer);
	assert_reads(layer, "a", 5, NULL);
	assert_reads(layer, "b", 5, NULL);
	assert_int_equal(counted.items, 0);
	assert_int_equal(counted.bytes, 0);
	done(layer);
}

static void test_program_out_of_memory__is_a_miss(void **state)
{
	struct layer *layer = open_with(1 << 20, 0, 0);
	struct layer_item item = { .key = key_of("a", 1), .slot = 5 };
	struct layer_batch batch = { .items = &item,
				     .n_items = 1,
				     .allocator = { take_nothing, give_free, NULL } };

	fill(layer, "a", "value", 5, CLOCK_NEVER);
	memory_ops.get(layer, &batch);
	assert_int_equal(item.answer, LAYER_MISS);
	assert_int_equal(batch.n_hits, 0);
	done(layer);
}

/* What a naive map says of the same operations. */
static void test_random_operations__agree_with_a_naive_map(void **state)
{
	enum { KEYS = 50 };
	struct layer *layer = open_with(1 << 20, 0, 0);
	char model[KEYS][16];
	uint64_t random = 42;

	memset(model, 0, sizeof(model));
	for (int i = 0; i < 100000; i++) {
		char key[16];
		size_t k;

		random = random * UINT64_C(6364136223846793005) + 1442695040888963407U;
		k = (random >> 33) % KEYS;
		snprintf(key, sizeof(key), "key%zu", k);
		switch ((random >> 20) % 4) {
		case 0:
			snprintf(model[k], sizeof(model[k]), "%d", i);
			fill(layer, key, model[k], 5, CLOCK_NEVER);
			break;
		case 1:
			model[k][0] = '\0';
			write_key(layer, key, NULL, LAYER_DONE, LAYER_DELETE, 5);
			break;
		default:
			assert_reads(layer, key, 5, model[k][0] ? model[k] : NULL);
			break;
		}
	}
	done(layer);
}

static char *peek(struct layer *layer, const char *key, uint64_t slot)
{
	const struct layer_allocator allocator = { take_malloc, give_free, NULL };
	const struct layer_key at = key_of(key, 1);
	struct layer_item item = { .slot = slot };

	return memory_ops.peek(layer, &at, false, &allocator, &item) ? item.value : NULL;
}

static void *hammer(void *arg)
{
	struct layer *layer = arg;
	char key[16];
	char expected[200];

	for (int i = 0; i < 20000; i++) {
		char *value;

		snprintf(key, sizeof(key), "key%d", i * 7 % 97);
		snprintf(expected, sizeof(expected), "value of %s%*s", key, i * 7 % 97, "");
		fill(layer, key, expected, 5, CLOCK_NEVER);
		value = i % 2 ? get_one(layer, key, 5, 1, false).value : peek(layer, key, 5);
		if (value) {
			assert_string_equal(value, expected);
		}
		free(value);
	}
	return NULL;
}

static void test_threads__never_see_another_keys_value(void **state)
{
	struct layer *layer = open_with(8192, 0, 0);
	pthread_t threads[4];

	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, hammer, layer), 0);
	}
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	}
	assert_true(counted.bytes <= 8192);
	done(layer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_filled_value__is_a_hit_with_all_that_belongs_to_it),
		cmocka_unit_test(test_empty_value__is_a_hit_without_bytes),
		cmocka_unit_test(test_changed_slot__is_a_miss_and_drops_the_entry),
		cmocka_unit_test(test_busy_slot__is_neither_answered_nor_filled),
		cmocka_unit_test(test_other_place__is_another_item),
		cmocka_unit_test(test_cas_demanded__entry_without_one_is_a_miss_but_stays),
		cmocka_unit_test(test_ttl__ends_an_entry),
		cmocka_unit_test(test_known_expiry__ends_a_second_early),
		cmocka_unit_test(test_already_ended__is_rejected_and_takes_the_old_value_along),
		cmocka_unit_test(test_item_limit__evicts_the_least_recently_used),
		cmocka_unit_test(test_byte_budget__is_never_passed),
		cmocka_unit_test(test_growing_table__stays_within_the_budget),
		cmocka_unit_test(test_flush_of_locked_memory__leaves_nothing_either),
		cmocka_unit_test(test_too_large_value__is_rejected_and_takes_the_old_value_along),
		cmocka_unit_test(test_confirmed_set__keeps_the_new_value),
		cmocka_unit_test(test_every_other_write__leaves_nothing),
		cmocka_unit_test(test_unsent_write__changes_nothing),
		cmocka_unit_test(test_flush__leaves_nothing),
		cmocka_unit_test(test_program_out_of_memory__is_a_miss),
		cmocka_unit_test(test_random_operations__agree_with_a_naive_map),
		cmocka_unit_test(test_threads__never_see_another_keys_value),
	};

	return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
