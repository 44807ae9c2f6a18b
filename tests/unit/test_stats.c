/* Is stats.h right for one process: where it counts, and what it survives? */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "core/stats_file.h"
#include "core/stats_snapshot.h"

static const char *const calls[] = { "memcached_get", "memcached_set" };
static const char *const reasons[] = { "too_long" };
static const struct stats_names names = { calls, 2, reasons, 1 };

static char folder[64];
static char path[96];
static char log_path[96];

static int set_up(void **state)
{
	strcpy(folder, "/dev/shm/tower-test-XXXXXX");
	if (!mkdtemp(folder)) {
		return -1;
	}
	snprintf(path, sizeof(path), "%s/stats", folder);
	snprintf(log_path, sizeof(log_path), "%s/log", folder);
	return log_open(log_path, LOG_LEVEL_WARN) ? 0 : -1;
}

static int tear_down(void **state)
{
	log_close();
	chmod(folder, 0700);
	unlink(path);
	unlink(log_path);
	return rmdir(folder);
}

static unsigned n_log_lines(void)
{
	FILE *file = fopen(log_path, "r");
	unsigned n = 0;
	int c;

	assert_non_null(file);
	while ((c = getc(file)) != EOF) {
		n += c == '\n';
	}
	fclose(file);
	return n;
}

static struct stats *open_stats(void)
{
	struct stats *stats = stats_open(path, "unit", &names);

	assert_non_null(stats);
	return stats;
}

static struct stats_snapshot *snapshot_now(void)
{
	struct stats_snapshot *snapshot;

	assert_int_equal(stats_snapshot_take(path, &snapshot), STATS_OK);
	return snapshot;
}

static uint64_t total_calls(void)
{
	struct stats_snapshot *snapshot = snapshot_now();
	uint64_t n = snapshot->total.calls[0];

	stats_snapshot_free(&snapshot);
	return n;
}

/* A process that has counted `n` calls lives until `gate` ends. */
static pid_t start_counting(const int *gate, unsigned n)
{
	pid_t pid;
	int ready[2];
	char byte;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		struct stats *stats = stats_open(path, "unit", &names);

		close(gate[1]);
		for (unsigned i = 0; i < n; i++) {
			counter_add(&stats->counts->calls[0], 1);
		}
		close(ready[0]);
		close(ready[1]);
		n = (unsigned)read(gate[0], &byte, 1);
		stats_close(&stats);
		_exit((int)n);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 0);
	close(ready[0]);
	return pid;
}

static void test_no_path__counts_in_private_and_silently(void **state)
{
	struct stats *stats = stats_open(NULL, "unit", &names);

	assert_non_null(stats);
	assert_null(stats->file);
	counter_add(&stats->layers[STATS_REDIS]->hits, 3);
	atomic_fetch_add(&stats->redis->unmarked, 1);
	assert_int_equal(stats->counts->layers[STATS_REDIS].hits, 3);
	stats_child(stats);
	assert_int_equal(stats->counts->layers[STATS_REDIS].hits, 0);
	stats_claim(stats);
	stats_close(&stats);
	assert_null(stats);
	stats_close(&stats);
	assert_int_equal(n_log_lines(), 0);
}

static void test_counts__are_seen_while_the_process_lives(void **state)
{
	struct stats *stats = open_stats();
	struct stats_snapshot *snapshot;

	counter_add(&stats->layers[STATS_MEMORY]->hits, 7);
	gauge_set(&stats->layers[STATS_MEMORY]->items, 5);
	counter_add(&stats->counts->calls[1], 2);
	counter_add(&stats->counts->passed[0], 1);
	atomic_store(&stats->redis->unmarked, 1);

	snapshot = snapshot_now();
	assert_string_equal(snapshot->domain, "unit");
	assert_int_equal(snapshot->n_calls, 2);
	assert_string_equal(snapshot->calls[1], "memcached_set");
	assert_int_equal(snapshot->n_reasons, 1);
	assert_string_equal(snapshot->reasons[0], "too_long");
	assert_int_equal(snapshot->redis_unmarked, 1);
	assert_int_equal(snapshot->n_processes, 1);
	assert_int_equal(snapshot->processes[0].pid, getpid());
	assert_string_equal(snapshot->processes[0].command, "test_stats");
	assert_int_equal(snapshot->processes[0].values.layers[STATS_MEMORY].hits, 7);
	assert_int_equal(snapshot->processes[0].values.layers[STATS_MEMORY].items, 5);
	assert_int_equal(snapshot->total.layers[STATS_MEMORY].hits, 7);
	assert_int_equal(snapshot->total.layers[STATS_MEMORY].items, 5);
	assert_int_equal(snapshot->total.calls[1], 2);
	assert_int_equal(snapshot->total.passed[0], 1);
	stats_snapshot_free(&snapshot);
	assert_null(snapshot);
	stats_close(&stats);
}

