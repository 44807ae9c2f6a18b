/* Is a key that Redis has not heard of known until it has, whoever dies meanwhile? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/process.h"
#include "layers/redis_shared.h"

#define ME 1000
#define OTHER 2000
#define STORE 7

static struct redis_shared shared;
static struct redis_server *server;

static int setup(void **state)
{
	memset((void *)&shared, 0, sizeof(shared));
	server = redis_shared_server(&shared, STORE, "cache:1");
	clock_fake(1000 * CLOCK_NS_PER_S, 1);
	return 0;
}

static int teardown(void **state)
{
	clock_fake(0, 0);
	return 0;
}

static struct layer_key key_of(const char *wire)
{
	return (struct layer_key){ .wire = wire,
				   .n_wire = strlen(wire),
				   .hash = hash_bytes(wire, strlen(wire)),
				   .server = "cache:1" };
}

static struct redis_intent *begin(uint64_t process, const char *wire)
{
	struct layer_key key = key_of(wire);

	return redis_intent_begin(&shared, process, STORE, &key);
}

static bool is_unmarked(const char *wire)
{
	return redis_shared_is_unmarked(&shared, key_of(wire).hash);
}

static void test_marked_write__leaves_nothing(void **state)
{
	redis_intent_end(&shared, begin(ME, "k"), true, server);
	assert_false(is_unmarked("k"));
	assert_int_equal(redis_server_unclean(server), 0);
}

static void test_failed_mark__is_known_until_it_was_made(void **state)
{
	struct redis_unmarked unmarked;
	unsigned cursor = 0;

	redis_intent_end(&shared, begin(ME, "k"), false, server);
	assert_true(is_unmarked("k"));
	assert_false(is_unmarked("l"));
	assert_int_equal(redis_server_unclean(server), 0);
	assert_true(redis_shared_next_unmarked(&shared, STORE, &cursor, &unmarked));
	assert_string_equal(unmarked.server, "cache:1");
	assert_memory_equal(unmarked.wire, "k", unmarked.n_wire);
	assert_false(redis_shared_next_unmarked(&shared, STORE, &cursor, &unmarked));
	redis_shared_remarked(&shared, ME, &unmarked);
	assert_false(is_unmarked("k"));
	/* Once more is nothing. */
	redis_intent_end(&shared, begin(ME, "l"), false, server);
	redis_shared_remarked(&shared, ME, &unmarked);
	assert_true(is_unmarked("l"));
}

static void test_another_store__does_not_mark_it(void **state)
{
	struct redis_unmarked unmarked;
	unsigned cursor = 0;

	redis_intent_end(&shared, begin(ME, "k"), false, server);
	assert_false(redis_shared_next_unmarked(&shared, STORE + 1, &cursor, &unmarked));
	assert_ptr_not_equal(redis_shared_server(&shared, STORE + 1, "cache:1"), server);
	assert_ptr_equal(redis_shared_server(&shared, STORE, "cache:1"), server);
}

static void test_killed_writer__leaves_its_keys_unmarked(void **state)
{
	begin(OTHER, "k");
	begin(OTHER, "l");
	begin(ME, "m");
	redis_shared_abandon(&shared, OTHER);
	assert_true(is_unmarked("k") && is_unmarked("l"));
	assert_false(is_unmarked("m"));
	assert_int_equal(redis_server_unclean(server), 0);
}

static void test_writer_without_intent__makes_the_server_unclean(void **state)
{
	char wire[LAYER_KEY_MAX + 1];
	static char name[REDIS_INTENT_BYTES];
	struct layer_key key;
	struct redis_intent *intent;

	memset(wire, 'k', LAYER_KEY_MAX);
	wire[LAYER_KEY_MAX] = '\0';
	memset(name, 's', sizeof(name) - 1);
	key = key_of(wire);
	key.server = name;
	intent = redis_intent_begin(&shared, ME, STORE, &key);
	assert_null(intent);
	redis_intent_end(&shared, intent, true, server);
	assert_int_equal(redis_server_unclean(server), 0);
	intent = redis_intent_begin(&shared, ME, STORE, &key);
	redis_intent_end(&shared, intent, false, server);
	assert_int_equal(redis_server_unclean(server), 1);
	/* Whoever is killed meanwhile may have been the one. */
	redis_server_cleaned(server, 1);
	redis_intent_begin(&shared, OTHER, STORE, &key);
	redis_shared_abandon(&shared, OTHER);
	assert_int_equal(redis_server_unclean(server), 1);
}

