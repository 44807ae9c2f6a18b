/*
 * domains.h - layer "redis" as two domains have it, over one Redis, for tests.
 *
 * What the processes of each share lies in memory of its own; keys, values and the
 * server are those of deep.h.
 */
#ifndef TOWER_TESTS_FAULTS_LIB_DOMAINS_H
#define TOWER_TESTS_FAULTS_LIB_DOMAINS_H

#include "tests/faults/lib/deep.h"

#define ONE "0000000000000001" /* the first domain, in the generation */
#define HEARD_MS 400	       /* of domains_setup_short() */

extern struct layer *domains_one, *domains_other;

/*
 * Of cmocka: both have written, and the generation is older than a mark; the same, and who
 * says nothing is soon forgotten; neither has done anything yet.
 */
int domains_setup(void **state);
int domains_setup_short(void **state);
int domains_setup_apart(void **state);
int domains_teardown(void **state);

/* The record of a key as text, as soon as it begins with one of these letters; or as it is in the
 * end. */
const char *domains_record(const char *key, const char *kinds);
void domains_expect_record(const char *key, char kind);

/* How far from now it is closed, in milliseconds. */
int64_t domains_closed_for(const char *key);

/* A write in three steps, between which something may happen. */
struct layer_write domains_begin(struct layer *layer, enum layer_verb verb, const char *key,
				 const char *value);
void domains_mark(struct layer *layer, struct layer_write *write);
void domains_end(struct layer *layer, struct layer_write *write);

#endif