static void test_close__keeps_counts_in_the_total_and_drops_gauges(void **state)
{
	struct stats *stats = open_stats();
	struct stats_snapshot *snapshot;

	counter_add(&stats->layers[STATS_MEMORY]->hits, 7);
	gauge_set(&stats->layers[STATS_MEMORY]->items, 5);
	gauge_set(&stats->layers[STATS_REDIS]->bytes, 5);
	stats_close(&stats);

	for (unsigned i = 0; i < 3; i++) {
		snapshot = snapshot_now();
		assert_int_equal(snapshot->n_processes, 0);
		assert_int_equal(snapshot->total.layers[STATS_MEMORY].hits, 7);
		assert_int_equal(snapshot->total.layers[STATS_MEMORY].items, 0);
		assert_int_equal(snapshot->total.layers[STATS_REDIS].bytes, 0);
		stats_snapshot_free(&snapshot);
		stats = open_stats();
		assert_int_equal(stats->layers[STATS_MEMORY]->hits, 0);
		stats_close(&stats);
	}
}

static void test_two_processes__have_a_row_each(void **state)
{
	int gate[2];
	pid_t pids[2];
	struct stats_snapshot *snapshot;

	assert_int_equal(pipe(gate), 0);
	pids[0] = start_counting(gate, 1000);
	pids[1] = start_counting(gate, 234);
	snapshot = snapshot_now();
	assert_int_equal(snapshot->n_processes, 2);
	for (unsigned i = 0; i < 2; i++) {
		bool first = snapshot->processes[i].pid == pids[0];

		assert_true(first || snapshot->processes[i].pid == pids[1]);
		assert_int_equal(snapshot->processes[i].values.calls[0], first ? 1000 : 234);
	}
	assert_int_equal(snapshot->total.calls[0], 1234);
	stats_snapshot_free(&snapshot);

	close(gate[0]);
	close(gate[1]);
	for (unsigned i = 0; i < 2; i++) {
		int status;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	assert_int_equal(total_calls(), 1234);
}

static void *count_much(void *owner)
{
	struct stats *stats = owner;

	for (unsigned i = 0; i < 20000; i++) {
		counter_add(&stats->counts->calls[0], 1);
	}
	return NULL;
}

static void test_threads_and_a_reader__lose_nothing(void **state)
{
	struct stats *stats = open_stats();
	pthread_t threads[4];
	uint64_t before = 0;

	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, count_much, stats), 0);
	}
	for (unsigned i = 0; i < 20; i++) {
		uint64_t now = total_calls();

		assert_true(now >= before);
		before = now;
	}
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
	}
	assert_int_equal(total_calls(), 80000);
	stats_close(&stats);
}

