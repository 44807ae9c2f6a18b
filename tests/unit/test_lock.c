/* Is lock.h right: exclusion, ranks, and a fresh start in a forked child? */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/lock.h"

#define ROUNDS 20000

static struct lock static_lock = LOCK_INIT(LOCK_RANK_MEMORY);
static int counter; /* guarded by static_lock */

static void *count_up(void *unused)
{
	for (int i = 0; i < ROUNDS; i++) {
		lock_take(&static_lock);
		counter++;
		lock_release(&static_lock);
	}
	return unused;
}

static void test_two_threads__take_turns(void **state)
{
	pthread_t other;

	(void)state;
	counter = 0;
	assert_int_equal(pthread_create(&other, NULL, count_up, NULL), 0);
	count_up(NULL);
	pthread_join(other, NULL);
	assert_int_equal(counter, 2 * ROUNDS);
}

static void test_rising_ranks__are_allowed_in_any_order_of_release(void **state)
{
	struct lock low;
	struct lock high;

	(void)state;
	lock_init(&low, LOCK_RANK_HANDLES);
	lock_init(&high, LOCK_RANK_LOG);
	lock_take(&low);
	lock_take(&high);
	lock_release(&low);
	lock_release(&high);
	lock_take(&low);
	lock_release(&low);
	lock_done(&low);
	lock_done(&high);
}

/* How a child that runs `act` ends. */
static int status_of(void (*act)(void))
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		static const struct rlimit no_core;

		/* A sanitizer's report of an abort that we expect would only confuse. */
		signal(SIGABRT, SIG_DFL);
		setrlimit(RLIMIT_CORE, &no_core);
		close(STDERR_FILENO);
		alarm(10);
		act();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void take_after_reset(void)
{
	lock_reset(&static_lock);
	lock_take(&static_lock);
	lock_release(&static_lock);
}

static void test_child_of_a_holder__has_the_lock_free_again(void **state)
{
	int status;

	(void)state;
	lock_take(&static_lock);
	status = status_of(take_after_reset);
	lock_release(&static_lock);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void fall(void)
{
	struct lock low = LOCK_INIT(LOCK_RANK_HANDLES);

	lock_take(&static_lock);
	lock_take(&low);
}

static void take_two_of_one_rank(void)
{
	struct lock same = LOCK_INIT(LOCK_RANK_MEMORY);

	lock_take(&static_lock);
	lock_take(&same);
}

#ifdef TOWER_DEVELOPER
#define CATCHES true
#else
#define CATCHES false
#endif

static bool aborted(int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void test_wrong_order__aborts_developer_builds_and_no_others(void **state)
{
	(void)state;
	assert_int_equal(aborted(status_of(fall)), CATCHES);
	assert_int_equal(aborted(status_of(take_two_of_one_rank)), CATCHES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_threads__take_turns),
		cmocka_unit_test(test_rising_ranks__are_allowed_in_any_order_of_release),
		cmocka_unit_test(test_child_of_a_holder__has_the_lock_free_again),
		cmocka_unit_test(test_wrong_order__aborts_developer_builds_and_no_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
