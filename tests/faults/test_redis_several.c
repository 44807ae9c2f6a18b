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

#include "tests/faults/lib/deep.h"

#define ONE "0000000000000001" /* the domain of deep_open() */

static struct layer *one, *other;

/* Both have written, and the generation is old enough. */
static void open_both(const struct redis_options *options)
{
	one = deep_with(options);
	other = deep_of_other(options);
	deep_set(one, "first", "v");
	deep_set(other, "first", "v");
	deep_age_generation();
	/* Each has heard of it. */
	deep_wrote(one, LAYER_DELETE, "first", NULL);
	deep_wrote(other, LAYER_DELETE, "first", NULL);
	assert_string_equal(deep_writers(), "several");
}

static int setup(void **state)
{
	const struct redis_options options = deep_options(DEEP_LONG_NS);

	if (deep_setup(state) != 0) {
		return -1;
	}
	open_both(&options);
	return 0;
}

static int teardown(void **state)
{
	redis_ops.close(&one);
	redis_ops.close(&other);
	return deep_teardown(state);
}

static int setup_apart(void **state)
{
	const struct redis_options options = deep_options(DEEP_LONG_NS);

	if (deep_setup(state) != 0) {
		return -1;
	}
	one = deep_with(&options);
	other = deep_of_other(&options);
	return 0;
}

/* The record of a key, as text, as soon as it begins with one of these. */
static const char *record_of(const char *key, const char *kinds)
{
	static char text[512];
	int64_t give_up = clock_now_ns() + DEEP_PATIENCE_NS;
	const char *at;

	for (;;) {
		snprintf(text, sizeof(text), "GET test:1:{cache:11211}:%llx:r:%s",
			 deep_generation(), key);
		at = deep_command(text);
		snprintf(text, sizeof(text), "%s",
			 strncmp(at, "$-1", 3) == 0 ? "" : strchr(at, '\n') + 1);
		text[strcspn(text, "\r")] = '\0';
		if (strchr(kinds, text[0]) || clock_now_ns() > give_up) {
			return text;
		}
		poll(NULL, 0, 1);
	}
}

static void expect_record(const char *key, char kind)
{
	const char kinds[] = { kind, '\0' };

	assert_int_equal(record_of(key, kinds)[0], kind);
}

/* How far from now the record is closed, in milliseconds. */
static int64_t closed_for(const char *key)
{
	const char *record = record_of(key, "C");

	assert_int_equal(record[0], 'C');
	return strtoll(record + 1, NULL, 10) - clock_wall_ms();
}

/* Something may happen between these: as the core does it. */
static struct layer_write begin(struct layer *layer, enum layer_verb verb, const char *key,
				const char *value)
{
	struct layer_write write = deep_write_of(verb, key, value);

	redis_ops.announce(layer, &write);
	return write;
}

static void mark(struct layer *layer, struct layer_write *write)
{
	redis_ops.mark(layer, write);
	redis_ops.marked(layer, write);
}

static void end(struct layer *layer, struct layer_write *write)
{
	redis_ops.leaving(layer, write);
	write->alone = true;
	redis_ops.commit(layer, write);
}

/* --- who writes --- */

static void test_second_domain__makes_them_several_before_it_writes(void **state)
{
	struct layer_write write;

	deep_set(one, "k", "v");
	assert_string_equal(deep_writers(), ONE);
	assert_int_equal(deep_seen.several, 0);
	write = begin(other, LAYER_SET, "k", "w");
	redis_ops.mark(other, &write);
	assert_string_equal(deep_writers(), "several");
	assert_true(write.stays_below);
	assert_int_equal(deep_seen.several, 1);
	redis_ops.marked(other, &write);
	end(other, &write);
}

/* Values of before stay: only who may write how has changed. */
static void test_second_domain__reads_what_the_first_has_written(void **state)
{
	unsigned long long before;

	deep_set(one, "k", "v");
	before = deep_generation();
	deep_expect_hit(other, "k", "v");
	assert_string_equal(deep_writers(), ONE);
	deep_set(other, "l", "w");
	assert_string_equal(deep_writers(), "several");
	assert_true(deep_generation() == before);
	deep_expect_hit(other, "k", "v");
	deep_expect_hit(one, "k", "v");
}

