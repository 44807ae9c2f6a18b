/*
 * Bad input: what libmemcached refuses, or makes of it, is what it makes of it
 * under tower.  Left out is what libmemcached itself dies of.
 */
#include <libmemcached/memcached.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "tests/lib/observe.h"
#include "tests/lib/servers.h"

static struct server *server;

static memcached_st *handle_open(bool binary)
{
	memcached_st *handle = memcached_create(NULL);

	assert_non_null(handle);
	assert_int_equal(memcached_server_add_unix_socket(handle, server_socket(server)),
			 MEMCACHED_SUCCESS);
	assert_int_equal(memcached_behavior_set(handle, MEMCACHED_BEHAVIOR_BINARY_PROTOCOL, binary),
			 MEMCACHED_SUCCESS);
	return handle;
}

static const char *name_of(memcached_return_t rc)
{
	return memcached_strerror(NULL, rc);
}

static void observe_state(memcached_st *handle, const char *call, memcached_return_t rc)
{
	observe("%s: %s, last error %s", call, name_of(rc),
		handle ? name_of(memcached_last_error(handle)) : "none");
}

static void get(memcached_st *handle, const char *key, size_t n_key)
{
	memcached_return_t rc = MEMCACHED_MAXIMUM_RETURN;
	uint32_t flags = 77;
	size_t n = 77;
	char *value = memcached_get(handle, key, n_key, &n, &flags, &rc);

	observe("get: %s, %s, %zu bytes, flags %u", name_of(rc), value ? value : "null", n,
		value ? flags : 0);
	observe_state(handle, "get", rc);
	free(value);
}

/* Libmemcached sends whatever it was given here, so that a bad key leaves it out of step. */
static void exists(memcached_st *handle, const char *key, size_t n_key)
{
	observe_state(handle, "exist", memcached_exist(handle, key, n_key));
	observe_state(handle, "exist_by_key", memcached_exist_by_key(handle, key, n_key, "own", 3));
}

/* Every other call that takes a key, and two gets, because the second one may be a hit. */
static void all_with_key(memcached_st *handle, const char *key, size_t n_key)
{
	const char *keys[] = { "good", key, "also good" };
	size_t lengths[] = { 4, n_key, 9 };
	memcached_result_st *result;
	memcached_return_t rc;
	uint64_t number = 77;

	observe_state(handle, "set", memcached_set(handle, key, n_key, "v", 1, 0, 0));
	get(handle, key, n_key);
	get(handle, key, n_key);
	observe_state(handle, "add", memcached_add(handle, key, n_key, "v", 1, 0, 0));
	observe_state(handle, "replace", memcached_replace(handle, key, n_key, "v", 1, 0, 0));
	observe_state(handle, "append", memcached_append(handle, key, n_key, "v", 1, 0, 0));
	observe_state(handle, "prepend", memcached_prepend(handle, key, n_key, "v", 1, 0, 0));
	observe_state(handle, "cas", memcached_cas(handle, key, n_key, "v", 1, 0, 0, 1));
	observe_state(handle, "increment", memcached_increment(handle, key, n_key, 1, &number));
	observe_state(handle, "decrement", memcached_decrement(handle, key, n_key, 1, &number));
	observe("number: %llu", (unsigned long long)number);
	observe_state(handle, "touch", memcached_touch(handle, key, n_key, 10));
	observe_state(handle, "delete", memcached_delete(handle, key, n_key, 0));
	observe_state(handle, "set_by_key",
		      memcached_set_by_key(handle, key, n_key, "own", 3, "v", 1, 0, 0));
	observe_state(handle, "mget", memcached_mget(handle, keys, lengths, 3));
	while ((result = memcached_fetch_result(handle, NULL, &rc)) != NULL) {
		observe("fetched %.*s", (int)memcached_result_key_length(result),
			memcached_result_key_value(result));
		memcached_result_free(result);
	}
	observe_state(handle, "fetch", rc);
	get(handle, "good", 4);
}

static void test_key_too_long_or_empty__is_refused_alike(void **state)
{
	static const size_t sizes[] = { 0, 1, 249, 250, 251, 252, 1000, 70000 };
	char *key = malloc(70000);

	(void)state;
	memset(key, 'k', 70000);
	for (unsigned binary = 0; binary < 2; binary++) {
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			memcached_st *handle = handle_open(binary);

			observe("-- %zu bytes, %s", sizes[i], binary ? "binary" : "text");
			memcached_set(handle, "good", 4, "good", 4, 0, 0);
			all_with_key(handle, key, sizes[i]);
			if (sizes[i] > 0 && sizes[i] <= 250) {
				exists(handle, key, sizes[i]);
			}
			memcached_free(handle);
		}
	}
	free(key);
}

