/* Does the table of slots know when keys end, and never too late? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <stdint.h>

#include "base/clock.h"
#include "core/slots.h"

#define S CLOCK_NS_PER_S
#define KEYS 12

static struct slots *slots;
static int64_t now_s;

static int set_up(void **state)
{
	const struct slots_options options = { .n = 4, .group = SHM_NO_GROUP };
	const char *why;

	now_s = 1000;
	clock_fake(now_s * S, 1);
	slots = slots_open(&options, &why);
	return slots ? 0 : -1;
}

static int tear_down(void **state)
{
	slots_close(&slots);
	clock_fake(0, 0);
	return 0;
}

static void pass(int64_t seconds)
{
	now_s += seconds;
	clock_fake(now_s * S, 1);
}

/* Keys of one slot that differ in what tells keys of a slot apart. */
static uint64_t key_of_slot(unsigned slot, unsigned key)
{
	return (uint64_t)(key + 1) << 40 | slot;
}

static void test_unknown_key__never_ends(void **state)
{
	assert_true(slots_end(slots, key_of_slot(1, 0)) == CLOCK_NEVER);
}

static void test_single_key__ends_when_said(void **state)
{
	for (int64_t s = 1; s < 200; s++) {
		slots_note_end(slots, key_of_slot(1, 0), (now_s + s) * S, false);
		assert_true(slots_end(slots, key_of_slot(1, 0)) == (now_s + s) * S);
	}
}

static void test_part_of_a_second__is_not_added(void **state)
{
	slots_note_end(slots, key_of_slot(1, 0), (now_s + 2) * S + S / 2, false);
	assert_true(slots_end(slots, key_of_slot(1, 0)) <= (now_s + 2) * S + S / 2);
	assert_true(slots_end(slots, key_of_slot(1, 0)) >= (now_s + 2) * S);
}

static void test_single_key_that_never_ends_any_more__is_known(void **state)
{
	slots_note_end(slots, key_of_slot(1, 0), (now_s + 5) * S, false);
	slots_note_end(slots, key_of_slot(1, 0), CLOCK_NEVER, false);
	assert_true(slots_end(slots, key_of_slot(1, 0)) == CLOCK_NEVER);
}

static void test_end_that_may_be_kept__is_the_earlier_one(void **state)
{
	slots_note_end(slots, key_of_slot(1, 0), (now_s + 5) * S, false);
	slots_note_end(slots, key_of_slot(1, 0), (now_s + 9) * S, true);
	assert_true(slots_end(slots, key_of_slot(1, 0)) == (now_s + 5) * S);
	slots_note_end(slots, key_of_slot(1, 0), CLOCK_NEVER, true);
	assert_true(slots_end(slots, key_of_slot(1, 0)) == (now_s + 5) * S);
	slots_note_end(slots, key_of_slot(1, 0), (now_s + 3) * S, true);
	assert_true(slots_end(slots, key_of_slot(1, 0)) == (now_s + 3) * S);
}

static void test_another_slot__is_not_meant(void **state)
{
	slots_note_end(slots, key_of_slot(1, 0), (now_s + 5) * S, false);
	assert_true(slots_end(slots, key_of_slot(2, 0)) == CLOCK_NEVER);
}

static void test_two_keys_of_a_slot__both_end_in_time(void **state)
{
	slots_note_end(slots, key_of_slot(1, 0), (now_s + 50) * S, false);
	slots_note_end(slots, key_of_slot(1, 1), (now_s + 2) * S, false);
	assert_true(slots_end(slots, key_of_slot(1, 0)) <= (now_s + 50) * S);
	assert_true(slots_end(slots, key_of_slot(1, 1)) == (now_s + 2) * S);
}

static void test_far_end__is_not_forgotten_when_it_comes_near(void **state)
{
	slots_note_end(slots, key_of_slot(1, 0), (now_s + 10000) * S, false);
	slots_note_end(slots, key_of_slot(1, 1), (now_s + 5000) * S, false);
	for (int i = 0; i < 4999; i++) {
		pass(1);
		assert_true(slots_end(slots, key_of_slot(1, 1)) <= INT64_C(6000) * S);
		assert_true(slots_end(slots, key_of_slot(1, 0)) <= INT64_C(11000) * S);
	}
}

static void test_ended_keys__stand_in_nobodys_way(void **state)
{
	for (unsigned key = 0; key < KEYS; key++) {
		slots_note_end(slots, key_of_slot(1, key), (now_s + 1 + key) * S, false);
	}
	pass(100);
	assert_true(slots_end(slots, key_of_slot(1, KEYS)) == CLOCK_NEVER);
	slots_note_end(slots, key_of_slot(1, KEYS), (now_s + 70) * S, false);
	assert_true(slots_end(slots, key_of_slot(1, KEYS)) == (now_s + 70) * S);
}

/*
 * Keys that share a slot for days must not wear it out: what has ended long ago
 * ends no copy now.
 */
static void test_long_life_of_a_shared_slot__does_not_end_copies_at_once(void **state)
{
	for (int i = 0; i < 200; i++) {
		slots_note_end(slots, key_of_slot(1, 0), (now_s + 7) * S, false);
		slots_note_end(slots, key_of_slot(1, 1), (now_s + 5) * S, false);
		pass(101);
	}
	slots_note_end(slots, key_of_slot(1, 0), (now_s + 30) * S, false);
	slots_note_end(slots, key_of_slot(1, 1), (now_s + 25) * S, false);
	assert_true(slots_end(slots, key_of_slot(1, 0)) >= (now_s + 25) * S);
}

