/* Is a noted key found for as long as Redis may have something of it, and another mostly not? */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/hash.h"
#include "layers/redis_filter.h"

#define TTL_NS (3600 * CLOCK_NS_PER_S)
/* With what is added for clocks and late commits. */
#define TURN_NS (TTL_NS + TTL_NS / 8 + 60 * CLOCK_NS_PER_S)
#define MANY 100000
#define FULL 1000000 /* eight bits each */

static struct redis_filter filter;
static int64_t now_ns;

static void go_on(int64_t ns)
{
	now_ns += ns;
	clock_fake(now_ns, 1);
}

static int setup(void **state)
{
	memset((void *)&filter, 0, sizeof(filter));
	now_ns = 1000 * CLOCK_NS_PER_S;
	go_on(0);
	redis_filter_may_live(&filter, TTL_NS);
	return 0;
}

static int teardown(void **state)
{
	clock_fake(0, 0);
	return 0;
}

static uint64_t hash_of(uint64_t number)
{
	return hash_bytes(&number, sizeof(number));
}

static void note_all(uint64_t first, uint64_t n)
{
	for (uint64_t i = first; i < first + n; i++) {
		redis_filter_note(&filter, hash_of(i));
	}
}

static uint64_t count(uint64_t first, uint64_t n)
{
	uint64_t found = 0;

	for (uint64_t i = first; i < first + n; i++) {
		found += redis_filter_has(&filter, hash_of(i));
	}
	return found;
}

static void test_empty_filter__has_nothing(void **state)
{
	assert_int_equal(count(0, MANY), 0);
}

static void test_noted_keys__are_all_found(void **state)
{
	note_all(0, MANY);
	assert_int_equal(count(0, MANY), MANY);
}

static void test_other_keys__are_mostly_not(void **state)
{
	note_all(0, MANY);
	assert_true(count(MANY, MANY) < MANY / 1000);
	note_all(MANY, FULL - MANY);
	assert_true(count(FULL, MANY) < MANY / 25);
	assert_true(count(FULL, MANY) > 0);
}

static void test_key__is_found_for_a_turn_and_one_more(void **state)
{
	note_all(0, MANY);
	go_on(TURN_NS - 1);
	note_all(MANY, 1);
	assert_int_equal(filter.turn, 0);
	go_on(1);
	note_all(2 * MANY, MANY);
	assert_int_equal(filter.turn, 1);
	assert_int_equal(count(0, MANY), MANY);
	go_on(TURN_NS);
	note_all(3 * MANY, 1);
	assert_int_equal(filter.turn, 2);
	assert_int_equal(count(2 * MANY, MANY), MANY);
	assert_true(count(0, MANY) < MANY / 1000);
	for (int i = 0; i < 10; i++) {
		go_on(TURN_NS);
		note_all(4 * MANY, MANY);
		assert_int_equal(count(4 * MANY, MANY), MANY);
	}
	assert_int_equal(filter.turn, 12);
	assert_true(count(2 * MANY, MANY) < MANY / 1000);
}

static void test_longest_life_of_any_process__counts(void **state)
{
	redis_filter_may_live(&filter, 24 * TTL_NS);
	redis_filter_may_live(&filter, TTL_NS);
	note_all(0, 1);
	go_on(24 * TTL_NS);
	note_all(0, 1);
	assert_int_equal(filter.turn, 0);
	redis_filter_may_live(&filter, 0);
	go_on(INT64_C(1) << 60);
	note_all(0, 1);
	assert_int_equal(filter.turn, 0);
	redis_filter_may_live(&filter, INT64_MAX);
	assert_true(filter.longest_ns == CLOCK_NEVER);
}

/* What is not empty yet must not be written; nothing is lost by that. */
static void test_no_turn_begins__before_the_next_part_is_empty(void **state)
{
	note_all(0, MANY);
	go_on(TURN_NS);
	note_all(MANY, 1);
	/* As if who began turn 1 had been killed. */
	filter.emptied = 0;
	go_on(TURN_NS);
	note_all(2 * MANY, MANY);
	go_on(TURN_NS);
	note_all(3 * MANY, MANY);
	assert_int_equal(filter.turn, 1);
	assert_int_equal(count(0, MANY), MANY);
	assert_int_equal(count(2 * MANY, 2 * MANY), 2 * MANY);
}

/* --- by many at once --- */

#define THREADS 4
#define ROUNDS 20000

static _Atomic int64_t shared_now_ns;
static char lost[] = "a key was lost";

static void *note_and_find(void *arg)
{
	uint64_t base = (uint64_t)(uintptr_t)arg << 32;

	for (uint64_t i = 0; i < ROUNDS; i++) {
		uint64_t before = atomic_load(&filter.turn);

		if (i % 100 == 0) {
			clock_fake(atomic_fetch_add(&shared_now_ns, TURN_NS / 16), 1);
		}
		redis_filter_note(&filter, hash_of(base + i));
		if (!redis_filter_has(&filter, hash_of(base + i)) &&
		    atomic_load(&filter.turn) - before < 2) {
			return lost;
		}
	}
	return NULL;
}

static void test_many_threads__lose_nothing_while_turns_begin(void **state)
{
	pthread_t threads[THREADS];

	atomic_store(&shared_now_ns, now_ns);
	for (uintptr_t i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, note_and_find, (void *)i), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		void *problem;

		pthread_join(threads[i], &problem);
		assert_null(problem);
	}
	assert_true(filter.turn > 10);
}

/* --- how long a turn is --- */

#define SHORT_NS (5 * CLOCK_NS_PER_MS)
#define TURNS 300
#define AT_MOST_S 20

static void *note_on(void *arg)
{
	int64_t end = clock_boot_ns() + AT_MOST_S * CLOCK_NS_PER_S;
	uint64_t i = (uint64_t)(uintptr_t)arg << 32;

	while (atomic_load(&filter.turn) < TURNS && clock_boot_ns() < end) {
		redis_filter_note(&filter, hash_of(i++));
	}
	return NULL;
}

/* Else what was noted in the turn before is forgotten too early. */
static void test_turns__last_as_long_as_anything_lives(void **state)
{
	pthread_t threads[THREADS];
	int64_t began;

	clock_fake(0, 0);
	atomic_store(&filter.longest_ns, SHORT_NS);
	began = clock_boot_ns();
	for (uintptr_t i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, note_on, (void *)i), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
	}
	assert_true(filter.turn > 0);
	assert_true((int64_t)filter.turn * SHORT_NS <= clock_boot_ns() - began);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_empty_filter__has_nothing),
		TEST(test_noted_keys__are_all_found),
		TEST(test_other_keys__are_mostly_not),
		TEST(test_key__is_found_for_a_turn_and_one_more),
		TEST(test_longest_life_of_any_process__counts),
		TEST(test_no_turn_begins__before_the_next_part_is_empty),
		TEST(test_turns__last_as_long_as_anything_lives),
		TEST(test_many_threads__lose_nothing_while_turns_begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
