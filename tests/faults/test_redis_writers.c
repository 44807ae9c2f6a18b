/* Who writes: does every domain know in time whether it is the only one? */
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
#include <sys/socket.h>
#include <unistd.h>

#include "tests/faults/lib/domains.h"

static void test_second_domain__makes_them_several_before_it_writes(void **state)
{
	struct layer_write write;

	deep_set(domains_one, "k", "v");
	assert_string_equal(deep_writers(), ONE);
	assert_int_equal(deep_seen.several, 0);
	write = domains_begin(domains_other, LAYER_SET, "k", "w");
	redis_ops.mark(domains_other, &write);
	assert_string_equal(deep_writers(), "several");
	assert_true(write.stays_below);
	assert_int_equal(deep_seen.several, 1);
	redis_ops.marked(domains_other, &write);
	domains_end(domains_other, &write);
}

/* Values of before stay: only who may write how has changed. */
static void test_second_domain__reads_what_the_first_has_written(void **state)
{
	unsigned long long before;

	deep_set(domains_one, "k", "v");
	before = deep_generation();
	deep_expect_hit(domains_other, "k", "v");
	assert_string_equal(deep_writers(), ONE);
	deep_set(domains_other, "l", "w");
	assert_string_equal(deep_writers(), "several");
	assert_true(deep_generation() == before);
	deep_expect_hit(domains_other, "k", "v");
	deep_expect_hit(domains_one, "k", "v");
}

/* The first has marked under the simple rule, and does not know of the second. */
static void test_script_when_the_second_has_come__does_nothing(void **state)
{
	struct layer_write write;

	deep_set(domains_one, "k", "v");
	write = domains_begin(domains_one, LAYER_TOUCH, "k", NULL);
	domains_mark(domains_one, &write);
	assert_false(write.stays_below);
	deep_set(domains_other, "l", "x");
	domains_end(domains_one, &write);
	deep_expect(domains_one, "k", LAYER_MISS);
	domains_expect_record("k", 'P');
}

/* Its mark came before the second, so nothing of the second's came before it. */
static void test_set_when_the_second_has_come__counts_if_the_mark_is_its_own(void **state)
{
	struct layer_write write, of_marked;

	write = domains_begin(domains_one, LAYER_SET, "k", "v");
	domains_mark(domains_one, &write);
	of_marked = domains_begin(domains_one, LAYER_SET, "m", "v");
	domains_mark(domains_one, &of_marked);
	deep_set(domains_other, "m", "w");
	domains_end(domains_one, &write);
	domains_end(domains_one, &of_marked);
	deep_expect_hit(domains_one, "k", "v");
	deep_expect_hit(domains_other, "k", "v");
	domains_expect_record("m", 'C');
	deep_expect(domains_one, "m", LAYER_MISS);
	deep_expect(domains_other, "m", LAYER_MISS);
}

/* Else the second could have marked between the two. */
static void test_simple_mark__comes_before_the_question_who_writes(void **state)
{
	static char seen[4096];
	const char *mark, *question;
	size_t n = 0;
	int fd;

	deep_set(domains_one, "k", "v");
	fd = deep_connect(deep_server);
	assert_string_equal(deep_ask(fd, "MONITOR"), "+OK\r\n");
	deep_set(domains_one, "k", "w");
	deep_expect_command("ECHO enough", "$6\r\nenough\r\n");
	while (strstr(seen, "enough") == NULL) {
		ssize_t got = recv(fd, seen + n, sizeof(seen) - 1 - n, 0);

		assert_true(got > 0);
		n += (size_t)got;
	}
	close(fd);
	mark = strstr(seen, "\"SET\"");
	question = strstr(seen, "\"GET\" \"" DEEP_GENERATION);
	assert_non_null(mark);
	assert_true(question > mark);
}

