/* Is the command line right: what is printed where, and with which exit status? */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/version.h"

static char tower[PATH_MAX];
static char harmless[PATH_MAX]; /* a library that every program has loaded anyway */
static char folder[] = "/tmp/tower-test-cli-XXXXXX";

/* What the last tower() did. */
static char output[65536];
static char errors[65536];

static void read_file(const char *name, char *ret_text)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	assert_true(fd >= 0);
	n = read(fd, ret_text, 65535);
	close(fd);
	assert_true(n >= 0);
	ret_text[n] = '\0';
}

static void write_file(const char *name, const char *text, mode_t mode)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static const char *in_folder(const char *name)
{
	static char paths[4][PATH_MAX];
	static unsigned next;
	char *path = paths[next++ % 4];

	snprintf(path, PATH_MAX, "%s/%s", folder, name);
	return path;
}

static int wait_status(const char *program, const char *const *arguments,
		       const char *const *environment)
{
	posix_spawn_file_actions_t actions;
	char out[PATH_MAX];
	char err[PATH_MAX];
	int status;
	pid_t child;

	snprintf(out, sizeof(out), "%s/out", folder);
	snprintf(err, sizeof(err), "%s/err", folder);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out, O_WRONLY | O_CREAT | O_TRUNC,
					 0600);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, err, O_WRONLY | O_CREAT | O_TRUNC,
					 0600);
	assert_int_equal(posix_spawn(&child, program, &actions, NULL,
				     (char *const *)(uintptr_t)arguments,
				     (char *const *)(uintptr_t)environment),
			 0);
	posix_spawn_file_actions_destroy(&actions);
	assert_int_equal(waitpid(child, &status, 0), child);
	read_file(out, output);
	read_file(err, errors);
	return status;
}

/*
 * Without it a sanitizer's runtime, which tower may be linked with, refuses to
 * run behind anything that is preloaded.
 */
#define ANY_LINK_ORDER "ASAN_OPTIONS=verify_asan_link_order=0"

/* Runs `program` with one more variable, which may be NULL. */
static int run_program(const char *program, const char *variable, const char *const *arguments)
{
	char library[PATH_MAX + 32];
	const char *environment[] = { "PATH=/usr/bin:/bin", ANY_LINK_ORDER, library, variable,
				      NULL };

	snprintf(library, sizeof(library), "TOWER_LIBRARY=%s", harmless);
	return wait_status(program, arguments, environment);
}

#define ARGUMENTS(...) ((const char *const[]){ "tower", __VA_ARGS__, NULL })
#define RUN(...) run_program(tower, NULL, ARGUMENTS(__VA_ARGS__))
#define RUN_WITH(variable, ...) run_program(tower, variable, ARGUMENTS(__VA_ARGS__))

static void assert_exit(int status, int expected)
{
	if (!WIFEXITED(status) || WEXITSTATUS(status) != expected) {
		fail_msg("status %#x instead of exit %d; stderr: %s", (unsigned)status, expected,
			 errors);
	}
}

/* Failed as asked for, with one line about it on stderr and nothing on stdout. */
static void assert_fails(int status, int expected, const char *words)
{
	assert_exit(status, expected);
	assert_string_equal(output, "");
	assert_memory_equal(errors, "tower: ", 7);
	assert_ptr_equal(strchr(errors, '\n'), errors + strlen(errors) - 1);
	if (!strstr(errors, words)) {
		fail_msg("\"%s\" is not in: %s", words, errors);
	}
}

static void test_help_and_version__on_stdout(void **state)
{
	static const char *const commands[] = { "run", "check-config", "stat",	"metrics",
						"key", "disable",      "enable" };

	(void)state;
	assert_exit(RUN("--help"), 0);
	assert_non_null(strstr(output, "usage: tower COMMAND"));
	assert_string_equal(errors, "");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		char usage[64];

		assert_non_null(strstr(output, commands[i]));
		assert_exit(RUN(commands[i], "--help"), 0);
		snprintf(usage, sizeof(usage), "usage: tower %s ", commands[i]);
		assert_memory_equal(output, usage, strlen(usage));
		assert_exit(RUN("help", commands[i]), 0);
		assert_memory_equal(output, usage, strlen(usage));
		RUN("--help");
	}
	assert_exit(RUN("help"), 0);
	assert_non_null(strstr(output, "usage: tower COMMAND"));
	assert_exit(RUN("help", "nothing"), 2);
	assert_non_null(strstr(errors, "\"nothing\" is no command"));
	assert_exit(RUN("--version"), 0);
	assert_string_equal(output, "tower " TOWER_VERSION "\n");
}

