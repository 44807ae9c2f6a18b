/*
 * bench_curves.h - miss-ratio curves of the requests that were replayed, by the simulator of
 * `tower sim`.
 */
#ifndef TOWER_CLI_BENCH_CURVES_H
#define TOWER_CLI_BENCH_CURVES_H

#include "sim/curve.h"

#define BENCH_CURVE_POLICIES 4
#define BENCH_CURVE_SIZES 16

struct bench_curves {
	const struct curve_policy *policies[BENCH_CURVE_POLICIES];
	double bytes[BENCH_CURVE_POLICIES][BENCH_CURVE_SIZES];	/* in the memory layer */
	double misses[BENCH_CURVE_POLICIES][BENCH_CURVE_SIZES]; /* of all gets, 0 to 1 */
	double share;	    /* of the keys that were simulated */
	uint64_t max_bytes; /* of the first tower's memory; 0: there is none */
};

/*
 * From a sample of the trace, with values of `value_bytes` where it does not tell.  False:
 * stderr says why.
 */
bool bench_curves_make(const char *path, enum trace_format format, uint64_t value_bytes,
		       struct bench_curves *ret);

#endif
