/* Do latencies land in the right buckets, are percentiles right, is the right share timed? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/latency.h"
#include "core/timing.h"

static void test_buckets__lie_side_by_side(void **state)
{
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
		uint64_t floor = latency_floor_ns(i);
		uint64_t end = latency_floor_ns(i + 1);

		assert_true(end > floor);
		assert_int_equal(latency_bucket(floor), i);
		assert_int_equal(latency_bucket(end - 1), i);
		/* No wider than an eighth of what it holds, or the unit. */
		assert_true(end - floor <= LATENCY_UNIT_NS || (end - floor) * 8 <= floor);
	}
}

static void test_extremes__have_a_bucket(void **state)
{
	assert_int_equal(latency_bucket(0), 0);
	assert_int_equal(latency_bucket(UINT64_MAX), LATENCY_BUCKETS - 1);
	assert_int_equal(latency_bucket(LATENCY_MAX_NS), LATENCY_BUCKETS - 1);
	assert_int_equal(latency_bucket(LATENCY_MAX_NS - 1), LATENCY_BUCKETS - 2);
	/* A minute fits. */
	assert_true(LATENCY_MAX_NS > UINT64_C(60000000000));
}

static void assert_near(uint64_t ns, uint64_t expected)
{
	if (ns < expected - expected / 8 || ns > expected + expected / 8) {
		fail_msg("%llu ns, not about %llu", (unsigned long long)ns,
			 (unsigned long long)expected);
	}
}

static void test_percentiles__of_a_known_distribution(void **state)
{
	struct latency_values values = { 0 };

	for (uint64_t i = 1; i <= 100000; i++) {
		values.buckets[latency_bucket(i * 10)]++;
	}
	assert_int_equal(latency_count(&values), 100000);
	assert_near(latency_permille_ns(&values, 500), 500000);
	assert_near(latency_permille_ns(&values, 900), 900000);
	assert_near(latency_permille_ns(&values, 990), 990000);
	assert_near(latency_permille_ns(&values, 999), 999000);
	assert_near(latency_ppm_ns(&values, 999900), 999900);
	assert_near(latency_ppm_ns(&values, 1000000), 1000000);
	assert_true(latency_permille_ns(&values, 990) < latency_permille_ns(&values, 999));
}

static void test_percentiles_of_few__are_those_few(void **state)
{
	struct latency_values values = { 0 };

	assert_int_equal(latency_permille_ns(&values, 500), 0);
	values.buckets[latency_bucket(1000)] = 1;
	assert_near(latency_permille_ns(&values, 500), 1000);
	assert_near(latency_permille_ns(&values, 999), 1000);
	values.buckets[latency_bucket(1000000)] = 9;
	assert_near(latency_permille_ns(&values, 1), 1000);
	assert_near(latency_permille_ns(&values, 100), 1000);
	assert_near(latency_permille_ns(&values, 101), 1000000);
}

static void test_counts_below__are_cumulative(void **state)
{
	struct latency_values values = { 0 };

	values.buckets[latency_bucket(100)] = 3;
	values.buckets[latency_bucket(5000)] = 4;
	assert_int_equal(latency_count_below(&values, 64), 0);
	assert_int_equal(latency_count_below(&values, 1024), 3);
	assert_int_equal(latency_count_below(&values, UINT64_C(1) << 20), 7);
}

#define N 1000000

/* In whatever rhythm the program asks: every 2nd, every 7th call sees its share. */
static void test_timed_operations__are_the_share_that_they_should_be(void **state)
{
	unsigned hits[14] = { 0 };
	unsigned walks[14] = { 0 };

	memset(&timing_now, 0, sizeof(timing_now));
	for (unsigned i = 0; i < 14 * N; i++) {
		hits[i % 14] += timing_hit();
		walks[i % 14] += timing_walk();
	}
	for (unsigned i = 0; i < 14; i++) {
		assert_in_range(hits[i], N / TIMING_HITS * 9 / 10, N / TIMING_HITS * 11 / 10);
		assert_in_range(walks[i], N / TIMING_WALKS * 9 / 10, N / TIMING_WALKS * 11 / 10);
	}
}

/* Or processes that live for one call would show what a first call costs, or nothing. */
static void test_first_call_of_a_thread__is_timed_by_chance(void **state)
{
	unsigned timed = 0;

	for (unsigned i = 0; i < 10000; i++) {
		memset(&timing_now, 0, sizeof(timing_now));
		timed += timing_walk();
	}
	assert_in_range(timed, 10000 / (2 * TIMING_WALKS - 1) / 2, 10000 / TIMING_WALKS * 2);
}

static void test_recorded_latency__is_in_its_bucket(void **state)
{
	struct stats *stats = stats_open(NULL, "unit", &(struct stats_names){ .n_calls = 0 });
	struct stats_latency *latency = &stats->latencies->of[STATS_REDIS][STATS_MGET];

	timing_record(stats, STATS_REDIS, STATS_MGET, 1000);
	timing_record(stats, STATS_REDIS, STATS_MGET, 1000);
	timing_record(stats, STATS_REDIS, STATS_MGET, -5);
	assert_int_equal(latency->buckets[latency_bucket(1000)], 2);
	assert_int_equal(latency->buckets[0], 1);
	assert_int_equal(latency->sum_ns, 2000);
	stats_close(&stats);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buckets__lie_side_by_side),
		cmocka_unit_test(test_extremes__have_a_bucket),
		cmocka_unit_test(test_percentiles__of_a_known_distribution),
		cmocka_unit_test(test_percentiles_of_few__are_those_few),
		cmocka_unit_test(test_counts_below__are_cumulative),
		cmocka_unit_test(test_timed_operations__are_the_share_that_they_should_be),
		cmocka_unit_test(test_first_call_of_a_thread__is_timed_by_chance),
		cmocka_unit_test(test_recorded_latency__is_in_its_bucket),
	};

	return cmocka_run_group_tests_name("latency", tests, NULL, NULL);
}
