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
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "layers/memory_store.h"
#include "tests/unit/lib/calls.h"

static void *take_nothing(void *owner, size_t n)
{
	return NULL;
}

static void test_filled_value__is_a_hit_with_all_that_belongs_to_it(void **state)
{
	struct layer *layer = calls_open(1 << 20, 0, 0);
	struct layer_item item = { .key = calls_key("a", 1), .slot = 5 };
	struct layer_batch batch = { .items = &item,
				     .n_items = 1,
				     .allocator = { calls_malloc, calls_free, NULL } };

	calls_fill(layer, "a", "value", 5, CLOCK_NEVER);
	memory_ops.get(layer, &batch);
	assert_int_equal(item.answer, LAYER_HIT);
	assert_int_equal(item.n_value, 5);
	assert_int_equal(item.flags, 7);
	assert_false(item.has_cas);
	assert_string_equal(item.value, "value");
	free(item.value);
	assert_int_equal(calls_counted.hits, 1);
	assert_int_equal(calls_counted.items, 1);
	calls_done(layer);
}

static void test_empty_value__is_a_hit_without_bytes(void **state)
{
	struct layer *layer = calls_open(1 << 20, 0, 0);
	struct layer_item item = { .key = calls_key("a", 1), .slot = 5 };
	struct layer_batch batch = { .items = &item,
				     .n_items = 1,
				     .allocator = { calls_malloc, calls_free, NULL } };

	calls_fill(layer, "a", "", 5, CLOCK_NEVER);
	memory_ops.get(layer, &batch);
	assert_int_equal(item.answer, LAYER_HIT);
	assert_null(item.value);
	calls_done(layer);
}

static void test_changed_slot__is_a_miss_and_drops_the_entry(void **state)
{
	struct layer *layer = calls_open(1 << 20, 0, 0);

	calls_fill(layer, "a", "old", 5, CLOCK_NEVER);
	calls_assert_reads(layer, "a", 6, NULL);
	calls_assert_reads(layer, "a", 5, NULL);
	assert_int_equal(calls_counted.invalidated, 1);
	assert_int_equal(calls_counted.items, 0);
	assert_int_equal(calls_counted.bytes, 0);
	calls_done(layer);
}

static void test_busy_slot__is_neither_answered_nor_filled(void **state)
{
	struct layer *layer = calls_open(1 << 20, 0, 0);

	calls_fill(layer, "a", "x", LAYER_SLOT_BUSY, CLOCK_NEVER);
	assert_int_equal(calls_counted.items, 0);
	calls_fill(layer, "a", "x", 5, CLOCK_NEVER);
	calls_assert_reads(layer, "a", LAYER_SLOT_BUSY, NULL);
	assert_int_equal(calls_counted.misses, 0);
	calls_assert_reads(layer, "a", 5, "x");
	calls_done(layer);
}

static void test_other_place__is_another_item(void **state)
{
	struct layer *layer = calls_open(1 << 20, 0, 0);

	calls_fill(layer, "a", "x", 5, CLOCK_NEVER);
	assert_null(calls_read(layer, "a", 5, 2, false));
	calls_done(layer);
}

static void test_cas_demanded__entry_without_one_is_a_miss_but_stays(void **state)
{
	struct layer *layer = calls_open(1 << 20, 0, 0);

	calls_fill(layer, "a", "x", 5, CLOCK_NEVER);
	assert_null(calls_read(layer, "a", 5, 1, true));
	calls_assert_reads(layer, "a", 5, "x");
	calls_done(layer);
}

static void test_ttl__ends_an_entry(void **state)
{
	struct layer *layer = calls_open(1 << 20, 0, CLOCK_NS_PER_S);

	calls_fill(layer, "a", "x", 5, CLOCK_NEVER);
	clock_fake(CALLS_START_NS + CLOCK_NS_PER_S - MEMORY_DEADLINE_STEP, 1700000000);
	calls_assert_reads(layer, "a", 5, "x");
	clock_fake(CALLS_START_NS + CLOCK_NS_PER_S, 1700000000);
	calls_assert_reads(layer, "a", 5, NULL);
	assert_int_equal(calls_counted.expired, 1);
	calls_done(layer);
}

