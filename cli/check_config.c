#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "layers/redis.h"

/* What a program would find out when it starts, beyond what the values say. */
static bool can_start(const struct config *config)
{
	const struct redis_options login = {
		.url = config->redis_url,
		.password_file = config->redis_password_file,
	};
	const char *why =
		config->tower_layers & CONFIG_LAYER_REDIS ? redis_why_no_login(&login) : NULL;

	if (why) {
		cli_error("redis: %s", why);
	}
	return why == NULL;
}

int cli_check_config(const struct cli_options *options, int argc, char **argv)
{
	struct config config;

	if (argc == 2 && strcmp(argv[1], "--example") == 0) {
		config_print_example(stdout);
		return CLI_OK;
	}
	if (argc > 1) {
		cli_error("check-config: \"%s\" not understood; see `tower check-config --help`",
			  argv[1]);
		return CLI_USAGE;
	}
	if (!cli_load_config(options, &config) || !can_start(&config)) {
		return CLI_FAILED;
	}
	config_print(&config, stdout);
	return CLI_OK;
}
