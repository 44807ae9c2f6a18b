/* What does layer "redis" keep of values and writes, and what does it answer? */
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

static void test_set__is_found_with_all_it_has(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);
	struct layer_item item = { .key = deep_key("k"), .answer = LAYER_MISS, .has_cas = true };
	struct layer_batch batch = deep_batch(&item, 1);
	struct layer_write write = deep_write_of(LAYER_SET, "k", "a\0b");
	char text[600];

	deep_expect(layer, "k", LAYER_MISS);
	write.n_value = 3;
	deep_write(layer, &write, true);
	redis_ops.get(layer, &batch);
	assert_int_equal(item.answer, LAYER_HIT);
	assert_int_equal(batch.n_hits, 1);
	assert_int_equal(item.n_value, 3);
	assert_memory_equal(item.value, "a\0b", 4);
	assert_int_equal(item.flags, 0xdeadbeef);
	assert_false(item.has_cas);
	/* Its own expiry is never; Redis lets it go after redis.ttl. */
	assert_true(item.deadline_ns == CLOCK_NEVER);
	snprintf(text, sizeof(text), "PTTL %s", deep_only_record());
	assert_in_range(atoll(deep_command(text) + 1), 3500 * 1000, 3600 * 1000);
	snprintf(text, sizeof(text), "PTTL %s", deep_only_body());
	assert_in_range(atoll(deep_command(text) + 1), 3500 * 1000, 3600 * 1000);
	free(item.value);
	assert_int_equal(deep_counts.hits, 1);
	assert_int_equal(deep_counts.misses, 1);
	assert_int_equal(deep_counts.fills, 1);
	assert_int_equal(deep_counts.errors, 0);
	redis_ops.close(&layer);
	assert_null(layer);
	redis_ops.close(&layer);
}

/* The first byte of the answer. */
static char first_of(const char *command, const char *key)
{
	char text[600];

	snprintf(text, sizeof(text), "%s %s", command, key);
	return strchr(deep_command(text), '\n')[1];
}

static long long life_of_record(void)
{
	char text[600];

	snprintf(text, sizeof(text), "PTTL %s", deep_only_record());
	return atoll(deep_command(text) + 1);
}

/* Its mark is its record; what is too large for that, or lives for ever, gets another. */
static void test_set__needs_no_script(void **state)
{
	static char large[16384 + 1], larger[16384 + 2];
	struct layer *layer = deep_open(DEEP_LONG_NS);
	char text[600];

	deep_set(layer, "k", "v");
	deep_expect_hit(layer, "k", "v");
	assert_int_equal(first_of("GET", deep_only_record()), 'P');
	assert_int_equal(first_of("GET", deep_only_body()), 'V');
	snprintf(text, sizeof(text), "PTTL %s", deep_only_body());
	assert_in_range(life_of_record(), atoll(deep_command(text) + 1) - 1000, 3600 * 1000);
	deep_wrote(layer, LAYER_TOUCH, "k", NULL);
	deep_expect_hit(layer, "k", "v");
	assert_int_equal(first_of("GET", deep_only_record()), 'V');
	assert_int_equal(first_of("GET", deep_only_body()), 'T');
	memset(large, 'x', sizeof(large) - 1);
	memset(larger, 'x', sizeof(larger) - 1);
	deep_set(layer, "k", large);
	deep_expect(layer, "l", LAYER_MISS);
	assert_int_equal(first_of("GET", deep_only_record()), 'P');
	deep_set(layer, "k", larger);
	deep_expect(layer, "l", LAYER_MISS);
	assert_int_equal(first_of("GET", deep_only_record()), 'V');
	redis_ops.close(&layer);
}

/* Nobody will commit it: it need not lie about for an hour. */
static void test_mark_of_what_is_not_awaited__ends_soon(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);
	struct layer_write write = deep_write_of(LAYER_SET, "k", "v");

	write.awaited = false;
	write.outcome = LAYER_UNCERTAIN;
	deep_write(layer, &write, true);
	assert_in_range(life_of_record(), 1, REDIS_MARK_MS);
	redis_ops.close(&layer);
}