/* The first has marked under the simple rule, and does not know of the second. */
static void test_commit_when_the_second_has_come__does_nothing(void **state)
{
	struct layer_write write;

	deep_set(one, "k", "v");
	write = begin(one, LAYER_SET, "k", "w");
	mark(one, &write);
	assert_false(write.stays_below);
	deep_set(other, "l", "x");
	end(one, &write);
	deep_expect(one, "k", LAYER_MISS);
	expect_record("k", 'P');
}

/* Its mark hears of the second: what it found may be the second's. */
static void test_mark_when_the_second_has_come__is_not_clean(void **state)
{
	deep_set(one, "k", "v");
	deep_set(other, "l", "x");
	deep_age_generation();
	deep_set(one, "k", "w");
	assert_true(closed_for("k") > REDIS_MARK_MS / 2);
	deep_set(one, "l", "y");
	deep_expect(one, "l", LAYER_MISS);
}

static void test_put_back_when_the_second_has_come__may_not_stay(void **state)
{
	struct layer_item item = { .key = deep_key("k"), .answer = LAYER_MISS };
	struct layer_batch batch = deep_batch(&item, 1);

	deep_set(one, "k", "v");
	deep_expect_hit(one, "k", "v");
	redis_ops.get(one, &batch);
	assert_int_equal(item.answer, LAYER_HIT);
	assert_false(item.stays_below);
	assert_true(redis_ops.may_stay(one, NULL, &item));
	deep_wrote(other, LAYER_DELETE, "k", NULL);
	assert_false(redis_ops.may_stay(one, NULL, &item));
	free(item.value);
}

static void test_hits_of_several__stay_below(void **state)
{
	struct layer_item item = { .key = deep_key("k"), .answer = LAYER_MISS };
	struct layer_batch batch = deep_batch(&item, 1);
	const struct layer_allocator allocator = { deep_alloc, deep_free, NULL };
	struct layer_write write;

	deep_set(one, "k", "v");
	deep_expect_hit(other, "k", "v");
	redis_ops.get(other, &batch);
	assert_int_equal(item.answer, LAYER_HIT);
	assert_true(item.stays_below);
	free(item.value);
	write = begin(other, LAYER_APPEND, "k", "w");
	mark(other, &write);
	assert_true(write.stays_below);
	assert_false(redis_ops.recall(other, &write, &allocator, &item));
	end(other, &write);
}

static void test_flush__stays_with_several(void **state)
{
	unsigned long long before = deep_generation();

	deep_flush(one);
	assert_true(deep_generation() > before);
	assert_string_equal(deep_writers(), "several");
}

/* Whoever begins anew remembers that others were there. */
static void test_lost_generation__is_begun_for_several(void **state)
{
	deep_expect_command("FLUSHALL", "+OK\r\n");
	deep_set(one, "k", "v");
	assert_string_equal(deep_writers(), "several");
	deep_expect(one, "k", LAYER_MISS);
}

static void test_who_looks_on__changes_nothing(void **state)
{
	struct redis_options options = deep_options(DEEP_LONG_NS);
	struct layer *looking;

	options.looks_on = true;
	looking = deep_of_other(&options);
	deep_expect(looking, "k", LAYER_MISS);
	deep_expect_command("EXISTS " DEEP_GENERATION, ":0\r\n");
	redis_ops.close(&looking);
	redis_ops.close(&other);
	deep_set(one, "k", "v");
	other = deep_of_other(&options);
	deep_expect_hit(other, "k", "v");
	assert_string_equal(deep_writers(), ONE);
}

static void test_writers_several__are_it_at_once(void **state)
{
	struct redis_options options = deep_options(DEEP_LONG_NS);
	struct layer *alone;

	options.several = true;
	alone = deep_with(&options);
	deep_set(alone, "k", "v");
	assert_string_equal(deep_writers(), "several");
	redis_ops.close(&alone);
}

/* --- what is kept --- */

