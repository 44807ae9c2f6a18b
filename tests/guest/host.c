#include "tests/guest/host.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define REPORT_BYTES (1 << 20)
#define LINE_BYTES 512

const char *host_socket;
const char *host_argument = "";
const char *host_program;
const char *host_report;

struct report {
	_Atomic size_t n;
	char text[REPORT_BYTES];
};

static struct report *report;

void broken(const char *what)
{
	say("broken: %s: %m", what);
	_exit(3);
}

void must(bool good, const char *what)
{
	if (!good) {
		broken(what);
	}
}

void say(const char *format, ...)
{
	char line[LINE_BYTES];
	va_list args;
	size_t at;
	int n;

	va_start(args, format);
	n = vsnprintf(line, sizeof(line) - 1, format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= sizeof(line) - 1) {
		n = sizeof(line) - 2;
	}
	line[n++] = '\n';
	at = atomic_fetch_add(&report->n, (size_t)n);
	if (at + (size_t)n <= sizeof(report->text)) {
		memcpy(report->text + at, line, (size_t)n);
	}
}

static void report_open(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);

	if (fd < 0 || ftruncate(fd, sizeof(*report)) != 0) {
		_exit(3);
	}
	report = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (report == MAP_FAILED) {
		_exit(3);
	}
	close(fd);
}

memcached_st *host_handle(void)
{
	memcached_st *handle = memcached_create(NULL);

	must(handle != NULL, "memcached_create");
	must(memcached_server_add_unix_socket(handle, host_socket) == MEMCACHED_SUCCESS,
	     "memcached_server_add_unix_socket");
	return handle;
}

static const char *name_of(memcached_return_t rc)
{
	return memcached_strerror(NULL, rc);
}

static void say_get(memcached_st *handle, const char *key)
{
	memcached_return_t rc;
	uint32_t flags = 0;
	size_t n = 0;
	char *value = memcached_get(handle, key, strlen(key), &n, &flags, &rc);

	say("get %s: %s \"%.*s\" %u", key, name_of(rc), value ? (int)n : 0, value ? value : "",
	    value ? flags : 0);
	free(value);
}

static void say_set(memcached_st *handle, const char *key, const char *value)
{
	say("set %s: %s", key,
	    name_of(memcached_set(handle, key, strlen(key), value, strlen(value), 0, 5)));
}

static void say_mget(memcached_st *handle, const char *const *keys, size_t n)
{
	size_t lengths[4];
	memcached_result_st *result;
	memcached_return_t rc;

	for (size_t i = 0; i < n; i++) {
		lengths[i] = strlen(keys[i]);
	}
	say("mget: %s", name_of(memcached_mget(handle, keys, lengths, n)));
	while ((result = memcached_fetch_result(handle, NULL, &rc)) != NULL) {
		say("fetched %.*s: \"%.*s\"", (int)memcached_result_key_length(result),
		    memcached_result_key_value(result), (int)memcached_result_length(result),
		    memcached_result_value(result));
		memcached_result_free(result);
	}
	say("end: %s", name_of(rc));
}

void host_round(memcached_st *handle, const char *name)
{
	char a[64];
	char b[64];
	char n[64];
	const char *keys[] = { a, n, b };
	uint64_t number = 0;

	snprintf(a, sizeof(a), "%s.a", name);
	snprintf(b, sizeof(b), "%s.b", name);
	snprintf(n, sizeof(n), "%s.n", name);
	say_set(handle, a, name);
	for (unsigned i = 0; i < 3; i++) {
		say_get(handle, a);
	}
	say_get(handle, b);
	say_set(handle, b, "second");
	say_set(handle, n, "41");
	say("increment: %s", name_of(memcached_increment(handle, n, strlen(n), 1, &number)));
	say_mget(handle, keys, 3);
	say("add: %s", name_of(memcached_add(handle, a, strlen(a), "x", 1, 0, 0)));
	say("exist: %s", name_of(memcached_exist(handle, a, strlen(a))));
	say("delete: %s", name_of(memcached_delete(handle, a, strlen(a), 0)));
	say_get(handle, a);
	say("delete: %s", name_of(memcached_delete(handle, b, strlen(b), 0)));
	say("last error: %s", name_of(memcached_last_error(handle)));
}

void host_session(const char *name)
{
	memcached_st *handle = host_handle();

	host_round(handle, name);
	memcached_free(handle);
}

bool host_quiet_round(memcached_st *handle, const char *key)
{
	bool good = true;

	if (memcached_set(handle, key, strlen(key), key, strlen(key), 0, 0) != MEMCACHED_SUCCESS) {
		return false;
	}
	for (unsigned i = 0; i < 3; i++) {
		memcached_return_t rc;
		uint32_t flags;
		size_t n = 0;
		char *value = memcached_get(handle, key, strlen(key), &n, &flags, &rc);

		good = good && value && n == strlen(key) && memcmp(value, key, n) == 0;
		free(value);
	}
	return good;
}

void host_wait(const char *name, int pid)
{
	int status = 0;

	must(pid >= 0, "fork");
	must(waitpid(pid, &status, 0) == pid, "waitpid");
	say("%s: status %#x", name, (unsigned)status);
}

void host_child_session(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		host_session("child");
		exit(0);
	}
	host_wait("child", pid);
}

static unsigned count_entries(const char *path)
{
	DIR *folder = opendir(path);
	unsigned n = 0;

	must(folder != NULL, path);
	while (readdir(folder) != NULL) {
		n++;
	}
	closedir(folder);
	return n - 2;
}

unsigned host_descriptors(void)
{
	return count_entries("/proc/self/fd") - 1;
}

unsigned host_threads(void)
{
	return count_entries("/proc/self/task");
}

int main(int argc, char **argv)
{
	static const struct hazard *const all[] = {
		hazards_threads,     hazards_processes, hazards_signals,
		hazards_descriptors, hazards_limits,	hazards_privileges,
	};

	if (argc < 4) {
		return 2;
	}
	host_program = argv[0];
	host_socket = argv[2];
	if (argc > 4) {
		host_argument = argv[4];
	}
	host_report = argv[3];
	report_open(host_report);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		for (const struct hazard *hazard = all[i]; *hazard->name; hazard++) {
			if (strcmp(hazard->name, argv[1]) == 0) {
				hazard->run();
				say("went on");
				return 0;
			}
		}
	}
	return 2;
}
