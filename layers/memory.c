#include "layers/memory.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/likely.h"
#include "layers/memory_match.h"
#include "layers/memory_store.h"
#include "layers/probes.h"

/* What a batch does at a time: with one taking of the lock, or ahead of the processor. */
#define CHUNK 16

/* A smaller table is in the processor's cache anyway, and mostly its entries. */
#define PREFETCH_WORDS 65536

/* --- reading, without a lock --- */

/*
 * Whether the word leads to this key's entry.  What is read may be overwritten
 * at any moment, and is believed only after memory_log_holds(); what is looked at before
 * that lies within the ring and MEMORY_RING_SPARE, whatever it says.
 */
INLINE static inline bool is_entry_of(const struct layer *layer, uint64_t word,
				      const struct layer_key *key, struct memory_found *ret)
{
	const struct memory_log *log = &layer->logs[memory_word_queue(word)];
	uint64_t oldest = atomic_load_explicit(&log->head, memory_order_relaxed);
	uint64_t place = memory_log_place(memory_word_place(word), oldest);
	const char *bytes = memory_log_at(log, place);
	struct memory_head head;

	/* Where in these lines the value begins is known only when the head has come. */
	__builtin_prefetch(bytes + MEMORY_LINE);
	__builtin_prefetch(bytes + (size_t)2 * MEMORY_LINE);
	head = memory_head_read(bytes);
	if (unlikely(memory_n_key(&head) != key->n_wire || head.where != key->place ||
		     memory_kind(&head) > MEMORY_ENTRY_WITH_CAS ||
		     !racy_equal(bytes + memory_key_offset(&head), key->wire, key->n_wire))) {
		return false;
	}
	ret->log = log;
	ret->place = place;
	ret->bytes = bytes;
	ret->head = head;
	ret->word = word;
	return likely(memory_log_holds(log, place));
}

/* A word whose tag was the key's just now; if it has become another's, its key tells. */
INLINE static inline bool is_entry_at(const struct layer *layer, _Atomic uint64_t *at,
				      const struct layer_key *key, struct memory_found *ret)
{
	uint64_t word = atomic_load_explicit(at, memory_order_acquire);

	ret->at = at;
	return likely(word) && is_entry_of(layer, word, key, ret);
}

/* Among words of a line that have the key's tag. */
static bool find_among(const struct layer *layer, _Atomic uint64_t *line, uint32_t matches,
		       const struct layer_key *key, struct memory_found *ret)
{
	while (matches) {
		if (is_entry_at(layer, memory_match_take(line, &matches), key, ret)) {
			return true;
		}
	}
	return false;
}

/* All that one table may have of a key: mostly nothing. */
INLINE static inline bool find_in(const struct layer *layer, const struct memory_table *table,
				  const struct layer_key *key, struct memory_found *ret)
{
	struct memory_ways ways = memory_table_ways(table, memory_hash(key));
	uint32_t first = memory_matches(ways.lines[0], ways.tag);
	uint32_t second = memory_matches(ways.lines[1], ways.tag);

	return (first && find_among(layer, ways.lines[0], first, key, ret)) ||
	       (second && find_among(layer, ways.lines[1], second, key, ret));
}

/*
 * Not by the first word that has its tag: it is in the next line, or shares the tag with
 * another key, or is in the table whose words are being moved, or nowhere.
 */
COLD static bool find_elsewhere(const struct layer *layer, const struct layer_key *key,
				struct memory_found *ret)
{
	const struct memory_table *before;

	if (find_in(layer, memory_index_now(&layer->index), key, ret)) {
		return true;
	}
	before = memory_index_before(&layer->index);
	return before && find_in(layer, before, key, ret);
}

/* Most keys are in their first line, which is the only one that a hit there looks at. */
INLINE static inline bool find_inline(const struct layer *layer, const struct layer_key *key,
				      struct memory_found *ret)
{
	struct memory_ways ways = memory_index_ways(&layer->index, memory_hash(key));
	uint32_t matches = memory_matches(ways.lines[0], ways.tag);
	struct memory_found further;

	if (likely(matches) &&
	    likely(is_entry_at(layer, memory_match_take(ways.lines[0], &matches), key, ret))) {
		return true;
	}
	/* Kept apart, so that most are in registers. */
	if (!find_elsewhere(layer, key, &further)) {
		return false;
	}
	*ret = further;
	return true;
}

static bool find(const struct layer *layer, const struct layer_key *key, struct memory_found *ret)
{
	return find_inline(layer, key, ret);
}

/*
 * False where the program's memory is out, or the entry went meanwhile.  What needs no call
 * comes before those that copy, so that little has to be kept over them.
 */
