/*
 * After the killing, while others only write: every key must be served from
 * memory again.
 */
#include <libmemcached/memcached.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/coherence/ask.h"
#include "tests/coherence/board.h"
#include "tests/coherence/variant.h"

/*
 * Suspicion, grace and pauses of a repair take two seconds, a doubt ten; and on a
 * crowded machine writers are often stopped in the middle of a write of the key.
 */
#define PATIENCE_NS (12 * BOARD_NS_PER_S)

/* As a program would: what is not there is stored anew. */
static void store(memcached_st *handle, const char *name, unsigned key)
{
	struct value value = { .key = key,
			       .writer = BOARD_WORKERS - 1,
			       .start_ns = board_now_ns() };
	char bytes[VALUE_BYTES];

	value_write(bytes, &value);
	memcached_add(handle, name, strlen(name), bytes, VALUE_BYTES, 0, 0);
}

/* Whether a get of the key did not come to memcached's ears. */
static bool is_served(memcached_st *handle, int server, const char *name, unsigned key)
{
	uint64_t before = 0;
	uint64_t after = 1;
	memcached_return_t rc;
	uint32_t flags;
	size_t n;

	/* The first one fetches it. */
	free(memcached_get(handle, name, strlen(name), &n, &flags, &rc));
	ask_stat(server, "cmd_get", &before);
	free(memcached_get(handle, name, strlen(name), &n, &flags, &rc));
	ask_stat(server, "cmd_get", &after);
	if (rc == MEMCACHED_NOTFOUND) {
		store(handle, name, key);
	}
	return rc == MEMCACHED_SUCCESS && before == after;
}

int worker_probe(const struct worker_job *job)
{
	struct board *board = board_map(job->board_path);
	int server = ask_open(job->socket);
	memcached_st *handle = memcached_create(NULL);
	uint64_t give_up = board_now_ns() + PATIENCE_NS;
	bool served[BOARD_KEYS] = { false };
	uint32_t unserved;

	if (board == NULL || server < 0) {
		return EXIT_FAILURE;
	}
	memcached_server_add_unix_socket(handle, job->socket);
	do {
		unserved = 0;
		for (unsigned key = 0; key < job->variant->n_keys; key++) {
			char name[32];

			snprintf(name, sizeof(name), "abc%02u", key);
			served[key] = served[key] || is_served(handle, server, name, key);
			unserved += !served[key];
		}
		usleep(2000);
	} while (unserved && board_now_ns() < give_up);
	atomic_store(&board->unserved, unserved);
	memcached_free(handle);
	close(server);
	return EXIT_SUCCESS;
}
