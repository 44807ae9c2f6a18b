#include "layers/memory.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/lock.h"
#include "layers/memory_index.h"
#include "layers/memory_log.h"

/* memcached's clock ticks in seconds, so that items may end so much early. */
#define EARLY_END_NS (CLOCK_NS_PER_S + CLOCK_COARSE_LAG_NS)

/* Words of the first table; it doubles when half of the words are taken. */
#define INDEX_WORDS_MIN 64

/* The table may take so large a part of the budget. */
#define INDEX_PART 4

/* What one insertion moves at most, so that its time is bounded: then it evicts. */
#define MOVE_ENTRIES_MAX 64
#define MOVE_BYTES_MAX (UINT64_C(1) << 20)

/* Where so large a part of what is in use is dead, the living are moved over it. */
#define DEAD_PART 8

#define CACHE_LINE 64

/* What an insertion may still move. */
struct moves {
	unsigned n_entries;
	uint64_t n_bytes;
};

struct layer {
	struct memory_index index;
	struct memory_log log;
	struct memory_options options;
	struct layer_counters **counters;

	struct lock lock;  /* guards: changes of index and log, and everything below */
	uint64_t n_living; /* bytes of entries that are in the index */
	uint64_t n_items;
	uint64_t random; /* for jitter */
};

/* An entry that a reader found, as it was while the log held it. */
struct found {
	uint64_t place;
	struct memory_head head;
	_Atomic uint64_t *at;
	uint64_t word;
};

static uint64_t hash_of(const struct layer_key *key)
{
	return hash_mix(key->hash, key->place);
}

static size_t key_offset(const struct memory_head *head)
{
	return sizeof(*head) + (head->kind == MEMORY_ENTRY_WITH_CAS ? sizeof(uint64_t) : 0);
}

/* --- reading, without a lock --- */

/*
 * Whether the word leads to this key's entry.  What is read may be overwritten
 * at any moment: sizes are bounded before they are used, and memory_log_holds()
 * comes last.
 */
static inline bool is_entry_of(const struct layer *layer, uint64_t word,
			       const struct layer_key *key, struct found *ret)
{
	const struct memory_log *log = &layer->log;
	uint64_t head = atomic_load_explicit(&log->head, memory_order_relaxed);
	uint64_t place = memory_log_place(memory_word_place(word), head);
	const char *bytes = memory_log_at(log, place);
	uint64_t left = log->mask + 1 - (place & log->mask);

	if (left < sizeof(ret->head)) {
		return false;
	}
	/* Where in these lines the value begins is known only when the head has come. */
	__builtin_prefetch(bytes + CACHE_LINE);
	__builtin_prefetch(bytes + (size_t)2 * CACHE_LINE);
	racy_copy(&ret->head, bytes, sizeof(ret->head));
	if (ret->head.n_key != key->n_wire || ret->head.where != key->place ||
	    ret->head.kind > MEMORY_ENTRY_WITH_CAS ||
	    key_offset(&ret->head) + ret->head.n_key + ret->head.n_value > left) {
		return false;
	}
	if (!racy_equal(bytes + key_offset(&ret->head), key->wire, key->n_wire)) {
		return false;
	}
	ret->place = place;
	ret->word = word;
	return memory_log_holds(log, place);
}

static inline bool find(const struct layer *layer, const struct layer_key *key, struct found *ret)
{
	struct memory_ways ways = memory_index_ways(&layer->index, hash_of(key));

	for (unsigned i = 0; i < 2; i++) {
		_Atomic uint64_t *line = ways.lines[i];

		for (unsigned j = 0; j < MEMORY_INDEX_LINE; j++) {
			uint64_t word = atomic_load_explicit(&line[j], memory_order_acquire);

			if ((word & MEMORY_WORD_TAG) == ways.tag && word &&
			    is_entry_of(layer, word, key, ret)) {
				ret->at = &line[j];
				return true;
			}
		}
	}
	return false;
}

