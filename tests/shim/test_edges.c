/*
 * What a program may also do: NULL where it is allowed and where it is
 * answered, keys at and beyond their bounds, absurd sizes and expiries.
 */
#include "tests/shim/client.h"

#include <stdio.h>
#include <time.h>

static void exist(memcached_st *handle, const char *key, size_t n_key)
{
	observe_state(handle, "exist", memcached_exist(handle, key, n_key));
}

static void get_n(memcached_st *handle, const char *key, size_t n_key)
{
	memcached_return_t rc;
	uint32_t flags = 7;
	size_t n = 7;
	char *value = memcached_get(handle, key, n_key, &n, &flags, &rc);

	observe_value("get", value, n, flags, rc);
	observe_state(handle, "get", rc);
	free(value);
}

static void ask_n(memcached_st *handle, const char *const *keys, const size_t *lengths, size_t n)
{
	observe_state(handle, "mget", memcached_mget(handle, keys, lengths, n));
	fetch_result_all(handle);
}

/* --- keys --- */

#define N_LENGTHS 9

/* From one byte to what no key can have. */
static const size_t lengths_tried[N_LENGTHS] = { 0, 1, 7, 8, 9, 249, 250, 251, 70000 };

TEST_IN_BOTH(test_key_lengths__as_libmemcached_takes_them)
{
	char *key = malloc(70001);

	assert_non_null(key);
	memset(key, 'k', 70000);
	key[70000] = '\0';
	for (size_t i = 0; i < N_LENGTHS; i++) {
		const char *keys[] = { key, "other" };
		size_t lengths[] = { lengths_tried[i], 5 };
		uint64_t n = 0;

		observe("-- %zu bytes", lengths[0]);
		observe_state(handle, "set", memcached_set(handle, key, lengths[0], "v", 1, 0, 3));
		get_n(handle, key, lengths[0]);
		get_n(handle, key, lengths[0]);
		ask_n(handle, keys, lengths, 2);
		observe_state(handle, "increment",
			      memcached_increment(handle, key, lengths[0], 1, &n));
		observe_state(handle, "delete", memcached_delete(handle, key, lengths[0], 0));
		get_n(handle, key, lengths[0]);
	}
	free(key);
}

/* Bytes that the text protocol does not take are no keys there, with or without checks. */
static void with_odd_keys(bool binary, bool verify)
{
	static const char *const odd[] = { "caf\xc3\xa9", "\xff\xfe", "tab", "del\x7f",
					   "no blank" };
	memcached_st *handle = handle_open(binary);
	memcached_st *writer = handle_open(true);

	observe("-- odd keys, %s%s", binary ? "binary" : "text", verify ? ", verified" : "");
	observe_state(handle, "verify",
		      memcached_behavior_set(handle, MEMCACHED_BEHAVIOR_VERIFY_KEY, verify));
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		const char *keys[] = { "plain", odd[i] };
		size_t lengths[] = { 5, strlen(odd[i]) };

		if (strchr(odd[i], ' ') && !verify) {
			/* Two keys on the text wire: what comes of it is memcached's own affair. */
			continue;
		}
		store(writer, odd[i], "written", 0);
		get(writer, odd[i]);
		get(handle, odd[i]);
		get(handle, odd[i]);
		ask_n(handle, keys, lengths, 2);
		exist(writer, odd[i], lengths[1]);
		store(handle, odd[i], "again", 0);
		get(handle, odd[i]);
		get(writer, odd[i]);
	}
	memcached_free(handle);
	memcached_free(writer);
}

static void test_odd_keys__as_the_handle_verifies_them(void **state)
{
	with_odd_keys(false, false);
	with_odd_keys(false, true);
	with_odd_keys(true, false);
	with_odd_keys(true, true);
}

/* --- expiries --- */

TEST_IN_BOTH(test_expiries__to_the_ends_of_time)
{
	const time_t now = time(NULL);
	const time_t tried[] = { 0,	     1000,	2592000,   2592001,	    now - 1000,
				 now + 1000, -1,	-1000,	   INT32_MAX,	    INT32_MIN,
				 UINT32_MAX, INT64_MAX, INT64_MIN, INT64_C(1) << 32 };

	for (size_t i = 0; i < sizeof(tried) / sizeof(tried[0]); i++) {
		uint64_t n = 0;

		observe("-- expiry %zu", i);
		observe_state(handle, "set", memcached_set(handle, "e", 1, "1", 1, tried[i], 0));
		get(handle, "e");
		get(handle, "e");
		observe_state(handle, "add", memcached_add(handle, "e", 1, "2", 1, tried[i], 0));
		get(handle, "e");
		store(handle, "e", "3", 0);
		get(handle, "e");
		observe_state(handle, "touch", memcached_touch(handle, "e", 1, tried[i]));
		get(handle, "e");
		observe_state(handle, "replace",
			      memcached_replace(handle, "e", 1, "4", 1, tried[i], 0));
		get(handle, "e");
		observe_state(handle, "append",
			      memcached_append(handle, "e", 1, "5", 1, tried[i], 9));
		get(handle, "e");
		observe_state(
			handle, "with_initial",
			memcached_increment_with_initial(handle, "i", 1, 1, 40, tried[i], &n));
		observe("n %llu", (unsigned long long)n);
		get(handle, "i");
		get(handle, "i");
		observe_state(handle, "delete", memcached_delete(handle, "e", 1, tried[i]));
		get(handle, "e");
		memcached_delete(handle, "i", 1, 0);
	}
}

