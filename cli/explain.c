/* tower explain: runs a program, and says at its end what the tower did for it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/explain_print.h"
#include "cli/snapshot.h"
#include "cli/switch.h"

/* Of which a read that comes again is known for one. */
#define REMEMBER "stats.remember_evicted=64K"

#define PATH "stats.path=/dev/shm/tower-explain-%u-%d"

/*
 * The program counts in a file of its own, so that nothing else is in it; its domain is
 * the configured one.
 */
struct explained {
	struct cli_options options;
	char path[CONFIG_TEXT_MAX]; /* as an option */
	const char *output;	    /* NULL: stderr */
	pid_t child;
};

static volatile sig_atomic_t child_of_signals;

/* Who ends us means the program. */
static void pass_on(int signal)
{
	int before = errno;

	if (child_of_signals) {
		kill((pid_t)child_of_signals, signal);
	}
	errno = before;
}

/* The place of the command, or 0: wrong. */
static int parse(int argc, char **argv, struct explained *ret)
{
	int i = 1;

	for (; i < argc && strcmp(argv[i], "--") != 0 && argv[i][0] == '-'; i++) {
		if (!cli_takes_value(argc, argv, &i, "--output", &ret->output)) {
			cli_error("explain: no option %s; see `tower explain --help`", argv[i]);
			return 0;
		}
	}
	if (i < argc && strcmp(argv[i], "--") == 0) {
		i++;
	}
	if (i >= argc) {
		cli_error("explain: no command; see `tower explain --help`");
		return 0;
	}
	return i;
}

static bool add_options(struct explained *explained, const struct cli_options *options)
{
	struct cli_options *own = &explained->options;

	*own = *options;
	if (own->n_options + 3 > CLI_OPTIONS_MAX) {
		cli_error("more than %d options -o", CLI_OPTIONS_MAX - 3);
		return false;
	}
	snprintf(explained->path, sizeof(explained->path), PATH, (unsigned)getuid(), (int)getpid());
	own->options[own->n_options++] = explained->path;
	own->options[own->n_options++] = "stats.enabled=yes";
	own->options[own->n_options++] = REMEMBER;
	return true;
}

/*
 * Ctrl-C is the program's: what is to be said is said when it has ended.  Answers the
 * program's process, or -1; *ret_began is false where it could not be executed.
 */
static pid_t start(const struct explained *explained, int argc, char **argv, bool *ret_began)
{
	static const int ours[] = { SIGINT, SIGQUIT, SIGTERM, SIGHUP };
	struct sigaction before[4];
	const struct sigaction ignore = { .sa_handler = SIG_IGN };
	const struct sigaction pass = { .sa_handler = pass_on };
	sigset_t all, mask;
	ssize_t n;
	int ends[2];
	char byte = 0;
	pid_t child;

	if (pipe2(ends, O_CLOEXEC) != 0) {
		return -1;
	}
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &mask);
	for (int i = 0; i < 4; i++) {
		sigaction(ours[i], i < 2 ? &ignore : &pass, &before[i]);
	}
	child = fork();
	if (child == 0) {
		for (int i = 0; i < 4; i++) {
			sigaction(ours[i], &before[i], NULL);
		}
		sigprocmask(SIG_SETMASK, &mask, NULL);
		/* Comes back only where the program did not begin. */
		byte = (char)cli_run(&explained->options, argc, argv);
		n = write(ends[1], &byte, 1);
		(void)n;
		_exit((unsigned char)byte);
	}
	child_of_signals = child > 0 ? child : 0;
	sigprocmask(SIG_SETMASK, &mask, NULL);
	close(ends[1]);
	do {
		n = read(ends[0], &byte, 1);
	} while (n < 0 && errno == EINTR);
	close(ends[0]);
	*ret_began = n == 0;
	return child;
}

static int wait_for(pid_t child)
{
	int status = 0;

	while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
	}
	child_of_signals = 0;
	return status;
}

static bool print_report(const struct explained *explained, const struct config *config,
			 const struct explain_run *run)
{
	struct stats_snapshot *snapshot = NULL;
	enum stats_status status = snapshot_take("explain", config, &snapshot);
	FILE *out = explained->output ? fopen(explained->output, "we") : stderr;
	bool well = false;

	if (status == STATS_NONE) {
		snapshot = snapshot_of_nothing(config);
	}
	if (out == NULL) {
		cli_error("explain: %s cannot be written: %s", explained->output, strerror(errno));
	} else if (snapshot) {
		explain_print(snapshot, config, run, out);
		well = !ferror(out);
	}
	if (out && out != stderr && fclose(out) != 0) {
		cli_error("explain: %s cannot be written: %s", explained->output, strerror(errno));
		well = false;
	}
	stats_snapshot_free(&snapshot);
	return well;
}

/* As the program ended, so do we. */
static int end_as(int status)
{
	const struct sigaction usual = { .sa_handler = SIG_DFL };
	const struct rlimit none = { 0, 0 };

	if (!WIFSIGNALED(status)) {
		return WEXITSTATUS(status);
	}
	fflush(NULL);
	setrlimit(RLIMIT_CORE, &none);
	sigaction(WTERMSIG(status), &usual, NULL);
	raise(WTERMSIG(status));
	return 128 + WTERMSIG(status);
}

int cli_explain(const struct cli_options *options, int argc, char **argv)
{
	struct explained explained = { 0 };
	int at = parse(argc, argv, &explained);
	struct explain_run run = { 0 };
	struct config config;
	int64_t began_ns;
	bool began = false;
	int before;

	if (at == 0) {
		return CLI_USAGE;
	}
	if (!add_options(&explained, options) ||
	    !cli_load_config_to_run(&explained.options, &config)) {
		return CLI_FAILED;
	}
	run.command = argv + at;
	began_ns = clock_now_ns();
	/* As `tower run [--] COMMAND` has them; the first is not looked at. */
	before = strcmp(argv[at - 1], "--") == 0 ? 2 : 1;
	explained.child = start(&explained, argc - at + before, argv + at - before, &began);
	if (explained.child < 0) {
		cli_error("explain: %s", strerror(errno));
		return CLI_FAILED;
	}
	run.status = wait_for(explained.child);
	run.seconds = (double)(clock_now_ns() - began_ns) / CLOCK_NS_PER_S;
	/* Who reads the report may have left: the file is removed, and the status is the program's.
	 */
	signal(SIGPIPE, SIG_IGN);
	run.off = switch_read(&config);
	if (began && !print_report(&explained, &config, &run)) {
		cli_error("explain: the report could not be made");
	}
	unlink(strchr(explained.path, '=') + 1);
	return end_as(run.status);
}
