/*
 * meddler.h - something between a client and its Redis that spoils what Redis
 * answers, for tests.
 *
 * Listens on a free port of 127.0.0.1.  What it does can be changed at any time and
 * holds for all connections, also those that are open.  Any thread.
 */
#ifndef TOWER_TESTS_FAULTS_LIB_MEDDLER_H
#define TOWER_TESTS_FAULTS_LIB_MEDDLER_H

#include "tests/lib/servers.h"

enum meddler_mode {
	MEDDLER_RELAYS,	  /* nothing */
	MEDDLER_DELAYS,	  /* every answer by `n` milliseconds */
	MEDDLER_SWALLOWS, /* all that either side says; the connection stays */
	MEDDLER_RESETS,	  /* the connection, after `n` bytes of an answer */
	MEDDLER_BABBLES,  /* answers with meddler_babble[n] instead */
	MEDDLER_FLOODS,	  /* answers without an end, as fast as it is read */
};

/* What is no answer, or not to what was asked. */
extern const char *const meddler_babble[];
extern const unsigned meddler_n_babble;

struct meddler;

/* NULL where it cannot be had. */
struct meddler *meddler_start(const struct server *redis);

unsigned short meddler_port(const struct meddler *meddler);
void meddler_set(struct meddler *meddler, enum meddler_mode mode, unsigned n);

/* How many connections were made so far. */
unsigned meddler_n_accepted(const struct meddler *meddler);

/* All connections are closed. */
void meddler_stop(struct meddler **meddler);

#endif
