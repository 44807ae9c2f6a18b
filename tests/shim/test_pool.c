/*
 * Pools of libmemcachedutil: a client of libmemcached, whose handles are clones
 * that the program never made itself.
 */
#include "tests/shim/client.h"

#include <stdio.h>

#include <libmemcachedutil-1.0/util.h>

static memcached_st *pop(memcached_pool_st *pool)
{
	memcached_return_t rc;
	memcached_st *handle = memcached_pool_pop(pool, false, &rc);

	observe("pop: %s, %s", handle ? "one" : "none", name_of(rc));
	return handle;
}

static void push(memcached_pool_st *pool, memcached_st *handle)
{
	observe("push: %s", name_of(memcached_pool_push(pool, handle)));
}

static void use_pool(memcached_pool_st *pool)
{
	static const char *const keys[] = { "key", "missing", "other" };
	memcached_st *one = pop(pool);
	memcached_st *two = pop(pool);
	memcached_st *three;
	uint64_t value = 0;

	store(one, "key", "value", 1);
	get(two, "key");
	get(two, "key");
	store(two, "other", "two", 2);
	ask(one, keys, 3);
	fetch_result_all(one);
	/* Given back in the middle of a request, as it is. */
	ask(one, keys, 3);
	push(pool, one);
	one = pop(pool);
	fetch_result_all(one);
	get(one, "key");
	three = pop(pool);
	observe("none left: %s", pop(pool) ? "one" : "none");
	push(pool, three);
	push(pool, two);
	observe("behavior: %s",
		name_of(memcached_pool_behavior_set(pool, MEMCACHED_BEHAVIOR_BINARY_PROTOCOL, 1)));
	push(pool, one);
	one = pop(pool);
	two = pop(pool);
	get(one, "key");
	get(two, "other");
	memcached_pool_behavior_get(pool, MEMCACHED_BEHAVIOR_BINARY_PROTOCOL, &value);
	observe("binary: %llu, %u, %u", (unsigned long long)value, one->flags.binary_protocol,
		two->flags.binary_protocol);
	observe_state(one, "delete", memcached_delete(one, "key", 3, 0));
	get(two, "key");
	push(pool, one);
	push(pool, two);
	push(pool, NULL);
}

static void test_pool_of_a_handle__clones_that_see_each_other(void **state)
{
	for (unsigned prefixed = 0; prefixed < 2; prefixed++) {
		memcached_st *master = handle_open(false);
		memcached_pool_st *pool;

		observe("-- pool%s", prefixed ? " with a namespace" : "");
		if (prefixed) {
			memcached_callback_set(master, MEMCACHED_CALLBACK_NAMESPACE, "pool:");
		}
		store(master, "key", "master's", 0);
		get(master, "key");
		pool = memcached_pool_create(master, 1, 3);
		assert_non_null(pool);
		use_pool(pool);
		get(master, "other");
		observe("master: %s", memcached_pool_destroy(pool) == master ? "back" : "lost");
		get(master, "other");
		memcached_free(master);
	}
}

static void test_pool_of_options__the_same(void **state)
{
	char options[512];
	int n = snprintf(options, sizeof(options), "--SOCKET=\"%s\" --POOL-MIN=2 --POOL-MAX=3",
			 server_socket(client_server));
	memcached_pool_st *pool = memcached_pool(options, (size_t)n);

	observe("-- pool of options");
	assert_non_null(pool);
	use_pool(pool);
	observe("master: %s", memcached_pool_destroy(pool) ? "one" : "none");
}

static void test_preloaded__the_pools_calls_were_seen(void **state)
{
	if (preloaded()) {
		assert_true(calls_seen("memcached_clone") > 4);
		assert_true(calls_seen("memcached_free") > 4);
		assert_true(calls_seen("memcached_behavior_set") > 2);
		assert_true(layer_hits("memory") > 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pool_of_a_handle__clones_that_see_each_other),
		cmocka_unit_test(test_pool_of_options__the_same),
		cmocka_unit_test(test_preloaded__the_pools_calls_were_seen),
	};

	return cmocka_run_group_tests(tests, client_server_up, client_server_down);
}
