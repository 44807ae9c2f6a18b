/*
 * Handles as programs set them up: with namespaces, UDP, encoding, option
 * strings, buffers.  The same bare and preloaded?
 */
#include "tests/shim/client.h"

#include <stdio.h>

static void behave(memcached_st *handle, memcached_behavior_t behavior, uint64_t value)
{
	observe_state(handle, libmemcached_string_behavior(behavior),
		      memcached_behavior_set(handle, behavior, value));
}

/* --- namespaces --- */

static void use_namespace(memcached_st *handle, const char *name)
{
	const char *now;
	memcached_return_t rc;

	observe_state(handle, "namespace",
		      memcached_callback_set(handle, MEMCACHED_CALLBACK_NAMESPACE, name));
	now = memcached_callback_get(handle, MEMCACHED_CALLBACK_NAMESPACE, &rc);
	observe("now \"%s\", %s", now ? now : "(null)", name_of(rc));
}

TEST_IN_BOTH(test_namespace_from_call_to_call__items_of_each)
{
	static const char *const names[] = { "one:", NULL, "two:", "one:", "", "on" };
	static const char *const keys[] = { "key", "e:key" };
	char longest[MEMCACHED_PREFIX_KEY_MAX_SIZE + 8];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		use_namespace(handle, names[i]);
		get(handle, "key");
		ask(handle, keys, 2);
		fetch_result_all(handle);
		store(handle, "key", names[i] ? names[i] : "none", 0);
		get(handle, "key");
		get(handle, "e:key");
		ask(handle, keys, 2);
		fetch_result_all(handle);
	}
	memset(longest, 'n', sizeof(longest));
	for (size_t n = 120; n < sizeof(longest); n++) {
		longest[n] = '\0';
		use_namespace(handle, longest);
		longest[n] = 'n';
	}
	use_namespace(handle, "with blank ");
	get(handle, "key");
}

/* --- what a handle may not read --- */

static void test_udp__reads_are_refused(void **state)
{
	static const char *const keys[] = { "key", "other" };

	for (unsigned binary = 0; binary < 2; binary++) {
		memcached_st *writer = handle_open(binary);
		memcached_st *handle = memcached_create(NULL);

		observe("-- UDP, %s", binary ? "binary" : "text");
		store(writer, "key", "value", 0);
		get(writer, "key");
		behave(handle, MEMCACHED_BEHAVIOR_BINARY_PROTOCOL, binary);
		observe_state(handle, "add", memcached_server_add_udp(handle, "127.0.0.1", 9));
		observe_state(handle, "add", memcached_server_add(handle, "127.0.0.1", 9));
		behave(handle, MEMCACHED_BEHAVIOR_USE_UDP, 1);
		get(handle, "key");
		ask(handle, keys, 2);
		fetch_all(handle);
		fetch_result_all(handle);
		observe_state(handle, "exist", memcached_exist(handle, "key", 3));
		behave(handle, MEMCACHED_BEHAVIOR_BUFFER_REQUESTS, 1);
		behave(handle, MEMCACHED_BEHAVIOR_NOREPLY, 0);
		observe_state(handle, "version", memcached_version(handle));
		memcached_free(handle);
		memcached_free(writer);
	}
}

/* --- encoding --- */

static void test_encoding_keys__each_reads_its_own(void **state)
{
	memcached_st *one = handle_open(false);
	memcached_st *other = handle_open(false);
	memcached_st *plain = handle_open(false);
	memcached_st *taker = handle_open(false);
	memcached_st *clone;
	memcached_return_t rc;
	char *value;
	size_t n = 0;

	observe("-- encoding");
	memcached_set_encoding_key(one, "first", 5);
	memcached_set_encoding_key(other, "second", 6);
	for (int i = 0; i < 2; i++) {
		store(one, "secret", i ? "again" : "hidden", 1);
		get(one, "secret");
		get(one, "secret");
		observe_state(one, "append", memcached_append(one, "secret", 6, "x", 1, 0, 0));
		observe_state(one, "increment", memcached_increment(one, "secret", 6, 1, NULL));
		get(one, "secret");
		clone = memcached_clone(NULL, one);
		get(clone, "secret");
		get(clone, "secret");
		memcached_free(clone);
		store(other, "theirs", "other", 0);
		get(other, "theirs");
	}
	/* A kit brings its key with it. */
	observe_state(taker, "hashkit",
		      memcached_set_hashkit(taker, (hashkit_st *)memcached_get_hashkit(other)));
	get(taker, "theirs");
	get(taker, "theirs");
	store(taker, "taken", "also", 0);
	get(other, "taken");
	observe_state(taker, "hashkit",
		      memcached_set_hashkit(taker, (hashkit_st *)memcached_get_hashkit(one)));
	get(taker, "secret");
	observe_state(taker, "hashkit",
		      memcached_set_hashkit(taker, (hashkit_st *)memcached_get_hashkit(plain)));
	store(plain, "open", "plain", 0);
	get(taker, "open");
	/* Not the key that was set before the kit came. */
	memcached_set_encoding_key(taker, "first", 5);
	observe_state(taker, "hashkit",
		      memcached_set_hashkit(taker, (hashkit_st *)memcached_get_hashkit(other)));
	store(taker, "whose", "theirs", 0);
	get(other, "whose");
	value = memcached_get(one, "whose", 5, &n, NULL, &rc);
	observe("with another key: %s, %s", name_of(rc),
		value && n == 6 && memcmp(value, "theirs", 6) == 0 ? "readable" : "not readable");
	free(value);
	memcached_free(one);
	memcached_free(other);
	memcached_free(plain);
	memcached_free(taker);
}

/* --- option strings --- */

