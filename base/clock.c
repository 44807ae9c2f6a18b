#include "base/clock.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

/* Written by unit tests only, before they start threads: relaxed is enough. */
static _Atomic int64_t fake_now_ns;
static _Atomic int64_t fake_wall_s;

typedef int gettime_fn(clockid_t id, struct timespec *ret_time);

/* NULL until it was looked for. */
static _Atomic(gettime_fn *) libc_gettime;

/*
 * Libc's own, past whatever the host has preloaded to show itself another time
 * (libfaketime): values end by the server's clock, and deadlines are compared with those
 * of other processes.
 */
__attribute__((noinline, cold)) static gettime_fn *find_gettime(void)
{
	gettime_fn *found = clock_gettime;
	void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
	void *function = libc ? dlsym(libc, "clock_gettime") : NULL;

	if (function) {
		/* ISO C has no cast for this; POSIX promises the bytes. */
		memcpy(&found, &function, sizeof(found));
	}
	atomic_store_explicit(&libc_gettime, found, memory_order_relaxed);
	return found;
}

__attribute__((always_inline)) static inline int64_t read_clock(clockid_t id)
{
	gettime_fn *gettime = atomic_load_explicit(&libc_gettime, memory_order_relaxed);
	struct timespec ts;

	// cppcheck-suppress uninitvar
	(gettime ? gettime : find_gettime())(id, &ts);
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

	return fake ? fake : read_clock(CLOCK_REALTIME_COARSE) / CLOCK_NS_PER_S;
}

int64_t clock_wall_ms(void)
{
	int64_t fake = atomic_load_explicit(&fake_wall_s, memory_order_relaxed);

	return fake ? fake * 1000 : read_clock(CLOCK_REALTIME) / CLOCK_NS_PER_MS;
}

int64_t clock_boot_ns(void)
{
	int64_t fake = atomic_load_explicit(&fake_now_ns, memory_order_relaxed);

	return fake ? fake : read_clock(CLOCK_BOOTTIME);
}

void clock_fake(int64_t now_ns, int64_t wall_s)
{
	atomic_store_explicit(&fake_now_ns, now_ns, memory_order_relaxed);
	atomic_store_explicit(&fake_wall_s, wall_s, memory_order_relaxed);
}