static void test_clean_writes__are_seen_by_both(void **state)
{
	deep_set(one, "k", "v");
	deep_expect_hit(other, "k", "v");
	/* Longer than the margin of a clock. */
	poll(NULL, 0, 50);
	deep_set(other, "k", "w");
	deep_expect_hit(one, "k", "w");
	poll(NULL, 0, 50);
	deep_wrote(one, LAYER_APPEND, "k", "x");
	deep_expect_hit(other, "k", "wx");
	poll(NULL, 0, 50);
	deep_wrote(other, LAYER_DELETE, "k", NULL);
	deep_expect(one, "k", LAYER_MISS);
	assert_true(closed_for("k") <= 0);
}

static void test_refused_write__leaves_what_it_found(void **state)
{
	struct layer_write write;

	deep_set(one, "k", "v");
	deep_expect_hit(other, "k", "v");
	poll(NULL, 0, 50);
	write = begin(other, LAYER_ADD, "k", "w");
	write.outcome = LAYER_REFUSED;
	mark(other, &write);
	assert_int_equal(write.found, LAYER_FOUND_VALUE);
	end(other, &write);
	deep_expect_hit(one, "k", "v");
}

static void test_young_generation__keeps_nothing(void **state)
{
	deep_set(one, "k", "v");
	deep_set(other, "k", "v");
	poll(NULL, 0, 50);
	deep_set(one, "k", "w");
	expect_record("k", 'C');
}

static void test_mark_of_another__is_not_overtaken(void **state)
{
	struct layer_write first = begin(one, LAYER_SET, "k", "v");

	mark(one, &first);
	poll(NULL, 0, 50);
	deep_set(other, "k", "w");
	/* Until the first must have returned. */
	assert_true(closed_for("k") > REDIS_MARK_MS / 2);
	end(one, &first);
	deep_expect(one, "k", LAYER_MISS);
	poll(NULL, 0, 50);
	/* Not yet, but this is not prolonged. */
	deep_set(other, "k", "x");
	assert_true(closed_for("k") < REDIS_MARK_MS);
	deep_expect(one, "k", LAYER_MISS);
}

/* Whichever of the two memcached has heard last: its mark came after the other's commit. */
static void test_write_during_a_call__is_noticed(void **state)
{
	struct layer_write first = begin(one, LAYER_SET, "k", "v");

	poll(NULL, 0, 50);
	deep_set(other, "k", "w");
	expect_record("k", 'V');
	mark(one, &first);
	end(one, &first);
	expect_record("k", 'C');
	deep_expect(other, "k", LAYER_MISS);
}

static void test_delete_during_a_call__is_noticed(void **state)
{
	struct layer_write first = begin(one, LAYER_SET, "k", "v");

	poll(NULL, 0, 50);
	deep_wrote(other, LAYER_DELETE, "k", NULL);
	expect_record("k", 'C');
	mark(one, &first);
	assert_int_equal(first.found, LAYER_FOUND_UNKNOWN);
	end(one, &first);
	expect_record("k", 'C');
}

/* A value that is over at once is as good as none for readers, but not for who began before. */
static void test_short_life__does_not_hide_that_it_came(void **state)
{
	struct layer_write first = begin(one, LAYER_SET, "k", "v");
	struct layer_write second = deep_write_of(LAYER_SET, "k", "w");

	poll(NULL, 0, 50);
	second.deadline_ns = clock_now_ns() + 100 * CLOCK_NS_PER_MS;
	deep_write(other, &second, true);
	poll(NULL, 0, 200);
	deep_expect(other, "k", LAYER_MISS);
	mark(one, &first);
	end(one, &first);
	expect_record("k", 'C');
}

static void test_uncertain_write__closes_for_long(void **state)
{
	struct layer_write write = begin(one, LAYER_SET, "k", "v");

	mark(one, &write);
	write.outcome = LAYER_UNCERTAIN;
	end(one, &write);
	assert_true(closed_for("k") > REDIS_DOUBT_MS - 2000);
}

/* One that has begun a mark's life ago finds nothing of what happened meanwhile. */
static void test_late_answer__is_not_clean(void **state)
{
	struct layer_write write = begin(one, LAYER_SET, "k", "v");

	redis_write_of(&write)->began_ns -= REDIS_LATE_NS;
	mark(one, &write);
	end(one, &write);
	assert_true(closed_for("k") > REDIS_MARK_MS / 2);
}