/* With what stands before it, such a length is a small one again. */
static void test_length_beyond_all_behind_a_namespace__is_refused_alike(void **state)
{
	(void)state;
	for (unsigned binary = 0; binary < 2; binary++) {
		for (size_t n_less = 0; n_less < 4; n_less++) {
			memcached_st *handle = handle_open(binary);

			memcached_callback_set(handle, MEMCACHED_CALLBACK_NAMESPACE, "ns:");
			memcached_set(handle, "good", 4, "good", 4, 0, 0);
			all_with_key(handle, "key", SIZE_MAX - n_less);
			memcached_free(handle);
		}
	}
}

static void test_key_with_blanks_or_controls__means_the_same(void **state)
{
	static const char *const keys[] = {
		" ", "a b", "a\nb", "a\r\nb", "\t", "\x7f", "\x80\xff"
	};

	(void)state;
	for (unsigned verify = 0; verify < 2; verify++) {
		for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
			memcached_st *handle = handle_open(false);

			/* Without it libmemcached sends what it was given, and loses step. */
			memcached_behavior_set(handle, MEMCACHED_BEHAVIOR_VERIFY_KEY, 1);
			memcached_behavior_set(handle, MEMCACHED_BEHAVIOR_BINARY_PROTOCOL, verify);
			observe("-- key %zu, %s", i, verify ? "binary" : "text");
			all_with_key(handle, keys[i], strlen(keys[i]));
			memcached_free(handle);
		}
	}
}

/* In text these bytes are two keys, or a key and a command. */
static void test_key_that_only_binary_can_have__is_not_found_in_text(void **state)
{
	static const char *const keys[] = { "a b", "a\tb", "a\x7f" };

	(void)state;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		memcached_st *binary = handle_open(true);
		memcached_st *text = handle_open(false);
		size_t n_key = strlen(keys[i]);

		observe("-- key %zu", i);
		observe_state(binary, "set",
			      memcached_set(binary, keys[i], n_key, "binary", 6, 0, 0));
		for (unsigned turn = 0; turn < 2; turn++) {
			get(binary, keys[i], n_key);
			get(text, keys[i], n_key);
			get(text, keys[i], n_key);
		}
		observe_state(binary, "set", memcached_set(binary, keys[i], n_key, "new", 3, 0, 0));
		get(binary, keys[i], n_key);
		memcached_free(text);
		memcached_free(binary);
	}
}

static void expect_got(memcached_st *handle, const char *key, const char *expected)
{
	memcached_return_t rc;
	uint32_t flags;
	size_t n;
	char *value = memcached_get(handle, key, strlen(key), &n, &flags, &rc);

	assert_non_null(value);
	assert_int_equal(n, strlen(expected));
	assert_memory_equal(value, expected, n);
	free(value);
}

/* Its calls get the answers to earlier ones; nobody else, and not itself later, has any of that. */
static void test_handle_out_of_step__spoils_nothing(void **state)
{
	memcached_st *lost = handle_open(false);
	memcached_st *other = handle_open(false);
	uint64_t number;

	(void)state;
	memcached_set(other, "first", 5, "1", 1, 1000, 0);
	memcached_set(other, "second", 6, "2", 1, 1000, 0);
	observe_state(lost, "set", memcached_set(lost, "a b", 3, "x", 1, 0, 0));
	for (unsigned turn = 0; turn < 2; turn++) {
		get(lost, "first", 5);
		get(lost, "second", 6);
	}
	observe_state(lost, "increment", memcached_increment(lost, "missing", 7, 1, &number));
	observe_state(lost, "increment", memcached_increment(lost, "first", 5, 1, &number));
	expect_got(other, "second", "2");
	memcached_quit(lost);
	for (unsigned turn = 0; turn < 2; turn++) {
		expect_got(lost, "second", "2");
		expect_got(other, "first", "2");
		expect_got(lost, "first", "2");
	}
	memcached_free(lost);
	memcached_free(other);
}

