#include "tests/lib/observe.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define LINE_MAX_BYTES 4096
#define ENVIRONMENT_MAX 512

void observe(const char *format, ...)
{
	const char *path = getenv("TOWER_TEST_TRANSCRIPT");
	char line[LINE_MAX_BYTES];
	va_list args;
	int fd, n;

	va_start(args, format);
	n = vsnprintf(line, sizeof(line) - 1, format, args);
	va_end(args);
	assert_true(n >= 0 && (size_t)n < sizeof(line) - 1);
	if (path == NULL) {
		print_message("%s\n", line);
		return;
	}
	line[n++] = '\n';
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, line, (size_t)n), n);
	close(fd);
}

bool preloaded(void)
{
	static int known = -1;
	char line[LINE_MAX_BYTES];
	FILE *maps;

	if (known >= 0) {
		return known;
	}
	maps = fopen("/proc/self/maps", "re");
	assert_non_null(maps);
	known = 0;
	while (fgets(line, sizeof(line), maps) != NULL) {
		if (strstr(line, "/libtower.so") != NULL) {
			known = 1;
		}
	}
	fclose(maps);
	return known;
}

/* What tower itself must not run under. */
static void without_preload(char **ret_environment)
{
	size_t n = 0;
	char **from;

	for (from = environ; *from != NULL && n + 1 < ENVIRONMENT_MAX; from++) {
		if (strncmp(*from, "LD_PRELOAD=", 11) != 0) {
			ret_environment[n++] = *from;
		}
	}
	ret_environment[n] = NULL;
}

static char *read_all(int fd)
{
	size_t n = 0, room = 65536;
	char *text = malloc(room);
	ssize_t got;

	assert_non_null(text);
	while ((got = read(fd, text + n, room - n - 1)) != 0) {
		if (got < 0) {
			assert_int_equal(errno, EINTR);
			continue;
		}
		n += (size_t)got;
		if (n + 1 == room) {
			char *larger = realloc(text, 2 * room);

			assert_non_null(larger);
			text = larger;
			room *= 2;
		}
	}
	text[n] = '\0';
	return text;
}

/* The output of `tower stat --json`; the caller frees it. */
static char *stat_json(void)
{
	const char *build = getenv("TOWER_BUILD");
	char *environment[ENVIRONMENT_MAX];
	char path[LINE_MAX_BYTES];
	char *args[] = { path, (char *)"stat", (char *)"--json", NULL };
	char *text;
	int fds[2], status;
	pid_t pid;

	snprintf(path, sizeof(path), "%s/tower", build != NULL ? build : "build");
	without_preload(environment);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(fds[1], STDOUT_FILENO);
		execve(path, args, environment);
		_exit(127);
	}
	close(fds[1]);
	text = read_all(fds[0]);
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status != 0) {
		fail_msg("%s stat --json: status %#x", path, (unsigned)status);
	}
	return text;
}

static const char *skip_blanks(const char *at)
{
	return at + strspn(at, " \t\r\n");
}

static const char *skip_string(const char *at)
{
	for (at++; *at != '"' && *at != '\0'; at++) {
		if (*at == '\\' && at[1] != '\0') {
			at++;
		}
	}
	return *at == '"' ? at + 1 : at;
}

static const char *skip_value(const char *at)
{
	unsigned depth = 0;

	do {
		at = skip_blanks(at);
		if (*at == '"') {
			at = skip_string(at);
		} else if (*at == '{' || *at == '[') {
			depth++;
			at++;
		} else if (*at == '}' || *at == ']') {
			depth--;
			at++;
		} else if (*at == ',' || *at == ':') {
			at++;
		} else {
			at += strcspn(at, " \t\r\n\"{}[],:");
		}
	} while (depth > 0 && *at != '\0');
	return at;
}

/* The value of a member of the object that begins at `at`, or NULL. */
static const char *member(const char *at, const char *name)
{
	size_t n = strlen(name);

	if (at == NULL || *at != '{') {
		return NULL;
	}
	at = skip_blanks(at + 1);
	while (*at == '"') {
		const char *key = at + 1;
		const char *value = skip_blanks(skip_string(at));

		if (*value != ':') {
			return NULL;
		}
		value = skip_blanks(value + 1);
		if (strncmp(key, name, n) == 0 && key[n] == '"') {
			return value;
		}
		at = skip_blanks(skip_value(value));
		if (*at != ',') {
			return NULL;
		}
		at = skip_blanks(at + 1);
	}
	return NULL;
}

/* The element of the array at `at` whose member `name` begins with `text`, or NULL. */
static const char *element(const char *at, const char *name, const char *text)
{
	if (at == NULL || *at != '[') {
		return NULL;
	}
	at = skip_blanks(at + 1);
	while (*at == '{') {
		const char *value = member(at, name);

		if (value != NULL && strncmp(value, text, strlen(text)) == 0 &&
		    strchr(",} \t\r\n", value[strlen(text)]) != NULL) {
			return at;
		}
		at = skip_blanks(skip_value(at));
		if (*at != ',') {
			return NULL;
		}
		at = skip_blanks(at + 1);
	}
	return NULL;
}

static const char *this_process(const char *json)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	return element(member(skip_blanks(json), "processes"), "pid", pid);
}

static uint64_t number(const char *value)
{
	return value != NULL ? strtoull(value, NULL, 10) : 0;
}

uint64_t calls_seen(const char *function)
{
	char *json = stat_json();
	uint64_t n = number(member(member(this_process(json), "calls"), function));

	free(json);
	return n;
}

uint64_t calls_passed(const char *reason)
{
	char *json = stat_json();
	uint64_t n = number(member(member(this_process(json), "passed"), reason));

	free(json);
	return n;
}

uint64_t layer_hits(const char *layer)
{
	char *json = stat_json();
	char name[64];
	uint64_t n;

	snprintf(name, sizeof(name), "\"%s\"", layer);
	n = number(member(element(member(this_process(json), "layers"), "name", name), "hits"));
	free(json);
	return n;
}
