/* Is what comes out of an envelope what went in, and nothing else ever? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "layers/envelope.h"

#define FUZZ_ROUNDS 200000
#define FUZZ_LIMIT_S 4

static const char key[] = "tower:1:7.0123456789abcdef:{a:11211}:key";

/* Header and value, of exactly so many bytes that a sanitizer sees every step beyond. */
static uint8_t *seal(const char *value, size_t n, uint32_t flags, uint64_t expires_ms)
{
	const struct envelope envelope = {
		.flags = flags,
		.expires_ms = expires_ms,
		.value = (const uint8_t *)value,
		.n_value = (uint32_t)n,
	};
	uint8_t *bytes = malloc(ENVELOPE_HEADER_BYTES + n);

	assert_non_null(bytes);
	envelope_encode(&envelope, key, strlen(key), bytes);
	if (n) {
		memcpy(bytes + ENVELOPE_HEADER_BYTES, value, n);
	}
	return bytes;
}

static enum envelope_status open_it(const uint8_t *bytes, size_t n, struct envelope *ret)
{
	return envelope_decode(bytes, n, key, strlen(key), ret);
}

static void test_round_trip__gives_everything_back(void **state)
{
	static const char value[] = "a\0b\xff";
	uint8_t *bytes = seal(value, sizeof(value), 0xfedcba98u, UINT64_C(0x0123456789abcdef));
	struct envelope out;

	assert_int_equal(open_it(bytes, ENVELOPE_HEADER_BYTES + sizeof(value), &out), ENVELOPE_OK);
	assert_int_equal(out.flags, 0xfedcba98u);
	assert_true(out.expires_ms == UINT64_C(0x0123456789abcdef));
	assert_int_equal(out.n_value, sizeof(value));
	assert_memory_equal(out.value, value, sizeof(value));
	free(bytes);
}

static void test_empty_value__is_a_value(void **state)
{
	uint8_t *bytes = seal(NULL, 0, 1, 0);
	struct envelope out;

	assert_int_equal(open_it(bytes, ENVELOPE_HEADER_BYTES, &out), ENVELOPE_OK);
	assert_int_equal(out.n_value, 0);
	assert_true(out.expires_ms == 0);
	free(bytes);
}

/* The layout is what other hosts, and later versions, read. */
static void test_layout__is_little_endian_and_fixed(void **state)
{
	static const uint8_t expected[24] = { 'T',  'O', 'W', 'R', 1, 0,    0,	  0,
					      0x04, 3,	 2,   1,   5, 0,    0,	  0,
					      0xf0, 0,	 0,   0,   0, 0x0d, 0x0c, 0x0b };
	uint8_t *bytes = seal("hello", 5, 0x01020304, UINT64_C(0x0b0c0d00000000f0));

	assert_memory_equal(bytes, expected, sizeof(expected));
	free(bytes);
}

static void test_checksum__never_changes(void **state)
{
	static const uint8_t expected[8] = { 0x84, 0x16, 0x24, 0x3d, 0x2a, 0x6f, 0xf1, 0x5c };
	uint8_t *bytes = seal("hello", 5, 0x01020304, UINT64_C(0x0b0c0d00000000f0));

	assert_memory_equal(bytes + 24, expected, sizeof(expected));
	free(bytes);
}

static void test_other_key__is_damaged(void **state)
{
	static const char other[] = "tower:1:7.0123456789abcdef:{a:11211}:kez";
	uint8_t *bytes = seal("hello", 5, 0, 0);
	struct envelope out;

	assert_int_equal(
		envelope_decode(bytes, ENVELOPE_HEADER_BYTES + 5, other, strlen(other), &out),
		ENVELOPE_DAMAGED);
	assert_int_equal(
		envelope_decode(bytes, ENVELOPE_HEADER_BYTES + 5, key, strlen(key) - 1, &out),
		ENVELOPE_DAMAGED);
	free(bytes);
}

