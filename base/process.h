/*
 * process.h - who a process is, and whether it still lives.
 *
 * What processes leave in shared memory must be cleaned up after they died,
 * and must never be touched while they live.  A pid alone does not tell: it is
 * used again, and means another process in another pid namespace.  So a
 * process is its pid, its start time and its pid namespace, and a verdict that
 * cannot be had is PROCESS_UNKNOWN, which callers treat as alive.
 *
 * Any thread may call anything here.  Nothing allocates; errno is preserved.
 */
#ifndef TOWER_BASE_PROCESS_H
#define TOWER_BASE_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PROCESS_COMMAND_MAX 16 /* bytes of a command's name, NUL included */
#define PROCESS_WORD_BITS 62

struct process {
	pid_t pid;	/* as its own pid namespace numbers it */
	uint64_t start; /* clock ticks from boot to its start */
	/*
	 * Inode of its pid namespace, or 0 where a process cannot say who it
	 * is: no /proc, one of another pid namespace, or start times shifted
	 * by a time namespace.  Such a process judges nobody and is never
	 * taken for dead.
	 */
	uint64_t space;
	char command[PROCESS_COMMAND_MAX]; /* as ps shows it; may be empty */
};

enum process_life {
	PROCESS_ALIVE,
	PROCESS_GONE,	 /* it will never again write to anything; holds for zombies too */
	PROCESS_UNKNOWN, /* of another pid namespace, or /proc does not say */
};

/*
 * The calling process: a handful of system calls, so ask once and again in
 * the child of a fork.  Never fails: see `space`.
 */
void process_self(struct process *ret);

/* Whether `other` still lives, as far as `self` (the caller) can tell. */
enum process_life process_alive(const struct process *self, const struct process *other);

/*
 * A process in PROCESS_WORD_BITS bits, so that one compare-and-swap can write
 * or replace it; never 0.  It keeps the pid, the namespace and the last 8 bits
 * of the start time: a pid that is used again is taken for the process before
 * it once in 256 times, until that one ends too, and never the other way round.
 */
uint64_t process_pack(const struct process *process);

enum process_life process_word_alive(const struct process *self, uint64_t word);

pid_t process_word_pid(uint64_t word);

/* What /proc/PID/stat says. */
struct process_stat {
	char command[PROCESS_COMMAND_MAX];
	char state;
	uint64_t n_threads;
	uint64_t start;
};

/* Parses that text, in which the command may hold blanks and brackets; false if it is none. */
bool process_stat_parse(const char *text, struct process_stat *ret);

#endif
