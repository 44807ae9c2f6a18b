/*
 * A program with threads that share a pool of libmemcachedutil, fewer handles
 * than threads.  Prints what must come out whoever was first.
 *
 * usage: pool SOCKET
 */
#include <libmemcached/memcached.h>
#include <libmemcachedutil-1.0/util.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREADS 8
#define ROUNDS 100
#define HANDLES 3

static memcached_pool_st *pool;
static unsigned wrong;

static void expect(bool right)
{
	if (!right) {
		__atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
	}
}

static memcached_st *take(void)
{
	struct timespec patience = { .tv_sec = 60 };
	memcached_return_t rc;
	memcached_st *handle = memcached_pool_fetch(pool, &patience, &rc);

	if (handle == NULL) {
		printf("no handle: %s\n", memcached_strerror(NULL, rc));
		exit(1);
	}
	return handle;
}

static void give(memcached_st *handle)
{
	expect(memcached_pool_release(pool, handle) == MEMCACHED_SUCCESS);
}

static void expect_value(const char *key, const char *expected)
{
	memcached_st *handle = take();
	memcached_return_t rc;
	uint32_t flags;
	size_t n;
	char *value = memcached_get(handle, key, strlen(key), &n, &flags, &rc);

	expect(rc == MEMCACHED_SUCCESS && n == strlen(expected) && strcmp(value, expected) == 0);
	free(value);
	give(handle);
}

/* A thread's own key is as it wrote it, through whichever handle it looks. */
static void write_and_read(const char *key, int round)
{
	memcached_st *handle = take();
	char value[64];

	snprintf(value, sizeof(value), "%s in round %d", key, round);
	expect(memcached_set(handle, key, strlen(key), value, strlen(value), 0, 0) ==
	       MEMCACHED_SUCCESS);
	give(handle);
	expect_value(key, value);
	expect_value(key, value);
}

static void count(void)
{
	memcached_st *handle = take();
	uint64_t now;

	expect(memcached_increment(handle, "counter", 7, 1, &now) == MEMCACHED_SUCCESS);
	give(handle);
}

/* Adds one to "swapped" if nobody came in between. */
static bool count_by_cas(memcached_st *handle)
{
	const char *keys[] = { "swapped" };
	const size_t lengths[] = { 7 };
	char text[32] = "";
	memcached_result_st result;
	memcached_return_t rc;
	uint64_t cas;

	expect(memcached_mget(handle, keys, lengths, 1) == MEMCACHED_SUCCESS);
	memcached_result_create(handle, &result);
	if (memcached_fetch_result(handle, &result, &rc) == NULL) {
		printf("fetch: %s\n", memcached_strerror(NULL, rc));
		exit(1);
	}
	/* In binary no NUL follows the value of a result. */
	snprintf(text, sizeof(text), "%.*s", (int)memcached_result_length(&result),
		 memcached_result_value(&result));
	snprintf(text, sizeof(text), "%lu", strtoul(text, NULL, 10) + 1);
	cas = memcached_result_cas(&result);
	expect(memcached_fetch_result(handle, &result, &rc) == NULL && rc == MEMCACHED_END);
	memcached_result_free(&result);
	rc = memcached_cas(handle, "swapped", 7, text, strlen(text), 0, 0, cas);
	expect(rc == MEMCACHED_SUCCESS || rc == MEMCACHED_DATA_EXISTS);
	return rc == MEMCACHED_SUCCESS;
}

static void *work(void *me)
{
	const char *key = me;

	for (int round = 0; round < ROUNDS; round++) {
		write_and_read(key, round);
		count();
		if (round % 10 == 0) {
			memcached_st *handle = take();

			while (!count_by_cas(handle)) {
			}
			give(handle);
		}
	}
	return NULL;
}

static void run_threads(void)
{
	char keys[THREADS][16];
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++) {
		snprintf(keys[i], sizeof(keys[i]), "thread %d", i);
		keys[i][6] = '-';
		if (pthread_create(&threads[i], NULL, work, keys[i]) != 0) {
			exit(1);
		}
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
	}
}

static void print_value(const char *key)
{
	memcached_st *handle = take();
	memcached_return_t rc;
	uint32_t flags;
	size_t n;
	char *value = memcached_get(handle, key, strlen(key), &n, &flags, &rc);

	printf("%s: %s\n", key, value ? value : memcached_strerror(NULL, rc));
	free(value);
	give(handle);
}

static memcached_pool_st *open_pool(const char *socket, bool binary)
{
	char options[512];

	snprintf(options, sizeof(options),
		 "--SOCKET=\"%s\" %s --SUPPORT-CAS --POOL-MIN=1 --POOL-MAX=%d", socket,
		 binary ? "--BINARY-PROTOCOL" : "--TCP-NODELAY", HANDLES);
	return memcached_pool(options, strlen(options));
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		return 2;
	}
	for (int binary = 0; binary < 2; binary++) {
		memcached_st *handle;

		printf("-- %s\n", binary ? "binary" : "text");
		pool = open_pool(argv[1], binary);
		if (pool == NULL) {
			printf("no pool\n");
			return 1;
		}
		handle = take();
		memcached_set(handle, "counter", 7, "0", 1, 0, 0);
		memcached_set(handle, "swapped", 7, "0", 1, 0, 0);
		give(handle);
		run_threads();
		print_value("counter");
		print_value("swapped");
		/* A behavior of a pool reaches all of its handles. */
		printf("behavior: %s\n",
		       memcached_strerror(NULL, memcached_pool_behavior_set(
							pool, MEMCACHED_BEHAVIOR_NO_BLOCK, 1)));
		print_value("counter");
		printf("wrong: %u\n", wrong);
		memcached_pool_destroy(pool);
	}
	return wrong != 0;
}
