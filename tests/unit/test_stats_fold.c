/* Is each count in the total exactly once, whoever dies when? */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "core/stats_file.h"
#include "tests/unit/lib/given_stats.h"

static void count(struct stats *stats, uint64_t n)
{
	struct stats_latency *latency = &stats->latencies->of[STATS_MEMCACHED][STATS_GET];

	counter_add(&stats->counts->calls[0], n);
	/* Latencies are folded like all else: wherever the one is checked, so is the other. */
	latency->sum_ns += 10 * n;
	latency->buckets[LATENCY_BUCKETS - 1] += n;
}

static void open_and_close(uint64_t n)
{
	struct stats *stats = given_stats_open();

	count(stats, n);
	stats_close(&stats);
}

static void assert_total(uint64_t n, unsigned n_processes)
{
	struct stats_snapshot *snapshot = given_stats_snapshot();

	assert_int_equal(snapshot->total.calls[0], n);
	assert_int_equal(snapshot->total.latencies[STATS_MEMCACHED][STATS_GET].sum_ns, 10 * n);
	assert_int_equal(
		snapshot->total.latencies[STATS_MEMCACHED][STATS_GET].buckets[LATENCY_BUCKETS - 1],
		n);
	assert_int_equal(snapshot->n_processes, n_processes);
	stats_snapshot_free(&snapshot);
}

static struct stats_head *head_of(struct stats *stats)
{
	assert_non_null(stats->file);
	return stats->file->head;
}

static unsigned n_blocks(struct stats *stats, enum stats_owner kind)
{
	unsigned n = 0;

	for (unsigned i = 0; i < STATS_BLOCKS_MAX; i++) {
		n += stats_owner_kind(head_of(stats)->owners[i]) == kind;
	}
	return n;
}

/* A process that counted, and was killed before it could say so; not yet reaped. */
static pid_t leave_dead(uint64_t n)
{
	siginfo_t info;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		count(given_stats_open(), n);
		raise(SIGKILL);
	}
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	assert_int_equal(info.si_code, CLD_KILLED);
	return pid;
}

