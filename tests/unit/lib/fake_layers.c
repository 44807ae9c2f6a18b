#include "tests/unit/lib/fake_layers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/hash.h"

struct tower tower;
struct layer memory;
struct layer authority;
struct layer deep;

struct layer_key fakes_key(const char *text)
{
	return (struct layer_key){ .wire = text,
				   .n_wire = strlen(text),
				   .hash = hash_bytes(text, strlen(text)),
				   .place = 1,
				   .server = "server:1" };
}

void fakes_answer(struct layer *layer, struct layer_batch *batch, struct layer_item *item)
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
			fakes_answer(layer, batch, item);
		}
	}
}

void fakes_get_authority(struct layer *layer, struct layer_batch *batch)
{
	layer->gets++;
	for (size_t i = 0; i < batch->n_items; i++) {
		if (batch->items[i].answer != LAYER_HIT) {
			fakes_answer(layer, batch, &batch->items[i]);
		}
	}
}

static void get_deep(struct layer *layer, struct layer_batch *batch)
{
	layer->gets++;
	for (size_t i = 0; i < batch->n_items; i++) {
		struct layer_item *item = &batch->items[i];

		if (item->answer == LAYER_MISS && item->slot != LAYER_SLOT_BUSY) {
			fakes_answer(layer, batch, item);
			item->stays_below = layer->several;
		}
	}
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

/* The first calls, as many as there is room for. */
static void called(struct layer *layer, char letter)
{
	size_t n = strlen(layer->calls);

	if (n + 1 < sizeof(layer->calls)) {
		layer->calls[n] = letter;
		layer->calls[n + 1] = '\0';
	}
}

void fakes_write_authority(struct layer *layer, struct layer_write *write)
{
	layer->writes++;
	called(&deep, 'w');
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
	called(layer, 'a');
	layer->busy_when_announced = slots_load(tower.slots, write->key.hash) == LAYER_SLOT_BUSY;
}

static void look(struct layer *layer, struct layer_write *write)
{
	called(layer, 'l');
	write->found = layer->found;
	write->stays_below = layer->several;
}

static void mark(struct layer *layer, struct layer_write *write)
{
	called(layer, 'm');
	write->stays_below = layer->several;
	layer->busy_when_told = slots_load(tower.slots, write->key.hash) == LAYER_SLOT_BUSY;
}

static void marked(struct layer *layer, struct layer_write *write)
{
	called(layer, 'M');
	write->found = layer->found;
}

static bool recall(struct layer *layer, struct layer_write *write,
		   const struct layer_allocator *allocator, struct layer_item *item)
{
	called(layer, 'r');
	item->deadline_ns = CLOCK_NEVER;
	return !layer->fails_to_recall;
}

/* Whether somebody owns the key's slot. */
static bool is_owned(const struct layer_key *key)
{
	struct slots_ticket ticket;

	return slots_load(tower.slots, key->hash) == LAYER_SLOT_BUSY &&
	       !slots_enter_owning(tower.slots, key->hash, 0, &ticket);
}

static bool may_stay(struct layer *layer, const struct layer_write *write,
		     const struct layer_item *item)
{
	layer->owned_when_asked = is_owned(&item->key);
	return !layer->another_came;
}

static void leaving(struct layer *layer, struct layer_write *write)
{
	layer->busy_when_leaving = slots_load(tower.slots, write->key.hash) == LAYER_SLOT_BUSY;
}

static void commit(struct layer *layer, struct layer_write *write)
{
	called(layer, 'c');
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
	called(layer, 'f');
	layer->flush_comes = true;
}

static void set_off(struct layer *layer, bool off)
{
	layer->off = off;
}

static void flush_due(struct layer *layer)
{
	layer->flushes += layer->flush_comes;
	layer->flush_comes = false;
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

const struct layer_ops memory_fake = {
	.name = "memory",
	.capabilities = LAYER_PRIVATE,
	.get = get_above,
	.peek = peek_above,
	.fill = fill,
	.written = written,
	.flush = flush,
	.abandoned = abandoned,
};
struct layer_ops authority_fake = {
	.name = "memcached",
	.capabilities = LAYER_AUTHORITY,
	.get = fakes_get_authority,
	.write = fakes_write_authority,
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
	.may_stay = may_stay,
	.leaving = leaving,
	.commit = commit,
	.flush_servers = flush_servers,
	.flush_later = flush_later,
	.flush_due = flush_due,
	.set_off = set_off,
};

struct slots_doubts *doubts;

static char folder[64];
char fakes_path[80];

int fakes_setup(void **state)
{
	const struct slots_options options = { .path = fakes_path, .n = 64, .group = SHM_NO_GROUP };
	const char *why;

	snprintf(folder, sizeof(folder), "/dev/shm/tower-test-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(fakes_path, sizeof(fakes_path), "%s/table", folder);
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
	clock_fake(FAKES_START_NS, 1700000000);
	return 0;
}

int fakes_teardown(void **state)
{
	slots_abandon(tower.slots, &doubts);
	clock_fake(10000 * CLOCK_NS_PER_S, 1700000000);
	slots_settle_old(tower.slots);
	slots_close(&tower.slots);
	stats_close(&tower.stats);
	clock_fake(0, 0);
	unlink(fakes_path);
	return rmdir(folder);
}

struct layer_item fakes_read(const char *key)
{
	struct layer_item item = { .key = fakes_key(key) };
	struct layer_batch batch = { .items = &item, .n_items = 1 };

	if (tower_read_begin(&tower, &batch)) {
		tower_read_end(&tower, &batch);
	}
	return item;
}

struct layer_write fakes_write(const char *key, enum layer_outcome outcome)
{
	struct layer_write write = { .verb = LAYER_SET,
				     .key = fakes_key(key),
				     .value = "v",
				     .n_value = 1,
				     .changes_expiry = true };

	authority.outcome = outcome;
	tower_write(&tower, &write, &doubts);
	return write;
}
