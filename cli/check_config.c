#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

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
	if (!cli_load_config(options, &config)) {
		return CLI_FAILED;
	}
	config_print(&config, stdout);
	return CLI_OK;
}
