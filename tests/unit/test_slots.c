/* Does the table of slots tell writes and readers apart? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/clock.h"
#include "core/slots.h"
#include "layers/layer.h"

static struct slots *open_private(size_t n)
{
	const struct slots_options options = { .n = n, .group = SHM_NO_GROUP };
	const char *why;

	return slots_open(&options, &why);
}

static void test_quiet_slot__keeps_its_token(void **state)
{
	struct slots *slots = open_private(16);
	uint64_t token = slots_load(slots, 3);

	assert_true(token != LAYER_SLOT_BUSY);
	assert_true(slots_load(slots, 3) == token);
	slots_close(&slots);
	assert_null(slots);
}

static void test_write_in_flight__makes_the_slot_busy(void **state)
{
	struct slots *slots = open_private(16);
	uint64_t before = slots_load(slots, 3);
	struct slots_ticket ticket;

	slots_enter(slots, 3, CLOCK_NEVER, &ticket);
	assert_true(slots_load(slots, 3) == LAYER_SLOT_BUSY);
	assert_true(slots_load(slots, 4) != LAYER_SLOT_BUSY);
	slots_leave(slots, &ticket);
	assert_true(slots_load(slots, 3) != LAYER_SLOT_BUSY);
	assert_true(slots_load(slots, 3) != before);
	slots_close(&slots);
}

static void test_writer_alone__may_keep_its_value(void **state)
{
	struct slots *slots = open_private(16);
	struct slots_ticket ticket;
	uint64_t token;

	slots_enter(slots, 3, CLOCK_NEVER, &ticket);
	token = slots_leave(slots, &ticket);
	assert_true(token != LAYER_SLOT_BUSY);
	assert_true(slots_load(slots, 3) == token);
	slots_close(&slots);
}

static void test_overlapping_writers__keep_nothing(void **state)
{
	struct slots *slots = open_private(16);
	struct slots_ticket first;
	struct slots_ticket second;

	slots_enter(slots, 3, CLOCK_NEVER, &first);
	slots_enter(slots, 3, CLOCK_NEVER, &second);
	assert_true(slots_leave(slots, &first) == LAYER_SLOT_BUSY);
	assert_true(slots_load(slots, 3) == LAYER_SLOT_BUSY);
	assert_true(slots_leave(slots, &second) == LAYER_SLOT_BUSY);
	assert_true(slots_load(slots, 3) != LAYER_SLOT_BUSY);
	slots_close(&slots);
}

static void test_writer_that_came_and_went__is_noticed(void **state)
{
	struct slots *slots = open_private(16);
	struct slots_ticket first;
	struct slots_ticket second;

	slots_enter(slots, 3, CLOCK_NEVER, &first);
	slots_enter(slots, 3, CLOCK_NEVER, &second);
	slots_leave(slots, &second);
	assert_true(slots_leave(slots, &first) == LAYER_SLOT_BUSY);
	slots_close(&slots);
}

static void test_flush__changes_every_token(void **state)
{
	struct slots *slots = open_private(16);
	uint64_t before = slots_load(slots, 3);

	slots_flush(slots);
	assert_true(slots_load(slots, 3) != before);
	slots_close(&slots);
}

static void test_flush_later__is_busy_around_its_time(void **state)
{
	struct slots *slots = open_private(16);
	uint64_t before;

	clock_fake(1000, 1);
	before = slots_load(slots, 3);
	slots_flush_later(slots, 2000, 3000);
	assert_true(slots_flush_pending(slots));
	assert_true(slots_load(slots, 3) == before);
	assert_false(slots_flush_due(slots));
	clock_fake(2000, 1);
	assert_true(slots_load(slots, 3) == LAYER_SLOT_BUSY);
	assert_false(slots_flush_due(slots));
	clock_fake(3000, 1);
	assert_true(slots_load(slots, 3) == LAYER_SLOT_BUSY);
	assert_true(slots_flush_due(slots));
	slots_flush(slots);
	slots_flush_done(slots);
	assert_false(slots_flush_due(slots));
	assert_false(slots_flush_pending(slots));
	assert_true(slots_load(slots, 3) != LAYER_SLOT_BUSY);
	assert_true(slots_load(slots, 3) != before);
	clock_fake(0, 0);
	slots_close(&slots);
}

static void test_two_flushes_later__cover_both_spans(void **state)
{
	struct slots *slots = open_private(16);

	clock_fake(1000, 1);
	slots_flush_later(slots, 4000, 5000);
	slots_flush_later(slots, 2000, 3000);
	clock_fake(3500, 1);
	assert_true(slots_load(slots, 3) == LAYER_SLOT_BUSY);
	assert_false(slots_flush_due(slots));
	clock_fake(5000, 1);
	assert_true(slots_flush_due(slots));
	clock_fake(0, 0);
	slots_close(&slots);
}

static void test_absurd_sizes__are_bounded(void **state)
{
	struct slots *slots = open_private(0);

	assert_non_null(slots);
	assert_true(slots_load(slots, UINT64_MAX) != LAYER_SLOT_BUSY);
	slots_close(&slots);
	slots_close(&slots);
}

/*
 * memcached is a variable here: writers change it between enter and leave,
 * readers keep copies under the token that they loaded before.  What a reader
 * gets from its copy must not be older than what was acknowledged before it began.
 */
