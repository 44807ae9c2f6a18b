/* Does the walk ask, fill and tell its layers as layer.h promises?  With layers that only remember.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/hash.h"
#include "core/tower.h"

/* One value under one key, and what the layer was asked. */
struct layer {
	bool has;
	bool down;
	char value[16];
	uint64_t slot;
	unsigned gets;
	unsigned peeks;
	unsigned submits;
	unsigned fills;
	unsigned flushes;
	unsigned told;
	unsigned abandoned;
	enum layer_outcome told_outcome;
	uint64_t told_slot;
	bool busy_when_told;	    /* the slot, seen by somebody else */
	enum layer_outcome outcome; /* of a write: the authority only */

	/* The authority: what it loses, and what comes back. */
	bool loses;
	bool put_back_owned;
	unsigned writes, puts, takes;
	int64_t exptime;

	/* The deep layer's part in a write, in the order of its calls. */
	char calls[32];
	bool alone;
	enum layer_found found;
	bool busy_when_announced;
	bool fails_to_recall;
	bool off;
};

static struct tower tower;
static struct layer memory;
static struct layer authority;
static struct layer deep;

static struct layer_key key_of(const char *text)
{
	return (struct layer_key){ .wire = text,
				   .n_wire = strlen(text),
				   .hash = hash_bytes(text, strlen(text)),
				   .place = 1,
				   .server = "server:1" };
}

static void answer(struct layer *layer, struct layer_batch *batch, struct layer_item *item)
{
	item->answer = layer->down ? LAYER_DOWN : layer->has ? LAYER_HIT : LAYER_MISS;
	if (item->answer == LAYER_HIT) {
		item->value = layer->value;
		item->n_value = strlen(layer->value);
		item->deadline_ns = CLOCK_NEVER;
		batch->n_hits++;
	}
}

static void get_above(struct layer *layer, struct layer_batch *batch)
{
	layer->gets++;
	for (size_t i = 0; i < batch->n_items; i++) {
		struct layer_item *item = &batch->items[i];

		if (item->answer != LAYER_HIT && item->slot != LAYER_SLOT_BUSY) {
			answer(layer, batch, item);
		}
	}
}

static void get_authority(struct layer *layer, struct layer_batch *batch)
{
	layer->gets++;
	for (size_t i = 0; i < batch->n_items; i++) {
		if (batch->items[i].answer != LAYER_HIT) {
			answer(layer, batch, &batch->items[i]);
		}
	}
}

static void get_deep(struct layer *layer, struct layer_batch *batch)
{
	layer->gets++;
	for (size_t i = 0; i < batch->n_items; i++) {
		struct layer_item *item = &batch->items[i];

		if (item->answer == LAYER_MISS && item->slot != LAYER_SLOT_BUSY) {
			answer(layer, batch, item);
		}
	}
}

static bool submit(struct layer *layer, struct layer_batch *batch)
{
	layer->submits++;
	return true;
}

static bool submit_fails(struct layer *layer, struct layer_batch *batch)
{
	return false;
}

static enum layer_answer peek_above(struct layer *layer, const struct layer_key *key, bool want_cas,
				    const struct layer_allocator *allocator, struct layer_item *ret)
{
	layer->peeks++;
	layer->slot = ret->slot;
	return layer->has ? LAYER_HIT : LAYER_MISS;
}

static void fill(struct layer *layer, const struct layer_batch *batch, uint8_t own)
{
	for (size_t i = 0; i < batch->n_items; i++) {
		const struct layer_item *item = &batch->items[i];

		if (item->answer == LAYER_HIT && item->layer > own &&
		    item->slot != LAYER_SLOT_BUSY) {
			layer->fills++;
			layer->slot = item->slot;
		}
	}
}

static void write_authority(struct layer *layer, struct layer_write *write)
{
	layer->writes++;
	strcat(deep.calls, "w");
	write->outcome = layer->outcome;
	write->absent = layer->loses && !(layer->puts && write->again) && !write->created &&
			(write->no_create || write->verb != LAYER_INCREMENT);
	if (write->absent) {
		write->outcome = LAYER_REFUSED;
	}
}

