/* Is process.h right: who lives, who is gone, and who cannot be told? */
#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/process.h"

#define CLONE_NEWTIME_FLAG 0x80

/* A child that tells who it is, and lives until released. */
struct child {
	pid_t pid;
	struct process self;
	int release;
};

static void spawn_with(struct child *ret, void (*before)(void))
{
	int told[2];
	int wait[2];
	char byte;

	assert_int_equal(pipe(told), 0);
	assert_int_equal(pipe(wait), 0);
	ret->pid = fork();
	assert_true(ret->pid >= 0);
	if (ret->pid == 0) {
		struct process self;

		close(wait[1]);
		if (before) {
			before();
		}
		process_self(&self);
		if (write(told[1], &self, sizeof(self)) != sizeof(self)) {
			_exit(2);
		}
		_exit(read(wait[0], &byte, 1) == 0 ? 0 : 3);
	}
	close(told[1]);
	close(wait[0]);
	ret->release = wait[1];
	assert_int_equal(read(told[0], &ret->self, sizeof(ret->self)), sizeof(ret->self));
	close(told[0]);
}

static void reap(struct child *child)
{
	close(child->release);
	assert_int_equal(waitpid(child->pid, NULL, 0), child->pid);
}

/* Runs `body` in a child that may change its namespaces; its result is the exit status. */
static int in_child(int (*body)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		_exit(body());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The same for the first process of a new namespace; `self` is who we are outside. */
static struct process outside;

static int in_namespace(int flags, int (*body)(void))
{
	int status;
	pid_t pid;

	process_self(&outside);
	if (unshare(flags) != 0 && (errno != EPERM || unshare(flags | CLONE_NEWUSER) != 0)) {
		return 100;
	}
	pid = fork();
	if (pid == 0) {
		_exit(body());
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 101;
}

static void test_own_process__is_known_and_alive(void **state)
{
	struct process self;

	process_self(&self);
	assert_int_equal(self.pid, getpid());
	assert_true(self.start > 0);
	assert_true(self.space > 0);
	assert_string_equal(self.command, "test_process");
	assert_int_equal(process_alive(&self, &self), PROCESS_ALIVE);
	assert_int_equal(process_word_alive(&self, process_pack(&self)), PROCESS_ALIVE);
}

static void test_child__is_alive_then_zombie_then_gone(void **state)
{
	struct process self;
	struct child child;
	siginfo_t info;

	process_self(&self);
	spawn_with(&child, NULL);
	assert_int_equal(process_alive(&self, &child.self), PROCESS_ALIVE);
	assert_int_equal(process_word_alive(&self, process_pack(&child.self)), PROCESS_ALIVE);

	kill(child.pid, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)child.pid, &info, WEXITED | WNOWAIT), 0);
	assert_int_equal(process_alive(&self, &child.self), PROCESS_GONE);

	reap(&child);
	assert_int_equal(process_alive(&self, &child.self), PROCESS_GONE);
	assert_int_equal(process_word_alive(&self, process_pack(&child.self)), PROCESS_GONE);
}

static void test_pid_used_again__earlier_process_is_gone(void **state)
{
	struct process self;
	struct process earlier;
	struct child child;

	process_self(&self);
	spawn_with(&child, NULL);
	earlier = child.self;
	earlier.start -= 1;
	assert_int_equal(process_alive(&self, &earlier), PROCESS_GONE);
	assert_int_equal(process_word_alive(&self, process_pack(&earlier)), PROCESS_GONE);
	/* What a word cannot tell apart is taken for alive. */
	earlier.start = child.self.start - 256;
	assert_int_equal(process_alive(&self, &earlier), PROCESS_GONE);
	assert_int_equal(process_word_alive(&self, process_pack(&earlier)), PROCESS_ALIVE);
	reap(&child);

	earlier = self;
	earlier.start -= 1;
	assert_int_equal(process_alive(&self, &earlier), PROCESS_GONE);
}

static void *pause_for_good(void *unused)
{
	for (;;) {
		pause();
	}
	return unused;
}

static int only_a_second_thread(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, pause_for_good, NULL) != 0) {
		return 1;
	}
	pthread_exit(NULL);
}