static void test_known_expiry__ends_a_second_early(void **state)
{
	struct layer *layer = calls_open(1 << 20, 0, 0);

	calls_fill(layer, "a", "x", 5, CALLS_START_NS + 5 * CLOCK_NS_PER_S);
	clock_fake(CALLS_START_NS + 3900 * CLOCK_NS_PER_MS, 1700000000);
	calls_assert_reads(layer, "a", 5, "x");
	clock_fake(CALLS_START_NS + 4 * CLOCK_NS_PER_S, 1700000000);
	calls_assert_reads(layer, "a", 5, NULL);
	calls_done(layer);
}

/* New entries, so that nothing is dead, and no room is looked for. */
static void change_some(struct layer *layer, unsigned n)
{
	static unsigned n_changed;
	char key[24];

	for (unsigned i = 0; i < n; i++) {
		snprintf(key, sizeof(key), "changed%u", n_changed++);
		calls_fill(layer, key, "value", 5, CLOCK_NEVER);
	}
}

/* Nobody asks for it; what is looked for follows what comes, also while it is looked for. */
static void test_what_ends_sooner_than_the_rest__goes_with_changes_of_others(void **state)
{
	struct layer *layer = calls_open(1 << 20, 0, 0);
	char key[16];

	for (unsigned i = 0; i < 80; i++) {
		snprintf(key, sizeof(key), "stays%u", i);
		calls_fill(layer, key, "value", 5, CLOCK_NEVER);
		if (i == 40) {
			calls_fill(layer, "second", "value", 5,
				   CALLS_START_NS + 40 * CLOCK_NS_PER_S);
			calls_fill(layer, "first", "value", 5,
				   CALLS_START_NS + 20 * CLOCK_NS_PER_S);
		}
	}
	change_some(layer, 100);
	assert_int_equal(calls_counted.expired, 0);
	clock_fake(CALLS_START_NS + 20 * CLOCK_NS_PER_S, 1700000020);
	change_some(layer, 10);
	calls_fill(layer, "third", "value", 5, CALLS_START_NS + 30 * CLOCK_NS_PER_S);
	change_some(layer, 110);
	assert_int_equal(calls_counted.expired, 1);
	clock_fake(CALLS_START_NS + 30 * CLOCK_NS_PER_S, 1700000030);
	change_some(layer, 110);
	assert_int_equal(calls_counted.expired, 2);
	clock_fake(CALLS_START_NS + 40 * CLOCK_NS_PER_S, 1700000040);
	change_some(layer, 110);
	assert_int_equal(calls_counted.expired, 3);
	assert_int_equal(calls_counted.items, 80 + 100 + 10 + 3 * 110);
	calls_done(layer);
}

static void test_already_ended__is_rejected_and_takes_the_old_value_along(void **state)
{
	struct layer *layer = calls_open(1 << 20, 0, 0);

	calls_fill(layer, "a", "old", 5, CLOCK_NEVER);
	calls_fill(layer, "a", "new", 5, CALLS_START_NS - 1);
	calls_assert_reads(layer, "a", 5, NULL);
	assert_int_equal(calls_counted.rejected, 1);
	calls_done(layer);
}

static void test_item_limit__evicts_the_least_recently_used(void **state)
{
	struct layer *layer = calls_open(1 << 20, 3, 0);

	calls_fill(layer, "a", "1", 5, CLOCK_NEVER);
	calls_fill(layer, "b", "2", 5, CLOCK_NEVER);
	calls_fill(layer, "c", "3", 5, CLOCK_NEVER);
	calls_assert_reads(layer, "a", 5, "1");
	calls_fill(layer, "d", "4", 5, CLOCK_NEVER);
	calls_assert_reads(layer, "b", 5, NULL);
	calls_assert_reads(layer, "a", 5, "1");
	calls_assert_reads(layer, "c", 5, "3");
	calls_assert_reads(layer, "d", 5, "4");
	assert_int_equal(calls_counted.evictions, 1);
	calls_done(layer);
}

