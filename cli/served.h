/*
 * served.h - where the keys of a function that reads were found.
 *
 * Pure.  Counts of a program that runs may be of slightly different moments: a sum may be off by
 * what was under way.
 */
#ifndef TOWER_CLI_SERVED_H
#define TOWER_CLI_SERVED_H

#include "core/stats_snapshot.h"

/* In keys. */
struct served {
	uint64_t keys; /* that were asked for: the sum of all below */
	uint64_t layers[STATS_LAYERS_MAX];
	uint64_t nowhere; /* every layer that was asked said so */
	uint64_t passed;  /* asked of memcached as they were */
	uint64_t failed;  /* a layer that was asked could not say */
	uint64_t unknown; /* not fetched to the end, or the process was ended before */
};

/* Function number `call` of the snapshot; false where it reads no keys. */
bool served_of(const struct stats_snapshot *snapshot, const struct stats_values *values,
	       unsigned call, struct served *ret);

#endif
