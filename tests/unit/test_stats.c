/* Is stats.h right for one process: where it counts, and what it survives? */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
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

/* Runs `body` in a child, which may give up its rights; 0 is good. */
static void assert_child(int (*body)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		signal(SIGBUS, SIG_DFL); /* cmocka's handler would go on with the next test here */
		_exit(body());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
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

static int open_with_file_limit(void)
{
	struct rlimit limit = { 4096, 4096 };
	struct stats *stats;

	/* SIGXFSZ would end us. */
	if (setrlimit(RLIMIT_FSIZE, &limit) != 0) {
		return 1;
	}
	stats = stats_open(path, "unit", &names);
	if (!stats || stats->file) {
		return 2;
	}
	counter_add(&stats->counts->calls[0], 1);
	stats_close(&stats);
	return 0;
}

static int join_with_file_limit(void)
{
	struct rlimit limit = { 4096, 4096 };
	struct stats *stats;

	if (setrlimit(RLIMIT_FSIZE, &limit) != 0) {
		return 1;
	}
	stats = stats_open(path, "unit", &names);
	if (!stats || !stats->file) {
		return 2;
	}
	counter_add(&stats->counts->calls[0], 1);
	stats_close(&stats);
	return 0;
}

static void test_file_size_limit__only_keeps_from_making_the_file(void **state)
{
	struct stats *stats;

	assert_child(open_with_file_limit);
	stats = open_stats();
	assert_child(join_with_file_limit);
	assert_int_equal(total_calls(), 1);
	stats_close(&stats);
}

#define N_ON_FULL 64

/* Claims blocks on a file system of a few pages until none is left. */
static int fill_the_file_system(void)
{
	struct stats *all[N_ON_FULL];
	struct stats_snapshot *snapshot;
	unsigned n_shared = 0;
	char tmpfs_path[128];

	snprintf(tmpfs_path, sizeof(tmpfs_path), "%s/stats", folder);
	for (unsigned i = 0; i < N_ON_FULL; i++) {
		all[i] = stats_open(tmpfs_path, "unit", &names);
		if (!all[i]) {
			return 10;
		}
		counter_add(&all[i]->counts->calls[0], 1); /* SIGBUS would end us */
		n_shared += all[i]->file != NULL;
	}
	if (n_shared == 0 || n_shared == N_ON_FULL) {
		return 11;
	}
	if (stats_snapshot_take(tmpfs_path, &snapshot) != STATS_OK ||
	    snapshot->n_processes != n_shared || snapshot->total.calls[0] != n_shared) {
		return 12;
	}
	stats_snapshot_free(&snapshot);
	for (unsigned i = 0; i < N_ON_FULL; i++) {
		stats_close(&all[i]);
	}
	/* What memory there is can be used again. */
	all[0] = stats_open(tmpfs_path, "unit", &names);
	n_shared = all[0]->file != NULL;
	stats_close(&all[0]);
	return n_shared == 1 ? 0 : 13;
}

static bool write_to(const char *file, const char *text)
{
	FILE *out = fopen(file, "w");

	return out && fputs(text, out) >= 0 && fclose(out) == 0;
}

/* May mount from now on: as root, or in a user namespace where we keep our ids. */
static bool may_mount(void)
{
	char uids[32];
	char gids[32];

	if (unshare(CLONE_NEWNS) == 0) {
		return true;
	}
	snprintf(uids, sizeof(uids), "%u %u 1", geteuid(), geteuid());
	snprintf(gids, sizeof(gids), "%u %u 1", getegid(), getegid());
	return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 &&
	       write_to("/proc/self/setgroups", "deny") && write_to("/proc/self/uid_map", uids) &&
	       write_to("/proc/self/gid_map", gids);
}

/* What we mount stays ours; in a chroot "/" is no mount point, but /dev/shm is. */
static bool keep_mounts(void)
{
	return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 ||
	       mount("none", "/dev/shm", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

/* 0, or the errno of a system that does not let us mount. */
static int mount_small(const char *size)
{
	return !may_mount() || !keep_mounts() || mount("tmpfs", folder, "tmpfs", 0, size) != 0
		       ? errno
		       : 0;
}

static int run_on_full_file_system(void)
{
	return mount_small("size=128k") == 0 ? fill_the_file_system() : 20;
}

static void test_full_file_system__is_private_without_a_signal(void **state)
{
	assert_child(run_on_full_file_system);
}

static int run_without_room_for_the_header(void)
{
	char tmpfs_path[128];
	struct stats *stats;

	if (mount_small("size=16k") != 0) {
		return 20;
	}
	snprintf(tmpfs_path, sizeof(tmpfs_path), "%s/stats", folder);
	stats = stats_open(tmpfs_path, "unit", &names);
	if (!stats || stats->file || access(tmpfs_path, F_OK) == 0) {
		return 1;
	}
	counter_add(&stats->counts->calls[0], 1);
	stats_close(&stats);
	return 0;
}

static void test_no_room_for_the_header__is_private_without_a_file(void **state)
{
	assert_child(run_without_room_for_the_header);
}

/* As kernels before 5.14 answer. */
static int refuse_populating(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 23, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
		       ? prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)
		       : -1;
}

static int run_on_old_kernel(void)
{
	long n_page = sysconf(_SC_PAGESIZE);
	void *page;

	if (mount_small("size=128k") != 0 || refuse_populating() != 0) {
		return 20;
	}
	page = mmap(NULL, (size_t)n_page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0);
	if (page == MAP_FAILED || madvise(page, (size_t)n_page, 23) == 0) {
		return 21;
	}
	return fill_the_file_system();
}

static void test_full_file_system_of_old_kernel__is_private_without_a_signal(void **state)
{
	assert_child(run_on_old_kernel);
}

static int become_other_user_in_chroot(void)
{
	struct stats *stats = stats_open(path, "unit", &names);
	pid_t pid;
	int status;

	counter_add(&stats->counts->calls[0], 1);
	if ((chroot(folder) != 0 && (unshare(CLONE_NEWUSER) != 0 || chroot(folder) != 0)) ||
	    chdir("/") != 0 || (geteuid() == 0 && setuid(12345) != 0)) {
		return 20;
	}
	pid = fork();
	if (pid == 0) {
		/* Neither the file's path nor /proc is there any more. */
		stats_child(stats);
		stats_claim(stats);
		if (!stats->file) {
			_exit(1);
		}
		counter_add(&stats->counts->calls[0], 10);
		stats_close(&stats);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || status != 0) {
		return 2;
	}
	stats_close(&stats);
	return 0;
}

static void test_chroot_and_setuid__go_on_counting(void **state)
{
	struct stats *stats = open_stats();

	assert_child(become_other_user_in_chroot);
	assert_int_equal(total_calls(), 11);
	stats_close(&stats);
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
		TEST(test_file_size_limit__only_keeps_from_making_the_file),
		TEST(test_full_file_system__is_private_without_a_signal),
		TEST(test_no_room_for_the_header__is_private_without_a_file),
		TEST(test_full_file_system_of_old_kernel__is_private_without_a_signal),
		TEST(test_chroot_and_setuid__go_on_counting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
