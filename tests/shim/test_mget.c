/* Asking for many keys: the same results in the same order, bare and preloaded? */
#include "tests/shim/client.h"

static const char *const some_keys[] = { "delta", "missing", "alpha", "charlie", "alpha", "none" };
#define N_SOME_KEYS (sizeof(some_keys) / sizeof(some_keys[0]))

static void store_some(memcached_st *handle)
{
	store(handle, "alpha", "A", 1);
	store(handle, "charlie", "CCC", 2);
	store(handle, "delta", "", 3);
}

TEST_IN_BOTH(test_mget_fetch__order_of_request_with_duplicates)
{
	unsigned i;

	store_some(handle);
	for (i = 0; i < 2; i++) {
		ask(handle, some_keys, N_SOME_KEYS);
		fetch_all(handle);
	}
	get(handle, "charlie");
}

TEST_IN_BOTH(test_mget_fetch_result__order_of_request_with_duplicates)
{
	unsigned i;

	store_some(handle);
	for (i = 0; i < 2; i++) {
		ask(handle, some_keys, N_SOME_KEYS);
		fetch_result_all(handle);
	}
}

TEST_IN_BOTH(test_mget_partly_known__still_the_order_of_request)
{
	store_some(handle);
	get(handle, "charlie");
	get(handle, "charlie");
	ask(handle, some_keys, N_SOME_KEYS);
	fetch_result_all(handle);
}

TEST_IN_BOTH(test_mget_of_nothing_known__not_found)
{
	static const char *const missing[] = { "no", "nothing" };

	ask(handle, missing, 2);
	fetch_all(handle);
	ask(handle, missing, 2);
	fetch_result_all(handle);
}

TEST_IN_BOTH(test_mget_fetch_execute__callback_for_every_value)
{
	memcached_execute_fn callbacks[] = { execute_one };
	unsigned called, i;

	store_some(handle);
	for (i = 0; i < 2; i++) {
		called = 0;
		ask(handle, some_keys, N_SOME_KEYS);
		observe_state(handle, "fetch_execute",
			      memcached_fetch_execute(handle, callbacks, &called, 1));
		observe("called %u times", called);
	}
}

TEST_IN_BOTH(test_mget_execute__as_the_protocol_allows)
{
	memcached_execute_fn callbacks[] = { execute_one };
	static const char *const keys[] = { "alpha", "charlie", "missing" };
	static const size_t lengths[] = { 5, 7, 7 };
	unsigned called = 0;

	store_some(handle);
	observe_state(handle, "mget_execute",
		      memcached_mget_execute(handle, keys, lengths, 3, callbacks, &called, 1));
	observe_state(handle, "fetch_execute",
		      memcached_fetch_execute(handle, callbacks, &called, 1));
	observe("called %u times", called);
}

TEST_IN_BOTH(test_fetch_stopped_half_way__next_calls_are_right)
{
	memcached_result_st *found;
	memcached_return_t result;

	store_some(handle);
	ask(handle, some_keys, N_SOME_KEYS);
	found = memcached_fetch_result(handle, NULL, &result);
	assert_non_null(found);
	observe("first: %.*s", (int)memcached_result_key_length(found),
		memcached_result_key_value(found));
	memcached_result_free(found);
	get(handle, "charlie");
	store(handle, "charlie", "again", 0);
	get(handle, "charlie");
	ask(handle, some_keys, N_SOME_KEYS);
	memcached_quit(handle);
	found = memcached_fetch_result(handle, NULL, &result);
	observe("after quit: %s", found != NULL ? "something" : "nothing");
	memcached_result_free(found);
	get(handle, "alpha");
}

/* Last: what all the tests above did must have come through the shim. */
static void test_preloaded__calls_and_hits_were_counted(void **state)
{
	static const char *const functions[] = {
		"memcached_mget",	   "memcached_fetch",	     "memcached_fetch_result",
		"memcached_fetch_execute", "memcached_mget_execute",
	};

	if (!preloaded()) {
		return;
	}
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		if (calls_seen(functions[i]) == 0) {
			fail_msg("the shim has seen no %s", functions[i]);
		}
	}
	assert_true(layer_hits("memory") > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mget_fetch__order_of_request_with_duplicates),
		cmocka_unit_test(test_mget_fetch_result__order_of_request_with_duplicates),
		cmocka_unit_test(test_mget_partly_known__still_the_order_of_request),
		cmocka_unit_test(test_mget_of_nothing_known__not_found),
		cmocka_unit_test(test_mget_fetch_execute__callback_for_every_value),
		cmocka_unit_test(test_mget_execute__as_the_protocol_allows),
		cmocka_unit_test(test_fetch_stopped_half_way__next_calls_are_right),
		cmocka_unit_test(test_preloaded__calls_and_hits_were_counted),
	};

	return cmocka_run_group_tests(tests, client_server_up, client_server_down);
}
