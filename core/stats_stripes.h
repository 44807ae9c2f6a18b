/*
 * stats_stripes.h - which stripe a thread counts in; for stats*.c alone.
 *
 * Stripes are numbered over the process.  Stripe 0 is everybody's; each other
 * one belongs to one thread at a time, from its first call to its end, and goes to
 * the next thread with what was counted in it.
 */
#ifndef TOWER_CORE_STATS_STRIPES_H
#define TOWER_CORE_STATS_STRIPES_H

#include <stdbool.h>

#include "core/stats.h"

/*
 * A stripe for this thread, if it has none and one is free; `back` answers whether
 * the first n stripes can be counted in.
 */
void stats_stripe_take(bool (*back)(void *owner, unsigned n), void *owner);

/* The first so many were ever counted in by this process. */
unsigned stats_stripes_used(void);

/* In the child of a fork: all stripes are free, and this thread has none. */
void stats_stripes_child(void);

#endif
