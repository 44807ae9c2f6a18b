/*
 * cli.h - the command line `tower`: what its commands share.
 *
 * Every command takes -c FILE and -o section.key=value, reads them with
 * cli_parse(), and returns the program's exit status.  Errors go to stderr,
 * one line that begins with "tower: "; what was asked for goes to stdout.
 *
 * One thread.
 */
#ifndef TOWER_CLI_CLI_H
#define TOWER_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/config.h"

enum cli_exit {
	CLI_OK = 0,
	CLI_FAILED = 1,
	CLI_USAGE = 2,
	CLI_CANNOT_EXECUTE = 126, /* as shells do */
	CLI_NOT_FOUND = 127,
};

/* More -o than there are keys would only repeat themselves. */
#define CLI_OPTIONS_MAX 128

/* What every command accepts.  All strings are borrowed from argv. */
struct cli_options {
	const char *file; /* -c; NULL: TOWER_CONFIG or the default */
	const char *options[CLI_OPTIONS_MAX];
	size_t n_options; /* -o, in order; the later wins */
};

/*
 * Loads the configuration that the options, the environment and the file
 * name.  False where it is wrong; the error is then already on stderr.
 */
bool cli_load_config(const struct cli_options *options, struct config *ret);

/* The same as a program that is started has it: with TOWER_DISABLE=1 nothing of it matters. */
bool cli_load_config_to_run(const struct cli_options *options, struct config *ret);

/*
 * Whether argv[*at] is "--name value" or "--name=value"; then *at is at its last
 * word.
 */
bool cli_takes_value(int argc, char **argv, int *at, const char *name, const char **ret);

/* What a usage (a help's text up to its first empty line) says of an option. */
enum cli_option { CLI_OPTION_NONE, CLI_OPTION_FLAG, CLI_OPTION_WITH_VALUE };

/* The option's name is the first n bytes of `name`. */
enum cli_option cli_option_of(const char *help, const char *name, size_t n);

/* A time from 1 ms to 1 h, as in the configuration; `what` takes it, should it be wrong. */
bool cli_parse_time(const char *what, const char *text, int64_t *ret_ns);

/* "tower: " and the text, as one line on stderr. */
__attribute__((format(printf, 1, 2))) void cli_error(const char *format, ...);

/*
 * The commands.  argv[0] is the command's name, and what follows has neither
 * -c nor -o: main() has taken them into `options`.  --help, too, is answered
 * by main().
 */
/* What `tower bench --help` prints. */
extern const char cli_bench_help[];

int cli_bench(const struct cli_options *options, int argc, char **argv);
int cli_stat(const struct cli_options *options, int argc, char **argv);
int cli_check_config(const struct cli_options *options, int argc, char **argv);
int cli_disable(const struct cli_options *options, int argc, char **argv);
int cli_enable(const struct cli_options *options, int argc, char **argv);
int cli_metrics(const struct cli_options *options, int argc, char **argv);
int cli_key(const struct cli_options *options, int argc, char **argv);
int cli_top(const struct cli_options *options, int argc, char **argv);
int cli_sim(const struct cli_options *options, int argc, char **argv);
int cli_explain(const struct cli_options *options, int argc, char **argv);
int cli_run(const struct cli_options *options, int argc, char **argv);

#endif