static void reap(pid_t pid)
{
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_killed_process__is_in_the_total_before_and_after_its_fold(void **state)
{
	struct stats *stats = given_stats_open();
	pid_t pid = leave_dead(7);

	assert_int_equal(n_blocks(stats, STATS_OWNER_OWNED), 2);
	assert_total(7, 1);
	open_and_close(0);
	assert_int_equal(n_blocks(stats, STATS_OWNER_OWNED), 1);
	assert_int_equal(n_blocks(stats, STATS_OWNER_FREE), STATS_BLOCKS_MAX - 1);
	assert_total(7, 1);
	reap(pid);
	open_and_close(0);
	assert_total(7, 1);
	stats_close(&stats);
	assert_total(7, 0);
}

static void start_folder(const int *gate)
{
	if (fork() == 0) {
		char byte;

		close(gate[1]);
		if (read(gate[0], &byte, 1) == 0) {
			open_and_close(1);
		}
		_exit(0);
	}
}

static void test_eight_folders_at_once__fold_the_dead_once(void **state)
{
	struct stats *stats = given_stats_open();

	for (unsigned round = 1; round <= 30; round++) {
		int gate[2];

		assert_int_equal(pipe(gate), 0);
		for (unsigned i = 0; i < 3; i++) {
			reap(leave_dead(1000));
		}
		for (unsigned i = 0; i < 8; i++) {
			start_folder(gate);
		}
		close(gate[0]);
		close(gate[1]);
		while (wait(NULL) > 0) {
		}
		assert_total(round * UINT64_C(3008), 1);
	}
	open_and_close(0);
	assert_int_equal(n_blocks(stats, STATS_OWNER_FREE), STATS_BLOCKS_MAX - 1);
	stats_close(&stats);
}

/* A folder killed in each step leaves behind what is set up here by hand. */
static uint64_t dead_word(void)
{
	struct process dead;

	process_self(&dead);
	dead.pid = 1 << 21;
	return process_pack(&dead);
}

static void test_folder_died_while_adding__its_fold_is_done_again(void **state)
{
	struct stats *stats = given_stats_open();
	struct stats_head *head = head_of(stats);
	pid_t pid = leave_dead(100);
	uint64_t number = head->folds + 1;

	reap(pid);
	head->folder = dead_word();
	for (unsigned i = 0; i < STATS_BLOCKS_MAX; i++) {
		if (stats_owner_kind(head->owners[i]) == STATS_OWNER_OWNED &&
		    process_word_pid(stats_owner_rest(head->owners[i])) == pid) {
			head->owners[i] = stats_owner_word(STATS_OWNER_FOLDING, number);
		}
	}
	assert_int_equal(n_blocks(stats, STATS_OWNER_FOLDING), 1);
	head->totals[number % 2].counts.calls[0] = 77; /* half added, never in force */
	assert_total(100, 1);
	open_and_close(1);
	assert_total(101, 1);
	assert_int_equal(n_blocks(stats, STATS_OWNER_FOLDING), 0);
	assert_int_equal(head->folder, 0);
	stats_close(&stats);
}

static void test_folder_died_before_freeing__nothing_is_added_again(void **state)
{
	struct stats *stats = given_stats_open();
	struct stats_head *head = head_of(stats);
	unsigned i = 5;

	open_and_close(100);
	/* Block 5 as if it had been part of that fold. */
	assert_true(stats_block_back(stats->file, i, STATS_STRIPES_MIN));
	head->backed[i] = 1;
	stats_block_at(&stats->file->shm, i)->stripes[0].calls[0] = 60;
	head->owners[i] = stats_owner_word(STATS_OWNER_FOLDING, head->folds);
	head->folder = dead_word();
	assert_total(100, 1);
	open_and_close(0);
	open_and_close(0);
	assert_total(100, 1);
	assert_int_equal(head->owners[i], STATS_OWNER_FREE);
	assert_int_equal(stats_block_at(&stats->file->shm, i)->stripes[0].calls[0], 0);
	stats_close(&stats);
}

static void test_claimer_died_before_its_block_had_memory__block_is_free_again(void **state)
{
	struct stats *stats = given_stats_open();
	struct stats_head *head = head_of(stats);
	struct stat before;
	struct stat after;

	assert_int_equal(stat(given_stats_path, &before), 0);
	head->owners[900] = stats_owner_word(STATS_OWNER_OWNED, dead_word());
	assert_total(0, 1);
	open_and_close(0);
	assert_int_equal(head->owners[900], STATS_OWNER_FREE);
	assert_int_equal(stat(given_stats_path, &after), 0);
	/* Some pages for the second process, none for block 900. */
	assert_true(after.st_blocks - before.st_blocks <= (blkcnt_t)(STATS_BLOCK_MIN_BYTES / 512));
	stats_close(&stats);
}

static void test_live_folder__is_not_overtaken_and_nobody_waits(void **state)
{
	struct stats *stats = given_stats_open();
	struct stats_head *head = head_of(stats);

	head->folder = process_pack(&stats->file->self);
	open_and_close(5);
	assert_int_equal(n_blocks(stats, STATS_OWNER_ENDED), 1);
	assert_total(5, 1);
	head->folder = 0;
	open_and_close(0);
	assert_int_equal(n_blocks(stats, STATS_OWNER_ENDED), 0);
	assert_total(5, 1);
	stats_close(&stats);
}

static void test_other_pid_namespace__is_never_taken_for_dead(void **state)
{
	struct stats *stats = given_stats_open();
	struct stats_head *head = head_of(stats);
	struct process stranger = { .pid = 1 << 21, .space = 1 };

	head->owners[900] = stats_owner_word(STATS_OWNER_OWNED, process_pack(&stranger));
	head->folder = process_pack(&stranger);
	open_and_close(5);
	assert_int_equal(stats_owner_kind(head->owners[900]), STATS_OWNER_OWNED);
	assert_int_equal(head->folder, process_pack(&stranger));
	head->folder = 0;
	open_and_close(5);
	assert_int_equal(stats_owner_kind(head->owners[900]), STATS_OWNER_OWNED);
	assert_total(10, 1);
	stats_close(&stats);
}

#define N_SHORT_LIVED 2000
#define N_AT_ONCE 16

static void live_shortly(struct stats *stats, unsigned i)
{
	stats_child(stats);
	stats_claim(stats);
	count(stats, i % 7 + 1);
	if (i % 4 == 0) {
		raise(SIGKILL);
	}
	if (i % 4 != 1) {
		stats_close(&stats);
	}
	_exit(0);
}

static void test_thousands_of_short_lived_processes__sum_is_exact(void **state)
{
	struct stats *stats = given_stats_open();
	uint64_t sum = 0;
	unsigned n_running = 0;

	for (unsigned i = 0; i < N_SHORT_LIVED; i++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			live_shortly(stats, i);
		}
		sum += i % 7 + 1;
		if (++n_running == N_AT_ONCE) {
			assert_true(wait(NULL) > 0);
			n_running--;
		}
	}
	while (wait(NULL) > 0) {
	}
	assert_total(sum, 1);
	open_and_close(0);
	assert_int_equal(n_blocks(stats, STATS_OWNER_FREE), STATS_BLOCKS_MAX - 1);
	stats_close(&stats);
	assert_total(sum, 0);
}