/* --- sizes --- */

TEST_IN_BOTH(test_sizes__as_memcached_takes_them)
{
	static const size_t tried[] = { 0,     1,	100,	 8191,	  8192,	   65536,
					65537, 1000000, 1048000, 1048576, 1048577, 8000000 };
	char *value = malloc(8000000);

	assert_non_null(value);
	memset(value, 'x', 8000000);
	for (size_t i = 0; i < sizeof(tried) / sizeof(tried[0]); i++) {
		memcached_st *other = handle_open(handle->flags.binary_protocol);

		observe("-- %zu bytes", tried[i]);
		observe("set: %s",
			name_of(memcached_set(handle, "size", 4, value, tried[i], 0, 5)));
		/* A refused value may leave the connection behind it in any state. */
		get(other, "size");
		get(other, "size");
		memcached_quit(handle);
		memcached_free(other);
	}
	observe_state(handle, "empty", memcached_set(handle, "size", 4, NULL, 0, 0, 0));
	get(handle, "size");
	free(value);
}

TEST_IN_BOTH(test_many_keys__in_one_request)
{
	enum { N = 5000 };
	char(*names)[16] = calloc(N, sizeof(*names));
	const char **keys = calloc(N, sizeof(*keys));
	size_t *lengths = calloc(N, sizeof(*lengths));

	assert_true(names && keys && lengths);
	for (int i = 0; i < N; i++) {
		lengths[i] = (size_t)snprintf(names[i], sizeof(names[i]), "n%d", i);
		keys[i] = names[i];
		if (i % 100 == 0) {
			memcached_set(handle, keys[i], lengths[i], "v", 1, 0, 0);
		}
	}
	ask_n(handle, keys, lengths, N);
	ask_n(handle, keys, lengths, N);
	ask_n(handle, keys, lengths, 0);
	free(names);
	free(keys);
	free(lengths);
}

/* --- NULL --- */