/* A cas without an id is answered twice; then each get is given what belongs to the last one. */
static void test_answer_of_another_key__is_the_handles_alone(void **state)
{
	static const char *const keys[] = { "one", "two", "three", "four" };
	memcached_st *lost = handle_open(false);
	memcached_st *other = handle_open(false);

	(void)state;
	memcached_behavior_set(lost, MEMCACHED_BEHAVIOR_SUPPORT_CAS, 1);
	for (unsigned i = 0; i < 4; i++) {
		memcached_set(other, keys[i], strlen(keys[i]), keys[i], strlen(keys[i]), 1000, 0);
	}
	/* What its own write leaves in memory is not what is looked for. */
	memcached_delete(other, "two", 3, 0);
	memcached_set(lost, "two", 3, "two", 3, 1000, 0);
	memcached_cas(lost, "one", 3, "x", 1, 1000, 0, 0);
	for (unsigned i = 0; i < 4; i++) {
		get(lost, keys[i], strlen(keys[i]));
	}
	for (unsigned i = 0; i < 4; i++) {
		expect_got(other, keys[i], keys[i]);
	}
	memcached_free(lost);
	memcached_free(other);
}

static void test_null__where_it_is_allowed(void **state)
{
	memcached_return_t rc = MEMCACHED_MAXIMUM_RETURN;
	memcached_st *handle = handle_open(false);
	uint32_t flags;
	size_t n;
	char *value;

	(void)state;
	observe_state(handle, "set", memcached_set(handle, "null", 4, NULL, 0, 0, 0));
	get(handle, "null", 4);
	get(handle, "null", 4);
	memcached_set(handle, "null", 4, "there", 5, 0, 9);
	for (unsigned i = 0; i < 3; i++) {
		value = memcached_get(handle, "null", 4, &n, NULL, &rc);
		observe("no flags: %s %zu %s", value, n, name_of(rc));
		free(value);
		value = memcached_get(handle, "null", 4, &n, &flags, &rc);
		free(value);
	}
	get(handle, NULL, 0);
	observe_state(handle, "mget of nothing", memcached_mget(handle, NULL, NULL, 0));
	observe("fetch of nothing: %d", memcached_fetch_result(handle, NULL, &rc) == NULL);
	observe_state(handle, "fetch", rc);
	memcached_free(handle);
	memcached_free(NULL);
}

static void test_no_handle__is_refused_alike(void **state)
{
	static const char *const keys[] = { "key" };
	static const size_t lengths[] = { 3 };
	memcached_return_t rc = MEMCACHED_MAXIMUM_RETURN;
	uint64_t number = 77;

	(void)state;
	observe_state(NULL, "set", memcached_set(NULL, "key", 3, "v", 1, 0, 0));
	observe_state(NULL, "add", memcached_add(NULL, "key", 3, "v", 1, 0, 0));
	observe_state(NULL, "cas", memcached_cas(NULL, "key", 3, "v", 1, 0, 0, 1));
	observe_state(NULL, "delete", memcached_delete(NULL, "key", 3, 0));
	observe_state(NULL, "touch", memcached_touch(NULL, "key", 3, 0));
	observe_state(NULL, "exist", memcached_exist(NULL, "key", 3));
	observe_state(NULL, "increment", memcached_increment(NULL, "key", 3, 1, &number));
	observe_state(NULL, "mget", memcached_mget(NULL, keys, lengths, 1));
	observe("fetch_result: %d", memcached_fetch_result(NULL, NULL, &rc) == NULL);
	observe_state(NULL, "flush", memcached_flush(NULL, 0));
	observe_state(NULL, "flush_buffers", memcached_flush_buffers(NULL));
	observe_state(NULL, "behavior_set",
		      memcached_behavior_set(NULL, MEMCACHED_BEHAVIOR_NO_BLOCK, 1));
	observe_state(NULL, "verbosity", memcached_verbosity(NULL, 0));
	observe_state(NULL, "version", memcached_version(NULL));
	memcached_quit(NULL);
	memcached_servers_reset(NULL);
}

static void test_no_servers__is_refused_alike(void **state)
{
	(void)state;
	for (unsigned binary = 0; binary < 2; binary++) {
		memcached_st *handle = memcached_create(NULL);

		memcached_behavior_set(handle, MEMCACHED_BEHAVIOR_BINARY_PROTOCOL, binary);
		all_with_key(handle, "key", 3);
		exists(handle, "key", 3);
		observe_state(handle, "flush", memcached_flush(handle, 0));
		observe_state(handle, "version", memcached_version(handle));
		memcached_free(handle);
	}
}