/* Refused, never sent, not known, or beside another: nothing lies about for as long as a value. */
static void test_write_that_leaves_no_value__leaves_no_mark_for_long(void **state)
{
	static const struct {
		enum layer_verb verb;
		enum layer_outcome outcome;
		bool alone;
	} cases[] = {
		{ LAYER_REPLACE, LAYER_REFUSED, true }, { LAYER_ADD, LAYER_REFUSED, true },
		{ LAYER_CAS, LAYER_REFUSED, true },	{ LAYER_SET, LAYER_UNSENT, true },
		{ LAYER_SET, LAYER_UNCERTAIN, true },	{ LAYER_SET, LAYER_DONE, false },
	};
	struct layer *layer = deep_open(DEEP_LONG_NS);

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct layer_write write = deep_write_of(cases[i].verb, "k", "v");

		write.outcome = cases[i].outcome;
		deep_write(layer, &write, cases[i].alone);
		/* Over the same connection, so that what was not waited for has happened. */
		deep_expect(layer, "other", LAYER_MISS);
		assert_in_range(life_of_record(), 1, REDIS_MARK_MS);
	}
	deep_set(layer, "k", "v");
	deep_expect_hit(layer, "k", "v");
	redis_ops.close(&layer);
}

static void test_empty_value__is_null(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);
	struct layer_item item = { .key = deep_key("k"), .answer = LAYER_MISS, .value = deep_url };
	struct layer_batch batch = deep_batch(&item, 1);

	deep_set(layer, "k", NULL);
	redis_ops.get(layer, &batch);
	assert_int_equal(item.answer, LAYER_HIT);
	assert_null(item.value);
	assert_int_equal(item.n_value, 0);
	redis_ops.close(&layer);
}

/* Who is asked for, and who is left as he is. */
static void test_only_clean_misses__are_asked(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);
	struct layer_item items[6] = { 0 };
	struct layer_batch batch = deep_batch(items, 6);

	deep_set(layer, "k", "v");
	for (int i = 0; i < 6; i++) {
		items[i].key = deep_key("k");
		items[i].answer = LAYER_MISS;
	}
	items[0].answer = LAYER_DOWN;
	items[1].answer = LAYER_UNASKED;
	items[2].slot = LAYER_SLOT_BUSY;
	items[3].key.private = true;
	items[4].key.server = "cache}:11211";
	redis_ops.get(layer, &batch);
	assert_int_equal(batch.n_hits, 1);
	assert_int_equal(items[0].answer, LAYER_DOWN);
	assert_int_equal(items[1].answer, LAYER_UNASKED);
	assert_int_equal(items[2].answer, LAYER_MISS);
	assert_int_equal(items[3].answer, LAYER_MISS);
	assert_int_equal(items[4].answer, LAYER_MISS);
	assert_int_equal(items[5].answer, LAYER_HIT);
	free(items[5].value);
	redis_ops.close(&layer);
}

#define MANY 1000

static void test_large_batch__answers_each_item_with_its_own(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);
	static struct layer_item items[MANY];
	static char keys[MANY][16];
	struct layer_batch batch = deep_batch(items, MANY);
	size_t n_hits = 0;

	for (int i = 0; i < MANY; i++) {
		snprintf(keys[i], sizeof(keys[i]), "key%d", i);
		items[i] = (struct layer_item){ .key = deep_key(keys[i]), .answer = LAYER_MISS };
		if (i % 7 == 0) {
			items[i].answer = LAYER_DOWN;
		}
		if (i % 3 == 0) {
			deep_set(layer, keys[i], keys[i]);
			n_hits += i % 7 != 0;
		} else {
			/* One that was never written is not asked for. */
			deep_wrote(layer, LAYER_DELETE, keys[i], NULL);
		}
	}
	redis_ops.get(layer, &batch);
	assert_int_equal(batch.n_hits, n_hits);
	/* 64 keys a command, so that others have their turn in between. */
	assert_int_equal(deep_n_reads(deep_server), (MANY - (MANY + 6) / 7 + 63) / 64);
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(items[i].answer, i % 7 == 0   ? LAYER_DOWN
						  : i % 3 == 0 ? LAYER_HIT
							       : LAYER_MISS);
		if (items[i].answer == LAYER_HIT) {
			assert_string_equal(items[i].value, keys[i]);
			free(items[i].value);
		}
	}
	redis_ops.close(&layer);
}

