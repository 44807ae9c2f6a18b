#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/installed.h"

/* Puts the library in front of what is preloaded already. */
static bool preload(const char *library)
{
	const char *before = getenv("LD_PRELOAD");
	size_t n = strlen(library) + 1 + (before ? strlen(before) : 0) + 1;
	char *list;
	bool done;

	/* The dynamic linker splits at blanks and colons, and expands $ORIGIN and the like. */
	if (strpbrk(library, " \t\n:$")) {
		cli_error("\"%s\" cannot be preloaded: blanks, ':' or '$' in its path", library);
		return false;
	}
	list = malloc(n);
	if (!list) {
		cli_error("%m");
		return false;
	}
	snprintf(list, n, "%s%s%s", library, before && *before ? ":" : "", before ? before : "");
	done = setenv("LD_PRELOAD", list, 1) == 0;
	if (!done) {
		cli_error("%m");
	}
	free(list);
	return done;
}

static bool pass_configuration(const struct cli_options *options)
{
	if (options->file && setenv("TOWER_CONFIG", options->file, 1) != 0) {
		cli_error("%m");
		return false;
	}
	for (size_t i = 0; i < options->n_options; i++) {
		const char *option = options->options[i];
		char name[64];

		config_environment_name(config_find(option), name);
		if (setenv(name, strchr(option, '=') + 1, 1) != 0) {
			cli_error("%m");
			return false;
		}
	}
	return true;
}

/* The command behind an optional "--", or NULL after an error. */
static char **find_program(int argc, char **argv)
{
	bool dashes = argc > 1 && strcmp(argv[1], "--") == 0;
	char **program = argv + (dashes ? 2 : 1);

	if (*program && !dashes && (*program)[0] == '-') {
		cli_error("run: no option %s; see `tower run --help`", *program);
		return NULL;
	}
	if (!*program) {
		cli_error("run: no command; see `tower run --help`");
		return NULL;
	}
	return program;
}

int cli_run(const struct cli_options *options, int argc, char **argv)
{
	struct cli_options absolute = *options;
	struct config config;
	char file[PATH_MAX];
	char library[PATH_MAX];
	char **program = find_program(argc, argv);
	bool missing;

	if (!program) {
		return CLI_USAGE;
	}
	if (options->file) {
		if (!installed_absolute(options->file, file, sizeof(file))) {
			cli_error("%s: no absolute path", options->file);
			return CLI_FAILED;
		}
		absolute.file = file;
	}
	if (!cli_load_config_to_run(&absolute, &config) ||
	    !installed_library(library, sizeof(library)) || !preload(library) ||
	    !pass_configuration(&absolute)) {
		return CLI_FAILED;
	}
	execvp(*program, program);
	missing = errno == ENOENT;
	cli_error("%s: %m", *program);
	return missing ? CLI_NOT_FOUND : CLI_CANNOT_EXECUTE;
}
