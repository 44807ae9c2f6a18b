#include "layers/memory.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/lock.h"

/* uthash must never exit the host: out of memory is an entry not stored. */
#define HASH_NONFATAL_OOM 1
#define HASH_FUNCTION(key, n, hashv) ((hashv) = (unsigned)hash_bytes((key), (n)))
#include <uthash.h>

/* Of one allocation, and an entry's share of the table's buckets. */
#define MALLOC_OVERHEAD 16
#define BUCKET_OVERHEAD 16

/*
 * An entry that is among so large a part of the newest stays where it is when it
 * is used: moving it would touch its neighbours for nothing.
 */
#define RECENT_PART 8

/* memcached's clock ticks in seconds, so that items may end so much early. */
#define EARLY_END_NS (CLOCK_NS_PER_S + CLOCK_COARSE_LAG_NS)

struct entry {
	UT_hash_handle hh;
	struct entry *newer;
	struct entry *older;
	_Atomic unsigned holders; /* the table and every reader that copies */
	uint32_t flags;
	uint64_t slot;
	uint64_t turn; /* of layer.turn, when it last became the newest */
	uint64_t cas;
	int64_t deadline_ns;
	size_t n_value;
	uint16_t n_key; /* of the table's key: place and wire key */
	bool has_cas;
	char bytes[]; /* the table's key, then the value */
};

struct layer {
	struct lock lock; /* guards: everything below but options */
	struct entry *table;
	struct entry *newest;
	struct entry *oldest;
	uint64_t n_bytes;
	uint64_t n_items;
	uint64_t turn;	 /* entries that have become the newest so far */
	uint64_t random; /* for jitter */
	struct memory_options options;
	struct layer_counters **counters;
};

/* The table's key: the place makes two servers' items different. */
struct table_key {
	char bytes[sizeof(uint64_t) + LAYER_KEY_MAX];
	unsigned n;
	unsigned hash;
};

static void table_key_make(struct table_key *key, const struct layer_key *item)
{
	memcpy(key->bytes, &item->place, sizeof(item->place));
	memcpy(key->bytes + sizeof(item->place), item->wire, item->n_wire);
	key->n = (unsigned)(sizeof(item->place) + item->n_wire);
	key->hash = (unsigned)hash_mix(item->hash, item->place);
}

static uint64_t entry_cost(size_t n_key, size_t n_value)
{
	return sizeof(struct entry) + n_key + n_value + MALLOC_OVERHEAD + BUCKET_OVERHEAD;
}

static struct entry *find_locked(struct layer *layer, const struct table_key *key)
{
	struct entry *entry = NULL;

	HASH_FIND_BYHASHVALUE(hh, layer->table, key->bytes, key->n, key->hash, entry);
	return entry;
}

static void list_take_locked(struct layer *layer, struct entry *entry)
{
	if (entry->newer) {
		entry->newer->older = entry->older;
	} else {
		layer->newest = entry->older;
	}
	if (entry->older) {
		entry->older->newer = entry->newer;
	} else {
		layer->oldest = entry->newer;
	}
}

static void list_put_locked(struct layer *layer, struct entry *entry)
{
	entry->turn = ++layer->turn;
	entry->newer = NULL;
	entry->older = layer->newest;
	if (layer->newest) {
		layer->newest->newer = entry;
	} else {
		layer->oldest = entry;
	}
	layer->newest = entry;
}

/* The last one to let go frees it, with or without the lock. */
static void let_go(struct entry *entry)
{
	if (atomic_fetch_sub_explicit(&entry->holders, 1, memory_order_acq_rel) == 1) {
		free(entry);
	}
}

static void gauges_locked(const struct layer *layer)
{
	gauge_set(&(*layer->counters)->items, layer->n_items);
	gauge_set(&(*layer->counters)->bytes, layer->n_bytes);
}

static void drop_locked(struct layer *layer, struct entry *entry)
{
	/* The analyser does not know that table and list hold the same entries. */
	HASH_DEL(layer->table, entry); // NOLINT(clang-analyzer-core.NullDereference)
	list_take_locked(layer, entry);
	layer->n_bytes -= entry_cost(entry->n_key, entry->n_value);
	layer->n_items--;
	gauges_locked(layer);
	let_go(entry);
}

static bool over_budget_locked(const struct layer *layer)
{
	const struct memory_options *options = &layer->options;

	return layer->n_bytes > options->max_bytes ||
	       (options->max_items && layer->n_items > options->max_items);
}

