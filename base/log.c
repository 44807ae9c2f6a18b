#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fork.h"
#include "base/lock.h"

enum target { TARGET_STDERR, TARGET_SYSLOG, TARGET_FILE };

/* guards: everything below but the level */
static struct lock lock = LOCK_INIT(LOCK_RANK_LOG);

static enum target target;
static int file = -1;

/*
 * Which file the host had as its stderr.  Daemons close descriptor 2 and get
 * it again for something else, a data file even: lines go there only while it
 * is still the same.
 */
static bool stderr_known;
static bool stderr_open;
static dev_t stderr_device;
static ino_t stderr_inode;

static int64_t second; /* that n_lines counts */
static unsigned n_lines;
static unsigned n_dropped;

/* Relaxed: a line more or less while the level changes does not matter. */
static _Atomic int wanted = LOG_LEVEL_WARN;

static const char *const level_names[] = { "error", "warn", "info", "debug" };
static const int syslog_levels[] = { LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

static void before_fork(void)
{
	/* Not only for our own state: a fork in the middle of syslog(3)
	 * would leave libc's lock taken in the child. */
	lock_take(&lock);
}

static void parent_after_fork(void)
{
	lock_release(&lock);
}

static void child_after_fork(void)
{
	lock_reset(&lock);
}

static const struct fork_handler fork_handler = {
	.prepare = before_fork,
	.parent = parent_after_fork,
	.child = child_after_fork,
};

static void remember_stderr_locked(void)
{
	struct stat st;

	stderr_known = true;
	stderr_open = fstat(STDERR_FILENO, &st) == 0;
	if (stderr_open) {
		stderr_device = st.st_dev;
		stderr_inode = st.st_ino;
	}
}

static bool stderr_usable_locked(void)
{
	struct stat st;

	if (!stderr_known) {
		remember_stderr_locked();
	}
	return stderr_open && fstat(STDERR_FILENO, &st) == 0 && st.st_dev == stderr_device &&
	       st.st_ino == stderr_inode;
}

/*
 * Writes without waiting and without SIGPIPE: whoever should read the host's
 * stderr may be stopped or gone, and neither is the host's fault.
 */
static void write_quietly(int fd, const char *bytes, size_t n)
{
	static const struct timespec no_time;
	struct pollfd poll_fd = { .fd = fd, .events = POLLOUT };
	sigset_t pipe_only, before, pending;
	bool was_pending;

	if (poll(&poll_fd, 1, 0) != 1 || !(poll_fd.revents & POLLOUT)) {
		return;
	}
	sigemptyset(&pipe_only);
	sigaddset(&pipe_only, SIGPIPE);
	if (pthread_sigmask(SIG_BLOCK, &pipe_only, &before) != 0) {
		return;
	}
	was_pending = sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;
	if (write(fd, bytes, n) < 0 && errno == EPIPE && !was_pending) {
		sigtimedwait(&pipe_only, NULL, &no_time);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Sends "tower[PID]: LEVEL: text\n", which has room for a NUL behind it. */
static void send_locked(enum log_level level, char *line, size_t n)
{
	if (target == TARGET_SYSLOG) {
		line[n - 1] = '\0';
		syslog(LOG_USER | syslog_levels[level], "%s", line);
	} else if (target == TARGET_FILE) {
		write_quietly(file, line, n);
	} else if (stderr_usable_locked()) {
		write_quietly(STDERR_FILENO, line, n);
	}
}

__attribute__((format(printf, 2, 0))) static void format_locked(enum log_level level,
								const char *format, va_list args)
{
	char line[LOG_LINE_MAX + 1];
	int head =
		snprintf(line, sizeof(line), "tower[%d]: %s: ", (int)getpid(), level_names[level]);
	int text = vsnprintf(line + head, sizeof(line) - (size_t)head, format, args);
	size_t n;

	if (text < 0) {
		return;
	}
	n = (size_t)head + (size_t)text;
	if (n > LOG_LINE_MAX - 1) {
		n = LOG_LINE_MAX - 1;
	}
	/* Keys and server names come from outside: no escapes, no second line. */
	for (size_t i = (size_t)head; i < n; i++) {
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f) {
			line[i] = '?';
		}
	}
	line[n++] = '\n';
	send_locked(level, line, n);
}

__attribute__((format(printf, 2, 3))) static void report_locked(enum log_level level,
								const char *format, ...)
{
	va_list args;

	va_start(args, format);
	format_locked(level, format, args);
	va_end(args);
}

/* Whether this second has room for another line; reports what earlier ones had not. */
static bool admit_locked(void)
{
	int64_t now = clock_now_ns() / CLOCK_NS_PER_S;

	if (now != second) {
		second = now;
		n_lines = 0;
		if (n_dropped > 0) {
			report_locked(LOG_LEVEL_WARN, "%u lines were left out", n_dropped);
			n_dropped = 0;
		}
	}
	if (n_lines == LOG_BURST) {
		n_dropped++;
		return false;
	}
	n_lines++;
	return true;
}

void log_line(enum log_level level, const char *format, ...)
{
	int saved_errno = errno;
	int cancel_state;
	va_list args;

	if (!log_wants(level) || !fork_register(&fork_handler)) {
		errno = saved_errno;
		return;
	}
	/* write(2) and syslog(3) are places where a thread may be cancelled. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	lock_take(&lock);
	if (admit_locked()) {
		va_start(args, format);
		format_locked(level, format, args);
		va_end(args);
	}
	lock_release(&lock);
	pthread_setcancelstate(cancel_state, NULL);
	errno = saved_errno;
}

/* A descriptor of the file, or -1. */
static int open_file(const char *path)
{
	/* O_NONBLOCK is for a FIFO or a terminal: we never wait for a reader. */
	int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK;
	int fd, high_fd;

	if (path[0] != '/' || strlen(path) >= PATH_MAX) {
		return -1;
	}
	fd = open(path, flags, 0600);
	if (fd < 0 || fd > STDERR_FILENO) {
		return fd;
	}
	/* The host has closed a standard stream: our file must not become it. */
	high_fd = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	close(fd);
	return high_fd;
}

static void change_target(enum target new_target, int new_file)
{
	int old_file;

	lock_take(&lock);
	old_file = file;
	target = new_target;
	file = new_file;
	lock_release(&lock);
	if (old_file >= 0) {
		close(old_file);
	}
}

bool log_open(const char *new_target, enum log_level level)
{
	int saved_errno = errno;
	enum target kind;
	int fd = -1;
	bool good = true;

	fork_register(&fork_handler);
	if (strcmp(new_target, "stderr") == 0) {
		kind = TARGET_STDERR;
	} else if (strcmp(new_target, "syslog") == 0) {
		kind = TARGET_SYSLOG;
	} else {
		fd = open_file(new_target);
		good = fd >= 0;
		kind = good ? TARGET_FILE : TARGET_STDERR;
	}
	atomic_store_explicit(&wanted, (int)level, memory_order_relaxed);
	change_target(kind, fd);
	errno = saved_errno;
	return good;
}

void log_close(void)
{
	int saved_errno = errno;

	atomic_store_explicit(&wanted, LOG_LEVEL_WARN, memory_order_relaxed);
	change_target(TARGET_STDERR, -1);
	errno = saved_errno;
}

void log_remember_stderr(void)
{
	int saved_errno = errno;

	fork_register(&fork_handler);
	lock_take(&lock);
	remember_stderr_locked();
	lock_release(&lock);
	errno = saved_errno;
}

bool log_wants(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&wanted, memory_order_relaxed);
}
