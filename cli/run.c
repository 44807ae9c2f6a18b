#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/env.h"
#include "cli/cli.h"

#define LIBRARY "libtower.so"

/* A path as seen from any folder: the command may change its own. */
static bool make_absolute(const char *path, char *ret_path, size_t n)
{
	char folder[PATH_MAX];
	int used;

	if (path[0] == '/') {
		used = snprintf(ret_path, n, "%s", path);
	} else if (getcwd(folder, sizeof(folder))) {
		used = snprintf(ret_path, n, "%s/%s", folder, path);
	} else {
		return false;
	}
	return used >= 0 && (size_t)used < n;
}

static bool is_library(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, R_OK) == 0;
}

/* The folder of this executable, or the empty text. */
static void own_folder(char *ret_folder, size_t n)
{
	ssize_t length = readlink("/proc/self/exe", ret_folder, n - 1);
	char *slash;

	ret_folder[length > 0 ? length : 0] = '\0';
	slash = strrchr(ret_folder, '/');
	if (slash) {
		*slash = '\0';
	}
}

static bool find_library(char *ret_path, size_t n)
{
	static const char *const elsewhere[] = {
		"/usr/local/lib/tower/" LIBRARY,
		"/usr/lib/tower/" LIBRARY,
	};
	const char *named = env_get("LIBRARY");
	char folder[PATH_MAX - 64]; /* room for what is put behind it */

	if (named) {
		if (make_absolute(named, ret_path, n) && is_library(ret_path)) {
			return true;
		}
		cli_error("TOWER_LIBRARY = \"%s\": no such library", named);
		return false;
	}
	own_folder(folder, sizeof(folder));
	snprintf(ret_path, n, "%s/" LIBRARY, folder);
	if (is_library(ret_path)) {
		return true;
	}
	snprintf(ret_path, n, "%s/../lib/tower/" LIBRARY, folder);
	if (is_library(ret_path)) {
		return true;
	}
	for (size_t i = 0; i < sizeof(elsewhere) / sizeof(elsewhere[0]); i++) {
		snprintf(ret_path, n, "%s", elsewhere[i]);
		if (is_library(ret_path)) {
			return true;
		}
	}
	cli_error(LIBRARY " is neither in %s nor in %s/../lib/tower, /usr/local/lib/tower or "
			  "/usr/lib/tower; TOWER_LIBRARY can name it",
		  folder, folder);
	return false;
}

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
		if (!make_absolute(options->file, file, sizeof(file))) {
			cli_error("%s: no absolute path", options->file);
			return CLI_FAILED;
		}
		absolute.file = file;
	}
	if (!cli_load_config(&absolute, &config) || !find_library(library, sizeof(library)) ||
	    !preload(library) || !pass_configuration(&absolute)) {
		return CLI_FAILED;
	}
	execvp(*program, program);
	missing = errno == ENOENT;
	cli_error("%s: %m", *program);
	return missing ? CLI_NOT_FOUND : CLI_CANNOT_EXECUTE;
}