static void test_any_flipped_bit__is_refused(void **state)
{
	const size_t n = ENVELOPE_HEADER_BYTES + 5;
	uint8_t *bytes = seal("hello", 5, 3, 4);
	struct envelope out;

	for (size_t bit = 0; bit < 8 * n; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		assert_int_not_equal(open_it(bytes, n, &out), ENVELOPE_OK);
		bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
	}
	assert_int_equal(open_it(bytes, n, &out), ENVELOPE_OK);
	free(bytes);
}

static void test_any_other_length__is_refused(void **state)
{
	uint8_t *bytes = seal("hello world", 11, 3, 4);
	struct envelope out = { .flags = 77 };

	for (size_t n = 0; n < ENVELOPE_HEADER_BYTES + 11; n++) {
		uint8_t *cut = malloc(n ? n : 1);

		assert_non_null(cut);
		memcpy(cut, bytes, n);
		assert_int_not_equal(open_it(cut, n, &out), ENVELOPE_OK);
		free(cut);
	}
	assert_int_equal(out.flags, 77);
	free(bytes);
}

static void test_other_format_or_text__is_foreign(void **state)
{
	static const char text[] = "just a string that somebody put there, long enough";
	uint8_t *bytes = seal("hello", 5, 0, 0);
	struct envelope out;

	assert_int_equal(open_it((const uint8_t *)text, sizeof(text), &out), ENVELOPE_FOREIGN);
	assert_int_equal(open_it(NULL, 0, &out), ENVELOPE_FOREIGN);
	bytes[4] = ENVELOPE_FORMAT + 1;
	assert_int_equal(open_it(bytes, ENVELOPE_HEADER_BYTES + 5, &out), ENVELOPE_FOREIGN);
	free(bytes);
}

static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* A few bytes changed, sometimes cut. */
static size_t spoil(uint8_t *bytes, size_t n, uint64_t *seed)
{
	for (uint64_t i = next_random(seed) % 4 + 1; i > 0; i--) {
		bytes[next_random(seed) % n] ^= (uint8_t)(next_random(seed) % 255 + 1);
	}
	return next_random(seed) % 2 ? n : (size_t)(next_random(seed) % (n + 1));
}

static void test_fuzz__refuses_and_survives(void **state)
{
	const time_t give_up = time(NULL) + FUZZ_LIMIT_S;
	uint64_t seed = UINT64_C(0x5eed);
	int opened = 0;

	for (int round = 0; round < FUZZ_ROUNDS && time(NULL) < give_up; round++) {
		char value[64];
		size_t n_value = next_random(&seed) % sizeof(value);
		size_t n = ENVELOPE_HEADER_BYTES + n_value;
		struct envelope out;
		uint8_t *bytes, *spoiled;
		size_t n_spoiled;

		memset(value, (int)(round % 256), sizeof(value));
		bytes = seal(value, n_value, (uint32_t)round, (uint64_t)round);
		spoiled = malloc(n);
		assert_non_null(spoiled);
		memcpy(spoiled, bytes, n);
		n_spoiled = spoil(spoiled, n, &seed);
		if (open_it(spoiled, n_spoiled, &out) == ENVELOPE_OK) {
			/* Two changes of one byte may cancel out. */
			assert_int_equal(n_spoiled, n);
			assert_memory_equal(spoiled, bytes, n);
			opened++;
		}
		free(spoiled);
		free(bytes);
	}
	assert_in_range(opened, 0, FUZZ_ROUNDS / 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip__gives_everything_back),
		cmocka_unit_test(test_empty_value__is_a_value),
		cmocka_unit_test(test_layout__is_little_endian_and_fixed),
		cmocka_unit_test(test_checksum__never_changes),
		cmocka_unit_test(test_other_key__is_damaged),
		cmocka_unit_test(test_any_flipped_bit__is_refused),
		cmocka_unit_test(test_any_other_length__is_refused),
		cmocka_unit_test(test_other_format_or_text__is_foreign),
		cmocka_unit_test(test_fuzz__refuses_and_survives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
