#include "layers/memory_store.h"

#include <string.h>

#include "base/clock.h"

/* memcached's clock ticks in seconds, so that items may end so much early. */
#define EARLY_END_NS (CLOCK_NS_PER_S + CLOCK_COARSE_LAG_NS)

/* A free way is looked for in so many lines behind one that is full. */
#define DISPLACE_LINES 16

uint64_t memory_entry_hash(const struct memory_head *head, const char *bytes)
{
	return hash_bytes(bytes + memory_key_offset(head), memory_n_key(head)) ^ head->where;
}

/* The way that holds this word, whatever its uses. */
static _Atomic uint64_t *way_of(const struct memory_ways *ways, uint64_t wanted)
{
	for (unsigned i = 0; i < 2; i++) {
		_Atomic uint64_t *line = ways->lines[i];

		for (unsigned j = 0; j < MEMORY_INDEX_LINE; j++) {
			uint64_t word = atomic_load_explicit(&line[j], memory_order_relaxed);

			if ((word & ~MEMORY_WORD_USES) == wanted) {
				return &line[j];
			}
		}
	}
	return NULL;
}

_Atomic uint64_t *memory_word_at(const struct layer *layer, uint64_t hash, unsigned queue,
				 uint64_t place)
{
	const struct memory_table *before = memory_index_before(&layer->index);
	struct memory_ways ways = memory_index_ways(&layer->index, hash);
	uint64_t wanted = memory_word(place, ways.tag, queue, 0);
	_Atomic uint64_t *at = way_of(&ways, wanted);

	if (at == NULL && before) {
		ways = memory_table_ways(before, hash);
		at = way_of(&ways, wanted);
	}
	return at;
}

uint64_t memory_held_locked(const struct layer *layer)
{
	uint64_t held = memory_index_bytes(&layer->index) + policy_bytes(&layer->policy);

	for (unsigned queue = 0; queue < layer->policy.n_queues; queue++) {
		held += memory_log_used(&layer->logs[queue]);
	}
	return held;
}

void memory_gauges_locked(const struct layer *layer)
{
	gauge_set(&(*layer->counters)->items, layer->n_items);
	gauge_set(&(*layer->counters)->bytes, layer->n_items ? memory_held_locked(layer) : 0);
}

void memory_unlink_locked(struct layer *layer, _Atomic uint64_t *at, uint64_t size)
{
	uint64_t word = atomic_load_explicit(at, memory_order_relaxed);
	unsigned queue = memory_word_queue(word);
	struct memory_log *log = &layer->logs[queue];
	uint64_t head = atomic_load_explicit(&log->head, memory_order_relaxed);

	atomic_store_explicit(at, 0, memory_order_relaxed);
	memory_log_void(log, memory_log_place(memory_word_place(word), head), size);
	layer->n_living[queue] -= size;
	layer->n_queued[queue]--;
	layer->n_items--;
}

void memory_evict_locked(struct layer *layer, _Atomic uint64_t *at, uint64_t size, uint64_t hash,
			 const struct memory_head *head)
{
	memory_unlink_locked(layer, at, size);
	remembered_note(&layer->evicted, hash, head->slot, memory_deadline(head));
	counter_add(&(*layer->counters)->evictions, 1);
}

static uint64_t found_size(const struct memory_found *found)
{
	return memory_log_size(memory_n_key(&found->head), memory_n_value(&found->head),
			       memory_kind(&found->head) == MEMORY_ENTRY_WITH_CAS);
}