/* Finds two names whose words look the same in the first table, and its neighbour's. */
static void test_keys_with_equal_tags__are_told_apart(void **state)
{
	enum { LINES = 8, TRIES = 20000 };
	static uint32_t seen[LINES << 16];
	struct layer *layer = calls_open(1 << 20, 0, 0);
	unsigned n_pairs = 0;
	char key[16];
	char other[16];

	memset(seen, 0, sizeof(seen));
	for (uint32_t i = 1; i < TRIES; i++) {
		struct layer_key made;
		uint64_t bits;

		snprintf(key, sizeof(key), "key%05u", i);
		made = calls_key(key, 1);
		bits = memory_hash(&made) % (LINES << 16);
		if (seen[bits] == 0) {
			seen[bits] = i;
			continue;
		}
		snprintf(other, sizeof(other), "key%05u", seen[bits]);
		calls_fill(layer, key, "one", 5, CLOCK_NEVER);
		calls_assert_reads(layer, other, 5, NULL);
		calls_fill(layer, other, "two", 5, CLOCK_NEVER);
		calls_assert_reads(layer, key, 5, "one");
		calls_assert_reads(layer, other, 5, "two");
		memory_ops.flush(layer);
		n_pairs++;
	}
	assert_true(n_pairs > 10);
	calls_done(layer);
}

static void test_places_with_equal_tags__are_told_apart(void **state)
{
	struct layer *layer = calls_open(1 << 20, 0, 0);
	const struct layer_key first = calls_key("a", 1);
	uint64_t place = 2;
	struct layer_key second;

	do {
		second = calls_key("a", place++);
	} while ((memory_hash(&first) ^ memory_hash(&second)) % (8 << 16) != 0);
	calls_fill(layer, "a", "x", 5, CLOCK_NEVER);
	assert_null(calls_read(layer, "a", 5, second.place, false));
	calls_assert_reads(layer, "a", 5, "x");
	calls_done(layer);
}

static void test_byte_budget__is_never_passed(void **state)
{
	struct layer *layer = calls_open(8192, 0, 0);
	char key[16];
	char value[600];

	memset(value, 'v', sizeof(value));
	value[sizeof(value) - 1] = '\0';
	for (int i = 0; i < 200; i++) {
		snprintf(key, sizeof(key), "key%d", i);
		calls_fill(layer, key, value + i * 2, 5, CLOCK_NEVER);
		assert_true(calls_counted.bytes <= 8192);
	}
	assert_true(calls_counted.items > 5);
	assert_true(calls_counted.evictions > 100);
	calls_done(layer);
}

/* Small values: the table grows, and its part of the budget with it. */
static void test_growing_table__stays_within_the_budget(void **state)
{
	struct layer *layer = calls_open(1 << 20, 0, 0);
	char key[16];

	for (int i = 0; i < 40000; i++) {
		snprintf(key, sizeof(key), "key%d", i);
		calls_fill(layer, key, "v", 5, CLOCK_NEVER);
		assert_true(calls_counted.bytes <= 1 << 20);
	}
	assert_true(calls_counted.items > 8000);
	calls_assert_reads(layer, "key39999", 5, "v");
	calls_done(layer);
}

static void test_flush_of_locked_memory__leaves_nothing_either(void **state)
{
	struct layer *layer = calls_open(1 << 20, 0, 0);
	char key[16];

	assert_int_equal(mlockall(MCL_CURRENT), 0);
	for (int round = 0; round < 2; round++) {
		memory_ops.flush(layer);
		for (int i = 0; i < 1000; i++) {
			snprintf(key, sizeof(key), "key%d", i);
			calls_fill(layer, key, "v", 5, CLOCK_NEVER);
		}
		assert_int_equal(calls_counted.items, 1000);
	}
	munlockall();
	calls_done(layer);
}

