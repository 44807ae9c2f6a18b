/* Does anything of an earlier generation, or of an earlier Redis, ever come back? */
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

#include "layers/redis_greeting.h"
#include "tests/faults/lib/deep.h"

static void test_flush__forgets_everything(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);
	struct layer *other = deep_open(DEEP_LONG_NS);
	uint64_t generation;

	deep_set(layer, "k", "v");
	deep_expect_hit(other, "k", "v");
	generation = deep_seen.generation;
	assert_true(generation > 0);
	deep_flush(layer);
	assert_true(deep_seen.generation > generation);
	deep_expect(other, "k", LAYER_MISS);
	deep_expect(layer, "k", LAYER_MISS);
	deep_set(layer, "k", "w");
	deep_expect_hit(other, "k", "w");
	deep_expect_clean(true);
	redis_ops.close(&layer);
	redis_ops.close(&other);
}

static void test_generation_of_others__is_followed(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);
	struct layer *other = deep_open(DEEP_LONG_NS);

	deep_set(layer, "k", "v");
	deep_expect_hit(other, "k", "v");
	deep_flush(other);
	/* A write that assumed the old one is marked again: its value can be found. */
	deep_set(layer, "k", "w");
	assert_int_equal(deep_counts.fills, 2);
	deep_flush(other);
	deep_set(layer, "k", "w");
	deep_flush(layer);
	deep_set(layer, "k", "w");
	deep_expect(other, "k", LAYER_MISS);
	deep_expect_hit(other, "k", "w");
	deep_expect_hit(layer, "k", "w");
	deep_expect_clean(true);
	redis_ops.close(&layer);
	redis_ops.close(&other);
}

/* Evicted, or FLUSHALL: values of before may still be there or not. */
static void test_lost_generation__never_comes_again(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);
	unsigned long long before;

	deep_set(layer, "k", "v");
	before = deep_generation();
	deep_command("DEL " DEEP_GENERATION);
	deep_expect(layer, "k", LAYER_MISS);
	deep_set(layer, "l", "w");
	deep_expect_hit(layer, "l", "w");
	deep_expect(layer, "k", LAYER_MISS);
	assert_true(deep_generation() != before);
	deep_command("DEL " DEEP_GENERATION);
	/* By a write first, this time. */
	deep_set(layer, "l", "x");
	deep_expect_hit(layer, "l", "x");
	deep_expect(layer, "k", LAYER_MISS);
	deep_command("DEL " DEEP_GENERATION);
	deep_flush(layer);
	assert_true(deep_generation() > 1000000);
	deep_expect(layer, "l", LAYER_MISS);
	deep_expect_clean(true);
	redis_ops.close(&layer);
}

/* Somebody's accident, or a SWAPDB: neither is believed, and neither stays. */
static void test_generation_that_is_not_ours__is_replaced(void **state)
{
	static const char *const texts[] = {
		"nonsense", "1", "ffffffffffffffff abc.def.0",
		"a.very.long.text.that.no.generation.ever.was.a.very.long.text.that.no.generation"
	};
	struct layer *layer = deep_open(DEEP_LONG_NS);
	char text[600];

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		unsigned long long before;

		deep_set(layer, "k", "v");
		deep_expect_hit(layer, "k", "v");
		before = deep_generation();
		snprintf(text, sizeof(text), "SET %s \"%s\"", DEEP_GENERATION, texts[i]);
		deep_expect_command(text, "+OK\r\n");
		deep_expect(layer, "k", LAYER_MISS);
		deep_set(layer, "k", "w");
		deep_expect_hit(layer, "k", "w");
		assert_true(deep_generation() > before);
		deep_expect_clean(true);
	}
	redis_ops.close(&layer);
}

/* One that was in force before: a replica that was behind, a database that was swapped back. */
static void test_generation_of_before__never_comes_again(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);

	deep_set(layer, "k", "old");
	deep_expect_command("RENAME " DEEP_GENERATION " kept", "+OK\r\n");
	deep_expect(layer, "k", LAYER_MISS);
	deep_set(layer, "k", "new");
	deep_expect_hit(layer, "k", "new");
	deep_command("RENAME kept " DEEP_GENERATION);
	deep_expect(layer, "k", LAYER_MISS);
	deep_set(layer, "k", "newer");
	deep_expect_hit(layer, "k", "newer");
	redis_ops.close(&layer);
}

static void test_restarted_unnoticed__is_another_place(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);

	/* The delete reached Redis, but not its snapshot. */
	deep_set(layer, "k", "old");
	deep_expect_command("SAVE", "+OK\r\n");
	deep_wrote(layer, LAYER_DELETE, "k", NULL);
	deep_expect(layer, "k", LAYER_MISS);
	assert_true(server_restart(deep_server));
	/* The old connection's end is seen before it is used: no failure. */
	deep_expect(layer, "k", LAYER_MISS);
	assert_int_equal(deep_counts.errors, 0);
	deep_set(layer, "k", "new");
	deep_expect_hit(layer, "k", "new");
	deep_expect_clean(true);
	redis_ops.close(&layer);
}

