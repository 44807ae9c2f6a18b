/* Who may ask a Redis that failed, and when? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>

#include "base/clock.h"
#include "layers/redis_breaker.h"

#define RETRY_NS CLOCK_NS_PER_S
#define START_NS (100 * CLOCK_NS_PER_S)
#define THREADS 8

static struct redis_breaker_state shared;
static struct redis_breaker breaker;

static int setup(void **state)
{
	memset(&shared, 0, sizeof(shared));
	memset(&breaker, 0, sizeof(breaker));
	breaker.state = &shared;
	breaker.patience_ns = RETRY_NS / 20;
	breaker.retry_ns = RETRY_NS;
	breaker.probe_ns = RETRY_NS / 10;
	clock_fake(START_NS, 1);
	return 0;
}

static int teardown(void **state)
{
	clock_fake(0, 0);
	return 0;
}

static void test_closed__everybody_asks(void **state)
{
	assert_false(redis_breaker_rests(&breaker));
	assert_int_equal(redis_breaker_enter(&breaker), REDIS_BREAKER_ASK);
	assert_int_equal(redis_breaker_enter(&breaker), REDIS_BREAKER_ASK);
	assert_false(redis_breaker_answered(&breaker, true));
}

static void test_failure__opens_until_retry(void **state)
{
	assert_true(redis_breaker_failed(&breaker, true));
	assert_true(redis_breaker_rests(&breaker));
	clock_fake(START_NS + RETRY_NS - 1, 1);
	assert_true(redis_breaker_rests(&breaker));
	assert_int_equal(redis_breaker_enter(&breaker), REDIS_BREAKER_REST);
	clock_fake(START_NS + RETRY_NS, 1);
	assert_false(redis_breaker_rests(&breaker));
	assert_int_equal(redis_breaker_enter(&breaker), REDIS_BREAKER_PROBE);
	assert_int_equal(redis_breaker_enter(&breaker), REDIS_BREAKER_REST);
}

static void test_probe__decides(void **state)
{
	redis_breaker_failed(&breaker, true);
	clock_fake(START_NS + RETRY_NS, 1);
	assert_int_equal(redis_breaker_enter(&breaker), REDIS_BREAKER_PROBE);
	/* Still failing: no change of state, another wait. */
	assert_false(redis_breaker_failed(&breaker, true));
	assert_int_equal(redis_breaker_enter(&breaker), REDIS_BREAKER_REST);
	clock_fake(START_NS + 2 * RETRY_NS, 1);
	assert_int_equal(redis_breaker_enter(&breaker), REDIS_BREAKER_PROBE);
	assert_true(redis_breaker_answered(&breaker, true));
	assert_int_equal(redis_breaker_enter(&breaker), REDIS_BREAKER_ASK);
}

static void test_probe_that_never_returns__is_followed_by_another(void **state)
{
	redis_breaker_failed(&breaker, true);
	breaker.probe_ns = 3 * RETRY_NS;
	clock_fake(START_NS + RETRY_NS, 1);
	assert_int_equal(redis_breaker_enter(&breaker), REDIS_BREAKER_PROBE);
	clock_fake(START_NS + 4 * RETRY_NS - 1, 1);
	assert_int_equal(redis_breaker_enter(&breaker), REDIS_BREAKER_REST);
	clock_fake(START_NS + 4 * RETRY_NS, 1);
	assert_int_equal(redis_breaker_enter(&breaker), REDIS_BREAKER_PROBE);
}

static void test_probe_that_could_not_ask__is_anothers_at_once(void **state)
{
	redis_breaker_failed(&breaker, true);
	clock_fake(START_NS + RETRY_NS, 1);
	assert_int_equal(redis_breaker_enter(&breaker), REDIS_BREAKER_PROBE);
	redis_breaker_pass_on(&breaker);
	assert_int_equal(redis_breaker_enter(&breaker), REDIS_BREAKER_PROBE);
	assert_int_equal(redis_breaker_enter(&breaker), REDIS_BREAKER_REST);
}

static void *enter(void *unused)
{
	return redis_breaker_enter(&breaker) == REDIS_BREAKER_PROBE ? &breaker : unused;
}

static void test_many_threads__one_probes(void **state)
{
	for (int round = 1; round <= 50; round++) {
		pthread_t threads[THREADS];
		int n_probes = 0;

		redis_breaker_failed(&breaker, true);
		clock_fake(START_NS + round * RETRY_NS, 1);
		for (int i = 0; i < THREADS; i++) {
			assert_int_equal(pthread_create(&threads[i], NULL, enter, NULL), 0);
		}
		for (int i = 0; i < THREADS; i++) {
			void *probed = NULL;

			pthread_join(threads[i], &probed);
			n_probes += probed != NULL;
		}
		assert_int_equal(n_probes, 1);
	}
}

static void test_one_slow_answer__opens_nothing(void **state)
{
	assert_false(redis_breaker_failed(&breaker, false));
	clock_fake(START_NS + breaker.patience_ns - 1, 1);
	assert_false(redis_breaker_failed(&breaker, false));
	assert_int_equal(redis_breaker_enter(&breaker), REDIS_BREAKER_ASK);
	assert_false(redis_breaker_answered(&breaker, false));
	clock_fake(START_NS + 10 * breaker.patience_ns, 1);
	assert_false(redis_breaker_failed(&breaker, false));
	clock_fake(START_NS + 11 * breaker.patience_ns, 1);
	assert_true(redis_breaker_failed(&breaker, false));
	assert_true(redis_breaker_rests(&breaker));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_closed__everybody_asks),
		TEST(test_failure__opens_until_retry),
		TEST(test_probe__decides),
		TEST(test_probe_that_never_returns__is_followed_by_another),
		TEST(test_probe_that_could_not_ask__is_anothers_at_once),
		TEST(test_one_slow_answer__opens_nothing),
		TEST(test_many_threads__one_probes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