/* What was stored before the second came is replaced as soon as nobody can be at it still. */
static void test_value_of_the_first__is_minded_for_as_long_as_a_mark(void **state)
{
	deep_set(domains_one, "k", "v");
	deep_set(domains_one, "m", "v");
	deep_set(domains_other, "k", "w");
	assert_true(domains_closed_for("k") > REDIS_MARK_MS / 2);
	deep_age_generation();
	deep_set(domains_other, "m", "w");
	domains_expect_record("m", 'V');
	deep_expect_hit(domains_one, "m", "w");
}

/* Its mark hears of the second: what it found may be the second's. */
static void test_mark_when_the_second_has_come__is_not_clean(void **state)
{
	deep_set(domains_one, "k", "v");
	deep_set(domains_other, "l", "x");
	deep_age_generation();
	deep_set(domains_one, "k", "w");
	assert_true(domains_closed_for("k") > REDIS_MARK_MS / 2);
	deep_set(domains_one, "l", "y");
	deep_expect(domains_one, "l", LAYER_MISS);
}

static void test_put_back_when_the_second_has_come__may_not_stay(void **state)
{
	struct layer_item item = { .key = deep_key("k"), .answer = LAYER_MISS };
	struct layer_batch batch = deep_batch(&item, 1);

	deep_set(domains_one, "k", "v");
	deep_expect_hit(domains_one, "k", "v");
	redis_ops.get(domains_one, &batch);
	assert_int_equal(item.answer, LAYER_HIT);
	assert_false(item.stays_below);
	assert_true(redis_ops.may_stay(domains_one, NULL, &item));
	deep_wrote(domains_other, LAYER_DELETE, "k", NULL);
	assert_false(redis_ops.may_stay(domains_one, NULL, &item));
	free(item.value);
}

static void test_hits_of_several__stay_below(void **state)
{
	struct layer_item item = { .key = deep_key("k"), .answer = LAYER_MISS };
	struct layer_batch batch = deep_batch(&item, 1);
	const struct layer_allocator allocator = { deep_alloc, deep_free, NULL };
	struct layer_write write;

	deep_set(domains_one, "k", "v");
	deep_expect_hit(domains_other, "k", "v");
	redis_ops.get(domains_other, &batch);
	assert_int_equal(item.answer, LAYER_HIT);
	assert_true(item.stays_below);
	free(item.value);
	write = domains_begin(domains_other, LAYER_APPEND, "k", "w");
	domains_mark(domains_other, &write);
	assert_true(write.stays_below);
	assert_false(redis_ops.recall(domains_other, &write, &allocator, &item));
	domains_end(domains_other, &write);
}

static void test_flush__stays_with_several(void **state)
{
	unsigned long long before = deep_generation();

	deep_flush(domains_one);
	assert_true(deep_generation() > before);
	assert_string_equal(deep_writers(), "several");
}

/* Whoever begins anew remembers that others were there. */
static void test_lost_generation__is_begun_for_several(void **state)
{
	deep_expect_command("FLUSHALL", "+OK\r\n");
	deep_set(domains_one, "k", "v");
	assert_string_equal(deep_writers(), "several");
	deep_expect(domains_one, "k", LAYER_MISS);
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
	redis_ops.close(&domains_other);
	deep_set(domains_one, "k", "v");
	domains_other = deep_of_other(&options);
	deep_expect_hit(domains_other, "k", "v");
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

	wait_for_writers(domains_one, ONE);
	assert_true(deep_generation() == before);
	deep_set(domains_one, "k", "v");
	deep_expect_hit(domains_one, "k", "v");
	assert_int_equal(deep_seen.several, 0);
	/* It has to learn that before it writes. */
	deep_set(domains_other, "n", "w");
	assert_string_equal(deep_writers(), "several");
	deep_expect_hit(domains_one, "n", "w");
}

