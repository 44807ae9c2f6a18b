/* When need Redis not be asked for what it does not have, and when must it be? */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <poll.h>

#include "layers/redis_absent.h"
#include "tests/faults/lib/deep.h"

static void expect_in(struct layer *layer, const char *key, uint64_t slot, enum layer_answer answer)
{
	char found[64];

	assert_int_equal(deep_get_in(layer, key, slot, found), answer);
}

/* As if somebody of the domain had written these keys, of one letter each, some time. */
static void note(const char *keys)
{
	for (; *keys; keys++) {
		const char wire[] = { *keys, '\0' };

		redis_filter_note(deep_filter, deep_key(wire).hash);
	}
}

static void test_absent_key__is_asked_for_once(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);

	note("kl");
	expect_in(layer, "k", 7, LAYER_MISS);
	expect_in(layer, "k", 7, LAYER_MISS);
	assert_int_equal(deep_n_reads(deep_server), 1);
	assert_int_equal(deep_counts.misses, 2);
	expect_in(layer, "l", 7, LAYER_MISS);
	assert_int_equal(deep_n_reads(deep_server), 2);
	redis_ops.close(&layer);
}

static void test_key_of_another_server__is_asked_for(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);
	struct layer_item item = { .key = deep_key("k"), .slot = 7, .answer = LAYER_MISS };
	struct layer_batch batch = deep_batch(&item, 1);

	note("k");
	expect_in(layer, "k", 7, LAYER_MISS);
	item.key.server = "other:11211";
	item.key.place = 1;
	redis_ops.get(layer, &batch);
	assert_int_equal(deep_n_reads(deep_server), 2);
	redis_ops.close(&layer);
}

static void test_slot_that_was_entered__is_asked_for(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);
	char found[64];

	expect_in(layer, "k", 7, LAYER_MISS);
	deep_set(layer, "k", "v");
	assert_int_equal(deep_get_in(layer, "k", 8, found), LAYER_HIT);
	assert_string_equal(found, "v");
	redis_ops.close(&layer);
}

/* Its writer may commit yet, and touches the slot no more. */
static void test_mark__is_no_absence(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);
	struct layer_write write = deep_write_of(LAYER_SET, "k", "v");
	char found[64];

	redis_ops.announce(layer, &write);
	redis_ops.mark(layer, &write);
	redis_ops.marked(layer, &write);
	expect_in(layer, "k", 7, LAYER_MISS);
	write.alone = true;
	redis_ops.commit(layer, &write);
	assert_int_equal(deep_get_in(layer, "k", 7, found), LAYER_HIT);
	assert_string_equal(found, "v");
	redis_ops.close(&layer);
}

/* Somebody else's write is seen after a second. */
static void test_absence__is_believed_for_a_second(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);
	struct layer *other = deep_open(DEEP_LONG_NS);
	int64_t began = clock_now_ns();
	char found[64];

	expect_in(layer, "k", 7, LAYER_MISS);
	deep_set(other, "k", "v");
	while (deep_get_in(layer, "k", 7, found) == LAYER_MISS) {
		assert_true(clock_now_ns() - began < DEEP_PATIENCE_NS);
		poll(NULL, 0, 10);
	}
	assert_true(clock_now_ns() - began > REDIS_ABSENT_NS / 2);
	redis_ops.close(&other);
	redis_ops.close(&layer);
}

/* Keys that Redis looked for in vain. */
static unsigned n_in_vain(void)
{
	const char *at = strstr(deep_command("INFO stats"), "keyspace_misses:");

	assert_non_null(at);
	return (unsigned)strtoul(strchr(at, ':') + 1, NULL, 10);
}

static void test_batch__is_asked_for_what_is_not_known(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);
	struct layer_item items[2] = {
		{ .key = deep_key("k"), .slot = 7, .answer = LAYER_MISS },
		{ .key = deep_key("l"), .slot = 7, .answer = LAYER_MISS },
	};
	struct layer_batch batch = deep_batch(items, 2);
	unsigned before;

	note("kl");
	expect_in(layer, "k", 7, LAYER_MISS);
	before = n_in_vain();
	redis_ops.get(layer, &batch);
	assert_int_equal(deep_n_reads(deep_server), 2);
	/* The record and the body of one. */
	assert_int_equal(n_in_vain(), before + 2);
	redis_ops.get(layer, &batch);
	assert_int_equal(deep_n_reads(deep_server), 2);
	assert_int_equal(deep_counts.misses, 5);
	assert_int_equal(items[0].answer, LAYER_MISS);
	assert_int_equal(items[1].answer, LAYER_MISS);
	redis_ops.close(&layer);
}

