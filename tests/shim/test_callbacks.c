/*
 * Calls that a program makes from inside its callbacks, on the same handle and
 * on others: they are calls like any other.
 */
#include "tests/shim/client.h"

#include <stdio.h>

static const char *const keys[] = { "alpha", "beta", "missing", "gamma" };
#define N_KEYS (sizeof(keys) / sizeof(keys[0]))

/* What is asked for before a callback must not change until it is fetched there. */
static const char *const stable[] = { "gamma", "missing" };

/* Another handle of the program, for callbacks. */
static memcached_st *other;

static void store_keys(memcached_st *handle)
{
	store(handle, "alpha", "A", 1);
	store(handle, "beta", "BB", 2);
	store(handle, "gamma", "CCC", 3);
	store(handle, "n", "1", 0);
}

static void set_callback(memcached_st *handle, memcached_callback_t which, void *bytes)
{
	const void *callback;

	memcpy(&callback, bytes, sizeof(callback));
	observe_state(handle, "callback_set", memcached_callback_set(handle, which, callback));
}

static void use_clone(void)
{
	memcached_st *clone = memcached_clone(NULL, other);

	get(clone, "gamma");
	store(clone, "delta", "D", 3);
	memcached_free(clone);
}

/* What a callback does here: reads and writes, begun inside and outside. */
static void use_other(const char *key)
{
	uint64_t n = 0;

	observe("( in %s", key);
	fetch_result_all(other);
	get(other, "beta");
	store(other, "beta", key, 7);
	use_clone();
	get(other, "beta");
	observe_state(other, "increment", memcached_increment(other, "n", 1, 1, &n));
	observe_state(other, "exist", memcached_exist(other, "gamma", 5));
	ask(other, keys, 3);
	fetch_all(other);
	ask(other, stable, 2);
	observe(")");
}

static memcached_return_t execute_with_other(const memcached_st *handle, memcached_result_st *found,
					     void *context)
{
	char key[16];

	snprintf(key, sizeof(key), "%.*s", (int)memcached_result_key_length(found),
		 memcached_result_key_value(found));
	use_other(key);
	return MEMCACHED_SUCCESS;
}

TEST_IN_BOTH(test_execute_callback__uses_another_handle)
{
	memcached_execute_fn callbacks[] = { execute_with_other };

	other = handle_open(handle->flags.binary_protocol);
	store_keys(handle);
	ask(other, stable, 2);
	for (int i = 0; i < 3; i++) {
		ask(handle, keys, N_KEYS);
		observe_state(handle, "execute",
			      memcached_fetch_execute(handle, callbacks, NULL, 1));
		get(handle, "beta");
	}
	memcached_free(other);
}

static memcached_return_t write_from_callback(const memcached_st *handle,
					      memcached_result_st *found, void *context)
{
	memcached_st *own = context;

	observe("( %.*s", (int)memcached_result_key_length(found),
		memcached_result_key_value(found));
	store(own, "alpha", "written inside", 1);
	get(own, "beta");
	observe(")");
	return MEMCACHED_SUCCESS;
}

/* With the text protocol the first write inside takes the rest off the connection. */
static void test_execute_callback__uses_its_own_handle(void **state)
{
	memcached_st *handle = handle_open(false);
	memcached_execute_fn callbacks[] = { write_from_callback };

	observe("-- own handle");
	store_keys(handle);
	for (int i = 0; i < 3; i++) {
		ask(handle, keys, N_KEYS);
		observe_state(handle, "execute",
			      memcached_fetch_execute(handle, callbacks, handle, 1));
		get(handle, "alpha");
		get(handle, "gamma");
	}
	memcached_free(handle);
}

static memcached_return_t delete_trigger(const memcached_st *handle, const char *key, size_t n_key)
{
	use_other("delete trigger");
	return MEMCACHED_SUCCESS;
}

TEST_IN_BOTH(test_delete_trigger__uses_another_handle)
{
	memcached_trigger_delete_key_fn trigger = delete_trigger;

	other = handle_open(handle->flags.binary_protocol);
	store_keys(handle);
	set_callback(handle, MEMCACHED_CALLBACK_DELETE_TRIGGER, &trigger);
	ask(other, stable, 2);
	for (int i = 0; i < 3; i++) {
		observe_state(handle, "delete", memcached_delete(handle, "alpha", 5, 0));
		get(handle, "beta");
		store(handle, "alpha", "again", 0);
	}
	memcached_free(other);
}

