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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