/* What a process that is killed anywhere has begun and finished counting. */
struct progress {
	_Atomic uint64_t begun;
	_Atomic uint64_t done;
};

#define STEP 1000000

static struct progress *new_progress(void)
{
	struct progress *progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE,
					 MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(progress, MAP_FAILED);
	return progress;
}

/*
 * `n_linger` rounds between counting and ending: a reader that began in between
 * knows that this count must be in its sum, wherever it is by then.
 */
static void count_until_killed(struct progress *progress, unsigned n_linger)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* also when the test fails */
	for (;;) {
		struct stats *stats = given_stats_try_open();

		if (stats->file) { /* four at this pace can fill the table */
			progress->begun++;
			count(stats, STEP);
			progress->done++;
		}
		for (volatile unsigned i = 0; i < n_linger; i++) {
		}
		stats_close(&stats);
	}
}

static void test_processes_killed_anywhere__nothing_is_lost_or_added_twice(void **state)
{
	struct progress *progress = new_progress();
	struct stats_snapshot *snapshot;
	pid_t pids[4] = { 0 };

	for (unsigned i = 0; i < 600; i++) {
		/* A time that differs, not a wait for anything. */
		const struct timespec life = { .tv_nsec = 100000 + (long)(i * 7919 % 400) * 1000 };
		pid_t *pid = &pids[i % 4];

		if (*pid) {
			kill(*pid, SIGKILL);
			reap(*pid);
		}
		*pid = fork();
		assert_true(*pid >= 0);
		if (*pid == 0) {
			count_until_killed(progress, 0);
		}
		nanosleep(&life, NULL);
		/* Where all is slow they would be killed before they have counted anything. */
		for (unsigned tries = 0; progress->begun < 3 * i && tries < 10000; tries++) {
			nanosleep(&life, NULL);
		}
	}
	for (unsigned i = 0; i < 4; i++) {
		kill(pids[i], SIGKILL);
		reap(pids[i]);
	}
	snapshot = given_stats_snapshot();
	assert_true(snapshot->total.calls[0] >= progress->done * STEP);
	assert_true(snapshot->total.calls[0] <= progress->begun * STEP);
	assert_true(progress->begun - progress->done <= 600);
	assert_true(progress->done > 1000);
	stats_snapshot_free(&snapshot);
	munmap(progress, sizeof(*progress));
}