static void test_null__answered_as_libmemcached_answers(void **state)
{
	static const char *const keys[] = { "key" };
	static const size_t lengths[] = { 3 };
	memcached_st *handle = handle_open(false);
	memcached_return_t rc = MEMCACHED_SUCCESS;
	uint64_t n = 0;
	size_t n_value = 0;
	uint32_t flags = 0;

	observe("-- NULL");
	observe("get: %s", memcached_get(NULL, "key", 3, &n_value, &flags, &rc) ? "one" : "none");
	observe("get: %s", name_of(rc));
	observe("mget: %s", name_of(memcached_mget(NULL, keys, lengths, 1)));
	observe("exist: %s", name_of(memcached_exist(NULL, "key", 3)));
	observe("set: %s", name_of(memcached_set(NULL, "key", 3, "v", 1, 0, 0)));
	observe("delete: %s", name_of(memcached_delete(NULL, "key", 3, 0)));
	observe("increment: %s", name_of(memcached_increment(NULL, "key", 3, 1, &n)));
	observe("touch: %s", name_of(memcached_touch(NULL, "key", 3, 0)));
	observe("flush: %s", name_of(memcached_flush(NULL, 0)));
	observe("flush_buffers: %s", name_of(memcached_flush_buffers(NULL)));
	observe("version: %s", name_of(memcached_version(NULL)));
	observe("dump: %s", name_of(memcached_dump(NULL, NULL, NULL, 0)));
	observe("reset: %s", name_of(memcached_reset(NULL)));
	observe("result: %s", memcached_fetch_result(NULL, NULL, &rc) ? "one" : "none");
	observe("result: %s", name_of(rc));
	observe("behavior: %s",
		name_of(memcached_behavior_set(NULL, MEMCACHED_BEHAVIOR_NO_BLOCK, 1)));
	observe("distribution: %s",
		name_of(memcached_behavior_set_distribution(NULL, MEMCACHED_DISTRIBUTION_MODULA)));
	observe("callback: %s",
		name_of(memcached_callback_set(NULL, MEMCACHED_CALLBACK_NAMESPACE, "n")));
	observe("callback: %s",
		memcached_callback_get(NULL, MEMCACHED_CALLBACK_NAMESPACE, &rc) ? "one" : "none");
	observe("hashkit: %s", name_of(memcached_set_hashkit(NULL, NULL)));
	observe("bucket: %s", name_of(memcached_bucket_set(NULL, NULL, NULL, 0, 0)));
	observe("encoding: %s", name_of(memcached_set_encoding_key(NULL, "key", 3)));
	observe("server: %s", name_of(memcached_server_push(NULL, NULL)));
	observe("login: %s", name_of(memcached_set_sasl_auth_data(NULL, "user", "password")));
	observe("logout: %s", name_of(memcached_destroy_sasl_auth_data(NULL)));
	memcached_set_sasl_callbacks(NULL, NULL);
	memcached_servers_reset(NULL);
	memcached_quit(NULL);
	memcached_free(NULL);
	memcached_result_free(NULL);
	observe_state(handle, "mget", memcached_mget(handle, NULL, lengths, 1));
	observe_state(handle, "mget", memcached_mget(handle, keys, NULL, 1));
	observe_state(handle, "mget_execute",
		      memcached_mget_execute(handle, NULL, NULL, 1, NULL, NULL, 0));
	observe_state(handle, "set", memcached_set(handle, NULL, 0, "v", 1, 0, 0));
	get_n(handle, NULL, 0);
	store(handle, "key", "value", 0);
	observe_state(handle, "increment", memcached_increment(handle, "key", 3, 1, NULL));
	observe_state(handle, "mget", memcached_mget(handle, keys, lengths, 1));
	observe_state(handle, "execute", memcached_fetch_execute(handle, NULL, NULL, 0));
	observe_state(handle, "execute", memcached_fetch_execute(handle, NULL, NULL, 0));
	memcached_free(handle);
	handle = memcached_clone(NULL, NULL);
	observe("clone: %s", handle ? "one" : "none");
	get(handle, "key");
	memcached_free(handle);
	handle = memcached(NULL, 0);
	observe("handle: %s", handle ? "one" : "none");
	get(handle, "key");
	memcached_free(handle);
	observe("handle: %s", memcached("", 0) ? "one" : "none");
	observe("handle: %s", memcached(NULL, 5) ? "one" : "none");
}

/* --- no servers --- */

static void test_zero_servers__the_real_error(void **state)
{
	static const char *const keys[] = { "one", "two" };

	for (unsigned binary = 0; binary < 2; binary++) {
		memcached_st *handle = memcached_create(NULL);
		uint64_t n = 0;

		observe("-- no servers, %s", binary ? "binary" : "text");
		memcached_behavior_set(handle, MEMCACHED_BEHAVIOR_BINARY_PROTOCOL, binary);
		for (int i = 0; i < 2; i++) {
			get(handle, "one");
			store(handle, "one", "1", 0);
			ask(handle, keys, 2);
			fetch_all(handle);
			fetch_result_all(handle);
			exist(handle, "one", 3);
			observe_state(handle, "delete", memcached_delete(handle, "one", 3, 0));
			observe_state(handle, "increment",
				      memcached_increment(handle, "one", 3, 1, &n));
			observe_state(handle, "flush", memcached_flush(handle, 0));
			observe_state(handle, "version", memcached_version(handle));
			memcached_quit(handle);
			/* It had some in between. */
			memcached_server_add_unix_socket(handle, server_socket(client_server));
			store(handle, "one", "1", 0);
			get(handle, "one");
			memcached_servers_reset(handle);
		}
		memcached_free(handle);
	}
}

static void test_preloaded__memory_answered(void **state)
{
	if (preloaded()) {
		assert_true(layer_hits("memory") > 0);
		assert_true(calls_passed("key") > 0);
		assert_true(calls_passed("batch") > 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_key_lengths__as_libmemcached_takes_them),
		cmocka_unit_test(test_odd_keys__as_the_handle_verifies_them),
		cmocka_unit_test(test_expiries__to_the_ends_of_time),
		cmocka_unit_test(test_sizes__as_memcached_takes_them),
		cmocka_unit_test(test_many_keys__in_one_request),
		cmocka_unit_test(test_null__answered_as_libmemcached_answers),
		cmocka_unit_test(test_zero_servers__the_real_error),
		cmocka_unit_test(test_preloaded__memory_answered),
	};

	return cmocka_run_group_tests(tests, client_server_up, client_server_down);
}
