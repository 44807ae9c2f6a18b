/* Is log.h right: the lines, their number, and what it does not do to its host? */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"

#define FIRST_SECOND (INT64_C(1000) * CLOCK_NS_PER_S)

static char folder[] = "/tmp/tower-test-log-XXXXXX";
static char path[64];
static char text[65536]; /* of the log */
static int64_t now = FIRST_SECOND;

static const char *read_log(void)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0) {
		close(fd);
	}
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static size_t count_lines(void)
{
	size_t n = 0;

	for (const char *c = read_log(); *c; c++) {
		n += *c == '\n';
	}
	return n;
}

/* Every test has a log of its own, and a second in which nothing was logged yet. */
static int setup(void **state)
{
	(void)state;
	now += 10 * CLOCK_NS_PER_S;
	clock_fake(now, 1);
	unlink(path);
	return log_open(path, LOG_LEVEL_WARN) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	log_close();
	return 0;
}

static void test_line__names_process_and_level(void **state)
{
	char expected[128];

	(void)state;
	log_line(LOG_LEVEL_ERROR, "redis is %s since %d s", "away", 5);
	snprintf(expected, sizeof(expected), "tower[%d]: error: redis is away since 5 s\n",
		 (int)getpid());
	assert_string_equal(read_log(), expected);
}

static void test_level__decides(void **state)
{
	(void)state;
	assert_true(log_wants(LOG_LEVEL_WARN));
	assert_false(log_wants(LOG_LEVEL_INFO));
	log_line(LOG_LEVEL_INFO, "not wanted");
	assert_int_equal(count_lines(), 0);
	assert_true(log_open(path, LOG_LEVEL_DEBUG));
	log_line(LOG_LEVEL_DEBUG, "wanted");
	assert_int_equal(count_lines(), 1);
}

static void test_file__is_private_appended_and_closed_on_exec(void **state)
{
	struct stat st;

	(void)state;
	log_line(LOG_LEVEL_WARN, "one");
	assert_true(log_open(path, LOG_LEVEL_WARN));
	log_line(LOG_LEVEL_WARN, "two");
	assert_int_equal(count_lines(), 2);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 077, 0);
	for (int fd = STDERR_FILENO + 1; fd < 64; fd++) {
		struct stat here;

		if (fstat(fd, &here) == 0 && here.st_ino == st.st_ino && here.st_dev == st.st_dev) {
			assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		}
	}
}

static void test_open_and_close__leave_no_descriptor(void **state)
{
	int before;
	int after;

	(void)state;
	log_close();
	before = dup(STDIN_FILENO);
	close(before);
	for (int i = 0; i < 10; i++) {
		assert_true(log_open(path, LOG_LEVEL_WARN));
		assert_true(log_open(path, LOG_LEVEL_WARN));
		log_close();
	}
	after = dup(STDIN_FILENO);
	close(after);
	assert_int_equal(after, before);
}

static void test_flood__is_cut_and_reported_later(void **state)
{
	(void)state;
	for (int i = 0; i < LOG_BURST + 7; i++) {
		log_line(LOG_LEVEL_WARN, "line %d", i);
	}
	assert_int_equal(count_lines(), LOG_BURST);
	clock_fake(now + CLOCK_NS_PER_S, 1);
	log_line(LOG_LEVEL_WARN, "after");
	assert_int_equal(count_lines(), LOG_BURST + 2);
	assert_non_null(strstr(text, "warn: 7 lines were left out\n"));
	assert_non_null(strstr(text, "warn: after\n"));
	log_line(LOG_LEVEL_WARN, "after that");
	assert_int_equal(count_lines(), LOG_BURST + 3);
}

static void test_long_text__is_cut_to_one_line(void **state)
{
	char long_text[2000];

	(void)state;
	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	log_line(LOG_LEVEL_WARN, "%s", long_text);
	assert_int_equal(strlen(read_log()), LOG_LINE_MAX);
	assert_int_equal(count_lines(), 1);
}

static void test_control_characters__make_no_second_line(void **state)
{
	(void)state;
	log_line(LOG_LEVEL_WARN, "key \"%s\"", "a\nb\033[2J\177");
	assert_int_equal(count_lines(), 1);
	assert_non_null(strstr(text, "key \"a?b?[2J?\""));
}

