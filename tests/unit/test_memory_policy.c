/* Does the memory layer keep what its policy says, and as long as its options say? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "layers/memory_store.h"
#include "tests/unit/lib/calls.h"

static void test_item_limit_under_fifo__evicts_the_oldest_though_it_was_used(void **state)
{
	struct layer *layer = calls_open_policy(POLICY_FIFO, 3);

	calls_fill(layer, "a", "1", 5, CLOCK_NEVER);
	calls_fill(layer, "b", "2", 5, CLOCK_NEVER);
	calls_fill(layer, "c", "3", 5, CLOCK_NEVER);
	calls_assert_reads(layer, "a", 5, "1");
	calls_fill(layer, "d", "4", 5, CLOCK_NEVER);
	calls_assert_reads(layer, "a", 5, NULL);
	calls_assert_reads(layer, "b", 5, "2");
	calls_done(layer);
}

/* What is asked again after it was dropped counts once, while it still would be a hit. */
static void test_evicted_values__are_remembered_as_long_as_they_would_be_hits(void **state)
{
	const struct memory_options options = { .policy = POLICY_FIFO,
						.max_bytes = 1 << 20,
						.max_items = 1,
						.ttl_ns = CLOCK_NS_PER_S,
						.remember_evicted = 1000 };
	struct layer *layer = calls_open_policy(POLICY_FIFO, 1);

	/* Of a layer that does not remember: nothing. */
	calls_fill(layer, "a", "1", 5, CLOCK_NEVER);
	calls_fill(layer, "b", "1", 5, CLOCK_NEVER);
	calls_fill(layer, "a", "1", 5, CLOCK_NEVER);
	assert_int_equal(calls_counted.evictions, 2);
	assert_int_equal(calls_counted.ghost_hits, 0);
	memory_ops.close(&layer);

	layer = memory_open(&options, &calls_counters);
	assert_non_null(layer);
	calls_fill(layer, "a", "1", 5, CLOCK_NEVER);
	calls_fill(layer, "b", "1", 5, CLOCK_NEVER);
	assert_int_equal(calls_counted.ghost_hits, 0);
	calls_fill(layer, "a", "1", 5, CLOCK_NEVER);
	assert_int_equal(calls_counted.ghost_hits, 1);
	/* Written since: another token. */
	calls_fill(layer, "b", "1", 6, CLOCK_NEVER);
	assert_int_equal(calls_counted.ghost_hits, 1);
	/* Its time would be over. */
	clock_fake(CALLS_START_NS + 2 * CLOCK_NS_PER_S, 1700000000);
	calls_fill(layer, "a", "1", 5, CLOCK_NEVER);
	assert_int_equal(calls_counted.ghost_hits, 1);
	/* A write is no read. */
	calls_write(layer, "b", "1", LAYER_DONE, LAYER_SET, 5);
	calls_write(layer, "a", "1", LAYER_DONE, LAYER_SET, 5);
	assert_int_equal(calls_counted.ghost_hits, 1);
	calls_done(layer);
}

/* Three hundred values that nobody asks for again, past a hundred of which ten are used. */
static void scan(struct layer *layer)
{
	char key[16];

	for (int round = 0; round < 400; round++) {
		snprintf(key, sizeof(key), "hot%d", round % 10);
		free(calls_read(layer, key, 5, 1, false));
		if (round < 10) {
			calls_fill(layer, key, "hot", 5, CLOCK_NEVER);
		}
		if (round < 100) {
			continue;
		}
		for (int i = 0; i < 20; i++) {
			snprintf(key, sizeof(key), "scan%d", round * 20 + i);
			calls_fill(layer, key, "once", 5, CLOCK_NEVER);
		}
	}
}

static unsigned count_hot(struct layer *layer)
{
	unsigned n = 0;

	for (int i = 0; i < 10; i++) {
		char key[16];
		char *value;

		snprintf(key, sizeof(key), "hot%d", i);
		value = calls_read(layer, key, 5, 1, false);
		n += value != NULL;
		free(value);
	}
	return n;
}

static void test_scan_under_s3fifo__does_not_take_what_is_used(void **state)
{
	struct layer *layer = calls_open_policy(POLICY_S3FIFO, 100);

	scan(layer);
	assert_int_equal(count_hot(layer), 10);
	calls_done(layer);
	layer = calls_open_policy(POLICY_FIFO, 100);
	scan(layer);
	assert_int_equal(count_hot(layer), 0);
	calls_done(layer);
}

/* A value that was overwritten is no newcomer. */
static void test_overwritten_under_s3fifo__stays_in_the_main_queue(void **state)
{
	struct layer *layer = calls_open_policy(POLICY_S3FIFO, 10);
	char key[16];

	calls_fill(layer, "a", "1", 5, CLOCK_NEVER);
	calls_assert_reads(layer, "a", 5, "1");
	for (int i = 0; i < 20; i++) {
		snprintf(key, sizeof(key), "key%d", i);
		calls_fill(layer, key, "once", 5, CLOCK_NEVER);
	}
	assert_int_equal(layer->n_queued[1], 1);
	calls_write(layer, "a", "2", LAYER_DONE, LAYER_SET, 6);
	assert_int_equal(layer->n_queued[1], 1);
	/* Nor is one that comes again after it was dropped for another process's write. */
	calls_assert_reads(layer, "a", 7, NULL);
	assert_int_equal(layer->n_queued[1], 0);
	calls_fill(layer, "a", "3", 7, CLOCK_NEVER);
	assert_int_equal(layer->n_queued[1], 1);
	calls_done(layer);
}

/* Of 20 000 values none lives longer than the ttl, none ends before 90 % of it. */
static void test_jitter__shortens_the_ttl_evenly(void **state)
{
	enum { N = 20000 };
	const struct memory_options options = {
		.max_bytes = 16 << 20,
		.ttl_ns = 10 * CLOCK_NS_PER_S,
		.ttl_jitter = 10,
	};
	struct layer *layer;
	char key[16];

	memset(&calls_counted, 0, sizeof(calls_counted));
	clock_fake(CALLS_START_NS, 1700000000);
	layer = memory_open(&options, &calls_counters);
	for (int i = 0; i < N; i++) {
		snprintf(key, sizeof(key), "key%d", i);
		calls_fill(layer, key, "v", 5, CLOCK_NEVER);
	}
	for (int tenth = 0; tenth <= 10; tenth++) {
		int n = 0;

		clock_fake(CALLS_START_NS + 9 * CLOCK_NS_PER_S + tenth * (CLOCK_NS_PER_S / 10),
			   1700000000);
		for (int i = 0; i < N; i++) {
			char *value;

			snprintf(key, sizeof(key), "key%d", i);
			value = calls_read(layer, key, 5, 1, false);
			n += value != NULL;
			free(value);
		}
		if (tenth % 10) {
			assert_true(abs(n - N / 10 * (10 - tenth)) < N / 50);
		} else {
			assert_int_equal(n, tenth ? 0 : N);
		}
	}
	calls_done(layer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_evicted_values__are_remembered_as_long_as_they_would_be_hits),
		cmocka_unit_test(test_item_limit_under_fifo__evicts_the_oldest_though_it_was_used),
		cmocka_unit_test(test_scan_under_s3fifo__does_not_take_what_is_used),
		cmocka_unit_test(test_overwritten_under_s3fifo__stays_in_the_main_queue),
		cmocka_unit_test(test_jitter__shortens_the_ttl_evenly),
	};

	return cmocka_run_group_tests_name("memory_policy", tests, NULL, NULL);
}
