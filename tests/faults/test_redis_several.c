/* What does layer "redis" keep where other domains write the same keys, unseen by its slots? */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <poll.h>
#include <signal.h>

#include "tests/faults/lib/domains.h"

/* --- what is kept --- */

static void test_clean_writes__are_seen_by_both(void **state)
{
	deep_set(domains_one, "k", "v");
	deep_expect_hit(domains_other, "k", "v");
	/* Longer than the margin of a clock. */
	poll(NULL, 0, 50);
	deep_set(domains_other, "k", "w");
	deep_expect_hit(domains_one, "k", "w");
	poll(NULL, 0, 50);
	deep_wrote(domains_one, LAYER_APPEND, "k", "x");
	deep_expect_hit(domains_other, "k", "wx");
	poll(NULL, 0, 50);
	deep_wrote(domains_other, LAYER_DELETE, "k", NULL);
	deep_expect(domains_one, "k", LAYER_MISS);
	assert_true(domains_closed_for("k") <= 0);
}

static void test_refused_write__leaves_what_it_found(void **state)
{
	struct layer_write write;

	deep_set(domains_one, "k", "v");
	deep_expect_hit(domains_other, "k", "v");
	poll(NULL, 0, 50);
	write = domains_begin(domains_other, LAYER_ADD, "k", "w");
	write.outcome = LAYER_REFUSED;
	domains_mark(domains_other, &write);
	assert_int_equal(write.found, LAYER_FOUND_VALUE);
	domains_end(domains_other, &write);
	deep_expect_hit(domains_one, "k", "v");
}

static void test_young_generation__keeps_nothing(void **state)
{
	deep_set(domains_one, "k", "v");
	deep_set(domains_other, "k", "v");
	poll(NULL, 0, 50);
	deep_set(domains_one, "k", "w");
	domains_expect_record("k", 'C');
}

static void test_mark_of_another__is_not_overtaken(void **state)
{
	struct layer_write first = domains_begin(domains_one, LAYER_SET, "k", "v");

	domains_mark(domains_one, &first);
	poll(NULL, 0, 50);
	deep_set(domains_other, "k", "w");
	/* Until the first must have returned. */
	assert_true(domains_closed_for("k") > REDIS_MARK_MS / 2);
	domains_end(domains_one, &first);
	deep_expect(domains_one, "k", LAYER_MISS);
	poll(NULL, 0, 50);
	/* Not yet, but this is not prolonged. */
	deep_set(domains_other, "k", "x");
	assert_true(domains_closed_for("k") < REDIS_MARK_MS);
	deep_expect(domains_one, "k", LAYER_MISS);
}

/* Whichever of the two memcached has heard last: its mark came after the other's commit. */
static void test_write_during_a_call__is_noticed(void **state)
{
	struct layer_write first = domains_begin(domains_one, LAYER_SET, "k", "v");

	poll(NULL, 0, 50);
	deep_set(domains_other, "k", "w");
	domains_expect_record("k", 'V');
	domains_mark(domains_one, &first);
	domains_end(domains_one, &first);
	domains_expect_record("k", 'C');
	deep_expect(domains_other, "k", LAYER_MISS);
}

static void test_delete_during_a_call__is_noticed(void **state)
{
	struct layer_write first = domains_begin(domains_one, LAYER_SET, "k", "v");

	poll(NULL, 0, 50);
	deep_wrote(domains_other, LAYER_DELETE, "k", NULL);
	domains_expect_record("k", 'C');
	domains_mark(domains_one, &first);
	assert_int_equal(first.found, LAYER_FOUND_UNKNOWN);
	domains_end(domains_one, &first);
	domains_expect_record("k", 'C');
}

/* A value that is over at once is as good as none for readers, but not for who began before. */
static void test_short_life__does_not_hide_that_it_came(void **state)
{
	struct layer_write first = domains_begin(domains_one, LAYER_SET, "k", "v");
	struct layer_write second = deep_write_of(LAYER_SET, "k", "w");

	poll(NULL, 0, 50);
	second.deadline_ns = clock_now_ns() + 100 * CLOCK_NS_PER_MS;
	deep_write(domains_other, &second, true);
	poll(NULL, 0, 200);
	deep_expect(domains_other, "k", LAYER_MISS);
	domains_mark(domains_one, &first);
	domains_end(domains_one, &first);
	domains_expect_record("k", 'C');
}

static void test_uncertain_write__closes_for_long(void **state)
{
	struct layer_write write = domains_begin(domains_one, LAYER_SET, "k", "v");

	domains_mark(domains_one, &write);
	write.outcome = LAYER_UNCERTAIN;
	domains_end(domains_one, &write);
	assert_true(domains_closed_for("k") > REDIS_DOUBT_MS - 2000);
}

/* One that has begun a mark's life ago finds nothing of what happened meanwhile. */
static void test_late_answer__is_not_clean(void **state)
{
	struct layer_write write = domains_begin(domains_one, LAYER_SET, "k", "v");

	redis_write_of(&write)->began_ns -= REDIS_LATE_NS;
	domains_mark(domains_one, &write);
	domains_end(domains_one, &write);
	assert_true(domains_closed_for("k") > REDIS_MARK_MS / 2);
}

static void test_late_call__marks_again(void **state)
{
	struct layer_write write = domains_begin(domains_one, LAYER_SET, "k", "v");
	char before[512];

	domains_mark(domains_one, &write);
	redis_write_of(&write)->began_ns -= REDIS_LATE_NS;
	snprintf(before, sizeof(before), "%s", domains_record("k", "P"));
	/* Its mark is gone, and somebody has stored. */
	snprintf(before, sizeof(before), "DEL test:1:{cache:11211}:%llx:r:k", deep_generation());
	deep_expect_command(before, ":1\r\n");
	deep_set(domains_other, "k", "w");
	domains_expect_record("k", 'V');
	redis_ops.leaving(domains_one, &write);
	domains_expect_record("k", 'P');
	write.alone = true;
	redis_ops.commit(domains_one, &write);
	assert_true(domains_closed_for("k") > REDIS_MARK_MS / 2);
}