static void test_errno__is_preserved(void **state)
{
	(void)state;
	errno = EXDEV;
	log_line(LOG_LEVEL_WARN, "line");
	assert_int_equal(errno, EXDEV);
	log_line(LOG_LEVEL_DEBUG, "line");
	assert_int_equal(errno, EXDEV);
	assert_false(log_open("/nowhere/at/all", LOG_LEVEL_WARN));
	assert_int_equal(errno, EXDEV);
	log_close();
	assert_int_equal(errno, EXDEV);
	log_remember_stderr();
	assert_int_equal(errno, EXDEV);
}

static void test_wrong_targets__are_refused(void **state)
{
	char long_path[8192];
	char link[80];

	(void)state;
	memset(long_path, 'x', sizeof(long_path) - 1);
	long_path[0] = '/';
	long_path[sizeof(long_path) - 1] = '\0';
	snprintf(link, sizeof(link), "%s/link", folder);
	assert_int_equal(symlink(path, link), 0);
	assert_false(log_open("", LOG_LEVEL_WARN));
	assert_false(log_open("relative.log", LOG_LEVEL_WARN));
	assert_false(log_open(folder, LOG_LEVEL_WARN));
	assert_false(log_open(long_path, LOG_LEVEL_WARN));
	assert_false(log_open(link, LOG_LEVEL_WARN));
	unlink(link);
}

/* A syslog of our own, as long as the test lasts. */
static int listen_for_syslog(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/syslog", folder);
	unlink(address.sun_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	log_fake_syslog(address.sun_path);
	return fd;
}

static void end_syslog(int fd)
{
	char name[64];

	log_fake_syslog(NULL);
	snprintf(name, sizeof(name), "%s/syslog", folder);
	unlink(name);
	close(fd);
}

static void test_syslog__gets_one_packet_a_line(void **state)
{
	char packet[1024];
	char expected[128];
	int fd = listen_for_syslog();
	ssize_t n;

	(void)state;
	assert_true(log_open("syslog", LOG_LEVEL_WARN));
	log_line(LOG_LEVEL_ERROR, "a line of %s", "tower's tests");
	n = recv(fd, packet, sizeof(packet) - 1, 0);
	assert_true(n > 0);
	packet[n] = '\0';
	snprintf(expected, sizeof(expected), "<%d>tower[%d]: error: a line of tower's tests",
		 LOG_USER | LOG_ERR, (int)getpid());
	assert_string_equal(packet, expected);
	assert_true(recv(fd, packet, sizeof(packet), 0) < 0);
	assert_int_equal(count_lines(), 0);
	end_syslog(fd);
}

static void test_no_syslog__is_no_signal_no_waiting_and_no_descriptor(void **state)
{
	char line[100];
	int fd = listen_for_syslog();
	int before;
	int after;

	(void)state;
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	assert_true(log_open("syslog", LOG_LEVEL_WARN));
	before = dup(STDIN_FILENO);
	close(before);
	/* Nobody takes them: more than any queue of packets holds. */
	for (int i = 0; i < 2000; i++) {
		clock_fake(now += CLOCK_NS_PER_S, 1);
		log_line(LOG_LEVEL_WARN, "%s", line);
	}
	log_fake_syslog("/nowhere/at/all");
	log_line(LOG_LEVEL_WARN, "%s", line);
	after = dup(STDIN_FILENO);
	close(after);
	end_syslog(fd);
	assert_int_equal(after, before);
}

static void test_syslog_and_the_hosts_own__do_not_meet(void **state)
{
	int fd = listen_for_syslog();
	int ends[2];
	char byte;

	(void)state;
	assert_true(log_open("syslog", LOG_LEVEL_WARN));
	log_line(LOG_LEVEL_WARN, "one");
	/* All is closed, and every number becomes a socket of the host's. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends),
			 0);
	for (int number = ends[1] + 1; number < 64; number++) {
		assert_int_equal(dup3(ends[0], number, O_CLOEXEC), number);
	}
	log_line(LOG_LEVEL_WARN, "two");
	assert_true(recv(ends[1], &byte, 1, 0) < 0);
	for (int number = ends[1] + 1; number < 64; number++) {
		assert_true(fcntl(number, F_GETFD) >= 0);
		close(number);
	}
	close(ends[0]);
	close(ends[1]);
	end_syslog(fd);
}

static void test_file_renamed__next_line_is_in_a_new_one(void **state)
{
	char rotated[80];
	int before = dup(STDIN_FILENO);
	int after;

	(void)state;
	close(before);
	snprintf(rotated, sizeof(rotated), "%s.1", path);
	for (int i = 0; i < 3; i++) {
		log_line(LOG_LEVEL_WARN, "before");
		assert_int_equal(rename(path, rotated), 0);
		log_line(LOG_LEVEL_WARN, "after");
		log_line(LOG_LEVEL_WARN, "after");
		assert_int_equal(count_lines(), 2);
		assert_null(strstr(text, "before"));
		assert_int_equal(unlink(path), 0);
	}
	log_line(LOG_LEVEL_WARN, "removed");
	assert_int_equal(count_lines(), 1);
	after = dup(STDIN_FILENO);
	close(after);
	assert_int_equal(after, before);
	unlink(rotated);
}

/* logrotate's copytruncate. */
static void test_file_truncated__is_written_from_its_beginning(void **state)
{
	(void)state;
	log_line(LOG_LEVEL_WARN, "before");
	assert_int_equal(truncate(path, 0), 0);
	log_line(LOG_LEVEL_WARN, "after");
	assert_int_equal(count_lines(), 1);
	assert_int_equal(strlen(read_log()), strchr(text, '\n') + 1 - text);
}

/* As after privileges were dropped: another's place, or a link, is not followed. */
static void test_renamed_and_not_to_be_had_again__lines_go_on_to_the_old(void **state)
{
	char rotated[80];
	char aim[80];

	(void)state;
	snprintf(rotated, sizeof(rotated), "%s.1", path);
	snprintf(aim, sizeof(aim), "%s/aim", folder);
	log_line(LOG_LEVEL_WARN, "one");
	assert_int_equal(rename(path, rotated), 0);
	assert_int_equal(symlink(aim, path), 0);
	log_line(LOG_LEVEL_WARN, "two");
	assert_int_equal(access(aim, F_OK), -1);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	log_line(LOG_LEVEL_WARN, "three");
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rename(rotated, path), 0);
	log_line(LOG_LEVEL_WARN, "four");
	assert_int_equal(count_lines(), 4);
}

static void log_after_all_was_closed(void)
{
	char name[80];
	struct stat st;

	snprintf(name, sizeof(name), "%s/hosts", folder);
	log_line(LOG_LEVEL_WARN, "one");
	closefrom(0);
	for (int fd = 0; fd < 64; fd++) {
		if (open(name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) != fd) {
			_exit(1);
		}
	}
	log_line(LOG_LEVEL_WARN, "two");
	log_line(LOG_LEVEL_WARN, "three");
	for (int fd = 0; fd < 64; fd++) {
		if (fstat(fd, &st) != 0 || st.st_size != 0) {
			_exit(2);
		}
	}
	unlink(name);
}

/* Runs `act` in a child and returns how it ended. */
static int status_of(void (*act)(void))
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		alarm(10);
		act();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void test_all_closed_and_used_again__file_is_opened_anew(void **state)
{
	(void)state;
	assert_int_equal(status_of(log_after_all_was_closed), 0);
	assert_int_equal(count_lines(), 3);
}

static void log_to_stderr(void)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

	dup2(fd, STDERR_FILENO);
	log_close();
	log_remember_stderr();
	log_line(LOG_LEVEL_WARN, "to stderr");
}

