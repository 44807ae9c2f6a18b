/*
 * explain_print.h - what the tower did for one run of a program, in words.
 *
 * Pure: of counts alone.  What counts cannot tell is said to be a bound, or left out.
 */
#ifndef TOWER_CLI_EXPLAIN_PRINT_H
#define TOWER_CLI_EXPLAIN_PRINT_H

#include <stdio.h>

#include "core/config.h"
#include "core/stats_snapshot.h"

struct explain_run {
	char *const *command; /* its words, NULL behind the last */
	int status;	      /* of wait() */
	double seconds;
	unsigned off; /* as slots_off(), when it ended */
};

/* The snapshot holds that run alone.  Failures to write stay in the stream's error flag. */
void explain_print(const struct stats_snapshot *snapshot, const struct config *config,
		   const struct explain_run *run, FILE *out);

#endif
