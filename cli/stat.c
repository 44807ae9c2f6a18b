/* tower stat: what the layers have done in a domain. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/rates.h"
#include "cli/snapshot.h"
#include "cli/stat_print.h"
#include "cli/switch.h"

#define HOME_AND_CLEAR "\033[H\033[J"

struct arguments {
	struct stat_filter filter;
	bool json;
	int64_t every_ns; /* 0: once */
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

static bool parse(int argc, char **argv, struct arguments *ret)
{
	for (int i = 1; i < argc; i++) {
		const char *value = "";

		if (strcmp(argv[i], "--json") == 0) {
			ret->json = true;
		} else if (cli_takes_value(argc, argv, &i, "--pid", &value)) {
			if (!parse_pid(value, &ret->filter.pid)) {
				return false;
			}
		} else if (cli_takes_value(argc, argv, &i, "--layer", &value)) {
			if (!parse_layer(value, &ret->filter.layer)) {
				return false;
			}
		} else if (cli_takes_value(argc, argv, &i, "--watch", &value)) {
			if (!cli_parse_time("stat: --watch", value, &ret->every_ns)) {
				return false;
			}
		} else {
			cli_error("stat: what is '%s'? It takes --json, --watch TIME, --pid PID, "
				  "--layer NAME",
				  argv[i]);
			return false;
		}
	}
	return true;
}

static int print(const struct stats_snapshot *snapshot, const struct arguments *arguments)
{
	if (arguments->filter.pid && !rates_process(snapshot, arguments->filter.pid)) {
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

static int print_nothing(const struct config *config, const struct arguments *arguments)
{
	struct stats_snapshot *nothing;
	int status = CLI_FAILED;

	if (!arguments->json && !arguments->filter.pid) {
		printf("nothing has run in domain %s yet; %s\n", config->tower_name,
		       switch_text(arguments->filter.off));
		return CLI_OK;
	}
	nothing = snapshot_of_nothing(config);
	if (nothing) {
		status = print(nothing, arguments);
		stats_snapshot_free(&nothing);
	}
	return status;
}

/* *last: what was printed last time, or NULL; owned by the caller and exchanged. */
static int print_once(const struct config *config, struct arguments *arguments,
		      struct stats_snapshot **last)
{
	struct stats_snapshot *snapshot = NULL;
	int status = CLI_FAILED;

	switch (snapshot_take("stat", config, &snapshot)) {
	case STATS_OK:
		arguments->filter.before = *last;
		status = print(snapshot, arguments);
		break;
	case STATS_NONE:
		arguments->filter.before = NULL;
		status = print_nothing(config, arguments);
		break;
	case STATS_FOREIGN:
	case STATS_FAILED:
		break;
	}
	stats_snapshot_free(last);
	*last = snapshot;
	if (fflush(stdout) != 0 || ferror(stdout)) {
		cli_error("stat: cannot write: %s", strerror(errno));
		clearerr(stdout); /* it is said */
		status = CLI_FAILED;
	}
	return status;
}

/* False where there is nothing to wait for. */
static bool pause_for(int64_t ns)
{
	const struct timespec time = { .tv_sec = ns / CLOCK_NS_PER_S,
				       .tv_nsec = ns % CLOCK_NS_PER_S };

	return ns && (nanosleep(&time, NULL) == 0 || errno == EINTR);
}

int cli_stat(const struct cli_options *options, int argc, char **argv)
{
	struct arguments arguments = { 0 };
	struct stats_snapshot *last = NULL;
	struct config config;
	int status;

	if (!parse(argc, argv, &arguments)) {
		return CLI_USAGE;
	}
	if (!cli_load_config(options, &config)) {
		return CLI_FAILED;
	}
	arguments.filter.config = &config;
	do {
		arguments.filter.off = switch_read(&config);
		if (arguments.every_ns && !arguments.json && isatty(STDOUT_FILENO)) {
			fputs(HOME_AND_CLEAR, stdout);
		}
		status = print_once(&config, &arguments, &last);
	} while (status == CLI_OK && pause_for(arguments.every_ns));
	stats_snapshot_free(&last);
	return status;
}
