/* Descriptors: closed standard streams, a full table, all closed behind our back. */
#include "tests/guest/host.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static unsigned fill_table(int *ret_last)
{
	unsigned n = 0;
	int fd;

	while ((fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0) {
		*ret_last = fd;
		n++;
	}
	must(errno == EMFILE, "a full table");
	return n;
}

static void limit_descriptors(void)
{
	struct rlimit limit = { 64, 64 };

	must(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
}

static void empty_table(void)
{
	for (int fd = 3; fd < 64; fd++) {
		close(fd);
	}
}

/* The first call of the process has no descriptor left. */
static void run_full_first(void)
{
	memcached_st *handle;
	int last = 0;

	limit_descriptors();
	fill_table(&last);
	handle = host_handle();
	host_round(handle, "full");
	memcached_free(handle);
	empty_table();
	host_session("with-room");
}

static void run_full_later(void)
{
	memcached_st *handle;
	memcached_st *late;
	int last = 0;

	limit_descriptors();
	handle = host_handle();
	host_round(handle, "before");
	fill_table(&last);
	host_round(handle, "full");
	late = host_handle();
	host_round(late, "late");
	close(last);
	memcached_quit(late);
	host_round(late, "one-left");
	memcached_free(late);
	memcached_free(handle);
	host_child_session();
}

/* The program was started without standard streams, or closes them, and opens files of its own. */
static void use_low_descriptors(const char *name)
{
	char path[PATH_MAX];
	struct stat info;
	int fds[3];

	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s-%d", host_argument, name, i);
		fds[i] = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		must(fds[i] >= 0, path);
		say("low: %d", fds[i] < 3);
		must(write(fds[i], "data\n", 5) == 5, "write");
	}
	host_session(name);
	host_child_session();
	for (int i = 0; i < 3; i++) {
		must(fstat(fds[i], &info) == 0, "fstat");
		say("file %d: %ld bytes", i, (long)info.st_size);
		close(fds[i]);
	}
}

static void run_no_streams(void)
{
	use_low_descriptors("closed");
}

static void run_close_streams(void)
{
	host_session("first");
	for (int fd = 0; fd < 3; fd++) {
		close(fd);
	}
	use_low_descriptors("closed");
}

/* As a daemon does after its first call; the numbers then belong to files of the program. */
static void close_all_and_reuse(bool with_streams)
{
	memcached_st *handle = host_handle();
	char path[PATH_MAX];
	struct stat info;
	long n_bytes = 0;

	host_round(handle, "before");
	say("closed");
	closefrom(with_streams ? 0 : 3);
	for (int i = 0; i < 40; i++) {
		int fd;

		snprintf(path, sizeof(path), "%s/reused-%d", host_argument, i);
		fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
		must(fd >= 0 && write(fd, "data\n", 5) == 5, path);
	}
	/* Not through the handle: its connection is a file now, for the real call, too. */
	host_session("after");
	if (getenv("GUEST_REDIS")) {
		must(kill(atoi(getenv("GUEST_REDIS")), SIGKILL) == 0, "kill");
		usleep(50000);
	}
	host_session("redis-is-gone");
	for (int i = 0; i < 40; i++) {
		snprintf(path, sizeof(path), "%s/reused-%d", host_argument, i);
		must(stat(path, &info) == 0, path);
		n_bytes += info.st_size;
	}
	say("files: %ld bytes", n_bytes);
}

static void run_closefrom(void)
{
	close_all_and_reuse(false);
}

static void run_closefrom_all(void)
{
	close_all_and_reuse(true);
}

/* Whatever tower opens is closed by an exec. */
static void run_cloexec(void)
{
	host_session("before");
	for (int fd = 0; fd < 1024; fd++) {
		int flags = fcntl(fd, F_GETFD);

		if (flags >= 0 && fd > 2 && !(flags & FD_CLOEXEC)) {
			say("descriptor %d stays open", fd);
		}
	}
}

/* A place of one's own in the world. */
static void run_folder_and_mask(void)
{
	char folder[PATH_MAX];
	mode_t mask;

	umask(0777);
	must(chdir("/proc") == 0, "chdir");
	host_session("elsewhere");
	must(getcwd(folder, sizeof(folder)) != NULL, "getcwd");
	mask = umask(0);
	say("still in %s, umask %o", folder, (unsigned)mask);
}

/* The folder that the program is in is gone. */
static void run_no_folder(void)
{
	char folder[PATH_MAX];

	snprintf(folder, sizeof(folder), "%s/gone", host_argument);
	must(mkdir(folder, 0700) == 0 && chdir(folder) == 0 && rmdir(folder) == 0, "rmdir");
	host_session("nowhere");
}

const struct hazard hazards_descriptors[] = {
	{ "full-table-first", run_full_first },
	{ "full-table-later", run_full_later },
	{ "no-streams", run_no_streams },
	{ "close-streams", run_close_streams },
	{ "closefrom", run_closefrom },
	{ "closefrom-all", run_closefrom_all },
	{ "cloexec", run_cloexec },
	{ "folder-and-mask", run_folder_and_mask },
	{ "no-folder", run_no_folder },
	{ "", NULL },
};