static void test_absurd_ends__are_survived(void **state)
{
	const int64_t ends[] = { 0, 1, -1, INT64_MIN, CLOCK_NEVER - 1, INT64_C(1) << 62, S - 1 };

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		slots_note_end(slots, key_of_slot(1, 0), ends[i], false);
		slots_note_end(slots, key_of_slot(1, 1), ends[i], true);
		slots_end(slots, key_of_slot(1, 0));
		slots_end(slots, key_of_slot(1, 1));
	}
	slots_note_end(slots, UINT64_MAX, (now_s + 4) * S, false);
	assert_true(slots_end(slots, UINT64_MAX) <= (now_s + 4) * S);
	slots_note_end(slots, 0, (now_s + 4) * S, false);
	assert_true(slots_end(slots, 0) <= (now_s + 4) * S);
}

/* One that should have ended already may be taken for ended, not for endless. */
static void test_end_in_the_past__is_not_never(void **state)
{
	slots_note_end(slots, key_of_slot(1, 0), (now_s - 3) * S, false);
	assert_true(slots_end(slots, key_of_slot(1, 0)) <= now_s * S);
	slots_note_end(slots, key_of_slot(1, 1), 0, false);
	assert_true(slots_end(slots, key_of_slot(1, 1)) <= now_s * S);
}

/* --- against a naive map --- */

/* Ends as memcached would have them; those that may be either are the earlier one. */
static int64_t model[4][KEYS];

static unsigned random_below(unsigned n)
{
	static uint64_t random = 88172645463325252U;

	random ^= random << 13;
	random ^= random >> 7;
	random ^= random << 17;
	return (unsigned)(random >> 33) % n;
}

static void write_at_random(unsigned slot, unsigned key)
{
	static const unsigned spans[] = { 3, 70, 200, 100000 };
	bool also = random_below(8) == 0;
	int64_t end = CLOCK_NEVER;
	int64_t *known = &model[slot][key];

	if (random_below(4)) {
		end = now_s * S + (1 + random_below(spans[random_below(4)])) * S +
		      random_below((unsigned)S);
	}
	slots_note_end(slots, key_of_slot(slot, key), end, also);
	/* What has ended is not known any more, and whatever ends next is new. */
	if (!also || end < *known || *known <= now_s * S) {
		*known = end;
	}
}

static void test_random_writes__never_end_later_than_memcached(void **state)
{
	for (size_t i = 0; i < 4 * KEYS; i++) {
		model[i / KEYS][i % KEYS] = CLOCK_NEVER;
	}
	for (int i = 0; i < 200000; i++) {
		unsigned slot = random_below(4);
		unsigned key = random_below(KEYS);

		if (random_below(3) == 0) {
			write_at_random(slot, key);
		}
		if (random_below(20) == 0) {
			pass(random_below(10) ? 1 : random_below(300));
		}
		if (model[slot][key] > now_s * S) {
			assert_true(slots_end(slots, key_of_slot(slot, key)) <= model[slot][key]);
		}
	}
}

static void test_random_writes_of_one_key_per_slot__end_exactly(void **state)
{
	int64_t end[4] = { CLOCK_NEVER, CLOCK_NEVER, CLOCK_NEVER, CLOCK_NEVER };

	for (int i = 0; i < 100000; i++) {
		unsigned slot = random_below(4);

		if (random_below(3) == 0) {
			end[slot] =
				random_below(4)
					? (now_s + 1 + random_below(random_below(2) ? 9 : 9999)) * S
					: CLOCK_NEVER;
			slots_note_end(slots, key_of_slot(slot, 0), end[slot], false);
		}
		if (random_below(20) == 0) {
			pass(random_below(5));
		}
		if (end[slot] > now_s * S) {
			assert_true(slots_end(slots, key_of_slot(slot, 0)) == end[slot]);
		}
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void test_note__says_which_end_it_replaced(void **state)
{
	uint64_t key = key_of_slot(1, 0);

	assert_int_equal(slots_note_end(slots, key, (now_s + 60) * S, false), CLOCK_NEVER);
	assert_int_equal(slots_note_end(slots, key, (now_s + 2) * S, false), (now_s + 60) * S);
	assert_int_equal(slots_note_end(slots, key, (now_s + 60) * S, false), (now_s + 2) * S);
	/* As a writer does it that finds that it was not alone. */
	assert_int_equal(slots_note_end(slots, key, (now_s + 2) * S, true), CLOCK_NEVER);
	assert_int_equal(slots_end(slots, key), (now_s + 2) * S);
	assert_int_equal(slots_note_end(slots, key, CLOCK_NEVER, false), (now_s + 2) * S);
	assert_int_equal(slots_note_end(slots, key, (now_s + 2) * S, true), CLOCK_NEVER);
	assert_true(slots_end(slots, key) <= (now_s + 2) * S);
	assert_int_equal(slots_note_end(slots, key_of_slot(2, 1), CLOCK_NEVER, false), CLOCK_NEVER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_unknown_key__never_ends),
		TEST(test_single_key__ends_when_said),
		TEST(test_note__says_which_end_it_replaced),
		TEST(test_part_of_a_second__is_not_added),
		TEST(test_single_key_that_never_ends_any_more__is_known),
		TEST(test_end_that_may_be_kept__is_the_earlier_one),
		TEST(test_another_slot__is_not_meant),
		TEST(test_two_keys_of_a_slot__both_end_in_time),
		TEST(test_far_end__is_not_forgotten_when_it_comes_near),
		TEST(test_ended_keys__stand_in_nobodys_way),
		TEST(test_long_life_of_a_shared_slot__does_not_end_copies_at_once),
		TEST(test_absurd_ends__are_survived),
		TEST(test_end_in_the_past__is_not_never),
		TEST(test_random_writes__never_end_later_than_memcached),
		TEST(test_random_writes_of_one_key_per_slot__end_exactly),
	};

	return cmocka_run_group_tests_name("slots_ends", tests, NULL, NULL);
}