/* One commit that needs them is lost, and no more. */
static void test_forgotten_scripts__are_loaded_again(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);

	deep_set(layer, "k", "v");
	deep_expect_command("SCRIPT FLUSH", "+OK\r\n");
	deep_set(layer, "k", "w");
	deep_expect_hit(layer, "k", "w");
	deep_wrote(layer, LAYER_APPEND, "k", "x");
	deep_expect(layer, "k", LAYER_MISS);
	deep_set(layer, "k", "x");
	deep_wrote(layer, LAYER_APPEND, "k", "y");
	deep_expect_hit(layer, "k", "xy");
	assert_int_equal(deep_counts.errors, 0);
	deep_expect_clean(true);
	redis_ops.close(&layer);
}

static void test_servers_and_keys__do_not_mix(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);
	struct layer_item item = { .key = deep_key("k"), .answer = LAYER_MISS };
	struct layer_batch batch = deep_batch(&item, 1);

	deep_set(layer, "k", "v");
	item.key.server = "other:11211";
	redis_ops.get(layer, &batch);
	assert_int_equal(item.answer, LAYER_MISS);
	deep_expect(layer, "K", LAYER_MISS);
	redis_ops.close(&layer);
}

/*
 * What each write leaves of "old" by its outcome: what a verb makes of "old" and
 * "new", "old" again, or nothing.
 */
static void test_every_verb_and_outcome__leaves_what_it_should(void **state)
{
	static const struct {
		enum layer_verb verb;
		const char *after[5]; /* by outcome */
	} rows[] = {
		{ LAYER_SET, { "new", "old", "", "", "old" } },
		{ LAYER_ADD, { "new", "old", "", "", "old" } },
		{ LAYER_REPLACE, { "new", "old", "", "", "old" } },
		{ LAYER_CAS, { "new", "old", "", "", "old" } },
		{ LAYER_APPEND, { "oldnew", "old", "", "", "old" } },
		{ LAYER_PREPEND, { "newold", "old", "", "", "old" } },
		{ LAYER_DELETE, { "", "", "", "", "old" } },
		{ LAYER_INCREMENT, { "42 ", "old", "", "", "old" } },
		{ LAYER_DECREMENT, { "42 ", "old", "", "", "old" } },
		{ LAYER_TOUCH, { "old", "old", "", "", "old" } },
	};
	static const enum layer_outcome outcomes[] = { LAYER_DONE, LAYER_REFUSED, LAYER_DROPPED,
						       LAYER_UNCERTAIN, LAYER_UNSENT };
	struct layer *layer = deep_open(DEEP_LONG_NS);

	for (size_t row = 0; row < sizeof(rows) / sizeof(*rows); row++) {
		for (int i = 0; i < 5; i++) {
			struct layer_write write = deep_write_of(rows[row].verb, "k", "new");
			char found[64];

			deep_set(layer, "k", "old");
			write.outcome = outcomes[i];
			write.number = 42;
			deep_write(layer, &write, true);
			/* A set that succeeds need not know. */
			assert_int_equal(write.found, row == 0 && outcomes[i] != LAYER_REFUSED &&
								      outcomes[i] != LAYER_UNSENT
							      ? LAYER_FOUND_UNKNOWN
							      : LAYER_FOUND_VALUE);
			deep_get(layer, "k", found);
			assert_string_equal(found, rows[row].after[i]);
			/* Not alone: what it is now nobody knows. */
			deep_set(layer, "k", "old");
			deep_write(layer, &write, false);
			deep_expect(layer, "k", LAYER_MISS);
		}
	}
	deep_expect_clean(true);
	redis_ops.close(&layer);
}

/* Where nothing is known of what was there, nothing can be said of what is there now. */
static void test_change_of_what_is_not_there__leaves_nothing(void **state)
{
	static const enum layer_verb verbs[] = { LAYER_APPEND, LAYER_PREPEND, LAYER_INCREMENT,
						 LAYER_DECREMENT, LAYER_TOUCH };
	struct layer *layer = deep_open(DEEP_LONG_NS);

	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
		struct layer_write write = deep_write_of(verbs[i], "k", "new");

		deep_write(layer, &write, true);
		assert_int_equal(write.found, LAYER_FOUND_NOTHING);
		deep_expect(layer, "k", LAYER_MISS);
	}
	assert_string_equal(deep_command("KEYS *:r:*"), "*0\r\n");
	redis_ops.close(&layer);
}

