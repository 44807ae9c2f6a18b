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
	/* A new generation needs room. */
	deep_flush(layer);
	deep_expect_clean(false);
	deep_expect(layer, "l", LAYER_DOWN);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		DEEP_TEST_ALONE(test_absent_server__is_down_and_unclean),
		DEEP_TEST_ALONE(test_open_breaker__asks_nobody),
		DEEP_TEST(test_server_killed_in_between__is_found_again),
		DEEP_TEST(test_hung_server__costs_one_timeout_and_no_old_value),
		DEEP_TEST(test_new_connection_to_a_hung_server__times_out),
		DEEP_TEST(test_no_room__forgets_and_can_still_be_read),
		DEEP_TEST(test_read_only_replica__makes_a_write_unclean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