static memcached_return_t get_failure(const memcached_st *handle, const char *key, size_t n_key,
				      memcached_result_st *result)
{
	use_other("get failure");
	memcached_result_set_value(result, "made", 4);
	return MEMCACHED_SUCCESS;
}

TEST_IN_BOTH(test_get_failure_trigger__uses_another_handle)
{
	memcached_trigger_key_fn trigger = get_failure;

	other = handle_open(handle->flags.binary_protocol);
	store_keys(handle);
	set_callback(handle, MEMCACHED_CALLBACK_GET_FAILURE, &trigger);
	ask(other, stable, 2);
	for (int i = 0; i < 3; i++) {
		get(handle, "lost");
		get(handle, "lost");
		get(other, "lost");
		observe_state(handle, "delete", memcached_delete(handle, "lost", 4, 0));
		ask(other, stable, 2);
	}
	memcached_free(other);
}

static memcached_return_t on_clone(memcached_st *clone, const memcached_st *source)
{
	memcached_return_t rc;
	const char *name = memcached_callback_get(clone, MEMCACHED_CALLBACK_NAMESPACE, &rc);

	observe("clone of namespace %s", name ? name : "(null)");
	get(clone, "alpha");
	store(clone, "beta", "by the clone", 0);
	get(clone, "beta");
	use_other("clone");
	ask(clone, keys, 2);
	return MEMCACHED_SUCCESS;
}

static memcached_return_t on_cleanup(const memcached_st *handle)
{
	observe("cleanup");
	use_other("cleanup");
	return MEMCACHED_SUCCESS;
}

TEST_IN_BOTH(test_clone_and_cleanup__use_the_clone_and_another)
{
	memcached_clone_fn cloned = on_clone;
	memcached_cleanup_fn cleaned = on_cleanup;
	memcached_st *clone;

	other = handle_open(handle->flags.binary_protocol);
	for (int i = 0; i < 2; i++) {
		store_keys(handle);
		ask(other, stable, 2);
		set_callback(handle, MEMCACHED_CALLBACK_CLONE_FUNCTION, &cloned);
		set_callback(handle, MEMCACHED_CALLBACK_CLEANUP_FUNCTION, &cleaned);
		clone = memcached_clone(NULL, handle);
		fetch_result_all(clone);
		get(clone, "alpha");
		get(clone, "beta");
		memcached_free(clone);
		get(handle, "beta");
		memcached_callback_set(handle, MEMCACHED_CALLBACK_NAMESPACE, "own:");
	}
	memcached_callback_set(handle, MEMCACHED_CALLBACK_CLEANUP_FUNCTION, NULL);
	memcached_free(other);
}

static memcached_return_t on_stat(const memcached_instance_st *server, const char *name,
				  size_t n_name, const char *value, size_t n_value, void *context)
{
	if (n_name == 3 && memcmp(name, "pid", 3) == 0) {
		use_other("stat");
	}
	return MEMCACHED_SUCCESS;
}

TEST_IN_BOTH(test_stat_callback__uses_another_handle)
{
	other = handle_open(handle->flags.binary_protocol);
	store_keys(handle);
	ask(other, stable, 2);
	for (int i = 0; i < 2; i++) {
		observe_state(handle, "stat", memcached_stat_execute(handle, NULL, on_stat, NULL));
		get(handle, "beta");
	}
	memcached_free(other);
}

static void test_preloaded__memory_answered(void **state)
{
	if (preloaded()) {
		assert_true(layer_hits("memory") > 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_execute_callback__uses_another_handle),
		cmocka_unit_test(test_execute_callback__uses_its_own_handle),
		cmocka_unit_test(test_delete_trigger__uses_another_handle),
		cmocka_unit_test(test_get_failure_trigger__uses_another_handle),
		cmocka_unit_test(test_clone_and_cleanup__use_the_clone_and_another),
		cmocka_unit_test(test_stat_callback__uses_another_handle),
		cmocka_unit_test(test_preloaded__memory_answered),
	};

	return cmocka_run_group_tests(tests, client_server_up, client_server_down);
}
