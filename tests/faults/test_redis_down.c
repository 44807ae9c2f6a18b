/* What does layer "redis" answer while its Redis hangs, refuses, dies and comes back? */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/faults/lib/deep.h"

static void test_absent_server__is_down_and_unclean(void **state)
{
	struct layer *layer;

	strcpy(deep_url, "unix:///nonexistent/redis");
	layer = deep_open(DEEP_SHORT_NS);
	deep_expect(layer, "k", LAYER_DOWN);
	deep_set(layer, "k", "v");
	deep_expect_clean(false);
	deep_flush(layer);
	/* The one key is known; the flush concerns all of the server. */
	assert_int_equal(redis_shared_n_unmarked(deep_shared), 1);
	assert_int_equal(deep_n_unclean(), 1);
	assert_true(deep_counts.errors >= 1);
	redis_ops.close(&layer);
}

static void test_open_breaker__asks_nobody(void **state)
{
	struct redis_options options = deep_options(DEEP_SHORT_NS);
	struct layer *layer;

	strcpy(deep_url, "unix:///nonexistent/redis");
	options.breaker_retry_ns = 3600 * CLOCK_NS_PER_S;
	layer = deep_with(&options);
	for (int i = 0; i < 1000; i++) {
		deep_expect(layer, "k", LAYER_DOWN);
		deep_set(layer, "k", "v");
	}
	assert_int_equal(deep_counts.errors, 1);
	assert_int_equal(redis_shared_n_unmarked(deep_shared), REDIS_UNMARKED_MAX);
	assert_int_equal(deep_n_unclean(), 1);
	redis_ops.close(&layer);
}

static void test_server_killed_in_between__is_found_again(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);

	deep_set(layer, "k", "v");
	deep_expect_hit(layer, "k", "v");
	server_kill(deep_server, SIGKILL);
	assert_true(server_wait_exit(deep_server, DEEP_PATIENCE_NS / CLOCK_NS_PER_MS));
	deep_expect(layer, "k", LAYER_DOWN);
	deep_expect_clean(true);
	assert_true(server_restart(deep_server));
	assert_int_equal(deep_get_when_up(layer, "k"), LAYER_MISS);
	deep_set(layer, "k", "w");
	deep_expect_hit(layer, "k", "w");
	redis_ops.close(&layer);
}

static void test_hung_server__costs_one_timeout_and_no_old_value(void **state)
{
	struct redis_options options = deep_options(DEEP_SHORT_NS);
	struct layer *layer;
	int64_t before = clock_now_ns();
	unsigned long long number;

	options.breaker_retry_ns = 2 * CLOCK_NS_PER_S;
	layer = deep_with(&options);
	deep_set(layer, "k", "old");
	deep_set(layer, "l", "kept");
	deep_expect_hit(layer, "k", "old");
	number = deep_generation();
	server_kill(deep_server, SIGSTOP);
	before = clock_now_ns();
	deep_wrote(layer, LAYER_DELETE, "k", NULL);
	assert_true(clock_now_ns() - before < 20 * DEEP_SHORT_NS);
	deep_expect_clean(false);
	assert_int_equal(deep_counts.timeouts, 1);
	for (int i = 0; i < 1000; i++) {
		deep_expect(layer, "k", LAYER_DOWN);
	}
	/* Once more it was asked: one slow answer may be a snapshot that begins. */
	assert_int_equal(deep_counts.timeouts, 2);
	assert_int_equal(deep_counts.errors, 2);
	server_kill(deep_server, SIGCONT);
	assert_int_equal(deep_get_when_up(layer, "k"), LAYER_MISS);
	deep_expect_clean(true);
	/* The one key was marked, and nothing else forgotten. */
	assert_true(deep_generation() == number);
	deep_expect_hit(layer, "l", "kept");
	deep_set(layer, "k", "new");
	deep_expect_hit(layer, "k", "new");
	redis_ops.close(&layer);
}

/* The others do not wait: what they see of it is no p99. */
static void test_hung_for_a_while__costs_one_call_of_a_period(void **state)
{
	struct redis_options options = deep_options(50 * CLOCK_NS_PER_MS);
	struct layer *layer = deep_open(DEEP_LONG_NS);
	const int64_t period_ns = 250 * CLOCK_NS_PER_MS;
	unsigned n_calls = 0;
	int64_t began;

	deep_set(layer, "k", "v");
	redis_ops.close(&layer);
	options.breaker_retry_ns = period_ns;
	layer = deep_with(&options);
	server_kill(deep_server, SIGSTOP);
	for (began = clock_now_ns(); clock_now_ns() - began < 8 * period_ns; n_calls++) {
		deep_expect(layer, "k", LAYER_DOWN);
	}
	/* Two until it opens, one for each period that has begun. */
	assert_in_range(deep_counts.timeouts, 3, 3 + (clock_now_ns() - began) / period_ns);
	assert_int_equal(deep_counts.errors, deep_counts.timeouts);
	assert_true(n_calls > 100 * deep_counts.timeouts);
	server_kill(deep_server, SIGCONT);
	redis_ops.close(&layer);
}

