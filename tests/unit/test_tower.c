/* Does a read ask and fill the layers as layer.h promises? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/peek.h"
#include "tests/unit/lib/fake_layers.h"

static void test_hit_above__asks_nobody_below(void **state)
{
	memory.has = true;
	assert_int_equal(fakes_read("a").layer, 0);
	assert_int_equal(authority.gets + deep.gets + memory.fills, 0);
}

static void test_hit_at_the_authority__is_filled_above_and_not_asked_deeper(void **state)
{
	authority.has = true;
	assert_int_equal(fakes_read("a").layer, 1);
	assert_int_equal(memory.fills, 1);
	assert_true(memory.slot == slots_load(tower.slots, fakes_key("a").hash));
	assert_int_equal(deep.gets, 0);
}

static void test_clean_miss__goes_deeper_and_fills(void **state)
{
	deep.has = true;
	assert_int_equal(fakes_read("a").layer, 2);
	assert_int_equal(memory.fills, 1);
}

static void test_miss_everywhere__is_a_miss(void **state)
{
	assert_int_equal(fakes_read("a").answer, LAYER_MISS);
	assert_int_equal(memory.fills, 0);
}

static void test_authority_down__is_not_a_miss(void **state)
{
	authority.down = true;
	deep.has = true;
	assert_int_equal(fakes_read("a").answer, LAYER_DOWN);
	assert_int_equal(memory.fills, 0);
}

static void test_busy_slot__is_answered_by_the_authority_alone(void **state)
{
	struct slots_ticket ticket;

	memory.has = true;
	deep.has = true;
	slots_enter(tower.slots, fakes_key("a").hash, CLOCK_NEVER, &ticket);
	assert_int_equal(fakes_read("a").answer, LAYER_MISS);
	authority.has = true;
	assert_int_equal(fakes_read("a").layer, 1);
	assert_int_equal(memory.fills, 0);
}

/* A writer comes between the authority's miss and the deep read. */
static void get_with_writer(struct layer *layer, struct layer_batch *batch)
{
	struct slots_ticket ticket;

	fakes_get_authority(layer, batch);
	slots_enter(tower.slots, batch->items[0].key.hash, CLOCK_NEVER, &ticket);
	slots_leave(tower.slots, &ticket);
}

static void test_write_since_the_read_began__takes_the_deep_answer_away(void **state)
{
	void (*get)(struct layer *, struct layer_batch *) = authority_fake.get;

	deep.has = true;
	authority_fake.get = get_with_writer;
	assert_int_equal(fakes_read("a").answer, LAYER_MISS);
	authority_fake.get = get;
	assert_int_equal(memory.fills, 0);
}

static bool submit_fails(struct layer *layer, struct layer_batch *batch)
{
	return false;
}

static void test_submit_fails__ends_the_read(void **state)
{
	struct layer_item item = { .key = fakes_key("a") };
	struct layer_batch batch = { .items = &item, .n_items = 1 };

	authority_fake.submit = submit_fails;
	assert_false(tower_read_begin(&tower, &batch));
	assert_int_equal(authority.gets, 0);
}

static bool submit(struct layer *layer, struct layer_batch *batch)
{
	layer->submits++;
	return true;
}

static void test_batch_found_above__asks_the_authority_nothing(void **state)
{
	authority_fake.submit = submit;
	memory.has = true;
	assert_int_equal(fakes_read("a").layer, 0);
	assert_int_equal(authority.submits + authority.gets, 0);
}

static void test_probe__fills_nothing(void **state)
{
	struct layer_item item = { .key = fakes_key("a") };
	struct layer_batch batch = { .items = &item, .n_items = 1, .probe = true };

	authority.has = true;
	assert_true(tower_read_begin(&tower, &batch));
	tower_read_end(&tower, &batch);
	assert_int_equal(item.answer, LAYER_HIT);
	assert_int_equal(memory.fills, 0);
}

