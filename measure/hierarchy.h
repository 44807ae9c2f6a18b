/*
 * hierarchy.h - what a workload is run against: plain libmemcached, or a tower with its
 * configuration.
 *
 * One thread.
 */
#ifndef TOWER_MEASURE_HIERARCHY_H
#define TOWER_MEASURE_HIERARCHY_H

#include <stdbool.h>
#include <stddef.h>

#include "core/config.h"

#define HIERARCHIES_MAX 16
#define HIERARCHY_NAME_MAX 64
#define HIERARCHY_SETTINGS_MAX 1024
#define HIERARCHY_WHY_MAX (CONFIG_WHY_MAX + 128)

struct hierarchy {
	char name[HIERARCHY_NAME_MAX];
	bool plain; /* nothing is preloaded, and config means nothing */
	struct config config;
};

/* The names that hierarchy_named() knows, for messages. */
extern const char hierarchy_names[];

/*
 * One of the built-in hierarchies over a configuration that was loaded.  False where there
 * is none of that name.
 */
bool hierarchy_named(const char *name, const struct config *config, struct hierarchy *ret);

/*
 * "NAME:section.key=value,...", over memory+memcached.  A comma separates settings only
 * where one follows.  False: ret_why (HIERARCHY_WHY_MAX bytes) says why.
 */
bool hierarchy_variant(const char *text, const struct config *config, struct hierarchy *ret,
		       char *ret_why);

/* Whether it needs a Redis. */
bool hierarchy_has_redis(const struct hierarchy *hierarchy);

/* Keys that are not at their default, "section.key=value" separated by blanks; empty if plain. */
void hierarchy_describe(const struct hierarchy *hierarchy, char *ret_text, size_t n);

#endif
