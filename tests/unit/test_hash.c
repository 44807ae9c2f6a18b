/* Is hash.h right: the same for every process of a host, and for every build? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"

/* Processes with different builds of tower share a table that these numbers index. */
static void test_known_keys__hash_as_ever(void **state)
{
	char thousand[1000];

	(void)state;
	memset(thousand, 'x', sizeof(thousand));
	assert_int_equal(hash_bytes("", 0), UINT64_C(0xb32d971c28860053));
	assert_int_equal(hash_bytes("k", 1), UINT64_C(0x42c4b536e7e94789));
	assert_int_equal(hash_bytes("user:12345", 10), UINT64_C(0x520c5ef2eef32e16));
	assert_int_equal(hash_bytes(thousand, 250), UINT64_C(0xaa895e601aa5b04e));
	assert_int_equal(hash_bytes(thousand, 1000), UINT64_C(0x6eeec3924baf7b60));
}

static void test_unaligned_bytes__hash_the_same(void **state)
{
	static const char key[] = "a key of more than sixteen bytes";
	char moved[sizeof(key) + 8];

	(void)state;
	for (size_t offset = 0; offset < 8; offset++) {
		memcpy(moved + offset, key, sizeof(key));
		assert_int_equal(hash_bytes(moved + offset, sizeof(key)),
				 hash_bytes(key, sizeof(key)));
	}
}

static void test_one_bit_changed__hash_changes(void **state)
{
	char key[250];

	(void)state;
	for (size_t n = 1; n <= sizeof(key); n++) {
		uint64_t before;

		memset(key, 'k', sizeof(key));
		before = hash_bytes(key, n);
		for (size_t i = 0; i < n; i++) {
			key[i] ^= 1;
			assert_int_not_equal(hash_bytes(key, n), before);
			key[i] ^= 1;
		}
	}
}

static void test_no_bytes__null_is_accepted(void **state)
{
	(void)state;
	assert_int_equal(hash_bytes(NULL, 0), hash_bytes("", 0));
	assert_int_equal(hash_more(1, NULL, 0), hash_more(1, "", 0));
}

static void test_zeros__length_counts(void **state)
{
	static const char zeros[64];

	(void)state;
	for (size_t n = 1; n < sizeof(zeros); n++) {
		assert_int_not_equal(hash_bytes(zeros, n), hash_bytes(zeros, n - 1));
	}
}

static void test_more__order_and_cut_matter(void **state)
{
	uint64_t start = hash_bytes("server", 6);

	(void)state;
	assert_int_not_equal(hash_more(hash_more(start, "a", 1), "b", 1),
			     hash_more(hash_more(start, "b", 1), "a", 1));
	assert_int_not_equal(hash_more(hash_more(start, "ab", 2), "c", 1),
			     hash_more(hash_more(start, "a", 1), "bc", 2));
	assert_int_not_equal(hash_more(start, "", 0), start);
}

static void test_mix__order_matters(void **state)
{
	(void)state;
	assert_int_not_equal(hash_mix(1, 2), hash_mix(2, 1));
	assert_int_not_equal(hash_mix(0, 0), 0);
	assert_int_equal(hash_mix(3, 4), hash_mix(3, 4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_keys__hash_as_ever),
		cmocka_unit_test(test_unaligned_bytes__hash_the_same),
		cmocka_unit_test(test_one_bit_changed__hash_changes),
		cmocka_unit_test(test_no_bytes__null_is_accepted),
		cmocka_unit_test(test_zeros__length_counts),
		cmocka_unit_test(test_more__order_and_cut_matter),
		cmocka_unit_test(test_mix__order_matters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