static void test_late_call__marks_again(void **state)
{
	struct layer_write write = begin(one, LAYER_SET, "k", "v");
	char before[512];

	mark(one, &write);
	redis_write_of(&write)->began_ns -= REDIS_LATE_NS;
	snprintf(before, sizeof(before), "%s", record_of("k", "P"));
	/* Its mark is gone, and somebody has stored. */
	snprintf(before, sizeof(before), "DEL test:1:{cache:11211}:%llx:r:k", deep_generation());
	deep_expect_command(before, ":1\r\n");
	deep_set(other, "k", "w");
	expect_record("k", 'V');
	redis_ops.leaving(one, &write);
	expect_record("k", 'P');
	write.alone = true;
	redis_ops.commit(one, &write);
	assert_true(closed_for("k") > REDIS_MARK_MS / 2);
}

static void test_late_call_without_redis__is_unmarked(void **state)
{
	struct layer_write write = begin(one, LAYER_SET, "k", "v");

	mark(one, &write);
	redis_write_of(&write)->began_ns -= REDIS_LATE_NS;
	deep_expect_clean(true);
	server_kill(deep_server, SIGKILL);
	assert_true(server_wait_exit(deep_server, DEEP_PATIENCE_NS / CLOCK_NS_PER_MS));
	end(one, &write);
	deep_expect_clean(false);
}

/* Where there is no room for marks, another domain must see them all the same. */
static void test_full__marks_and_closes(void **state)
{
	struct layer_write write;

	deep_set(one, "k", "v");
	deep_expect_hit(other, "k", "v");
	deep_expect_command("CONFIG SET maxmemory 1", "+OK\r\n");
	write = begin(one, LAYER_SET, "k", "w");
	mark(one, &write);
	expect_record("k", 'P');
	deep_expect(other, "k", LAYER_MISS);
	end(one, &write);
	assert_true(closed_for("k") > REDIS_MARK_MS / 2);
	deep_expect_clean(true);
}

static void test_policy_that_drops_marks__is_refused(void **state)
{
	const struct redis_options options = deep_options(DEEP_LONG_NS);

	deep_set(one, "k", "v");
	deep_expect_hit(one, "k", "v");
	deep_expect_command("CONFIG SET maxmemory-policy allkeys-random", "+OK\r\n");
	redis_ops.close(&one);
	one = deep_with(&options);
	deep_expect(one, "k", LAYER_DOWN);
	poll(NULL, 0, 50);
	deep_set(one, "k", "w");
	expect_record("k", 'C');
	deep_expect_command("CONFIG SET maxmemory-policy allkeys-lru", "+OK\r\n");
	redis_ops.close(&one);
	one = deep_with(&options);
	deep_expect(one, "k", LAYER_MISS);
	poll(NULL, 0, 50);
	deep_set(one, "k", "x");
	deep_expect_hit(one, "k", "x");
}

/* --- in sequence --- */

static void test_serial__has_marked_before_memcached_is_called(void **state)
{
	struct redis_options options = deep_options(DEEP_LONG_NS);
	struct layer_write write;

	options.serial = true;
	redis_ops.close(&one);
	one = deep_with(&options);
	write = begin(one, LAYER_SET, "k", "v");
	/* Whatever happened before the mark is older than the call. */
	deep_set(other, "k", "w");
	expect_record("k", 'V');
	redis_ops.mark(one, &write);
	assert_true(redis_write_of(&write)->received);
	expect_record("k", 'P');
	redis_ops.marked(one, &write);
	assert_int_equal(write.found, LAYER_FOUND_VALUE);
	end(one, &write);
	deep_expect_hit(other, "k", "v");
}

static void test_serial_without_redis__calls_all_the_same(void **state)
{
	struct redis_options options = deep_options(DEEP_LONG_NS);
	struct layer_write write;

	options.serial = true;
	redis_ops.close(&one);
	one = deep_with(&options);
	deep_set(one, "k", "v");
	server_kill(deep_server, SIGKILL);
	assert_true(server_wait_exit(deep_server, DEEP_PATIENCE_NS / CLOCK_NS_PER_MS));
	write = begin(one, LAYER_SET, "k", "w");
	mark(one, &write);
	assert_int_equal(write.found, LAYER_FOUND_UNKNOWN);
	end(one, &write);
	deep_expect_clean(false);
}

