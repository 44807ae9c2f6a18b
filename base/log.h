/*
 * log.h - tower's own words, in somebody else's process.
 *
 * One line per change of state, never per operation.  A line is
 * "tower[PID]: LEVEL: text".  Lines are written by one write(2), so that
 * lines of several processes do not mix.  Never touches stdout, errno, the
 * locale, or a descriptor that is not the file any more that we opened, or that
 * the host had as its stderr when the library was loaded.
 *
 * A line that would have to wait (a full pipe), that nobody reads, or that would
 * make a file longer than the host may is lost.
 * Any thread may call anything here.  Lines beyond LOG_BURST in one second
 * are counted and reported by the first line of a later second.
 */
#ifndef TOWER_BASE_LOG_H
#define TOWER_BASE_LOG_H

#include <stdbool.h>

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARN,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};

#define LOG_BURST 20	 /* lines a second */
#define LOG_LINE_MAX 512 /* bytes of a line; longer ones are cut */

/*
 * Chooses where lines go: "stderr", "syslog" or an absolute path, opened for
 * append with O_CLOEXEC and O_NOFOLLOW.  `target` is copied.  False where the
 * path is too long or cannot be opened; stderr then stays in use.
 *
 * A file may be renamed or removed at any time, by logrotate for instance: the next
 * line opens the path again (made with mode 0600 where it is not there).  Where that
 * fails, as after privileges were dropped, lines go on to the file that was open.
 * Syslog is a datagram to /dev/log with facility user; libc's own connection to it is
 * the host's, and not touched.
 * Before the first call: stderr, LOG_LEVEL_WARN.
 */
bool log_open(const char *target, enum log_level level);

/* Closes what log_open() opened; stderr and LOG_LEVEL_WARN again. */
void log_close(void);

/*
 * Remembers which file stderr is, if it is open: lines go there only while it
 * is still the same.  The library's constructor calls it, before any other
 * module registers with base/fork.h: the log's lock is the last of all.
 */
void log_remember_stderr(void);

/* For tests: where syslog listens instead; NULL: /dev/log again. */
void log_fake_syslog(const char *socket_path);

bool log_wants(enum log_level level);

__attribute__((format(printf, 2, 3))) void log_line(enum log_level level, const char *format, ...);

#endif
