/* Are layers told of writes, flushes and changes as layer.h promises? */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/lib/fake_layers.h"

static void test_write__is_marked_in_its_slot_and_committed_after_it(void **state)
{
	struct layer_write write = fakes_write("a", LAYER_DONE);

	assert_int_equal(write.outcome, LAYER_DONE);
	assert_string_equal(deep.calls, "amwMc");
	assert_true(deep.busy_when_told);
	assert_true(deep.alone);
	assert_true(deep.told_slot == slots_load(tower.slots, write.key.hash));
	assert_int_equal(memory.told, 1);
	assert_false(memory.busy_when_told);
	assert_true(memory.told_slot == slots_load(tower.slots, write.key.hash));
}

static void test_write_beside_another__keeps_nothing_in_memory(void **state)
{
	struct slots_ticket ticket;

	slots_enter(tower.slots, fakes_key("a").hash, CLOCK_NEVER, &ticket);
	fakes_write("a", LAYER_DONE);
	assert_true(memory.told_slot == LAYER_SLOT_BUSY);
	assert_false(deep.alone);
}

static struct layer_write write_lost(enum layer_verb verb, bool with_initial)
{
	struct layer_write write = { .verb = verb,
				     .key = fakes_key("a"),
				     .changes_expiry = with_initial,
				     .may_keep_expiry = with_initial };

	authority.loses = true;
	authority.outcome = LAYER_DONE;
	tower_write(&tower, &write, &doubts);
	return write;
}

static void test_key_that_memcached_lost__goes_back_and_the_call_is_repeated(void **state)
{
	struct layer_write write;

	deep.found = LAYER_FOUND_VALUE;
	write = write_lost(LAYER_APPEND, false);
	assert_int_equal(write.outcome, LAYER_DONE);
	assert_string_equal(deep.calls, "amwMrwc");
	assert_int_equal(authority.puts, 1);
	assert_true(authority.put_back_owned);
	assert_int_equal(tower.stats->layers[STATS_REDIS]->promotions, 1);
	assert_int_equal(authority.takes, 0);
	assert_true(deep.alone);
}

static void test_key_that_nobody_has__is_refused_once(void **state)
{
	deep.found = LAYER_FOUND_NOTHING;
	assert_int_equal(write_lost(LAYER_REPLACE, false).outcome, LAYER_REFUSED);
	assert_string_equal(deep.calls, "amwMc");
	assert_int_equal(authority.puts, 0);
}

static void test_key_that_cannot_be_recalled__stays_lost(void **state)
{
	deep.found = LAYER_FOUND_VALUE;
	deep.fails_to_recall = true;
	assert_int_equal(write_lost(LAYER_TOUCH, false).outcome, LAYER_REFUSED);
	assert_int_equal(authority.puts, 0);
}

static void test_lost_key_beside_another_writer__is_not_put_back(void **state)
{
	struct slots_ticket ticket;

	slots_enter(tower.slots, fakes_key("a").hash, CLOCK_NEVER, &ticket);
	deep.found = LAYER_FOUND_VALUE;
	assert_int_equal(write_lost(LAYER_APPEND, false).outcome, LAYER_REFUSED);
	assert_int_equal(authority.puts, 0);
}

static void test_delete_of_what_only_the_deep_layer_has__is_done(void **state)
{
	struct layer_write write;

	deep.found = LAYER_FOUND_VALUE;
	write = write_lost(LAYER_DELETE, false);
	assert_int_equal(write.outcome, LAYER_DONE);
	assert_true(write.absent);
	assert_int_equal(authority.puts, 0);
}

static void test_counter_that_nobody_has__is_made_only_then(void **state)
{
	struct layer_write write;

	deep.found = LAYER_FOUND_NOTHING;
	write = write_lost(LAYER_INCREMENT, true);
	assert_int_equal(write.outcome, LAYER_DONE);
	assert_string_equal(deep.calls, "amwMwc");
	assert_true(write.created);
	deep.calls[0] = '\0';
	deep.found = LAYER_FOUND_VALUE;
	write = write_lost(LAYER_INCREMENT, true);
	assert_string_equal(deep.calls, "amwMrwc");
	assert_false(write.created);
}

