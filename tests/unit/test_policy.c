/* Does each policy choose as its paper says, and does the ghost remember as long as asked? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/hash.h"
#include "layers/policy.h"

enum { SMALL, MAIN };

static uint64_t hash_of(uint64_t n)
{
	return hash_bytes(&n, sizeof(n));
}

static bool stays(struct policy *policy, unsigned queue, unsigned uses,
		  struct policy_value *ret_value)
{
	*ret_value = (struct policy_value){ .hash = 1, .queue = queue, .uses = uses };
	return policy_stays(policy, ret_value, 100);
}

static void test_lru__keeps_what_was_used_once_more(void **state)
{
	struct policy policy;
	struct policy_value value;

	policy_open(&policy, POLICY_LRU, 1 << 20);
	assert_int_equal(policy.n_queues, 1);
	assert_int_equal(policy.uses_max, 1);
	assert_false(stays(&policy, 0, 0, &value));
	assert_true(stays(&policy, 0, 1, &value));
	assert_int_equal(value.queue, 0);
	assert_int_equal(value.uses, 0);
	assert_int_equal(policy_bytes(&policy), 0);
	policy_close(&policy);
}

static void test_fifo__counts_nothing_and_keeps_nothing(void **state)
{
	struct policy policy;
	struct policy_value value;

	policy_open(&policy, POLICY_FIFO, 1 << 20);
	assert_int_equal(policy.n_queues, 1);
	assert_int_equal(policy.uses_max, 0);
	assert_false(stays(&policy, 0, 0, &value));
	policy_close(&policy);
}

static void test_s3fifo__moves_what_was_used_to_main_and_counts_down_there(void **state)
{
	struct policy policy;
	struct policy_value value;

	policy_open(&policy, POLICY_S3FIFO, 1 << 20);
	assert_int_equal(policy.uses_max, 3);
	assert_true(stays(&policy, SMALL, 1, &value));
	assert_int_equal(value.queue, MAIN);
	assert_int_equal(value.uses, 0);
	assert_true(stays(&policy, MAIN, 3, &value));
	assert_int_equal(value.queue, MAIN);
	assert_int_equal(value.uses, 2);
	assert_false(stays(&policy, MAIN, 0, &value));
	policy_close(&policy);
}

static void test_s3fifo__remembers_what_left_the_small_queue_only(void **state)
{
	struct policy policy;
	struct policy_value value = { .hash = hash_of(1), .queue = SMALL };

	policy_open(&policy, POLICY_S3FIFO, 1 << 20);
	assert_int_equal(policy_queue(&policy, hash_of(1), 100), SMALL);
	assert_false(policy_stays(&policy, &value, 100));
	value = (struct policy_value){ .hash = hash_of(2), .queue = MAIN };
	assert_false(policy_stays(&policy, &value, 100));
	assert_int_equal(policy_queue(&policy, hash_of(2), 100), SMALL);
	assert_int_equal(policy_queue(&policy, hash_of(1), 100), MAIN);
	/* Once. */
	assert_int_equal(policy_queue(&policy, hash_of(1), 100), SMALL);
	policy_close(&policy);
}

static unsigned victim(struct policy *policy, uint64_t small, uint64_t main_queue, uint64_t limit,
		       uint64_t per_item)
{
	const struct policy_load load = {
		.held = { small, main_queue },
		.limit = limit,
		.per_item = per_item,
	};

	return policy_victim(policy, &load);
}

