/* Are memcached's expiry times understood? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "core/expiry.h"

#define NOW_NS (500 * CLOCK_NS_PER_S)
#define WALL_S INT64_C(1700000000)
#define MONTH_S EXPIRY_RELATIVE_MAX_S

static int start(void **state)
{
	clock_fake(NOW_NS, WALL_S);
	return 0;
}

static int end(void **state)
{
	clock_fake(0, 0);
	return 0;
}

static void test_deadline__follows_the_protocol(void **state)
{
	assert_true(expiry_deadline_ns(0) == CLOCK_NEVER);
	assert_true(expiry_deadline_ns(10) == NOW_NS + 10 * CLOCK_NS_PER_S);
	assert_true(expiry_deadline_ns(MONTH_S) == NOW_NS + MONTH_S * CLOCK_NS_PER_S);
	assert_true(expiry_deadline_ns(WALL_S + 60) == NOW_NS + 60 * CLOCK_NS_PER_S);
}

static void test_deadline_of_what_has_ended__is_in_the_past(void **state)
{
	assert_true(expiry_deadline_ns(-1) <= NOW_NS);
	assert_true(expiry_deadline_ns(INT64_MIN) <= NOW_NS);
	assert_true(expiry_deadline_ns(WALL_S) <= NOW_NS);
	/* One second above 30 days is a date in 1970. */
	assert_true(expiry_deadline_ns(MONTH_S + 1) <= NOW_NS);
}

static void test_deadline_beyond_32_bits__has_ended_for_memcached(void **state)
{
	assert_true(expiry_deadline_ns(INT64_MAX) <= NOW_NS);
	assert_true(expiry_deadline_ns(UINT32_MAX) > NOW_NS);
	assert_true(expiry_deadline_ns(INT32_MAX) > NOW_NS);
}

static void test_cap__shortens_only(void **state)
{
	int64_t hour = 3600 * CLOCK_NS_PER_S;

	assert_true(expiry_cap(0, 0) == 0);
	assert_true(expiry_cap(0, hour) == 3600);
	assert_true(expiry_cap(60, hour) == 60);
	assert_true(expiry_cap(7200, hour) == 3600);
	assert_true(expiry_cap(-1, hour) == -1);
	assert_true(expiry_cap(WALL_S + 60, hour) == WALL_S + 60);
	assert_true(expiry_cap(WALL_S + 7200, hour) == 3600);
}

static void test_cap_above_a_month__is_written_as_a_date(void **state)
{
	int64_t cap = (MONTH_S + 5) * CLOCK_NS_PER_S;

	assert_true(expiry_cap(0, cap) == WALL_S + MONTH_S + 5);
	assert_true(expiry_cap(100, cap) == 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deadline__follows_the_protocol),
		cmocka_unit_test(test_deadline_of_what_has_ended__is_in_the_past),
		cmocka_unit_test(test_deadline_beyond_32_bits__has_ended_for_memcached),
		cmocka_unit_test(test_cap__shortens_only),
		cmocka_unit_test(test_cap_above_a_month__is_written_as_a_date),
	};

	return cmocka_run_group_tests_name("expiry", tests, start, end);
}
