/*
 * client.h - a plain libmemcached program: what most shim tests do.
 *
 * Everything here observes (tests/lib/observe.h) what came of it, so that a
 * test is mostly a list of calls.  One server for all handles of a program.
 */
#ifndef TOWER_TESTS_SHIM_CLIENT_H
#define TOWER_TESTS_SHIM_CLIENT_H

#include <libmemcached/memcached.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/observe.h"
#include "tests/lib/servers.h"

extern struct server *client_server;

/*
 * For cmocka's group: the server, started and stopped.  It has one thread: what was sent first
 * is done first, also where nobody waits for the answer.
 */
int client_server_up(void **state);
int client_server_down(void **state);

/*
 * For main(): the program starts itself again where its environment does not
 * have this, which tower reads when it is loaded and which bare means nothing.
 */
void client_environment(const char *name, const char *value, char **arguments);

/* A handle of client_server; the test frees it. */
memcached_st *handle_open(bool binary);

const char *name_of(memcached_return_t result);

/* The result and all that memcached_last_error() and its like tell. */
void observe_state(memcached_st *handle, const char *call, memcached_return_t result);
void observe_value(const char *call, const char *value, size_t n_value, uint32_t flags,
		   memcached_return_t result);

void store(memcached_st *handle, const char *key, const char *value, uint32_t flags);
void get(memcached_st *handle, const char *key);

/* An mget of at most 16 keys. */
void ask(memcached_st *handle, const char *const *keys, size_t n_keys);

/* What an mget left, to the end, which is part of the answer. */
void fetch_all(memcached_st *handle);
void fetch_result_all(memcached_st *handle);

/* A callback of fetch_execute; its context counts, an unsigned. */
memcached_return_t execute_one(const memcached_st *handle, memcached_result_st *found,
			       void *context);

/* Every test runs on a fresh handle of either protocol and an empty server. */
void in_both_protocols(const char *name, void (*body)(memcached_st *handle));

#define TEST_IN_BOTH(name)                                                                         \
	static void name##_body(memcached_st *handle);                                             \
	static void name(void **state)                                                             \
	{                                                                                          \
		in_both_protocols(#name, name##_body);                                             \
	}                                                                                          \
	static void name##_body(memcached_st *handle)

#endif