static void test_too_large_value__is_rejected_and_takes_the_old_value_along(void **state)
{
	struct layer *layer = calls_open(8192, 0, 0);
	char value[9000];

	memset(value, 'v', sizeof(value));
	value[sizeof(value) - 1] = '\0';
	calls_fill(layer, "a", "old", 5, CLOCK_NEVER);
	calls_fill(layer, "b", "stays", 5, CLOCK_NEVER);
	calls_fill(layer, "a", value, 5, CLOCK_NEVER);
	calls_assert_reads(layer, "a", 5, NULL);
	calls_assert_reads(layer, "b", 5, "stays");
	calls_done(layer);
}

static void test_confirmed_set__keeps_the_new_value(void **state)
{
	struct layer *layer = calls_open(1 << 20, 0, 0);

	calls_fill(layer, "a", "old", 5, CLOCK_NEVER);
	calls_write(layer, "a", "new", LAYER_DONE, LAYER_SET, 6);
	calls_assert_reads(layer, "a", 6, "new");
	calls_done(layer);
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
	struct layer *layer = calls_open(1 << 20, 0, 0);

	for (size_t i = 0; i < sizeof(writes) / sizeof(writes[0]); i++) {
		calls_fill(layer, "a", "old", 5, CLOCK_NEVER);
		calls_write(layer, "a", "new", writes[i].outcome, writes[i].verb, writes[i].slot);
		calls_assert_reads(layer, "a", 5, NULL);
	}
	calls_done(layer);
}

static void test_unsent_write__changes_nothing(void **state)
{
	struct layer *layer = calls_open(1 << 20, 0, 0);

	calls_fill(layer, "a", "old", 5, CLOCK_NEVER);
	calls_write(layer, "a", "new", LAYER_UNSENT, LAYER_SET, 5);
	calls_assert_reads(layer, "a", 5, "old");
	calls_done(layer);
}

static void test_flush__leaves_nothing(void **state)
{
	struct layer *layer = calls_open(1 << 20, 0, 0);

	calls_fill(layer, "a", "1", 5, CLOCK_NEVER);
	calls_fill(layer, "b", "2", 5, CLOCK_NEVER);
	memory_ops.flush(layer);
	calls_assert_reads(layer, "a", 5, NULL);
	calls_assert_reads(layer, "b", 5, NULL);
	assert_int_equal(calls_counted.items, 0);
	assert_int_equal(calls_counted.bytes, 0);
	calls_done(layer);
}

static void test_program_out_of_memory__is_a_miss(void **state)
{
	struct layer *layer = calls_open(1 << 20, 0, 0);
	struct layer_item item = { .key = calls_key("a", 1), .slot = 5 };
	struct layer_batch batch = { .items = &item,
				     .n_items = 1,
				     .allocator = { take_nothing, calls_free, NULL } };

	calls_fill(layer, "a", "value", 5, CLOCK_NEVER);
	memory_ops.get(layer, &batch);
	assert_int_equal(item.answer, LAYER_MISS);
	assert_int_equal(batch.n_hits, 0);
	calls_done(layer);
}

/* What a naive map says of the same operations. */
static void test_random_operations__agree_with_a_naive_map(void **state)
{
	enum { KEYS = 50 };
	struct layer *layer = calls_open(1 << 20, 0, 0);
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
			calls_fill(layer, key, model[k], 5, CLOCK_NEVER);
			break;
		case 1:
			model[k][0] = '\0';
			calls_write(layer, key, NULL, LAYER_DONE, LAYER_DELETE, 5);
			break;
		default:
			calls_assert_reads(layer, key, 5, model[k][0] ? model[k] : NULL);
			break;
		}
	}
	calls_done(layer);
}

