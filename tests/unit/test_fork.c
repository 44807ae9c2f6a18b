/* Is fork.h right: who runs, in which order, and how many fit? */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fork.h"

static char trail[16]; /* what ran, in order */

static void leave(char mark)
{
	size_t n = strlen(trail);

	if (n + 1 < sizeof(trail)) {
		trail[n] = mark;
	}
}

static void prepare_a(void)
{
	leave('a');
}

static void parent_a(void)
{
	leave('A');
}

static void child_a(void)
{
	leave('1');
}

static void prepare_b(void)
{
	leave('b');
}

static void parent_b(void)
{
	leave('B');
}

static void child_b(void)
{
	leave('2');
}

static const struct fork_handler a = { prepare_a, parent_a, child_a };
static const struct fork_handler b = { prepare_b, parent_b, child_b };
static const struct fork_handler nothing = { 0 };
static struct fork_handler fillers[FORK_HANDLERS_MAX];

/* Forks; the child says whether its trail is `expected`. */
static void assert_child_trail(const char *expected)
{
	pid_t child;
	int status;

	memset(trail, 0, sizeof(trail));
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		_exit(strcmp(trail, expected) == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void test_nobody_registered__fork_works(void **state)
{
	(void)state;
	assert_child_trail("");
	assert_string_equal(trail, "");
}

static void test_two_modules__prepare_backwards_then_forwards(void **state)
{
	(void)state;
	assert_true(fork_register(&a));
	assert_true(fork_register(&b));
	assert_child_trail("ba12");
	assert_string_equal(trail, "baAB");
}

static void test_same_module_again__runs_once(void **state)
{
	(void)state;
	assert_true(fork_register(&a));
	assert_true(fork_register(&a));
	assert_child_trail("ba12");
	assert_string_equal(trail, "baAB");
}

static void test_handler_of_nulls__is_survived(void **state)
{
	(void)state;
	assert_true(fork_register(&nothing));
	assert_child_trail("ba12");
}

static void test_child_of_a_child__runs_again(void **state)
{
	pid_t child;
	int status;

	(void)state;
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		memset(trail, 0, sizeof(trail));
		child = fork();
		if (child == 0) {
			_exit(strcmp(trail, "ba12") == 0 ? 0 : 1);
		}
		_exit(waitpid(child, &status, 0) == child && status == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void *register_all(void *unused)
{
	for (size_t i = 0; i < FORK_HANDLERS_MAX; i++) {
		fork_register(&fillers[i]);
	}
	return unused;
}

static void test_full_registry__refuses_and_keeps_the_rest(void **state)
{
	static const struct fork_handler late = { prepare_a, NULL, NULL };
	pthread_t other;

	(void)state;
	assert_int_equal(pthread_create(&other, NULL, register_all, NULL), 0);
	register_all(NULL);
	pthread_join(other, NULL);
	assert_false(fork_register(&late));
	assert_true(fork_register(&a));
	assert_true(fork_register(&fillers[0]));
	assert_child_trail("ba12");
}

int main(void)
{
	/* One registry for the life of the process: the order of these matters. */
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nobody_registered__fork_works),
		cmocka_unit_test(test_two_modules__prepare_backwards_then_forwards),
		cmocka_unit_test(test_same_module_again__runs_once),
		cmocka_unit_test(test_handler_of_nulls__is_survived),
		cmocka_unit_test(test_child_of_a_child__runs_again),
		cmocka_unit_test(test_full_registry__refuses_and_keeps_the_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