static void test_deep_hit__goes_back_when_it_comes_again(void **state)
{
	static struct tower_seen seen;

	tower.seen = &seen;
	deep.has = true;
	tower.config.redis_promote = CONFIG_PROMOTE_AGAIN;
	fakes_read("a");
	assert_int_equal(authority.puts, 0);
	fakes_read("a");
	assert_int_equal(authority.puts, 1);
	assert_true(authority.put_back_owned);
	/* Nobody else was there: memory may keep it. */
	assert_int_equal(memory.fills, 2);
	assert_true(memory.slot == slots_load(tower.slots, fakes_key("a").hash));
	tower.config.redis_promote = CONFIG_PROMOTE_NEVER;
	fakes_read("a");
	assert_int_equal(authority.puts, 1);
	tower.config.redis_promote = CONFIG_PROMOTE_ALWAYS;
	fakes_read("b");
	assert_int_equal(authority.puts, 2);
	assert_int_equal(tower.stats->layers[STATS_REDIS]->promotions, 2);
}

static void no_free(void *owner, void *bytes)
{
}

static void test_deep_hit_without_cas_id__is_put_back_and_asked_for_again(void **state)
{
	struct layer_item item = { .key = fakes_key("a") };
	struct layer_batch batch = {
		.items = &item, .n_items = 1, .want_cas = true, .allocator = { NULL, no_free, NULL }
	};

	deep.has = true;
	tower.config.redis_promote = CONFIG_PROMOTE_NEVER;
	assert_true(tower_read_begin(&tower, &batch));
	tower_read_end(&tower, &batch);
	assert_int_equal(authority.puts, 1);
	assert_int_equal(authority.gets, 2);
	/* This authority does not keep what it gets. */
	assert_int_equal(item.answer, LAYER_MISS);
	assert_int_equal(batch.n_hits, 0);
}

static bool peek_one(const char *key)
{
	const struct layer_key at = fakes_key(key);
	struct layer_item item;

	return tower_peek(&tower, &at, false, NULL, &item);
}

static void test_peek__is_a_hit_under_the_token_that_a_read_would_have(void **state)
{
	memory.has = true;
	assert_true(peek_one("a"));
	assert_true(memory.slot == slots_load(tower.slots, fakes_key("a").hash));
	assert_int_equal(memory.peeks, 1);
	assert_int_equal(memory.gets, 0);
}

static void test_peek__asks_nothing_where_there_is_something_to_do_before(void **state)
{
	struct slots_ticket ticket;

	memory.has = true;
	slots_enter(tower.slots, fakes_key("a").hash, CLOCK_NEVER, &ticket);
	assert_false(peek_one("a"));
	slots_leave(tower.slots, &ticket);
	slots_flush(tower.slots);
	assert_false(peek_one("a"));
	fakes_read("a");
	assert_true(peek_one("a"));
	slots_flush_later(tower.slots, 5000 * CLOCK_NS_PER_S, 5001 * CLOCK_NS_PER_S);
	assert_false(peek_one("a"));
	clock_fake(5002 * CLOCK_NS_PER_S, 1700000000);
	fakes_read("a");
	assert_true(peek_one("a"));
	fakes_write("b", LAYER_UNCERTAIN);
	assert_false(peek_one("a"));
	slots_settle(tower.slots, doubts);
	assert_true(peek_one("a"));
	assert_int_equal(memory.peeks, 3);
}

static void test_peek_that_misses__is_not_asked_for_again(void **state)
{
	struct layer_item item = { .key = fakes_key("a") };
	struct layer_batch batch = { .items = &item, .n_items = 1 };

	authority.has = true;
	assert_false(tower_peek(&tower, &item.key, false, NULL, &item));
	assert_int_equal(item.answer, LAYER_MISS);
	assert_true(tower_read_begin(&tower, &batch));
	tower_read_end(&tower, &batch);
	assert_int_equal(item.layer, 1);
	assert_int_equal(memory.gets, 0);
	assert_int_equal(memory.fills, 1);
	assert_true(memory.slot == slots_load(tower.slots, item.key.hash));
}

static void test_write_after_a_peek_that_missed__voids_the_fill(void **state)
{
	struct layer_item item = { .key = fakes_key("a") };
	struct layer_batch batch = { .items = &item, .n_items = 1 };

	authority.has = true;
	assert_false(tower_peek(&tower, &item.key, false, NULL, &item));
	fakes_write("a", LAYER_DONE);
	assert_true(tower_read_begin(&tower, &batch));
	tower_read_end(&tower, &batch);
	assert_true(memory.slot != slots_load(tower.slots, item.key.hash));
}

static void test_peek__is_nothing_where_the_first_layer_has_none(void **state)
{
	tower.layers[0] = tower.layers[1];
	assert_false(peek_one("a"));
}