/* False where the program's memory is out, or the entry went meanwhile. */
static inline bool answer(const struct layer *layer, const struct found *found,
			  const struct layer_allocator *allocator, struct layer_item *item)
{
	const struct memory_head *head = &found->head;
	const char *bytes = memory_log_at(&layer->log, found->place);
	char *value = NULL;
	uint64_t cas = 0;

	if (head->n_value) {
		value = allocator->alloc(allocator->owner, (size_t)head->n_value + 1);
		if (value == NULL) {
			return false;
		}
		racy_copy(value, bytes + key_offset(head) + head->n_key, head->n_value);
		value[head->n_value] = '\0';
	}
	if (head->kind == MEMORY_ENTRY_WITH_CAS) {
		racy_copy(&cas, bytes + sizeof(*head), sizeof(cas));
	}
	if (!memory_log_holds(&layer->log, found->place)) {
		allocator->free(allocator->owner, value);
		return false;
	}
	item->value = value;
	item->n_value = head->n_value;
	item->flags = head->flags;
	item->cas = cas;
	item->has_cas = head->kind == MEMORY_ENTRY_WITH_CAS;
	item->deadline_ns = head->deadline_ns;
	return true;
}

/* --- changing, under the lock --- */

static void gauges_locked(const struct layer *layer)
{
	gauge_set(&(*layer->counters)->items, layer->n_items);
	gauge_set(&(*layer->counters)->bytes,
		  layer->n_items ? memory_log_used(&layer->log) + memory_index_bytes(&layer->index)
				 : 0);
}

/* The entry is in no one's way any more; its bytes stay until the head passes them. */
static void unlink_locked(struct layer *layer, _Atomic uint64_t *at, const struct memory_head *head)
{
	atomic_store_explicit(at, 0, memory_order_relaxed);
	layer->n_living -= (uint64_t)head->n_units * MEMORY_UNIT;
	layer->n_items--;
	gauges_locked(layer);
}

static bool forget_locked(struct layer *layer, const struct layer_key *key)
{
	struct found found;

	if (!find(layer, key, &found)) {
		return false;
	}
	unlink_locked(layer, found.at, &found.head);
	return true;
}

/* The hash of an entry in the log; its key is hashed again. */
static uint64_t entry_hash(const struct memory_head *head, const char *bytes)
{
	return hash_mix(hash_bytes(bytes + key_offset(head), head->n_key), head->where);
}

/* The word that leads to this place, or NULL where the entry is dead. */
static _Atomic uint64_t *word_of_locked(const struct layer *layer, uint64_t hash, uint64_t place)
{
	struct memory_ways ways = memory_index_ways(&layer->index, hash);
	uint64_t wanted = memory_word(place, ways.tag);

	for (unsigned i = 0; i < MEMORY_INDEX_WAYS; i++) {
		_Atomic uint64_t *at = memory_index_way(&ways, i);
		uint64_t word = atomic_load_explicit(at, memory_order_relaxed);

		if ((word & ~MEMORY_WORD_USED) == wanted) {
			return at;
		}
	}
	return NULL;
}

static uint64_t ring_limit(const struct layer *layer)
{
	return layer->options.max_bytes - memory_index_bytes(&layer->index);
}

/* Moves the oldest entry, which the head has passed already, to the tail. */
static bool move_locked(struct layer *layer, _Atomic uint64_t *at, uint64_t place, uint64_t size)
{
	struct memory_log *log = &layer->log;
	uint64_t word;
	uint64_t to;

	/* A filler might be written over it. */
	if (!memory_log_is_next(log, size) || memory_log_used(log) + size > ring_limit(layer)) {
		return false;
	}
	to = memory_log_put(log, size);
	/* It may overlap where it was; then it lies in front of that. */
	racy_move(log->ring + (to & log->mask), memory_log_at(log, place), size);
	word = atomic_load_explicit(at, memory_order_relaxed) & MEMORY_WORD_TAG;
	atomic_store_explicit(at, memory_word(to, word), memory_order_release);
	return true;
}

/*
 * Passes the oldest entry.  Where it was used since it came to the tail it comes
 * there once more (CLOCK; Corbato 1968), as long as *moves last.
 */
