/*
 * One side of a benchmark: a plain libmemcached program.  It prepares its keys,
 * runs a workload, and prints nanoseconds per operation; one whose name ends in
 * "-p99" goes on for ten seconds, and prints what 99 of 100 operations took no
 * longer than.  bench/run starts it bare and under libtower in turn and divides.
 * One whose name begins with "scale" is both sides: one thread and two in turn, so
 * often, over the same memory; it prints two numbers a line.
 *
 * usage: worker SOCKET WORKLOAD OPERATIONS [REPEATS]
 */
#define _GNU_SOURCE
#include <libmemcached/memcached.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "side.h"

#define WIDTH 100 /* keys of an mget */
#define TAIL_NS UINT64_C(10000000000)
#define TAIL_MAX 4000000 /* operations in that time */

enum how {
	ALONE,
	SCALE, /* by one thread and by two, in turn */
	APART, /* the same by processes, which share no memory but tower's own */
};

struct workload {
	const char *name;
	unsigned n_keys;
	unsigned n_value;
	enum how how;
	bool zipf;
	bool stored; /* the keys are there */
	bool tail;   /* the p99 */
	void (*run)(memcached_st *handle, const struct workload *workload, size_t n, size_t first);
};

static const char *socket_path;
static size_t operations;
static unsigned repeats;
static double *zipf_sums;

static uint64_t next_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *state >> 33;
}

#define KEY_BYTES 12

/*
 * "key:" and eight hexadecimal digits, or "non:".  A program makes its key just
 * before it asks; a table of a million keys would cost more misses of the
 * processor's cache than what is measured.
 */
static void write_key(const struct workload *workload, uint32_t k, char *ret)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	uint64_t digits = k;

	digits = (digits | digits << 16) & UINT64_C(0x0000ffff0000ffff);
	digits = (digits | digits << 8) & UINT64_C(0x00ff00ff00ff00ff);
	digits = (digits | digits << 4) & ones * 0xf;
	digits += ones * '0' + ((digits + ones * 6) >> 4 & ones) * ('a' - '0' - 10);
	digits = __builtin_bswap64(digits);
	memcpy(ret, workload->stored ? "key:" : "non:", 4);
	memcpy(ret + 4, &digits, sizeof(digits));
}

/* For requests of many keys. */
static char (*keys)[KEY_BYTES];
static size_t *key_lengths;
static uint32_t *order;

static void make_keys(const struct workload *workload)
{
	uint64_t seed = 1;

	keys = calloc(workload->n_keys, sizeof(*keys));
	key_lengths = calloc(workload->n_keys, sizeof(*key_lengths));
	order = calloc(operations, sizeof(*order));
	if (!keys || !key_lengths || !order) {
		exit(1);
	}
	for (unsigned i = 0; i < workload->n_keys; i++) {
		write_key(workload, i, keys[i]);
		key_lengths[i] = KEY_BYTES;
	}
	if (workload->zipf) {
		double sum = 0;

		zipf_sums = calloc(workload->n_keys, sizeof(*zipf_sums));
		for (unsigned i = 0; i < workload->n_keys; i++) {
			sum += 1 / pow(i + 1, 0.99);
			zipf_sums[i] = sum;
		}
	}
	for (size_t i = 0; i < operations; i++) {
		if (workload->zipf) {
			double at = (double)next_random(&seed) / (double)(1U << 31) *
				    zipf_sums[workload->n_keys - 1];
			unsigned low = 0;
			unsigned high = workload->n_keys - 1;

			while (low < high) {
				unsigned middle = (low + high) / 2;

				if (zipf_sums[middle] < at) {
					low = middle + 1;
				} else {
					high = middle;
				}
			}
			order[i] = (uint32_t)((uint64_t)low * 2654435761U % workload->n_keys);
		} else {
			order[i] = (uint32_t)(i % workload->n_keys);
		}
	}
}

static memcached_st *open_handle(void)
{
	memcached_st *handle = memcached_create(NULL);

	memcached_server_add_unix_socket(handle, socket_path);
	return handle;
}

static uint32_t next_key(size_t *at)
{
	uint32_t k = order[*at];

	if (++*at == operations) {
		*at = 0;
	}
	return k;
}

static void run_get(memcached_st *handle, const struct workload *workload, size_t n, size_t first)
{
	size_t at = first;

	for (size_t i = 0; i < n; i++) {
		memcached_return_t rc;
		char key[KEY_BYTES];
		uint32_t flags;
		size_t n_value;
		char *value;

		write_key(workload, next_key(&at), key);
		value = memcached_get(handle, key, sizeof(key), &n_value, &flags, &rc);
		check(workload->stored ? n_value == workload->n_value : rc == MEMCACHED_NOTFOUND,
		      "a get answered wrong");
		free(value);
	}
}