void memory_drop_locked(struct layer *layer, const struct memory_found *found)
{
	unsigned queue = memory_word_queue(found->word);
	const struct policy_value value = {
		.hash = memory_entry_hash(&found->head,
					  memory_log_at(&layer->logs[queue], found->place)),
		.queue = queue,
		.uses = memory_word_uses(found->word),
	};

	policy_lost(&layer->policy, &value, layer->n_items);
	memory_unlink_locked(layer, found->at, found_size(found));
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

static bool fits(const struct layer *layer, const struct memory_offer *offer)
{
	const struct memory_options *options = &layer->options;
	uint64_t n = offer->key->n_wire + offer->n_value;

	return n >= offer->n_value && n < MEMORY_VALUE_LIMIT &&
	       (options->max_item_bytes == 0 || n <= options->max_item_bytes) &&
	       memory_log_size(offer->key->n_wire, offer->n_value, offer->has_cas) <=
		       memory_size_max(layer);
}

/* Where a word leads; its head, and size if wanted. */
static uint64_t word_head(const struct layer *layer, uint64_t word, struct memory_head *ret,
			  const char **ret_bytes)
{
	const struct memory_log *log = &layer->logs[memory_word_queue(word)];
	uint64_t place = memory_log_place(memory_word_place(word),
					  atomic_load_explicit(&log->head, memory_order_relaxed));

	*ret_bytes = memory_log_at(log, place);
	return memory_log_head(log, place, ret);
}

static _Atomic uint64_t *free_in_line(_Atomic uint64_t *line)
{
	for (unsigned i = 0; i < MEMORY_INDEX_LINE; i++) {
		if (atomic_load_explicit(&line[i], memory_order_relaxed) == 0) {
			return &line[i];
		}
	}
	return NULL;
}

/* A word of this line that may as well be in the next one: the line is its first. */
static _Atomic uint64_t *movable_in_line(const struct layer *layer, _Atomic uint64_t *line)
{
	for (unsigned i = 0; i < MEMORY_INDEX_LINE; i++) {
		struct memory_head head;
		const char *bytes;

		word_head(layer, atomic_load_explicit(&line[i], memory_order_relaxed), &head,
			  &bytes);
		if (memory_index_ways(&layer->index, memory_entry_hash(&head, bytes)).lines[0] ==
		    line) {
			return &line[i];
		}
	}
	return NULL;
}

/*
 * Both lines are full: the nearest free way behind them is brought to the second,
 * by moving a word of each line between to the next one.
 */
static _Atomic uint64_t *displace_locked(const struct layer *layer, const struct memory_ways *ways)
{
	_Atomic uint64_t *lines[DISPLACE_LINES] = { ways->lines[1] };
	_Atomic uint64_t *free_way = NULL;
	unsigned n = 0;

	while (free_way == NULL && n + 1 < DISPLACE_LINES) {
		n++;
		lines[n] = memory_index_next(&layer->index, lines[n - 1]);
		free_way = free_in_line(lines[n]);
	}
	while (free_way && n > 0) {
		_Atomic uint64_t *from = movable_in_line(layer, lines[--n]);

		if (from) {
			atomic_store_explicit(free_way,
					      atomic_load_explicit(from, memory_order_relaxed),
					      memory_order_release);
			atomic_store_explicit(from, 0, memory_order_release);
		}
		free_way = from;
	}
	return free_way;
}

/* Takes the way of the entry that the policy would miss the least. */
static _Atomic uint64_t *evict_way_locked(struct layer *layer, const struct memory_ways *ways)
{
	_Atomic uint64_t *least = NULL;
	uint64_t least_word = 0;
	uint64_t least_age = 0;
	struct memory_head head;
	const char *bytes;
	uint64_t size;

	for (unsigned i = 0; i < MEMORY_INDEX_WAYS; i++) {
		_Atomic uint64_t *at = memory_index_way(ways, i);
		uint64_t word = atomic_load_explicit(at, memory_order_relaxed);
		unsigned queue = memory_word_queue(word);
		const struct memory_log *log = &layer->logs[queue];
		uint64_t age = log->tail - memory_log_place(memory_word_place(word), log->tail);

		if (least == NULL || queue < memory_word_queue(least_word) ||
		    (queue == memory_word_queue(least_word) && age > least_age)) {
			least = at;
			least_word = word;
			least_age = age;
		}
	}
	size = word_head(layer, least_word, &head, &bytes);
	memory_evict_locked(layer, least, size, memory_entry_hash(&head, bytes), &head);
	return least;
}

_Atomic uint64_t *memory_free_way_locked(const struct layer *layer, uint64_t hash)
{
	struct memory_ways ways = memory_index_ways(&layer->index, hash);
	_Atomic uint64_t *at = free_in_line(ways.lines[0]);

	at = at ? at : free_in_line(ways.lines[1]);
	return at ? at : displace_locked(layer, &ways);
}

/* A way for a new word: in a larger table, or of another entry, if need be. */
static _Atomic uint64_t *take_way_locked(struct layer *layer, uint64_t hash)
{
	_Atomic uint64_t *at = memory_free_way_locked(layer, hash);
	struct memory_ways ways;

	if (at == NULL && memory_grow_index_locked(layer)) {
		at = memory_free_way_locked(layer, hash);
	}
	if (at == NULL) {
		ways = memory_index_ways(&layer->index, hash);
		at = evict_way_locked(layer, &ways);
	}
	return at;
}

static void write_entry(struct memory_log *log, uint64_t place, const struct memory_offer *offer,
			int64_t deadline_ns)
{
	const struct memory_head head = {
		.what = memory_what(offer->has_cas ? MEMORY_ENTRY_WITH_CAS : MEMORY_ENTRY,
				    offer->n_value, offer->flags),
		.deadline_and_key = memory_deadline_and_key(deadline_ns, offer->key->n_wire),
		.where = offer->key->place,
		.slot = offer->slot,
	};
	char *bytes = log->ring + (place & log->mask);

	memory_head_write(bytes, &head);
	if (offer->has_cas) {
		racy_write_word(bytes + sizeof(head), offer->cas);
	}
	bytes += memory_key_offset(&head);
	racy_write(bytes, offer->key->wire, offer->key->n_wire);
	if (offer->n_value) {
		racy_write(bytes + offer->key->n_wire, offer->value, offer->n_value);
	}
}

static void write_locked(struct layer *layer, const struct memory_offer *offer,
			 const struct policy_value *as, int64_t deadline_ns, int64_t now)
{
	uint64_t size = memory_log_size(offer->key->n_wire, offer->n_value, offer->has_cas);
	struct memory_log *log = &layer->logs[as->queue];
	_Atomic uint64_t *at;
	uint64_t place;

	/* Before room is made: the table's part of the budget counts then. */
	memory_fit_index_locked(layer, size);
	at = take_way_locked(layer, as->hash);
	memory_make_room_locked(layer, as->queue, size, now);
	place = memory_log_put(log, size);
	write_entry(log, place, offer, deadline_ns);
	atomic_store_explicit(at,
			      memory_word(place, as->hash & MEMORY_WORD_TAG, as->queue, as->uses),
			      memory_order_release);
	layer->n_living[as->queue] += size;
	layer->n_queued[as->queue]++;
	layer->n_items++;
	memory_expect_end_locked(layer, as->queue, deadline_ns);
}

bool memory_put_locked(struct layer *layer, const struct memory_offer *offer,
		       const struct memory_found *found, int64_t now)
{
	int64_t deadline = deadline_locked(layer, now, offer->deadline_ns);
	bool acceptable = offer->slot != LAYER_SLOT_BUSY && fits(layer, offer) && deadline > now;
	struct policy_value as = { .hash = memory_hash(offer->key) };

	if (acceptable && found) {
		as.queue = memory_word_queue(found->word);
		as.uses = memory_word_uses(found->word);
	} else if (acceptable) {
		as.queue = policy_queue(&layer->policy, as.hash, layer->n_items);
	}
	if (found) {
		memory_unlink_locked(layer, found->at, found_size(found));
	}
	if (acceptable) {
		write_locked(layer, offer, &as, deadline, now);
	}
	memory_tidy_locked(layer, now);
	return acceptable;
}

void memory_clear_locked(struct layer *layer)
{
	for (unsigned queue = 0; queue < layer->policy.n_queues; queue++) {
		memory_log_clear(&layer->logs[queue]);
		layer->n_queued[queue] = 0;
		layer->n_living[queue] = 0;
	}
	memory_index_clear(&layer->index);
	policy_clear(&layer->policy);
	memory_sweep_anew_locked(layer);
	layer->n_items = 0;
	memory_gauges_locked(layer);
}
