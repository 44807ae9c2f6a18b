/*
 * timeline.h - moves the clock of everybody (clock.h).
 *
 * memcached counts whole seconds by a timer.  After each move every server is
 * asked until its own clock shows the new second, so that an item ends on both
 * sides between the same two steps.
 */
#ifndef TOWER_TESTS_DIFFERENTIAL_TIMELINE_H
#define TOWER_TESTS_DIFFERENTIAL_TIMELINE_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/differential/clock.h"
#include "tests/differential/side.h"

struct timeline {
	struct clock_page *page;
	int64_t begin_ns;
	int64_t tick_ns; /* when the timers of the servers fire next */
};

/* Makes the file; `phase_ms` is where within a second the servers will be started. */
bool timeline_open(struct timeline *timeline, const char *path, unsigned phase_ms);

/* Goes on by so many milliseconds; false where a server does not follow. */
bool timeline_move(struct timeline *timeline, const struct side *sides, unsigned ms);

#endif