static void test_option_strings__make_the_same_handles(void **state)
{
	static const char *const options[] = {
		"@",
		"@ --NAMESPACE=\"opt:\"",
		"@ --BINARY-PROTOCOL --SUPPORT-CAS",
		"@ --VERIFY-KEY",
		"@ --BUFFER-REQUESTS",
		"@ --NOREPLY --NO-BLOCK --TCP-NODELAY",
		"@ --DISTRIBUTION=consistent --HASH=md5",
		"@ --POOL-MIN=1 --POOL-MAX=4",
		"--SERVER=127.0.0.1:1 @ --CONNECT-TIMEOUT=100",
		"--NAMESPACE=\"no server\"",
		"--NO-SUCH-OPTION",
	};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		char text[512];
		char error[256];
		memcached_st *handle;
		const char *socket = strchr(options[i], '@');
		int before = (int)(socket ? socket - options[i] : 0);
		int n = socket ? snprintf(text, sizeof(text), "%.*s--SOCKET=\"%s\"%s", before,
					  options[i], server_socket(client_server), socket + 1)
			       : snprintf(text, sizeof(text), "%s", options[i]);

		observe("-- %s", options[i]);
		observe("check: %s", name_of(libmemcached_check_configuration(
					     text, (size_t)n, error, sizeof(error))));
		handle = memcached(text, (size_t)n);
		observe("handle: %s", handle ? "one" : "none");
		if (handle == NULL) {
			continue;
		}
		for (int k = 0; k < 2; k++) {
			store(handle, "options", "value", 0);
			get(handle, "options");
			get(handle, "options");
		}
		memcached_free(handle);
	}
}

/* --- writes without an answer --- */

TEST_IN_BOTH(test_buffered_writes__are_read_back)
{
	store(handle, "b1", "before", 0);
	get(handle, "b1");
	behave(handle, MEMCACHED_BEHAVIOR_BUFFER_REQUESTS, 1);
	for (int i = 0; i < 3; i++) {
		char value[16];

		snprintf(value, sizeof(value), "value %d", i);
		store(handle, "b1", value, 0);
		if (i == 1) {
			get(handle, "");
		}
		get(handle, "b1");
		get(handle, "b1");
		store(handle, "b2", value, 0);
		observe_state(handle, "flush_buffers", memcached_flush_buffers(handle));
		get(handle, "b2");
	}
	behave(handle, MEMCACHED_BEHAVIOR_BUFFER_REQUESTS, 0);
	get(handle, "b1");
	get(handle, "b2");
}

TEST_IN_BOTH(test_noreply__the_same_handle_reads_its_writes)
{
	uint64_t n = 0;

	store(handle, "n", "1", 0);
	get(handle, "n");
	behave(handle, MEMCACHED_BEHAVIOR_NOREPLY, 1);
	for (int i = 0; i < 3; i++) {
		store(handle, "key", i ? "later" : "first", 0);
		get(handle, "key");
		observe_state(handle, "append", memcached_append(handle, "key", 3, "+", 1, 0, 0));
		get(handle, "key");
		observe_state(handle, "increment", memcached_increment(handle, "n", 1, 1, &n));
		get(handle, "n");
		observe_state(handle, "delete", memcached_delete(handle, "key", 3, 0));
		get(handle, "key");
	}
}

TEST_IN_BOTH(test_no_block__answers_are_the_same)
{
	static const char *const keys[] = { "key", "missing", "n" };

	behave(handle, MEMCACHED_BEHAVIOR_NO_BLOCK, 1);
	for (int i = 0; i < 3; i++) {
		store(handle, "key", i ? "later" : "first", 0);
		store(handle, "n", "7", 0);
		get(handle, "key");
		ask(handle, keys, 3);
		fetch_result_all(handle);
		observe_state(handle, "delete", memcached_delete(handle, "key", 3, 0));
		get(handle, "key");
	}
}

/* --- life of a handle --- */

TEST_IN_BOTH(test_reset_and_clone__begin_anew)
{
	memcached_st *clone;

	store(handle, "key", "value", 0);
	get(handle, "key");
	use_namespace(handle, "one:");
	clone = memcached_clone(NULL, handle);
	get(clone, "key");
	use_namespace(clone, NULL);
	get(clone, "key");
	memcached_free(clone);
	use_namespace(handle, NULL);
	clone = memcached_clone(NULL, handle);
	get(clone, "key");
	observe_state(clone, "reset", memcached_reset(clone));
	observe("servers: %u", memcached_server_count(clone));
	get(clone, "key");
	memcached_free(clone);
	observe_state(handle, "reset", memcached_reset(handle));
	get(handle, "key");
	memcached_server_add_unix_socket(handle, server_socket(client_server));
	get(handle, "key");
	memcached_servers_reset(handle);
	get(handle, "key");
	store(handle, "key", "nowhere", 0);
}

static void test_preloaded__memory_answered(void **state)
{
	if (preloaded()) {
		assert_true(layer_hits("memory") > 0);
		assert_true(calls_passed("udp") > 0);
		assert_true(calls_passed("encoding") > 0);
		assert_true(calls_passed("buffered") > 0);
		assert_true(calls_passed("no_servers") > 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_namespace_from_call_to_call__items_of_each),
		cmocka_unit_test(test_udp__reads_are_refused),
		cmocka_unit_test(test_encoding_keys__each_reads_its_own),
		cmocka_unit_test(test_option_strings__make_the_same_handles),
		cmocka_unit_test(test_buffered_writes__are_read_back),
		cmocka_unit_test(test_noreply__the_same_handle_reads_its_writes),
		cmocka_unit_test(test_no_block__answers_are_the_same),
		cmocka_unit_test(test_reset_and_clone__begin_anew),
		cmocka_unit_test(test_preloaded__memory_answered),
	};

	return cmocka_run_group_tests(tests, client_server_up, client_server_down);
}
