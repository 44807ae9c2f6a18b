/*
 * stat_print.h - a snapshot of the statistics for people and for programs.
 *
 * docs/STATISTICS.md says what each number means.  Failures to write stay in
 * the stream's error flag.
 */
#ifndef TOWER_CLI_STAT_PRINT_H
#define TOWER_CLI_STAT_PRINT_H

#include <stdio.h>

#include "core/config.h"
#include "core/stats_snapshot.h"

/* What of it is wanted, and what the statistics do not know. */
struct stat_filter {
	pid_t pid;			     /* 0: every process, and in a table the total */
	const char *layer;		     /* one of stats_layer_names; NULL: all */
	unsigned off;			     /* as slots_off() */
	const struct config *config;	     /* borrowed; NULL: it is not printed */
	const struct stats_snapshot *before; /* borrowed; rates since then; NULL: none */
};

#define STAT_PERCENTILES 4

extern const struct stat_percentile {
	const char *name;
	unsigned permille;
} stat_percentiles[STAT_PERCENTILES];

bool stat_wants_layer(const struct stat_filter *filter, unsigned layer);

void stat_print_table(const struct stats_snapshot *snapshot, const struct stat_filter *filter,
		      FILE *out);

void stat_print_json(const struct stats_snapshot *snapshot, const struct stat_filter *filter,
		     FILE *out);

#endif
