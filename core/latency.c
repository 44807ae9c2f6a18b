#include "core/latency.h"

unsigned latency_bucket(uint64_t ns)
{
	uint64_t units = ns / LATENCY_UNIT_NS;
	unsigned exponent;
	unsigned bucket;

	if (units < LATENCY_PARTS) {
		return (unsigned)units;
	}
	exponent = 63 - (unsigned)__builtin_clzll(units);
	bucket = (exponent - LATENCY_PARTS_BITS + 1) * LATENCY_PARTS +
		 (unsigned)(units >> (exponent - LATENCY_PARTS_BITS) & (LATENCY_PARTS - 1));
	return bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS - 1;
}

uint64_t latency_floor_ns(unsigned bucket)
{
	unsigned power = bucket / LATENCY_PARTS;
	uint64_t part = bucket % LATENCY_PARTS;

	if (power == 0) {
		return part * LATENCY_UNIT_NS;
	}
	return ((LATENCY_PARTS + part) << (power - 1)) * LATENCY_UNIT_NS;
}

uint64_t latency_count(const struct latency_values *values)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
		n += values->buckets[i];
	}
	return n;
}

uint64_t latency_count_below(const struct latency_values *values, uint64_t ns)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < LATENCY_BUCKETS && latency_floor_ns(i) < ns; i++) {
		n += values->buckets[i];
	}
	return n;
}

void latency_add(struct latency_values *values, const struct latency_values *more)
{
	values->sum_ns += more->sum_ns;
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
		values->buckets[i] += more->buckets[i];
	}
}

uint64_t latency_permille_ns(const struct latency_values *values, unsigned permille)
{
	return latency_ppm_ns(values, permille * 1000);
}

uint64_t latency_ppm_ns(const struct latency_values *values, unsigned ppm)
{
	uint64_t n = latency_count(values);
	/* Rounded up: of ten the 999000 ppm is the tenth. */
	uint64_t rank = n / 1000000 * ppm + (n % 1000000 * ppm + 999999) / 1000000;
	uint64_t before = 0;

	if (n == 0) {
		return 0;
	}
	rank = rank ? rank : 1;
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
		uint64_t in_bucket = values->buckets[i];

		if (in_bucket && before + in_bucket >= rank) {
			uint64_t floor = latency_floor_ns(i);
			double part = (double)(rank - before) / (double)in_bucket;

			return floor + (uint64_t)(part * (double)(latency_floor_ns(i + 1) - floor));
		}
		before += in_bucket;
	}
	return latency_floor_ns(LATENCY_BUCKETS);
}
