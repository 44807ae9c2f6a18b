/*
 * interval.h - a mean of few repeats, and how sure it is.
 *
 * The interval is Student's t for 95 % confidence with n - 1 degrees of freedom: it assumes
 * that repeats are independent and roughly normal, which interleaved repeats of whole runs are
 * and single operations are not.  Of one repeat nothing can be said: `known` is false.
 *
 * Pure functions; any thread.
 */
#ifndef TOWER_MEASURE_INTERVAL_H
#define TOWER_MEASURE_INTERVAL_H

#include <stdbool.h>

struct interval {
	double mean;
	double low;
	double high;
	bool known; /* low and high are; else they are the mean */
};

/* n > 0. */
struct interval interval_of(const double *values, unsigned n);

/*
 * How many times b is a, from n pairs that were measured side by side: the mean and interval
 * of the logarithms of their ratios.  Unknown, and 0, where a value is not above 0.
 */
struct interval interval_of_ratio(const double *a, const double *b, unsigned n);

/* The 97.5 % quantile of Student's t; freedom > 0. */
double interval_student(unsigned freedom);

#endif