/* What a replica does not have, its leader may. */
static void test_absence_at_a_replica__is_believed_by_nobody(void **state)
{
	struct redis_options options = deep_options(DEEP_LONG_NS);
	struct server *replica = server_start_redis(NULL);
	char replicas[256], text[128], found[64];
	struct layer *layer;
	unsigned before;

	assert_non_null(replica);
	snprintf(text, sizeof(text), "REPLICAOF 127.0.0.1 %d", deep_listen(deep_server));
	assert_string_equal(deep_command_to(replica, text), "+OK\r\n");
	deep_wait_for(replica, "INFO replication", "master_link_status:up");
	snprintf(replicas, sizeof(replicas), "unix://%s", server_socket(replica));
	options.replicas = replicas;
	layer = deep_with(&options);
	deep_set(layer, "other", "v");
	while (deep_get(layer, "other", found) != LAYER_HIT) {
		poll(NULL, 0, 1);
	}
	deep_wait_for(replica, "GET " DEEP_GENERATION, " ");
	note("k");
	before = deep_n_reads(replica) + deep_n_reads(deep_server);
	expect_in(layer, "k", 7, LAYER_MISS);
	expect_in(layer, "k", 7, LAYER_MISS);
	assert_int_equal(deep_n_reads(replica) + deep_n_reads(deep_server), before + 2);
	redis_ops.close(&layer);
	server_stop(&replica);
}

/* --- what nobody has written --- */

/* Reads until now. */
static unsigned n_reads(void)
{
	return deep_n_reads(deep_server);
}

static void expect_asked(struct layer *layer, const char *key)
{
	unsigned before = n_reads();

	deep_expect(layer, key, LAYER_MISS);
	assert_int_equal(n_reads() - before, 1);
}

/* More than once only where this machine stood still for a second. */
static void expect_spared(struct layer *layer, const char *key)
{
	unsigned before;

	for (int i = 0; i < 10; i++) {
		before = n_reads();
		deep_expect(layer, key, LAYER_MISS);
		if (n_reads() == before) {
			return;
		}
	}
	fail_msg("%s was asked for again and again", key);
}

/* The first answer tells whose the generation is. */
static void test_unwritten_key__is_not_asked_for(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);

	expect_asked(layer, "k");
	expect_spared(layer, "k");
	expect_spared(layer, "l");
	assert_true(deep_counts.misses >= 3);
	redis_ops.close(&layer);
}

static void test_key_that_another_process_wrote__is_asked_for_at_once(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);
	struct layer *other = deep_open(DEEP_LONG_NS);

	expect_asked(layer, "k");
	expect_spared(layer, "k");
	deep_set(other, "k", "v");
	deep_expect_hit(layer, "k", "v");
	deep_flush(other);
	expect_asked(layer, "k");
	redis_ops.close(&other);
	redis_ops.close(&layer);
}

/* Also where it did not get far. */
static void test_key_with_a_mark__is_asked_for(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);

	expect_asked(layer, "k");
	deep_wrote(layer, LAYER_DELETE, "k", NULL);
	expect_asked(layer, "k");
	deep_wrote(layer, LAYER_INCREMENT, "l", NULL);
	expect_asked(layer, "l");
	redis_ops.close(&layer);
}

/* It is found when the generation is looked at next: within a second. */
static void test_key_that_another_domain_wrote__is_asked_for_soon(void **state)
{
	struct redis_options options = deep_options(DEEP_LONG_NS);
	struct layer *layer = deep_open(DEEP_LONG_NS);
	struct layer *other = deep_of_other(&options);
	int64_t began = clock_now_ns();

	expect_asked(layer, "i");
	deep_age_generation();
	deep_set(layer, "j", "v");
	deep_expect_hit(layer, "j", "v");
	expect_spared(layer, "k");
	deep_set(other, "k", "v");
	while (deep_get_in(layer, "k", deep_slot(), (char[64]){ "" }) == LAYER_MISS) {
		assert_true(clock_now_ns() - began < DEEP_PATIENCE_NS);
		poll(NULL, 0, 10);
	}
	assert_true(clock_now_ns() - began > REDIS_ABSENT_NS / 2);
	expect_asked(layer, "l");
	expect_asked(layer, "l");
	redis_ops.close(&other);
	redis_ops.close(&layer);
}