/* --- back to one --- */

#define HEARD_MS 400

static int setup_short(void **state)
{
	struct redis_options options = deep_options(DEEP_LONG_NS);

	options.heard_ms = HEARD_MS;
	if (deep_setup(state) != 0) {
		return -1;
	}
	open_both(&options);
	return 0;
}

static void wait_for_writers(struct layer *layer, const char *writers)
{
	int64_t give_up = clock_now_ns() + DEEP_PATIENCE_NS;

	while (strcmp(deep_writers(), writers) != 0) {
		assert_true(clock_now_ns() < give_up);
		deep_set(layer, "l", "w");
		poll(NULL, 0, 20);
	}
}

static void test_silent_domain__is_no_longer_minded(void **state)
{
	unsigned long long before = deep_generation();

	wait_for_writers(one, ONE);
	assert_true(deep_generation() == before);
	deep_set(one, "k", "v");
	deep_expect_hit(one, "k", "v");
	assert_int_equal(deep_seen.several, 0);
	/* It has to learn that before it writes. */
	deep_set(other, "k", "w");
	assert_string_equal(deep_writers(), "several");
	deep_expect_hit(one, "k", "w");
}

static void test_domains_that_write__are_minded(void **state)
{
	int64_t until = clock_now_ns() + 4 * HEARD_MS * CLOCK_NS_PER_MS;

	while (clock_now_ns() < until) {
		deep_set(one, "k", "v");
		deep_set(other, "l", "w");
		assert_string_equal(deep_writers(), "several");
		poll(NULL, 0, 5);
	}
}

/* Evicted, it takes as long again. */
static void test_list_of_domains_lost__nobody_is_forgotten_sooner(void **state)
{
	int64_t until = clock_now_ns() + 4 * HEARD_MS * CLOCK_NS_PER_MS;

	while (clock_now_ns() < until) {
		deep_set(one, "k", "v");
		deep_command("DEL test:1:{cache:11211}:domains");
		assert_string_equal(deep_writers(), "several");
		poll(NULL, 0, 5);
	}
	wait_for_writers(one, ONE);
}

/* --- names --- */

static void test_alias__is_one_server_for_both(void **state)
{
	struct redis_options options = deep_options(DEEP_LONG_NS);
	struct layer_item item = { .key = deep_key("k"), .answer = LAYER_MISS };
	struct layer_batch batch = deep_batch(&item, 1);
	struct layer *aliased;

	deep_set(one, "k", "v");
	deep_expect_hit(one, "k", "v");
	item.key.server = "elsewhere:1";
	options.alias = "another:1=x, elsewhere:1 = cache:11211";
	aliased = deep_with(&options);
	redis_ops.get(aliased, &batch);
	assert_int_equal(item.answer, LAYER_HIT);
	free(item.value);
	deep_flush(one);
	item.answer = LAYER_MISS;
	batch.n_hits = 0;
	redis_ops.get(aliased, &batch);
	assert_int_equal(item.answer, LAYER_MISS);
	redis_ops.close(&aliased);
}

int main(void)
{
#define SEVERAL(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define APART(name) cmocka_unit_test_setup_teardown(name, setup_apart, teardown)
#define SHORT(name) cmocka_unit_test_setup_teardown(name, setup_short, teardown)
	const struct CMUnitTest tests[] = {
		APART(test_second_domain__makes_them_several_before_it_writes),
		APART(test_second_domain__reads_what_the_first_has_written),
		APART(test_commit_when_the_second_has_come__does_nothing),
		APART(test_mark_when_the_second_has_come__is_not_clean),
		APART(test_put_back_when_the_second_has_come__may_not_stay),
		APART(test_young_generation__keeps_nothing),
		APART(test_who_looks_on__changes_nothing),
		APART(test_writers_several__are_it_at_once),
		APART(test_alias__is_one_server_for_both),
		SEVERAL(test_hits_of_several__stay_below),
		SEVERAL(test_flush__stays_with_several),
		SEVERAL(test_lost_generation__is_begun_for_several),
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
		SHORT(test_silent_domain__is_no_longer_minded),
		SHORT(test_domains_that_write__are_minded),
		SHORT(test_list_of_domains_lost__nobody_is_forgotten_sooner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