static void test_restarted_with_old_data__shows_none_of_it(void **state)
{
	struct layer *layer = deep_open(DEEP_SHORT_NS);
	unsigned long long before;

	deep_set(layer, "k", "old");
	deep_expect_command("SAVE", "+OK\r\n");
	before = deep_generation();
	server_kill(deep_server, SIGKILL);
	assert_true(server_wait_exit(deep_server, DEEP_PATIENCE_NS / CLOCK_NS_PER_MS));
	deep_wrote(layer, LAYER_DELETE, "k", NULL);
	deep_expect_clean(false);
	assert_true(server_restart(deep_server));
	assert_int_equal(deep_get_when_up(layer, "k"), LAYER_MISS);
	deep_expect_clean(true);
	assert_true(deep_generation() > before);
	redis_ops.close(&layer);
}

/* The cleaning of one process is that of all; what fails meanwhile stays unclean. */
static void test_unclean__is_shared_and_cleaned_by_whoever_comes(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);
	struct layer *other = deep_open(DEEP_LONG_NS);
	unsigned long long before;

	deep_set(layer, "k", "v");
	deep_expect_hit(other, "k", "v");
	before = deep_generation();
	deep_soil();
	deep_soil();
	/* By a write; its value is of the new generation. */
	deep_set(other, "k", "w");
	deep_expect_clean(true);
	assert_true(deep_generation() > before);
	before = deep_generation();
	deep_expect(layer, "k", LAYER_MISS);
	deep_expect_hit(layer, "k", "w");
	poll(NULL, 0, 2 * DEEP_RETRY_NS / CLOCK_NS_PER_MS);
	deep_soil();
	/* By a read. */
	deep_expect(layer, "k", LAYER_MISS);
	deep_expect_clean(true);
	assert_true(deep_generation() > before);
	redis_ops.close(&layer);
	redis_ops.close(&other);
}

static void test_cleaning__is_rare(void **state)
{
	struct redis_options options = deep_options(DEEP_LONG_NS);
	struct layer *layer;

	options.breaker_retry_ns = 3600 * CLOCK_NS_PER_S;
	layer = deep_with(&options);
	deep_set(layer, "k", "v");
	deep_soil();
	deep_expect(layer, "k", LAYER_MISS);
	deep_soil();
	for (int i = 0; i < 100; i++) {
		deep_expect(layer, "k", LAYER_DOWN);
		deep_set(layer, "k", "w");
	}
	assert_int_equal(deep_n_unclean(), 1);
	assert_int_equal(deep_counts.errors, 0);
	redis_ops.close(&layer);
}

static void test_flushall_by_somebody__is_a_miss(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);
	unsigned long long before;

	deep_set(layer, "k", "v");
	before = deep_generation();
	deep_expect_command("FLUSHALL", "+OK\r\n");
	deep_expect(layer, "k", LAYER_MISS);
	deep_set(layer, "k", "w");
	deep_expect_hit(layer, "k", "w");
	assert_true(deep_generation() > before);
	deep_expect_clean(true);
	assert_int_equal(deep_counts.errors, 0);
	redis_ops.close(&layer);
}

/* Both databases have values of the same keys; neither is taken for the other. */
static void test_swapped_databases__are_both_new(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);
	struct layer *other;

	snprintf(deep_url, sizeof(deep_url), "unix://%s?db=1", server_socket(deep_server));
	other = deep_open(DEEP_LONG_NS);
	deep_set(layer, "k", "zero");
	deep_set(other, "k", "one");
	deep_expect_hit(layer, "k", "zero");
	deep_expect_hit(other, "k", "one");
	deep_expect_command("SWAPDB 0 1", "+OK\r\n");
	deep_expect(layer, "k", LAYER_MISS);
	deep_expect(other, "k", LAYER_MISS);
	deep_wrote(layer, LAYER_DELETE, "k", NULL);
	deep_expect_command("SWAPDB 0 1", "+OK\r\n");
	deep_expect(layer, "k", LAYER_MISS);
	deep_expect(other, "k", LAYER_MISS);
	deep_set(layer, "k", "zero again");
	deep_expect_hit(layer, "k", "zero again");
	redis_ops.close(&layer);
	redis_ops.close(&other);
}

static void sync_at_once(const struct server *server)
{
	assert_string_equal(deep_command_to(server, "CONFIG SET repl-diskless-sync-delay 0"),
			    "+OK\r\n");
}

/* A second Redis that has all the first one has; then it follows no more. */
static struct server *copy_of_server(void)
{
	struct server *copy = server_start_redis(NULL);
	char text[64];

	assert_non_null(copy);
	sync_at_once(deep_server);
	sync_at_once(copy);
	snprintf(text, sizeof(text), "REPLICAOF 127.0.0.1 %d", deep_listen(deep_server));
	assert_string_equal(deep_command_to(copy, text), "+OK\r\n");
	deep_wait_for(copy, "INFO replication", "master_link_status:up");
	deep_wait_for(copy, "EXISTS " DEEP_GENERATION, ":1");
	assert_string_equal(deep_command_to(copy, "REPLICAOF NO ONE"), "+OK\r\n");
	return copy;
}

