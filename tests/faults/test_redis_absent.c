/* When need Redis not be asked for what it does not have, and when must it be? */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
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

static void test_absent_key__is_asked_for_once(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);

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

/* A batch is asked whole, or not at all. */
static void test_batch__is_spared_where_all_are_absent(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);
	struct layer_item items[2] = {
		{ .key = deep_key("k"), .slot = 7, .answer = LAYER_MISS },
		{ .key = deep_key("l"), .slot = 7, .answer = LAYER_MISS },
	};
	struct layer_batch batch = deep_batch(items, 2);

	expect_in(layer, "k", 7, LAYER_MISS);
	redis_ops.get(layer, &batch);
	assert_int_equal(deep_n_reads(deep_server), 2);
	redis_ops.get(layer, &batch);
	assert_int_equal(deep_n_reads(deep_server), 2);
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
	before = deep_n_reads(replica) + deep_n_reads(deep_server);
	expect_in(layer, "k", 7, LAYER_MISS);
	expect_in(layer, "k", 7, LAYER_MISS);
	assert_int_equal(deep_n_reads(replica) + deep_n_reads(deep_server), before + 2);
	redis_ops.close(&layer);
	server_stop(&replica);
}

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
		DEEP_TEST(test_batch__is_spared_where_all_are_absent),
		DEEP_TEST(test_absence_at_a_replica__is_believed_by_nobody),
		cmocka_unit_test(test_more_than_room__forgets_some_and_invents_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
