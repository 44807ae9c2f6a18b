/*
 * The calls that every program makes, in both protocols: does a program see
 * the same bare and preloaded?
 */
#include "tests/shim/client.h"

#define LARGE_BYTES (900 * 1000)
#define TOO_LARGE_BYTES (2 * 1000 * 1000)

/*
 * A decrement leaves trailing blanks where memcached changes the item in
 * place, which it does or does not as its own threads happen to run.
 */
static void get_number(memcached_st *handle, const char *key)
{
	memcached_return_t result;
	uint32_t flags;
	size_t n_value;
	char *value = memcached_get(handle, key, strlen(key), &n_value, &flags, &result);

	observe("number: %s %lld", name_of(result), value != NULL ? atoll(value) : -1);
	free(value);
}

TEST_IN_BOTH(test_get__value_flags_and_length_as_stored)
{
	unsigned i;

	store(handle, "key", "value", 0xfedcba98);
	for (i = 0; i < 3; i++) {
		get(handle, "key");
	}
	store(handle, "key", "another", 0);
	get(handle, "key");
	get(handle, "missing");
	get(handle, "key");
}

TEST_IN_BOTH(test_get_by_key__the_same_item)
{
	memcached_return_t result;
	size_t n_value = 0;
	uint32_t flags = 0;
	char *value;
	unsigned i;

	observe_state(handle, "set_by_key",
		      memcached_set_by_key(handle, "master", 6, "key", 3, "mine", 4, 0, 5));
	for (i = 0; i < 2; i++) {
		value = memcached_get_by_key(handle, "master", 6, "key", 3, &n_value, &flags,
					     &result);
		observe_value("get_by_key", value, n_value, flags, result);
		free(value);
	}
	get(handle, "key");
}

TEST_IN_BOTH(test_get_with_null_outputs__served_all_the_same)
{
	memcached_return_t result;
	size_t n_value = 0;
	uint32_t flags = 0;
	char *value;
	unsigned i;

	store(handle, "key", "value", 3);
	for (i = 0; i < 2; i++) {
		value = memcached_get(handle, "key", 3, &n_value, NULL, &result);
		observe_value("no flags", value, n_value, 0, result);
		free(value);
		value = memcached_get(handle, "key", 3, &n_value, &flags, NULL);
		observe_value("no result", value, n_value, flags, MEMCACHED_SUCCESS);
		free(value);
	}
	value = memcached_get(handle, "missing", 7, &n_value, NULL, NULL);
	observe_value("missing", value, n_value, 0, MEMCACHED_SUCCESS);
	free(value);
}

TEST_IN_BOTH(test_empty_value__null_and_success)
{
	static const char *const keys[] = { "empty", "full" };

	store(handle, "empty", "", 9);
	store(handle, "full", "x", 9);
	get(handle, "empty");
	get(handle, "empty");
	ask(handle, keys, 2);
	fetch_result_all(handle);
}

TEST_IN_BOTH(test_large_values__whole_or_refused)
{
	char *sent = malloc(TOO_LARGE_BYTES);
	memcached_return_t result;
	uint32_t flags;
	unsigned i;

	assert_non_null(sent);
	for (i = 0; i < TOO_LARGE_BYTES; i++) {
		sent[i] = (char)('a' + i % 23);
	}
	observe("large set: %s",
		name_of(memcached_set(handle, "large", 5, sent, LARGE_BYTES, 0, 1)));
	for (i = 0; i < 2; i++) {
		size_t n_value = 0;
		char *value = memcached_get(handle, "large", 5, &n_value, &flags, &result);

		observe("large get: %s %zu %s", name_of(result), n_value,
			value != NULL && memcmp(value, sent, LARGE_BYTES) == 0 ? "same" : "other");
		free(value);
	}
	observe("too large set: %s",
		name_of(memcached_set(handle, "large", 5, sent, TOO_LARGE_BYTES, 0, 1)));
	free(sent);
}

TEST_IN_BOTH(test_keys_out_of_bounds__refused)
{
	char key[MEMCACHED_MAX_KEY + 8];

	memset(key, 'k', sizeof(key));
	key[sizeof(key) - 1] = '\0';
	get(handle, "");
	get(handle, key);
	store(handle, "", "value", 0);
	store(handle, key, "value", 0);
	key[MEMCACHED_MAX_KEY - 1] = '\0';
	store(handle, key, "longest", 0);
	get(handle, key);
	get(handle, key);
}

TEST_IN_BOTH(test_delete__gone_at_once)
{
	store(handle, "key", "value", 0);
	get(handle, "key");
	observe_state(handle, "delete", memcached_delete(handle, "key", 3, 0));
	get(handle, "key");
	observe_state(handle, "delete", memcached_delete(handle, "key", 3, 0));
	observe_state(handle, "exist", memcached_exist(handle, "key", 3));
	store(handle, "key", "again", 0);
	observe_state(handle, "exist", memcached_exist(handle, "key", 3));
}