static bool is_zombie(pid_t pid)
{
	char path[32];
	char text[512] = { 0 };
	struct process_stat found;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_true(fread(text, 1, sizeof(text) - 1, file) > 0);
	fclose(file);
	assert_true(process_stat_parse(text, &found));
	return found.state == 'Z';
}

static void test_first_thread_ended__process_is_alive(void **state)
{
	struct process self;
	struct process other;
	pid_t pid = fork();

	if (pid == 0) {
		_exit(only_a_second_thread());
	}
	process_self(&self);
	while (!is_zombie(pid)) {
		const struct timespec tick = { .tv_nsec = 1000000 };

		nanosleep(&tick, NULL);
	}
	other = self;
	other.pid = pid;
	/* The start time is of no interest here: find the one that fits. */
	for (other.start = self.start; process_alive(&self, &other) == PROCESS_GONE;) {
		other.start++;
		assert_true(other.start < self.start + 100000);
	}
	assert_int_equal(process_alive(&self, &other), PROCESS_ALIVE);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(process_alive(&self, &other), PROCESS_GONE);
}

static void test_nobody_and_process_groups__are_unknown(void **state)
{
	struct process self;
	struct process other;

	process_self(&self);
	other = self;
	other.pid = 0;
	assert_int_equal(process_alive(&self, &other), PROCESS_UNKNOWN);
	other.pid = -1;
	assert_int_equal(process_alive(&self, &other), PROCESS_UNKNOWN);
	assert_int_equal(process_word_alive(&self, 0), PROCESS_UNKNOWN);
}

static void test_other_pid_namespace__dead_process_is_unknown(void **state)
{
	struct process self;
	struct process other = { .pid = 1 << 21, .start = 1, .space = 1 };

	process_self(&self);
	assert_int_equal(process_alive(&self, &other), PROCESS_UNKNOWN);
	assert_int_equal(process_word_alive(&self, process_pack(&other)), PROCESS_UNKNOWN);
	other.space = 0;
	assert_int_equal(process_alive(&self, &other), PROCESS_UNKNOWN);
	other.space = self.space;
	self.space = 0;
	assert_int_equal(process_alive(&self, &other), PROCESS_UNKNOWN);
}

static int has_no_space(void)
{
	struct process self;

	process_self(&self);
	return self.space == 0 && self.pid == getpid() ? 0 : 1;
}

static int in_foreign_proc(void)
{
	return in_namespace(CLONE_NEWPID, has_no_space);
}

static void test_proc_of_outer_namespace__process_does_not_know_itself(void **state)
{
	assert_int_equal(in_child(in_foreign_proc), 0);
}

static int knows_itself_and_not_the_outside(void)
{
	struct process self;

	/* What we mount stays ours; in a chroot "/" is no mount point, but /proc is. */
	if ((mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 &&
	     mount("none", "/proc", NULL, MS_REC | MS_PRIVATE, NULL) != 0) ||
	    mount("proc", "/proc", "proc", 0, NULL) != 0) {
		return 102;
	}
	process_self(&self);
	if (self.pid != 1 || self.space == 0 || self.space == outside.space) {
		return 1;
	}
	return process_alive(&self, &outside) == PROCESS_UNKNOWN &&
			       process_alive(&outside, &self) == PROCESS_UNKNOWN
		       ? 0
		       : 2;
}

static int in_own_proc(void)
{
	return in_namespace(CLONE_NEWPID | CLONE_NEWNS, knows_itself_and_not_the_outside);
}

static void test_container__neither_judges_nor_is_judged(void **state)
{
	assert_int_equal(in_child(in_own_proc), 0);
}

static int in_shifted_time(void)
{
	return in_namespace(CLONE_NEWTIME_FLAG, has_no_space);
}

static void test_time_namespace__process_does_not_know_itself(void **state)
{
	assert_int_equal(in_child(in_shifted_time), 0);
}

static int without_proc(void)
{
	struct process self;
	struct process other;

	/* Any folder without a /proc in it will do. */
	if (chroot("/proc/self/fdinfo") != 0 &&
	    (unshare(CLONE_NEWUSER) != 0 || chroot("/proc/self/fdinfo") != 0)) {
		return 100;
	}
	process_self(&self);
	if (self.space != 0 || self.start != 0 || self.pid != getpid()) {
		return 1;
	}
	/* Who was known before the chroot can still find out who is gone for sure. */
	other = outside;
	other.pid = 1 << 21;
	if (process_alive(&outside, &other) != PROCESS_GONE) {
		return 2;
	}
	other.pid = 1;
	return process_alive(&outside, &other) == PROCESS_UNKNOWN ? 0 : 3;
}