static struct slots *shared;
static _Atomic uint64_t value;
static _Atomic uint64_t acknowledged;
static _Atomic unsigned stale;

static void *write_on(void *arg)
{
	for (int i = 0; i < 30000; i++) {
		struct slots_ticket ticket;
		uint64_t mine;
		uint64_t seen;

		slots_enter(shared, 1, CLOCK_NEVER, &ticket);
		mine = atomic_fetch_add(&value, 1) + 1;
		slots_leave(shared, &ticket);
		seen = atomic_load(&acknowledged);
		while (seen < mine && !atomic_compare_exchange_weak(&acknowledged, &seen, mine)) {
		}
	}
	return NULL;
}

static void *read_on(void *arg)
{
	uint64_t copy = 0;
	uint64_t copy_token = LAYER_SLOT_BUSY;

	for (int i = 0; i < 100000; i++) {
		uint64_t least = atomic_load(&acknowledged);
		uint64_t token = slots_load(shared, 1);

		if (token != LAYER_SLOT_BUSY && token == copy_token) {
			if (copy < least) {
				atomic_fetch_add(&stale, 1);
			}
		} else {
			copy = atomic_load(&value);
			copy_token = token;
		}
	}
	return NULL;
}

static void test_readers_beside_writers__never_get_what_is_older_than_acknowledged(void **state)
{
	pthread_t threads[4];

	shared = open_private(2);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(
			pthread_create(&threads[i], NULL, i < 2 ? write_on : read_on, NULL), 0);
	}
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	}
	assert_int_equal(atomic_load(&value), 60000);
	assert_int_equal(atomic_load(&stale), 0);
	slots_close(&shared);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quiet_slot__keeps_its_token),
		cmocka_unit_test(test_write_in_flight__makes_the_slot_busy),
		cmocka_unit_test(test_writer_alone__may_keep_its_value),
		cmocka_unit_test(test_overlapping_writers__keep_nothing),
		cmocka_unit_test(test_writer_that_came_and_went__is_noticed),
		cmocka_unit_test(test_flush__changes_every_token),
		cmocka_unit_test(test_flush_later__is_busy_around_its_time),
		cmocka_unit_test(test_two_flushes_later__cover_both_spans),
		cmocka_unit_test(test_absurd_sizes__are_bounded),
		cmocka_unit_test(
			test_readers_beside_writers__never_get_what_is_older_than_acknowledged),
	};

	return cmocka_run_group_tests_name("slots", tests, NULL, NULL);
}
