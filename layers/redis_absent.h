/*
 * redis_absent.h - what this process has just heard that Redis does not have.
 *
 * Programs ask again and again for keys that are nowhere.  Redis had neither value nor mark
 * under the key, so nobody's commit can put one there before somebody has marked the
 * key; and whoever does enters its slot first.  So as long as the slot is as it was
 * before Redis was asked, no writer of the domain has given it a value.  One of another
 * domain may have: therefore it is believed for a second only, as long as a copy in
 * memory by default.  Wrong, it is a miss, which is always permitted.
 *
 * A bounded table that forgets at random.  Lock-free, no system call; any thread.
 */
#ifndef TOWER_LAYERS_REDIS_ABSENT_H
#define TOWER_LAYERS_REDIS_ABSENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "layers/layer.h"

/* About so long one is believed. */
#define REDIS_ABSENT_NS CLOCK_NS_PER_S

#define REDIS_ABSENT_WAYS 8
#define REDIS_ABSENT_SETS 4096

/* Zero at first: it knows nothing. */
struct redis_absent {
	/* Relaxed: each stands for itself, and follows from no other memory. */
	_Atomic uint64_t words[REDIS_ABSENT_SETS][REDIS_ABSENT_WAYS];
};

/* Redis had nothing under the item's key, asked after the item's slot was loaded. */
void redis_absent_note(struct redis_absent *absent, const struct layer_item *item);

/* Whether that is known still, for an item whose slot was just loaded. */
bool redis_absent_knows(const struct redis_absent *absent, const struct layer_item *item);

#endif
