/*
 * observe.h - what a shim test saw.
 *
 * tests/run runs every program of tests/shim bare and preloaded.  What a
 * program observes goes into a transcript, and the transcripts must be equal;
 * what only the shim knows (calls_seen(), layer_hits()) is asserted where
 * preloaded(), and never observed.
 *
 * One thread at a time.
 */
#ifndef TOWER_TESTS_LIB_OBSERVE_H
#define TOWER_TESTS_LIB_OBSERVE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Adds a line to the transcript: the file that TOWER_TEST_TRANSCRIPT names,
 * else stdout.  What differs from run to run (addresses, times, CAS ids) has
 * no place in it.
 */
__attribute__((format(printf, 1, 2))) void observe(const char *format, ...);

/* Whether libtower.so is mapped into this process. */
bool preloaded(void);

/*
 * What `tower stat --json` says about this very process: calls of the function
 * that the shim intercepted, calls it passed on for the reason, and hits of the
 * layer, by name.  The command is
 * "tower" in the folder TOWER_BUILD (default: build).  0 for what it does not
 * mention; the running test fails where the statistics cannot be had.
 */
uint64_t calls_seen(const char *function);
uint64_t calls_passed(const char *reason);
uint64_t layer_hits(const char *layer);

#endif
