/*
 * snapshot.h - the statistics of the domain, for commands that show them.
 */
#ifndef TOWER_CLI_SNAPSHOT_H
#define TOWER_CLI_SNAPSHOT_H

#include "core/config.h"
#include "core/stats_snapshot.h"

/*
 * As stats_snapshot_take(), of the domain that the configuration names.  What went
 * wrong is then on stderr, but for STATS_NONE.
 */
enum stats_status snapshot_take(const char *command, const struct config *config,
				struct stats_snapshot **ret);

/* One of a domain in which nothing has run, to be freed by the caller; NULL without memory. */
struct stats_snapshot *snapshot_of_nothing(const struct config *config);

#endif
