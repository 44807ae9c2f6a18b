/* tower stat: what the layers have done in a domain. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/stat_print.h"

struct arguments {
	struct stat_filter filter;
	bool json;
};

static bool parse_pid(const char *text, pid_t *ret)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 10);
	if (errno || end == text || *end || n <= 0 || n > INT32_MAX) {
		cli_error("stat: --pid takes the number of a process, not '%s'", text);
		return false;
	}
	*ret = (pid_t)n;
	return true;
}

static bool parse_layer(const char *text, const char **ret)
{
	for (unsigned i = 0; i < STATS_LAYERS_MAX; i++) {
		if (strcmp(text, stats_layer_names[i]) == 0) {
			*ret = stats_layer_names[i];
			return true;
		}
	}
	cli_error("stat: no layer '%s': there are memory, memcached, redis", text);
	return false;
}

/*
 * Whether argv[*at] is "--name value" or "--name=value"; then *at is at its last
 * word.
 */
static bool takes_value(int argc, char **argv, int *at, const char *name, const char **ret)
{
	size_t n = strlen(name);
	const char *word = argv[*at];

	if (strncmp(word, name, n) != 0) {
		return false;
	}
	if (word[n] == '=') {
		*ret = word + n + 1;
		return true;
	}
	if (word[n] != '\0' || *at + 1 == argc) {
		return false;
	}
	*ret = argv[++*at];
	return true;
}

static bool parse(int argc, char **argv, struct arguments *ret)
{
	for (int i = 1; i < argc; i++) {
		const char *value = "";

		if (strcmp(argv[i], "--json") == 0) {
			ret->json = true;
		} else if (takes_value(argc, argv, &i, "--pid", &value)) {
			if (!parse_pid(value, &ret->filter.pid)) {
				return false;
			}
		} else if (takes_value(argc, argv, &i, "--layer", &value)) {
			if (!parse_layer(value, &ret->filter.layer)) {
				return false;
			}
		} else {
			cli_error("stat: what is '%s'? It takes --json, --pid PID, --layer NAME",
				  argv[i]);
			return false;
		}
	}
	return true;
}

static int print(const struct stats_snapshot *snapshot, const struct arguments *arguments)
{
	if (arguments->filter.pid && !stat_find(snapshot, arguments->filter.pid)) {
		cli_error("stat: process %d does not count in domain %s",
			  (int)arguments->filter.pid, snapshot->domain);
		return CLI_FAILED;
	}
	if (arguments->json) {
		stat_print_json(snapshot, &arguments->filter, stdout);
	} else {
		stat_print_table(snapshot, &arguments->filter, stdout);
	}
	return CLI_OK;
}

static int print_nothing(const char *domain, const struct arguments *arguments)
{
	static struct stats_snapshot nothing;

	if (!arguments->json && !arguments->filter.pid) {
		printf("nothing has run in domain %s yet\n", domain);
		return CLI_OK;
	}
	snprintf(nothing.domain, sizeof(nothing.domain), "%.*s", STATS_DOMAIN_MAX - 1, domain);
	return print(&nothing, arguments);
}

static int stat_path(const char *path, const char *domain, const struct arguments *arguments)
{
	struct stats_snapshot *snapshot;
	int status = CLI_FAILED;

	switch (stats_snapshot_take(path, &snapshot)) {
	case STATS_OK:
		status = print(snapshot, arguments);
		stats_snapshot_free(&snapshot);
		break;
	case STATS_NONE:
		status = print_nothing(domain, arguments);
		break;
	case STATS_FOREIGN:
		cli_error("stat: %s belongs to somebody else, is open to others, is of another "
			  "version or was truncated",
			  path);
		break;
	case STATS_FAILED:
		cli_error("stat: %s: %s", path, strerror(errno));
		break;
	}
	if (fflush(stdout) != 0 || ferror(stdout)) {
		cli_error("stat: cannot write: %s", strerror(errno));
		status = CLI_FAILED;
	}
	return status;
}

int cli_stat(const struct cli_options *options, int argc, char **argv)
{
	struct arguments arguments = { 0 };
	struct config config;
	char path[CONFIG_TEXT_MAX];

	if (!parse(argc, argv, &arguments)) {
		return CLI_USAGE;
	}
	if (!cli_load_config(options, &config)) {
		return CLI_FAILED;
	}
	config_stats_path(&config, path, sizeof(path));
	return stat_path(path, config.tower_name, &arguments);
}
