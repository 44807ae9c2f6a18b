/*
 * Handles with several servers: distributions, master keys, replicas, ejected
 * hosts.  A key is an item of the server that it maps to, and of no other.
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

static void store_many(memcached_st *handle, int i, const char *value)
{
	char key[16];

	snprintf(key, sizeof(key), "many-%d", i);
	store(handle, key, value, 0);
}

static void get_many(memcached_st *handle, int i)
{
	char key[16];

	snprintf(key, sizeof(key), "many-%d", i);
	get(handle, key);
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

/* The first key "<prefix>N" that maps to that server. */
static void key_of_server(memcached_st *handle, uint32_t server, const char *prefix, char *ret)
{
	unsigned i = 0;

	do {
		snprintf(ret, 32, "%s%u", prefix, i++);
	} while (memcached_generate_hash(handle, ret, strlen(ret)) != server);
}

/* Which questions send what, is a matter of servers, replies, and what was asked before. */
static void test_buffered_writes__go_when_they_would_bare(void **state)
{
	char written[32];
	char known[32];
	char others[32];

	for (unsigned replies = 0; replies < 2; replies++) {
		memcached_st *handle = open_two(false);
		memcached_st *onlooker = open_two(false);

		observe("-- %s replies", replies ? "with" : "without");
		key_of_server(handle, 0, replies ? "awaited" : "written", written);
		key_of_server(handle, 0, "known", known);
		key_of_server(handle, 1, "others", others);
		store(handle, known, "one", 0);
		store(handle, others, "two", 0);
		get(handle, known);
		get(handle, others);
		behave(handle, MEMCACHED_BEHAVIOR_NOREPLY, !replies);
		behave(handle, MEMCACHED_BEHAVIOR_BUFFER_REQUESTS, 1);
		store(handle, written, "three", 0);
		if (replies) {
			/* Without, libmemcached takes the answer for another one's. */
			observe("exist: %s",
				name_of(memcached_exist(handle, others, strlen(others))));
			get(onlooker, written);
		}
		get(handle, known);
		get(onlooker, written);
		store(handle, written, "four", 0);
		get(handle, others);
		get(onlooker, written);
		get(handle, known);
		get(onlooker, written);
		memcached_free(onlooker);
		memcached_free(handle);
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
		/* From any replica: what comes is chance, only that it is left to libmemcached. */
		behave(handle, MEMCACHED_BEHAVIOR_RANDOMIZE_REPLICA_READ, 1);
		store(handle, "copy-0", "one", 0);
		free(memcached_get(handle, "copy-0", 6, NULL, NULL, NULL));
		if (preloaded()) {
			assert_true((calls_passed("replicas") > 0) == binary);
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
	for (int i = 0; i < N_MANY; i++) {
		store_many(handle, i, "before");
	}
	ask_many(handle, NULL);
	fetch_sorted(handle);
	server_kill(dying, SIGKILL);
	assert_true(server_wait_exit(dying, 5000));
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < N_MANY; i++) {
			store_many(handle, i, "again");
			get_many(handle, i);
		}
		memcached_quit(handle);
	}
	memcached_free(handle);
	/* It comes back empty: what it had before is older than what the other one was given. */
	assert_true(server_restart(dying));
	handle = open_named(false, 0, 2);
	behave(handle, MEMCACHED_BEHAVIOR_DISTRIBUTION, MEMCACHED_DISTRIBUTION_CONSISTENT);
	for (int i = 0; i < N_MANY; i++) {
		get_many(handle, i);
	}
	memcached_free(handle);
	server_stop(&dying);
}

/* What memory has of the others comes, too, though only the dead one is left to ask. */
static void test_mget_with_a_dead_server__brings_what_the_others_have(void **state)
{
	for (unsigned binary = 0; binary < 2; binary++) {
		struct server *dying = server_start_memcached(NULL);
		char known[2][32];
		char lost[32];
		memcached_st *handle;

		assert_non_null(dying);
		name_server(2, dying);
		observe("-- one server is dead, %s", binary ? "binary" : "text");
		handle = open_named(binary, 0, 2);
		key_of_server(handle, 0, "live", known[0]);
		key_of_server(handle, 0, "alive", known[1]);
		key_of_server(handle, 1, "lost", lost);
		server_kill(dying, SIGKILL);
		assert_true(server_wait_exit(dying, 5000));
		for (int i = 0; i < 2; i++) {
			store(handle, known[i], known[i], 0);
			get(handle, known[i]);
		}
		for (int i = 0; i < 3; i++) {
			const char *const keys[] = { known[0], lost, known[1] };
			size_t lengths[] = { strlen(known[0]), strlen(lost), strlen(known[1]) };

			observe("mget: %s", name_of(memcached_mget(handle, keys, lengths, 3)));
			fetch_sorted(handle);
		}
		memcached_free(handle);
		server_stop(&dying);
	}
}

/* --- all the ways to give a handle its servers --- */

static void use_servers(memcached_st *handle)
{
	for (int i = 0; i < 6; i++) {
		char key[16];
		memcached_return_t rc;
		const memcached_instance_st *server;

		snprintf(key, sizeof(key), "way-%d", i);
		store(handle, key, key, 0);
		get(handle, key);
		get(handle, key);
		server = memcached_server_by_key(handle, key, strlen(key), &rc);
		observe("%s on %s", key, server ? memcached_server_name(server) : "none");
		observe("hash %u", memcached_generate_hash(handle, key, strlen(key)));
	}
}