static bool put_back(struct layer *layer, const struct layer_batch *batch,
		     const struct layer_write *write, const struct layer_item *item,
		     int64_t exptime)
{
	struct slots_ticket ticket;

	layer->puts++;
	layer->exptime = exptime;
	layer->put_back_owned = slots_load(tower.slots, item->key.hash) == LAYER_SLOT_BUSY &&
				!slots_enter_owning(tower.slots, item->key.hash, 0, &ticket);
	return true;
}

static void take_back(struct layer *layer, const struct layer_batch *batch,
		      const struct layer_write *write, const struct layer_item *item)
{
	layer->takes++;
}

static void announce(struct layer *layer, struct layer_write *write)
{
	strcat(layer->calls, "a");
	layer->busy_when_announced = slots_load(tower.slots, write->key.hash) == LAYER_SLOT_BUSY;
}

static void look(struct layer *layer, struct layer_write *write)
{
	strcat(layer->calls, "l");
	write->found = layer->found;
}

static void mark(struct layer *layer, struct layer_write *write)
{
	strcat(layer->calls, "m");
	layer->busy_when_told = slots_load(tower.slots, write->key.hash) == LAYER_SLOT_BUSY;
}

static void marked(struct layer *layer, struct layer_write *write)
{
	strcat(layer->calls, "M");
	write->found = layer->found;
}

static bool recall(struct layer *layer, struct layer_write *write,
		   const struct layer_allocator *allocator, struct layer_item *item)
{
	strcat(layer->calls, "r");
	item->deadline_ns = CLOCK_NEVER;
	return !layer->fails_to_recall;
}

static void commit(struct layer *layer, struct layer_write *write)
{
	strcat(layer->calls, "c");
	layer->alone = write->alone;
	layer->told_outcome = write->outcome;
	layer->told_slot = write->slot;
	layer->busy_when_announced |= slots_load(tower.slots, write->key.hash) == write->slot;
}

static void flush_servers(struct layer *layer, const char *const *servers, size_t n)
{
	layer->flushes++;
}

static void flush_later(struct layer *layer, const char *const *servers, size_t n)
{
	strcat(layer->calls, "f");
}

static void set_off(struct layer *layer, bool off)
{
	layer->off = off;
}

static void flush_due(struct layer *layer)
{
	layer->flushes++;
}

static void written(struct layer *layer, const struct layer_write *write)
{
	layer->told++;
	layer->told_outcome = write->outcome;
	layer->told_slot = write->slot;
	layer->busy_when_told = slots_load(tower.slots, write->key.hash) == LAYER_SLOT_BUSY;
}

static void flush(struct layer *layer)
{
	layer->flushes++;
}

static void abandoned(struct layer *layer, const void *end)
{
	layer->abandoned++;
}

static const struct layer_ops memory_fake = {
	.name = "memory",
	.capabilities = LAYER_PRIVATE,
	.get = get_above,
	.peek = peek_above,
	.fill = fill,
	.written = written,
	.flush = flush,
	.abandoned = abandoned,
};
static struct layer_ops authority_fake = {
	.name = "memcached",
	.capabilities = LAYER_AUTHORITY,
	.get = get_authority,
	.write = write_authority,
	.put_back = put_back,
	.take_back = take_back,
};
static const struct layer_ops deep_fake = {
	.name = "redis",
	.capabilities = LAYER_SHARED | LAYER_DEEP,
	.get = get_deep,
	.announce = announce,
	.look = look,
	.mark = mark,
	.marked = marked,
	.recall = recall,
	.commit = commit,
	.flush_servers = flush_servers,
	.flush_later = flush_later,
	.flush_due = flush_due,
	.set_off = set_off,
};

static struct slots_doubts *doubts;

static void no_free(void *owner, void *bytes)
{
}

static char folder[64];
static char path[80];

static int setup(void **state)
{
	const struct slots_options options = { .path = path, .n = 64, .group = SHM_NO_GROUP };
	const char *why;

	snprintf(folder, sizeof(folder), "/dev/shm/tower-test-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/table", folder);
	memset(&memory, 0, sizeof(memory));
	memset(&authority, 0, sizeof(authority));
	memset(&deep, 0, sizeof(deep));
	memset(&tower, 0, sizeof(tower));
	authority_fake.submit = NULL;
	tower.stats = stats_open(NULL, "unit", &(struct stats_names){ .n_calls = 0 });
	tower.slots = slots_open(&options, &why);
	tower.layers[0] = (struct tower_layer){ &memory_fake, &memory, STATS_MEMORY };
	tower.layers[1] = (struct tower_layer){ &authority_fake, &authority, STATS_MEMCACHED };
	tower.layers[2] = (struct tower_layer){ &deep_fake, &deep, STATS_REDIS };
	tower.n_layers = 3;
	tower.authority = 1;
	clock_fake(1000 * CLOCK_NS_PER_S, 1700000000);
	return 0;
}

