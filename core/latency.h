/*
 * latency.h - a histogram of latencies in buckets that grow with them, and what
 * can be read from it.
 *
 * Log-linear, as in HdrHistogram: every power of two is cut into
 * LATENCY_PARTS equal buckets, so that a bucket is at most an eighth as wide as
 * what it holds is long; the first ones are LATENCY_UNIT_NS wide.  The last one holds
 * everything from LATENCY_MAX_NS on.
 *
 * Pure functions; any thread.
 */
#ifndef TOWER_CORE_LATENCY_H
#define TOWER_CORE_LATENCY_H

#include <stdint.h>

#define LATENCY_BUCKETS 256
#define LATENCY_PARTS_BITS 3
#define LATENCY_PARTS (1U << LATENCY_PARTS_BITS)
#define LATENCY_UNIT_NS UINT64_C(4)
#define LATENCY_MAX_NS latency_floor_ns(LATENCY_BUCKETS - 1)

/* As plain numbers; core/stats.h has the same in shared memory. */
struct latency_values {
	uint64_t sum_ns;
	uint64_t buckets[LATENCY_BUCKETS];
};

/* The bucket of a latency. */
unsigned latency_bucket(uint64_t ns);

/* The shortest latency of a bucket; for LATENCY_BUCKETS, where the last one would end. */
uint64_t latency_floor_ns(unsigned bucket);

/* How many latencies it holds. */
uint64_t latency_count(const struct latency_values *values);

/* How many of them are below ns, which is to be the floor of a bucket. */
uint64_t latency_count_below(const struct latency_values *values, uint64_t ns);

/*
 * The latency that so many of a thousand do not pass, within its bucket in
 * proportion; 0 where there are none.
 */
uint64_t latency_permille_ns(const struct latency_values *values, unsigned permille);

/* The same, of a million. */
uint64_t latency_ppm_ns(const struct latency_values *values, unsigned ppm);

/* Adds what another one holds. */
void latency_add(struct latency_values *values, const struct latency_values *more);

#endif
