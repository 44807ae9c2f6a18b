/*
 * random.h - random numbers that a seed repeats on every machine: splitmix64 (Steele, Lea
 * and Flood, "Fast splittable pseudorandom number generators", 2014).
 *
 * A stream belongs to one thread.
 */
#ifndef TOWER_MEASURE_RANDOM_H
#define TOWER_MEASURE_RANDOM_H

#include <stdint.h>

struct random_stream {
	uint64_t state;
};

static inline uint64_t random_scramble(uint64_t x)
{
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

static inline uint64_t random_next(struct random_stream *random)
{
	random->state += UINT64_C(0x9e3779b97f4a7c15);
	return random_scramble(random->state);
}

/* A stream that has nothing to do with those of other numbers of the same seed. */
static inline struct random_stream random_open(uint64_t seed, uint64_t number)
{
	return (struct random_stream){ random_scramble(seed) ^ random_scramble(~number) };
}

/* At least 0, below n; for n much smaller than 2^32 even enough (Lemire's multiply and shift). */
static inline uint32_t random_below(struct random_stream *random, uint32_t n)
{
	return (uint32_t)((random_next(random) >> 32) * n >> 32);
}

/* At least 0, below 1. */
static inline double random_unit(struct random_stream *random)
{
	return (double)(random_next(random) >> 11) * 0x1p-53;
}

#endif