/* Connecting to a hung server succeeds; only its silence tells. */
static void test_new_connection_to_a_hung_server__times_out(void **state)
{
	struct layer *layer = deep_open(DEEP_SHORT_NS);
	int64_t before;

	server_kill(deep_server, SIGSTOP);
	before = clock_now_ns();
	deep_expect(layer, "k", LAYER_DOWN);
	assert_true(clock_now_ns() - before < 20 * DEEP_SHORT_NS);
	assert_int_equal(deep_counts.timeouts, 1);
	server_kill(deep_server, SIGCONT);
	assert_int_equal(deep_get_when_up(layer, "k"), LAYER_MISS);
	redis_ops.close(&layer);
}

static void test_no_room__forgets_and_can_still_be_read(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);

	deep_set(layer, "k", "old");
	deep_set(layer, "l", "v");
	deep_expect_command("CONFIG SET maxmemory 1", "+OK\r\n");
	deep_set(layer, "k", "new");
	deep_expect_clean(true);
	deep_expect(layer, "k", LAYER_MISS);
	deep_expect_hit(layer, "l", "v");
	deep_wrote(layer, LAYER_DELETE, "l", NULL);
	deep_expect(layer, "l", LAYER_MISS);
	assert_int_equal(deep_counts.rejected, 2);
	assert_int_equal(deep_counts.errors, 0);
	/* A new generation takes the place of the old one. */
	deep_flush(layer);
	deep_expect_clean(true);
	deep_expect(layer, "l", LAYER_MISS);
	deep_expect_command("CONFIG SET maxmemory 0", "+OK\r\n");
	assert_int_equal(deep_get_when_up(layer, "l"), LAYER_MISS);
	deep_expect_clean(true);
	redis_ops.close(&layer);
}

static void test_read_only_replica__makes_a_write_unclean(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);

	deep_set(layer, "k", "old");
	/* Of a master that is not there: it keeps what it has. */
	deep_expect_command("REPLICAOF 127.0.0.1 1", "+OK\r\n");
	deep_set(layer, "k", "new");
	deep_expect_clean(false);
	for (int i = 0; i < 10; i++) {
		deep_expect(layer, "k", LAYER_DOWN);
		poll(NULL, 0, DEEP_RETRY_NS / CLOCK_NS_PER_MS);
	}
	deep_expect_command("REPLICAOF NO ONE", "+OK\r\n");
	assert_int_equal(deep_get_when_up(layer, "k"), LAYER_MISS);
	redis_ops.close(&layer);
}

static int setup_debug(void **state)
{
	deep_server = server_start_redis("--enable-debug-command yes --key-load-delay 2000 "
					 "--loading-process-events-interval-bytes 1024");
	if (deep_server == NULL) {
		return -1;
	}
	snprintf(deep_url, sizeof(deep_url), "unix://%s", server_socket(deep_server));
	return deep_setup_empty(state);
}

/* It answers, but nothing of use; what it had it has again afterwards. */
static void test_loading__is_down_and_shows_nothing_old(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);
	unsigned long long before;
	int fd = deep_connect(deep_server);

	deep_set(layer, "k", "old");
	deep_set(layer, "l", "kept");
	deep_expect_hit(layer, "k", "old");
	before = deep_generation();
	assert_string_equal(deep_ask(fd, "DEBUG POPULATE 1000 other 500"), "+OK\r\n");
	dprintf(fd, "DEBUG RELOAD\r\n");
	deep_wait_for(deep_server, "PING", "LOADING");
	deep_wrote(layer, LAYER_DELETE, "k", NULL);
	deep_expect(layer, "k", LAYER_DOWN);
	deep_expect_clean(false);
	deep_wait_for(deep_server, "PING", "PONG");
	close(fd);
	assert_int_equal(deep_get_when_up(layer, "k"), LAYER_MISS);
	deep_expect_hit(layer, "l", "kept");
	deep_expect_clean(true);
	assert_true(deep_generation() == before);
	redis_ops.close(&layer);
}

static void test_no_connection_left__is_down_until_there_is(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);
	int fd = deep_connect(deep_server);

	assert_string_equal(deep_ask(fd, "CONFIG SET maxclients 1"), "+OK\r\n");
	deep_expect(layer, "k", LAYER_DOWN);
	deep_set(layer, "k", "v");
	deep_expect_clean(false);
	assert_string_equal(deep_ask(fd, "CONFIG SET maxclients 100"), "+OK\r\n");
	close(fd);
	assert_int_equal(deep_get_when_up(layer, "k"), LAYER_MISS);
	deep_expect_clean(true);
	redis_ops.close(&layer);
}

