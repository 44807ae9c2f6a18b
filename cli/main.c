#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/env.h"
#include "base/log.h"
#include "base/version.h"
#include "cli/cli.h"

typedef enum config_status config_loader(struct config *ret, const char *file, char *ret_why);

struct command {
	const char *name;
	int (*run)(const struct cli_options *options, int argc, char **argv);
	bool wraps; /* another command follows, whose options are not ours */
	const char *help;
};

static const struct command commands[] = {
	{ "run", cli_run, true,
	  "usage: tower run [-c FILE] [-o section.key=value]... [--] COMMAND...\n"
	  "\n"
	  "Runs COMMAND under libtower.  Its exit status and signals are COMMAND's own;\n"
	  "127: it was not found, 126: it could not be executed, 1: the configuration is\n"
	  "wrong or libtower.so is missing, 2: usage.  With a wrong configuration COMMAND is\n"
	  "not started; under TOWER_DISABLE=1 it is, without tower.\n" },
	{ "check-config", cli_check_config, false,
	  "usage: tower check-config [-c FILE] [-o section.key=value]...\n"
	  "       tower check-config --example\n"
	  "\n"
	  "Prints the effective configuration, and for each key where it came from.  Exits\n"
	  "with 1 where something is wrong, with 2 where it is an option -o.  --example prints "
	  "all\n"
	  "keys at their defaults.\n" },
	{ "stat", cli_stat, false,
	  "usage: tower stat [-c FILE] [-o section.key=value]... [--json] [--watch TIME]\n"
	  "                  [--pid PID] [--layer NAME]\n"
	  "\n"
	  "Prints the statistics of the domain that the configuration names, of one process\n"
	  "or of one layer (memory, memcached, redis).\n"
	  "\n"
	  "  --json        for programs\n"
	  "  --watch TIME  again every TIME (1s, 500ms), until it is interrupted\n" },
	{ "top", cli_top, false,
	  "usage: tower top [-c FILE] [-o section.key=value]... [--every TIME]\n"
	  "\n"
	  "Shows what goes on in the domain, on the whole terminal: who answers how many reads,\n"
	  "how fast, and the processes.  h shows the keys, q quits.  NO_COLOR=1 in the\n"
	  "environment takes the colours away.\n"
	  "\n"
	  "  --every TIME  looks every TIME (500ms) instead of every second\n" },
	{ "metrics", cli_metrics, false,
	  "usage: tower metrics [-c FILE] [-o section.key=value]... [--output FILE]\n"
	  "                     [--listen [ADDRESS:]PORT]\n"
	  "\n"
	  "Prints the statistics of the domain as Prometheus reads them.\n"
	  "\n"
	  "  --output FILE          into a file, for the textfile collector\n"
	  "  --listen ADDRESS:PORT  answers http://ADDRESS:PORT/metrics until it is ended, and a\n"
	  "                         browser at http://ADDRESS:PORT/ with charts of what goes on;\n"
	  "                         9410 is the usual port, 127.0.0.1 (without ADDRESS) asks\n"
	  "                         this host alone\n" },
	{ "explain", cli_explain, true,
	  "usage: tower explain [-c FILE] [-o section.key=value]... [--output=FILE] [--] "
	  "COMMAND...\n"
	  "\n"
	  "Runs COMMAND under libtower, and says when it has ended what tower did for it: who\n"
	  "answered its reads, what that saved and what would have saved more, what went to\n"
	  "memcached as it was and why, what it called.  On stderr; the exit status and\n"
	  "signals are COMMAND's own.\n"
	  "\n"
	  "  --output=FILE  into a file instead\n" },
	{ "key", cli_key, false,
	  "usage: tower key [-c FILE] [-o section.key=value]... [--server ADDRESS] KEY\n"
	  "\n"
	  "Says where a key is now, with its size and the time it has left.  KEY is as memcached\n"
	  "sees it, the program's namespace in front of it included.\n"
	  "\n"
	  "  --server ADDRESS  the program's memcached that the key maps to: HOST:PORT or the\n"
	  "                    path of a socket (localhost:11211)\n" },
	{ "sim", cli_sim, false,
	  "usage: tower sim [-c FILE] [-o section.key=value]... --trace FILE --format FORMAT\n"
	  "                 [--policy LIST] [--size LIST] [--exact] [--sample RATE] [--seed N]\n"
	  "                 [--value-bytes N] [--key-bytes N] [--ttl TIME] [--fill gets|writes]\n"
	  "                 [--layers LIST] [--latency LIST] [--measured] [--threads N] [--json]\n"
	  "\n"
	  "Plays a trace of requests to caches of several policies and sizes, and prints their "
	  "hit\n"
	  "ratios and the smallest one that has 99 % of the hits of the best.\n"
	  "\n"
	  "  --trace FILE       may be compressed (.gz, .xz, .zst, .bz2); -: standard input\n"
	  "  --format FORMAT    be32, be64, adaptsize, csv, keys, memcached, tower (what [trace] "
	  "path\n"
	  "                     recorded: one file, or that path for all processes' files)\n"
	  "  --policy LIST      of lru, fifo, s3fifo, opt, tower-lru, tower-s3fifo (the first "
	  "four);\n"
	  "                     tower-: as the memory layer does it\n"
	  "  --size LIST        1%: of the different keys; 500i: values; 64M: bytes, with keys\n"
	  "                     and overhead (0.1% to 100%)\n"
	  "  --exact            every request; else of more than 262144 keys a sample\n"
	  "  --sample RATE      a sample of this share of the keys, up to 1\n"
	  "  --seed N           another sample\n"
	  "  --value-bytes N    of values whose size the trace does not tell (100)\n"
	  "  --key-bytes N      of every key (20)\n"
	  "  --ttl TIME         the most that a value lives, in traces with times (for ever)\n"
	  "  --fill WHAT        gets: what misses is there then; writes: only what is written "
	  "(gets)\n"
	  "  --layers LIST      a whole tower, as memory=16M,memcached=1G,redis=8G: which layer\n"
	  "                     answers how many gets, and their mean latency\n"
	  "  --latency LIST     of asking a layer, and of what no layer has\n"
	  "                     (memory=100ns,memcached=12us,redis=15us,origin=1ms)\n"
	  "  --measured         latencies of layers from the domain's statistics\n"
	  "  --threads N        (as many as there are processors)\n"
	  "  --json             for programs\n" },
	{ "bench", cli_bench, false, cli_bench_help },
	{ "disable", cli_disable, false,
	  "usage: tower disable [-c FILE] [-o section.key=value]... [memory|redis]\n"
	  "\n"
	  "Switches a layer, or everything, off in all programs of the domain at their next\n"
	  "call, and in those that start later.  Nothing is restarted; `tower enable` switches\n"
	  "it on again.  A reboot does, too.\n" },
	{ "enable", cli_enable, false,
	  "usage: tower enable [-c FILE] [-o section.key=value]... [memory|redis]\n"
	  "\n"
	  "Switches on again what `tower disable` has switched off.  What was written\n"
	  "meanwhile is known: nothing older is served.  Of a tower that is off as a whole, a\n"
	  "layer that is named is on then, and the other one is not.\n" },
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const char usage[] =
	"usage: tower COMMAND [-c FILE] [-o section.key=value]... [ARGUMENT]...\n"
	"\n"
	"  run           run a program under libtower\n"
	"  check-config  print the effective configuration, or what is wrong with it\n"
	"  stat          print the statistics\n"
	"  top           show what goes on, on the whole terminal\n"
	"  metrics       the same for Prometheus and for browsers\n"
	"  explain       run a program, and say what tower did for it\n"
	"  key           where a key is now\n"
	"  sim           what caches would do with a trace of requests\n"
	"  bench         measure a workload against several hierarchies, with real servers\n"
	"  disable       switch a layer or everything off, in programs that run\n"
	"  enable        switch it on again\n"
	"\n"
	"  -c FILE               the configuration, instead of TOWER_CONFIG or /etc/tower.ini\n"
	"  -o section.key=value  overrules the file and the environment\n"
	"\n"
	"`tower help COMMAND` or `tower COMMAND --help` says more; `tower --version` prints the\n"
	"version.\n"
	"\n"
	"Examples:\n"
	"    tower run -- php -S 127.0.0.1:8080    a program under tower\n"
	"    tower stat --watch 1s                 what its layers serve, again every second\n"
	"    tower disable                         leave it alone, at its next call\n"
	"\n"
	"All commands work on the programs of one user and one name (-o tower.name=NAME).\n"
	"Manual: tower(1), tower.ini(5), libtower(7).\n";

void cli_error(const char *format, ...)
{
	va_list args;

	fputs("tower: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

static bool load_config(const struct cli_options *options, config_loader *loads, struct config *ret)
{
	char why[CONFIG_WHY_MAX];
	struct config config;

	if (loads(&config, options->file, why) != CONFIG_OK) {
		cli_error("%s", why);
		return false;
	}
	for (size_t i = 0; i < options->n_options; i++) {
		if (config_option(&config, options->options[i], why) != CONFIG_OK) {
			cli_error("%s", why);
			return false;
		}
	}
	*ret = config;
	return true;
}

bool cli_load_config(const struct cli_options *options, struct config *ret)
{
	return load_config(options, config_inspect, ret);
}

bool cli_load_config_to_run(const struct cli_options *options, struct config *ret)
{
	return load_config(options, config_load, ret);
}

static void refuse_command(const char *name)
{
	char list[256] = "";

	for (size_t i = 0; i < N_COMMANDS; i++) {
		size_t used = strlen(list);

		snprintf(list + used, sizeof(list) - used, "%s%s", i ? ", " : "", commands[i].name);
	}
	cli_error("\"%s\" is no command; there are %s; see `tower --help`", name, list);
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (strcmp(commands[i].name, name) == 0) {
			return &commands[i];
		}
	}
	return NULL;
}

/* A wrong -o is a matter of usage, whatever the file says: found before anything is loaded. */
static bool add_option(struct cli_options *options, const char *option)
{
	char why[CONFIG_WHY_MAX];
	struct config scratch = { 0 };

	if (options->n_options == CLI_OPTIONS_MAX) {
		cli_error("more than %d options -o", CLI_OPTIONS_MAX);
		return false;
	}
	if (config_option(&scratch, option, why) != CONFIG_OK) {
		cli_error("%s", why);
		return false;
	}
	options->options[options->n_options++] = option;
	return true;
}

/* Whether our own arguments end before this one. */
static bool ends_options(const struct command *command, const char *argument)
{
	return strcmp(argument, "--") == 0 || (command->wraps && argument[0] != '-');
}

/* Moves -c and -o out of argv into *options. */
static bool take_options(const struct command *command, struct cli_options *options, int *argc,
			 char **argv)
{
	int n = 1;
	int i = 1;

	for (; i < *argc && !ends_options(command, argv[i]); i++) {
		const char *argument = argv[i];
		bool is_file = strncmp(argument, "-c", 2) == 0;
		const char *value = argument + 2;

		if (!is_file && strncmp(argument, "-o", 2) != 0) {
			argv[n++] = argv[i];
			continue;
		}
		if (*value == '\0') {
			value = argv[++i];
		}
		if (!value) {
			cli_error("%s needs a value; see `tower %s --help`", argument,
				  command->name);
			return false;
		}
		if (is_file) {
			options->file = value;
		} else if (!add_option(options, value)) {
			return false;
		}
	}
	while (i < *argc) {
		argv[n++] = argv[i++];
	}
	argv[n] = NULL;
	*argc = n;
	return true;
}

static bool wants_help(const struct command *command, char **argv)
{
	for (char **argument = argv + 1; *argument; argument++) {
		if (ends_options(command, *argument)) {
			return false;
		}
		if (strcmp(*argument, "--help") == 0 || strcmp(*argument, "-h") == 0) {
			return true;
		}
	}
	return false;
}

/* The help has all options: what it does not name is none for the command, either.
 */
static bool check_options(const struct command *command, int argc, char **argv)
{
	for (int i = 1; i < argc && !ends_options(command, argv[i]); i++) {
		int n = (int)strcspn(argv[i], "=");
		enum cli_option option = CLI_OPTION_NONE;
		const char *wrong = NULL;

		if (strncmp(argv[i], "--", 2) != 0) {
			continue;
		}
		option = cli_option_of(command->help, argv[i], (size_t)n);
		if (option == CLI_OPTION_NONE) {
			wrong = "is no option";
		} else if (option == CLI_OPTION_FLAG && argv[i][n] == '=') {
			wrong = "takes no value";
		} else if (option == CLI_OPTION_WITH_VALUE && argv[i][n] == '\0' && ++i == argc) {
			wrong = "needs a value";
			i--;
		}
		if (wrong) {
			cli_error("%s: %.*s %s; see `tower %s --help`", command->name, n, argv[i],
				  wrong, command->name);
			return false;
		}
	}
	return true;
}

static int run_command(const struct command *command, int argc, char **argv)
{
	struct cli_options options = { 0 };

	if (wants_help(command, argv)) {
		fputs(command->help, stdout);
		return CLI_OK;
	}
	if (!take_options(command, &options, &argc, argv) || !check_options(command, argc, argv)) {
		return CLI_USAGE;
	}
	return command->run(&options, argc, argv);
}

/* tower help [COMMAND] */
static int help(int argc, char **argv)
{
	const struct command *command = argc > 2 ? find_command(argv[2]) : NULL;

	if (argc > 2 && !command) {
		refuse_command(argv[2]);
		return CLI_USAGE;
	}
	fputs(command ? command->help : usage, stdout);
	return CLI_OK;
}

static int dispatch(int argc, char **argv)
{
	const struct command *command;

	if (argc < 2) {
		fputs(usage, stderr);
		return CLI_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		fputs(usage, stdout);
		return CLI_OK;
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts("tower " TOWER_VERSION);
		return CLI_OK;
	}
	if (strcmp(argv[1], "help") == 0) {
		return help(argc, argv);
	}
	command = find_command(argv[1]);
	if (!command) {
		refuse_command(argv[1]);
		return CLI_USAGE;
	}
	return run_command(command, argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
	int status;

	env_capture(environ);
	log_remember_stderr();
	status = dispatch(argc, argv);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		cli_error("cannot write: %m");
		return status == CLI_OK ? CLI_FAILED : status;
	}
	return status;
}