static void test_counter_that_was_made__is_known(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);
	struct layer_write write = deep_write_of(LAYER_INCREMENT, "k", NULL);

	write.number = 7;
	write.created = true;
	deep_write(layer, &write, true);
	deep_expect_hit(layer, "k", "7");
	redis_ops.close(&layer);
}

static void test_many_appends__are_all_found_in_order(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);
	char expected[64] = "m";

	deep_set(layer, "k", "m");
	for (int i = 0; i < 20; i++) {
		char piece[2] = { (char)('a' + i), 0 };

		deep_wrote(layer, i % 2 ? LAYER_PREPEND : LAYER_APPEND, "k", piece);
		if (i % 2) {
			memmove(expected + 1, expected, strlen(expected) + 1);
			expected[0] = piece[0];
		} else {
			strcat(expected, piece);
		}
		deep_expect_hit(layer, "k", expected);
	}
	redis_ops.close(&layer);
}

/* The touch says when it ends now, flags and bytes stay. */
static void test_touch__moves_the_end(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);
	struct layer_item item = { .key = deep_key("k"), .answer = LAYER_MISS };
	struct layer_batch batch = deep_batch(&item, 1);
	struct layer_write write = deep_write_of(LAYER_TOUCH, "k", NULL);
	char text[600];

	deep_set(layer, "k", "v");
	write.deadline_ns = clock_now_ns() + 100 * CLOCK_NS_PER_S;
	deep_write(layer, &write, true);
	redis_ops.get(layer, &batch);
	assert_int_equal(item.answer, LAYER_HIT);
	assert_int_equal(item.flags, 0xdeadbeef);
	assert_true(item.deadline_ns <= write.deadline_ns);
	assert_true(item.deadline_ns > write.deadline_ns - 5 * CLOCK_NS_PER_S);
	free(item.value);
	snprintf(text, sizeof(text), "PTTL %s", deep_only_body());
	assert_in_range(atoll(deep_command(text) + 1), 90 * 1000, 100 * 1000);
	redis_ops.close(&layer);
}

static void test_value_found__can_be_recalled_and_is_in_force_again(void **state)
{
	static const struct layer_allocator plain = { deep_alloc, deep_free, NULL };
	struct layer *layer = deep_open(DEEP_LONG_NS);
	struct layer_write write = deep_write_of(LAYER_REPLACE, "k", "new");
	struct layer_item item = { .key = deep_key("k") };

	deep_set(layer, "k", "old");
	redis_ops.announce(layer, &write);
	redis_ops.look(layer, &write);
	assert_int_equal(write.found, LAYER_FOUND_VALUE);
	deep_expect_hit(layer, "k", "old");
	redis_ops.mark(layer, &write);
	redis_ops.marked(layer, &write);
	deep_expect(layer, "k", LAYER_MISS);
	assert_true(redis_ops.recall(layer, &write, &plain, &item));
	assert_string_equal(item.value, "old");
	assert_int_equal(item.flags, 0xdeadbeef);
	free(item.value);
	write.alone = true;
	write.outcome = LAYER_REFUSED;
	redis_ops.commit(layer, &write);
	deep_expect_hit(layer, "k", "old");
	redis_ops.close(&layer);
}

