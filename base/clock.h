/*
 * clock.h - what time it is, for deadlines and for memcached's expiry.
 *
 * Every duration and deadline inside tower is an int64_t of nanoseconds of
 * one clock, which never steps: CLOCK_MONOTONIC.  Wall time is asked for only
 * where memcached's protocol speaks of it (expiries above 30 days).  It is the
 * machine's time even where the host was given another one.
 *
 * Any thread may call anything here; nothing allocates, nothing fails.
 */
#ifndef TOWER_BASE_CLOCK_H
#define TOWER_BASE_CLOCK_H

#include <stdint.h>

#define CLOCK_NS_PER_MS INT64_C(1000000)
#define CLOCK_NS_PER_S INT64_C(1000000000)

/* A deadline that never comes. */
#define CLOCK_NEVER INT64_MAX

/* Nanoseconds, exact (about 20 ns to ask). */
int64_t clock_now_ns(void);

/*
 * Nanoseconds, up to one kernel tick (4 ms, at most 10 ms) behind
 * clock_now_ns(); about 5 ns to ask.  For expiry on the hot path.
 */
int64_t clock_coarse_ns(void);

/* The longest that clock_coarse_ns() may lag, in nanoseconds. */
#define CLOCK_COARSE_LAG_NS (10 * CLOCK_NS_PER_MS)

/* Seconds since 1970, as memcached counts absolute expiries. */
int64_t clock_wall_s(void);

/* The same in milliseconds. */
int64_t clock_wall_ms(void);

/*
 * Nanoseconds since the machine was started, those in which it was suspended too: for
 * how long something took, where another machine's clock is what counts.
 */
int64_t clock_boot_ns(void);

/*
 * Unit tests: from now on all functions answer from `now_ns` and `wall_s`; clock_fake(0, 0) returns
 * to the real clock.
 */
void clock_fake(int64_t now_ns, int64_t wall_s);

#endif