/* No key twice. */
static void run_get_fresh(memcached_st *handle, const struct workload *workload, size_t n,
			  size_t first)
{
	static uint32_t fresh;

	(void)first;
	for (size_t i = 0; i < n; i++) {
		memcached_return_t rc;
		char key[KEY_BYTES];
		uint32_t flags;
		size_t n_value;

		write_key(workload, fresh++, key);
		free(memcached_get(handle, key, sizeof(key), &n_value, &flags, &rc));
		check(rc == MEMCACHED_NOTFOUND, "a get answered wrong");
	}
}

static void run_set(memcached_st *handle, const struct workload *workload, size_t n, size_t first)
{
	char *value = calloc(1, workload->n_value);
	size_t at = first;

	for (size_t i = 0; i < n; i++) {
		char key[KEY_BYTES];

		write_key(workload, next_key(&at), key);
		check(memcached_set(handle, key, sizeof(key), value, workload->n_value, 0, 0) ==
			      MEMCACHED_SUCCESS,
		      "a set failed");
	}
	free(value);
}

/*
 * n counts requests; each asks for `kept` keys that are always the same and for as many
 * others, of all the rest in turn, that it is `width`.
 */
static void run_mget_of(memcached_st *handle, const struct workload *workload, size_t n,
			unsigned kept, unsigned width)
{
	const char *asked[WIDTH];
	size_t lengths[WIDTH];
	memcached_result_st result;

	memcached_result_create(handle, &result);
	for (size_t i = 0; i < n; i++) {
		memcached_return_t rc;
		unsigned got = 0;

		for (unsigned j = 0; j < width; j++) {
			uint32_t turn = (uint32_t)(i * (width - kept) + j - kept);
			uint32_t k = j < kept ? j : kept + turn % (workload->n_keys - kept);

			asked[j] = keys[k];
			lengths[j] = key_lengths[k];
		}
		check(memcached_mget(handle, asked, lengths, width) == MEMCACHED_SUCCESS,
		      "an mget failed");
		while (memcached_fetch_result(handle, &result, &rc)) {
			got++;
		}
		check(got == width, "an mget missed keys");
	}
	memcached_result_free(&result);
}

static void run_mget(memcached_st *handle, const struct workload *workload, size_t n, size_t first)
{
	run_mget_of(handle, workload, n, 0, WIDTH);
}

/* Those that memory does not have of the next. */
static void run_mget10(memcached_st *handle, const struct workload *workload, size_t n,
		       size_t first)
{
	run_mget_of(handle, workload, n, 0, WIDTH / 10);
}

static void run_mget90(memcached_st *handle, const struct workload *workload, size_t n,
		       size_t first)
{
	run_mget_of(handle, workload, n, WIDTH - WIDTH / 10, WIDTH);
}

static const struct workload workloads[] = {
	{ "get-100", 10000, 100, ALONE, false, true, false, run_get },
	{ "get-1k", 2000, 1024, ALONE, false, true, false, run_get },
	{ "get-10k", 500, 10240, ALONE, false, true, false, run_get },
	{ "get-zipf", 1000000, 100, ALONE, true, true, false, run_get },
	{ "get-scan", 100000, 100, ALONE, false, true, false, run_get },
	{ "get-absent", 10000, 100, ALONE, false, false, false, run_get },
	{ "get-fresh", 1, 100, ALONE, false, false, false, run_get_fresh },
	{ "get-absent-p99", 10000, 100, ALONE, false, false, true, run_get },
	{ "set", 10000, 100, ALONE, false, true, false, run_set },
	{ "mget-100", 10000, 100, ALONE, false, true, false, run_mget },
	{ "mget-10", 100000, 100, ALONE, false, true, false, run_mget10 },
	{ "mget-90", 100000, 100, ALONE, false, true, false, run_mget90 },
	{ "scale-threads", 10000, 100, SCALE, true, true, false, run_get },
	{ "scale-threads-1m", 1000000, 100, SCALE, true, true, false, run_get },
	{ "scale-apart", 10000, 100, APART, true, true, false, run_get },
};

static void store_all(memcached_st *handle, const struct workload *workload)
{
	char *value = calloc(1, workload->n_value);

	for (unsigned i = 0; i < workload->n_keys && workload->stored; i++) {
		check(memcached_set(handle, keys[i], key_lengths[i], value, workload->n_value, 0,
				    7) == MEMCACHED_SUCCESS,
		      "a set failed");
	}
	free(value);
}

/* So that connections and copies are there. */
static void warm_up(memcached_st *handle, const struct workload *workload)
{
	for (unsigned i = 0; i < workload->n_keys && workload->run == run_get; i++) {
		memcached_return_t rc;
		uint32_t flags;
		size_t n_value;

		free(memcached_get(handle, keys[i], key_lengths[i], &n_value, &flags, &rc));
	}
	workload->run(handle, workload, operations / 10 + 1, 0);
}