static void test_ways_to_add_servers__the_same_servers(void **state)
{
	memcached_st *handle = memcached_create(NULL);
	memcached_st *copy = memcached_create(NULL);
	memcached_server_list_st list = NULL;
	memcached_return_t rc;

	observe("-- ways to add servers");
	observe_state(handle, "push", memcached_server_push(handle, NULL));
	get(handle, "way-0");
	memcached_server_add_unix_socket_with_weight(handle, links[0], 2);
	use_servers(handle);
	memcached_server_add_unix_socket_with_weight(handle, links[1], 3);
	use_servers(handle);
	observe_state(copy, "push", memcached_push(copy, handle));
	use_servers(copy);
	behave(copy, MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED, 1);
	use_servers(copy);
	behave(copy, MEMCACHED_BEHAVIOR_SORT_HOSTS, 1);
	behave(copy, MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED, 0);
	use_servers(copy);
	behave(copy, MEMCACHED_BEHAVIOR_DISTRIBUTION, MEMCACHED_DISTRIBUTION_MODULA);
	behave(copy, MEMCACHED_BEHAVIOR_HASH, MEMCACHED_HASH_CRC);
	use_servers(copy);
	memcached_callback_set(copy, MEMCACHED_CALLBACK_NAMESPACE, "hashed:");
	behave(copy, MEMCACHED_BEHAVIOR_HASH_WITH_PREFIX_KEY, 1);
	use_servers(copy);
	memcached_servers_reset(handle);
	get(handle, "way-0");
	/* A list, which cannot say that it means a socket: nobody listens there. */
	list = memcached_server_list_append(list, "127.0.0.1", 1, &rc);
	list = memcached_server_list_append_with_weight(list, "127.0.0.1", 2, 5, &rc);
	observe("list: %u, %s", memcached_server_list_count(list), name_of(rc));
	observe_state(handle, "push", memcached_server_push(handle, list));
	memcached_server_list_free(list);
	observe("servers: %u", memcached_server_count(handle));
	get(handle, "way-0");
	store(handle, "way-0", "nowhere", 0);
	memcached_free(handle);
	memcached_free(copy);
}

/* Which server a bucket is on changes from one call to the next. */
static void test_buckets__each_on_its_server(void **state)
{
	static const uint32_t maps[][4] = { { 0, 1, 0, 1 }, { 1, 0, 1, 0 }, { 1, 1, 1, 1 } };
	memcached_st *handle = open_two(true);

	observe("-- buckets");
	observe_state(handle, "flush", memcached_flush(handle, 0));
	observe_state(handle, "none", memcached_bucket_set(handle, NULL, NULL, 4, 0));
	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
		observe_state(handle, "buckets", memcached_bucket_set(handle, maps[i], NULL, 4, 0));
		get(handle, "way-0");
		use_servers(handle);
	}
	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
		memcached_bucket_set(handle, maps[i], NULL, 4, 0);
		get(handle, "way-1");
		observe_state(handle, "delete", memcached_delete(handle, "way-1", 5, 0));
		get(handle, "way-1");
	}
	memcached_free(handle);
}

/* The library is told to hash by the program's own function. */
static uint32_t hash_to_one(const char *key, size_t n_key, void *context)
{
	return *(uint32_t *)context;
}

static void test_own_hash__asked_for_every_key(void **state)
{
	memcached_st *handle = open_two(false);
	hashkit_st *kit = hashkit_create(NULL);
	uint32_t where = 0;

	observe("-- own hash");
	observe_state(handle, "flush", memcached_flush(handle, 0));
	hashkit_set_custom_function(kit, hash_to_one, &where);
	observe_state(handle, "hashkit", memcached_set_hashkit(handle, kit));
	for (where = 0; where < 4; where++) {
		get(handle, "key");
		store(handle, "key", where % 2 ? "odd" : "even", 0);
		get(handle, "key");
		get(handle, "key");
	}
	hashkit_free(kit);
	memcached_free(handle);
}

static void test_preloaded__memory_answered(void **state)
{
	if (preloaded()) {
		assert_true(layer_hits("memory") > 0);
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
		cmocka_unit_test(test_two_servers__each_has_its_own),
		cmocka_unit_test(test_buffered_writes__go_when_they_would_bare),
		cmocka_unit_test(test_master_keys__choose_the_server),
		cmocka_unit_test(test_random_distribution__nothing_is_served),
		cmocka_unit_test(test_replicas__read_as_libmemcached_reads),
		cmocka_unit_test(test_server_that_dies__is_ejected),
		cmocka_unit_test(test_mget_with_a_dead_server__brings_what_the_others_have),
		cmocka_unit_test(test_ways_to_add_servers__the_same_servers),
		cmocka_unit_test(test_buckets__each_on_its_server),
		cmocka_unit_test(test_own_hash__asked_for_every_key),
		cmocka_unit_test(test_preloaded__memory_answered),
	};

	return cmocka_run_group_tests(tests, servers_up, servers_down);
}