static void test_add__looks_first(void **state)
{
	struct layer_write write = { .verb = LAYER_ADD, .key = fakes_key("a") };

	deep.found = LAYER_FOUND_VALUE;
	tower_write(&tower, &write, &doubts);
	assert_string_equal(deep.calls, "alrmwMc");
	assert_int_equal(authority.puts, 1);
}

static void test_put_back_while_another_domain_came__is_taken_back(void **state)
{
	deep.found = LAYER_FOUND_VALUE;
	write_lost(LAYER_APPEND, false);
	assert_true(deep.owned_when_asked);
	assert_true(deep.busy_when_leaving);
	assert_int_equal(authority.takes, 0);
	deep.another_came = true;
	deep.calls[0] = '\0';
	write_lost(LAYER_APPEND, false);
	assert_string_equal(deep.calls, "amwMrc");
	assert_int_equal(authority.takes, 1);
}

static void test_key_that_memcached_lost_among_several__stays_lost(void **state)
{
	deep.found = LAYER_FOUND_VALUE;
	deep.several = true;
	assert_int_equal(write_lost(LAYER_APPEND, false).outcome, LAYER_REFUSED);
	assert_string_equal(deep.calls, "amwMc");
	assert_int_equal(write_lost(LAYER_DELETE, false).outcome, LAYER_DONE);
	deep.calls[0] = '\0';
	/* Plain: whether it is made or counted is memcached's to say. */
	assert_int_equal(write_lost(LAYER_INCREMENT, true).outcome, LAYER_DONE);
	assert_string_equal(deep.calls, "amwMc");
	assert_int_equal(authority.puts, 0);
}

static void test_add_among_several__is_refused_for_what_is_below(void **state)
{
	struct layer_write write = { .verb = LAYER_ADD, .key = fakes_key("a"), .awaited = true };

	deep.found = LAYER_FOUND_VALUE;
	deep.several = true;
	tower_write(&tower, &write, &doubts);
	assert_int_equal(write.outcome, LAYER_REFUSED);
	assert_true(write.is_below);
	assert_string_equal(deep.calls, "alMc");
	assert_int_equal(authority.writes, 0);
	/* Nobody would hear of that. */
	write.awaited = false;
	deep.calls[0] = '\0';
	tower_write(&tower, &write, &doubts);
	assert_false(write.is_below);
	assert_string_equal(deep.calls, "almwMc");
}

static void test_deep_hit_among_several__does_not_go_back(void **state)
{
	deep.has = true;
	tower.config.redis_promote = CONFIG_PROMOTE_ALWAYS;
	assert_int_equal(fakes_read("a").answer, LAYER_HIT);
	assert_int_equal(authority.puts, 1);
	deep.several = true;
	assert_int_equal(fakes_read("a").answer, LAYER_HIT);
	assert_int_equal(authority.puts, 1);
}

static void test_expiry__is_capped_where_it_counts(void **state)
{
	struct layer_write write = {
		.verb = LAYER_SET, .key = fakes_key("a"), .exptime = 7200, .changes_expiry = true
	};

	tower.config.memcached_ttl = 60 * CLOCK_NS_PER_S;
	tower_write(&tower, &write, &doubts);
	assert_int_equal(write.exptime, 60);
	assert_true(write.capped);
	assert_true(write.deadline_ns == 1060 * CLOCK_NS_PER_S);
	write.exptime = 30;
	tower_write(&tower, &write, &doubts);
	assert_int_equal(write.exptime, 30);
	assert_false(write.capped);
	write = (struct layer_write){ .verb = LAYER_DELETE, .key = fakes_key("a") };
	tower_write(&tower, &write, &doubts);
	assert_int_equal(write.exptime, 0);
}

