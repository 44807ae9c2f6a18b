/*
 * summary.h - what the runs of one hierarchy say together.
 *
 * Rates, shares and percentiles are means over repeats with their intervals (interval.h);
 * distributions are of all repeats together.  Pure functions.
 */
#ifndef TOWER_MEASURE_SUMMARY_H
#define TOWER_MEASURE_SUMMARY_H

#include "measure/interval.h"
#include "measure/session.h"

/* Where a key that was asked for was found; the first ones are those of stats_layer_names. */
#define SUMMARY_MISSED STATS_LAYERS_MAX
#define SUMMARY_SHARES (STATS_LAYERS_MAX + 1)

extern const char *const summary_share_names[SUMMARY_SHARES];

#define SUMMARY_PERCENTILES 6

extern const struct summary_percentile {
	const char *name;
	unsigned ppm;
} summary_percentiles[SUMMARY_PERCENTILES];

struct summary_call {
	uint64_t n; /* calls measured; nothing else is known where it is 0 */
	struct latency_values all;
	struct interval ns[SUMMARY_PERCENTILES]; /* where every repeat had such calls */
};

struct summary {
	struct interval rate;			/* requests of the workload a second */
	struct interval ratio;			/* of the rate to that of the first hierarchy */
	struct interval shares[SUMMARY_SHARES]; /* of all keys asked for */
	struct summary_call calls[BOARD_CALLS];
	struct latency_values slices[BOARD_SLICES]; /* all calls, over the measured time */
	struct board_counts counts;
	const char *error; /* the first call that failed, of the session; NULL: not known */
	double own_ns;
};

/* `candidate` of a session that took `run_ns` each. */
void summary_make(const struct session *session, unsigned candidate, int64_t run_ns,
		  struct summary *ret);

/* The calls to look at first: gets, else mgets, else sets, else deletes. */
enum board_call summary_main_call(const struct summary *summary);

#endif
