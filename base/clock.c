#include "base/clock.h"

#include <stdatomic.h>
#include <time.h>

/* Written by unit tests only, before they start threads: relaxed is enough. */
static _Atomic int64_t fake_now_ns;
static _Atomic int64_t fake_wall_s;

static int64_t read_clock(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * CLOCK_NS_PER_S + ts.tv_nsec;
}

int64_t clock_now_ns(void)
{
	int64_t fake = atomic_load_explicit(&fake_now_ns, memory_order_relaxed);

	return fake ? fake : read_clock(CLOCK_MONOTONIC);
}

int64_t clock_coarse_ns(void)
{
	int64_t fake = atomic_load_explicit(&fake_now_ns, memory_order_relaxed);

	return fake ? fake : read_clock(CLOCK_MONOTONIC_COARSE);
}

int64_t clock_wall_s(void)
{
	int64_t fake = atomic_load_explicit(&fake_wall_s, memory_order_relaxed);

	return fake ? fake : (int64_t)time(NULL);
}

int64_t clock_wall_ms(void)
{
	int64_t fake = atomic_load_explicit(&fake_wall_s, memory_order_relaxed);

	return fake ? fake * 1000 : read_clock(CLOCK_REALTIME) / CLOCK_NS_PER_MS;
}

void clock_fake(int64_t now_ns, int64_t wall_s)
{
	atomic_store_explicit(&fake_now_ns, now_ns, memory_order_relaxed);
	atomic_store_explicit(&fake_wall_s, wall_s, memory_order_relaxed);
}