static enum layer_outcome nothing(void *arg)
{
	return LAYER_DONE;
}

static enum layer_outcome unsure(void *arg)
{
	return LAYER_UNCERTAIN;
}

static void test_flush__empties_all_layers_and_changes_all_tokens(void **state)
{
	uint64_t before = slots_load(tower.slots, 1);

	tower_flush(&tower, NULL, 0, 0, nothing, NULL);
	assert_int_equal(memory.flushes, 1);
	assert_int_equal(deep.flushes, 1);
	assert_true(slots_load(tower.slots, 1) != before);
}

static void test_flush_later__takes_effect_at_its_time_and_deep_copies_wait(void **state)
{
	deep.has = true;
	tower_flush(&tower, NULL, 0, 10, nothing, NULL);
	assert_int_equal(memory.flushes, 0);
	assert_int_equal(fakes_read("a").answer, LAYER_MISS);
	fakes_write("a", LAYER_DONE);
	assert_false(deep.alone);
	clock_fake(1020 * CLOCK_NS_PER_S, 1700000020);
	fakes_read("a");
	assert_int_equal(memory.flushes, 1);
	assert_int_equal(deep.flushes, 1);
}

/* The call takes five seconds: a server hangs, and the next one hears of it afterwards. */
static enum layer_outcome slow(void *arg)
{
	clock_fake(1005 * CLOCK_NS_PER_S, 1700000005);
	/* As announced it would be over by now. */
	assert_int_equal(fakes_read("a").answer, LAYER_MISS);
	return LAYER_DONE;
}

static void test_flush_later_that_takes_long__is_awaited_at_the_last_server(void **state)
{
	memory.has = true;
	tower_flush(&tower, NULL, 0, 2, slow, NULL);
	assert_int_equal(memory.flushes, 0);
	clock_fake(1008 * CLOCK_NS_PER_S, 1700000008);
	assert_int_equal(fakes_read("a").answer, LAYER_MISS);
	clock_fake(1009 * CLOCK_NS_PER_S, 1700000009);
	assert_int_equal(fakes_read("a").layer, 0);
	assert_int_equal(memory.flushes, 1);
}

static enum layer_outcome read_meanwhile(void *arg)
{
	assert_int_equal(fakes_read("a").answer, LAYER_MISS);
	return *(enum layer_outcome *)arg;
}

static void test_flush__nothing_comes_out_while_it_may_have_happened(void **state)
{
	enum layer_outcome outcomes[] = { LAYER_DONE, LAYER_UNSENT };

	memory.has = true;
	for (int i = 0; i < 2; i++) {
		tower_flush(&tower, NULL, 0, 0, read_meanwhile, &outcomes[i]);
		assert_int_equal(fakes_read("a").layer, 0);
		/* What was not sent has emptied nothing. */
		assert_int_equal(memory.flushes, 1);
	}
}

/* Memory waits for the later one, as it would without the other. */
static void test_flush_before_another_one__does_not_make_it_wait_longer(void **state)
{
	memory.has = true;
	tower_flush(&tower, NULL, 0, 100, nothing, NULL);
	tower_flush(&tower, NULL, 0, 0, nothing, NULL);
	assert_int_equal(fakes_read("a").layer, 0);
	clock_fake(1100 * CLOCK_NS_PER_S, 1700000100);
	assert_int_equal(fakes_read("a").answer, LAYER_MISS);
}

static void test_change__tells_all_layers_to_forget(void **state)
{
	struct layer_key key = fakes_key("a");

	tower_change(&tower, &key, 0, nothing, NULL, &doubts);
	assert_int_equal(memory.told_outcome, LAYER_DROPPED);
	assert_int_equal(deep.told_outcome, LAYER_DROPPED);
}

