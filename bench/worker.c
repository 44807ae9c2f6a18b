/*
 * One side of a benchmark: a plain libmemcached program.  It prepares its keys,
 * runs a workload, and prints nanoseconds per operation; one whose name ends in
 * "-p99" goes on for ten seconds, and prints what 99 of 100 operations took no
 * longer than.  bench/run starts it bare and under libtower in turn and divides.
 *
 * usage: worker SOCKET WORKLOAD OPERATIONS
 */
#include <libmemcached/memcached.h>
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WIDTH 100 /* keys of an mget */
#define TAIL_NS UINT64_C(10000000000)
#define TAIL_MAX 4000000 /* operations in that time */

struct workload {
	const char *name;
	unsigned n_keys;
	unsigned n_value;
	unsigned n_threads;
	bool zipf;
	bool stored; /* the keys are there */
	bool tail;   /* the p99 */
	void (*run)(memcached_st *handle, const struct workload *workload, size_t n, size_t first);
};

static const char *socket_path;
static size_t operations;
static double *zipf_sums;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

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

static void check(bool well, const char *what)
{
	if (!well) {
		fprintf(stderr, "worker: %s\n", what);
		exit(1);
	}
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
	{ "get-100", 10000, 100, 1, false, true, false, run_get },
	{ "get-1k", 2000, 1024, 1, false, true, false, run_get },
	{ "get-10k", 500, 10240, 1, false, true, false, run_get },
	{ "get-zipf", 1000000, 100, 1, true, true, false, run_get },
	{ "get-scan", 100000, 100, 1, false, true, false, run_get },
	{ "get-absent", 10000, 100, 1, false, false, false, run_get },
	{ "get-fresh", 1, 100, 1, false, false, false, run_get_fresh },
	{ "get-absent-p99", 10000, 100, 1, false, false, true, run_get },
	{ "set", 10000, 100, 1, false, true, false, run_set },
	{ "mget-100", 10000, 100, 1, false, true, false, run_mget },
	{ "mget-10", 100000, 100, 1, false, true, false, run_mget10 },
	{ "mget-90", 100000, 100, 1, false, true, false, run_mget90 },
	{ "threads-1", 10000, 100, 1, true, true, false, run_get },
	{ "threads-2", 10000, 100, 2, true, true, false, run_get },
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

struct part {
	const struct workload *workload;
	size_t first;
};

static void *run_part(void *arg)
{
	const struct part *part = arg;
	memcached_st *handle = open_handle();

	part->workload->run(handle, part->workload, operations, part->first);
	memcached_free(handle);
	return NULL;
}

int main(int argc, char **argv)
{
	const struct workload *workload = NULL;
	memcached_st *handle;
	uint64_t start;

	for (size_t i = 0; argc == 4 && i < sizeof(workloads) / sizeof(workloads[0]); i++) {
		if (strcmp(workloads[i].name, argv[2]) == 0) {
			workload = &workloads[i];
		}
	}
	if (!workload) {
		fprintf(stderr, "usage: worker SOCKET WORKLOAD OPERATIONS\n");
		return 2;
	}
	socket_path = argv[1];
	operations = strtoul(argv[3], NULL, 10);
	make_keys(workload);
	handle = open_handle();
	store_all(handle, workload);
	warm_up(handle, workload);
	if (workload->tail) {
		printf("%.1f\n", tail_of(handle, workload));
		memcached_free(handle);
		return 0;
	}
	start = now_ns();
	if (workload->n_threads == 1) {
		workload->run(handle, workload, operations, 0);
	} else {
		pthread_t threads[2];
		struct part parts[2] = { { workload, 0 }, { workload, operations / 2 } };

		for (unsigned i = 0; i < 2; i++) {
			check(pthread_create(&threads[i], NULL, run_part, &parts[i]) == 0,
			      "no thread");
		}
		for (unsigned i = 0; i < 2; i++) {
			pthread_join(threads[i], NULL);
		}
	}
	printf("%.1f\n", (double)(now_ns() - start) / (double)operations / workload->n_threads);
	memcached_free(handle);
	return 0;
}
