/* Does a connection survive whatever the other side does, and in time? */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/lib/script.h"

#define SHORT_NS (50 * CLOCK_NS_PER_MS)
#define FUZZ_ROUNDS 20000
#define FUZZ_LIMIT_NS (4 * CLOCK_NS_PER_S)

static void test_half_a_reply__times_out(void **state)
{
	static const char *const halves[] = {
		"", "+", "+OK", "+OK\r", "$5\r\n", "$5\r\nhe", "*2\r\n$1\r\na\r\n"
	};

	for (size_t i = 0; i < sizeof(halves) / sizeof(*halves); i++) {
		struct script script = { .bytes = halves[i], .n = strlen(halves[i]) };
		struct script_seen seen = { .n = 0 };

		assert_int_equal(script_talk(script, 1, SHORT_NS, &seen), REDIS_WIRE_TIMEOUT);
		assert_true(seen.took_ns < 20 * SHORT_NS);
	}
}

static void test_dripping__does_not_extend_the_deadline(void **state)
{
	/* Always something to read, and never all that was asked for. */
	struct script script = SCRIPT_SAYS("$-1\r\n");
	struct script_seen seen = { .n = 0 };

	script.for_ever = true;
	/* On a busy machine nothing may have dripped in time. */
	for (int i = 0; i < 20 && seen.n_replies == 0; i++) {
		assert_int_equal(script_talk(script, 5000000, SHORT_NS, &seen), REDIS_WIRE_TIMEOUT);
	}
	assert_true(seen.n_replies > 0);
	assert_true(seen.took_ns < 200 * SHORT_NS);
}

static void test_early_close__is_closed(void **state)
{
	static const char *const halves[] = { "", "+OK", "$5\r\nhe", "*2\r\n:1\r\n" };

	for (size_t i = 0; i < sizeof(halves) / sizeof(*halves); i++) {
		struct script script = { .bytes = halves[i],
					 .n = strlen(halves[i]),
					 .closes = true };
		struct script_seen seen = { .n = 0 };

		assert_int_equal(script_talk(script, 1, SCRIPT_PATIENCE_NS, &seen),
				 REDIS_WIRE_CLOSED);
	}
}

static void test_garbage__is_refused(void **state)
{
	static const char *const garbage[] = {
		"hello\r\n",
		"HTTP/1.1 400 Bad Request\r\n",
		"\r\n",
		":12x\r\n",
		":99999999999999999999\r\n",
		"$\r\n",
		"$-2\r\n",
		"$x\r\n",
		"*-2\r\n",
		"*99999999999999\r\n",
		"*1\r\n*1\r\n:1\r\n",
		"*1\r\n*0\r\n",
		"+OK\r\n+OK\r\n",
		"+OK\r\nx",
	};

	for (size_t i = 0; i < sizeof(garbage) / sizeof(*garbage); i++) {
		struct script script = { .bytes = garbage[i], .n = strlen(garbage[i]) };
		struct script_seen seen = { .n = 0 };

		if (script_talk(script, 1, SCRIPT_PATIENCE_NS, &seen) != REDIS_WIRE_GARBAGE) {
			fail_msg("accepted: %s", garbage[i]);
		}
	}
}

static void test_oversized_bulk__is_refused_early(void **state)
{
	static char bulk[2 * SCRIPT_MAX_REPLY + 20000];
	struct script script = { .bytes = bulk, .n = sizeof(bulk) };
	struct script_seen seen = { .n = 0 };

	memset(bulk, 'x', sizeof(bulk));
	memcpy(bulk, "$536870912\r\n", 12);
	assert_int_equal(script_talk(script, 1, SCRIPT_PATIENCE_NS, &seen), REDIS_WIRE_GARBAGE);
	assert_int_equal(seen.n_replies, 0);
	/* Where all arithmetic on lengths ends. */
	memcpy(bulk, "$9223372036854775807\r\n", 22);
	assert_int_equal(script_talk(script, 1, SCRIPT_PATIENCE_NS, &seen), REDIS_WIRE_GARBAGE);
	memcpy(bulk, "+xxxxxxxxxxxxxxxxxxx\r\r", 22);
	assert_int_equal(script_talk(script, 1, SCRIPT_PATIENCE_NS, &seen), REDIS_WIRE_GARBAGE);
}

