/*
 * curve.h - hit ratios of policies over cache sizes.
 *
 * What a cache is asked for and does not have it fills (but see `fill_by_writes`), a
 * write is stored, a delete drops, and so does any other change, because a cache that is told
 * only that something changed has to.
 */
#ifndef TOWER_SIM_CURVE_H
#define TOWER_SIM_CURVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layers/policy.h"
#include "sim/stream.h"

#define CURVE_POLICIES_MAX 8
#define CURVE_SIZES_MAX 256
#define CURVE_SIZE_TEXT 32

/* Of what the best cache has, the one recommended has so much. */
#define CURVE_GOOD_SHARE 0.99

/* Its size is at most so many times that of one that was tried and is not good enough. */
#define CURVE_NEAR 1.02

struct curve_policy {
	const char *name;
	const char *help;
	enum policy_kind kind;
	bool as_built; /* what the memory layer does (cache.h) */
	bool knows_future;
};

enum curve_unit { CURVE_PERCENT, CURVE_ITEMS, CURVE_BYTES };

struct curve_size {
	char text[CURVE_SIZE_TEXT]; /* as it was asked for */
	enum curve_unit unit;
	double percent; /* of the different keys */
	uint64_t n;	/* values, or bytes with keys and overhead */
};

struct curve_options {
	const struct curve_policy *policies[CURVE_POLICIES_MAX];
	size_t n_policies;
	struct curve_size sizes[CURVE_SIZES_MAX];
	size_t n_sizes;
	uint32_t key_bytes;  /* of every key */
	uint32_t ttl_ms;     /* the most that a value lives; 0: for ever; needs times */
	bool fill_by_writes; /* a get that misses fills nothing */
	unsigned n_threads;  /* 1 or more */
};

struct curve_row {
	const struct curve_policy *policy;
	const struct curve_size *size;
	uint64_t items; /* what the cache holds: values (for bytes: of the mean size) ... */
	uint64_t bytes; /* ... and bytes in the memory layer (for values: of the mean size) */
	double hit_ratio;
};

/* All there are; NULL where there is none of that name. */
const struct curve_policy *curve_policy_at(size_t i);
const struct curve_policy *curve_policy_find(const char *name, size_t n);

/* "1%", "500i" (values), "64M", "1G", "4096" (bytes).  False where it is neither. */
bool curve_size_parse(const char *text, size_t n, struct curve_size *ret);

/*
 * Rows, sizes within policies, into ret_rows, which has room for n_policies * n_sizes.
 * False where memory is out.
 */
bool curve_run(const struct stream *stream, const struct curve_options *options,
	       struct curve_row *ret_rows);

struct curve_recommendation {
	struct curve_row row;
	struct curve_size size; /* row.size */
};

/*
 * The cache with the fewest bytes that has CURVE_GOOD_SHARE of the best hit ratio among the
 * rows, but for those that know the future.  It is looked for between the sizes of
 * each policy's rows, and below the smallest, too, to CURVE_NEAR.  False where no row has a hit.
 */
bool curve_recommend(const struct stream *stream, const struct curve_options *options,
		     const struct curve_row *rows, size_t n, struct curve_recommendation *ret);

/* What a value takes in the memory layer, with its key and all overhead. */
uint32_t curve_entry_bytes(uint64_t key_bytes, uint64_t value_bytes);

/* How much of a budget of the memory layer entries and table can take. */
uint64_t curve_usable_bytes(uint64_t max_bytes, enum policy_kind kind);

#endif
