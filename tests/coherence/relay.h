/*
 * relay.h - what lies between several domains and their Redis in a litmus run: now and
 * then it keeps back for some milliseconds what a client says, as a network would.  On
 * one machine marks would else never come later than what memcached hears.
 */
#ifndef TOWER_TESTS_COHERENCE_RELAY_H
#define TOWER_TESTS_COHERENCE_RELAY_H

#include <stddef.h>

/* Where the relay of the run with this board listens. */
void relay_path(const char *board_path, char *ret_path, size_t n);

/* The process; returns when the board says so: its exit status. */
int relay_run(const char *board_path, const char *redis_path);

#endif
