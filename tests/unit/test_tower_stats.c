/* Is what the walk counts and times what happened? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/peek.h"
#include "tests/unit/lib/fake_layers.h"

static uint64_t timed(enum stats_layer layer, enum stats_operation operation)
{
	const struct stats_latency *latency = &tower.stats->latencies->of[layer][operation];
	uint64_t n = 0;

	for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
		n += latency->buckets[i];
	}
	return n;
}

/* So many that some are timed, whatever chance says. */
#define MANY 2000

static void test_reads__are_timed_in_the_layers_that_were_asked(void **state)
{
	authority.has = true;
	for (unsigned i = 0; i < MANY; i++) {
		fakes_read("a");
	}
	assert_in_range(timed(STATS_MEMCACHED, STATS_GET), MANY / 16, MANY / 4);
	assert_int_equal(timed(STATS_MEMORY, STATS_GET), timed(STATS_MEMCACHED, STATS_GET));
	assert_int_equal(timed(STATS_REDIS, STATS_GET), 0);
	assert_int_equal(timed(STATS_MEMCACHED, STATS_MGET) + timed(STATS_MEMCACHED, STATS_WRITE),
			 0);
}

static void test_peeks__are_timed_where_they_asked(void **state)
{
	const struct layer_key key = fakes_key("a");
	struct layer_item item = { .key = key };

	memory.has = true;
	for (unsigned i = 0; i < 10 * MANY; i++) {
		assert_true(tower_peek(&tower, &key, false, NULL, &item));
	}
	assert_in_range(timed(STATS_MEMORY, STATS_GET), 10 * MANY / (2 * TIMING_HITS),
			10 * MANY / (TIMING_HITS / 2));
	slots_flush_later(tower.slots, clock_now_ns(), CLOCK_NEVER - 1);
	tower.stats->latencies->of[STATS_MEMORY][STATS_GET] = (struct stats_latency){ 0 };
	for (unsigned i = 0; i < 10 * MANY; i++) {
		assert_false(tower_peek(&tower, &key, false, NULL, &item));
	}
	assert_int_equal(timed(STATS_MEMORY, STATS_GET), 0);
}

static bool submit_for_5_ms(struct layer *layer, struct layer_batch *batch)
{
	clock_fake(clock_now_ns() + 5 * CLOCK_NS_PER_MS, 1700000000);
	return true;
}

/* The time of the program between the two halves is not the layer's. */
static void test_batch__is_timed_without_what_the_program_does_between(void **state)
{
	const struct stats_latency *latency =
		&tower.stats->latencies->of[STATS_MEMCACHED][STATS_MGET];

	authority_fake.submit = submit_for_5_ms;
	for (unsigned i = 0; i < MANY; i++) {
		struct layer_item items[2] = { { .key = fakes_key("a") },
					       { .key = fakes_key("b") } };
		struct layer_batch batch = { .items = items, .n_items = 2 };

		assert_true(tower_read_begin(&tower, &batch));
		clock_fake(clock_now_ns() + CLOCK_NS_PER_S, 1700000000);
		tower_read_end(&tower, &batch);
	}
	assert_in_range(timed(STATS_MEMCACHED, STATS_MGET), MANY / 16, MANY / 4);
	assert_int_equal(latency->buckets[latency_bucket(5000000)],
			 timed(STATS_MEMCACHED, STATS_MGET));
	assert_int_equal(timed(STATS_MEMCACHED, STATS_GET), 0);
}

static void test_writes__are_timed_where_something_was_sent(void **state)
{
	for (unsigned i = 0; i < MANY; i++) {
		fakes_write("a", LAYER_DONE);
	}
	assert_in_range(timed(STATS_MEMCACHED, STATS_WRITE), MANY / 16, MANY / 4);
	assert_int_equal(timed(STATS_REDIS, STATS_WRITE), timed(STATS_MEMCACHED, STATS_WRITE));
	for (unsigned i = 0; i < MANY; i++) {
		fakes_write("a", LAYER_UNSENT);
	}
	assert_in_range(timed(STATS_MEMCACHED, STATS_WRITE), MANY / 16, MANY / 4);
}

static void test_bytes_of_hits__are_counted_by_layer(void **state)
{
	strcpy(authority.value, "12345");
	authority.has = true;
	fakes_read("a");
	fakes_read("a");
	strcpy(deep.value, "123");
	authority.has = false;
	deep.has = true;
	fakes_read("a");
	assert_int_equal(tower.stats->layers[STATS_MEMCACHED]->hit_bytes, 10);
	assert_int_equal(tower.stats->layers[STATS_REDIS]->hit_bytes, 3);
	assert_int_equal(tower.stats->layers[STATS_MEMORY]->hit_bytes, 0);
}

static void get_first_of_batch(struct layer *layer, struct layer_batch *batch)
{
	fakes_answer(layer, batch, &batch->items[0]);
}

static void test_batches__count_where_all_of_them_was_above(void **state)
{
	struct layer_ops ops = memory_fake;
	const struct layer_counters *counters = tower.stats->layers[STATS_MEMORY];

	tower.layers[0].ops = &ops;
	memory.has = true;
	for (unsigned i = 0; i < 2; i++) {
		struct layer_item items[2] = { { .key = fakes_key("a") },
					       { .key = fakes_key("b") } };
		struct layer_batch batch = { .items = items, .n_items = 2 };

		assert_true(tower_read_begin(&tower, &batch));
		assert_int_equal(counters->batches, 1);
		assert_int_equal(counters->batch_hits, 2 + i);
		ops.get = get_first_of_batch;
	}
	fakes_read("a");
	assert_int_equal(counters->batch_hits, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_reads__are_timed_in_the_layers_that_were_asked,
						fakes_setup, fakes_teardown),
		cmocka_unit_test_setup_teardown(test_peeks__are_timed_where_they_asked, fakes_setup,
						fakes_teardown),
		cmocka_unit_test_setup_teardown(
			test_batch__is_timed_without_what_the_program_does_between, fakes_setup,
			fakes_teardown),
		cmocka_unit_test_setup_teardown(test_writes__are_timed_where_something_was_sent,
						fakes_setup, fakes_teardown),
		cmocka_unit_test_setup_teardown(test_bytes_of_hits__are_counted_by_layer,
						fakes_setup, fakes_teardown),
		cmocka_unit_test_setup_teardown(test_batches__count_where_all_of_them_was_above,
						fakes_setup, fakes_teardown),
	};

	return cmocka_run_group_tests_name("tower_stats", tests, NULL, NULL);
}
