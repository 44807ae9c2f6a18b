/*
 * Handles as programs set them up: with namespaces, several servers, replicas,
 * UDP, encoding, buffers.  The same bare and preloaded?
 */
#include "tests/shim/client.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define N_MANY 24

static struct server *second;

/*
 * Consistent hashing goes by a server's name, and sockets of tests have another
 * one every time: these are links to them in the current folder.
 */
static const char *const links[] = { "server-1", "server-2", "server-3" };

static void name_server(unsigned which, const struct server *server)
{
	unlink(links[which]);
	assert_int_equal(symlink(server_socket(server), links[which]), 0);
}

static memcached_st *open_named(bool binary, unsigned one, unsigned other)
{
	memcached_st *handle = memcached_create(NULL);

	memcached_behavior_set(handle, MEMCACHED_BEHAVIOR_BINARY_PROTOCOL, binary);
	memcached_server_add_unix_socket(handle, links[one]);
	memcached_server_add_unix_socket(handle, links[other]);
	assert_int_equal(memcached_server_count(handle), 2);
	return handle;
}

static memcached_st *open_two(bool binary)
{
	return open_named(binary, 0, 1);
}

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

/* --- several servers --- */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Servers answer in any order. */
static void fetch_sorted(memcached_st *handle)
{
	char *lines[N_MANY + 1];
	size_t n = 0;
	memcached_return_t rc;
	memcached_result_st *result;

	while ((result = memcached_fetch_result(handle, NULL, &rc)) && n < N_MANY) {
		int length = asprintf(
			&lines[n++], "%.*s = %.*s", (int)memcached_result_key_length(result),
			memcached_result_key_value(result), (int)memcached_result_length(result),
			memcached_result_value(result) ?: "");

		assert_true(length > 0);
		memcached_result_free(result);
	}
	qsort(lines, n, sizeof(lines[0]), by_text);
	for (size_t i = 0; i < n; i++) {
		observe("%s", lines[i]);
		free(lines[i]);
	}
	observe_state(handle, "end", rc);
}

static void ask_many(memcached_st *handle, const char *group)
{
	static char names[N_MANY][16];
	const char *keys[N_MANY];
	size_t lengths[N_MANY];

	for (size_t i = 0; i < N_MANY; i++) {
		lengths[i] = (size_t)snprintf(names[i], sizeof(names[i]), "many-%zu", i);
		keys[i] = names[i];
	}
	observe_state(
		handle, "mget",
		group ? memcached_mget_by_key(handle, group, strlen(group), keys, lengths, N_MANY)
		      : memcached_mget(handle, keys, lengths, N_MANY));
}

static void on_two_servers(memcached_st *handle)
{
	char key[16];

	observe_state(handle, "flush", memcached_flush(handle, 0));
	for (int i = 0; i < N_MANY; i += 2) {
		snprintf(key, sizeof(key), "many-%d", i);
		store(handle, key, key, 0);
	}
	for (int round = 0; round < 3; round++) {
		ask_many(handle, NULL);
		fetch_sorted(handle);
		ask_many(handle, "group");
		fetch_sorted(handle);
		ask_many(handle, "");
		fetch_sorted(handle);
		get(handle, "many-1");
		get(handle, "many-2");
		snprintf(key, sizeof(key), "many-%d", 2 * round);
		observe_state(handle, "delete", memcached_delete(handle, key, strlen(key), 0));
	}
	memcached_free(handle);
}

static void test_two_servers__each_has_its_own(void **state)
{
	static const memcached_server_distribution_t distributions[] = {
		MEMCACHED_DISTRIBUTION_MODULA,
		MEMCACHED_DISTRIBUTION_CONSISTENT,
		MEMCACHED_DISTRIBUTION_CONSISTENT_KETAMA_SPY,
		MEMCACHED_DISTRIBUTION_CONSISTENT_WEIGHTED,
	};

	for (unsigned i = 0; i < 8; i++) {
		memcached_st *handle = open_two(i & 1);

		observe("-- distribution %u, %s", i / 2, i & 1 ? "binary" : "text");
		behave(handle, MEMCACHED_BEHAVIOR_DISTRIBUTION, distributions[i / 2]);
		on_two_servers(handle);
	}
}

static void get_by_group(memcached_st *handle, const char *group, size_t n_group)
{
	memcached_return_t rc;
	uint32_t flags = 0;
	size_t n = 0;
	char *value = memcached_get_by_key(handle, group, n_group, "key", 3, &n, &flags, &rc);

	observe_value("get by group", value, n, flags, rc);
	free(value);
}

/* The same key on both servers is two items. */
static void test_master_keys__choose_the_server(void **state)
{
	static const struct {
		const char *group;
		size_t n;
	} groups[] = { { "a", 1 }, { "b", 1 }, { "c", 1 }, { "", 0 }, { NULL, 0 }, { "key", 3 } };

	for (unsigned binary = 0; binary < 2; binary++) {
		memcached_st *handle = open_two(binary);

		observe("-- master keys, %s", binary ? "binary" : "text");
		observe_state(handle, "flush", memcached_flush(handle, 0));
		for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
			char value[8];
			const char *group = groups[i].group;
			size_t n = groups[i].n;

			snprintf(value, sizeof(value), "v%zu", i);
			observe_state(handle, "set",
				      memcached_set_by_key(handle, group, n, "key", 3, value,
							   strlen(value), 0, 0));
			for (size_t k = 0; k < sizeof(groups) / sizeof(groups[0]); k++) {
				get_by_group(handle, groups[k].group, groups[k].n);
				observe_state(handle, "exist",
					      memcached_exist_by_key(handle, groups[k].group,
								     groups[k].n, "key", 3));
			}
			get(handle, "key");
		}
		memcached_free(handle);
	}
}