static int64_t deadline_locked(struct layer *layer, int64_t now, int64_t known_ns)
{
	int64_t ttl = layer->options.ttl_ns;
	int64_t deadline = known_ns == CLOCK_NEVER ? CLOCK_NEVER : known_ns - EARLY_END_NS;

	if (ttl == 0) {
		return deadline;
	}
	/* xorshift64 (Marsaglia 2003): spread, not secrecy, is wanted. */
	layer->random ^= layer->random << 13;
	layer->random ^= layer->random >> 7;
	layer->random ^= layer->random << 17;
	ttl -= (int64_t)((double)ttl * layer->options.ttl_jitter / 100 *
			 (double)(layer->random % 1024) / 1024);
	return now + ttl < deadline ? now + ttl : deadline;
}

/* What is to be stored, from a fill or from a write. */
struct offer {
	const struct layer_key *key;
	uint64_t slot;
	const char *value;
	size_t n_value;
	uint32_t flags;
	uint64_t cas;
	bool has_cas;
	int64_t deadline_ns;
};

static struct entry *entry_new(const struct table_key *key, const struct offer *offer)
{
	struct entry *entry = malloc(sizeof(*entry) + key->n + offer->n_value);

	if (entry == NULL) {
		return NULL;
	}
	memset(entry, 0, sizeof(*entry));
	entry->holders = 1;
	entry->flags = offer->flags;
	entry->slot = offer->slot;
	entry->cas = offer->cas;
	entry->has_cas = offer->has_cas;
	entry->n_value = offer->n_value;
	entry->n_key = (uint16_t)key->n;
	memcpy(entry->bytes, key->bytes, key->n);
	if (offer->n_value) {
		memcpy(entry->bytes + key->n, offer->value, offer->n_value);
	}
	return entry;
}

static bool fits(const struct layer *layer, const struct offer *offer)
{
	const struct memory_options *options = &layer->options;
	uint64_t n = offer->key->n_wire + offer->n_value;

	return (options->max_item_bytes == 0 || n <= options->max_item_bytes) &&
	       n <= options->max_bytes &&
	       entry_cost(offer->key->n_wire + sizeof(uint64_t), offer->n_value) <=
		       options->max_bytes;
}

static void forget_locked(struct layer *layer, const struct table_key *key)
{
	struct entry *old = find_locked(layer, key);

	if (old) {
		drop_locked(layer, old);
		counter_add(&(*layer->counters)->invalidated, 1);
	}
}

static bool add_locked(struct layer *layer, const struct table_key *key, struct entry *entry)
{
	struct entry *old = find_locked(layer, key);

	if (old) {
		drop_locked(layer, old);
	}
	HASH_ADD_KEYPTR_BYHASHVALUE(hh, layer->table, entry->bytes, key->n, key->hash, entry);
	if (entry->hh.tbl == NULL) {
		return false;
	}
	list_put_locked(layer, entry);
	layer->n_bytes += entry_cost(entry->n_key, entry->n_value);
	layer->n_items++;
	while (over_budget_locked(layer)) {
		drop_locked(layer, layer->oldest);
		counter_add(&(*layer->counters)->evictions, 1);
	}
	gauges_locked(layer);
	return true;
}

/* Stores the offer, or at least makes sure that nothing older stays. */
static void put(struct layer *layer, const struct offer *offer)
{
	int64_t now = clock_coarse_ns();
	struct table_key key;
	struct entry *entry = NULL;
	bool stored = false;

	table_key_make(&key, offer->key);
	if (offer->slot != LAYER_SLOT_BUSY && fits(layer, offer)) {
		entry = entry_new(&key, offer);
	}
	lock_take(&layer->lock);
	if (entry) {
		entry->deadline_ns = deadline_locked(layer, now, offer->deadline_ns);
		stored = entry->deadline_ns > now && add_locked(layer, &key, entry);
	}
	if (!stored) {
		forget_locked(layer, &key);
	}
	lock_release(&layer->lock);
	if (!stored) {
		free(entry);
	}
	counter_add(stored ? &(*layer->counters)->fills : &(*layer->counters)->rejected, 1);
}

/* A reader's hold on the entry, or NULL. */
static struct entry *look_up(struct layer *layer, const struct layer_item *item, bool want_cas,
			     int64_t now)
{
	struct table_key key;
	struct entry *entry;

	table_key_make(&key, &item->key);
	lock_take(&layer->lock);
	entry = find_locked(layer, &key);
	if (entry && entry->slot != item->slot) {
		counter_add(&(*layer->counters)->invalidated, 1);
		drop_locked(layer, entry);
		entry = NULL;
	} else if (entry && entry->deadline_ns <= now) {
		counter_add(&(*layer->counters)->expired, 1);
		drop_locked(layer, entry);
		entry = NULL;
	} else if (entry && want_cas && !entry->has_cas) {
		entry = NULL;
	}
	if (entry) {
		if (layer->turn - entry->turn > layer->n_items / RECENT_PART) {
			list_take_locked(layer, entry);
			list_put_locked(layer, entry);
		}
		atomic_fetch_add_explicit(&entry->holders, 1, memory_order_relaxed);
	}
	lock_release(&layer->lock);
	return entry;
}

