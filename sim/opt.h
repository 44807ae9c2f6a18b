/*
 * opt.h - the cache that knows the future: the value that is asked for the farthest from
 * now goes (Belady, "A study of replacement algorithms for a virtual-storage
 * computer", 1966).  Where values are of one size no cache has more hits; where
 * they are not, and bytes are counted, it is a good one and no bound.
 */
#ifndef TOWER_SIM_OPT_H
#define TOWER_SIM_OPT_H

#include <stdint.h>

#include "sim/stream.h"

#define OPT_NEVER UINT32_MAX

/*
 * By request, the next one that asks for what it leaves behind, or OPT_NEVER: it is changed
 * before, or not asked for again.  To be freed; NULL where memory is out.
 */
uint32_t *opt_next(const struct stream *stream);

/* What the value that request `at` is about takes. */
typedef uint32_t (*opt_weight_fn)(const struct stream *stream, size_t at, uint32_t key_bytes);

/*
 * Gets that miss in a cache that holds values of `max` together, `weight` each; of changes
 * it holds nothing.  False where memory is out.
 */
bool opt_run(const struct stream *stream, const uint32_t *next, uint64_t max, opt_weight_fn weight,
	     uint32_t key_bytes, uint64_t *ret_misses);

#endif
