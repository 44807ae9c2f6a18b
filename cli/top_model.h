/*
 * top_model.h - what `tower top` shows, without a screen: from snapshots to rates, shares,
 * histories and sorted rows.
 *
 * Each look takes a snapshot; what is shown is of the time since the one before, but for
 * latencies, of which there are few, and which are of the last TOP_WINDOW looks.
 *
 * One thread; no terminal, no clock: the snapshots say when they were taken.
 */
#ifndef TOWER_CLI_TOP_MODEL_H
#define TOWER_CLI_TOP_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "core/stats_snapshot.h"

#define TOP_HISTORY 120
#define TOP_WINDOW 10

/* Who answered a read: a layer, by its number in stats.h, or nobody. */
enum top_answer { TOP_NOBODY = STATS_LAYERS_MAX, TOP_ANSWERS };

enum top_sort { TOP_BY_READS, TOP_BY_MEMORY, TOP_BY_BYTES, TOP_BY_PID, TOP_BY_COMMAND, TOP_SORTS };

/* Reads of some time, by who answered. */
struct top_reads {
	double per_s;		    /* all of them */
	double shares[TOP_ANSWERS]; /* of 1; 0 where there were none */
};

struct top_process {
	pid_t pid;
	char command[STATS_COMMAND_MAX]; /* printable */
	struct top_reads reads;
	uint64_t items, bytes; /* in memory */
};

struct top_latency {
	uint64_t n; /* so many were timed; 0: the others mean nothing */
	uint64_t p50_ns, p99_ns;
};

struct top {
	/* Set by the user. */
	enum top_sort sort;
	bool reversed;
	unsigned scrolled; /* rows above the first that is shown */

	/* Set by top_take(). */
	bool has_rates; /* false after the first look */
	struct top_reads reads;
	struct top_latency latencies[STATS_LAYERS_MAX];
	double fills_per_s[STATS_LAYERS_MAX];
	double errors_per_s[STATS_LAYERS_MAX];
	double evictions_per_s, invalidated_per_s, expired_per_s, rejected_per_s; /* memory's */
	double passed_per_s;
	double saved_per_s;	       /* round trips */
	struct top_process *processes; /* sorted; owned */
	unsigned n_processes;
	double history[TOP_ANSWERS][TOP_HISTORY]; /* hits per second, oldest first */
	unsigned n_history;

	struct stats_snapshot *last;		/* owned; NULL: no look yet */
	struct stats_values window[TOP_WINDOW]; /* totals of looks before, oldest first */
	unsigned n_window;
};

/* Zeroed memory is one that has not looked yet. */
struct top *top_new(void);

void top_free(struct top **top);

/* Looks; the snapshot is taken over.  False where memory is out: nothing has changed. */
bool top_take(struct top *top, struct stats_snapshot *snapshot);

/* Sorts anew by sort and reversed: most first, but pids and commands from the least. */
void top_sort(struct top *top);

/* `rows` of the processes fit on the screen: scrolls no further than to the last. */
void top_scroll(struct top *top, int by, unsigned rows);

#endif