/* Where a key goes is drawn anew for every call: only that it is left to libmemcached. */
static void test_random_distribution__nothing_is_served(void **state)
{
	memcached_st *handle = open_two(false);
	uint64_t hits;

	observe("-- random");
	behave(handle, MEMCACHED_BEHAVIOR_DISTRIBUTION, MEMCACHED_DISTRIBUTION_RANDOM);
	hits = preloaded() ? layer_hits("memory") : 0;
	for (int i = 0; i < 4; i++) {
		store(handle, "random", "value", 0);
		free(memcached_get(handle, "random", 6, NULL, NULL, NULL));
	}
	if (preloaded()) {
		assert_int_equal(layer_hits("memory"), hits);
		assert_int_equal(calls_passed("random_distribution"), 8);
	}
	memcached_free(handle);
}

/* A replica is older where another handle wrote to the key's own server alone. */
static void test_replicas__read_as_libmemcached_reads(void **state)
{
	for (unsigned binary = 0; binary < 2; binary++) {
		memcached_st *handle = open_two(binary);
		memcached_st *other = open_two(binary);

		observe("-- replicas, %s", binary ? "binary" : "text");
		observe_state(handle, "flush", memcached_flush(handle, 0));
		behave(handle, MEMCACHED_BEHAVIOR_NUMBER_OF_REPLICAS, 1);
		for (int i = 0; i < 4; i++) {
			char key[16];

			snprintf(key, sizeof(key), "copy-%d", i);
			store(handle, key, "one", 0);
			get(handle, key);
			observe_state(other, "replace",
				      memcached_replace(other, key, strlen(key), "two", 3, 0, 0));
			get(handle, key);
			get(other, key);
			/* What is on the other server is not seen by who asks this one. */
			observe_state(other, "delete",
				      memcached_delete(other, key, strlen(key), 0));
			get(other, key);
			get(handle, key);
			observe_state(handle, "delete",
				      memcached_delete(handle, key, strlen(key), 0));
			get(handle, key);
		}
		if (preloaded()) {
			assert_true(calls_passed("replicas") > 0 || !binary);
		}
		memcached_free(handle);
		memcached_free(other);
	}
}

/* Ejected: its keys are those of the other server. */
static void test_server_that_dies__is_ejected(void **state)
{
	struct server *dying = server_start_memcached(NULL);
	memcached_st *handle;

	assert_non_null(dying);
	name_server(2, dying);
	observe("-- auto eject");
	handle = open_named(false, 0, 2);
	behave(handle, MEMCACHED_BEHAVIOR_DISTRIBUTION, MEMCACHED_DISTRIBUTION_CONSISTENT);
	behave(handle, MEMCACHED_BEHAVIOR_AUTO_EJECT_HOSTS, 1);
	behave(handle, MEMCACHED_BEHAVIOR_SERVER_FAILURE_LIMIT, 1);
	behave(handle, MEMCACHED_BEHAVIOR_RETRY_TIMEOUT, 100);
	memcached_flush(handle, 0);
	ask_many(handle, NULL);
	fetch_sorted(handle);
	server_kill(dying, SIGKILL);
	assert_true(server_wait_exit(dying, 5000));
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < N_MANY; i++) {
			char key[16];

			snprintf(key, sizeof(key), "many-%d", i);
			store(handle, key, "again", 0);
			get(handle, key);
		}
		memcached_quit(handle);
	}
	memcached_free(handle);
	server_stop(&dying);
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
		assert_true(layer_hits("memory") > 100);
		assert_true(calls_passed("udp") > 0);
		assert_true(calls_passed("encoding") > 0);
		assert_true(calls_passed("buffered") > 0);
		assert_true(calls_passed("no_servers") > 0);
	}
}

static char folder[64];

static int servers_up(void **state)
{
	const char *parent = getenv("TMPDIR");

	snprintf(folder, sizeof(folder), "%s/modes.XXXXXX", parent ? parent : "/tmp");
	assert_non_null(mkdtemp(folder));
	assert_int_equal(chdir(folder), 0);
	second = server_start_memcached(NULL);
	if (second == NULL || client_server_up(state) != 0) {
		return -1;
	}
	name_server(0, client_server);
	name_server(1, second);
	return 0;
}

static int servers_down(void **state)
{
	server_stop(&second);
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		unlink(links[i]);
	}
	rmdir(folder);
	return client_server_down(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_namespace_from_call_to_call__items_of_each),
		cmocka_unit_test(test_two_servers__each_has_its_own),
		cmocka_unit_test(test_master_keys__choose_the_server),
		cmocka_unit_test(test_random_distribution__nothing_is_served),
		cmocka_unit_test(test_replicas__read_as_libmemcached_reads),
		cmocka_unit_test(test_server_that_dies__is_ejected),
		cmocka_unit_test(test_udp__reads_are_refused),
		cmocka_unit_test(test_encoding_keys__each_reads_its_own),
		cmocka_unit_test(test_option_strings__make_the_same_handles),
		cmocka_unit_test(test_buffered_writes__are_read_back),
		cmocka_unit_test(test_noreply__the_same_handle_reads_its_writes),
		cmocka_unit_test(test_no_block__answers_are_the_same),
		cmocka_unit_test(test_reset_and_clone__begin_anew),
		cmocka_unit_test(test_preloaded__memory_answered),
	};

	return cmocka_run_group_tests(tests, servers_up, servers_down);
}
