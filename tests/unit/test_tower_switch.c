/* Does the walk obey what an operator has switched off? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/peek.h"
#include "tests/unit/lib/fake_layers.h"

static void switch_layers(unsigned off, unsigned on)
{
	const struct slots_options options = { .path = fakes_path, .n = 64, .group = SHM_NO_GROUP };
	const char *why;
	unsigned now;

	assert_true(slots_switch(&options, off, on, &now, &why));
}

static void test_memory_switched_off__is_not_asked_filled_or_told(void **state)
{
	const struct layer_key key = fakes_key("a");
	struct layer_item item = { .key = key };

	memory.has = true;
	authority.has = true;
	switch_layers(LAYER_PRIVATE, 0);
	assert_false(tower_is_off(&tower));
	assert_false(tower_peek(&tower, &key, false, NULL, &item));
	assert_int_equal(item.answer, LAYER_UNASKED);
	assert_int_equal(fakes_read("a").layer, 1);
	fakes_write("a", LAYER_DONE);
	assert_int_equal(memory.gets + memory.peeks + memory.fills + memory.told, 0);
	assert_string_equal(deep.calls, "amwMc");
	assert_false(deep.off);
	switch_layers(0, LAYER_PRIVATE);
	assert_true(tower_peek(&tower, &key, false, NULL, &item));
}

static void test_write_while_memory_is_off__changes_the_slot(void **state)
{
	const struct layer_key key = fakes_key("a");
	uint64_t before = slots_load(tower.slots, key.hash);

	switch_layers(LAYER_PRIVATE, 0);
	fakes_write("a", LAYER_DONE);
	switch_layers(0, LAYER_PRIVATE);
	assert_true(slots_load(tower.slots, key.hash) != before);
	assert_true(slots_load(tower.slots, key.hash) != LAYER_SLOT_BUSY);
}

static void test_redis_switched_off__is_not_read_and_told_so(void **state)
{
	deep.has = true;
	switch_layers(LAYER_SHARED, 0);
	assert_int_equal(fakes_read("a").answer, LAYER_MISS);
	assert_true(deep.off);
	assert_int_equal(deep.gets, 0);
	/* It keeps account of what it does not hear of. */
	fakes_write("a", LAYER_DONE);
	assert_string_equal(deep.calls, "amwMc");
	switch_layers(0, LAYER_SHARED);
	assert_int_equal(fakes_read("a").layer, 2);
	assert_false(deep.off);
}

static void test_all_switched_off__leaves_the_authority(void **state)
{
	memory.has = true;
	deep.has = true;
	switch_layers(LAYER_PRIVATE | LAYER_SHARED | LAYER_AUTHORITY, 0);
	assert_true(tower_is_off(&tower));
	assert_int_equal(fakes_read("a").answer, LAYER_MISS);
	authority.has = true;
	assert_int_equal(fakes_read("a").layer, 1);
	assert_int_equal(fakes_write("a", LAYER_DONE).outcome, LAYER_DONE);
	assert_int_equal(memory.gets + deep.gets, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_memory_switched_off__is_not_asked_filled_or_told, fakes_setup,
			fakes_teardown),
		cmocka_unit_test_setup_teardown(test_write_while_memory_is_off__changes_the_slot,
						fakes_setup, fakes_teardown),
		cmocka_unit_test_setup_teardown(test_redis_switched_off__is_not_read_and_told_so,
						fakes_setup, fakes_teardown),
		cmocka_unit_test_setup_teardown(test_all_switched_off__leaves_the_authority,
						fakes_setup, fakes_teardown),
	};

	return cmocka_run_group_tests_name("tower_switch", tests, NULL, NULL);
}