static void test_forked_child__counts_for_itself_from_zero(void **state)
{
	struct stats *stats = open_stats();
	struct stats_snapshot *snapshot;
	struct layer_counters **layer = &stats->layers[STATS_MEMORY];
	int status;
	pid_t pid;

	counter_add(&(*layer)->hits, 100);
	pid = fork();
	if (pid == 0) {
		stats_child(stats);
		if ((*layer)->hits != 0) {
			_exit(1);
		}
		counter_add(&(*layer)->hits, 1); /* before the claim */
		stats_claim(stats);
		stats_claim(stats);
		counter_add(&(*layer)->hits, 10);
		_exit((*layer)->hits == 11 ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal((*layer)->hits, 100);
	stats_close(&stats);
	snapshot = snapshot_now();
	assert_int_equal(snapshot->total.layers[STATS_MEMORY].hits, 111);
	stats_snapshot_free(&snapshot);
}

static void test_child_that_never_called__leaves_the_parents_block_alone(void **state)
{
	struct stats *stats = open_stats();
	struct stats_snapshot *snapshot;
	int status;
	pid_t pid;

	counter_add(&stats->counts->calls[0], 5);
	pid = fork();
	if (pid == 0) {
		stats_child(stats);
		stats_close(&stats);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	counter_add(&stats->counts->calls[0], 5);
	assert_int_equal(total_calls(), 10);

	/* Not even where nobody told it that it is a child. */
	pid = fork();
	if (pid == 0) {
		counter_add(&stats->counts->calls[0], 5);
		stats_close(&stats);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	snapshot = snapshot_now();
	assert_int_equal(snapshot->n_processes, 1);
	assert_int_equal(snapshot->total.calls[0], 15);
	stats_snapshot_free(&snapshot);
	stats_close(&stats);
	assert_int_equal(total_calls(), 15);
}

static void test_grandchild_of_unclaimed_child__counts_nothing_twice(void **state)
{
	struct stats *stats = open_stats();
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		stats_child(stats);
		counter_add(&stats->counts->calls[0], 1);
		pid = fork();
		if (pid == 0) {
			stats_child(stats);
			counter_add(&stats->counts->calls[0], 10);
			stats_close(&stats);
			_exit(0);
		}
		waitpid(pid, NULL, 0);
		stats_close(&stats);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(total_calls(), 11);
	stats_close(&stats);
}

static void test_leaving__folds_and_counts_on_in_private(void **state)
{
	struct stats *stats = open_stats();
	struct stats_counts *before = stats->counts;

	counter_add(&before->calls[0], 3);
	stats_leave(stats);
	assert_ptr_not_equal(stats->counts, before);
	counter_add(&stats->counts->calls[0], 1);
	atomic_fetch_add(&stats->redis->unmarked, 1); /* still mapped */
	assert_int_equal(total_calls(), 3);
	stats_leave(stats);
	stats_close(&stats);
	assert_int_equal(total_calls(), 3);
}

static void test_errno__is_preserved(void **state)
{
	struct stats *stats;

	errno = EXDEV;
	stats = stats_open("/nowhere/at/all", "unit", &names);
	assert_int_equal(errno, EXDEV);
	stats_close(&stats);
	stats = open_stats();
	assert_int_equal(errno, EXDEV);
	stats_child(stats);
	stats_claim(stats);
	assert_int_equal(errno, EXDEV);
	stats_close(&stats);
	assert_int_equal(errno, EXDEV);
}

/* Private, and it says why. */
static void assert_private(const char *domain, const struct stats_names *other)
{
	unsigned before = n_log_lines();
	struct stats *stats = stats_open(path, domain, other);

	assert_non_null(stats);
	assert_non_null(stats->why);
	assert_null(stats->file);
	counter_add(&stats->layers[STATS_MEMORY]->hits, 1);
	atomic_fetch_add(&stats->redis->unmarked, 1);
	stats_child(stats);
	stats_claim(stats);
	stats_close(&stats);
	assert_int_equal(n_log_lines(), before);
}

static void test_missing_folder__is_private(void **state)
{
	snprintf(path, sizeof(path), "%s/none/stats", folder);
	assert_private("unit", &names);
}

static void test_foreign_file__is_private_and_no_snapshot(void **state)
{
	struct stats_snapshot *snapshot = NULL;

	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_private("unit", &names);
	assert_int_equal(stats_snapshot_take(path, &snapshot), STATS_FOREIGN);
	assert_null(snapshot);
}

static void test_truncated_file__is_private_and_no_snapshot(void **state)
{
	struct stats_snapshot *snapshot = NULL;
	struct stats *stats = open_stats();

	stats_close(&stats);
	assert_int_equal(truncate(path, 4096), 0);
	assert_private("unit", &names);
	assert_int_equal(stats_snapshot_take(path, &snapshot), STATS_FOREIGN);
	assert_null(snapshot);
}

static void test_other_domain_or_names__are_private(void **state)
{
	static const char *const other_calls[] = { "memcached_get", "memcached_sat" };
	struct stats_names other = names;
	struct stats *stats = open_stats();

	assert_private("other", &names);
	other.calls = other_calls;
	assert_private("unit", &other);
	other = names;
	other.n_calls = 1;
	assert_private("unit", &other);
	other = names;
	other.n_reasons = 0;
	assert_private("unit", &other);
	stats_close(&stats);
}

static void test_no_file__no_snapshot(void **state)
{
	struct stats_snapshot *snapshot = NULL;

	assert_int_equal(stats_snapshot_take(path, &snapshot), STATS_NONE);
	assert_null(snapshot);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_no_path__counts_in_private_and_silently),
		TEST(test_counts__are_seen_while_the_process_lives),
		TEST(test_close__keeps_counts_in_the_total_and_drops_gauges),
		TEST(test_two_processes__have_a_row_each),
		TEST(test_threads_and_a_reader__lose_nothing),
		TEST(test_forked_child__counts_for_itself_from_zero),
		TEST(test_child_that_never_called__leaves_the_parents_block_alone),
		TEST(test_grandchild_of_unclaimed_child__counts_nothing_twice),
		TEST(test_leaving__folds_and_counts_on_in_private),
		TEST(test_errno__is_preserved),
		TEST(test_missing_folder__is_private),
		TEST(test_foreign_file__is_private_and_no_snapshot),
		TEST(test_truncated_file__is_private_and_no_snapshot),
		TEST(test_other_domain_or_names__are_private),
		TEST(test_no_file__no_snapshot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