static int teardown(void **state)
{
	slots_abandon(tower.slots, &doubts);
	clock_fake(10000 * CLOCK_NS_PER_S, 1700000000);
	slots_settle_old(tower.slots);
	slots_close(&tower.slots);
	stats_close(&tower.stats);
	clock_fake(0, 0);
	unlink(path);
	return rmdir(folder);
}

static struct layer_item read_one(const char *key)
{
	struct layer_item item = { .key = key_of(key) };
	struct layer_batch batch = { .items = &item, .n_items = 1 };

	if (tower_read_begin(&tower, &batch)) {
		tower_read_end(&tower, &batch);
	}
	return item;
}

static struct layer_write write_one(const char *key, enum layer_outcome outcome)
{
	struct layer_write write = { .verb = LAYER_SET,
				     .key = key_of(key),
				     .value = "v",
				     .n_value = 1,
				     .changes_expiry = true };

	authority.outcome = outcome;
	tower_write(&tower, &write, &doubts);
	return write;
}

static void test_hit_above__asks_nobody_below(void **state)
{
	memory.has = true;
	assert_int_equal(read_one("a").layer, 0);
	assert_int_equal(authority.gets + deep.gets + memory.fills, 0);
}

static void test_hit_at_the_authority__is_filled_above_and_not_asked_deeper(void **state)
{
	authority.has = true;
	assert_int_equal(read_one("a").layer, 1);
	assert_int_equal(memory.fills, 1);
	assert_true(memory.slot == slots_load(tower.slots, key_of("a").hash));
	assert_int_equal(deep.gets, 0);
}

static void test_clean_miss__goes_deeper_and_fills(void **state)
{
	deep.has = true;
	assert_int_equal(read_one("a").layer, 2);
	assert_int_equal(memory.fills, 1);
}

static void test_miss_everywhere__is_a_miss(void **state)
{
	assert_int_equal(read_one("a").answer, LAYER_MISS);
	assert_int_equal(memory.fills, 0);
}

static void test_authority_down__is_not_a_miss(void **state)
{
	authority.down = true;
	deep.has = true;
	assert_int_equal(read_one("a").answer, LAYER_DOWN);
	assert_int_equal(memory.fills, 0);
}

static void test_busy_slot__is_answered_by_the_authority_alone(void **state)
{
	struct slots_ticket ticket;

	memory.has = true;
	deep.has = true;
	slots_enter(tower.slots, key_of("a").hash, CLOCK_NEVER, &ticket);
	assert_int_equal(read_one("a").answer, LAYER_MISS);
	authority.has = true;
	assert_int_equal(read_one("a").layer, 1);
	assert_int_equal(memory.fills, 0);
}

/* A writer comes between the authority's miss and the deep read. */
static void get_with_writer(struct layer *layer, struct layer_batch *batch)
{
	struct slots_ticket ticket;

	get_authority(layer, batch);
	slots_enter(tower.slots, batch->items[0].key.hash, CLOCK_NEVER, &ticket);
	slots_leave(tower.slots, &ticket);
}

static void test_write_since_the_read_began__takes_the_deep_answer_away(void **state)
{
	void (*get)(struct layer *, struct layer_batch *) = authority_fake.get;

	deep.has = true;
	authority_fake.get = get_with_writer;
	assert_int_equal(read_one("a").answer, LAYER_MISS);
	authority_fake.get = get;
	assert_int_equal(memory.fills, 0);
}

static void test_submit_fails__ends_the_read(void **state)
{
	struct layer_item item = { .key = key_of("a") };
	struct layer_batch batch = { .items = &item, .n_items = 1 };

	authority_fake.submit = submit_fails;
	assert_false(tower_read_begin(&tower, &batch));
	assert_int_equal(authority.gets, 0);
}

static void test_batch_found_above__asks_the_authority_nothing(void **state)
{
	authority_fake.submit = submit;
	memory.has = true;
	assert_int_equal(read_one("a").layer, 0);
	assert_int_equal(authority.submits + authority.gets, 0);
}

