/*
 * What a random comparison of long sequences found: each is a case in which a
 * program saw something else under the tower than bare.
 */
#include <libmemcached/memcached.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "tests/lib/observe.h"
#include "tests/lib/servers.h"

static struct server *server;
static struct server *second_server;

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

static void set(memcached_st *handle, const char *key, const char *value, time_t expiration)
{
	observe("set %s: %d", key,
		memcached_set(handle, key, strlen(key), value, strlen(value), expiration, 0));
}

static void get(memcached_st *handle, const char *key)
{
	memcached_return_t rc;
	uint32_t flags;
	size_t n;
	char *value = memcached_get(handle, key, strlen(key), &n, &flags, &rc);

	observe("get %s: %d %zu", key, rc, n);
	free(value);
}

/* Binary, and a set is buffered: the next write reads the answer to that set. */
static void test_write_after_a_buffered_one__is_not_believed(void **state)
{
	memcached_st *buffering = handle_open(true);
	memcached_st *other = handle_open(false);

	memcached_behavior_set(buffering, MEMCACHED_BEHAVIOR_BUFFER_REQUESTS, 1);
	set(buffering, "shift-a", "v", 0);
	observe("replace: %d", memcached_replace(buffering, "shift-b", 7, "w", 1, 0, 0));
	get(other, "shift-b");
	get(other, "shift-b");
	memcached_free(buffering);
	memcached_free(other);
}

static void test_encoded_value_over_the_binary_protocol__comes_as_it_is_stored(void **state)
{
	memcached_st *handle = handle_open(true);

	memcached_set_encoding_key(handle, "secret", 6);
	set(handle, "encoded", "58597", 0);
	get(handle, "encoded");
	get(handle, "encoded");
	memcached_free(handle);
}

static void test_expiry_beyond_32_bits__has_ended(void **state)
{
	memcached_st *handle = handle_open(false);

	set(handle, "far", "v", 4000000000);
	get(handle, "far");
	get(handle, "far");
	memcached_free(handle);
}

static void test_end_after_a_hit__is_the_same(void **state)
{
	static const char *const keys[] = { "absent-1", "absent-2" };
	static const size_t lengths[] = { 8, 8 };
	memcached_st *handle = handle_open(false);
	memcached_return_t rc;
	size_t n;
	uint32_t flags;

	set(handle, "there", "v", 0);
	get(handle, "there");
	get(handle, "there");
	observe("mget: %d", memcached_mget(handle, keys, lengths, 2));
	free(memcached_fetch(handle, NULL, NULL, &n, &flags, &rc));
	observe("fetch: %d", rc);
	memcached_free(handle);
}

static void test_errno_of_a_fetched_hit__is_that_of_the_text_protocol(void **state)
{
	static const char *const keys[] = { "there" };
	static const size_t lengths[] = { 5 };
	memcached_st *handle = handle_open(false);

	set(handle, "there", "v", 0);
	for (int i = 0; i < 3; i++) {
		memcached_return_t rc;
		size_t n;
		uint32_t flags;

		observe("mget: %d", memcached_mget(handle, keys, lengths, 1));
		errno = 77;
		free(memcached_fetch(handle, NULL, NULL, &n, &flags, &rc));
		observe("fetch: %d, errno %d", rc, errno);
		free(memcached_fetch(handle, NULL, NULL, &n, &flags, &rc));
		observe("end: %d", rc);
	}
	memcached_free(handle);
}

static memcached_return_t no_value(const memcached_st *handle, const char *key, size_t n_key,
				   memcached_result_st *result)
{
	observe("trigger");
	return MEMCACHED_NOTFOUND;
}

static void test_trigger__is_one_query(void **state)
{
	memcached_st *handle = handle_open(false);
	uint64_t before = memcached_query_id(handle);
	memcached_trigger_key_fn trigger = no_value;
	const void *data;

	memcpy(&data, &trigger, sizeof(data));
	memcached_callback_set(handle, MEMCACHED_CALLBACK_GET_FAILURE, data);
	get(handle, "absent");
	observe("queries: %llu", (unsigned long long)(memcached_query_id(handle) - before));
	memcached_free(handle);
}

static memcached_return_t some_value(const memcached_st *handle, const char *key, size_t n_key,
				     memcached_result_st *result)
{
	memcached_result_set_value(result, "made", 4);
	return MEMCACHED_SUCCESS;
}

/* What a trigger stores is buffered as any other write; the next question takes it along. */
static void test_get_after_a_trigger_that_buffers__sends_it(void **state)
{
	memcached_st *handle = handle_open(false);
	memcached_st *reader = handle_open(false);
	memcached_trigger_key_fn trigger = some_value;
	const void *data;

	set(reader, "close", "v", 0);
	get(handle, "close");
	get(handle, "close");
	memcpy(&data, &trigger, sizeof(data));
	memcached_callback_set(handle, MEMCACHED_CALLBACK_GET_FAILURE, data);
	memcached_behavior_set(handle, MEMCACHED_BEHAVIOR_BUFFER_REQUESTS, 1);
	set(handle, "first", "v", 0);
	get(handle, "made");
	get(handle, "close");
	get(reader, "made");
	memcached_free(handle);
	memcached_free(reader);
}