static void test_s3fifo__small_queue_is_a_tenth_or_a_few_dozen(void **state)
{
	struct policy policy;

	policy_open(&policy, POLICY_S3FIFO, 1 << 20);
	/* A tenth of 10 000 values. */
	assert_int_equal(victim(&policy, 1000, 9000, 10000, 1), SMALL);
	assert_int_equal(victim(&policy, 999, 9001, 10000, 1), MAIN);
	/* 64 of 200, half of 20. */
	assert_int_equal(victim(&policy, 64, 136, 200, 1), SMALL);
	assert_int_equal(victim(&policy, 63, 137, 200, 1), MAIN);
	assert_int_equal(victim(&policy, 10, 10, 20, 1), SMALL);
	assert_int_equal(victim(&policy, 9, 11, 20, 1), MAIN);
	/* The same in bytes. */
	assert_int_equal(victim(&policy, 6400, 13600, 20000, 100), SMALL);
	assert_int_equal(victim(&policy, 6300, 13700, 20000, 100), MAIN);
	/* Never one that is empty. */
	assert_int_equal(victim(&policy, 5, 0, 20, 1), SMALL);
	assert_int_equal(victim(&policy, 0, 5, 0, 1), MAIN);
	policy_close(&policy);
}

static void remember_window(uint64_t window)
{
	struct ghost ghost;
	uint64_t n_recent = 0;
	uint64_t n_old = 0;

	ghost_open(&ghost, 64 << 20);
	for (uint64_t n = 0; n < 3 * window; n++) {
		ghost_put(&ghost, hash_of(n), window);
	}
	for (uint64_t n = 0; n < window; n++) {
		n_old += ghost_take(&ghost, hash_of(n), window);
		n_recent += ghost_take(&ghost, hash_of(2 * window + n), window);
	}
	assert_true(ghost_bytes(&ghost) <= window * 6 + 64);
	assert_true(n_recent >= window - window / 10);
	assert_true(n_old <= window / 500);
	ghost_close(&ghost);
}

static void test_ghost__remembers_the_last_so_many(void **state)
{
	remember_window(1000);
	remember_window(16384);
	remember_window(20000);
	remember_window(300000);
}

static void test_ghost__knows_no_strangers(void **state)
{
	struct ghost ghost;
	uint64_t n_wrong = 0;

	ghost_open(&ghost, 64 << 20);
	for (uint64_t n = 0; n < 100000; n++) {
		ghost_put(&ghost, hash_of(n), 100000);
	}
	for (uint64_t n = 0; n < 100000; n++) {
		n_wrong += ghost_take(&ghost, hash_of(n + 1000000), 100000);
	}
	assert_true(n_wrong < 100);
	ghost_close(&ghost);
}

static void test_ghost__keeps_to_its_bound_and_forgets_a_table_that_became_too_large(void **state)
{
	struct ghost ghost;

	ghost_open(&ghost, 4096);
	for (uint64_t n = 0; n < 100000; n++) {
		ghost_put(&ghost, hash_of(n), 50000);
		assert_true(ghost_bytes(&ghost) <= 4096);
	}
	assert_true(ghost_take(&ghost, hash_of(99999), 50000));
	ghost_limit(&ghost, 2048);
	assert_int_equal(ghost_bytes(&ghost), 0);
	assert_false(ghost_take(&ghost, hash_of(99998), 50000));
	ghost_put(&ghost, hash_of(1), 50000);
	assert_in_range(ghost_bytes(&ghost), 1, 2048);
	ghost_limit(&ghost, 0);
	ghost_put(&ghost, hash_of(1), 50000);
	assert_int_equal(ghost_bytes(&ghost), 0);
	ghost_close(&ghost);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lru__keeps_what_was_used_once_more),
		cmocka_unit_test(test_fifo__counts_nothing_and_keeps_nothing),
		cmocka_unit_test(test_s3fifo__moves_what_was_used_to_main_and_counts_down_there),
		cmocka_unit_test(test_s3fifo__remembers_what_left_the_small_queue_only),
		cmocka_unit_test(test_s3fifo__small_queue_is_a_tenth_or_a_few_dozen),
		cmocka_unit_test(test_ghost__remembers_the_last_so_many),
		cmocka_unit_test(test_ghost__knows_no_strangers),
		cmocka_unit_test(
			test_ghost__keeps_to_its_bound_and_forgets_a_table_that_became_too_large),
	};

	return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