static char *peek(struct layer *layer, const char *key, uint64_t slot)
{
	const struct layer_allocator allocator = { calls_malloc, calls_free, NULL };
	const struct layer_key at = calls_key(key, 1);
	struct layer_item item = { .slot = slot };

	return memory_ops.peek(layer, &at, false, &allocator, &item) == LAYER_HIT ? item.value
										  : NULL;
}

static void test_peek_at_what_is_void__changes_nothing(void **state)
{
	const struct layer_allocator allocator = { calls_malloc, calls_free, NULL };
	struct layer *layer = calls_open(1 << 20, 0, 10 * CLOCK_NS_PER_S);
	struct layer_item item = { .key = calls_key("a", 1), .slot = 6 };

	calls_fill(layer, "a", "old", 5, CLOCK_NEVER);
	/* A handler could jump away while it waits for the lock, or has it. */
	memory_ops.prepare(layer);
	assert_int_equal(memory_ops.peek(layer, &item.key, false, &allocator, &item),
			 LAYER_UNASKED);
	item.slot = 5;
	clock_fake(CALLS_START_NS + 10 * CLOCK_NS_PER_S, 1700000000);
	assert_int_equal(memory_ops.peek(layer, &item.key, false, &allocator, &item),
			 LAYER_UNASKED);
	memory_ops.parent(layer);
	assert_int_equal(calls_counted.items, 1);
	assert_int_equal(calls_counted.misses, 0);
	calls_assert_reads(layer, "a", 5, NULL);
	assert_int_equal(calls_counted.items, 0);
	assert_int_equal(calls_counted.expired, 1);
	calls_done(layer);
}

/* Forks as the registry does; whether the child finds "a". */
static bool child_has_a(struct layer *layer)
{
	int status;
	pid_t pid;

	memory_ops.prepare(layer);
	pid = fork();
	if (pid == 0) {
		char *value;

		memory_ops.child(layer);
		value = calls_read(layer, "a", 5, 1, false);
		_exit(lock_is_mine(&layer->lock) ? 2 : value != NULL);
	}
	memory_ops.parent(layer);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
	return WEXITSTATUS(status) == 1;
}

/* A handler jumped out of a change, and then the thread forks. */
static void test_fork_with_a_change_left_in_the_middle__waits_for_nothing(void **state)
{
	struct layer *layer = calls_open(1 << 20, 0, 0);

	calls_fill(layer, "a", "1", 5, CLOCK_NEVER);
	assert_true(child_has_a(layer));
	lock_take(&layer->lock);
	assert_false(child_has_a(layer));
	assert_true(lock_is_mine(&layer->lock));
	memory_ops.abandoned(layer, NULL);
	assert_false(lock_is_mine(&layer->lock));
	calls_assert_reads(layer, "a", 5, NULL);
	calls_done(layer);
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
		calls_fill(layer, key, expected, 5, CLOCK_NEVER);
		value = i % 2 ? calls_get(layer, key, 5, 1, false).value : peek(layer, key, 5);
		if (value) {
			assert_string_equal(value, expected);
		}
		free(value);
	}
	return NULL;
}

static void test_threads__never_see_another_keys_value(void **state)
{
	struct layer *layer = calls_open(8192, 0, 0);
	pthread_t threads[4];

	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, hammer, layer), 0);
	}
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	}
	assert_true(calls_counted.bytes <= 8192);
	calls_done(layer);
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
		cmocka_unit_test(test_what_ends_sooner_than_the_rest__goes_with_changes_of_others),
		cmocka_unit_test(test_already_ended__is_rejected_and_takes_the_old_value_along),
		cmocka_unit_test(test_item_limit__evicts_the_least_recently_used),
		cmocka_unit_test(test_keys_with_equal_tags__are_told_apart),
		cmocka_unit_test(test_places_with_equal_tags__are_told_apart),
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
		cmocka_unit_test(test_peek_at_what_is_void__changes_nothing),
		cmocka_unit_test(test_fork_with_a_change_left_in_the_middle__waits_for_nothing),
		cmocka_unit_test(test_threads__never_see_another_keys_value),
	};

	return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
