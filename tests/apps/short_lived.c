/*
 * Thousands of processes that live for a moment: a plain user of libmemcached.
 *
 * short_lived SOCKET N ended     each gets its key GETS times and ends, one in four by _exit()
 * short_lived SOCKET N killed    each gets its key until it is killed
 *
 * Prints how many processes a second there were, and how many gets were begun and done.
 */
#include <libmemcached/memcached.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GETS 20
#define AT_ONCE_MAX 6

struct progress {
	_Atomic uint64_t begun;
	_Atomic uint64_t done;
};

static void must(int good, const char *what)
{
	if (!good) {
		perror(what);
		exit(1);
	}
}

static memcached_st *connect_to(const char *socket)
{
	memcached_st *handle = memcached_create(NULL);

	must(handle && memcached_server_add_unix_socket(handle, socket) == MEMCACHED_SUCCESS,
	     "memcached_create");
	return handle;
}

static void get(memcached_st *handle, struct progress *progress)
{
	size_t n_value;
	uint32_t flags;
	memcached_return_t rc;

	progress->begun++;
	free(memcached_get(handle, "key", 3, &n_value, &flags, &rc));
	progress->done++;
	must(rc == MEMCACHED_SUCCESS, memcached_strerror(handle, rc));
}

static void live(const char *socket, int killed, unsigned number, struct progress *progress)
{
	memcached_st *handle = connect_to(socket);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (unsigned i = 0; killed || i < GETS; i++) {
		get(handle, progress);
	}
	memcached_free(handle);
	if (number % 4 == 0) {
		_exit(0);
	}
	exit(0);
}

/* One that ends by itself, or, after a moment that differs, the oldest. */
static void end_one(pid_t oldest, unsigned i, int killed)
{
	int status;

	if (killed) {
		const struct timespec life = { .tv_nsec = (long)(i * 7919 % 900) * 1000 };

		nanosleep(&life, NULL);
		kill(oldest, SIGKILL);
	}
	must(wait(&status) > 0, "wait");
	must(killed || status == 0, "a process failed");
}

int main(int argc, char **argv)
{
	struct progress *progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE,
					 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pids[AT_ONCE_MAX] = { 0 };
	struct timespec from, to;
	int killed;
	unsigned n, n_at_once;
	memcached_st *handle;

	must(argc == 4 && progress != MAP_FAILED, "short_lived SOCKET N ended|killed");
	n = (unsigned)atoi(argv[2]);
	killed = strcmp(argv[3], "killed") == 0;
	/* Those that do not end by themselves never leave the processor. */
	n_at_once = killed ? 2 : AT_ONCE_MAX;
	handle = connect_to(argv[1]);
	must(memcached_set(handle, "key", 3, "value", 5, 0, 0) == MEMCACHED_SUCCESS, "set");
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (unsigned i = 0; i < n + n_at_once; i++) {
		if (i >= n_at_once) {
			end_one(pids[i % n_at_once], i, killed);
		}
		if (i < n) {
			pids[i % n_at_once] = fork();
			must(pids[i % n_at_once] >= 0, "fork");
			if (pids[i % n_at_once] == 0) {
				live(argv[1], killed, i, progress);
			}
		}
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	memcached_free(handle);
	printf("%.0f processes a second\n",
	       n / ((double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9));
	printf("begun %llu done %llu\n", (unsigned long long)progress->begun,
	       (unsigned long long)progress->done);
	return 0;
}
