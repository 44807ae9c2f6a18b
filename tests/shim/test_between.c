/*
 * Calls between an mget and its fetches: what is still to come afterwards is
 * what libmemcached would still bring.
 */
#include "tests/shim/client.h"

static const char *const keys[] = { "alpha", "beta", "missing", "gamma" };
#define N_KEYS (sizeof(keys) / sizeof(keys[0]))

static void store_keys(memcached_st *handle)
{
	store(handle, "alpha", "A", 1);
	store(handle, "beta", "BB", 2);
	store(handle, "gamma", "CCC", 3);
	store(handle, "other", "O", 0);
	store(handle, "n", "1", 0);
}

static void call_get(memcached_st *handle)
{
	get(handle, "other");
}

static void call_get_missing(memcached_st *handle)
{
	get(handle, "missing");
}

static void call_get_bad_key(memcached_st *handle)
{
	get(handle, "");
}

static void call_exist(memcached_st *handle)
{
	observe_state(handle, "exist", memcached_exist(handle, "other", 5));
}

static void call_set(memcached_st *handle)
{
	store(handle, "beta", "changed", 0);
}

static void call_set_bad_key(memcached_st *handle)
{
	store(handle, "", "value", 0);
}

static void call_delete(memcached_st *handle)
{
	observe_state(handle, "delete", memcached_delete(handle, "alpha", 5, 0));
}

static void call_delete_with_expiry(memcached_st *handle)
{
	observe_state(handle, "delete", memcached_delete(handle, "alpha", 5, 10));
}

static void call_increment(memcached_st *handle)
{
	uint64_t n = 0;

	observe_state(handle, "increment", memcached_increment(handle, "n", 1, 1, &n));
}

static void call_touch(memcached_st *handle)
{
	observe_state(handle, "touch", memcached_touch(handle, "beta", 4, 100));
}

static void call_quit(memcached_st *handle)
{
	memcached_quit(handle);
}

static void call_flush_buffers(memcached_st *handle)
{
	observe_state(handle, "flush_buffers", memcached_flush_buffers(handle));
}

static void call_version(memcached_st *handle)
{
	observe_state(handle, "version", memcached_version(handle));
}

static void call_stat(memcached_st *handle)
{
	memcached_return_t rc;
	memcached_stat_st *stat = memcached_stat(handle, NULL, &rc);

	observe("stat: %s", name_of(rc));
	memcached_stat_free(handle, stat);
}

static memcached_return_t no_dump(const memcached_st *handle, const char *key, size_t n_key,
				  void *context)
{
	return MEMCACHED_SUCCESS;
}

static void call_dump(memcached_st *handle)
{
	memcached_dump_fn functions[] = { no_dump };

	observe("dump: %s", name_of(memcached_dump(handle, functions, NULL, 1)));
}

static void call_verbosity(memcached_st *handle)
{
	memcached_verbosity(handle, 0);
}

static void call_cas_off(memcached_st *handle)
{
	memcached_behavior_set(handle, MEMCACHED_BEHAVIOR_SUPPORT_CAS, 0);
}

static void call_no_block(memcached_st *handle)
{
	memcached_behavior_set(handle, MEMCACHED_BEHAVIOR_NO_BLOCK, 1);
}

static void call_distribution(memcached_st *handle)
{
	memcached_behavior_set(handle, MEMCACHED_BEHAVIOR_DISTRIBUTION,
			       MEMCACHED_DISTRIBUTION_CONSISTENT);
}

static void call_behavior_get(memcached_st *handle)
{
	assert_true(memcached_behavior_get(handle, MEMCACHED_BEHAVIOR_SOCKET_SEND_SIZE) > 0);
}

static void call_namespace(memcached_st *handle)
{
	memcached_callback_set(handle, MEMCACHED_CALLBACK_NAMESPACE, "a");
}

/* What is known of the handle is looked at again while results wait. */
static void call_behavior_and_namespace(memcached_st *handle)
{
	memcached_behavior_set(handle, MEMCACHED_BEHAVIOR_SND_TIMEOUT, 0);
	call_namespace(handle);
}

