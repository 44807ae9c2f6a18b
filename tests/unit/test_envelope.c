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
#define BODY_MAX 4096

static const char key[] = "tower:1:{a:11211}:7:r:key";
static const struct envelope_name name = { key, sizeof(key) - 1, 0x0123456789abcdef };

/* A body of segments, each "k" for its kind and then its bytes, NULL ends. */
static size_t seal(const char *const *segments, uint8_t ret_body[BODY_MAX])
{
	size_t at = 0;

	for (; *segments; segments++) {
		size_t n = strlen(*segments + 1);

		envelope_encode((enum envelope_kind)(*segments)[0], &name, *segments + 1,
				(uint32_t)n, ret_body + at);
		memcpy(ret_body + at + ENVELOPE_HEADER_BYTES, *segments + 1, n);
		at += ENVELOPE_HEADER_BYTES + n;
	}
	return at;
}

/* In memory of exactly that size, so that a sanitizer sees every step beyond. */
static enum envelope_status check(const uint8_t *body, size_t n, uint32_t segments, uint32_t length)
{
	uint8_t *exact = malloc(n ? n : 1);
	enum envelope_status status;

	assert_non_null(exact);
	memcpy(exact, body, n);
	status = envelope_check(exact, n, &name, segments, length);
	if (status == ENVELOPE_OK) {
		char *value = malloc(length ? length : 1);

		assert_non_null(value);
		envelope_decode(exact, n, value);
		free(value);
	}
	free(exact);
	return status;
}

static void test_one_segment__gives_everything_back(void **state)
{
	static const char value[] = "a\0b\xff";
	uint8_t body[BODY_MAX];
	char found[sizeof(value)];

	envelope_encode(ENVELOPE_WHOLE, &name, value, sizeof(value), body);
	memcpy(body + ENVELOPE_HEADER_BYTES, value, sizeof(value));
	assert_int_equal(check(body, ENVELOPE_HEADER_BYTES + sizeof(value), 1, sizeof(value)),
			 ENVELOPE_OK);
	envelope_decode(body, ENVELOPE_HEADER_BYTES + sizeof(value), found);
	assert_memory_equal(found, value, sizeof(value));
}

static void test_segments_before_and_after__stand_in_their_order(void **state)
{
	static const char *const segments[] = { "=mid", "+1", "-2", "+", "-34", "+56", NULL };
	uint8_t body[BODY_MAX];
	size_t n = seal(segments, body);
	char value[9];

	assert_int_equal(check(body, n, 6, 9), ENVELOPE_OK);
	envelope_decode(body, n, value);
	assert_memory_equal(value, "342mid156", 9);
}

static void test_empty_value__is_a_value(void **state)
{
	static const char *const segments[] = { "=", NULL };
	uint8_t body[BODY_MAX];

	assert_int_equal(check(body, seal(segments, body), 1, 0), ENVELOPE_OK);
}

/* A format that other programs and other hosts read: it changes with its magic only. */
static void test_layout__is_fixed(void **state)
{
	static const uint8_t expected[] = { 'T', 'W', 'R', '=', 2, 0, 0, 0 };
	uint8_t header[ENVELOPE_HEADER_BYTES];

	envelope_encode(ENVELOPE_WHOLE, &name, "ab", 2, header);
	assert_memory_equal(header, expected, sizeof(expected));
}

static void test_other_counts__are_refused(void **state)
{
	static const char *const segments[] = { "=ab", "+c", NULL };
	uint8_t body[BODY_MAX];
	size_t n = seal(segments, body);

	assert_int_equal(check(body, n, 2, 3), ENVELOPE_OK);
	assert_int_not_equal(check(body, n, 1, 3), ENVELOPE_OK);
	assert_int_not_equal(check(body, n, 3, 3), ENVELOPE_OK);
	assert_int_not_equal(check(body, n, 2, 2), ENVELOPE_OK);
	assert_int_not_equal(check(body, n, 0, 0), ENVELOPE_OK);
	assert_int_not_equal(check(body, 0, 1, 0), ENVELOPE_OK);
}

static void test_other_order__is_refused(void **state)
{
	static const char *const two[] = { "=a", "=b", NULL };
	static const char *const none[] = { "+a", NULL };
	uint8_t body[BODY_MAX];
	size_t n = seal(two, body);

	assert_int_equal(check(body, n, 2, 2), ENVELOPE_FOREIGN);
	n = seal(none, body);
	assert_int_equal(check(body, n, 1, 1), ENVELOPE_FOREIGN);
}

static void test_other_name__is_refused(void **state)
{
	static const char *const segments[] = { "=ab", NULL };
	uint8_t body[BODY_MAX];
	size_t n = seal(segments, body);
	struct envelope_name other = name;

	other.token++;
	assert_int_equal(envelope_check(body, n, &other, 1, 2), ENVELOPE_DAMAGED);
	other = name;
	other.n_key--;
	assert_int_equal(envelope_check(body, n, &other, 1, 2), ENVELOPE_DAMAGED);
}

static void test_every_flipped_bit_and_every_cut__is_refused(void **state)
{
	static const char *const segments[] = { "=value", "+more", NULL };
	uint8_t body[BODY_MAX];
	size_t n = seal(segments, body);

	for (size_t i = 0; i < n * 8; i++) {
		body[i / 8] ^= (uint8_t)(1 << (i % 8));
		assert_int_not_equal(check(body, n, 2, 9), ENVELOPE_OK);
		body[i / 8] ^= (uint8_t)(1 << (i % 8));
	}
	for (size_t cut = 0; cut < n; cut++) {
		assert_int_not_equal(check(body, cut, 2, 9), ENVELOPE_OK);
	}
}

static uint32_t next(uint32_t *random)
{
	*random = *random * 1664525u + 1013904223u;
	return *random >> 8;
}

static void test_noise__is_refused(void **state)
{
	uint8_t bytes[64];
	uint32_t random = 1;
	time_t until = time(NULL) + FUZZ_LIMIT_S;

	for (int round = 0; round < FUZZ_ROUNDS && time(NULL) < until; round++) {
		size_t n = next(&random) % (sizeof(bytes) + 1);

		for (size_t i = 0; i < n; i++) {
			bytes[i] = (uint8_t)next(&random);
		}
		if (n >= 4 && round % 2) {
			memcpy(bytes, "TWR=", 4);
		}
		assert_int_not_equal(check(bytes, n, 1 + next(&random) % 3, next(&random) % 64),
				     ENVELOPE_OK);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_segment__gives_everything_back),
		cmocka_unit_test(test_segments_before_and_after__stand_in_their_order),
		cmocka_unit_test(test_empty_value__is_a_value),
		cmocka_unit_test(test_layout__is_fixed),
		cmocka_unit_test(test_other_counts__are_refused),
		cmocka_unit_test(test_other_order__is_refused),
		cmocka_unit_test(test_other_name__is_refused),
		cmocka_unit_test(test_every_flipped_bit_and_every_cut__is_refused),
		cmocka_unit_test(test_noise__is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
