/* Does the memory layer agree with a naive map, whatever is done to it? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/lib/memory_model.h"

enum { ROUNDS = 60, BYTES = 20000 };

static uint8_t bytes[BYTES];

/* splitmix64 (Steele and others 2014) */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static void run_policy(enum policy_kind policy)
{
	struct memory_model_seen seen = { 0 };
	uint64_t random = 42 + policy;

	for (unsigned round = 0; round < ROUNDS; round++) {
		const char *why;

		for (size_t i = 0; i < BYTES; i++) {
			bytes[i] = (uint8_t)next_random(&random);
		}
		bytes[0] = (uint8_t)round; /* every budget */
		bytes[1] = (uint8_t)policy;
		why = memory_model_run(bytes, BYTES, &seen);
		if (why) {
			fail_msg("policy %u, round %u: %s", policy, round, why);
		}
	}
	assert_true(seen.n_operations > ROUNDS * 1000);
	assert_true(seen.n_hits > seen.n_operations / 20);
	assert_true(seen.n_misses > seen.n_operations / 20);
	assert_true(seen.n_evictions > 1000);
	assert_true(seen.n_expired > 1000);
	assert_true(seen.n_moving > 500);
	/* Of two logs neither does. */
	assert_true(policy == POLICY_S3FIFO || seen.n_turned > 100);
}

static void test_random_operations_under_lru__agree_with_a_naive_map(void **state)
{
	run_policy(POLICY_LRU);
}

static void test_random_operations_under_fifo__agree_with_a_naive_map(void **state)
{
	run_policy(POLICY_FIFO);
}

static void test_random_operations_under_s3fifo__agree_with_a_naive_map(void **state)
{
	run_policy(POLICY_S3FIFO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_operations_under_lru__agree_with_a_naive_map),
		cmocka_unit_test(test_random_operations_under_fifo__agree_with_a_naive_map),
		cmocka_unit_test(test_random_operations_under_s3fifo__agree_with_a_naive_map),
	};

	return cmocka_run_group_tests_name("memory_model", tests, NULL, NULL);
}
