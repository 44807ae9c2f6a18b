/* Is stats.h right where files may not grow, have no room, or are out of sight? */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/lib/given_stats.h"

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

/* SIGXFSZ would end us. */
static int count_with_file_limit(bool is_shared)
{
	struct rlimit limit = { 4096, 4096 };
	struct stats *stats;

	if (setrlimit(RLIMIT_FSIZE, &limit) != 0) {
		return 1;
	}
	stats = given_stats_try_open();
	if (!stats || (stats->file != NULL) != is_shared) {
		return 2;
	}
	counter_add(&stats->counts->calls[0], 1);
	stats_close(&stats);
	return 0;
}

static int open_with_file_limit(void)
{
	return count_with_file_limit(false);
}

static int join_with_file_limit(void)
{
	return count_with_file_limit(true);
}

static void test_file_size_limit__only_keeps_from_making_the_file(void **state)
{
	struct stats *stats;

	assert_child(open_with_file_limit);
	stats = given_stats_open();
	assert_child(join_with_file_limit);
	assert_int_equal(given_stats_total_calls(), 1);
	stats_close(&stats);
}

#define N_ON_FULL 64

/* Claims blocks on a file system of a few pages until none is left. */
static int fill_the_file_system(void)
{
	struct stats *all[N_ON_FULL];
	struct stats_snapshot *snapshot;
	unsigned n_shared = 0;

	for (unsigned i = 0; i < N_ON_FULL; i++) {
		all[i] = given_stats_try_open();
		if (!all[i]) {
			return 10;
		}
		counter_add(&all[i]->counts->calls[0], 1); /* SIGBUS would end us */
		n_shared += all[i]->file != NULL;
	}
	if (n_shared == 0 || n_shared == N_ON_FULL) {
		return 11;
	}
	if (stats_snapshot_take(given_stats_path, &snapshot) != STATS_OK ||
	    snapshot->n_processes != n_shared || snapshot->total.calls[0] != n_shared) {
		return 12;
	}
	stats_snapshot_free(&snapshot);
	for (unsigned i = 0; i < N_ON_FULL; i++) {
		stats_close(&all[i]);
	}
	/* What memory there is can be used again. */
	all[0] = given_stats_try_open();
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
	return !may_mount() || !keep_mounts() ||
			       mount("tmpfs", given_stats_folder, "tmpfs", 0, size) != 0
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
	struct stats *stats;

	if (mount_small("size=16k") != 0) {
		return 20;
	}
	stats = given_stats_try_open();
	if (!stats || stats->file || access(given_stats_path, F_OK) == 0) {
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
	struct stats *stats = given_stats_try_open();
	pid_t pid;
	int status;

	counter_add(&stats->counts->calls[0], 1);
	if ((chroot(given_stats_folder) != 0 &&
	     (unshare(CLONE_NEWUSER) != 0 || chroot(given_stats_folder) != 0)) ||
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
	struct stats *stats = given_stats_open();

	assert_child(become_other_user_in_chroot);
	assert_int_equal(given_stats_total_calls(), 11);
	stats_close(&stats);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, given_stats_set_up, given_stats_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_file_size_limit__only_keeps_from_making_the_file),
		TEST(test_full_file_system__is_private_without_a_signal),
		TEST(test_no_room_for_the_header__is_private_without_a_file),
		TEST(test_full_file_system_of_old_kernel__is_private_without_a_signal),
		TEST(test_chroot_and_setuid__go_on_counting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
