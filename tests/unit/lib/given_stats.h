/*
 * given_stats.h - a file of statistics in a folder of its own, for unit tests.
 *
 * given_stats_set_up() and given_stats_tear_down() belong around each test; the folder must
 * hold nothing else at its end.  What fails, fails the test.
 */
#ifndef TESTS_UNIT_LIB_GIVEN_STATS_H
#define TESTS_UNIT_LIB_GIVEN_STATS_H

#include "core/stats_snapshot.h"

extern char given_stats_folder[64];
extern char given_stats_path[96];

int given_stats_set_up(void **state);
int given_stats_tear_down(void **state);

/* Those of one more process, without names; NULL where they cannot be had. */
struct stats *given_stats_try_open(void);

struct stats *given_stats_open(void);

/* The caller frees it. */
struct stats_snapshot *given_stats_snapshot(void);

/* Of the first function, in all processes. */
uint64_t given_stats_total_calls(void);

#endif
