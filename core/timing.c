#include "core/timing.h"

#include <stdatomic.h>

#include "base/clock.h"

__thread struct timing timing_now;

static atomic_bool watches_hits;

void timing_watch_hits(void)
{
	atomic_store_explicit(&watches_hits, true, memory_order_relaxed);
}

/* xorshift32; Marsaglia, "Xorshift RNGs", 2003. */
static uint32_t next_random(void)
{
	uint32_t x = timing_now.random;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	timing_now.random = x;
	return x;
}

/* 0 to 2 * mean - 2 are passed over, so that one of `mean` is timed. */
static int32_t choose(int32_t mean)
{
	return (int32_t)(next_random() % (uint32_t)(2 * mean - 1));
}

/* A thread that makes few calls must not always have its first one timed. */
static bool begin(void)
{
	uint64_t seed;

	if (timing_now.random) {
		return false;
	}
	seed = (uint64_t)clock_now_ns() ^ (uintptr_t)&timing_now;
	timing_now.random = (uint32_t)(seed * UINT64_C(0x9e3779b97f4a7c15) >> 32) | 1;
	timing_now.left = choose(TIMING_HITS);
	timing_now.hits =
		atomic_load_explicit(&watches_hits, memory_order_relaxed) ? 0 : timing_now.left;
	timing_now.walks = choose(TIMING_WALKS);
	return true;
}

bool timing_hit_due(void)
{
	if (begin()) {
		return timing_hit();
	}
	if (atomic_load_explicit(&watches_hits, memory_order_relaxed)) {
		timing_now.hits = 0;
		timing_now.untimed = --timing_now.left >= 0;
		if (!timing_now.untimed) {
			timing_now.left = choose(TIMING_HITS);
		}
		return true;
	}
	timing_now.hits = choose(TIMING_HITS);
	return true;
}

bool timing_walk_due(void)
{
	if (begin()) {
		return timing_walk();
	}
	timing_now.walks = choose(TIMING_WALKS);
	return true;
}

void timing_record(struct stats *stats, unsigned layer, enum stats_operation operation,
		   int64_t latency_ns)
{
	struct stats_latency *latency = &stats->latencies->of[layer][operation];
	uint64_t ns = latency_ns > 0 ? (uint64_t)latency_ns : 0;

	atomic_fetch_add_explicit(&latency->sum_ns, ns, memory_order_relaxed);
	atomic_fetch_add_explicit(&latency->buckets[latency_bucket(ns)], 1, memory_order_relaxed);
}