static void test_change_with_an_expiry__is_noted_for_readers(void **state)
{
	struct layer_key key = fakes_key("a");

	tower_change(&tower, &key, 10, nothing, NULL, &doubts);
	assert_true(slots_end(tower.slots, key.hash) <= 1010 * CLOCK_NS_PER_S);
}

static void test_uncertain_write__keeps_the_slot_busy_until_it_is_settled(void **state)
{
	memory.has = true;
	fakes_write("a", LAYER_UNCERTAIN);
	assert_true(memory.told_slot == LAYER_SLOT_BUSY);
	assert_int_equal(fakes_read("a").answer, LAYER_MISS);
	slots_settle(tower.slots, doubts);
	assert_int_equal(fakes_read("a").layer, 0);
}

static void test_uncertain_write__is_too_old_to_matter_after_a_while(void **state)
{
	memory.has = true;
	fakes_write("a", LAYER_UNCERTAIN);
	clock_fake(1000 * CLOCK_NS_PER_S + SLOTS_DOUBT_NS, 1700000000);
	assert_int_equal(fakes_read("a").layer, 0);
}

static void test_uncertain_flush__lets_nothing_out_until_it_has_happened(void **state)
{
	memory.has = true;
	tower_flush(&tower, NULL, 0, 0, unsure, NULL);
	assert_int_equal(fakes_read("a").answer, LAYER_MISS);
	clock_fake(1000 * CLOCK_NS_PER_S + SLOTS_SENT_NS, 1700000000);
	assert_int_equal(fakes_read("a").layer, 0);
	assert_int_equal(memory.flushes, 2);
}

static void test_flush_of_another_process__is_followed(void **state)
{
	slots_flush(tower.slots);
	fakes_read("a");
	assert_int_equal(memory.flushes, 1);
	assert_int_equal(deep.flushes, 0);
}

static void write_and_end(struct layer *layer, struct layer_write *write)
{
	pthread_exit(NULL);
}

static void *call_and_end(void *arg)
{
	tower_thread(&tower);
	fakes_write("a", LAYER_DONE);
	return NULL;
}

static void test_thread_that_ends_in_a_write__gives_back_what_it_held(void **state)
{
	pthread_t thread;

	atomic_store(&tower_now, &tower);
	authority_fake.write = write_and_end;
	assert_int_equal(pthread_create(&thread, NULL, call_and_end, NULL), 0);
	pthread_join(thread, NULL);
	authority_fake.write = fakes_write_authority;
	assert_int_equal(memory.abandoned, 1);
	assert_true(slots_load(tower.slots, fakes_key("a").hash) == LAYER_SLOT_BUSY);
	clock_fake(1000 * CLOCK_NS_PER_S + SLOTS_DOUBT_NS, 1700000000);
	slots_settle_old(tower.slots);
	assert_true(slots_load(tower.slots, fakes_key("a").hash) != LAYER_SLOT_BUSY);

	/* One whose calls have all come back, but for a change of memory maybe. */
	assert_int_equal(pthread_create(&thread, NULL, call_and_end, NULL), 0);
	pthread_join(thread, NULL);
	assert_int_equal(memory.abandoned, 2);
	atomic_store(&tower_now, NULL);
}