static void test_more_than_all_together_may_have__is_refused(void **state)
{
	static char bulk[SCRIPT_MAX_REPLY];
	struct script script = { .bytes = bulk, .for_ever = true };
	struct script_seen seen = { .n = 0 };

	memset(bulk, 'x', sizeof(bulk));
	memcpy(bulk, "$900\r\n", 6);
	memcpy(bulk + 6 + 900, "\r\n", 2);
	script.n = 6 + 900 + 2;
	assert_int_equal(script_talk(script, 100000, SCRIPT_PATIENCE_NS, &seen),
			 REDIS_WIRE_GARBAGE);
	assert_in_range(seen.n_replies, 1, (REDIS_WIRE_TOTAL_BYTES + SCRIPT_MAX_REPLY) / 900 + 20);
}

static void test_large_reply__is_followed_by_others(void **state)
{
	static char bulk[300011];
	struct redis_wire *wire = NULL;

	memset(bulk, 'x', sizeof(bulk));
	memcpy(bulk, "$300000\r\n", 9);
	memcpy(bulk + 9 + 300000, "\r\n", 2);
	script_serve((struct script){ .bytes = bulk, .n = sizeof(bulk), .questions = 3 });
	assert_int_equal(redis_wire_open(&wire, (struct sockaddr *)&script_server.address,
					 script_server.n_address, sizeof(bulk),
					 clock_now_ns() + SCRIPT_PATIENCE_NS),
			 REDIS_WIRE_OK);
	for (int i = 0; i < 3; i++) {
		struct script_seen seen = { .n = 0 };

		script_ask(wire, 1);
		assert_int_equal(redis_wire_exchange(wire, script_see, &seen,
						     clock_now_ns() + SCRIPT_PATIENCE_NS),
				 REDIS_WIRE_OK);
		assert_int_equal(seen.n_replies, 1);
		assert_true(redis_wire_is_usable(wire));
	}
	redis_wire_close(&wire);
	script_join();
}

static void test_server_that_never_reads__times_out(void **state)
{
	struct script script = { .never_reads = true };
	struct redis_wire *wire;
	struct script_seen seen = { .n = 0 };
	int64_t before = clock_now_ns();

	script_serve(script);
	wire = script_open();
	script_ask(wire, 1000000);
	assert_int_equal(redis_wire_exchange(wire, script_see, &seen, clock_now_ns() + SHORT_NS),
			 REDIS_WIRE_TIMEOUT);
	assert_true(clock_now_ns() - before < 200 * SHORT_NS);
	redis_wire_close(&wire);
	script_join();
}

static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static size_t spoil(char *bytes, size_t n, uint64_t *seed)
{
	static const char syntax[] = "$*+-:\r\n0123456789";

	for (uint64_t i = next_random(seed) % 6; i > 0; i--) {
		uint64_t with = next_random(seed);

		bytes[next_random(seed) % n] =
			with % 3 ? syntax[with % (sizeof(syntax) - 1)] : (char)(with >> 8);
	}
	return (size_t)(next_random(seed) % n) + 1;
}

static void test_fuzz__survives(void **state)
{
	int64_t give_up = clock_now_ns() + FUZZ_LIMIT_NS;
	uint64_t seed = UINT64_C(0x5eed);
	unsigned statuses = 0;

	for (int round = 0; round < FUZZ_ROUNDS && clock_now_ns() < give_up; round++) {
		char bytes[] = SCRIPT_MIXED SCRIPT_MIXED;
		struct script script = { .bytes = bytes, .closes = true };
		struct script_seen seen = { .n = 0 };

		script.n = spoil(bytes, sizeof(bytes) - 1, &seed);
		script.piece = next_random(&seed) % 64;
		statuses |= 1u << script_talk(script, 16, SCRIPT_PATIENCE_NS, &seen);
	}
	assert_true(statuses & (1u << REDIS_WIRE_GARBAGE));
	assert_true(statuses & (1u << REDIS_WIRE_CLOSED));
	assert_false(statuses & (1u << REDIS_WIRE_TIMEOUT));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, script_set_up, script_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_half_a_reply__times_out),
		TEST(test_dripping__does_not_extend_the_deadline),
		TEST(test_early_close__is_closed),
		TEST(test_garbage__is_refused),
		TEST(test_oversized_bulk__is_refused_early),
		TEST(test_more_than_all_together_may_have__is_refused),
		TEST(test_large_reply__is_followed_by_others),
		TEST(test_server_that_never_reads__times_out),
		TEST(test_fuzz__survives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