static void test_reader_among_folders__never_sees_a_wrong_sum(void **state)
{
	struct progress *progress = new_progress();
	pid_t pids[2];
	int64_t enough_ns = clock_now_ns() + 20 * CLOCK_NS_PER_S;
	unsigned n_read = 0;

	for (unsigned i = 0; i < 2; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			count_until_killed(progress, 100000);
		}
	}
	/* Where all is slow the file hardly ever stands still: fewer will do. */
	while (n_read < 200 || (n_read < 5000 && clock_now_ns() < enough_ns)) {
		struct stats_snapshot *snapshot;
		uint64_t done = progress->done;
		enum stats_status status = stats_snapshot_take(given_stats_path, &snapshot);

		if (status == STATS_NONE || (status == STATS_FAILED && errno == EAGAIN)) {
			continue;
		}
		n_read++;
		assert_int_equal(status, STATS_OK);
		assert_true(snapshot->total.calls[0] >= done * STEP);
		assert_true(snapshot->total.calls[0] <= progress->begun * STEP);
		stats_snapshot_free(&snapshot);
	}
	for (unsigned i = 0; i < 2; i++) {
		kill(pids[i], SIGKILL);
		reap(pids[i]);
	}
	munmap(progress, sizeof(*progress));
}

/* All blocks but those in use taken by this process, as by so many others. */
static void take_all_blocks(struct stats *stats)
{
	struct stats_head *head = head_of(stats);
	uint64_t own = stats_owner_word(STATS_OWNER_OWNED, process_pack(&stats->file->self));

	for (unsigned i = 0; i < STATS_BLOCKS_MAX; i++) {
		if (head->owners[i] == STATS_OWNER_FREE) {
			head->owners[i] = own;
		}
	}
}

static void test_full_table__is_private_and_children_say_nothing(void **state)
{
	struct stats *stats = given_stats_open();
	struct stats *late;
	char log_path[96];
	struct stat st;

	snprintf(log_path, sizeof(log_path), "%s/log", given_stats_folder);
	assert_true(log_open(log_path, LOG_LEVEL_WARN));
	take_all_blocks(stats);
	late = given_stats_open();
	assert_null(late->file);
	/* Who opened it says so. */
	assert_string_equal(late->why, "has no room for this process");
	count(late, 1);
	for (unsigned i = 0; i < 3; i++) {
		if (fork() == 0) {
			stats_child(late);
			stats_claim(late);
			count(late, 1);
			stats_close(&late);
			_exit(0);
		}
		assert_true(wait(NULL) > 0);
	}
	assert_int_equal(stat(log_path, &st), 0);
	assert_int_equal(st.st_size, 0);
	stats_close(&late);
	stats_close(&stats);
	log_close();
	unlink(log_path);
}

static void test_full_table_with_a_dead_process__its_block_is_used_again(void **state)
{
	struct stats *stats = given_stats_open();
	struct stats *late;
	pid_t pid = leave_dead(50);

	take_all_blocks(stats);
	late = given_stats_open();
	assert_non_null(late->file);
	count(late, 1);
	assert_int_equal(head_of(stats)->totals[head_of(stats)->folds % 2].counts.calls[0], 50);
	reap(pid);
	stats_close(&late);
	stats_close(&stats);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, given_stats_set_up, given_stats_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_killed_process__is_in_the_total_before_and_after_its_fold),
		TEST(test_eight_folders_at_once__fold_the_dead_once),
		TEST(test_folder_died_while_adding__its_fold_is_done_again),
		TEST(test_folder_died_before_freeing__nothing_is_added_again),
		TEST(test_claimer_died_before_its_block_had_memory__block_is_free_again),
		TEST(test_live_folder__is_not_overtaken_and_nobody_waits),
		TEST(test_other_pid_namespace__is_never_taken_for_dead),
		TEST(test_thousands_of_short_lived_processes__sum_is_exact),
		TEST(test_processes_killed_anywhere__nothing_is_lost_or_added_twice),
		TEST(test_reader_among_folders__never_sees_a_wrong_sum),
		TEST(test_full_table__is_private_and_children_say_nothing),
		TEST(test_full_table_with_a_dead_process__its_block_is_used_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
