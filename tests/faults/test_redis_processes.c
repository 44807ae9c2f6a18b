/* Threads, forks and many processes over one Redis. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/faults/lib/deep.h"

static int count_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(folder);
	while (readdir(folder)) {
		n++;
	}
	closedir(folder);
	return n;
}

/* As the core does it. */
static pid_t fork_with(struct layer *layer)
{
	pid_t pid;

	redis_ops.prepare(layer);
	pid = fork();
	if (pid == 0) {
		redis_ops.child(layer);
	} else {
		redis_ops.parent(layer);
	}
	return pid;
}

static void test_fork__both_go_on_with_their_own(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);
	int without = count_descriptors();
	int status;
	pid_t pid;

	deep_set(layer, "k", "v");
	assert_int_equal(count_descriptors(), without + 1);
	pid = fork_with(layer);
	if (pid == 0) {
		bool well = count_descriptors() == without;

		well = deep_own_keys_are_right(layer, 1, 500) && well;
		_exit(well && deep_n_unclean() == 0 && redis_shared_n_unmarked(deep_shared) == 0 &&
				      deep_counts.errors == 0
			      ? 0
			      : 1);
	}
	assert_true(deep_own_keys_are_right(layer, 2, 500));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	deep_expect_hit(layer, "k", "v");
	assert_int_equal(deep_counts.errors, 0);
	redis_ops.close(&layer);
}

#define THREADS 8
#define THREAD_ROUNDS 300

struct worker {
	struct layer *layer;
	int who;
	bool well;
	pthread_t thread;
};

static void *work(void *argument)
{
	struct worker *worker = argument;

	worker->well = deep_own_keys_are_right(worker->layer, worker->who, THREAD_ROUNDS);
	return NULL;
}

static void start_workers(struct worker workers[THREADS], struct layer *layer)
{
	for (int i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ .layer = layer, .who = i };
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
}

static void join_workers(struct worker workers[THREADS])
{
	for (int i = 0; i < THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		assert_true(workers[i].well);
	}
}

static void test_threads__share_few_connections(void **state)
{
	struct worker workers[THREADS];
	struct layer *layer = deep_open(DEEP_LONG_NS);
	int without = count_descriptors();

	start_workers(workers, layer);
	join_workers(workers);
	assert_in_range(count_descriptors(), without + 1, without + 4);
	assert_int_equal(deep_counts.errors, 0);
	assert_int_equal(deep_counts.fills, THREADS * THREAD_ROUNDS);
	deep_expect_clean(true);
	redis_ops.close(&layer);
	assert_int_equal(count_descriptors(), without);
}

static void test_fork_among_threads__gives_a_working_child(void **state)
{
	struct worker workers[THREADS];
	struct layer *layer = deep_open(DEEP_LONG_NS);
	int status;

	start_workers(workers, layer);
	for (int i = 0; i < 10; i++) {
		pid_t pid = fork_with(layer);

		if (pid == 0) {
			_exit(deep_own_keys_are_right(layer, 100 + i, 50) ? 0 : 1);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
	join_workers(workers);
	assert_int_equal(deep_counts.errors, 0);
	redis_ops.close(&layer);
}

/* The second to come finds none free: a read gives up, a write waits no longer than that. */
static void test_one_connection_to_a_hung_server__delays_each_by_one_timeout(void **state)
{
	struct redis_options options = deep_options(4 * DEEP_SHORT_NS);
	struct worker worker = { .who = 1 };
	struct layer *layer;
	int64_t before;

	options.max_connections = 1;
	options.breaker_retry_ns = 3600 * CLOCK_NS_PER_S;
	layer = deep_with(&options);
	deep_set(layer, "k", "v");
	server_kill(deep_server, SIGSTOP);
	worker.layer = layer;
	assert_int_equal(pthread_create(&worker.thread, NULL, work, &worker), 0);
	before = clock_now_ns();
	deep_expect(layer, "k", LAYER_DOWN);
	deep_set(layer, "k", "w");
	assert_true(clock_now_ns() - before < 20 * options.timeout_ns);
	pthread_join(worker.thread, NULL);
	assert_in_range(deep_counts.timeouts, 1, 2);
	deep_expect_clean(false);
	server_kill(deep_server, SIGCONT);
	redis_ops.close(&layer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DEEP_TEST(test_fork__both_go_on_with_their_own),
		DEEP_TEST(test_threads__share_few_connections),
		DEEP_TEST(test_fork_among_threads__gives_a_working_child),
		DEEP_TEST(test_one_connection_to_a_hung_server__delays_each_by_one_timeout),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
