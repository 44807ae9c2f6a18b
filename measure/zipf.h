/*
 * zipf.h - ranks whose chance falls with their power: rank k of n (counted from 0) comes
 * with a chance in proportion to (k + 1)^-exponent, exponent >= 0 (0: uniform).
 *
 * By rejection-inversion (Hörmann and Derflinger, "Rejection-inversion to generate variates
 * from monotone discrete distributions", 1996): no table, any exponent, fewer than 1.3
 * tries on average.
 *
 * A struct zipf does not change once made; any thread may draw with a stream of its own.
 */
#ifndef TOWER_MEASURE_ZIPF_H
#define TOWER_MEASURE_ZIPF_H

#include "measure/random.h"

struct zipf {
	uint32_t n;
	double exponent;
	double first; /* the integral at the ends of the range */
	double last;
	double cut; /* nearer than this to the rank below nothing is rejected */
};

/* n > 0, exponent >= 0. */
void zipf_init(struct zipf *zipf, uint32_t n, double exponent);

uint32_t zipf_draw(const struct zipf *zipf, struct random_stream *random);

#endif