TEST_IN_BOTH(test_increment_decrement__reads_see_the_number)
{
	uint64_t number = 0;

	store(handle, "n", "10", 0);
	get_number(handle, "n");
	observe_state(handle, "increment", memcached_increment(handle, "n", 1, 5, &number));
	observe("now %llu", (unsigned long long)number);
	get_number(handle, "n");
	observe_state(handle, "decrement", memcached_decrement(handle, "n", 1, 8, &number));
	observe("now %llu", (unsigned long long)number);
	get_number(handle, "n");
	observe_state(handle, "decrement", memcached_decrement(handle, "n", 1, 99, NULL));
	get_number(handle, "n");
	observe_state(handle, "increment", memcached_increment(handle, "none", 4, 1, &number));
	store(handle, "word", "word", 0);
	get(handle, "word");
	observe_state(handle, "increment", memcached_increment(handle, "word", 4, 1, &number));
	get(handle, "word");
	observe_state(handle, "increment_with_initial",
		      memcached_increment_with_initial(handle, "new", 3, 1, 42, 0, &number));
	get(handle, "new");
}

TEST_IN_BOTH(test_append_prepend__reads_see_the_whole)
{
	store(handle, "key", "b", 4);
	get(handle, "key");
	observe_state(handle, "append", memcached_append(handle, "key", 3, "c", 1, 0, 0));
	get(handle, "key");
	observe_state(handle, "prepend", memcached_prepend(handle, "key", 3, "a", 1, 0, 0));
	get(handle, "key");
	observe_state(handle, "append", memcached_append(handle, "none", 4, "c", 1, 0, 0));
	get(handle, "none");
}

TEST_IN_BOTH(test_add_replace__conditions_are_memcacheds)
{
	observe_state(handle, "replace", memcached_replace(handle, "key", 3, "r", 1, 0, 0));
	get(handle, "key");
	observe_state(handle, "add", memcached_add(handle, "key", 3, "a", 1, 0, 0));
	get(handle, "key");
	observe_state(handle, "add", memcached_add(handle, "key", 3, "b", 1, 0, 0));
	get(handle, "key");
	observe_state(handle, "replace", memcached_replace(handle, "key", 3, "r", 1, 0, 0));
	get(handle, "key");
}

static uint64_t cas_of(memcached_st *handle, const char *key)
{
	memcached_return_t result;
	memcached_result_st *found;
	uint64_t cas = 0;

	ask(handle, &key, 1);
	while ((found = memcached_fetch_result(handle, NULL, &result)) != NULL) {
		cas = memcached_result_cas(found);
		memcached_result_free(found);
	}
	observe("has cas: %s", cas != 0 ? "yes" : "no");
	return cas;
}

TEST_IN_BOTH(test_cas__the_servers_own_id)
{
	uint64_t first, second;

	observe_state(handle, "support_cas",
		      memcached_behavior_set(handle, MEMCACHED_BEHAVIOR_SUPPORT_CAS, 1));
	store(handle, "key", "one", 0);
	get(handle, "key");
	first = cas_of(handle, "key");
	observe_state(handle, "cas", memcached_cas(handle, "key", 3, "two", 3, 0, 0, first));
	get(handle, "key");
	observe_state(handle, "cas", memcached_cas(handle, "key", 3, "three", 5, 0, 0, first));
	get(handle, "key");
	second = cas_of(handle, "key");
	observe("another id: %s", first != second ? "yes" : "no");
	observe_state(handle, "cas", memcached_cas(handle, "none", 4, "x", 1, 0, 0, first));
}

TEST_IN_BOTH(test_touch_and_expiry__expired_is_missing)
{
	store(handle, "key", "value", 0);
	get(handle, "key");
	observe_state(handle, "touch", memcached_touch(handle, "key", 3, 100));
	get(handle, "key");
	observe_state(handle, "set expired",
		      memcached_set(handle, "key", 3, "dead", 4, (time_t)-1, 0));
	get(handle, "key");
	observe_state(handle, "touch", memcached_touch(handle, "key", 3, 100));
}

TEST_IN_BOTH(test_flush__everything_gone)
{
	static const char *const keys[] = { "one", "two" };

	store(handle, "one", "1", 0);
	store(handle, "two", "2", 0);
	get(handle, "one");
	get(handle, "two");
	observe_state(handle, "flush", memcached_flush(handle, 0));
	get(handle, "one");
	ask(handle, keys, 2);
	fetch_result_all(handle);
}

TEST_IN_BOTH(test_prefix__part_of_the_item)
{
	static const char *const keys[] = { "key" };

	store(handle, "key", "bare", 0);
	get(handle, "key");
	observe_state(handle, "prefix",
		      memcached_callback_set(handle, MEMCACHED_CALLBACK_NAMESPACE, "pre:"));
	get(handle, "key");
	store(handle, "key", "prefixed", 0);
	get(handle, "key");
	ask(handle, keys, 1);
	fetch_result_all(handle);
	observe_state(handle, "no prefix",
		      memcached_callback_set(handle, MEMCACHED_CALLBACK_NAMESPACE, NULL));
	get(handle, "key");
	get(handle, "pre:key");
}