static void test_late_call_without_redis__is_unmarked(void **state)
{
	struct layer_write write = domains_begin(domains_one, LAYER_SET, "k", "v");

	domains_mark(domains_one, &write);
	redis_write_of(&write)->began_ns -= REDIS_LATE_NS;
	deep_expect_clean(true);
	server_kill(deep_server, SIGKILL);
	assert_true(server_wait_exit(deep_server, DEEP_PATIENCE_NS / CLOCK_NS_PER_MS));
	domains_end(domains_one, &write);
	deep_expect_clean(false);
}

/* Where there is no room for marks, another domain must see them all the same. */
static void test_full__marks_and_closes(void **state)
{
	struct layer_write write;

	deep_set(domains_one, "k", "v");
	deep_expect_hit(domains_other, "k", "v");
	deep_expect_command("CONFIG SET maxmemory 1", "+OK\r\n");
	write = domains_begin(domains_one, LAYER_SET, "k", "w");
	domains_mark(domains_one, &write);
	domains_expect_record("k", 'P');
	deep_expect(domains_other, "k", LAYER_MISS);
	domains_end(domains_one, &write);
	assert_true(domains_closed_for("k") > REDIS_MARK_MS / 2);
	deep_expect_clean(true);
	/* Also where the scripts were lost that nobody has called since. */
	deep_expect_command("SCRIPT FLUSH", "+OK\r\n");
	write = domains_begin(domains_one, LAYER_SET, "k", "w");
	domains_mark(domains_one, &write);
	domains_expect_record("k", 'P');
	deep_expect_clean(true);
	domains_end(domains_one, &write);
}

static void test_policy_that_drops_marks__is_refused(void **state)
{
	const struct redis_options options = deep_options(DEEP_LONG_NS);

	deep_set(domains_one, "k", "v");
	deep_expect_hit(domains_one, "k", "v");
	deep_expect_command("CONFIG SET maxmemory-policy allkeys-random", "+OK\r\n");
	redis_ops.close(&domains_one);
	domains_one = deep_with(&options);
	deep_expect(domains_one, "k", LAYER_DOWN);
	poll(NULL, 0, 50);
	deep_set(domains_one, "k", "w");
	domains_expect_record("k", 'C');
	deep_expect_command("CONFIG SET maxmemory-policy allkeys-lru", "+OK\r\n");
	redis_ops.close(&domains_one);
	domains_one = deep_with(&options);
	deep_expect(domains_one, "k", LAYER_MISS);
	poll(NULL, 0, 50);
	deep_set(domains_one, "k", "x");
	deep_expect_hit(domains_one, "k", "x");
}

/* --- in sequence --- */

static void test_serial__has_marked_before_memcached_is_called(void **state)
{
	struct redis_options options = deep_options(DEEP_LONG_NS);
	struct layer_write write;

	options.serial = true;
	redis_ops.close(&domains_one);
	domains_one = deep_with(&options);
	write = domains_begin(domains_one, LAYER_SET, "k", "v");
	/* Whatever happened before the mark is older than the call. */
	deep_set(domains_other, "k", "w");
	domains_expect_record("k", 'V');
	redis_ops.mark(domains_one, &write);
	assert_true(redis_write_of(&write)->received);
	domains_expect_record("k", 'P');
	redis_ops.marked(domains_one, &write);
	assert_int_equal(write.found, LAYER_FOUND_VALUE);
	domains_end(domains_one, &write);
	deep_expect_hit(domains_other, "k", "v");
}

static void test_serial_without_redis__calls_all_the_same(void **state)
{
	struct redis_options options = deep_options(DEEP_LONG_NS);
	struct layer_write write;

	options.serial = true;
	redis_ops.close(&domains_one);
	domains_one = deep_with(&options);
	deep_set(domains_one, "k", "v");
	server_kill(deep_server, SIGKILL);
	assert_true(server_wait_exit(deep_server, DEEP_PATIENCE_NS / CLOCK_NS_PER_MS));
	write = domains_begin(domains_one, LAYER_SET, "k", "w");
	domains_mark(domains_one, &write);
	assert_int_equal(write.found, LAYER_FOUND_UNKNOWN);
	domains_end(domains_one, &write);
	deep_expect_clean(false);
}

int main(void)
{
#define SEVERAL(name) cmocka_unit_test_setup_teardown(name, domains_setup, domains_teardown)
#define APART(name) cmocka_unit_test_setup_teardown(name, domains_setup_apart, domains_teardown)
	const struct CMUnitTest tests[] = {
		APART(test_young_generation__keeps_nothing),
		SEVERAL(test_clean_writes__are_seen_by_both),
		SEVERAL(test_refused_write__leaves_what_it_found),
		SEVERAL(test_mark_of_another__is_not_overtaken),
		SEVERAL(test_write_during_a_call__is_noticed),
		SEVERAL(test_delete_during_a_call__is_noticed),
		SEVERAL(test_short_life__does_not_hide_that_it_came),
		SEVERAL(test_uncertain_write__closes_for_long),
		SEVERAL(test_late_answer__is_not_clean),
		SEVERAL(test_late_call__marks_again),
		SEVERAL(test_late_call_without_redis__is_unmarked),
		SEVERAL(test_full__marks_and_closes),
		SEVERAL(test_policy_that_drops_marks__is_refused),
		SEVERAL(test_serial__has_marked_before_memcached_is_called),
		SEVERAL(test_serial_without_redis__calls_all_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