/* Where a get takes no group key for none, exist takes it for an empty one. */
static void test_exist_with_an_empty_group__asks_one_server(void **state)
{
	memcached_st *handle = handle_open(false);

	memcached_server_add_unix_socket(handle, server_socket(second_server));
	for (char key[] = "place-a"; key[6] < 'i'; key[6]++) {
		set(handle, key, "v", 0);
		get(handle, key);
		observe("exist %s: %d", key,
			memcached_exist_by_key(handle, "", 0, key, strlen(key)));
	}
	memcached_free(handle);
}

/* Such a write says SUCCESS although it was not sent; the next question takes it along. */
static void test_get_after_a_write_held_back_without_reply__sends_it(void **state)
{
	memcached_st *writer = handle_open(false);
	memcached_st *reader = handle_open(false);

	set(reader, "held", "before", 0);
	set(reader, "near", "v", 0);
	get(writer, "near");
	get(writer, "near");
	memcached_behavior_set(writer, MEMCACHED_BEHAVIOR_BUFFER_REQUESTS, 1);
	memcached_behavior_set(writer, MEMCACHED_BEHAVIOR_NOREPLY, 1);
	get(writer, "near");
	set(writer, "held", "then", 0);
	get(writer, "near");
	get(reader, "held");
	memcached_free(writer);
	memcached_free(reader);
}

static void test_fetched_key_with_a_nul__ends_in_nuls(void **state)
{
	static const char *const keys[] = { "a\0b" };
	static const size_t lengths[] = { 3 };
	memcached_st *handle = handle_open(true);

	memcached_set(handle, keys[0], lengths[0], "v", 1, 0, 0);
	for (int i = 0; i < 3; i++) {
		char key[MEMCACHED_MAX_KEY] = "####";
		memcached_return_t rc;
		size_t n_key, n;
		uint32_t flags;

		memcached_mget(handle, keys, lengths, 1);
		free(memcached_fetch(handle, key, &n_key, &n, &flags, &rc));
		observe("key: %zu, %02x %02x %02x %02x", n_key, key[0], key[1], key[2], key[3]);
		free(memcached_fetch(handle, key, &n_key, &n, &flags, &rc));
	}
	memcached_free(handle);
}

static void test_flush_with_a_dead_server__leaves_its_errno(void **state)
{
	memcached_st *handle = memcached_create(NULL);

	memcached_server_add_unix_socket(handle, "/nowhere");
	errno = 0;
	observe("flush: %d", memcached_flush(handle, 0));
	observe("errno: %d", errno);
	memcached_free(handle);
}

static void test_write_without_reply__leaves_what_is_to_be_fetched(void **state)
{
	static const char *const keys[] = { "left-a", "left-b" };
	static const size_t lengths[] = { 6, 6 };
	memcached_st *handle = handle_open(false);
	memcached_return_t rc = MEMCACHED_SUCCESS;
	size_t n;
	uint32_t flags;

	set(handle, keys[0], "v", 0);
	set(handle, keys[1], "v", 0);
	memcached_behavior_set(handle, MEMCACHED_BEHAVIOR_NOREPLY, 1);
	get(handle, keys[0]);
	observe("mget: %d", memcached_mget(handle, keys, lengths, 2));
	set(handle, "other", "w", 0);
	while (rc == MEMCACHED_SUCCESS) {
		free(memcached_fetch(handle, NULL, NULL, &n, &flags, &rc));
		observe("fetch: %d", rc);
	}
	memcached_free(handle);
}

static int server_up(void **state)
{
	server = server_start_memcached(NULL);
	second_server = server_start_memcached(NULL);
	return server != NULL && second_server != NULL ? 0 : -1;
}

static int server_down(void **state)
{
	server_stop(&server);
	server_stop(&second_server);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_write_after_a_buffered_one__is_not_believed),
		cmocka_unit_test(
			test_encoded_value_over_the_binary_protocol__comes_as_it_is_stored),
		cmocka_unit_test(test_expiry_beyond_32_bits__has_ended),
		cmocka_unit_test(test_end_after_a_hit__is_the_same),
		cmocka_unit_test(test_errno_of_a_fetched_hit__is_that_of_the_text_protocol),
		cmocka_unit_test(test_trigger__is_one_query),
		cmocka_unit_test(test_get_after_a_trigger_that_buffers__sends_it),
		cmocka_unit_test(test_exist_with_an_empty_group__asks_one_server),
		cmocka_unit_test(test_get_after_a_write_held_back_without_reply__sends_it),
		cmocka_unit_test(test_fetched_key_with_a_nul__ends_in_nuls),
		cmocka_unit_test(test_write_without_reply__leaves_what_is_to_be_fetched),
		cmocka_unit_test(test_flush_with_a_dead_server__leaves_its_errno),
	};

	return cmocka_run_group_tests_name("details", tests, server_up, server_down);
}