static void test_wrong_usage__exits_2(void **state)
{
	(void)state;
	assert_exit(run_program(tower, NULL, (const char *const[]){ "tower", NULL }), 2);
	assert_string_equal(output, "");
	assert_fails(RUN("chek-config"), 2, "check-config");
	assert_fails(RUN("-c", "x"), 2, "\"-c\" is no command");
	assert_fails(RUN("check-config", "extra"), 2, "extra");
	assert_fails(RUN("check-config", "--example", "extra"), 2, "--example");
	assert_fails(RUN("check-config", "-c"), 2, "-c needs a value");
	assert_fails(RUN("run"), 2, "no command");
	assert_fails(RUN("run", "--"), 2, "no command");
	assert_fails(RUN("run", "-x", "--", "true"), 2, "-x");
	assert_fails(RUN("run", "-o"), 2, "-o needs a value");
	assert_fails(RUN("run", "-o", "memory.tll=1s", "true"), 2, "no such key");
	assert_fails(RUN("run", "-o", "memory.ttl=5x", "true"), 2, "not a time");
	assert_fails(RUN("check-config", "-omemory.ttl"), 2, "no value");
	assert_fails(RUN("stat", "--watch", "soon"), 2, "not 'soon'");
	assert_fails(RUN("stat", "--watch=0"), 2, "1ms to 1h");
	assert_fails(RUN("stat", "--pid"), 2, "stat: --pid needs a value");
	assert_fails(RUN("metrics", "--listen"), 2, "metrics: --listen needs a value");
	assert_fails(RUN("stat", "--json=1"), 2, "stat: --json takes no value");
	assert_fails(RUN("stat", "--js"), 2, "stat: --js is no option");
	assert_fails(RUN("stat", "--"), 2, "what is '--'");
}

static void test_switch__says_what_is_off_now(void **state)
{
	char path[PATH_MAX];

	(void)state;
	snprintf(path, sizeof(path), "coherence.path=%s", in_folder("slots"));
	assert_exit(RUN("disable", "-o", path, "-o", "tower.name=x"), 0);
	assert_string_equal(output, "domain x: switched off\n");
	assert_string_equal(errors, "");
	assert_exit(RUN("enable", "redis", "-o", path), 0);
	assert_string_equal(output, "domain default: memory is switched off\n");
	assert_exit(RUN("disable", "redis", "-o", path), 0);
	assert_string_equal(output, "domain default: memory and redis are switched off\n");
	assert_exit(RUN("enable", "memory", "-o", path), 0);
	assert_string_equal(output, "domain default: redis is switched off\n");
	assert_exit(RUN("enable", "-o", path), 0);
	assert_string_equal(output, "domain default: everything is switched on\n");
	assert_fails(RUN("disable", "-o", path, "-o", "coherence.slots=1024"), 1, "slots: ");
	assert_fails(RUN("disable", "-o", "coherence.mode=none"), 1, "TOWER_DISABLE=1");
	assert_fails(RUN("disable", "memcached"), 2, "\"memcached\" cannot be switched");
	assert_fails(RUN("enable", "redis", "memory"), 2, "\"memory\" not understood");
	unlink(in_folder("slots"));
}

static void test_too_many_options__are_refused(void **state)
{
	const char *arguments[2 * 200 + 3] = { "tower", "check-config" };

	(void)state;
	for (size_t i = 2; i < 2 * 200 + 2; i += 2) {
		arguments[i] = "-o";
		arguments[i + 1] = "memory.ttl=1s";
	}
	assert_fails(run_program(tower, NULL, arguments), 2, "more than");
}

static void test_check_config__prints_file_environment_and_options(void **state)
{
	const char *file = in_folder("good.ini");

	(void)state;
	write_file(file, "[memory]\nttl = 2s\nmax_items = 4\n", 0600);
	assert_exit(RUN_WITH("TOWER_MEMORY_TTL=3s", "check-config", "-c", file, "-o",
			     "tower.name=a", "-otower.name=b"),
		    0);
	assert_string_equal(errors, "");
	assert_non_null(strstr(output, "# TOWER_MEMORY_TTL\nttl = 3s\n"));
	assert_non_null(strstr(output, "good.ini:3\nmax_items = 4\n"));
	assert_non_null(strstr(output, "# -o\nname = b\n"));
	assert_exit(RUN_WITH("TOWER_TYPO=1", "check-config", "-c", file), 0);
	assert_non_null(strstr(output, "# TOWER_TYPO: unknown, ignored\n"));
}

