/*
 * child.h - processes that a measurement starts: servers and workers.
 *
 * They die with the thread that started them, however that ends, and are ended by their
 * process id, never by name.  One thread.
 */
#ifndef TOWER_MEASURE_CHILD_H
#define TOWER_MEASURE_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

struct child_options {
	const char *const *words; /* the command, NULL at its end; found in PATH */
	char *const *environment; /* NULL at its end */
	const char *log; /* file for stdout and stderr; NULL: stderr is ours, stdout nobody's */
	int fd;		 /* becomes descriptor 3, where it is not negative */
};

/* The process, or 0: errno says why. */
pid_t child_start(const struct child_options *options);

/* Whether it ended; then *pid is 0 and *ret_status what waitpid() says. */
bool child_ended(pid_t *pid, int *ret_status);

/* Ends it at once and waits for that; nothing where *pid is 0. */
void child_end(pid_t *pid);

#endif