INLINE static inline bool answer(const struct memory_found *found,
				 const struct layer_allocator *allocator, struct layer_item *item)
{
	const struct memory_head *head = &found->head;
	size_t n_value = memory_n_value(head);
	const char *bytes = found->bytes + memory_key_offset(head) + memory_n_key(head);
	char *value = NULL;

	item->has_cas = memory_kind(head) == MEMORY_ENTRY_WITH_CAS;
	item->cas = item->has_cas ? racy_word(found->bytes + sizeof(*head)) : 0;
	item->cas -= fault_planted(FAULT_stale_cas) ? 1 : 0;
	item->n_value = n_value;
	item->flags =
		memory_flags(head) & (fault_planted(FAULT_wrong_flags) ? UINT16_MAX : UINT32_MAX);
	item->deadline_ns = memory_deadline(head);
	if (likely(n_value)) {
		value = allocator->alloc(allocator->owner, n_value + 1);
		if (unlikely(value == NULL)) {
			return false;
		}
		racy_copy(value, bytes, n_value);
		value[n_value] = '\0';
	}
	if (unlikely(!memory_log_holds(found->log, found->place))) {
		allocator->free(allocator->owner, value);
		return false;
	}
	if (fault_planted(FAULT_wrong_bytes) && value) {
		value[n_value - 1] ^= 1;
	}
	item->value = value;
	return true;
}

/* --- changing, under the lock --- */

/* A reader found it unusable for good; somebody may have replaced it meanwhile. */
static void drop(struct layer *layer, const struct memory_found *found)
{
	uint64_t word;

	lock_take(&layer->lock);
	word = atomic_load_explicit(found->at, memory_order_relaxed);
	if ((word & ~MEMORY_WORD_USES) == (found->word & ~MEMORY_WORD_USES) &&
	    memory_log_holds(&layer->logs[memory_word_queue(word)], found->place)) {
		memory_drop_locked(layer, found);
		memory_tidy_locked(layer, clock_coarse_ns());
	}
	lock_release(&layer->lock);
}

/* Stores the offer, or at least makes sure that nothing older stays. */
static void put_locked(struct layer *layer, const struct memory_offer *offer, int64_t now)
{
	struct memory_found found;
	bool is_there = find(layer, offer->key, &found);
	bool stored = memory_put_locked(layer, offer, is_there ? &found : NULL, now);

	if (is_there && !stored) {
		probe_invalidate(PROBE_MEMORY, offer->key);
		counter_add(&(*layer->counters)->invalidated, 1);
	}
	if (stored) {
		probe_fill(PROBE_MEMORY, offer->key, offer->n_value);
	}
	counter_add(stored ? &(*layer->counters)->fills : &(*layer->counters)->rejected, 1);
}

/* --- the operations of a layer --- */

/* What counts why an entry may not answer under this slot's token; NULL: it may. */
static inline _Atomic uint64_t *why_void(const struct layer *layer,
					 const struct memory_found *found, uint64_t slot)
{
	int64_t deadline;

	if (found->head.slot != slot) {
		return &(*layer->counters)->invalidated;
	}
	deadline = memory_deadline(&found->head);
	return deadline != CLOCK_NEVER && deadline <= clock_coarse_ns()
		       ? &(*layer->counters)->expired
		       : NULL;
}

static enum layer_answer memory_peek(struct layer *layer, const struct layer_key *key,
				     bool want_cas, const struct layer_allocator *allocator,
				     struct layer_item *ret)
{
	struct memory_found found;
	bool is_there = find_inline(layer, key, &found);

	if (likely(is_there) && unlikely(why_void(layer, &found, ret->slot))) {
		return LAYER_UNASKED;
	}
	if (unlikely(!is_there) ||
	    (want_cas && memory_kind(&found.head) != MEMORY_ENTRY_WITH_CAS)) {
		counter_add(&(*layer->counters)->misses, 1);
		probe_miss(PROBE_MEMORY, key);
		return LAYER_MISS;
	}
	/* Here the key is at hand, and behind the copy it would have to be kept for this. */
	probe_hit(PROBE_MEMORY, key, memory_n_value(&found.head));
	memory_word_use(found.at, found.word, layer->uses_max);
	if (unlikely(!answer(&found, allocator, ret))) {
		return LAYER_UNASKED;
	}
	counter_hit(*layer->counters, ret->n_value);
	return LAYER_HIT;
}

/* An entry that may answer under this slot's token; one that may not goes. */
INLINE static inline bool find_fresh(struct layer *layer, const struct layer_key *key,
				     uint64_t slot, struct memory_found *ret)
{
	_Atomic uint64_t *why;

	if (!find_inline(layer, key, ret)) {
		return false;
	}
	why = why_void(layer, ret, slot);
	if (unlikely(why)) {
		if (why == &(*layer->counters)->invalidated) {
			probe_invalidate(PROBE_MEMORY, key);
		}
		counter_add(why, 1);
		drop(layer, ret);
	}
	return why == NULL;
}

