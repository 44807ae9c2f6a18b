#include "measure/zipf.h"

#include <math.h>

/* (e^x - 1) / x and ln(1 + x) / x, where they are without a value, too. */
static double expm1_part(double x)
{
	return fabs(x) > 1e-8 ? expm1(x) / x : 1 + x / 2;
}

static double log1p_part(double x)
{
	return fabs(x) > 1e-8 ? log1p(x) / x : 1 - x / 2;
}

/* The integral of x^-exponent from 1 to x, which is ln x for the exponent 1. */
static double integral(const struct zipf *zipf, double x)
{
	double log_x = log(x);

	return expm1_part((1 - zipf->exponent) * log_x) * log_x;
}

static double inverse(const struct zipf *zipf, double area)
{
	double t = area * (1 - zipf->exponent);

	/* Rounding may lead out of where the logarithm is defined. */
	return exp(log1p_part(t < -1 ? -1 : t) * area);
}

static double density(const struct zipf *zipf, double x)
{
	return exp(-zipf->exponent * log(x));
}

void zipf_init(struct zipf *zipf, uint32_t n, double exponent)
{
	zipf->n = n;
	zipf->exponent = exponent;
	zipf->first = integral(zipf, 1.5) - 1;
	zipf->last = integral(zipf, n + 0.5);
	zipf->cut = 2 - inverse(zipf, integral(zipf, 2.5) - density(zipf, 2));
}

uint32_t zipf_draw(const struct zipf *zipf, struct random_stream *random)
{
	for (;;) {
		double area = zipf->last + random_unit(random) * (zipf->first - zipf->last);
		double x = inverse(zipf, area);
		double rank = floor(x + 0.5);

		rank = rank < 1 ? 1 : rank > zipf->n ? zipf->n : rank;
		if (rank - x <= zipf->cut ||
		    area >= integral(zipf, rank + 0.5) - density(zipf, rank)) {
			return (uint32_t)rank - 1;
		}
	}
}
