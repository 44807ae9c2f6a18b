/*
 * clock.h - a clock that stands still until the differential test moves it.
 *
 * clock.so is preloaded into memcached and the workers of both sides and
 * answers for their clocks from one page of a file, which DIFFERENTIAL_CLOCK
 * names.  So both sides live at the same moment, an expiry takes no waiting,
 * and a run can be repeated to the second.
 *
 * Written by the driver while nobody else runs; read by everybody.
 */
#ifndef TOWER_TESTS_DIFFERENTIAL_CLOCK_H
#define TOWER_TESTS_DIFFERENTIAL_CLOCK_H

#include <stdatomic.h>
#include <stdint.h>

#define CLOCK_FILE_VARIABLE "DIFFERENTIAL_CLOCK"
#define CLOCK_NS_PER_MS INT64_C(1000000)
#define CLOCK_NS_PER_S INT64_C(1000000000)

struct clock_page {
	_Atomic int64_t now_ns; /* CLOCK_MONOTONIC and its kin */
	int64_t wall_ns;	/* what must be added for CLOCK_REALTIME; does not change */
};

#endif
