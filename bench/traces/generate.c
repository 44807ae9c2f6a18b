/*
 * Makes a trace of requests up, always the same one for the same arguments.
 *
 * usage: generate REQUESTS KEYS EXPONENT SEED >trace
 *
 * Format be32 (sim/trace_reader.h).  Keys are drawn by Zipf's law with this exponent
 * (0: all alike).  Every so often some keys are asked for once, one after the other, as
 * by a job that goes through all records (a tenth of the requests), and the favourites
 * change slowly: what is asked for most is another one later.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define SCAN_REQUESTS 1000
#define SCAN_EVERY 10000

/* Of so many requests, one moves the favourites on by one key. */
#define MOVE_EVERY 50

/* splitmix64; Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014. */
static uint64_t next_random(uint64_t *state)
{
	uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/* The first whose cumulated weight is above. */
static uint32_t draw(const double *sums, uint32_t n, uint64_t *state)
{
	double at = (double)(next_random(state) >> 11) * 0x1p-53 * sums[n - 1];
	uint32_t low = 0;
	uint32_t high = n - 1;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (sums[middle] > at) {
			high = middle;
		} else {
			low = middle + 1;
		}
	}
	return low;
}

static void print(uint32_t key)
{
	putchar((int)(key >> 24));
	putchar((int)(key >> 16 & 0xff));
	putchar((int)(key >> 8 & 0xff));
	putchar((int)(key & 0xff));
}

int main(int argc, char **argv)
{
	uint64_t n_requests = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
	uint32_t n_keys = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;
	double exponent = argc > 3 ? strtod(argv[3], NULL) : 0;
	uint64_t state = argc > 4 ? strtoull(argv[4], NULL, 10) : 0;
	uint32_t scanned = 0;
	uint32_t moved = 0;
	double *sums;

	if (argc != 5 || n_requests == 0 || n_keys == 0 || !(exponent >= 0)) {
		fprintf(stderr, "usage: generate REQUESTS KEYS EXPONENT SEED >trace\n");
		return 2;
	}
	sums = malloc(n_keys * sizeof(*sums));
	if (sums == NULL) {
		fprintf(stderr, "generate: out of memory\n");
		return 1;
	}
	for (uint32_t i = 0; i < n_keys; i++) {
		sums[i] = (i ? sums[i - 1] : 0) + pow(i + 1.0, -exponent);
	}
	for (uint64_t i = 0; i < n_requests; i++) {
		moved += i % MOVE_EVERY == 0;
		/* Scans come at the end of each stretch, so that short traces have none. */
		if (i % SCAN_EVERY >= SCAN_EVERY - SCAN_REQUESTS) {
			print(scanned++ % n_keys);
		} else {
			print((uint32_t)((draw(sums, n_keys, &state) + (uint64_t)moved) % n_keys));
		}
	}
	free(sums);
	if (fflush(stdout) != 0) {
		perror("generate");
		return 1;
	}
	return 0;
}