static void call_servers_reset(memcached_st *handle)
{
	memcached_servers_reset(handle);
	memcached_server_add_unix_socket(handle, server_socket(client_server));
}

static void call_clone(memcached_st *handle)
{
	memcached_st *clone = memcached_clone(NULL, handle);

	get(clone, "other");
	memcached_free(clone);
}

static void call_mget(memcached_st *handle)
{
	static const char *const others[] = { "other", "beta" };

	ask(handle, others, 2);
}

static void call_mget_bad(memcached_st *handle)
{
	ask(handle, keys, 0);
}

static void call_flush(memcached_st *handle)
{
	observe("flush: %s", name_of(memcached_flush(handle, 0)));
}

/*
 * With the binary protocol libmemcached takes whatever is read next for the
 * answer to its own request, as it happens to come: nothing to compare.
 */
static const struct between {
	const char *name;
	void (*call)(memcached_st *);
	bool text_only;
} betweens[] = {
	{ "get", call_get, true },
	{ "get of a missing key", call_get_missing, true },
	{ "get of a bad key", call_get_bad_key, false },
	{ "exist", call_exist, true },
	{ "set", call_set, true },
	{ "set of a bad key", call_set_bad_key, false },
	{ "delete", call_delete, true },
	{ "delete with an expiry", call_delete_with_expiry, false },
	{ "increment", call_increment, true },
	{ "touch", call_touch, true },
	{ "quit", call_quit, false },
	{ "flush_buffers", call_flush_buffers, false },
	{ "version", call_version, true },
	{ "stat", call_stat, true },
	{ "dump", call_dump, false },
	{ "verbosity", call_verbosity, false },
	{ "support_cas off", call_cas_off, false },
	{ "no_block", call_no_block, false },
	{ "distribution", call_distribution, false },
	{ "behavior_get", call_behavior_get, false },
	{ "namespace", call_namespace, false },
	{ "behavior and namespace", call_behavior_and_namespace, false },
	{ "servers_reset", call_servers_reset, false },
	{ "clone", call_clone, false },
	{ "mget", call_mget, false },
	{ "mget of nothing", call_mget_bad, false },
	{ "flush", call_flush, true },
};

/* Three times: nothing, some, and everything may be had without memcached. */
static void in_between(bool binary, const struct between *between, bool fetch_first, bool twice)
{
	memcached_st *handle = handle_open(binary);

	observe("-- %s, %s%s%s", between->name, binary ? "binary" : "text",
		fetch_first ? ", one fetched" : "", twice ? ", version known" : "");
	observe("flush: %s", name_of(memcached_flush(handle, 0)));
	store_keys(handle);
	if (twice) {
		memcached_version(handle);
	}
	for (int i = 0; i < 3; i++) {
		memcached_return_t rc;

		ask(handle, keys, N_KEYS);
		if (fetch_first) {
			memcached_result_st *first = memcached_fetch_result(handle, NULL, &rc);

			observe("first: %s", first ? "one" : "none");
			memcached_result_free(first);
		}
		between->call(handle);
		fetch_result_all(handle);
		if (i == 0) {
			get(handle, "gamma");
		}
		get(handle, "beta");
	}
	memcached_free(handle);
}

static void test_calls_between__what_is_left_is_the_same(void **state)
{
	for (size_t i = 0; i < sizeof(betweens) / sizeof(betweens[0]); i++) {
		for (int mode = 0; mode < 8; mode += betweens[i].text_only ? 2 : 1) {
			in_between(mode & 1, &betweens[i], mode & 2, mode & 4);
		}
	}
}

static void test_preloaded__mgets_were_seen(void **state)
{
	if (preloaded()) {
		assert_true(calls_seen("memcached_mget") > 0);
		assert_true(calls_passed("unread") > 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls_between__what_is_left_is_the_same),
		cmocka_unit_test(test_preloaded__mgets_were_seen),
	};

	return cmocka_run_group_tests(tests, client_server_up, client_server_down);
}