#define KEYS 200

/* Sets and gets at random; what is found is what was set last.  How many were found. */
static unsigned use_at_random(struct layer *layer, unsigned rounds, unsigned *seed)
{
	static unsigned last[KEYS]; /* 0: never set, or deleted */
	static char value[9000];
	unsigned n_found = 0;

	for (unsigned i = 0; i < rounds; i++) {
		unsigned number = (unsigned)rand_r(seed) % KEYS;
		struct layer_item item = { .slot = deep_slot(), .answer = LAYER_MISS };
		struct layer_batch batch = deep_batch(&item, 1);
		char key[16];

		snprintf(key, sizeof(key), "k%u", number);
		if (rand_r(seed) % 3 == 0) {
			last[number] = rand_r(seed) % 8 ? (unsigned)rand_r(seed) | 1 : 0;
			memset(value, 'x', sizeof(value) - 1);
			snprintf(value, sizeof(value) - 1, "%u", last[number]);
			value[strlen(value)] = 'x';
			deep_wrote(layer, last[number] ? LAYER_SET : LAYER_DELETE, key, value);
			continue;
		}
		item.key = deep_key(key);
		redis_ops.get(layer, &batch);
		if (item.answer == LAYER_HIT) {
			assert_int_equal(strtoul(item.value, NULL, 10), last[number]);
			free(item.value);
			n_found++;
		}
	}
	return n_found;
}

static void set_memory(unsigned long more)
{
	const char *used = strstr(deep_command("INFO memory"), "used_memory:");
	char text[64];

	assert_non_null(used);
	snprintf(text, sizeof(text), "CONFIG SET maxmemory %lu",
		 strtoul(used + strlen("used_memory:"), NULL, 10) + more);
	deep_expect_command(text, "+OK\r\n");
}

static void test_every_eviction_policy__gives_right_values(void **state)
{
	static const char *const policies[] = { "allkeys-lru",	   "volatile-lru", "allkeys-lfu",
						"volatile-lfu",	   "noeviction",   "allkeys-random",
						"volatile-random", "volatile-ttl", "allkeys-lru" };
	struct layer *layer = deep_open(DEEP_LONG_NS);
	unsigned seed = 1;

	use_at_random(layer, 100, &seed);
	set_memory(500000);
	for (size_t i = 0; i < sizeof(policies) / sizeof(*policies); i++) {
		char text[64];

		snprintf(text, sizeof(text), "CONFIG SET maxmemory-policy %s", policies[i]);
		deep_expect_command(text, "+OK\r\n");
		if (use_at_random(layer, 1500, &seed) == 0) {
			fail_msg("%s: nothing is found", policies[i]);
		}
	}
	assert_int_equal(deep_counts.errors, 0);
	assert_false(deep_seen.open);
	redis_ops.close(&layer);
}

/* Hours of it are many calls: no failure, no new generation, what it has is served. */
static void test_full_for_long__stays_as_it_is(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);
	unsigned long long before;
	unsigned seed = 2;

	use_at_random(layer, 500, &seed);
	deep_set(layer, "l", "kept");
	before = deep_generation();
	deep_expect_command("CONFIG SET maxmemory 1", "+OK\r\n");
	use_at_random(layer, 10000, &seed);
	deep_expect_hit(layer, "l", "kept");
	assert_true(deep_counts.rejected > 3000);
	assert_int_equal(deep_counts.errors, 0);
	assert_true(deep_generation() == before);
	deep_expect_clean(true);
	assert_false(deep_seen.open);
	redis_ops.close(&layer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DEEP_TEST_ALONE(test_absent_server__is_down_and_unclean),
		DEEP_TEST_ALONE(test_open_breaker__asks_nobody),
		DEEP_TEST(test_server_killed_in_between__is_found_again),
		DEEP_TEST(test_hung_server__costs_one_timeout_and_no_old_value),
		DEEP_TEST(test_hung_for_a_while__costs_one_call_of_a_period),
		DEEP_TEST(test_new_connection_to_a_hung_server__times_out),
		DEEP_TEST(test_no_room__forgets_and_can_still_be_read),
		DEEP_TEST(test_read_only_replica__makes_a_write_unclean),
		cmocka_unit_test_setup_teardown(test_loading__is_down_and_shows_nothing_old,
						setup_debug, deep_teardown),
		DEEP_TEST(test_no_connection_left__is_down_until_there_is),
		DEEP_TEST(test_every_eviction_policy__gives_right_values),
		DEEP_TEST(test_full_for_long__stays_as_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
