/*
 * counters.h - one layer's counters, as they lie in shared memory.
 *
 * Written by every thread of one process, read by `tower stat` in another.
 * All accesses are relaxed: each number is right by itself, two numbers may
 * be of slightly different moments.
 */
#ifndef TOWER_LAYERS_COUNTERS_H
#define TOWER_LAYERS_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

struct layer_counters {
#define COUNTER(name, help) _Atomic uint64_t name;
#define GAUGE(name, help) _Atomic uint64_t name;
#include "layers/counters.def"
#undef COUNTER
#undef GAUGE
};

static inline void counter_add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static inline void gauge_set(_Atomic uint64_t *gauge, uint64_t n)
{
	atomic_store_explicit(gauge, n, memory_order_relaxed);
}

#endif