static void test_wrong_configuration__exits_1_and_starts_nothing(void **state)
{
	const char *file = in_folder("bad.ini");
	const char *started = in_folder("started");

	(void)state;
	write_file(file, "[memory]\nttl = 5x\n", 0600);
	assert_fails(RUN("check-config", "-c", file), 1, "bad.ini:2: memory.ttl = \"5x\"");
	assert_fails(RUN("run", "-c", file, "touch", started), 1, "bad.ini:2: memory.ttl");
	assert_fails(RUN_WITH("TOWER_LOG=x", "run", "touch", started), 1, "TOWER_LOG = \"x\"");
	assert_fails(RUN("run", "-c", in_folder("none.ini"), "touch", started), 1, "none.ini");
	assert_fails(RUN_WITH("TOWER_CONFIG=/nowhere", "check-config"), 1, "/nowhere");
	assert_fails(RUN("check-config", "-o", "tower.layers=memory,memcached,redis", "-o",
			 "redis.password_file=/nowhere"),
		     1, "the password file cannot be read");
	assert_exit(RUN("check-config", "-o", "redis.password_file=/nowhere"), 0);
	assert_int_equal(access(started, F_OK), -1);
}

static void test_disabled__runs_despite_a_wrong_file(void **state)
{
	const char *file = in_folder("bad.ini");

	(void)state;
	write_file(file, "[memory]\nttl = 5x\n", 0600);
	assert_exit(RUN_WITH("TOWER_DISABLE=1", "run", "-c", file, "true"), 0);
	assert_fails(RUN_WITH("TOWER_DISABLE=1", "check-config", "-c", file), 1, "memory.ttl");
	write_file(file, "[tower]\nname = given\n", 0600);
	assert_exit(RUN_WITH("TOWER_DISABLE=1", "check-config", "-c", file), 0);
	assert_memory_equal(output, "# TOWER_DISABLE=1: tower is off", 31);
	assert_non_null(strstr(output, "\nname = given\n"));
	assert_fails(RUN_WITH("TOWER_DISABLE=on", "run", "true"), 1, "TOWER_DISABLE = \"on\"");
}

static void test_run__keeps_the_status_and_the_signal(void **state)
{
	int status;

	(void)state;
	assert_exit(RUN("run", "--", "sh", "-c", "exit 42"), 42);
	assert_exit(RUN("run", "true"), 0);
	status = RUN("run", "sh", "-c", "kill -TERM $$");
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGTERM);
	assert_fails(RUN("run", "/nowhere/program"), 127, "/nowhere/program");
	assert_fails(RUN("run", "no-such-program-at-all"), 127, "no-such-program-at-all");
	assert_fails(RUN("run", "/tmp"), 126, "/tmp");
	write_file(in_folder("plain"), "text", 0600);
	assert_fails(RUN("run", in_folder("plain")), 126, "plain");
}

static void test_run__leaves_the_command_its_options(void **state)
{
	(void)state;
	assert_exit(RUN("run", "echo", "-c", "x", "-o", "--help", "--"), 0);
	assert_string_equal(output, "-c x -o --help --\n");
	assert_exit(RUN("run", "--", "echo", "--", "-n"), 0);
	assert_string_equal(output, "-- -n\n");
	assert_string_equal(errors, "");
}

static void test_run__preloads_in_front_of_what_is_there(void **state)
{
	char expected[2 * PATH_MAX + 32];
	char variable[PATH_MAX + 32];

	(void)state;
	assert_exit(RUN("run", "sh", "-c", "echo $LD_PRELOAD"), 0);
	snprintf(expected, sizeof(expected), "%s\n", harmless);
	assert_string_equal(output, expected);

	snprintf(variable, sizeof(variable), "LD_PRELOAD=%s", harmless);
	assert_exit(RUN_WITH(variable, "run", "sh", "-c", "echo $LD_PRELOAD"), 0);
	snprintf(expected, sizeof(expected), "%s:%s\n", harmless, harmless);
	assert_string_equal(output, expected);

	assert_exit(RUN_WITH("LD_PRELOAD=", "run", "sh", "-c", "echo $LD_PRELOAD"), 0);
	snprintf(expected, sizeof(expected), "%s\n", harmless);
	assert_string_equal(output, expected);
}

static void test_run__passes_the_configuration_on(void **state)
{
	static const char script[] = "cd /; echo $TOWER_CONFIG $TOWER_MEMORY_TTL $TOWER_NAME";
	char expected[PATH_MAX + 32];
	char real_folder[PATH_MAX];
	char before[PATH_MAX];

	(void)state;
	write_file(in_folder("good.ini"), "[memory]\nttl = 2s\n", 0600);
	assert_non_null(getcwd(before, sizeof(before)));
	assert_non_null(realpath(folder, real_folder));
	assert_int_equal(chdir(folder), 0);
	assert_exit(RUN_WITH("TOWER_NAME=x", "run", "-c", "good.ini", "-o", "memory.ttl=7s", "-o",
			     "tower.name=y", "--", "sh", "-c", script),
		    0);
	assert_int_equal(chdir(before), 0);
	snprintf(expected, sizeof(expected), "%s/good.ini 7s y\n", real_folder);
	assert_string_equal(output, expected);
}