static void test_failover_to_a_replica_that_was_behind__shows_nothing_old(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);
	struct server *copy;

	deep_set(layer, "k", "old");
	copy = copy_of_server();
	deep_wrote(layer, LAYER_DELETE, "k", NULL);
	server_kill(deep_server, SIGKILL);
	assert_true(server_wait_exit(deep_server, DEEP_PATIENCE_NS / CLOCK_NS_PER_MS));
	assert_int_equal(rename(server_socket(copy), server_socket(deep_server)), 0);
	assert_int_equal(deep_get_when_up(layer, "k"), LAYER_MISS);
	deep_set(layer, "k", "new");
	deep_expect_hit(layer, "k", "new");
	deep_expect_clean(true);
	redis_ops.close(&layer);
	server_stop(&copy);
}

/* The run id is the same afterwards: what it had is not. */
static void test_demoted_and_promoted_again__shows_nothing_old(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);
	struct server *copy;
	char text[64];

	deep_set(layer, "k", "old");
	copy = copy_of_server();
	deep_wrote(layer, LAYER_DELETE, "k", NULL);
	snprintf(text, sizeof(text), "REPLICAOF 127.0.0.1 %d", deep_listen(copy));
	deep_expect_command(text, "+OK\r\n");
	deep_wait_for(deep_server, "INFO replication", "master_link_status:up");
	/* Who Redis is, is looked at once a second. */
	poll(NULL, 0, REDIS_CHECK_NS / CLOCK_NS_PER_MS + 100);
	for (int i = 0; i < 20; i++) {
		assert_int_not_equal(deep_get(layer, "k", text), LAYER_HIT);
		poll(NULL, 0, 5);
	}
	deep_expect_command("REPLICAOF NO ONE", "+OK\r\n");
	assert_int_equal(deep_get_when_up(layer, "k"), LAYER_MISS);
	deep_set(layer, "k", "new");
	deep_expect_hit(layer, "k", "new");
	redis_ops.close(&layer);
	server_stop(&copy);
}

/* A value that would end in a minute; the clock is set by so much after half of it. */
static enum layer_answer found_after_step(int64_t step_s)
{
	const int64_t wall_s = clock_wall_s();
	struct layer *layer = deep_open(DEEP_LONG_NS);
	struct layer_write write = deep_write_of(LAYER_SET, "k", "v");
	enum layer_answer answer;
	char found[64];

	clock_fake(1000 * CLOCK_NS_PER_S, wall_s);
	write.deadline_ns = clock_now_ns() + 60 * CLOCK_NS_PER_S;
	deep_write(layer, &write, true);
	deep_set(layer, "never", "w");
	deep_expect_hit(layer, "k", "v");
	clock_fake(1030 * CLOCK_NS_PER_S, wall_s + 30);
	deep_expect_hit(layer, "k", "v");
	clock_fake(1100 * CLOCK_NS_PER_S, wall_s + 100 + step_s);
	answer = deep_get(layer, "k", found);
	if (step_s >= 0) {
		deep_expect_hit(layer, "never", "w");
	}
	clock_fake(1110 * CLOCK_NS_PER_S, wall_s + 110 + step_s);
	deep_set(layer, "k", "x");
	deep_expect_hit(layer, "k", "x");
	clock_fake(0, 0);
	redis_ops.close(&layer);
	return answer;
}

/* What has ended does not live again, and what is written afterwards is found. */
static void test_clock_set__revives_nothing(void **state)
{
	static const int64_t steps_s[] = { 0, -3600, -50, 3600, 100, -365 * 86400 };

	for (size_t i = 0; i < sizeof(steps_s) / sizeof(*steps_s); i++) {
		deep_setup_empty(state);
		assert_int_not_equal(found_after_step(steps_s[i]), LAYER_HIT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DEEP_TEST(test_flush__forgets_everything),
		DEEP_TEST(test_generation_of_others__is_followed),
		DEEP_TEST(test_lost_generation__never_comes_again),
		DEEP_TEST(test_generation_that_is_not_ours__is_replaced),
		DEEP_TEST(test_generation_of_before__never_comes_again),
		DEEP_TEST(test_restarted_unnoticed__is_another_place),
		DEEP_TEST(test_restarted_with_old_data__shows_none_of_it),
		DEEP_TEST(test_unclean__is_shared_and_cleaned_by_whoever_comes),
		DEEP_TEST(test_cleaning__is_rare),
		DEEP_TEST(test_flushall_by_somebody__is_a_miss),
		DEEP_TEST(test_swapped_databases__are_both_new),
		DEEP_TEST(test_failover_to_a_replica_that_was_behind__shows_nothing_old),
		DEEP_TEST(test_clock_set__revives_nothing),
		DEEP_TEST(test_demoted_and_promoted_again__shows_nothing_old),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
