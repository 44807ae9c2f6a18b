/*
 * counters.h - one layer's counters, as they lie in shared memory.
 *
 * Written by every thread of one process, read by `tower stat` in another.
 * All accesses are relaxed: each number is right by itself, two numbers may
 * be of slightly different moments.
 *
 * Stripes.  Where counters lie in stripes (core/stats.h), a thread that has
 * one of its own adds there, without a locked instruction and in cache lines
 * that no other thread writes.  All others add to stripe 0, which is what every
 * pointer to a counter points into.
 */
#ifndef TOWER_LAYERS_COUNTERS_H
#define TOWER_LAYERS_COUNTERS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/likely.h"

struct layer_counters {
#define COUNTER(name, help) _Atomic uint64_t name;
#define GAUGE(name, help) _Atomic uint64_t name;
#include "layers/counters.def"
#undef COUNTER
#undef GAUGE
};

/* Bytes from stripe 0 to this thread's own; 0: it has none (core/stats_stripes.c). */
extern __thread size_t counter_stripe;

static inline void counter_add(_Atomic uint64_t *counter, uint64_t n)
{
	if (unlikely(counter_stripe == 0)) {
		atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
		return;
	}
	counter = (_Atomic uint64_t *)((char *)counter + counter_stripe);
	n += atomic_load_explicit(counter, memory_order_relaxed);
	atomic_store_explicit(counter, n, memory_order_relaxed);
}

/* A hit of so many bytes: where hits are counted one by one, with one look at the stripe. */
__attribute__((always_inline)) static inline void counter_hit(struct layer_counters *counters,
							      uint64_t n_bytes)
{
	if (unlikely(counter_stripe == 0)) {
		atomic_fetch_add_explicit(&counters->hits, 1, memory_order_relaxed);
		atomic_fetch_add_explicit(&counters->hit_bytes, n_bytes, memory_order_relaxed);
		return;
	}
	counters = (struct layer_counters *)((char *)counters + counter_stripe);
	n_bytes += atomic_load_explicit(&counters->hit_bytes, memory_order_relaxed);
	atomic_store_explicit(&counters->hits,
			      atomic_load_explicit(&counters->hits, memory_order_relaxed) + 1,
			      memory_order_relaxed);
	atomic_store_explicit(&counters->hit_bytes, n_bytes, memory_order_relaxed);
}

static inline void gauge_set(_Atomic uint64_t *gauge, uint64_t n)
{
	atomic_store_explicit(gauge, n, memory_order_relaxed);
}

#endif
