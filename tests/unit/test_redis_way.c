/* Does giving way stop where it brings nothing, or costs others' time slices? */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "layers/redis_way.h"

#define STEP_NS (10 * INT64_C(1000))

/* So many exchanges, an answer in all but each `vain_every`th; how often way was given. */
static unsigned exchanges(struct redis_way *way, unsigned n, unsigned vain_every, int64_t took_ns,
			  int64_t *now_ns)
{
	unsigned given = 0;

	for (unsigned i = 1; i <= n; i++) {
		if (redis_way_pays(way, *now_ns)) {
			given++;
			redis_way_given(way, vain_every == 0 || i % vain_every != 0, *now_ns,
					*now_ns + took_ns);
		}
		*now_ns += STEP_NS + took_ns;
	}
	return given;
}

static void test_redis_beside_us__is_given_way_for_ever(void **state)
{
	struct redis_way way = { 0 };
	int64_t now = CLOCK_NS_PER_S;

	assert_int_equal(exchanges(&way, 10000, 0, STEP_NS, &now), 10000);
	assert_int_equal(exchanges(&way, 10000, 10, STEP_NS, &now), 10000);
}

static void test_redis_elsewhere__is_tried_once_a_second(void **state)
{
	struct redis_way way = { 0 };
	int64_t now = CLOCK_NS_PER_S;

	/* Two seconds of it. */
	assert_in_range(exchanges(&way, 100000, 1, STEP_NS, &now), 2, 12);
	assert_in_range(exchanges(&way, 100000, 1, STEP_NS, &now), 1, 3);
}

static void test_busy_processor__costs_one_slice_a_second(void **state)
{
	struct redis_way way = { 0 };
	int64_t now = CLOCK_NS_PER_S;

	assert_int_equal(exchanges(&way, 100, 0, 3 * CLOCK_NS_PER_MS, &now), 1);
}

static void test_redis_that_came_beside_us__is_given_way_again(void **state)
{
	struct redis_way way = { 0 };
	int64_t now = CLOCK_NS_PER_S;

	exchanges(&way, 1000, 1, STEP_NS, &now);
	now += 2 * CLOCK_NS_PER_S;
	assert_int_equal(exchanges(&way, 1000, 0, STEP_NS, &now), 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_redis_beside_us__is_given_way_for_ever),
		cmocka_unit_test(test_redis_elsewhere__is_tried_once_a_second),
		cmocka_unit_test(test_busy_processor__costs_one_slice_a_second),
		cmocka_unit_test(test_redis_that_came_beside_us__is_given_way_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
