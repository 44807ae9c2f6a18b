/*
 * metrics_print.h - a snapshot of the statistics as Prometheus reads it (text
 * exposition format, version 0.0.4).
 *
 * docs/STATISTICS.md lists the names.  How many lines there are does not depend on
 * what runs: processes are a number, and not labels.
 */
#ifndef TOWER_CLI_METRICS_PRINT_H
#define TOWER_CLI_METRICS_PRINT_H

#include <stdio.h>

#include "core/stats_snapshot.h"

/* `off` as slots_off().  Failures to write stay in the stream's error flag. */
void metrics_print(const struct stats_snapshot *snapshot, unsigned off, FILE *out);

#endif
