/* Does each thread count for itself, and nothing get lost? */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/lib/given_stats.h"

#define N_EACH UINT64_C(20000)

static void *count_in_own_stripe(void *owner)
{
	stats_thread(owner);
	for (unsigned i = 0; i < N_EACH; i++) {
		counter_add(&((struct stats *)owner)->counts->calls[0], 1);
	}
	return NULL;
}

/* More at once than there are stripes, and more after them than that. */
static void test_threads_with_stripes__lose_nothing(void **state)
{
	enum { AT_ONCE = STATS_STRIPES + 4, ROUNDS = 3 };
	struct stats *stats = given_stats_open();
	pthread_t threads[AT_ONCE];
	uint64_t before = 0;

	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < AT_ONCE; i++) {
			assert_int_equal(
				pthread_create(&threads[i], NULL, count_in_own_stripe, stats), 0);
		}
		for (unsigned i = 0; i < AT_ONCE; i++) {
			uint64_t now = given_stats_total_calls();

			assert_true(now >= before);
			before = now;
			pthread_join(threads[i], NULL);
		}
	}
	assert_true(stats->counts[1].calls[0] > 0);
	assert_true(stats->counts[0].calls[0] < ROUNDS * AT_ONCE * N_EACH);
	assert_int_equal(given_stats_total_calls(), ROUNDS * AT_ONCE * N_EACH);
	stats_close(&stats);
	assert_int_equal(given_stats_total_calls(), ROUNDS * AT_ONCE * N_EACH);
}

static void test_forked_child_of_a_thread_with_a_stripe__counts_for_itself(void **state)
{
	struct stats *stats = given_stats_open();
	int status;
	pid_t pid;

	stats_thread(stats);
	counter_add(&stats->counts->calls[0], 100);
	pid = fork();
	if (pid == 0) {
		stats_child(stats);
		counter_add(&stats->counts->calls[0], 1);
		stats_claim(stats);
		stats_thread(stats);
		counter_add(&stats->counts->calls[0], 10);
		stats_close(&stats);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(given_stats_total_calls(), 111);
	stats_close(&stats);
	assert_int_equal(given_stats_total_calls(), 111);
}

/* It exits while a thread is in the middle of an addition. */
static void test_addition_after_the_end__is_nobodys(void **state)
{
	struct stats *stats = given_stats_open();
	struct stats *next;
	_Atomic uint64_t *late;

	stats_thread(stats);
	late = &stats->counts[1].calls[0];
	counter_add(&stats->counts->calls[0], 100);
	stats_leave(stats);
	atomic_store(late, 101);
	next = given_stats_open();
	assert_int_equal(given_stats_total_calls(), 100);
	stats_close(&next);
	assert_int_equal(given_stats_total_calls(), 100);
	stats_close(&stats);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, given_stats_set_up, given_stats_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_threads_with_stripes__lose_nothing),
		TEST(test_forked_child_of_a_thread_with_a_stripe__counts_for_itself),
		TEST(test_addition_after_the_end__is_nobodys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
