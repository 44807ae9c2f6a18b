/* Is a record believed only where every character of it is what was written? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "layers/redis_record.h"

static const char key[] = "tower:1:{a:1}:7:r:key";
#define N_KEY (sizeof(key) - 1)

static const struct redis_record some = { .token = 0x12,
					  .flags = 0xdeadbeef,
					  .expires_ms = UINT64_C(1700000000123),
					  .ends_ms = 0,
					  .length = 7,
					  .segments = 2 };

static void test_value__comes_back(void **state)
{
	char text[REDIS_RECORD_MAX];
	struct redis_record found;
	size_t n = redis_record_value(&some, key, N_KEY, text);

	assert_true(redis_record_parse(text, n, key, N_KEY, &found));
	assert_true(found.token == some.token && found.flags == some.flags);
	assert_true(found.expires_ms == some.expires_ms && found.ends_ms == 0);
	assert_true(found.length == 7 && found.segments == 2);
}

static void test_widest_value__has_room(void **state)
{
	const struct redis_record widest = { UINT64_MAX, UINT32_MAX,	     UINT64_MAX, UINT64_MAX,
					     UINT32_MAX, REDIS_SEGMENTS_MAX, 0,		 0 };
	char text[REDIS_RECORD_MAX];
	struct redis_record found;
	size_t n = redis_record_value(&widest, key, N_KEY, text);

	assert_true(n < sizeof(text) && n == strlen(text));
	assert_true(redis_record_front(&widest, key, N_KEY, text) < sizeof(text));
	redis_record_value(&widest, key, N_KEY, text);
	assert_true(redis_record_parse(text, n, key, N_KEY, &found));
	assert_true(found.expires_ms == UINT64_MAX && found.length == UINT32_MAX);
}

static void test_mark__is_no_value(void **state)
{
	char text[REDIS_RECORD_MAX];
	struct redis_record found;
	size_t n = redis_record_pending(some.token, text);

	assert_string_equal(text, "P0000000000000012");
	assert_false(redis_record_parse(text, n, key, N_KEY, &found));
}

static void test_mark__says_whose_it_is(void **state)
{
	static const char *const wrong[] = { "",
					     "P",
					     "P000000000000012",
					     "P00000000000000012",
					     "V0000000000000012",
					     "P00000000000000g2",
					     "P00000000 0000012",
					     "P000000000000001F" };
	uint64_t token = 7;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		assert_false(redis_record_parse_pending(wrong[i], strlen(wrong[i]), &token));
	}
	assert_true(token == 7);
	assert_true(redis_record_parse_pending("P00000000000000f2", 17, &token));
	assert_true(token == 0xf2);
}

static void test_front__is_the_record_of_its_token_alone(void **state)
{
	char body[2 * REDIS_RECORD_MAX];
	struct redis_record found;
	size_t n = redis_record_front(&some, key, N_KEY, body);

	strcpy(body + n, "TWR=\n");
	assert_true(redis_record_parse_front(body, n + 5, key, N_KEY, &found));
	assert_int_equal(found.front, n);
	assert_true(found.token == some.token && found.flags == some.flags && found.length == 7);
	assert_true(redis_record_is_marked(&found, some.token));
	assert_false(redis_record_is_marked(&found, some.token + 1));
	assert_true(redis_record_parse_front(body, n, key, N_KEY, &found));
	assert_false(redis_record_parse_front(body, n, "other", 5, &found));
	for (size_t cut = 0; cut < n; cut++) {
		assert_false(redis_record_parse_front(body, cut, key, N_KEY, &found));
	}
	body[3]++;
	assert_false(redis_record_parse_front(body, n, key, N_KEY, &found));
	memset(body, 'V', sizeof(body));
	assert_false(redis_record_parse_front(body, sizeof(body), key, N_KEY, &found));
}

static void test_every_change__is_refused(void **state)
{
	char text[REDIS_RECORD_MAX];
	struct redis_record found;
	size_t n = redis_record_value(&some, key, N_KEY, text);

	for (size_t i = 0; i < n; i++) {
		for (int c = 0; c < 256; c++) {
			char before = text[i];

			text[i] = (char)c;
			assert_true(text[i] == before ||
				    !redis_record_parse(text, n, key, N_KEY, &found));
			text[i] = before;
		}
	}
	for (size_t cut = 0; cut < n; cut++) {
		assert_false(redis_record_parse(text, cut, key, N_KEY, &found));
	}
	strcat(text, "0");
	assert_false(redis_record_parse(text, n + 1, key, N_KEY, &found));
	assert_false(redis_record_parse(text, n, "other", 5, &found));
}

/* As Redis adds it. */
static void test_time_behind_a_value__is_when_it_was_committed(void **state)
{
	static const char *const wrong[] = { " ", " x", " 12x", " -1", " 123456789012345", "1" };
	char text[REDIS_RECORD_MAX], longer[2 * REDIS_RECORD_MAX];
	struct redis_record found;
	size_t n = redis_record_value(&some, key, N_KEY, text);

	assert_true(redis_record_parse(text, n, key, N_KEY, &found));
	assert_int_equal(found.committed_ms, 0);
	n = (size_t)snprintf(longer, sizeof(longer), "%s 1795227565115", text);
	assert_true(redis_record_parse(longer, n, key, N_KEY, &found));
	assert_true(found.committed_ms == 1795227565115 && found.token == some.token);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		n = (size_t)snprintf(longer, sizeof(longer), "%s%s", text, wrong[i]);
		assert_false(redis_record_parse(longer, n, key, N_KEY, &found));
	}
}

static void test_closed__says_until_when(void **state)
{
	static const char *const wrong[] = {
		"", "C", "C1x", "C 1", "C-1", "P1", "C123456789012345"
	};
	uint64_t until = 0;

	assert_true(redis_record_parse_closed("C1795227565115", 14, &until));
	assert_true(until == 1795227565115);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		assert_false(redis_record_parse_closed(wrong[i], strlen(wrong[i]), &until));
	}
}

static void test_long_text__is_refused(void **state)
{
	char text[2 * REDIS_RECORD_MAX];
	struct redis_record found;

	memset(text, '1', sizeof(text));
	text[0] = 'V';
	assert_false(redis_record_parse(text, sizeof(text), key, N_KEY, &found));
}

static void test_tokens__are_all_others(void **state)
{
	uint64_t seen[64];

	for (size_t i = 0; i < 64; i++) {
		seen[i] = redis_record_token();
		assert_true(seen[i] != 0);
		for (size_t j = 0; j < i; j++) {
			assert_true(seen[j] != seen[i]);
		}
	}
	/* A child's are not those that its parent goes on with. */
	redis_record_child();
	assert_true(redis_record_token() != redis_record_token());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_value__comes_back),
		cmocka_unit_test(test_widest_value__has_room),
		cmocka_unit_test(test_mark__is_no_value),
		cmocka_unit_test(test_mark__says_whose_it_is),
		cmocka_unit_test(test_front__is_the_record_of_its_token_alone),
		cmocka_unit_test(test_every_change__is_refused),
		cmocka_unit_test(test_time_behind_a_value__is_when_it_was_committed),
		cmocka_unit_test(test_closed__says_until_when),
		cmocka_unit_test(test_long_text__is_refused),
		cmocka_unit_test(test_tokens__are_all_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
