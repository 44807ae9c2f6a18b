/* What does layer "redis" make of a Redis that is slow, half there, cut off, or talks nonsense? */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <poll.h>

#include "tests/faults/lib/deep.h"
#include "tests/faults/lib/meddler.h"

#define TIMEOUT_NS (100 * CLOCK_NS_PER_MS)

static struct meddler *meddler;

static int setup(void **state)
{
	if (deep_setup(state) != 0) {
		return -1;
	}
	meddler = meddler_start(deep_server);
	if (meddler == NULL) {
		return -1;
	}
	snprintf(deep_url, sizeof(deep_url), "redis://127.0.0.1:%u", meddler_port(meddler));
	return 0;
}

static int teardown(void **state)
{
	meddler_stop(&meddler);
	return deep_teardown(state);
}

/* However slow this machine is just now. */
static void make_be(struct layer *layer, const char *key, const char *value)
{
	int64_t give_up = clock_now_ns() + DEEP_PATIENCE_NS;
	char found[64];

	do {
		assert_true(clock_now_ns() < give_up);
		deep_set(layer, key, value);
	} while (deep_get(layer, key, found) != LAYER_HIT);
	assert_string_equal(found, value);
}

/* Redis has old values of "k" and "l", and a connection is open. */
static struct layer *layer_with_values(int64_t timeout_ns)
{
	struct layer *layer = deep_open(timeout_ns);

	make_be(layer, "k", "old");
	make_be(layer, "l", "kept");
	return layer;
}

/*
 * "k" is deleted, and set and deleted again, while Redis cannot be understood: the
 * old value never comes back, and afterwards all is as it should be.
 */
static void delete_through(struct layer *layer, enum meddler_mode mode, unsigned n)
{
	struct redis_options options = deep_options(TIMEOUT_NS);
	int64_t began = clock_now_ns();
	char found[64];

	meddler_set(meddler, mode, n);
	deep_wrote(layer, LAYER_DELETE, "k", NULL);
	if (deep_get(layer, "k", found) == LAYER_HIT) {
		fail_msg("mode %d, %u: \"%s\"", mode, n, found);
	}
	/* Whether "l" can be read depends; if so, it is right. */
	if (deep_get(layer, "l", found) == LAYER_HIT) {
		assert_string_equal(found, "kept");
	}
	deep_wrote(layer, LAYER_APPEND, "k", "more");
	deep_wrote(layer, LAYER_DELETE, "k", NULL);
	assert_true(clock_now_ns() - began < 100 * options.timeout_ns);
	meddler_set(meddler, MEDDLER_RELAYS, 0);
	if (deep_get_when_up(layer, "k") != LAYER_MISS) {
		fail_msg("mode %d, %u: k is there", mode, n);
	}
	deep_expect_clean(true);
	make_be(layer, "k", "old");
	make_be(layer, "l", "kept");
}

static void test_slow_answers_in_time__are_waited_for(void **state)
{
	struct layer *layer = layer_with_values(DEEP_LONG_NS);

	meddler_set(meddler, MEDDLER_DELAYS, 200);
	deep_expect_hit(layer, "l", "kept");
	deep_wrote(layer, LAYER_DELETE, "k", NULL);
	deep_expect(layer, "k", LAYER_MISS);
	assert_int_equal(deep_counts.errors, 0);
	deep_expect_clean(true);
	redis_ops.close(&layer);
}

/* 200 ms where 50 are allowed: it is left alone, and nothing waits for it any more. */
static void test_slow_answers_too_late__open_the_breaker(void **state)
{
	struct redis_options options = deep_options(50 * CLOCK_NS_PER_MS);
	struct layer *layer;
	uint64_t n_errors;
	char found[64];

	layer = layer_with_values(DEEP_LONG_NS);
	redis_ops.close(&layer);
	options.breaker_retry_ns = 3600 * CLOCK_NS_PER_S;
	layer = deep_with(&options);
	meddler_set(meddler, MEDDLER_DELAYS, 200);
	for (int i = 0; i < 5 && !deep_seen.open; i++) {
		assert_int_equal(deep_get(layer, "k", found), LAYER_DOWN);
	}
	assert_true(deep_seen.open);
	n_errors = deep_counts.errors;
	for (int i = 0; i < 1000; i++) {
		deep_expect(layer, "k", LAYER_DOWN);
	}
	assert_int_equal(deep_counts.errors, n_errors);
	assert_int_equal(deep_counts.timeouts, n_errors);
	redis_ops.close(&layer);
}

/* To connect, to learn the generation and to read take three answers, each of them in time. */
static void test_one_deadline__is_for_all_of_an_operation(void **state)
{
	struct layer *layer = deep_open(400 * CLOCK_NS_PER_MS);

	meddler_set(meddler, MEDDLER_DELAYS, 250);
	deep_expect(layer, "k", LAYER_DOWN);
	assert_int_equal(deep_counts.timeouts, 1);
	redis_ops.close(&layer);
	layer = deep_open(DEEP_LONG_NS);
	assert_int_equal(deep_get_when_up(layer, "k"), LAYER_MISS);
	redis_ops.close(&layer);
}

static void test_slow_for_a_while__nothing_old_comes_back(void **state)
{
	struct layer *layer = layer_with_values(TIMEOUT_NS);

	delete_through(layer, MEDDLER_DELAYS, 200);
	redis_ops.close(&layer);
}

static void test_half_open_connection__nothing_old_comes_back(void **state)
{
	struct layer *layer = layer_with_values(TIMEOUT_NS);

	for (int i = 0; i < 3; i++) {
		delete_through(layer, MEDDLER_SWALLOWS, 0);
	}
	assert_true(deep_counts.timeouts > 0);
	redis_ops.close(&layer);
}

/* The answer to a mark has about 150 bytes; that to the greeting more. */
static void test_reset_in_an_answer__nothing_old_comes_back(void **state)
{
	struct layer *layer = layer_with_values(TIMEOUT_NS);

	for (unsigned n = 0; n < 200; n += n < 10 ? 1 : 7) {
		delete_through(layer, MEDDLER_RESETS, n);
	}
	assert_true(deep_counts.errors > 0);
	redis_ops.close(&layer);
}

static void test_babble__is_no_answer(void **state)
{
	struct layer *layer = layer_with_values(TIMEOUT_NS);

	for (unsigned n = 0; n < meddler_n_babble; n++) {
		delete_through(layer, MEDDLER_BABBLES, n);
	}
	redis_ops.close(&layer);
}

static void test_flood__is_cut_off(void **state)
{
	struct layer *layer = layer_with_values(TIMEOUT_NS);

	delete_through(layer, MEDDLER_FLOODS, 0);
	redis_ops.close(&layer);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_slow_answers_in_time__are_waited_for),
		TEST(test_slow_answers_too_late__open_the_breaker),
		TEST(test_one_deadline__is_for_all_of_an_operation),
		TEST(test_slow_for_a_while__nothing_old_comes_back),
		TEST(test_half_open_connection__nothing_old_comes_back),
		TEST(test_reset_in_an_answer__nothing_old_comes_back),
		TEST(test_babble__is_no_answer),
		TEST(test_flood__is_cut_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