static void test_values_that_memcached_lost__are_counted(void **state)
{
	const struct layer_counters *counters = tower.stats->layers[STATS_MEMCACHED];
	struct layer_write write;

	/* Without places nothing is. */
	authority.has = true;
	fakes_read("a");
	authority.has = false;
	fakes_read("a");
	assert_int_equal(counters->ghost_hits, 0);

	assert_true(remembered_open(&tower.held, 1000));
	authority.has = true;
	fakes_read("a");
	authority.has = false;
	fakes_read("a");
	fakes_read("a");
	assert_int_equal(counters->ghost_hits, 2);
	/* A write, too; not what came to its end, was deleted, or what cannot be asked. */
	fakes_write("a", LAYER_DONE);
	authority.down = true;
	fakes_read("a");
	authority.down = false;
	assert_int_equal(counters->ghost_hits, 2);
	fakes_read("a");
	assert_int_equal(counters->ghost_hits, 3);
	write = (struct layer_write){
		.verb = LAYER_SET, .key = fakes_key("a"), .exptime = 5, .changes_expiry = true
	};
	tower_write(&tower, &write, &doubts);
	clock_fake(FAKES_START_NS + 5 * CLOCK_NS_PER_S, 1700000005);
	fakes_read("a");
	fakes_write("a", LAYER_DONE);
	write = (struct layer_write){ .verb = LAYER_DELETE, .key = fakes_key("a") };
	tower_write(&tower, &write, &doubts);
	fakes_read("a");
	assert_int_equal(counters->ghost_hits, 3);
	remembered_close(&tower.held);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_hit_above__asks_nobody_below, fakes_setup,
						fakes_teardown),
		cmocka_unit_test_setup_teardown(
			test_hit_at_the_authority__is_filled_above_and_not_asked_deeper,
			fakes_setup, fakes_teardown),
		cmocka_unit_test_setup_teardown(test_values_that_memcached_lost__are_counted,
						fakes_setup, fakes_teardown),
		cmocka_unit_test_setup_teardown(test_clean_miss__goes_deeper_and_fills, fakes_setup,
						fakes_teardown),
		cmocka_unit_test_setup_teardown(test_miss_everywhere__is_a_miss, fakes_setup,
						fakes_teardown),
		cmocka_unit_test_setup_teardown(test_authority_down__is_not_a_miss, fakes_setup,
						fakes_teardown),
		cmocka_unit_test_setup_teardown(test_busy_slot__is_answered_by_the_authority_alone,
						fakes_setup, fakes_teardown),
		cmocka_unit_test_setup_teardown(
			test_write_since_the_read_began__takes_the_deep_answer_away, fakes_setup,
			fakes_teardown),
		cmocka_unit_test_setup_teardown(test_submit_fails__ends_the_read, fakes_setup,
						fakes_teardown),
		cmocka_unit_test_setup_teardown(test_batch_found_above__asks_the_authority_nothing,
						fakes_setup, fakes_teardown),
		cmocka_unit_test_setup_teardown(test_probe__fills_nothing, fakes_setup,
						fakes_teardown),
		cmocka_unit_test_setup_teardown(test_deep_hit__goes_back_when_it_comes_again,
						fakes_setup, fakes_teardown),
		cmocka_unit_test_setup_teardown(
			test_deep_hit_without_cas_id__is_put_back_and_asked_for_again, fakes_setup,
			fakes_teardown),
		cmocka_unit_test_setup_teardown(
			test_peek__is_a_hit_under_the_token_that_a_read_would_have, fakes_setup,
			fakes_teardown),
		cmocka_unit_test_setup_teardown(
			test_peek__asks_nothing_where_there_is_something_to_do_before, fakes_setup,
			fakes_teardown),
		cmocka_unit_test_setup_teardown(test_peek_that_misses__is_not_asked_for_again,
						fakes_setup, fakes_teardown),
		cmocka_unit_test_setup_teardown(test_write_after_a_peek_that_missed__voids_the_fill,
						fakes_setup, fakes_teardown),
		cmocka_unit_test_setup_teardown(
			test_peek__is_nothing_where_the_first_layer_has_none, fakes_setup,
			fakes_teardown),
	};

	return cmocka_run_group_tests_name("tower", tests, NULL, NULL);
}
