/*
 * budget.h - memory.host_max_bytes: one sum, shared out over the processes of a
 * domain as they come and go.
 *
 * Every process that the statistics know to live gets the same share, and no more
 * than its own memory.max_bytes; where it is not known how many there are, as
 * many as the statistics have room for are assumed.  Nobody is told of another's
 * coming: each process looks at most once a second, when it is about to keep
 * something.  So the sum can be passed for a second, and for longer by processes
 * that make no calls.
 */
#ifndef TOWER_CORE_BUDGET_H
#define TOWER_CORE_BUDGET_H

#include "core/tower.h"

/* How often a process looks, in nanoseconds. */
#define BUDGET_LOOK_NS CLOCK_NS_PER_S

/* The budget of one of so many processes; 0 of them: not known. */
uint64_t budget_share(uint64_t host_bytes, uint64_t own_bytes, unsigned n_processes);

/* Before something is kept: looks, if it is time, and tells the layers.  Any thread. */
void budget_keep(struct tower *tower);

/* From now on this is another process, or a new one: the next budget_keep() looks. */
void budget_reset(struct tower *tower);

#endif
