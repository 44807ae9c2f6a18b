/*
 * expiry.h - memcached's expiry times.
 *
 * An exptime is 0 (never), negative or above UINT32_MAX (ended already), up to 30 days a number of
 * seconds from now, above an absolute Unix time
 * (https://github.com/memcached/memcached/blob/master/doc/protocol.txt).
 */
#ifndef TOWER_CORE_EXPIRY_H
#define TOWER_CORE_EXPIRY_H

#include <stdint.h>

#define EXPIRY_RELATIVE_MAX_S (INT64_C(60) * 60 * 24 * 30)

/* As a deadline of clock.h: CLOCK_NEVER, or nanoseconds; in the past: ended. */
int64_t expiry_deadline_ns(int64_t exptime);

/*
 * The exptime to write now for a value that ends at the deadline, never later
 * than it; -1 where less than a second is left, which memcached cannot say.  At
 * most INT32_MAX, which both of its protocols can.
 */
int64_t expiry_exptime(int64_t deadline_ns);

/* The exptime, but at most ttl_ns (whole seconds, 0: no cap) from now. */
int64_t expiry_cap(int64_t exptime, int64_t ttl_ns);

#endif