static int compare_ns(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a;
	uint32_t y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static double tail_of(memcached_st *handle, const struct workload *workload)
{
	uint32_t *took = calloc(TAIL_MAX, sizeof(*took));
	uint64_t end = now_ns() + TAIL_NS;
	uint64_t now = now_ns();
	size_t n = 0;

	check(took != NULL, "no memory");
	while (n < TAIL_MAX && now < end) {
		uint64_t before = now;

		workload->run(handle, workload, 1, n % operations);
		now = now_ns();
		took[n++] = (uint32_t)(now - before);
	}
	qsort(took, n, sizeof(*took), compare_ns);
	return took[n * 99 / 100];
}

/* Two at once are to have a processor each, whatever the scheduler makes of 30 milliseconds. */
static void pin(unsigned i)
{
	long n = sysconf(_SC_NPROCESSORS_CONF);
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(i % (unsigned long)n, &one);
	sched_setaffinity(0, sizeof(one), &one);
}

/* The two of a workload for two, threads or processes, in memory of both. */
static struct pair {
	pthread_barrier_t meeting;
	uint64_t start[2];
	uint64_t end[2];
} * pair;

static void make_pair(void)
{
	pthread_barrierattr_t shared;

	pair = mmap(NULL, sizeof(*pair), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	check(pair != MAP_FAILED, "no memory");
	pthread_barrierattr_init(&shared);
	pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(&pair->meeting, &shared, 2);
}

static void meet(void)
{
	if (pair) {
		pthread_barrier_wait(&pair->meeting);
	}
}

static uint64_t run_alone(memcached_st *handle, const struct workload *workload)
{
	uint64_t start = now_ns();

	workload->run(handle, workload, operations, 0);
	return now_ns() - start;
}

static void run_both(memcached_st *handle, const struct workload *workload, unsigned i)
{
	meet();
	pair->start[i] = now_ns();
	workload->run(handle, workload, operations, i * operations / 2);
	pair->end[i] = now_ns();
	meet();
}

static double per_operation(uint64_t took)
{
	return (double)took / (double)operations;
}

static double both_took(void)
{
	uint64_t start = pair->start[pair->start[1] < pair->start[0]];
	uint64_t end = pair->end[pair->end[1] > pair->end[0]];

	return per_operation(end - start) / 2;
}

/* The first of the two alone, then both at once, again and again. */
static void run_scale(memcached_st *handle, const struct workload *workload, unsigned i)
{
	for (unsigned repeat = 0; repeat < repeats; repeat++) {
		uint64_t alone = i == 0 ? run_alone(handle, workload) : 0;

		run_both(handle, workload, i);
		if (i == 0) {
			printf("%.1f %.1f\n", per_operation(alone), both_took());
		}
	}
}

struct part {
	const struct workload *workload;
	unsigned i;
};

static void *run_part(void *arg)
{
	const struct part *part = arg;
	memcached_st *handle;

	pin(part->i);
	handle = open_handle();
	run_scale(handle, part->workload, part->i);
	memcached_free(handle);
	return NULL;
}

static void run_threads(const struct workload *workload)
{
	pthread_t threads[2];
	struct part parts[2] = { { workload, 0 }, { workload, 1 } };

	make_pair();
	for (unsigned i = 0; i < 2; i++) {
		check(pthread_create(&threads[i], NULL, run_part, &parts[i]) == 0, "no thread");
	}
	for (unsigned i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
	}
}

static void end_with_the_other(int signal)
{
	(void)signal;
	_exit(1);
}

/*
 * Becomes two processes, before either has anything, and neither outlives the other's
 * failure.  Returns which of them this is.
 */
static unsigned part_ways(void)
{
	pid_t other;

	make_pair();
	signal(SIGCHLD, end_with_the_other);
	other = fork();
	check(other >= 0, "no process");
	if (other == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	}
	pin(other == 0);
	return other == 0;
}

static void run_apart(memcached_st *handle, const struct workload *workload, unsigned i)
{
	run_scale(handle, workload, i);
	while (i != 0) {
		/* Until the first, which says how it went, has ended. */
		pause();
	}
}

int main(int argc, char **argv)
{
	const struct workload *workload = NULL;
	memcached_st *handle;
	unsigned i = 0;

	for (size_t at = 0;
	     (argc == 4 || argc == 5) && at < sizeof(workloads) / sizeof(workloads[0]); at++) {
		if (strcmp(workloads[at].name, argv[2]) == 0) {
			workload = &workloads[at];
		}
	}
	if (!workload) {
		fprintf(stderr, "usage: worker SOCKET WORKLOAD OPERATIONS [REPEATS]\n");
		return 2;
	}
	socket_path = argv[1];
	operations = strtoul(argv[3], NULL, 10);
	repeats = argc == 5 ? (unsigned)strtoul(argv[4], NULL, 10) : 1;
	if (workload->how == APART) {
		i = part_ways();
	}
	make_keys(workload);
	handle = open_handle();
	store_all(handle, workload);
	/* What the other writes is no copy of ours any more. */
	meet();
	warm_up(handle, workload);
	if (workload->tail) {
		printf("%.1f\n", tail_of(handle, workload));
	} else if (workload->how == APART) {
		run_apart(handle, workload, i);
	} else if (workload->how == SCALE) {
		run_threads(workload);
	} else {
		printf("%.1f\n", per_operation(run_alone(handle, workload)));
	}
	memcached_free(handle);
	return 0;
}
