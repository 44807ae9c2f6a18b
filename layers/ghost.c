#include "layers/ghost.h"

#include <string.h>

#include "base/pages.h"

#define WAYS 8
#define BUCKET_BYTES (WAYS * sizeof(uint32_t))

/* Times are kept modulo 2^16; a window counts no more than 2^14 of them. */
#define TIME_MASK UINT32_C(0xffff)
#define TIMES_MAX (UINT64_C(1) << 14)

/* A table is made so much larger than asked for, and anew where it is too small. */
#define SPARE_PART 4

void ghost_open(struct ghost *ghost, size_t bytes_max)
{
	memset(ghost, 0, sizeof(*ghost));
	ghost->n_buckets_max = bytes_max / BUCKET_BYTES;
}

size_t ghost_bytes(const struct ghost *ghost)
{
	return ghost->n_buckets * BUCKET_BYTES;
}

static void drop_table(struct ghost *ghost)
{
	if (ghost->words) {
		pages_unmap(ghost->words, ghost_bytes(ghost));
	}
	ghost->words = NULL;
	ghost->n_buckets = 0;
	ghost->next_clean = 0;
}

void ghost_close(struct ghost *ghost)
{
	drop_table(ghost);
}

void ghost_clear(struct ghost *ghost)
{
	drop_table(ghost);
}

void ghost_limit(struct ghost *ghost, size_t bytes_max)
{
	ghost->n_buckets_max = bytes_max / BUCKET_BYTES;
	if (ghost->n_buckets > ghost->n_buckets_max) {
		drop_table(ghost);
	}
}

static void make_table(struct ghost *ghost, uint64_t window)
{
	uint64_t n = (window + window / SPARE_PART) / WAYS + 2;
	void *words;

	n = n < ghost->n_buckets_max ? n : ghost->n_buckets_max;
	if (n <= ghost->n_buckets) {
		return;
	}
	words = pages_map(n * BUCKET_BYTES, false);
	if (words == NULL) {
		return;
	}
	drop_table(ghost);
	ghost->words = words;
	ghost->n_buckets = n;
}

/* Of how many fingerprints one step of time is. */
static unsigned time_shift(const struct ghost *ghost)
{
	unsigned shift = 0;

	while ((ghost->n_buckets * WAYS) >> shift > TIMES_MAX) {
		shift++;
	}
	return shift;
}

static uint32_t time_now(const struct ghost *ghost)
{
	return (uint32_t)(ghost->n_put >> time_shift(ghost)) & TIME_MASK;
}

static uint32_t age_of(uint32_t word, uint32_t now)
{
	return (now - word) & TIME_MASK;
}

/* The oldest that is still remembered. */
static uint32_t age_max(const struct ghost *ghost, uint64_t window)
{
	uint64_t n = ghost->n_buckets * WAYS;

	return (uint32_t)((window < n ? window : n) >> time_shift(ghost));
}

static uint32_t *bucket_of(const struct ghost *ghost, uint64_t hash)
{
	return ghost->words + ((hash >> 32) * ghost->n_buckets >> 32) * WAYS;
}

/* Not 0: a word that is 0 is free. */
static uint32_t fingerprint(uint64_t hash)
{
	return ((uint32_t)hash << 16) | UINT32_C(0x10000);
}

/* One bucket at a time, well before times come round. */
static void clean_next(struct ghost *ghost, uint32_t now, uint32_t oldest)
{
	uint32_t *bucket = ghost->words + ghost->next_clean * WAYS;

	for (unsigned i = 0; i < WAYS; i++) {
		if (age_of(bucket[i], now) > oldest) {
			bucket[i] = 0;
		}
	}
	ghost->next_clean = (ghost->next_clean + 1) % ghost->n_buckets;
}

void ghost_put(struct ghost *ghost, uint64_t hash, uint64_t window)
{
	uint32_t *bucket;
	uint32_t now;
	unsigned at = 0;

	if (window > ghost->n_buckets * WAYS) {
		make_table(ghost, window);
	}
	if (ghost->words == NULL) {
		return;
	}
	ghost->n_put++;
	now = time_now(ghost);
	clean_next(ghost, now, age_max(ghost, window));
	bucket = bucket_of(ghost, hash);
	for (unsigned i = 0; i < WAYS; i++) {
		if (bucket[i] == 0 || (bucket[i] & ~TIME_MASK) == fingerprint(hash)) {
			at = i;
			break;
		}
		if (age_of(bucket[i], now) > age_of(bucket[at], now)) {
			at = i;
		}
	}
	bucket[at] = fingerprint(hash) | now;
}

bool ghost_take(struct ghost *ghost, uint64_t hash, uint64_t window)
{
	uint32_t *bucket;
	uint32_t now;

	if (ghost->words == NULL) {
		return false;
	}
	bucket = bucket_of(ghost, hash);
	now = time_now(ghost);
	for (unsigned i = 0; i < WAYS; i++) {
		if (bucket[i] && (bucket[i] & ~TIME_MASK) == fingerprint(hash)) {
			bool recent = age_of(bucket[i], now) <= age_max(ghost, window);

			bucket[i] = 0;
			return recent;
		}
	}
	return false;
}