/* False where the program's memory is out. */
static bool answer(struct layer_item *item, const struct entry *entry,
		   const struct layer_allocator *allocator)
{
	char *value = NULL;

	if (entry->n_value) {
		value = allocator->alloc(allocator->owner, entry->n_value + 1);
		if (value == NULL) {
			return false;
		}
		memcpy(value, entry->bytes + entry->n_key, entry->n_value);
		value[entry->n_value] = '\0';
	}
	item->value = value;
	item->n_value = entry->n_value;
	item->flags = entry->flags;
	item->cas = entry->cas;
	item->has_cas = entry->has_cas;
	item->deadline_ns = entry->deadline_ns;
	return true;
}

static void memory_get(struct layer *layer, struct layer_batch *batch)
{
	int64_t now = clock_coarse_ns();
	uint64_t hits = 0;
	uint64_t misses = 0;

	for (size_t i = 0; i < batch->n_items; i++) {
		struct layer_item *item = &batch->items[i];
		struct entry *entry;

		if (item->answer == LAYER_HIT || item->slot == LAYER_SLOT_BUSY) {
			continue;
		}
		entry = look_up(layer, item, batch->want_cas, now);
		item->answer = LAYER_MISS;
		if (entry) {
			if (batch->probe || answer(item, entry, &batch->allocator)) {
				item->answer = LAYER_HIT;
			}
			let_go(entry);
		}
		if (item->answer == LAYER_HIT) {
			hits++;
		} else {
			misses++;
		}
	}
	batch->n_hits += hits;
	if (hits) {
		counter_add(&(*layer->counters)->hits, hits);
	}
	if (misses) {
		counter_add(&(*layer->counters)->misses, misses);
	}
}

static void memory_fill(struct layer *layer, const struct layer_batch *batch, uint8_t own)
{
	for (size_t i = 0; i < batch->n_items; i++) {
		const struct layer_item *item = &batch->items[i];
		struct offer offer = {
			.key = &item->key,
			.slot = item->slot,
			.value = item->value,
			.n_value = item->n_value,
			.flags = item->flags,
			.cas = item->cas,
			.has_cas = item->has_cas,
			.deadline_ns = item->deadline_ns,
		};

		if (item->answer == LAYER_HIT && item->layer > own &&
		    item->slot != LAYER_SLOT_BUSY) {
			put(layer, &offer);
		}
	}
}

static bool stores(const struct layer_write *write)
{
	return write->outcome == LAYER_DONE &&
	       (write->verb == LAYER_SET || write->verb == LAYER_ADD ||
		write->verb == LAYER_REPLACE || write->verb == LAYER_CAS);
}

static void memory_written(struct layer *layer, const struct layer_write *write)
{
	struct offer offer = {
		.key = &write->key,
		.slot = write->slot,
		.value = write->value,
		.n_value = write->n_value,
		.flags = write->flags,
		.deadline_ns = write->deadline_ns,
	};
	struct table_key key;

	if (write->outcome == LAYER_UNSENT) {
		return;
	}
	if (stores(write)) {
		put(layer, &offer);
		return;
	}
	table_key_make(&key, &write->key);
	lock_take(&layer->lock);
	forget_locked(layer, &key);
	lock_release(&layer->lock);
}

static void memory_flush(struct layer *layer)
{
	lock_take(&layer->lock);
	counter_add(&(*layer->counters)->invalidated, layer->n_items);
	while (layer->oldest) {
		drop_locked(layer, layer->oldest); // NOLINT(clang-analyzer-unix.Malloc)
	}
	lock_release(&layer->lock);
}

struct layer *memory_open(const struct memory_options *options, struct layer_counters **counters)
{
	struct layer *layer = calloc(1, sizeof(*layer));

	if (layer == NULL) {
		return NULL;
	}
	lock_init(&layer->lock, LOCK_RANK_MEMORY);
	layer->options = *options;
	layer->counters = counters;
	layer->random = (uint64_t)clock_now_ns() | 1;
	return layer;
}

static void memory_close(struct layer **layer)
{
	if (*layer == NULL) {
		return;
	}
	memory_flush(*layer);
	lock_done(&(*layer)->lock);
	free(*layer);
	*layer = NULL;
}

static void memory_prepare(struct layer *layer)
{
	lock_take(&layer->lock);
}

static void memory_parent(struct layer *layer)
{
	lock_release(&layer->lock);
}

static void memory_child(struct layer *layer)
{
	lock_reset(&layer->lock);
}

const struct layer_ops memory_ops = {
	.name = "memory",
	.capabilities = LAYER_PRIVATE,
	.get = memory_get,
	.fill = memory_fill,
	.written = memory_written,
	.flush = memory_flush,
	.close = memory_close,
	.prepare = memory_prepare,
	.parent = memory_parent,
	.child = memory_child,
};