static void test_more_failures_than_room__make_the_server_unclean(void **state)
{
	char wire[16];

	for (int i = 0; i < 2 * REDIS_INTENTS_MAX; i++) {
		snprintf(wire, sizeof(wire), "key%d", i);
		redis_intent_end(&shared, begin(ME, wire), false, server);
		/* What has no place of its own is covered by that. */
		assert_true(is_unmarked(wire) || redis_server_unclean(server));
	}
	assert_int_equal(redis_shared_n_unmarked(&shared), REDIS_UNMARKED_MAX);
	/* There is room for writes in flight still. */
	assert_non_null(begin(ME, "k"));
}

static void test_intents_of_the_dead__are_taken_back_where_there_is_no_room(void **state)
{
	struct process dead = { .pid = 999999, .start = 5 };
	struct process self;
	uint64_t word;

	process_self(&self);
	dead.space = self.space;
	word = process_pack(&dead);
	for (int i = 0; i < REDIS_INTENTS_MAX; i++) {
		assert_non_null(begin(word, "k"));
	}
	assert_null(begin(ME, "l"));
	assert_true(is_unmarked("k"));
}

static void test_cleaning__covers_what_was_before_it(void **state)
{
	redis_shared_soil(&shared, server);
	redis_shared_soil(&shared, server);
	redis_server_cleaned(server, 1);
	assert_int_equal(redis_server_unclean(server), 1);
	redis_server_cleaned(server, 2);
	redis_server_cleaned(server, 1);
	assert_int_equal(redis_server_unclean(server), 0);
	assert_true(redis_server_may_renew(server, 100));
	assert_false(redis_server_may_renew(server, 100));
}

static void test_full_of_servers__the_next_has_none(void **state)
{
	char name[16];

	for (int i = 1; i < REDIS_SERVERS_MAX; i++) {
		snprintf(name, sizeof(name), "server%d", i);
		assert_non_null(redis_shared_server(&shared, STORE, name));
	}
	assert_null(redis_shared_server(&shared, STORE, "one more"));
	assert_true(redis_server_unclean(NULL));
}

/* --- many at once --- */

#define THREADS 4
#define ROUNDS 20000

static void *fail_and_mark(void *unused)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct redis_unmarked unmarked;
		unsigned cursor = 0;
		char wire[32];

		snprintf(wire, sizeof(wire), "key%d-%p", i, (void *)&cursor);
		redis_intent_end(&shared, begin(ME, wire), false, server);
		if (!is_unmarked(wire) && redis_server_unclean(server) == 0) {
			/* Only another thread that marked it can have taken it away. */
			continue;
		}
		while (redis_shared_next_unmarked(&shared, STORE, &cursor, &unmarked)) {
			if (unmarked.n_wire < 4 || memcmp(unmarked.wire, "key", 3) != 0) {
				return &shared;
			}
			redis_shared_remarked(&shared, ME, &unmarked);
		}
	}
	return unused;
}

static void test_many_threads__lose_none(void **state)
{
	pthread_t threads[THREADS];
	struct redis_unmarked unmarked;
	unsigned cursor = 0;

	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, fail_and_mark, NULL), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		void *bad;

		pthread_join(threads[i], &bad);
		assert_null(bad);
	}
	while (redis_shared_next_unmarked(&shared, STORE, &cursor, &unmarked)) {
		redis_shared_remarked(&shared, ME, &unmarked);
	}
	assert_int_equal(redis_shared_n_unmarked(&shared), 0);
	for (int i = 0; i < REDIS_INTENTS_MAX; i++) {
		assert_int_equal(shared.intents[i].word, 0);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_marked_write__leaves_nothing),
		TEST(test_failed_mark__is_known_until_it_was_made),
		TEST(test_another_store__does_not_mark_it),
		TEST(test_killed_writer__leaves_its_keys_unmarked),
		TEST(test_writer_without_intent__makes_the_server_unclean),
		TEST(test_more_failures_than_room__make_the_server_unclean),
		TEST(test_intents_of_the_dead__are_taken_back_where_there_is_no_room),
		TEST(test_cleaning__covers_what_was_before_it),
		TEST(test_full_of_servers__the_next_has_none),
		TEST(test_many_threads__lose_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