static void test_stderr__gets_the_line(void **state)
{
	(void)state;
	assert_int_equal(status_of(log_to_stderr), 0);
	assert_int_equal(count_lines(), 1);
}

static void log_without_stderr(void)
{
	close(STDERR_FILENO);
	log_close();
	log_remember_stderr();
	/* The host's own file becomes descriptor 2. */
	if (open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) != STDERR_FILENO) {
		_exit(1);
	}
	log_line(LOG_LEVEL_WARN, "must not be in the host's file");
}

static void test_stderr_closed_at_load__is_never_written(void **state)
{
	(void)state;
	assert_int_equal(status_of(log_without_stderr), 0);
	assert_int_equal(count_lines(), 0);
}

static void log_after_stderr_was_exchanged(void)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	dup2(null, STDERR_FILENO);
	log_close();
	log_remember_stderr();
	dup2(fd, STDERR_FILENO);
	log_line(LOG_LEVEL_WARN, "must not be in the host's file");
}

static void test_stderr_become_another_file__is_never_written(void **state)
{
	(void)state;
	assert_int_equal(status_of(log_after_stderr_was_exchanged), 0);
	assert_int_equal(count_lines(), 0);
}

static void log_to_a_file_without_standard_streams(void)
{
	close(STDIN_FILENO);
	close(STDOUT_FILENO);
	close(STDERR_FILENO);
	if (!log_open(path, LOG_LEVEL_WARN)) {
		_exit(1);
	}
	/* Were the file one of the standard streams, the host would write into it. */
	if (write(STDIN_FILENO, "x", 1) >= 0 || write(STDOUT_FILENO, "x", 1) >= 0 ||
	    write(STDERR_FILENO, "x", 1) >= 0) {
		_exit(2);
	}
	log_line(LOG_LEVEL_WARN, "line");
}