INLINE static inline bool get_one(struct layer *layer, struct layer_batch *batch,
				  struct layer_item *item)
{
	struct memory_found found;

	if (!find_fresh(layer, &item->key, item->slot, &found)) {
		return false;
	}
	if (batch->want_cas && memory_kind(&found.head) != MEMORY_ENTRY_WITH_CAS) {
		return false;
	}
	memory_word_use(found.at, found.word, layer->uses_max);
	return batch->probe || answer(&found, &batch->allocator, item);
}

/* Of a key whose first line of words is at hand. */
static void prefetch_entry(const struct layer *layer, const struct memory_ways *ways)
{
	uint32_t matches = memory_matches(ways->lines[0], ways->tag);
	uint64_t word = 0;

	if (matches) {
		word = atomic_load_explicit(memory_match_take(ways->lines[0], &matches),
					    memory_order_relaxed);
	}
	if (word) {
		const char *bytes = memory_log_at(&layer->logs[memory_word_queue(word)],
						  memory_word_place(word));

		__builtin_prefetch(bytes);
		__builtin_prefetch(bytes + MEMORY_LINE);
	}
}

/*
 * Fetches what get_one() will look at, so that the misses of the processor's cache
 * are waited for together: first all lines of words, then all entries.
 */
static void prefetch(const struct layer *layer, const struct layer_item *items, size_t n)
{
	struct memory_ways ways[CHUNK];

	for (size_t i = 0; i < n; i++) {
		ways[i] = memory_index_ways(&layer->index, memory_hash(&items[i].key));
		__builtin_prefetch((const void *)ways[i].lines[0]);
	}
	for (size_t i = 0; i < n; i++) {
		prefetch_entry(layer, &ways[i]);
	}
}

