/* Does the arena give out memory that nobody else has? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <stdint.h>
#include <string.h>

#include "base/arena.h"

static void test_allocations__are_apart_and_aligned(void **state)
{
	struct arena arena = { 0 };
	char *bytes[500];

	for (size_t round = 0; round < 3; round++) {
		for (size_t i = 0; i < 500; i++) {
			bytes[i] = arena_alloc(&arena, i + 1);
			assert_non_null(bytes[i]);
			assert_int_equal((uintptr_t)bytes[i] % sizeof(void *), 0);
			memset(bytes[i], (int)i, i + 1);
		}
		for (size_t i = 0; i < 500; i++) {
			assert_int_equal((unsigned char)bytes[i][0], i & 0xff);
			assert_int_equal((unsigned char)bytes[i][i], i & 0xff);
		}
		arena_reset(&arena);
	}
	arena_done(&arena);
}

static void test_large_allocation__has_a_block_of_its_own(void **state)
{
	struct arena arena = { 0 };
	char *large = arena_alloc(&arena, 10 * ARENA_KEEP_BYTES);
	char *small = arena_alloc(&arena, 10);

	memset(large, 1, 10 * ARENA_KEEP_BYTES);
	memset(small, 2, 10);
	assert_int_equal(large[10 * ARENA_KEEP_BYTES - 1], 1);
	arena_done(&arena);
	assert_null(arena.newest);
}

static void test_absurd_size__is_refused(void **state)
{
	struct arena arena = { 0 };

	assert_null(arena_alloc(&arena, SIZE_MAX));
	assert_null(arena_alloc(&arena, SIZE_MAX - 8));
	arena_done(&arena);
}

static void test_empty_arena__may_be_reset_and_done(void **state)
{
	struct arena arena = { 0 };

	arena_reset(&arena);
	arena_done(&arena);
	arena_done(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_allocations__are_apart_and_aligned),
		cmocka_unit_test(test_large_allocation__has_a_block_of_its_own),
		cmocka_unit_test(test_absurd_size__is_refused),
		cmocka_unit_test(test_empty_arena__may_be_reset_and_done),
	};

	return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