TEST_IN_BOTH(test_two_handles__one_sees_what_the_other_wrote)
{
	memcached_st *other = handle_open(false);
	memcached_st *copy;

	store(handle, "key", "one", 0);
	get(other, "key");
	get(handle, "key");
	store(other, "key", "two", 1);
	get(handle, "key");
	observe_state(other, "delete", memcached_delete(other, "key", 3, 0));
	get(handle, "key");
	copy = memcached_clone(NULL, handle);
	assert_non_null(copy);
	store(copy, "key", "three", 2);
	get(handle, "key");
	get(copy, "key");
	memcached_free(copy);
	memcached_free(other);
	get(handle, "key");
}

TEST_IN_BOTH(test_hit_after_an_error__leaves_no_error)
{
	store(handle, "key", "value", 0);
	get(handle, "key");
	observe_state(handle, "add", memcached_add(handle, "key", 3, "x", 1, 0, 0));
	get(handle, "key");
	get(handle, "missing");
	get(handle, "key");
	observe("last error message: %s",
		memcached_last_error_message(handle) != NULL ? "one" : "none");
	observe("last errno: %d", memcached_last_error_errno(handle));
}

static void test_no_server__errors_of_the_real_library(void **state)
{
	static const char *const keys[] = { "one", "two" };
	unsigned binary, i;

	for (binary = 0; binary < 2; binary++) {
		memcached_st *handle = memcached_create(NULL);

		observe("-- no server at all, %s", binary ? "binary" : "text");
		memcached_behavior_set(handle, MEMCACHED_BEHAVIOR_BINARY_PROTOCOL, binary);
		get(handle, "key");
		store(handle, "key", "value", 0);
		memcached_server_add_unix_socket(handle, "/nonexistent/socket");
		observe("-- a dead server, %s", binary ? "binary" : "text");
		for (i = 0; i < 2; i++) {
			get(handle, "key");
			store(handle, "key", "value", 0);
			observe_state(handle, "delete", memcached_delete(handle, "key", 3, 0));
			ask(handle, keys, 2);
			fetch_all(handle);
			fetch_result_all(handle);
		}
		memcached_free(handle);
	}
}

static void test_server_restarted__old_values_do_not_return(void **state)
{
	memcached_st *handle = handle_open(false);

	observe("-- restarted");
	store(handle, "before", "value", 0);
	assert_int_equal(memcached_delete(handle, "before", 6, 0), MEMCACHED_SUCCESS);
	assert_true(server_restart(client_server));
	memcached_quit(handle);
	get(handle, "before");
	store(handle, "after", "value", 0);
	get(handle, "after");
	memcached_free(handle);
}

/* Last: what all the tests above did must have come through the shim. */
static void test_preloaded__calls_and_hits_were_counted(void **state)
{
	static const char *const functions[] = {
		"memcached_get",	"memcached_get_by_key",
		"memcached_exist",	"memcached_set",
		"memcached_set_by_key", "memcached_add",
		"memcached_replace",	"memcached_append",
		"memcached_prepend",	"memcached_cas",
		"memcached_delete",	"memcached_increment",
		"memcached_decrement",	"memcached_increment_with_initial",
		"memcached_touch",	"memcached_flush",
	};
	size_t i;

	if (!preloaded()) {
		return;
	}
	for (i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		if (calls_seen(functions[i]) == 0) {
			fail_msg("the shim has seen no %s", functions[i]);
		}
	}
	assert_true(layer_hits("memory") > 0);
	assert_true(layer_hits("memcached") > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_get__value_flags_and_length_as_stored),
		cmocka_unit_test(test_get_by_key__the_same_item),
		cmocka_unit_test(test_get_with_null_outputs__served_all_the_same),
		cmocka_unit_test(test_empty_value__null_and_success),
		cmocka_unit_test(test_large_values__whole_or_refused),
		cmocka_unit_test(test_keys_out_of_bounds__refused),
		cmocka_unit_test(test_delete__gone_at_once),
		cmocka_unit_test(test_increment_decrement__reads_see_the_number),
		cmocka_unit_test(test_append_prepend__reads_see_the_whole),
		cmocka_unit_test(test_add_replace__conditions_are_memcacheds),
		cmocka_unit_test(test_cas__the_servers_own_id),
		cmocka_unit_test(test_touch_and_expiry__expired_is_missing),
		cmocka_unit_test(test_flush__everything_gone),
		cmocka_unit_test(test_prefix__part_of_the_item),
		cmocka_unit_test(test_two_handles__one_sees_what_the_other_wrote),
		cmocka_unit_test(test_hit_after_an_error__leaves_no_error),
		cmocka_unit_test(test_no_server__errors_of_the_real_library),
		cmocka_unit_test(test_server_restarted__old_values_do_not_return),
		cmocka_unit_test(test_preloaded__calls_and_hits_were_counted),
	};

	return cmocka_run_group_tests(tests, client_server_up, client_server_down);
}