static void test_expiry_of_all_kinds__ends_alike(void **state)
{
	const time_t now = time(NULL);
	const struct {
		const char *name;
		time_t expiry;
	} all[] = {
		{ "-1", -1 },
		{ "INT_MIN", INT_MIN },
		{ "LONG_MIN", LONG_MIN },
		{ "0", 0 },
		{ "1000", 1000 },
		{ "30 days", 2592000 },
		{ "a second more: of 1970", 2592001 },
		{ "a day ago", now - 86400 },
		{ "tomorrow", now + 86400 },
		{ "INT_MAX", INT_MAX },
		{ "UINT_MAX", (time_t)UINT_MAX },
		{ "UINT_MAX + 2", (time_t)UINT_MAX + 2 },
	};

	(void)state;
	for (unsigned binary = 0; binary < 2; binary++) {
		memcached_st *handle = handle_open(binary);

		for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
			observe("-- %s, %s", all[i].name, binary ? "binary" : "text");
			observe_state(handle, "set",
				      memcached_set(handle, "end", 3, "v", 1, all[i].expiry, 0));
			get(handle, "end", 3);
			get(handle, "end", 3);
			memcached_set(handle, "end", 3, "v", 1, 0, 0);
			get(handle, "end", 3);
			observe_state(handle, "touch",
				      memcached_touch(handle, "end", 3, all[i].expiry));
			get(handle, "end", 3);
		}
		memcached_free(handle);
	}
}

static void test_sizes_beyond_all__are_refused_alike(void **state)
{
	static const size_t sizes[] = { 1048000, 1048576, 2000000, 70000000 };
	char *value = calloc(1, 70000000);

	(void)state;
	assert_non_null(value);
	for (unsigned binary = 0; binary < 2; binary++) {
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			memcached_st *handle = handle_open(binary);
			memcached_return_t rc;
			uint32_t flags;
			size_t n = 0;
			char *got;

			memcached_set(handle, "size", 4, "small", 5, 0, 0);
			get(handle, "size", 4);
			rc = memcached_set(handle, "size", 4, value, sizes[i], 0, 0);
			observe("-- %zu bytes: %s", sizes[i], name_of(rc));
			memcached_quit(handle);
			got = memcached_get(handle, "size", 4, &n, &flags, &rc);
			observe("then: %s, %zu bytes", name_of(rc), n);
			free(got);
			memcached_free(handle);
		}
	}
	free(value);
}

static void test_number_beyond_all__is_counted_alike(void **state)
{
	static const char *const values[] = {
		"18446744073709551615",	  "18446744073709551616", "-1", "1x", "", " 1",
		"00000000000000000000001"
	};

	(void)state;
	for (unsigned binary = 0; binary < 2; binary++) {
		memcached_st *handle = handle_open(binary);

		for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
			uint64_t number = 77;

			observe("-- \"%s\", %s", values[i], binary ? "binary" : "text");
			memcached_set(handle, "number", 6, values[i], strlen(values[i]), 0, 0);
			get(handle, "number", 6);
			observe_state(handle, "increment",
				      memcached_increment(handle, "number", 6, 3, &number));
			observe("number: %llu", (unsigned long long)number);
			get(handle, "number", 6);
		}
		memcached_free(handle);
	}
}

static int start(void **state)
{
	(void)state;
	server = server_start_memcached(NULL);
	return server != NULL ? 0 : -1;
}

static int stop(void **state)
{
	(void)state;
	server_stop(&server);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* First: after writes of unknown outcome no get is a hit at once for a while. */
		cmocka_unit_test(test_key_that_only_binary_can_have__is_not_found_in_text),
		cmocka_unit_test(test_key_too_long_or_empty__is_refused_alike),
		cmocka_unit_test(test_length_beyond_all_behind_a_namespace__is_refused_alike),
		cmocka_unit_test(test_key_with_blanks_or_controls__means_the_same),
		cmocka_unit_test(test_handle_out_of_step__spoils_nothing),
		cmocka_unit_test(test_answer_of_another_key__is_the_handles_alone),
		cmocka_unit_test(test_null__where_it_is_allowed),
		cmocka_unit_test(test_no_handle__is_refused_alike),
		cmocka_unit_test(test_no_servers__is_refused_alike),
		cmocka_unit_test(test_expiry_of_all_kinds__ends_alike),
		cmocka_unit_test(test_sizes_beyond_all__are_refused_alike),
		cmocka_unit_test(test_number_beyond_all__is_counted_alike),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