/* The only one again: what the others wrote lies there still. */
static void test_where_others_wrote_once__is_asked_for(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);

	expect_asked(layer, "j");
	expect_spared(layer, "k");
	deep_move_generation(0, 1);
	poll(NULL, 0, (int)(2 * REDIS_ABSENT_NS / CLOCK_NS_PER_MS));
	expect_asked(layer, "k");
	expect_asked(layer, "k");
	redis_ops.close(&layer);
}

static void test_batch__is_asked_for_what_is_written(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);
	struct layer_item items[3] = {
		{ .key = deep_key("k"), .slot = 7, .answer = LAYER_MISS },
		{ .key = deep_key("l"), .slot = 7, .answer = LAYER_MISS },
		{ .key = deep_key("m"), .slot = 7, .answer = LAYER_MISS },
	};
	struct layer_batch batch = deep_batch(items, 3);
	unsigned before, in_vain;

	deep_set(layer, "l", "v");
	deep_expect_hit(layer, "l", "v");
	before = n_reads();
	in_vain = n_in_vain();
	redis_ops.get(layer, &batch);
	assert_int_equal(n_reads(), before + 1);
	assert_int_equal(n_in_vain(), in_vain);
	assert_int_equal(items[0].answer, LAYER_MISS);
	assert_int_equal(items[1].answer, LAYER_HIT);
	assert_int_equal(items[2].answer, LAYER_MISS);
	free(items[1].value);
	redis_ops.close(&layer);
}

/* --- the table of what was heard --- */

static struct layer_item numbered(uint64_t number)
{
	return (struct layer_item){ .key = { .hash = number * UINT64_C(0x9e3779b97f4a7c15) } };
}

/* It is a bounded table: some are forgotten, none is made up. */
static void test_more_than_room__forgets_some_and_invents_none(void **state)
{
	static struct redis_absent absent;
	const uint64_t n = 4 * REDIS_ABSENT_SETS * REDIS_ABSENT_WAYS;
	uint64_t known = 0;

	clock_fake(1, 1);
	for (uint64_t i = 0; i < n; i++) {
		struct layer_item item = numbered(i);

		assert_false(redis_absent_knows(&absent, &item));
		redis_absent_note(&absent, &item);
		assert_true(redis_absent_knows(&absent, &item));
	}
	for (uint64_t i = 0; i < n; i++) {
		struct layer_item item = numbered(i);

		known += redis_absent_knows(&absent, &item);
	}
	assert_true(known > n / 8 && known <= n / 4);
	clock_fake(1 + 2 * REDIS_ABSENT_NS, 3);
	for (uint64_t i = 0; i < n; i++) {
		struct layer_item item = numbered(i);

		assert_false(redis_absent_knows(&absent, &item));
	}
	clock_fake(0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DEEP_TEST(test_absent_key__is_asked_for_once),
		DEEP_TEST(test_key_of_another_server__is_asked_for),
		DEEP_TEST(test_slot_that_was_entered__is_asked_for),
		DEEP_TEST(test_mark__is_no_absence),
		DEEP_TEST(test_absence__is_believed_for_a_second),
		DEEP_TEST(test_batch__is_asked_for_what_is_not_known),
		DEEP_TEST(test_absence_at_a_replica__is_believed_by_nobody),
		DEEP_TEST(test_unwritten_key__is_not_asked_for),
		DEEP_TEST(test_key_that_another_process_wrote__is_asked_for_at_once),
		DEEP_TEST(test_key_with_a_mark__is_asked_for),
		DEEP_TEST(test_key_that_another_domain_wrote__is_asked_for_soon),
		DEEP_TEST(test_where_others_wrote_once__is_asked_for),
		DEEP_TEST(test_batch__is_asked_for_what_is_written),
		cmocka_unit_test(test_more_than_room__forgets_some_and_invents_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