static void test_no_proc__only_missing_pids_are_gone(void **state)
{
	process_self(&outside);
	assert_int_equal(in_child(without_proc), 0);
}

static void test_many_groups__are_read_past(void **state)
{
	gid_t groups[400];
	int status;
	pid_t pid;

	if (geteuid() != 0) {
		skip(); /* only root can have many */
	}
	pid = fork();
	if (pid == 0) {
		struct process self;

		for (unsigned i = 0; i < 400; i++) {
			groups[i] = 1000000000 + i;
		}
		if (setgroups(400, groups) != 0) {
			_exit(100);
		}
		process_self(&self);
		_exit(self.space != 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_errno__is_preserved(void **state)
{
	struct process self;
	struct process other;

	errno = EXDEV;
	process_self(&self);
	assert_int_equal(errno, EXDEV);
	other = self;
	other.pid = 1 << 21;
	assert_int_equal(process_alive(&self, &other), PROCESS_GONE);
	assert_int_equal(errno, EXDEV);
}

static void test_packing__keeps_pid_and_fits(void **state)
{
	struct process process = { .pid = (1 << 22) - 1, .start = UINT64_MAX, .space = UINT32_MAX };

	assert_int_equal(process_pack(&process) >> PROCESS_WORD_BITS, 0);
	assert_int_equal(process_word_pid(process_pack(&process)), process.pid);
}

#define FIELDS_4_TO_19 "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16"

static void test_stat_with_hostile_command__is_parsed_after_last_bracket(void **state)
{
	struct process_stat found;

	assert_true(
		process_stat_parse("7 (a) R 1 (b) S " FIELDS_4_TO_19 " 33 0 4711 9 9\n", &found));
	assert_string_equal(found.command, "a) R 1 (b");
	assert_int_equal(found.state, 'S');
	assert_int_equal(found.n_threads, 33);
	assert_int_equal(found.start, 4711);

	assert_true(
		process_stat_parse("7 (0123456789abcdefghi) Z " FIELDS_4_TO_19 " 1 0 5\n", &found));
	assert_string_equal(found.command, "0123456789abcde");
}

static void test_stat_that_is_none__is_refused(void **state)
{
	static const char *const texts[] = {
		"",
		"7",
		"7 (a",
		"7 a) S",
		")(",
		"7 (a)",
		"7 (a) ",
		"7 (a) S 1 2 3",
		"7 (a) S " FIELDS_4_TO_19 " x 0 4711",
		"7 (a) S " FIELDS_4_TO_19 " 33 0",
		"7 (a) S " FIELDS_4_TO_19 " 33 0 ",
		"7 (a) S " FIELDS_4_TO_19 " 33 0 -1",
	};
	struct process_stat found = { .start = 42 };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_false(process_stat_parse(texts[i], &found));
	}
	assert_int_equal(found.start, 42);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_process__is_known_and_alive),
		cmocka_unit_test(test_child__is_alive_then_zombie_then_gone),
		cmocka_unit_test(test_pid_used_again__earlier_process_is_gone),
		cmocka_unit_test(test_first_thread_ended__process_is_alive),
		cmocka_unit_test(test_nobody_and_process_groups__are_unknown),
		cmocka_unit_test(test_other_pid_namespace__dead_process_is_unknown),
		cmocka_unit_test(test_proc_of_outer_namespace__process_does_not_know_itself),
		cmocka_unit_test(test_container__neither_judges_nor_is_judged),
		cmocka_unit_test(test_time_namespace__process_does_not_know_itself),
		cmocka_unit_test(test_no_proc__only_missing_pids_are_gone),
		cmocka_unit_test(test_many_groups__are_read_past),
		cmocka_unit_test(test_errno__is_preserved),
		cmocka_unit_test(test_packing__keeps_pid_and_fits),
		cmocka_unit_test(test_stat_with_hostile_command__is_parsed_after_last_bracket),
		cmocka_unit_test(test_stat_that_is_none__is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