static void copy_file(const char *from, const char *to)
{
	const char *const arguments[] = { "cp", from, to, NULL };
	const char *const environment[] = { NULL };

	assert_exit(wait_status("/bin/cp", arguments, environment), 0);
}

static void test_library__is_found_beside_the_program(void **state)
{
	static const char *const places[] = { "bin/libtower.so", "bin/../lib/tower/libtower.so" };
	const char *const environment[] = { "PATH=/usr/bin:/bin", NULL };
	const char *program = in_folder("bin/tower");

	(void)state;
	mkdir(in_folder("bin"), 0700);
	mkdir(in_folder("lib"), 0700);
	mkdir(in_folder("lib/tower"), 0700);
	program = strdup(program);
	copy_file(tower, program);
	for (size_t i = 0; i < 2; i++) {
		const char *library = strdup(in_folder(places[i]));
		char expected[PATH_MAX];

		copy_file(harmless, library);
		assert_exit(wait_status(program, ARGUMENTS("run", "sh", "-c", "echo $LD_PRELOAD"),
					environment),
			    0);
		snprintf(expected, sizeof(expected), "%s\n", library);
		assert_string_equal(output, expected);
		unlink(library);
		free((char *)(uintptr_t)library);
	}
	unlink(program);
	free((char *)(uintptr_t)program);
	rmdir(in_folder("lib/tower"));
	rmdir(in_folder("lib"));
	rmdir(in_folder("bin"));
}

static void test_library_missing__nothing_is_started(void **state)
{
	const char *library = in_folder("with blank.so");
	char variable[PATH_MAX + 32];
	const char *environment[] = { "PATH=/usr/bin:/bin", variable, NULL };

	(void)state;
	snprintf(variable, sizeof(variable), "TOWER_LIBRARY=/nowhere/libtower.so");
	assert_fails(wait_status(tower, ARGUMENTS("run", "true"), environment), 1, "/nowhere/");
	snprintf(variable, sizeof(variable), "TOWER_LIBRARY=");
	assert_fails(wait_status(tower, ARGUMENTS("run", "true"), environment), 1, "no such");
	write_file(library, "", 0600);
	snprintf(variable, sizeof(variable), "TOWER_LIBRARY=%s", library);
	assert_fails(wait_status(tower, ARGUMENTS("run", "true"), environment), 1, "blank");
	unlink(library);
}

static void test_example__is_the_file_of_the_sources(void **state)
{
	static char sources[65536];

	(void)state;
	assert_exit(RUN("check-config", "--example"), 0);
	read_file("tower.ini.example", sources);
	assert_string_equal(output, sources);
}

static void test_stdout_full__exits_1(void **state)
{
	(void)state;
	assert_exit(RUN("run", "sh", "-c", "exec \"$0\" check-config > /dev/full", tower), 1);
	assert_non_null(strstr(errors, "tower: cannot write"));
}

static int note_libc(struct dl_phdr_info *info, size_t n, void *unused)
{
	(void)n;
	(void)unused;
	if (strstr(info->dlpi_name, "/libc.so") || strstr(info->dlpi_name, "/ld-musl")) {
		snprintf(harmless, sizeof(harmless), "%s", info->dlpi_name);
	}
	return harmless[0] != '\0';
}

static void remove_folder(void)
{
	static const char *const names[] = { "out", "err", "good.ini", "bad.ini", "plain" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		unlink(in_folder(names[i]));
	}
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_help_and_version__on_stdout),
		cmocka_unit_test(test_wrong_usage__exits_2),
		cmocka_unit_test(test_switch__says_what_is_off_now),
		cmocka_unit_test(test_too_many_options__are_refused),
		cmocka_unit_test(test_check_config__prints_file_environment_and_options),
		cmocka_unit_test(test_wrong_configuration__exits_1_and_starts_nothing),
		cmocka_unit_test(test_disabled__runs_despite_a_wrong_file),
		cmocka_unit_test(test_run__keeps_the_status_and_the_signal),
		cmocka_unit_test(test_run__leaves_the_command_its_options),
		cmocka_unit_test(test_run__preloads_in_front_of_what_is_there),
		cmocka_unit_test(test_run__passes_the_configuration_on),
		cmocka_unit_test(test_library__is_found_beside_the_program),
		cmocka_unit_test(test_library_missing__nothing_is_started),
		cmocka_unit_test(test_example__is_the_file_of_the_sources),
		cmocka_unit_test(test_stdout_full__exits_1),
	};
	const char *build = getenv("TOWER_BUILD");
	char relative[PATH_MAX];
	int failed;

	snprintf(relative, sizeof(relative), "%s/tower", build ? build : "build");
	dl_iterate_phdr(note_libc, NULL);
	if (!realpath(relative, tower) || !mkdtemp(folder)) {
		fprintf(stderr, "%s: %s\n", relative, strerror(errno));
		return 1;
	}
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	remove_folder();
	return failed;
}