/* Two marks: the commit of the first one is under another token, or finds one. */
static void test_commit_of_an_earlier_mark__does_nothing(void **state)
{
	static const enum layer_verb verbs[] = { LAYER_SET, LAYER_APPEND, LAYER_TOUCH, LAYER_DELETE,
						 LAYER_INCREMENT };
	struct layer *layer = deep_open(DEEP_LONG_NS);
	struct layer_write late;

	for (size_t i = 0; i < 2 * sizeof(verbs) / sizeof(*verbs); i++) {
		struct layer_write first = deep_write_of(verbs[i / 2], "k", "first");
		struct layer_write second = deep_write_of(LAYER_SET, "k", "second");
		bool comes_last = i % 2;

		deep_set(layer, "k", "old");
		redis_ops.announce(layer, &first);
		redis_ops.mark(layer, &first);
		redis_ops.marked(layer, &first);
		redis_ops.announce(layer, &second);
		redis_ops.mark(layer, &second);
		redis_ops.marked(layer, &second);
		first.alone = second.alone = true;
		redis_ops.commit(layer, comes_last ? &second : &first);
		if (comes_last) {
			deep_expect_hit(layer, "k", "second");
		} else {
			deep_expect(layer, "k", LAYER_MISS);
		}
		redis_ops.commit(layer, comes_last ? &first : &second);
		if (comes_last && verbs[i / 2] == LAYER_SET) {
			/* It is in the way, but nobody takes it for the second. */
			deep_expect(layer, "k", LAYER_MISS);
		} else {
			deep_expect_hit(layer, "k", "second");
		}
	}
	/* So it is under a record that a script has made. */
	deep_set(layer, "k", "old");
	late = deep_write_of(LAYER_SET, "k", "late");
	redis_ops.announce(layer, &late);
	redis_ops.mark(layer, &late);
	redis_ops.marked(layer, &late);
	deep_wrote(layer, LAYER_SET, "k", "5");
	deep_wrote(layer, LAYER_TOUCH, "k", NULL);
	late.alone = true;
	redis_ops.commit(layer, &late);
	deep_expect(layer, "k", LAYER_MISS);
	assert_int_equal(deep_counts.errors, 0);
	redis_ops.close(&layer);
}

static void test_value_that_may_not_be_kept__is_forgotten(void **state)
{
	struct redis_options options = deep_options(DEEP_LONG_NS);
	struct layer *layer;
	struct layer_write write = deep_write_of(LAYER_SET, "k", "secret");

	options.min_item_bytes = 3;
	options.max_item_bytes = 6;
	layer = deep_with(&options);
	deep_set(layer, "k", "right");
	deep_set(layer, "k", "toolong");
	deep_expect(layer, "k", LAYER_MISS);
	deep_set(layer, "k", "right");
	deep_set(layer, "k", "no");
	deep_expect(layer, "k", LAYER_MISS);
	assert_int_equal(deep_counts.rejected, 2);
	deep_set(layer, "k", "right");
	write.key.private = true;
	deep_write(layer, &write, true);
	deep_expect(layer, "k", LAYER_MISS);
	deep_set(layer, "k", "right");
	write.key.private = false;
	write.deadline_ns = clock_now_ns();
	deep_write(layer, &write, true);
	deep_expect(layer, "k", LAYER_MISS);
	assert_int_equal(deep_counts.invalidated, 4);
	redis_ops.close(&layer);
}

static void test_own_expiry__ends_it(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);
	struct layer_write write = deep_write_of(LAYER_SET, "k", "v");
	int64_t give_up = clock_now_ns() + DEEP_PATIENCE_NS;
	char found[64];

	write.deadline_ns = clock_now_ns() + 100 * CLOCK_NS_PER_MS;
	deep_write(layer, &write, true);
	while (deep_get(layer, "k", found) == LAYER_HIT) {
		assert_true(clock_now_ns() < give_up);
		poll(NULL, 0, 5);
	}
	assert_true(clock_now_ns() > write.deadline_ns - 20 * CLOCK_NS_PER_MS);
	deep_expect(layer, "k", LAYER_MISS);
	redis_ops.close(&layer);
}

static void test_no_ttl__lives_as_long_as_the_program_says(void **state)
{
	struct redis_options options = deep_options(DEEP_LONG_NS);
	struct layer_item item = { .key = deep_key("k"), .answer = LAYER_MISS };
	struct layer_batch batch = deep_batch(&item, 1);
	struct layer *layer;
	char text[600];

	options.ttl_ns = 0;
	layer = deep_with(&options);
	deep_set(layer, "k", "v");
	redis_ops.get(layer, &batch);
	assert_int_equal(item.answer, LAYER_HIT);
	assert_true(item.deadline_ns == CLOCK_NEVER);
	free(item.value);
	snprintf(text, sizeof(text), "PTTL %s", deep_only_record());
	deep_expect_command(text, ":-1\r\n");
	redis_ops.close(&layer);
}

static void test_no_memory_for_a_value__is_down(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);
	struct layer_item items[2] = { { .key = deep_key("k"), .answer = LAYER_MISS },
				       { .key = deep_key("l"), .answer = LAYER_MISS } };
	struct layer_batch batch = deep_batch(items, 2);

	deep_set(layer, "k", "v");
	batch.allocator.owner = &batch; /* makes deep_alloc fail */
	redis_ops.get(layer, &batch);
	assert_int_equal(items[0].answer, LAYER_DOWN);
	assert_int_equal(items[1].answer, LAYER_MISS);
	deep_expect_hit(layer, "k", "v");
	redis_ops.close(&layer);
}

