/*
 * candidate.h - what a workload is run against: plain libmemcached, or a tower with its
 * configuration.
 *
 * One thread.
 */
#ifndef TOWER_MEASURE_HIERARCHY_H
#define TOWER_MEASURE_HIERARCHY_H

#include <stdbool.h>
#include <stddef.h>

#include "core/config.h"

#define CANDIDATES_MAX 16
#define CANDIDATE_NAME_MAX 64
#define CANDIDATE_SETTINGS_MAX 1024
#define CANDIDATE_WHY_MAX (CONFIG_WHY_MAX + 128)

struct candidate {
	char name[CANDIDATE_NAME_MAX];
	bool plain; /* nothing is preloaded, and config means nothing */
	struct config config;
};

/* The names that candidate_named() knows, for messages. */
extern const char candidate_names[];

/*
 * One of the built-in hierarchies over a configuration that was loaded.  False where there
 * is none of that name.
 */
bool candidate_named(const char *name, const struct config *config, struct candidate *ret);

/*
 * "NAME:section.key=value,...", over memory+memcached.  A comma separates settings only
 * where one follows.  False: ret_why (CANDIDATE_WHY_MAX bytes) says why.
 */
bool candidate_variant(const char *text, const struct config *config, struct candidate *ret,
		       char *ret_why);

/* Whether it needs a Redis. */
bool candidate_has_redis(const struct candidate *candidate);

/* Keys that are not at their default, "section.key=value" separated by "; "; empty if plain. */
void candidate_describe(const struct candidate *candidate, char *ret_text, size_t n);

#endif