static void pass_locked(struct layer *layer, struct moves *moves)
{
	struct memory_log *log = &layer->log;
	uint64_t place = atomic_load_explicit(&log->head, memory_order_relaxed);
	const char *bytes = memory_log_at(log, place);
	bool crowded = (memory_log_used(log) - layer->n_living) * DEAD_PART > memory_log_used(log);
	struct memory_head head = { 0 };
	_Atomic uint64_t *at = NULL;
	uint64_t left = log->mask + 1 - (place & log->mask);
	uint64_t size;
	bool keep;

	memcpy(&head, bytes, left < sizeof(head) ? left : sizeof(head));
	size = (uint64_t)head.n_units * MEMORY_UNIT;
	if (head.kind != MEMORY_FILLER) {
		at = word_of_locked(layer, entry_hash(&head, bytes), place);
	}
	memory_log_pass(log, size);
	if (at == NULL) {
		return;
	}
	keep = (atomic_load_explicit(at, memory_order_relaxed) & MEMORY_WORD_USED) || crowded;
	if (keep && moves->n_entries && moves->n_bytes >= size &&
	    head.deadline_ns > clock_coarse_ns()) {
		moves->n_entries--;
		moves->n_bytes -= size;
		if (move_locked(layer, at, place, size)) {
			return;
		}
	}
	unlink_locked(layer, at, &head);
	counter_add(&(*layer->counters)->evictions, 1);
}

static bool over_items(const struct layer *layer, uint64_t more)
{
	return layer->options.max_items && layer->n_items + more > layer->options.max_items;
}

/* Room for one more entry of so many bytes; the entry itself fits for certain. */
static void make_room_locked(struct layer *layer, uint64_t size)
{
	struct moves moves = { MOVE_ENTRIES_MAX, size > MOVE_BYTES_MAX ? size : MOVE_BYTES_MAX };

	while (memory_log_used(&layer->log) &&
	       (memory_log_used(&layer->log) + memory_log_needs(&layer->log, size) >
			ring_limit(layer) ||
		over_items(layer, 1))) {
		pass_locked(layer, &moves);
	}
	memory_log_release(&layer->log);
}

/* All living entries into a table of twice the size. */
static void grow_locked(struct layer *layer)
{
	uint64_t place = atomic_load_explicit(&layer->log.head, memory_order_relaxed);
	struct memory_table *grown;

	if (memory_index_bytes(&layer->index) * 2 > layer->options.max_bytes / INDEX_PART) {
		return;
	}
	grown = memory_index_grow(&layer->index);
	while (grown && place < layer->log.tail) {
		const char *bytes = memory_log_at(&layer->log, place);
		uint64_t left = layer->log.mask + 1 - (place & layer->log.mask);
		struct memory_head head = { 0 };

		memcpy(&head, bytes, left < sizeof(head) ? left : sizeof(head));
		if (head.kind != MEMORY_FILLER) {
			uint64_t hash = entry_hash(&head, bytes);
			_Atomic uint64_t *at = word_of_locked(layer, hash, place);

			if (at &&
			    !memory_table_put(grown, hash,
					      atomic_load_explicit(at, memory_order_relaxed))) {
				unlink_locked(layer, at, &head);
			}
		}
		place += (uint64_t)head.n_units * MEMORY_UNIT;
	}
	if (grown) {
		memory_index_exchange(&layer->index, grown);
	}
}