/* Under the mark of its writer, and under a record of its own. */
static void test_damaged_value__is_a_miss_and_an_error(void **state)
{
	static const char *const damages[] = {
		"SETRANGE %b 17 X", "APPEND %b X", "SET %b text", "SETRANGE %r 3 g",
		"SET %r Vtext",	    "APPEND %r 0", "DEL %b",	  "SETRANGE %b 0 S",
	};
	const size_t n_damages = sizeof(damages) / sizeof(*damages);
	struct layer *layer = deep_open(DEEP_LONG_NS);
	char text[1200];

	for (size_t i = 0; i < 2 * n_damages; i++) {
		const char *damage = damages[i % n_damages];
		const char *at = strchr(damage, '%');

		deep_set(layer, "k", "value");
		if (i >= n_damages) {
			deep_wrote(layer, LAYER_TOUCH, "k", NULL);
		}
		deep_expect_hit(layer, "k", "value");
		deep_counts.errors = 0;
		snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - damage), damage,
			 at[1] == 'b' ? deep_only_body() : deep_only_record(), at + 2);
		deep_command(text);
		deep_expect(layer, "k", LAYER_MISS);
		assert_int_equal(deep_counts.errors, strstr(damage, "DEL") ? 0 : 1);
	}
	redis_ops.close(&layer);
}

static void test_value_of_another_key_or_kind__is_a_miss(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);
	char other[512];
	char text[1200];

	deep_set(layer, "k", "value");
	strcpy(other, deep_only_record());
	other[strlen(other) - 1] = 'l';
	snprintf(text, sizeof(text), "RENAME %s %s", deep_only_record(), other);
	deep_expect_command(text, "+OK\r\n");
	deep_expect(layer, "l", LAYER_MISS);
	deep_set(layer, "k", "value");
	snprintf(text, sizeof(text), "DEL %s", other);
	deep_command(text);
	strcpy(other, deep_only_body());
	snprintf(text, sizeof(text), "DEL %s", other);
	deep_command(text);
	snprintf(text, sizeof(text), "RPUSH %s element", other);
	deep_command(text);
	deep_expect(layer, "k", LAYER_MISS);
	/* A mark does not mind, and a commit replaces it. */
	deep_set(layer, "k", "value");
	deep_expect_hit(layer, "k", "value");
	redis_ops.close(&layer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DEEP_TEST(test_set__is_found_with_all_it_has),
		DEEP_TEST(test_set__needs_no_script),
		DEEP_TEST(test_mark_of_what_is_not_awaited__ends_soon),
		DEEP_TEST(test_write_that_leaves_no_value__leaves_no_mark_for_long),
		DEEP_TEST(test_empty_value__is_null),
		DEEP_TEST(test_only_clean_misses__are_asked),
		DEEP_TEST(test_large_batch__answers_each_item_with_its_own),
		DEEP_TEST(test_forgotten_scripts__are_loaded_again),
		DEEP_TEST(test_servers_and_keys__do_not_mix),
		DEEP_TEST(test_every_verb_and_outcome__leaves_what_it_should),
		DEEP_TEST(test_change_of_what_is_not_there__leaves_nothing),
		DEEP_TEST(test_counter_that_was_made__is_known),
		DEEP_TEST(test_many_appends__are_all_found_in_order),
		DEEP_TEST(test_touch__moves_the_end),
		DEEP_TEST(test_value_found__can_be_recalled_and_is_in_force_again),
		DEEP_TEST(test_commit_of_an_earlier_mark__does_nothing),
		DEEP_TEST(test_value_that_may_not_be_kept__is_forgotten),
		DEEP_TEST(test_own_expiry__ends_it),
		DEEP_TEST(test_no_ttl__lives_as_long_as_the_program_says),
		DEEP_TEST(test_no_memory_for_a_value__is_down),
		DEEP_TEST(test_damaged_value__is_a_miss_and_an_error),
		DEEP_TEST(test_value_of_another_key_or_kind__is_a_miss),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
