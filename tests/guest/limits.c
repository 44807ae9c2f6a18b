/* Too little: memory, address space, sizes of files, allocators that fail. */
#include "tests/guest/host.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static size_t address_space(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;

	must(file && fscanf(file, "%lu", &pages) == 1, "statm");
	fclose(file);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void limit_address_space(size_t more)
{
	struct rlimit limit = { address_space() + more, RLIM_INFINITY };

	must(setrlimit(RLIMIT_AS, &limit) == 0, "setrlimit");
}

/* From hardly anything to enough for all. */
static void run_address_space(void)
{
	static const size_t more[] = { 1, 2, 3, 4, 8, 12, 16, 20, 24, 32, 40, 48, 64 };

	for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
		int pid = fork();

		if (pid == 0) {
			limit_address_space(more[i] << 20);
			host_session("little");
			_exit(0);
		}
		host_wait("little", pid);
	}
}

static void run_address_space_later(void)
{
	memcached_st *handle = host_handle();
	char *value = calloc(1, 900000);
	unsigned n_bad = 0;

	host_round(handle, "before");
	limit_address_space(2 << 20);
	for (unsigned i = 0; i < 200; i++) {
		char key[32];

		snprintf(key, sizeof(key), "large-%u", i % 20);
		n_bad += memcached_set(handle, key, strlen(key), value, 900000, 0, 0) !=
			 MEMCACHED_SUCCESS;
	}
	say("bad: %u", n_bad);
	host_round(handle, "after");
	memcached_free(handle);
	free(value);
}

/* No file may grow, and SIGXFSZ would end the program. */
static void run_file_size(void)
{
	struct rlimit limit = { 0, 0 };

	must(setrlimit(RLIMIT_FSIZE, &limit) == 0, "setrlimit");
	host_session("no-file");
	host_child_session();
}

static void run_file_size_later(void)
{
	struct rlimit limit = { 0, 0 };

	host_session("before");
	must(setrlimit(RLIMIT_FSIZE, &limit) == 0, "setrlimit");
	host_session("no-file");
	if (getenv("GUEST_REDIS")) {
		must(kill(atoi(getenv("GUEST_REDIS")), SIGKILL) == 0, "kill");
		usleep(50000);
	}
	host_session("no-redis");
	host_child_session();
}

/* --- the program's own allocators --- */

static _Atomic int n_left; /* so many allocations succeed */

static bool has_memory(void)
{
	return atomic_fetch_sub(&n_left, 1) > 0;
}

static void *take(const memcached_st *handle, size_t n, void *owner)
{
	(void)handle, (void)owner;
	return has_memory() ? malloc(n) : NULL;
}

static void give(const memcached_st *handle, void *bytes, void *owner)
{
	(void)handle, (void)owner;
	free(bytes);
}

static void *take_again(const memcached_st *handle, void *bytes, size_t n, void *owner)
{
	(void)handle, (void)owner;
	return has_memory() ? realloc(bytes, n) : NULL;
}

static void *take_zeroed(const memcached_st *handle, size_t n, size_t size, void *owner)
{
	(void)handle, (void)owner;
	return has_memory() ? calloc(n, size) : NULL;
}

/*
 * Libmemcached itself aborts where an allocator fails in the wrong place, so only what
 * it survives is tried: each allocation of a child's gets fails, and it either ends
 * as it does bare or better.
 */
static void run_allocator(void)
{
	unsigned n_wrong = 0;
	unsigned n_dead = 0;

	for (int i = 0; i < 30; i++) {
		int pid = fork();
		int status = 0;

		must(pid >= 0, "fork");
		if (pid == 0) {
			memcached_st *handle = host_handle();

			close(2); /* libmemcached prints a backtrace before it aborts */
			memcached_set_memory_allocators(handle, take, give, take_again, take_zeroed,
							NULL);
			n_left = 1000000;
			must(host_quiet_round(handle, "own"), "round");
			n_left = i;
			for (unsigned n = 0; n < 10; n++) {
				memcached_return_t rc;
				uint32_t flags;
				size_t n_value = 0;
				char *value =
					memcached_get(handle, "own", 3, &n_value, &flags, &rc);

				if (value ? rc != MEMCACHED_SUCCESS || n_value != 3 ||
						    strcmp(value, "own") != 0
					  : rc == MEMCACHED_SUCCESS || rc == MEMCACHED_NOTFOUND) {
					_exit(9);
				}
				free(value);
			}
			_exit(0);
		}
		must(waitpid(pid, &status, 0) == pid, "waitpid");
		n_wrong += WIFEXITED(status) && WEXITSTATUS(status) != 0;
		n_dead += WIFSIGNALED(status) && WTERMSIG(status) != SIGABRT;
	}
	say("wrong: %u, dead by itself: %u", n_wrong, n_dead);
}

/* Tower is granted none of its allocations, one, two, ... (tests/guest/fails.c). */
static void run_out_of_memory(void)
{
	int most = atoi(host_argument);

	for (int i = 0; i < most; i++) {
		char allowed[16];
		int pid = fork();
		int status = 0;

		must(pid >= 0, "fork");
		if (pid == 0) {
			snprintf(allowed, sizeof(allowed), "%d", i);
			setenv("GUEST_GRANTED", allowed, 1);
			host_session("out");
			host_session("out-again");
			exit(0);
		}
		must(waitpid(pid, &status, 0) == pid, "waitpid");
		say("%d: status %#x", i, (unsigned)status);
	}
}

const struct hazard hazards_limits[] = {
	{ "address-space", run_address_space },
	{ "address-space-later", run_address_space_later },
	{ "file-size", run_file_size },
	{ "file-size-later", run_file_size_later },
	{ "allocator", run_allocator },
	{ "out-of-memory", run_out_of_memory },
	{ "", NULL },
};