/* A free way, or that of the oldest entry of all that are in the way. */
static _Atomic uint64_t *take_way_locked(struct layer *layer, const struct memory_ways *ways)
{
	uint64_t log_head = atomic_load_explicit(&layer->log.head, memory_order_relaxed);
	_Atomic uint64_t *oldest = NULL;
	uint64_t oldest_place = UINT64_MAX;
	struct memory_head head;

	for (unsigned i = 0; i < MEMORY_INDEX_WAYS; i++) {
		_Atomic uint64_t *at = memory_index_way(ways, i);
		uint64_t word = atomic_load_explicit(at, memory_order_relaxed);
		uint64_t place = memory_log_place(memory_word_place(word), log_head);

		if (word == 0) {
			return at;
		}
		if (place < oldest_place) {
			oldest_place = place;
			oldest = at;
		}
	}
	memcpy(&head, memory_log_at(&layer->log, oldest_place), sizeof(head));
	unlink_locked(layer, oldest, &head);
	counter_add(&(*layer->counters)->evictions, 1);
	return oldest;
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
	return ttl < deadline - now ? now + ttl : deadline;
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

static bool fits(const struct layer *layer, const struct offer *offer)
{
	const struct memory_options *options = &layer->options;
	uint64_t n = offer->key->n_wire + offer->n_value;

	return n >= offer->n_value && n < UINT32_MAX &&
	       (options->max_item_bytes == 0 || n <= options->max_item_bytes) &&
	       /* A filler before it may take as much again. */
	       memory_log_size(offer->key->n_wire, offer->n_value, offer->has_cas) * 2 <=
		       options->max_bytes - options->max_bytes / INDEX_PART;
}

static void write_locked(struct layer *layer, const struct offer *offer, int64_t deadline_ns)
{
	uint64_t size = memory_log_size(offer->key->n_wire, offer->n_value, offer->has_cas);
	const struct memory_head head = {
		.n_units = (uint32_t)(size / MEMORY_UNIT),
		.n_value = (uint32_t)offer->n_value,
		.n_key = (uint16_t)offer->key->n_wire,
		.kind = offer->has_cas ? MEMORY_ENTRY_WITH_CAS : MEMORY_ENTRY,
		.flags = offer->flags,
		.where = offer->key->place,
		.slot = offer->slot,
		.deadline_ns = deadline_ns,
	};
	struct memory_ways ways;
	_Atomic uint64_t *at;
	uint64_t place;
	char *bytes;

	/* Before room is made: the table's part of the budget counts then. */
	if ((layer->n_items + 1) * 2 > memory_index_words(&layer->index)) {
		grow_locked(layer);
	}
	make_room_locked(layer, size);
	place = memory_log_put(&layer->log, size);
	bytes = layer->log.ring + (place & layer->log.mask);
	racy_write(bytes, &head, sizeof(head));
	if (offer->has_cas) {
		racy_write(bytes + sizeof(head), &offer->cas, sizeof(offer->cas));
	}
	bytes += key_offset(&head);
	racy_write(bytes, offer->key->wire, head.n_key);
	if (offer->n_value) {
		racy_write(bytes + head.n_key, offer->value, offer->n_value);
	}
	ways = memory_index_ways(&layer->index, hash_of(offer->key));
	at = take_way_locked(layer, &ways);
	atomic_store_explicit(at, memory_word(place, ways.tag), memory_order_release);
	layer->n_living += size;
	layer->n_items++;
	gauges_locked(layer);
}

/* Stores the offer, or at least makes sure that nothing older stays. */
static void put(struct layer *layer, const struct offer *offer)
{
	int64_t now = clock_coarse_ns();
	bool acceptable = offer->slot != LAYER_SLOT_BUSY && fits(layer, offer);
	int64_t deadline;
	bool forgotten;

	lock_take(&layer->lock);
	deadline = deadline_locked(layer, now, offer->deadline_ns);
	acceptable = acceptable && deadline > now;
	forgotten = forget_locked(layer, offer->key);
	if (acceptable) {
		write_locked(layer, offer, deadline);
	}
	lock_release(&layer->lock);
	if (forgotten && !acceptable) {
		counter_add(&(*layer->counters)->invalidated, 1);
	}
	counter_add(acceptable ? &(*layer->counters)->fills : &(*layer->counters)->rejected, 1);
}

/* A reader found it unusable for good; somebody may have replaced it meanwhile. */
static void drop(struct layer *layer, const struct found *found)
{
	lock_take(&layer->lock);
	if ((atomic_load_explicit(found->at, memory_order_relaxed) & ~MEMORY_WORD_USED) ==
		    (found->word & ~MEMORY_WORD_USED) &&
	    memory_log_holds(&layer->log, found->place)) {
		unlink_locked(layer, found->at, &found->head);
	}
	lock_release(&layer->lock);
}

/* --- the operations of a layer --- */

/* An entry that may answer under this slot's token. */
static inline bool find_fresh(struct layer *layer, const struct layer_key *key, uint64_t slot,
			      struct found *ret)
{
	if (!find(layer, key, ret)) {
		return false;
	}
	if (ret->head.slot != slot) {
		counter_add(&(*layer->counters)->invalidated, 1);
		drop(layer, ret);
		return false;
	}
	if (ret->head.deadline_ns != CLOCK_NEVER && ret->head.deadline_ns <= clock_coarse_ns()) {
		counter_add(&(*layer->counters)->expired, 1);
		drop(layer, ret);
		return false;
	}
	return true;
}

static bool memory_peek(struct layer *layer, const struct layer_key *key, bool want_cas,
			const struct layer_allocator *allocator, struct layer_item *ret)
{
	struct found found;

	if (!find_fresh(layer, key, ret->slot, &found) ||
	    (want_cas && found.head.kind != MEMORY_ENTRY_WITH_CAS) ||
	    !answer(layer, &found, allocator, ret)) {
		counter_add(&(*layer->counters)->misses, 1);
		return false;
	}
	memory_word_use(found.at, found.word);
	counter_add(&(*layer->counters)->hits, 1);
	return true;
}

static bool get_one(struct layer *layer, struct layer_batch *batch, struct layer_item *item)
{
	struct found found;

	if (!find_fresh(layer, &item->key, item->slot, &found)) {
		return false;
	}
	if (batch->want_cas && found.head.kind != MEMORY_ENTRY_WITH_CAS) {
		return false;
	}
	if (!batch->probe && !answer(layer, &found, &batch->allocator, item)) {
		return false;
	}
	memory_word_use(found.at, found.word);
	return true;
}

static void memory_get(struct layer *layer, struct layer_batch *batch)
{
	uint64_t hits = 0;
	uint64_t misses = 0;

	for (size_t i = 0; i < batch->n_items; i++) {
		struct layer_item *item = &batch->items[i];

		if (item->answer == LAYER_HIT || item->slot == LAYER_SLOT_BUSY) {
			continue;
		}
		if (get_one(layer, batch, item)) {
			item->answer = LAYER_HIT;
			hits++;
		} else {
			item->answer = LAYER_MISS;
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
	bool forgotten;

	if (write->outcome == LAYER_UNSENT) {
		return;
	}
	if (stores(write)) {
		put(layer, &offer);
		return;
	}
	lock_take(&layer->lock);
	forgotten = forget_locked(layer, &write->key);
	lock_release(&layer->lock);
	if (forgotten) {
		counter_add(&(*layer->counters)->invalidated, 1);
	}
}

static void memory_flush(struct layer *layer)
{
	lock_take(&layer->lock);
	counter_add(&(*layer->counters)->invalidated, layer->n_items);
	memory_log_clear(&layer->log);
	memory_index_clear(&layer->index);
	layer->n_items = 0;
	layer->n_living = 0;
	gauges_locked(layer);
	lock_release(&layer->lock);
}

struct layer *memory_open(const struct memory_options *options, struct layer_counters **counters)
{
	struct layer *layer = calloc(1, sizeof(*layer));

	if (layer == NULL) {
		return NULL;
	}
	if (!memory_index_open(&layer->index, INDEX_WORDS_MIN)) {
		free(layer);
		return NULL;
	}
	if (!memory_log_open(&layer->log, options->max_bytes)) {
		memory_index_close(&layer->index);
		free(layer);
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
	memory_log_close(&(*layer)->log);
	memory_index_close(&(*layer)->index);
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
	.peek = memory_peek,
	.fill = memory_fill,
	.written = memory_written,
	.flush = memory_flush,
	.close = memory_close,
	.prepare = memory_prepare,
	.parent = memory_parent,
	.child = memory_child,
};