static void memory_get(struct layer *layer, struct layer_batch *batch)
{
	bool ahead = batch->n_items > 1 && memory_index_words(&layer->index) >= PREFETCH_WORDS;
	uint64_t hits = 0;
	uint64_t misses = 0;

	for (size_t i = 0; i < batch->n_items; i++) {
		struct layer_item *item = &batch->items[i];

		if (ahead && i % CHUNK == 0) {
			size_t left = batch->n_items - i;

			prefetch(layer, item, left < CHUNK ? left : CHUNK);
		}
		if (item->answer == LAYER_HIT || item->slot == LAYER_SLOT_BUSY) {
			continue;
		}
		if (get_one(layer, batch, item)) {
			item->answer = LAYER_HIT;
			probe_hit(PROBE_MEMORY, &item->key, item->n_value);
			hits++;
		} else {
			item->answer = LAYER_MISS;
			probe_miss(PROBE_MEMORY, &item->key);
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

static void put_item_locked(struct layer *layer, const struct layer_item *item, int64_t now)
{
	const struct memory_offer offer = {
		.key = &item->key,
		.slot = item->slot,
		.value = item->value,
		.n_value = item->n_value,
		.flags = item->flags,
		.cas = item->cas,
		.has_cas = item->has_cas,
		.deadline_ns = item->deadline_ns,
	};

	put_locked(layer, &offer, now);
}

/* A chunk at a time under the lock, so that other threads get their turn. */
static void memory_fill(struct layer *layer, const struct layer_batch *batch, uint8_t own)
{
	int64_t now = clock_coarse_ns();
	unsigned n_put = 0;

	for (size_t i = 0; i < batch->n_items; i++) {
		const struct layer_item *item = &batch->items[i];

		if (item->answer != LAYER_HIT || item->layer <= own ||
		    item->slot == LAYER_SLOT_BUSY) {
			continue;
		}
		if (n_put % CHUNK == 0) {
			if (n_put) {
				lock_release(&layer->lock);
			}
			lock_take(&layer->lock);
		}
		if (remembered_has(&layer->evicted, memory_hash(&item->key), item->slot, now)) {
			counter_add(&(*layer->counters)->ghost_hits, 1);
		}
		put_item_locked(layer, item, now);
		n_put++;
	}
	if (n_put) {
		lock_release(&layer->lock);
	}
}

static void memory_expect(const struct layer *layer, const struct layer_key *key, bool again)
{
	struct memory_ways ways = memory_index_ways(&layer->index, memory_hash(key));

	if (again) {
		prefetch_entry(layer, &ways);
		memory_log_expect(&layer->logs[0]);
	} else {
		__builtin_prefetch((const void *)ways.lines[0]);
	}
}

static void memory_written(struct layer *layer, const struct layer_write *write)
{
	const struct memory_offer offer = {
		.key = &write->key,
		.slot = write->slot,
		.value = write->value,
		.n_value = write->n_value,
		.flags = write->flags,
		.deadline_ns = write->deadline_ns,
	};
	struct memory_found found;
	int64_t now;

	if (write->outcome == LAYER_UNSENT) {
		return;
	}
	now = clock_coarse_ns();
	lock_take(&layer->lock);
	if (write->outcome == LAYER_DONE && layer_stores(write->verb)) {
		put_locked(layer, &offer, now);
	} else if (find(layer, &write->key, &found)) {
		memory_drop_locked(layer, &found);
		memory_tidy_locked(layer, now);
		probe_invalidate(PROBE_MEMORY, &write->key);
		counter_add(&(*layer->counters)->invalidated, 1);
	}
	lock_release(&layer->lock);
}

static void flush_locked(struct layer *layer)
{
	probe_invalidate_all(PROBE_MEMORY);
	counter_add(&(*layer->counters)->invalidated, layer->n_items);
	memory_clear_locked(layer);
}

static void memory_flush(struct layer *layer)
{
	lock_take(&layer->lock);
	flush_locked(layer);
	lock_release(&layer->lock);
}

/* A change that was left in the middle: nothing of it can be trusted. */
static void memory_abandoned(struct layer *layer, const void *end)
{
	if (lock_is_mine(&layer->lock)) {
		flush_locked(layer);
		lock_release(&layer->lock);
	}
}

static void memory_set_budget(struct layer *layer, uint64_t max_bytes)
{
	uint64_t most = layer->options.max_bytes;

	max_bytes = max_bytes < most ? max_bytes : most;
	max_bytes = max_bytes > MEMORY_BYTES_MIN ? max_bytes : MEMORY_BYTES_MIN;
	lock_take(&layer->lock);
	if (max_bytes != layer->max_bytes) {
		memory_set_budget_locked(layer, max_bytes, clock_coarse_ns());
	}
	lock_release(&layer->lock);
}

static bool open_parts(struct layer *layer, const struct memory_options *options)
{
	policy_open(&layer->policy, options->policy, options->max_bytes / MEMORY_GHOST_PART);
	if (!remembered_open(&layer->evicted, options->remember_evicted) ||
	    !memory_index_open(&layer->index, MEMORY_INDEX_WORDS_MIN)) {
		return false;
	}
	for (unsigned queue = 0; queue < layer->policy.n_queues; queue++) {
		if (!memory_log_open(&layer->logs[queue], options->max_bytes)) {
			return false;
		}
	}
	return true;
}

static void close_parts(struct layer *layer)
{
	for (unsigned queue = 0; queue < POLICY_QUEUES; queue++) {
		memory_log_close(&layer->logs[queue]);
	}
	memory_index_close(&layer->index);
	policy_close(&layer->policy);
	remembered_close(&layer->evicted);
}

struct layer *memory_open(const struct memory_options *options, struct layer_counters **counters)
{
	struct layer *layer = calloc(1, sizeof(*layer));

	if (layer == NULL) {
		return NULL;
	}
	if (!open_parts(layer, options)) {
		close_parts(layer);
		free(layer);
		return NULL;
	}
	lock_init(&layer->lock, LOCK_RANK_MEMORY);
	memory_sweep_anew_locked(layer);
	layer->uses_max = layer->policy.uses_max;
	layer->options = *options;
	layer->max_bytes = options->max_bytes;
	layer->counters = counters;
	layer->random = (uint64_t)clock_now_ns() | 1;
	return layer;
}

static void memory_close(struct layer **layer)
{
	if (*layer == NULL) {
		return;
	}
	close_parts(*layer);
	lock_done(&(*layer)->lock);
	free(*layer);
	*layer = NULL;
}

/* The forking thread may have left a change in the middle: it does not wait for itself. */
static void memory_prepare(struct layer *layer)
{
	bool taken = lock_take_if_not_mine(&layer->lock);

	layer->forks_in_change = !taken;
}

static void memory_parent(struct layer *layer)
{
	if (!layer->forks_in_change) {
		lock_release(&layer->lock);
	}
}

static void memory_child(struct layer *layer)
{
	lock_reset(&layer->lock);
	if (layer->forks_in_change) {
		memory_flush(layer);
	}
}

const struct layer_ops memory_ops = {
	.name = "memory",
	.capabilities = LAYER_PRIVATE,
	.get = memory_get,
	.peek = memory_peek,
	.fill = memory_fill,
	.expect = memory_expect,
	.written = memory_written,
	.flush = memory_flush,
	.set_budget = memory_set_budget,
	.close = memory_close,
	.abandoned = memory_abandoned,
	.prepare = memory_prepare,
	.parent = memory_parent,
	.child = memory_child,
};
