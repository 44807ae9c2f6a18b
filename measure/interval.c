#include "measure/interval.h"

#include <math.h>

/* Any table of Student's t has these. */
static const double student[] = {
	12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
	2.201,	2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
	2.080,	2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
};

#define N_STUDENT (sizeof(student) / sizeof(student[0]))
#define NORMAL 1.959964

double interval_student(unsigned freedom)
{
	double n = freedom;

	if (freedom <= N_STUDENT) {
		return student[freedom - 1];
	}
	/* The first two terms of its expansion in 1/n (Abramowitz and Stegun 26.7.5). */
	return NORMAL + (pow(NORMAL, 3) + NORMAL) / (4 * n) +
	       (5 * pow(NORMAL, 5) + 16 * pow(NORMAL, 3) + 3 * NORMAL) / (96 * n * n);
}

struct interval interval_of(const double *values, unsigned n)
{
	double mean = 0;
	double squares = 0;
	double half;

	for (unsigned i = 0; i < n; i++) {
		mean += values[i] / n;
	}
	for (unsigned i = 0; i < n; i++) {
		squares += (values[i] - mean) * (values[i] - mean);
	}
	if (n < 2) {
		return (struct interval){ mean, mean, mean, false };
	}
	half = interval_student(n - 1) * sqrt(squares / (n - 1) / n);
	return (struct interval){ mean, mean - half, mean + half, true };
}

struct interval interval_of_ratio(const double *a, const double *b, unsigned n)
{
	double mean = 0;
	double squares = 0;
	double half;

	for (unsigned i = 0; i < n; i++) {
		if (!(a[i] > 0) || !(b[i] > 0)) {
			return (struct interval){ 0 };
		}
		mean += log(b[i] / a[i]) / n;
	}
	for (unsigned i = 0; i < n; i++) {
		squares += pow(log(b[i] / a[i]) - mean, 2);
	}
	if (n < 2) {
		return (struct interval){ exp(mean), exp(mean), exp(mean), false };
	}
	half = interval_student(n - 1) * sqrt(squares / (n - 1) / n);
	return (struct interval){ exp(mean), exp(mean - half), exp(mean + half), true };
}