static void test_value_of_the_authority__ends_when_a_writer_said(void **state)
{
	struct layer_write write = {
		.verb = LAYER_SET, .key = fakes_key("a"), .exptime = 5, .changes_expiry = true
	};

	tower_write(&tower, &write, &doubts);
	authority.has = true;
	assert_true(fakes_read("a").deadline_ns == 1005 * CLOCK_NS_PER_S);
	assert_true(fakes_read("b").deadline_ns == CLOCK_NEVER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_write__is_marked_in_its_slot_and_committed_after_it, fakes_setup,
			fakes_teardown),
		cmocka_unit_test_setup_teardown(test_write_beside_another__keeps_nothing_in_memory,
						fakes_setup, fakes_teardown),
		cmocka_unit_test_setup_teardown(
			test_key_that_memcached_lost__goes_back_and_the_call_is_repeated,
			fakes_setup, fakes_teardown),
		cmocka_unit_test_setup_teardown(test_key_that_nobody_has__is_refused_once,
						fakes_setup, fakes_teardown),
		cmocka_unit_test_setup_teardown(test_key_that_cannot_be_recalled__stays_lost,
						fakes_setup, fakes_teardown),
		cmocka_unit_test_setup_teardown(
			test_lost_key_beside_another_writer__is_not_put_back, fakes_setup,
			fakes_teardown),
		cmocka_unit_test_setup_teardown(
			test_delete_of_what_only_the_deep_layer_has__is_done, fakes_setup,
			fakes_teardown),
		cmocka_unit_test_setup_teardown(test_counter_that_nobody_has__is_made_only_then,
						fakes_setup, fakes_teardown),
		cmocka_unit_test_setup_teardown(test_add__looks_first, fakes_setup, fakes_teardown),
		cmocka_unit_test_setup_teardown(
			test_put_back_while_another_domain_came__is_taken_back, fakes_setup,
			fakes_teardown),
		cmocka_unit_test_setup_teardown(
			test_key_that_memcached_lost_among_several__stays_lost, fakes_setup,
			fakes_teardown),
		cmocka_unit_test_setup_teardown(
			test_add_among_several__is_refused_for_what_is_below, fakes_setup,
			fakes_teardown),
		cmocka_unit_test_setup_teardown(test_deep_hit_among_several__does_not_go_back,
						fakes_setup, fakes_teardown),
		cmocka_unit_test_setup_teardown(test_expiry__is_capped_where_it_counts, fakes_setup,
						fakes_teardown),
		cmocka_unit_test_setup_teardown(
			test_flush__empties_all_layers_and_changes_all_tokens, fakes_setup,
			fakes_teardown),
		cmocka_unit_test_setup_teardown(
			test_flush_later_that_takes_long__is_awaited_at_the_last_server,
			fakes_setup, fakes_teardown),
		cmocka_unit_test_setup_teardown(
			test_flush__nothing_comes_out_while_it_may_have_happened, fakes_setup,
			fakes_teardown),
		cmocka_unit_test_setup_teardown(
			test_flush_before_another_one__does_not_make_it_wait_longer, fakes_setup,
			fakes_teardown),
		cmocka_unit_test_setup_teardown(
			test_flush_later__takes_effect_at_its_time_and_deep_copies_wait,
			fakes_setup, fakes_teardown),
		cmocka_unit_test_setup_teardown(
			test_uncertain_write__keeps_the_slot_busy_until_it_is_settled, fakes_setup,
			fakes_teardown),
		cmocka_unit_test_setup_teardown(
			test_uncertain_write__is_too_old_to_matter_after_a_while, fakes_setup,
			fakes_teardown),
		cmocka_unit_test_setup_teardown(
			test_uncertain_flush__lets_nothing_out_until_it_has_happened, fakes_setup,
			fakes_teardown),
		cmocka_unit_test_setup_teardown(test_flush_of_another_process__is_followed,
						fakes_setup, fakes_teardown),
		cmocka_unit_test_setup_teardown(
			test_thread_that_ends_in_a_write__gives_back_what_it_held, fakes_setup,
			fakes_teardown),
		cmocka_unit_test_setup_teardown(
			test_value_of_the_authority__ends_when_a_writer_said, fakes_setup,
			fakes_teardown),
		cmocka_unit_test_setup_teardown(test_change__tells_all_layers_to_forget,
						fakes_setup, fakes_teardown),
		cmocka_unit_test_setup_teardown(test_change_with_an_expiry__is_noted_for_readers,
						fakes_setup, fakes_teardown),
	};

	return cmocka_run_group_tests_name("tower_write", tests, NULL, NULL);
}