static void test_probe__fills_nothing(void **state)
{
	struct layer_item item = { .key = key_of("a") };
	struct layer_batch batch = { .items = &item, .n_items = 1, .probe = true };

	authority.has = true;
	assert_true(tower_read_begin(&tower, &batch));
	tower_read_end(&tower, &batch);
	assert_int_equal(item.answer, LAYER_HIT);
	assert_int_equal(memory.fills, 0);
}

static void test_write__is_marked_in_its_slot_and_committed_after_it(void **state)
{
	struct layer_write write = write_one("a", LAYER_DONE);

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

	slots_enter(tower.slots, key_of("a").hash, CLOCK_NEVER, &ticket);
	write_one("a", LAYER_DONE);
	assert_true(memory.told_slot == LAYER_SLOT_BUSY);
	assert_false(deep.alone);
}

static struct layer_write write_lost(enum layer_verb verb, bool with_initial)
{
	struct layer_write write = { .verb = verb,
				     .key = key_of("a"),
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

	slots_enter(tower.slots, key_of("a").hash, CLOCK_NEVER, &ticket);
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
	struct layer_write write = { .verb = LAYER_ADD, .key = key_of("a") };

	deep.found = LAYER_FOUND_VALUE;
	tower_write(&tower, &write, &doubts);
	assert_string_equal(deep.calls, "alrmwMc");
	assert_int_equal(authority.puts, 1);
}

static void test_deep_hit__goes_back_when_it_comes_again(void **state)
{
	static struct tower_seen seen;

	tower.seen = &seen;
	deep.has = true;
	tower.config.redis_promote = CONFIG_PROMOTE_AGAIN;
	read_one("a");
	assert_int_equal(authority.puts, 0);
	read_one("a");
	assert_int_equal(authority.puts, 1);
	assert_true(authority.put_back_owned);
	/* Nobody else was there: memory may keep it. */
	assert_int_equal(memory.fills, 2);
	assert_true(memory.slot == slots_load(tower.slots, key_of("a").hash));
	tower.config.redis_promote = CONFIG_PROMOTE_NEVER;
	read_one("a");
	assert_int_equal(authority.puts, 1);
	tower.config.redis_promote = CONFIG_PROMOTE_ALWAYS;
	read_one("b");
	assert_int_equal(authority.puts, 2);
}

static void test_deep_hit_without_cas_id__is_put_back_and_asked_for_again(void **state)
{
	struct layer_item item = { .key = key_of("a") };
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

static void test_expiry__is_capped_where_it_counts(void **state)
{
	struct layer_write write = {
		.verb = LAYER_SET, .key = key_of("a"), .exptime = 7200, .changes_expiry = true
	};

	tower.config.memcached_ttl = 60 * CLOCK_NS_PER_S;
	tower_write(&tower, &write, &doubts);
	assert_int_equal(write.exptime, 60);
	assert_true(write.deadline_ns == 1060 * CLOCK_NS_PER_S);
	write = (struct layer_write){ .verb = LAYER_DELETE, .key = key_of("a") };
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
	assert_int_equal(read_one("a").answer, LAYER_MISS);
	write_one("a", LAYER_DONE);
	assert_false(deep.alone);
	clock_fake(1020 * CLOCK_NS_PER_S, 1700000020);
	read_one("a");
	assert_int_equal(memory.flushes, 1);
	assert_int_equal(deep.flushes, 1);
}

static void test_change__tells_all_layers_to_forget(void **state)
{
	struct layer_key key = key_of("a");

	tower_change(&tower, &key, 0, nothing, NULL, &doubts);
	assert_int_equal(memory.told_outcome, LAYER_DROPPED);
	assert_int_equal(deep.told_outcome, LAYER_DROPPED);
}

static void test_change_with_an_expiry__is_noted_for_readers(void **state)
{
	struct layer_key key = key_of("a");

	tower_change(&tower, &key, 10, nothing, NULL, &doubts);
	assert_true(slots_end(tower.slots, key.hash) <= 1010 * CLOCK_NS_PER_S);
}

static void test_uncertain_write__keeps_the_slot_busy_until_it_is_settled(void **state)
{
	memory.has = true;
	write_one("a", LAYER_UNCERTAIN);
	assert_true(memory.told_slot == LAYER_SLOT_BUSY);
	assert_int_equal(read_one("a").answer, LAYER_MISS);
	slots_settle(tower.slots, doubts);
	assert_int_equal(read_one("a").layer, 0);
}

static void test_uncertain_write__is_too_old_to_matter_after_a_while(void **state)
{
	memory.has = true;
	write_one("a", LAYER_UNCERTAIN);
	clock_fake(1000 * CLOCK_NS_PER_S + SLOTS_DOUBT_NS, 1700000000);
	assert_int_equal(read_one("a").layer, 0);
}

static void test_uncertain_flush__lets_nothing_out_until_it_has_happened(void **state)
{
	memory.has = true;
	tower_flush(&tower, NULL, 0, 0, unsure, NULL);
	assert_int_equal(read_one("a").answer, LAYER_MISS);
	clock_fake(1000 * CLOCK_NS_PER_S + SLOTS_SENT_NS, 1700000000);
	assert_int_equal(read_one("a").layer, 0);
	assert_int_equal(memory.flushes, 2);
}

static void test_flush_of_another_process__is_followed(void **state)
{
	slots_flush(tower.slots);
	read_one("a");
	assert_int_equal(memory.flushes, 1);
	assert_int_equal(deep.flushes, 0);
}

static bool peek_one(const char *key)
{
	const struct layer_key at = key_of(key);
	struct layer_item item;

	return tower_peek(&tower, &at, false, NULL, &item);
}

static void test_peek__is_a_hit_under_the_token_that_a_read_would_have(void **state)
{
	memory.has = true;
	assert_true(peek_one("a"));
	assert_true(memory.slot == slots_load(tower.slots, key_of("a").hash));
	assert_int_equal(memory.peeks, 1);
	assert_int_equal(memory.gets, 0);
}

static void test_peek__asks_nothing_where_there_is_something_to_do_before(void **state)
{
	struct slots_ticket ticket;

	memory.has = true;
	slots_enter(tower.slots, key_of("a").hash, CLOCK_NEVER, &ticket);
	assert_false(peek_one("a"));
	slots_leave(tower.slots, &ticket);
	slots_flush(tower.slots);
	assert_false(peek_one("a"));
	read_one("a");
	assert_true(peek_one("a"));
	slots_flush_later(tower.slots, 5000 * CLOCK_NS_PER_S, 5001 * CLOCK_NS_PER_S);
	assert_false(peek_one("a"));
	clock_fake(5002 * CLOCK_NS_PER_S, 1700000000);
	read_one("a");
	assert_true(peek_one("a"));
	write_one("b", LAYER_UNCERTAIN);
	assert_false(peek_one("a"));
	slots_settle(tower.slots, doubts);
	assert_true(peek_one("a"));
	assert_int_equal(memory.peeks, 3);
}

static void test_peek_that_misses__is_not_asked_for_again(void **state)
{
	struct layer_item item = { .key = key_of("a") };
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
	struct layer_item item = { .key = key_of("a") };
	struct layer_batch batch = { .items = &item, .n_items = 1 };

	authority.has = true;
	assert_false(tower_peek(&tower, &item.key, false, NULL, &item));
	write_one("a", LAYER_DONE);
	assert_true(tower_read_begin(&tower, &batch));
	tower_read_end(&tower, &batch);
	assert_true(memory.slot != slots_load(tower.slots, item.key.hash));
}

static void write_and_end(struct layer *layer, struct layer_write *write)
{
	pthread_exit(NULL);
}

static void *call_and_end(void *arg)
{
	tower_thread(&tower);
	write_one("a", LAYER_DONE);
	return NULL;
}

static void test_thread_that_ends_in_a_write__gives_back_what_it_held(void **state)
{
	const struct stats_names names = { .n_calls = 0 };
	pthread_t thread;

	tower.stats = stats_open(NULL, "unit", &names);
	atomic_store(&tower_now, &tower);
	authority_fake.write = write_and_end;
	assert_int_equal(pthread_create(&thread, NULL, call_and_end, NULL), 0);
	pthread_join(thread, NULL);
	authority_fake.write = write_authority;
	assert_int_equal(memory.abandoned, 1);
	assert_true(slots_load(tower.slots, key_of("a").hash) == LAYER_SLOT_BUSY);
	clock_fake(1000 * CLOCK_NS_PER_S + SLOTS_DOUBT_NS, 1700000000);
	slots_settle_old(tower.slots);
	assert_true(slots_load(tower.slots, key_of("a").hash) != LAYER_SLOT_BUSY);

	/* One whose calls have all come back, but for a change of memory maybe. */
	assert_int_equal(pthread_create(&thread, NULL, call_and_end, NULL), 0);
	pthread_join(thread, NULL);
	assert_int_equal(memory.abandoned, 2);
	atomic_store(&tower_now, NULL);
	stats_close(&tower.stats);
}

static void test_peek__is_nothing_where_the_first_layer_has_none(void **state)
{
	tower.layers[0] = tower.layers[1];
	assert_false(peek_one("a"));
}

static void test_value_of_the_authority__ends_when_a_writer_said(void **state)
{
	struct layer_write write = {
		.verb = LAYER_SET, .key = key_of("a"), .exptime = 5, .changes_expiry = true
	};

	tower_write(&tower, &write, &doubts);
	authority.has = true;
	assert_true(read_one("a").deadline_ns == 1005 * CLOCK_NS_PER_S);
	assert_true(read_one("b").deadline_ns == CLOCK_NEVER);
}

/* --- latencies --- */

static uint64_t timed(enum stats_layer layer, enum stats_operation operation)
{
	const struct stats_latency *latency = &tower.stats->latencies->of[layer][operation];
	uint64_t n = 0;

	for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
		n += latency->buckets[i];
	}
	return n;
}

/* So many that some are timed, whatever chance says. */
#define MANY 2000

static void test_reads__are_timed_in_the_layers_that_were_asked(void **state)
{
	authority.has = true;
	for (unsigned i = 0; i < MANY; i++) {
		read_one("a");
	}
	assert_in_range(timed(STATS_MEMCACHED, STATS_GET), MANY / 16, MANY / 4);
	assert_int_equal(timed(STATS_MEMORY, STATS_GET), timed(STATS_MEMCACHED, STATS_GET));
	assert_int_equal(timed(STATS_REDIS, STATS_GET), 0);
	assert_int_equal(timed(STATS_MEMCACHED, STATS_MGET) + timed(STATS_MEMCACHED, STATS_WRITE),
			 0);
}

static void test_peeks__are_timed_where_they_asked(void **state)
{
	const struct layer_key key = key_of("a");
	struct layer_item item = { .key = key };

	memory.has = true;
	for (unsigned i = 0; i < 10 * MANY; i++) {
		assert_true(tower_peek(&tower, &key, false, NULL, &item));
	}
	assert_in_range(timed(STATS_MEMORY, STATS_GET), 10 * MANY / 128, 10 * MANY / 32);
	slots_flush_later(tower.slots, clock_now_ns(), CLOCK_NEVER - 1);
	tower.stats->latencies->of[STATS_MEMORY][STATS_GET] = (struct stats_latency){ 0 };
	for (unsigned i = 0; i < 10 * MANY; i++) {
		assert_false(tower_peek(&tower, &key, false, NULL, &item));
	}
	assert_int_equal(timed(STATS_MEMORY, STATS_GET), 0);
}

static bool submit_for_5_ms(struct layer *layer, struct layer_batch *batch)
{
	clock_fake(clock_now_ns() + 5 * CLOCK_NS_PER_MS, 1700000000);
	return true;
}

/* The time of the program between the two halves is not the layer's. */
static void test_batch__is_timed_without_what_the_program_does_between(void **state)
{
	const struct stats_latency *latency =
		&tower.stats->latencies->of[STATS_MEMCACHED][STATS_MGET];

	authority_fake.submit = submit_for_5_ms;
	for (unsigned i = 0; i < MANY; i++) {
		struct layer_item items[2] = { { .key = key_of("a") }, { .key = key_of("b") } };
		struct layer_batch batch = { .items = items, .n_items = 2 };

		assert_true(tower_read_begin(&tower, &batch));
		clock_fake(clock_now_ns() + CLOCK_NS_PER_S, 1700000000);
		tower_read_end(&tower, &batch);
	}
	assert_in_range(timed(STATS_MEMCACHED, STATS_MGET), MANY / 16, MANY / 4);
	assert_int_equal(latency->buckets[latency_bucket(5000000)],
			 timed(STATS_MEMCACHED, STATS_MGET));
	assert_int_equal(timed(STATS_MEMCACHED, STATS_GET), 0);
}

static void test_writes__are_timed_where_something_was_sent(void **state)
{
	for (unsigned i = 0; i < MANY; i++) {
		write_one("a", LAYER_DONE);
	}
	assert_in_range(timed(STATS_MEMCACHED, STATS_WRITE), MANY / 16, MANY / 4);
	assert_int_equal(timed(STATS_REDIS, STATS_WRITE), timed(STATS_MEMCACHED, STATS_WRITE));
	for (unsigned i = 0; i < MANY; i++) {
		write_one("a", LAYER_UNSENT);
	}
	assert_in_range(timed(STATS_MEMCACHED, STATS_WRITE), MANY / 16, MANY / 4);
}

/* --- what memory spares --- */

static void test_bytes_of_hits__are_counted_by_layer(void **state)
{
	strcpy(authority.value, "12345");
	authority.has = true;
	read_one("a");
	read_one("a");
	strcpy(deep.value, "123");
	authority.has = false;
	deep.has = true;
	read_one("a");
	assert_int_equal(tower.stats->layers[STATS_MEMCACHED]->hit_bytes, 10);
	assert_int_equal(tower.stats->layers[STATS_REDIS]->hit_bytes, 3);
	assert_int_equal(tower.stats->layers[STATS_MEMORY]->hit_bytes, 0);
}

static void get_first_of_batch(struct layer *layer, struct layer_batch *batch)
{
	answer(layer, batch, &batch->items[0]);
}

static void test_batches__count_where_all_of_them_was_above(void **state)
{
	struct layer_ops ops = memory_fake;
	const struct layer_counters *counters = tower.stats->layers[STATS_MEMORY];

	tower.layers[0].ops = &ops;
	memory.has = true;
	for (unsigned i = 0; i < 2; i++) {
		struct layer_item items[2] = { { .key = key_of("a") }, { .key = key_of("b") } };
		struct layer_batch batch = { .items = items, .n_items = 2 };

		assert_true(tower_read_begin(&tower, &batch));
		assert_int_equal(counters->batches, 1);
		assert_int_equal(counters->batch_hits, 2 + i);
		ops.get = get_first_of_batch;
	}
	read_one("a");
	assert_int_equal(counters->batch_hits, 3);
}

/* --- switched off --- */

static void switch_layers(unsigned off, unsigned on)
{
	const struct slots_options options = { .path = path, .n = 64, .group = SHM_NO_GROUP };
	const char *why;
	unsigned now;

	assert_true(slots_switch(&options, off, on, &now, &why));
}

static void test_memory_switched_off__is_not_asked_filled_or_told(void **state)
{
	const struct layer_key key = key_of("a");
	struct layer_item item = { .key = key };

	memory.has = true;
	authority.has = true;
	switch_layers(LAYER_PRIVATE, 0);
	assert_false(tower_is_off(&tower));
	assert_false(tower_peek(&tower, &key, false, NULL, &item));
	assert_int_equal(item.answer, LAYER_UNASKED);
	assert_int_equal(read_one("a").layer, 1);
	write_one("a", LAYER_DONE);
	assert_int_equal(memory.gets + memory.peeks + memory.fills + memory.told, 0);
	assert_string_equal(deep.calls, "amwMc");
	assert_false(deep.off);
	switch_layers(0, LAYER_PRIVATE);
	assert_true(tower_peek(&tower, &key, false, NULL, &item));
}

static void test_write_while_memory_is_off__changes_the_slot(void **state)
{
	const struct layer_key key = key_of("a");
	uint64_t before = slots_load(tower.slots, key.hash);

	switch_layers(LAYER_PRIVATE, 0);
	write_one("a", LAYER_DONE);
	switch_layers(0, LAYER_PRIVATE);
	assert_true(slots_load(tower.slots, key.hash) != before);
	assert_true(slots_load(tower.slots, key.hash) != LAYER_SLOT_BUSY);
}

static void test_redis_switched_off__is_not_read_and_told_so(void **state)
{
	deep.has = true;
	switch_layers(LAYER_SHARED, 0);
	assert_int_equal(read_one("a").answer, LAYER_MISS);
	assert_true(deep.off);
	assert_int_equal(deep.gets, 0);
	/* It keeps account of what it does not hear of. */
	write_one("a", LAYER_DONE);
	assert_string_equal(deep.calls, "amwMc");
	switch_layers(0, LAYER_SHARED);
	assert_int_equal(read_one("a").layer, 2);
	assert_false(deep.off);
}

static void test_all_switched_off__leaves_the_authority(void **state)
{
	memory.has = true;
	deep.has = true;
	switch_layers(LAYER_PRIVATE | LAYER_SHARED | LAYER_AUTHORITY, 0);
	assert_true(tower_is_off(&tower));
	assert_int_equal(read_one("a").answer, LAYER_MISS);
	authority.has = true;
	assert_int_equal(read_one("a").layer, 1);
	assert_int_equal(write_one("a", LAYER_DONE).outcome, LAYER_DONE);
	assert_int_equal(memory.gets + deep.gets, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_hit_above__asks_nobody_below, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_hit_at_the_authority__is_filled_above_and_not_asked_deeper, setup,
			teardown),
		cmocka_unit_test_setup_teardown(test_clean_miss__goes_deeper_and_fills, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_miss_everywhere__is_a_miss, setup, teardown),
		cmocka_unit_test_setup_teardown(test_authority_down__is_not_a_miss, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_busy_slot__is_answered_by_the_authority_alone,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_write_since_the_read_began__takes_the_deep_answer_away, setup,
			teardown),
		cmocka_unit_test_setup_teardown(test_submit_fails__ends_the_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_batch_found_above__asks_the_authority_nothing,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_probe__fills_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_write__is_marked_in_its_slot_and_committed_after_it, setup, teardown),
		cmocka_unit_test_setup_teardown(test_write_beside_another__keeps_nothing_in_memory,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_key_that_memcached_lost__goes_back_and_the_call_is_repeated, setup,
			teardown),
		cmocka_unit_test_setup_teardown(test_key_that_nobody_has__is_refused_once, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_key_that_cannot_be_recalled__stays_lost, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			test_lost_key_beside_another_writer__is_not_put_back, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_delete_of_what_only_the_deep_layer_has__is_done, setup, teardown),
		cmocka_unit_test_setup_teardown(test_counter_that_nobody_has__is_made_only_then,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_add__looks_first, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deep_hit__goes_back_when_it_comes_again, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			test_deep_hit_without_cas_id__is_put_back_and_asked_for_again, setup,
			teardown),
		cmocka_unit_test_setup_teardown(test_expiry__is_capped_where_it_counts, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			test_flush__empties_all_layers_and_changes_all_tokens, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_flush_later__takes_effect_at_its_time_and_deep_copies_wait, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			test_uncertain_write__keeps_the_slot_busy_until_it_is_settled, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			test_uncertain_write__is_too_old_to_matter_after_a_while, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_uncertain_flush__lets_nothing_out_until_it_has_happened, setup,
			teardown),
		cmocka_unit_test_setup_teardown(test_flush_of_another_process__is_followed, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			test_peek__is_a_hit_under_the_token_that_a_read_would_have, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			test_peek__asks_nothing_where_there_is_something_to_do_before, setup,
			teardown),
		cmocka_unit_test_setup_teardown(test_peek_that_misses__is_not_asked_for_again,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_write_after_a_peek_that_missed__voids_the_fill,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_thread_that_ends_in_a_write__gives_back_what_it_held, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_peek__is_nothing_where_the_first_layer_has_none, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_value_of_the_authority__ends_when_a_writer_said, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reads__are_timed_in_the_layers_that_were_asked,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_peeks__are_timed_where_they_asked, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			test_batch__is_timed_without_what_the_program_does_between, setup,
			teardown),
		cmocka_unit_test_setup_teardown(test_writes__are_timed_where_something_was_sent,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_bytes_of_hits__are_counted_by_layer, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_batches__count_where_all_of_them_was_above,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_memory_switched_off__is_not_asked_filled_or_told, setup, teardown),
		cmocka_unit_test_setup_teardown(test_write_while_memory_is_off__changes_the_slot,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_redis_switched_off__is_not_read_and_told_so,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_all_switched_off__leaves_the_authority, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_change__tells_all_layers_to_forget, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_change_with_an_expiry__is_noted_for_readers,
						setup, teardown),
	};

	return cmocka_run_group_tests_name("tower", tests, NULL, NULL);
}