/* What it has heard as the only one, before it was silent, is not assumed either. */
static void test_only_domain_that_was_silent__learns_before_it_writes(void **state)
{
	struct layer_write write;

	wait_for_writers(domains_one, ONE);
	while (strcmp(deep_writers(), ONE) == 0 || strcmp(deep_writers(), "several") == 0) {
		deep_set(domains_other, "l", "w");
		poll(NULL, 0, 20);
	}
	write = domains_begin(domains_one, LAYER_SET, "k", "v");
	redis_ops.mark(domains_one, &write);
	assert_string_equal(deep_writers(), "several");
	redis_ops.marked(domains_one, &write);
	domains_end(domains_one, &write);
}

static void test_domains_that_write__are_minded(void **state)
{
	int64_t until = clock_now_ns() + 4 * HEARD_MS * CLOCK_NS_PER_MS;

	while (clock_now_ns() < until) {
		deep_set(domains_other, "l", "w");
		assert_string_equal(deep_writers(), "several");
		deep_set(domains_one, "k", "v");
		assert_string_equal(deep_writers(), "several");
		poll(NULL, 0, 5);
	}
}

/* Evicted, it takes as long again. */
static void test_list_of_domains_lost__nobody_is_forgotten_sooner(void **state)
{
	int64_t until = clock_now_ns() + 4 * HEARD_MS * CLOCK_NS_PER_MS;

	while (clock_now_ns() < until) {
		deep_set(domains_one, "k", "v");
		deep_command("DEL test:1:{cache:11211}:domains");
		assert_string_equal(deep_writers(), "several");
		poll(NULL, 0, 5);
	}
	wait_for_writers(domains_one, ONE);
}

static void test_alias__is_one_server_for_both(void **state)
{
	struct redis_options options = deep_options(DEEP_LONG_NS);
	struct layer_item item = { .key = deep_key("k"), .answer = LAYER_MISS };
	struct layer_batch batch = deep_batch(&item, 1);
	struct layer *aliased;

	deep_set(domains_one, "k", "v");
	deep_expect_hit(domains_one, "k", "v");
	item.key.server = "elsewhere:1";
	options.alias = "another:1=x, elsewhere:1 = cache:11211";
	aliased = deep_with(&options);
	redis_ops.get(aliased, &batch);
	assert_int_equal(item.answer, LAYER_HIT);
	free(item.value);
	deep_flush(domains_one);
	item.answer = LAYER_MISS;
	batch.n_hits = 0;
	redis_ops.get(aliased, &batch);
	assert_int_equal(item.answer, LAYER_MISS);
	redis_ops.close(&aliased);
}

int main(void)
{
#define SEVERAL(name) cmocka_unit_test_setup_teardown(name, domains_setup, domains_teardown)
#define APART(name) cmocka_unit_test_setup_teardown(name, domains_setup_apart, domains_teardown)
#define SHORT(name) cmocka_unit_test_setup_teardown(name, domains_setup_short, domains_teardown)
	const struct CMUnitTest tests[] = {
		APART(test_second_domain__makes_them_several_before_it_writes),
		APART(test_second_domain__reads_what_the_first_has_written),
		APART(test_script_when_the_second_has_come__does_nothing),
		APART(test_set_when_the_second_has_come__counts_if_the_mark_is_its_own),
		APART(test_simple_mark__comes_before_the_question_who_writes),
		APART(test_value_of_the_first__is_minded_for_as_long_as_a_mark),
		APART(test_mark_when_the_second_has_come__is_not_clean),
		APART(test_put_back_when_the_second_has_come__may_not_stay),
		APART(test_who_looks_on__changes_nothing),
		APART(test_writers_several__are_it_at_once),
		APART(test_alias__is_one_server_for_both),
		SEVERAL(test_hits_of_several__stay_below),
		SEVERAL(test_flush__stays_with_several),
		SEVERAL(test_lost_generation__is_begun_for_several),
		SHORT(test_silent_domain__is_no_longer_minded),
		SHORT(test_only_domain_that_was_silent__learns_before_it_writes),
		SHORT(test_domains_that_write__are_minded),
		SHORT(test_list_of_domains_lost__nobody_is_forgotten_sooner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
