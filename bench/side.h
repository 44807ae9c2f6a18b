/* side.h - what the programs of both sides of a benchmark have in common. */
#ifndef BENCH_SIDE_H
#define BENCH_SIDE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

/* Ends the program where what was measured is not what was to be measured. */
static inline void check(bool well, const char *what)
{
	if (!well) {
		fprintf(stderr, "bench: %s\n", what);
		exit(1);
	}
}

#endif
