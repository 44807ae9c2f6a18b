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
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fork.h"
#include "base/lock.h"

enum target { TARGET_STDERR, TARGET_SYSLOG, TARGET_FILE };

/* guards: everything below but the level */
static struct lock lock = LOCK_INIT(LOCK_RANK_LOG);

/*
 * A descriptor and the file that it was.  Daemons close all descriptors, and get
 * their numbers again for something else, a data file even: lines go there only
 * while it is still the same.
 */
struct output {
	int fd; /* -1: none */
	bool known;
	dev_t device;
	ino_t inode;
};

static enum target target;
static struct output file = { .fd = -1 };
static char path[PATH_MAX]; /* of the file */
static struct output standard_error = { .fd = STDERR_FILENO };
static char syslog_path[sizeof(((struct sockaddr_un *)NULL)->sun_path)] = _PATH_LOG;

static int64_t second; /* that n_lines counts */
static unsigned n_lines;
static unsigned n_dropped;

/* Relaxed: a line more or less while the level changes does not matter. */
static _Atomic int wanted = LOG_LEVEL_WARN;

static const char *const level_names[] = { "error", "warn", "info", "debug" };
static const int syslog_levels[] = { LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

static void before_fork(void)
{
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

static void remember(struct output *output)
{
	struct stat st;

	output->known = true;
	if (output->fd < 0 || fstat(output->fd, &st) != 0) {
		output->fd = -1;
		return;
	}
	output->device = st.st_dev;
	output->inode = st.st_ino;
}

static bool is_same(const struct output *output)
{
	struct stat st;

	return output->fd >= 0 && fstat(output->fd, &st) == 0 && st.st_dev == output->device &&
	       st.st_ino == output->inode;
}

/*
 * Writes without waiting and without a signal: whoever should read the host's
 * stderr may be stopped or gone (SIGPIPE), the file may be as long as the host
 * may make one (SIGXFSZ), and neither is the host's fault.
 */
static void write_quietly(const struct output *output, const char *bytes, size_t n)
{
	static const struct timespec no_time;
	struct pollfd poll_fd = { .fd = output->fd, .events = POLLOUT };
	sigset_t raised, before, pending;

	if (!is_same(output) || poll(&poll_fd, 1, 0) != 1 || !(poll_fd.revents & POLLOUT)) {
		return;
	}
	sigemptyset(&raised);
	sigaddset(&raised, SIGPIPE);
	sigaddset(&raised, SIGXFSZ);
	if (pthread_sigmask(SIG_BLOCK, &raised, &before) != 0) {
		return;
	}
	if (sigpending(&pending) != 0) {
		sigemptyset(&pending);
	}
	if (write(output->fd, bytes, n) < 0 && (errno == EPIPE || errno == EFBIG)) {
		int number = errno == EPIPE ? SIGPIPE : SIGXFSZ;

		/* One that the host has waiting stays: two of a kind are one. */
		sigemptyset(&raised);
		sigaddset(&raised, number);
		if (!sigismember(&pending, number)) {
			sigtimedwait(&raised, NULL, &no_time);
		}
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Whether the path still leads to the file: whoever rotates logs renames it. */
static bool is_named(const struct output *output, const char *name)
{
	struct stat st;

	return lstat(name, &st) == 0 && st.st_dev == output->device && st.st_ino == output->inode;
}

static void close_file_locked(void)
{
	if (is_same(&file)) {
		close(file.fd);
	}
	file.fd = -1;
}

static void open_file_locked(void)
{
	/* O_NONBLOCK is for a FIFO or a terminal: we never wait for a reader. */
	int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK;
	int fd = open(path, flags, 0600);

	if (fd >= 0 && fd <= STDERR_FILENO) {
		/* The host has closed a standard stream: our file must not become it. */
		int low = fd;

		fd = fcntl(low, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
		close(low);
	}
	if (fd < 0) {
		/* Where it may not be had again (other user, other root) the old one must do. */
		return;
	}
	close_file_locked();
	file.fd = fd;
	remember(&file);
}

/*
 * Not syslog(3): its descriptor is libc's and the host's in common, it is taken for good
 * when the host has closed it and uses the number for something else, and closed then.
 * Ours lives for one line.  Whoever receives it knows the time.
 */
static void send_to_syslog(enum log_level level, const char *line, size_t n)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	char packet[LOG_LINE_MAX + 16];
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int n_packet;

	if (fd < 0) {
		return;
	}
	memcpy(to.sun_path, syslog_path, sizeof(to.sun_path));
	n_packet = snprintf(packet, sizeof(packet), "<%d>%.*s", LOG_USER | syslog_levels[level],
			    (int)n, line);
	sendto(fd, packet, (size_t)n_packet, MSG_NOSIGNAL, (struct sockaddr *)&to, sizeof(to));
	close(fd);
}

/* Sends "tower[PID]: LEVEL: text\n", which has room for a NUL behind it. */
static void send_locked(enum log_level level, char *line, size_t n)
{
	if (target == TARGET_SYSLOG) {
		send_to_syslog(level, line, n - 1);
		return;
	}
	if (target == TARGET_FILE) {
		/* The host has closed it, or somebody has renamed it. */
		if (!is_same(&file) || !is_named(&file, path)) {
			open_file_locked();
		}
		write_quietly(&file, line, n);
		return;
	}
	if (!standard_error.known) {
		remember(&standard_error);
	}
	write_quietly(&standard_error, line, n);
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
	/* write(2) and sendto(2) are places where a thread may be cancelled. */
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

static bool open_target_locked(const char *new_target)
{
	close_file_locked();
	target = TARGET_STDERR;
	if (strcmp(new_target, "stderr") == 0) {
		return true;
	}
	if (strcmp(new_target, "syslog") == 0) {
		target = TARGET_SYSLOG;
		return true;
	}
	if (new_target[0] != '/' || strlen(new_target) >= sizeof(path)) {
		return false;
	}
	memcpy(path, new_target, strlen(new_target) + 1);
	open_file_locked();
	if (file.fd < 0) {
		return false;
	}
	target = TARGET_FILE;
	return true;
}

bool log_open(const char *new_target, enum log_level level)
{
	int saved_errno = errno;
	bool good;

	fork_register(&fork_handler);
	atomic_store_explicit(&wanted, (int)level, memory_order_relaxed);
	lock_take(&lock);
	good = open_target_locked(new_target);
	lock_release(&lock);
	errno = saved_errno;
	return good;
}

void log_close(void)
{
	int saved_errno = errno;

	atomic_store_explicit(&wanted, LOG_LEVEL_WARN, memory_order_relaxed);
	lock_take(&lock);
	close_file_locked();
	target = TARGET_STDERR;
	lock_release(&lock);
	errno = saved_errno;
}

void log_remember_stderr(void)
{
	int saved_errno = errno;

	fork_register(&fork_handler);
	lock_take(&lock);
	standard_error.fd = STDERR_FILENO;
	remember(&standard_error);
	lock_release(&lock);
	errno = saved_errno;
}

bool log_wants(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&wanted, memory_order_relaxed);
}

void log_fake_syslog(const char *socket_path)
{
	int saved_errno = errno;

	lock_take(&lock);
	snprintf(syslog_path, sizeof(syslog_path), "%s", socket_path ? socket_path : _PATH_LOG);
	lock_release(&lock);
	errno = saved_errno;
}
