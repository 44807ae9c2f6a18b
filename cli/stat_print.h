/*
 * stat_print.h - a snapshot of the statistics for people and for programs.
 *
 * docs/STATISTICS.md says what each number means.  Failures to write stay in
 * the stream's error flag.
 */
#ifndef TOWER_CLI_STAT_PRINT_H
#define TOWER_CLI_STAT_PRINT_H

#include <stdio.h>

#include "core/stats_snapshot.h"

/* What of it is wanted. */
struct stat_filter {
	pid_t pid;	   /* 0: every process, and in a table the total */
	const char *layer; /* one of stats_layer_names; NULL: all */
};

/* The first process of this pid, or NULL. */
const struct stats_process *stat_find(const struct stats_snapshot *snapshot, pid_t pid);

void stat_print_table(const struct stats_snapshot *snapshot, const struct stat_filter *filter,
		      FILE *out);

void stat_print_json(const struct stats_snapshot *snapshot, const struct stat_filter *filter,
		     FILE *out);

#endif