static void test_standard_streams_closed__log_does_not_become_one(void **state)
{
	(void)state;
	assert_int_equal(status_of(log_to_a_file_without_standard_streams), 0);
	assert_int_equal(count_lines(), 1);
}

static void log_into_a_pipe(bool full)
{
	int ends[2];
	char block[4096] = { 0 };

	if (pipe(ends) != 0) {
		_exit(1);
	}
	dup2(ends[1], STDERR_FILENO);
	if (full) {
		fcntl(ends[1], F_SETFL, O_NONBLOCK);
		while (write(ends[1], block, sizeof(block)) > 0) {
		}
		fcntl(ends[1], F_SETFL, 0);
	} else {
		close(ends[0]);
	}
	log_close();
	log_remember_stderr();
	log_line(LOG_LEVEL_WARN, "line");
}

static void log_into_a_broken_pipe(void)
{
	log_into_a_pipe(false);
}

static void log_into_a_full_pipe(void)
{
	log_into_a_pipe(true);
}

static void test_nobody_reads_stderr__no_signal_and_no_waiting(void **state)
{
	(void)state;
	assert_int_equal(status_of(log_into_a_broken_pipe), 0);
	assert_int_equal(status_of(log_into_a_full_pipe), 0);
}

static atomic_bool stop;

static void *log_all_the_time(void *unused)
{
	while (!atomic_load(&stop)) {
		log_line(LOG_LEVEL_WARN, "line");
	}
	return unused;
}

static void log_once(void)
{
	log_line(LOG_LEVEL_WARN, "child");
}

static void test_fork_while_others_log__child_can_log(void **state)
{
	pthread_t other;

	(void)state;
	atomic_store(&stop, false);
	assert_int_equal(pthread_create(&other, NULL, log_all_the_time, NULL), 0);
	for (int i = 0; i < 200; i++) {
		assert_int_equal(status_of(log_once), 0);
	}
	atomic_store(&stop, true);
	pthread_join(other, NULL);
}

static void test_reopened_while_others_log__every_line_is_whole(void **state)
{
	pthread_t other;

	(void)state;
	atomic_store(&stop, false);
	assert_int_equal(pthread_create(&other, NULL, log_all_the_time, NULL), 0);
	for (int i = 0; i < 200; i++) {
		assert_true(log_open(path, LOG_LEVEL_WARN));
	}
	atomic_store(&stop, true);
	pthread_join(other, NULL);
	for (const char *line = read_log(); *line; line = strchr(line, '\n') + 1) {
		assert_memory_equal(line, "tower[", 6);
		assert_non_null(strchr(line, '\n'));
	}
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_line__names_process_and_level),
		TEST(test_level__decides),
		TEST(test_file__is_private_appended_and_closed_on_exec),
		TEST(test_open_and_close__leave_no_descriptor),
		TEST(test_flood__is_cut_and_reported_later),
		TEST(test_long_text__is_cut_to_one_line),
		TEST(test_control_characters__make_no_second_line),
		TEST(test_errno__is_preserved),
		TEST(test_wrong_targets__are_refused),
		TEST(test_syslog__gets_one_packet_a_line),
		TEST(test_no_syslog__is_no_signal_no_waiting_and_no_descriptor),
		TEST(test_syslog_and_the_hosts_own__do_not_meet),
		TEST(test_file_renamed__next_line_is_in_a_new_one),
		TEST(test_file_truncated__is_written_from_its_beginning),
		TEST(test_renamed_and_not_to_be_had_again__lines_go_on_to_the_old),
		TEST(test_all_closed_and_used_again__file_is_opened_anew),
		TEST(test_stderr__gets_the_line),
		TEST(test_stderr_closed_at_load__is_never_written),
		TEST(test_stderr_become_another_file__is_never_written),
		TEST(test_standard_streams_closed__log_does_not_become_one),
		TEST(test_nobody_reads_stderr__no_signal_and_no_waiting),
		TEST(test_fork_while_others_log__child_can_log),
		TEST(test_reopened_while_others_log__every_line_is_whole),
	};
	int failed;

	if (!mkdtemp(folder)) {
		return 1;
	}
	snprintf(path, sizeof(path), "%s/log", folder);
	log_remember_stderr();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	rmdir(folder);
	return failed;
}
