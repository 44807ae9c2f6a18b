/* Threads, forks and many processes over one Redis. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
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
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
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

/* From now on new ones are below `n`. */
static void allow_descriptors(rlim_t n)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = n;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void test_process_without_descriptors__leaves_redis_to_the_others(void **state)
{
	struct layer *others = deep_open(DEEP_LONG_NS);
	struct layer *layer = deep_open(DEEP_LONG_NS);
	int64_t begun_ns = clock_now_ns();
	struct rlimit before;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	deep_set(others, "k", "v");
	allow_descriptors(3);
	for (int i = 0; i < 20; i++) {
		deep_expect(layer, "k", LAYER_DOWN);
		assert_int_equal(deep_seen.open, 0);
		deep_expect_hit(others, "k", "v");
	}
	assert_in_range(deep_counts.errors, 1, 1 + (clock_now_ns() - begun_ns) / DEEP_RETRY_NS);
	allow_descriptors(before.rlim_cur);
	assert_int_equal(deep_get_when_up(layer, "k"), LAYER_HIT);
	redis_ops.close(&layer);
	redis_ops.close(&others);
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
	/* Who waited for the connection may have got it for the last moment of his deadline. */
	assert_in_range(deep_counts.timeouts, 1, 3);
	deep_expect_clean(false);
	server_kill(deep_server, SIGCONT);
	redis_ops.close(&layer);
}

/* Each with a layer of its own; whether all of them ended well. */
static bool run_processes(unsigned n, bool (*live)(unsigned who))
{
	bool well = true;

	for (unsigned i = 0; i < n; i++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			_exit(live(i) ? 0 : 1);
		}
	}
	for (unsigned i = 0; i < n; i++) {
		int status;

		assert_true(waitpid(-1, &status, 0) > 0);
		well = well && status == 0;
	}
	return well;
}

static bool use_own_keys(unsigned who)
{
	struct layer *layer = deep_open(6 * DEEP_LONG_NS);
	bool well = deep_own_keys_are_right(layer, 1000 + (int)who, 20);

	well = well && deep_counts.errors == 0;
	redis_ops.close(&layer);
	return well;
}

static void test_200_processes__each_find_their_own(void **state)
{
	assert_true(run_processes(200, use_own_keys));
	assert_int_equal(deep_n_unclean(), 0);
	assert_int_equal(redis_shared_n_unmarked(deep_shared), 0);
	assert_false(deep_shared->answering[0].breaker.open_until_ns);
}

#define PROBE_NS (200 * CLOCK_NS_PER_MS)
#define PROBED_NS (2 * CLOCK_NS_PER_S)

/* As fast as it can, for a while. */
static bool ask_in_vain(unsigned who)
{
	struct redis_options options = deep_options(DEEP_LONG_NS);
	int64_t end = clock_now_ns() + PROBED_NS;
	struct layer *layer;
	char found[64];

	options.breaker_retry_ns = PROBE_NS;
	layer = deep_with(&options);
	while (clock_now_ns() < end) {
		if (deep_get(layer, "k", found) != LAYER_DOWN) {
			return false;
		}
		deep_set(layer, "k", "v");
	}
	redis_ops.close(&layer);
	return true;
}

/* Nobody is there, but somebody counts who knocks. */
static void *count_knocks(void *argument)
{
	atomic_int *listener_and_count = argument;
	int fd;

	while ((fd = accept(listener_and_count[0], NULL, NULL)) >= 0) {
		close(fd);
		atomic_fetch_add(&listener_and_count[1], 1);
	}
	return NULL;
}

static void test_breaker__probes_once_a_period_across_processes(void **state)
{
	struct sockaddr_in loopback = { .sin_family = AF_INET };
	socklen_t n = sizeof(loopback);
	atomic_int knocks[2] = { socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), 0 };
	struct redis_options options;
	struct layer *layer;
	pthread_t thread;
	int64_t began;

	loopback.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(knocks[0], (struct sockaddr *)&loopback, n), 0);
	assert_int_equal(listen(knocks[0], 64), 0);
	assert_int_equal(getsockname(knocks[0], (struct sockaddr *)&loopback, &n), 0);
	assert_int_equal(pthread_create(&thread, NULL, count_knocks, knocks), 0);
	snprintf(deep_url, sizeof(deep_url), "redis://127.0.0.1:%d", ntohs(loopback.sin_port));
	options = deep_options(DEEP_LONG_NS);
	options.breaker_retry_ns = PROBE_NS;
	layer = deep_with(&options);
	deep_expect(layer, "k", LAYER_DOWN);
	assert_true(deep_seen.open);
	redis_ops.close(&layer);

	began = clock_now_ns();
	do {
		assert_true(run_processes(20, ask_in_vain));
	} while (atomic_load(&knocks[1]) < 3 && clock_now_ns() - began < DEEP_PATIENCE_NS);
	/* One at once, perhaps, and one for each period that has begun. */
	assert_in_range(knocks[1], 3, 3 + (clock_now_ns() - began) / PROBE_NS);
	shutdown(knocks[0], SHUT_RDWR);
	pthread_join(thread, NULL);
	close(knocks[0]);
}

static struct layer *forked_inside; /* by the handler, while it waits for Redis */
static pid_t child_inside;

static void fork_inside(int signal_number)
{
	(void)signal_number;
	child_inside = fork_with(forked_inside);
	if (child_inside != 0) {
		server_kill(deep_server, SIGCONT);
	}
}

/* The child's call goes on where the parent's was, without a connection; nobody else minds. */
static void test_fork_in_the_middle_of_a_call__ends_it_in_the_child(void **state)
{
	const struct sigaction action = { .sa_handler = fork_inside };
	const struct itimerval soon = { .it_value = { .tv_usec = 50000 } };
	struct layer *layer = deep_open(DEEP_LONG_NS);
	enum layer_answer answer;
	char found[64];
	int status;

	deep_set(layer, "k", "v");
	deep_expect_hit(layer, "k", "v");
	server_kill(deep_server, SIGSTOP);
	forked_inside = layer;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	answer = deep_get(layer, "k", found);
	if (child_inside == 0) {
		bool well = answer == LAYER_DOWN;

		/* The next call has a connection of its own. */
		well = deep_get(layer, "k", found) == LAYER_HIT && well;
		_exit(well && deep_counts.errors == 0 ? 0 : 1);
	}
	signal(SIGALRM, SIG_DFL);
	assert_int_equal(answer, LAYER_HIT);
	assert_int_equal(waitpid(child_inside, &status, 0), child_inside);
	assert_int_equal(status, 0);
	deep_expect_hit(layer, "k", "v");
	assert_int_equal(deep_counts.errors, 0);
	redis_ops.close(&layer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DEEP_TEST(test_fork__both_go_on_with_their_own),
		DEEP_TEST(test_fork_in_the_middle_of_a_call__ends_it_in_the_child),
		DEEP_TEST(test_process_without_descriptors__leaves_redis_to_the_others),
		DEEP_TEST(test_threads__share_few_connections),
		DEEP_TEST(test_fork_among_threads__gives_a_working_child),
		DEEP_TEST(test_one_connection_to_a_hung_server__delays_each_by_one_timeout),
		DEEP_TEST(test_200_processes__each_find_their_own),
		DEEP_TEST_ALONE(test_breaker__probes_once_a_period_across_processes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
