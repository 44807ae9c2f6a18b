#include "cli/snapshot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

enum stats_status snapshot_take(const char *command, const struct config *config,
				struct stats_snapshot **ret)
{
	char path[CONFIG_TEXT_MAX];
	enum stats_status status;

	config_stats_path(config, path, sizeof(path));
	status = stats_snapshot_take(path, ret);
	if (status == STATS_FOREIGN) {
		cli_error("%s: %s belongs to somebody else, is open to others, is of another "
			  "version or was truncated",
			  command, path);
	} else if (status == STATS_FAILED) {
		cli_error("%s: %s: %s", command, path, strerror(errno));
	}
	return status;
}

struct stats_snapshot *snapshot_of_nothing(const struct config *config)
{
	struct stats_snapshot *nothing = calloc(1, sizeof(*nothing));

	if (nothing) {
		snprintf(nothing->domain, sizeof(nothing->domain), "%.*s", STATS_DOMAIN_MAX - 1,
			 config->tower_name);
	}
	return nothing;
}
