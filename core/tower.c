#include "core/tower_private.h"

#include <errno.h>
#include <pthread.h>

#include "base/clock.h"
#include "base/fault.h"
#include "core/budget.h"
#include "core/expiry.h"
#include "core/open_writes.h"
#include "core/peek.h"
#include "core/timing.h"

/* memcached counts a flush's delay in its own seconds, up to one early or late. */
#define FLUSH_SPREAD_NS (2 * CLOCK_NS_PER_S)

bool tower_layer_is_off(const struct tower *tower, const struct tower_layer *layer)
{
	return layer->ops->capabilities & ~LAYER_AUTHORITY & slots_off(tower->slots);
}

static void flush_private(struct tower *tower)
{
	for (uint8_t i = 0; i < tower->n_layers; i++) {
		const struct tower_layer *at = &tower->layers[i];

		if ((at->ops->capabilities & LAYER_PRIVATE) && at->ops->flush) {
			at->ops->flush(at->layer);
		}
	}
}

/* Somebody in the domain has flushed: what this process holds is void already, and goes. */
static void follow_flushes(struct tower *tower)
{
	uint64_t now = slots_flushes(tower->slots);
	uint64_t followed = atomic_load_explicit(&tower->flushes, memory_order_relaxed);

	if (followed != now && atomic_compare_exchange_strong(&tower->flushes, &followed, now)) {
		flush_private(tower);
	}
}

/* Deep layers first: what they still answer is then filled under the old tokens. */
static void flush_now(struct tower *tower, const char *const *servers, size_t n)
{
	const struct tower_layer *deep = tower_deep(tower);

	if (fault_planted(FAULT_lost_flush)) {
		return;
	}
	if (deep) {
		deep->ops->flush_servers(deep->layer, servers, n);
	}
	slots_flush(tower->slots);
	follow_flushes(tower);
}

void tower_keep_up(struct tower *tower)
{
	const struct tower_layer *deep = tower_deep(tower);

	if (deep && deep->ops->set_off) {
		deep->ops->set_off(deep->layer, tower_layer_is_off(tower, deep));
	}
	slots_settle_old(tower->slots);
	if (slots_flush_due(tower->slots)) {
		if (deep) {
			deep->ops->flush_due(deep->layer);
		}
		slots_flush(tower->slots);
		slots_flush_done(tower->slots);
	}
	follow_flushes(tower);
}

/*
 * A deep copy may be older than a write that began since the slot was loaded,
 * or than a flush that is still to come: such items are not asked for.
 */
static void pass_over_changed(struct tower *tower, struct layer_batch *batch)
{
	bool flush_pending = slots_flush_pending(tower->slots);

	for (size_t i = 0; i < batch->n_items; i++) {
		struct layer_item *item = &batch->items[i];

		if (item->answer == LAYER_MISS &&
		    (flush_pending || slots_load(tower->slots, item->key.hash) != item->slot)) {
			item->slot = LAYER_SLOT_BUSY;
		}
	}
}

static struct layer_counters *counters_of(const struct tower *tower, uint8_t at)
{
	return tower->stats->layers[tower->layers[at].stats];
}

/* Items that were hits of layer `at` and not known as such yet. */
static void sign_hits(struct tower *tower, struct layer_batch *batch, uint8_t at, size_t before)
{
	uint64_t n_bytes = 0;

	if (batch->n_hits == before) {
		return;
	}
	for (size_t i = 0; i < batch->n_items; i++) {
		struct layer_item *item = &batch->items[i];

		if (item->answer == LAYER_HIT && item->layer == UINT8_MAX) {
			item->layer = at;
			n_bytes += item->n_value;
		}
	}
	counter_add(&counters_of(tower, at)->hit_bytes, n_bytes);
}

/* Whether the layer will be asked anything. */
static bool has_question(const struct layer_batch *batch, unsigned capabilities)
{
	for (size_t i = 0; i < batch->n_items; i++) {
		const struct layer_item *item = &batch->items[i];

		if ((capabilities & LAYER_AUTHORITY) ||
		    (item->slot != LAYER_SLOT_BUSY &&
		     (item->answer == LAYER_MISS ||
		      (item->answer != LAYER_HIT && !(capabilities & LAYER_DEEP))))) {
			return true;
		}
	}
	return false;
}

static enum stats_operation operation_of(const struct layer_batch *batch)
{
	return batch->n_items > 1 ? STATS_MGET : STATS_GET;
}

static void ask(struct tower *tower, struct layer_batch *batch, uint8_t at)
{
	const struct tower_layer *layer = &tower->layers[at];
	size_t before = batch->n_hits;

	if (tower_layer_is_off(tower, layer)) {
		return;
	}
	if (layer->ops->capabilities & LAYER_DEEP) {
		pass_over_changed(tower, batch);
	}
	if (batch->timed && has_question(batch, layer->ops->capabilities)) {
		int64_t began = clock_now_ns();

		batch->spared = false;
		layer->ops->get(layer->layer, batch);
		if (!batch->spared) {
			timing_record(tower->stats, layer->stats, operation_of(batch),
				      clock_now_ns() - began + batch->submit_ns);
		}
	} else {
		layer->ops->get(layer->layer, batch);
	}
	batch->submit_ns = 0;
	sign_hits(tower, batch, at, before);
}

/* Sends the authority what is still to be asked. */
static bool submit(struct tower *tower, struct layer_batch *batch)
{
	const struct tower_layer *authority = &tower->layers[tower->authority];
	int64_t began;
	bool sent;

	if (!batch->timed) {
		return authority->ops->submit(authority->layer, batch);
	}
	began = clock_now_ns();
	sent = authority->ops->submit(authority->layer, batch);
	batch->submit_ns = clock_now_ns() - began;
	return sent;
}

/* Of requests for several keys, what memory has spared. */
static void count_batch(struct tower *tower, const struct layer_batch *batch)
{
	struct layer_counters *counters = counters_of(tower, 0);

	if (batch->n_items > 1 && batch->n_hits) {
		counter_add(&counters->batch_hits, batch->n_hits);
		counter_add(&counters->batches, batch->n_hits == batch->n_items);
	}
}

/* The clock takes as long as a hit does: that is taken away. */
__attribute__((noinline, cold)) static bool peek_timed(const struct tower *tower,
						       const struct layer_key *key, bool want_cas,
						       const struct layer_allocator *allocator,
						       struct layer_item *ret)
{
	int64_t before = clock_now_ns();
	int64_t began = clock_now_ns();
	bool hit = tower_peek_at(tower, key, want_cas, allocator, ret);
	int64_t took = clock_now_ns() - began;

	if (ret->answer != LAYER_UNASKED) {
		timing_record(tower->stats, tower->layers[0].stats, STATS_GET,
			      took - (began - before));
	}
	return hit;
}

bool tower_peek_watched(const struct tower *tower, const struct layer_key *key, bool want_cas,
			const struct layer_allocator *allocator, struct layer_item *ret)
{
	bool hit = timing_now.untimed ? tower_peek_at(tower, key, want_cas, allocator, ret)
				      : peek_timed(tower, key, want_cas, allocator, ret);

	if (hit && tower->recorder) {
		recorder_record(tower->recorder, TRACE_FILE_HIT, key->hash, ret->n_value);
	}
	return hit;
}

/* Of what the authority is about to answer. */
static void expect_ends(const struct tower *tower, const struct layer_batch *batch)
{
	for (size_t i = 0; i < batch->n_items; i++) {
		if (batch->items[i].answer != LAYER_HIT) {
			slots_expect_end(tower->slots, batch->items[i].key.hash);
		}
	}
}

bool tower_read_begin(struct tower *tower, struct layer_batch *batch)
{
	const struct tower_layer *authority = &tower->layers[tower->authority];
	bool peeked = batch->n_items == 1 && batch->items[0].answer == LAYER_MISS;
	uint64_t followed;

	tower_keep_up(tower);
	followed = atomic_load_explicit(&tower->flushes, memory_order_relaxed);
	batch->timed = timing_walk();
	for (size_t i = 0; i < batch->n_items; i++) {
		struct layer_item *item = &batch->items[i];

		if (!peeked) {
			item->slot = slots_peek(tower->slots, item->key.hash, followed);
		}
		if (item->slot == LAYER_SLOT_BUSY) {
			item->slot = slots_load(tower->slots, item->key.hash);
		}
		item->layer = UINT8_MAX;
	}
	batch->at = peeked ? 1 : 0;
	while (batch->at < tower->authority) {
		ask(tower, batch, batch->at++);
	}
	count_batch(tower, batch);
	expect_ends(tower, batch);
	return batch->n_hits == batch->n_items || authority->ops->submit == NULL ||
	       submit(tower, batch);
}

/* memcached does not say when a value ends; writers of the domain did. */
static void bound_ends(struct tower *tower, struct layer_batch *batch)
{
	for (size_t i = 0; i < batch->n_items; i++) {
		struct layer_item *item = &batch->items[i];

		if (item->answer == LAYER_HIT && item->layer == tower->authority &&
		    item->slot != LAYER_SLOT_BUSY) {
			int64_t end = slots_end(tower->slots, item->key.hash);

			if (fault_planted(FAULT_late_end)) {
				end = CLOCK_NEVER;
			}
			if (fault_planted(FAULT_fill_without_check)) {
				item->slot = slots_load(tower->slots, item->key.hash);
			}

			item->deadline_ns = end < item->deadline_ns ? end : item->deadline_ns;
		}
	}
}

/* Also what could not be answered for want of a server is a request. */
static void record(struct tower *tower, const struct layer_batch *batch)
{
	for (size_t i = 0; i < batch->n_items; i++) {
		const struct layer_item *item = &batch->items[i];
		bool hit = item->answer == LAYER_HIT;

		recorder_record(tower->recorder, hit ? TRACE_FILE_HIT : TRACE_FILE_MISS,
				item->key.hash, hit ? item->n_value : 0);
	}
}

void tower_hold(struct tower *tower, const struct layer_key *key, uint64_t slot,
		int64_t deadline_ns)
{
	/* memcached ends what ends up to a second early. */
	int64_t until = deadline_ns == CLOCK_NEVER ? CLOCK_NEVER : deadline_ns - CLOCK_NS_PER_S;

	remembered_note(&tower->held, remembered_hash(key), slot, until);
}

/* What memcached had when this process read or wrote it, and lost though nothing ended it. */
static void count_lost(struct tower *tower, const struct layer_batch *batch)
{
	int64_t now = clock_now_ns();

	for (size_t i = 0; i < batch->n_items; i++) {
		const struct layer_item *item = &batch->items[i];

		if (item->answer == LAYER_HIT && item->layer == tower->authority) {
			tower_hold(tower, &item->key, item->slot, item->deadline_ns);
		} else if (item->answer == LAYER_MISS &&
			   remembered_has(&tower->held, remembered_hash(&item->key), item->slot,
					  now)) {
			counter_add(&counters_of(tower, tower->authority)->ghost_hits, 1);
		}
	}
}

static void fill_above(struct tower *tower, struct layer_batch *batch)
{
	for (uint8_t i = 0; i + 1 < batch->at; i++) {
		const struct tower_layer *layer = &tower->layers[i];

		if (layer->ops->fill && !tower_layer_is_off(tower, layer)) {
			layer->ops->fill(layer->layer, batch, i);
		}
	}
}

void tower_read_end(struct tower *tower, struct layer_batch *batch)
{
	size_t above = batch->n_hits;

	while (batch->at < tower->n_layers && batch->n_hits < batch->n_items) {
		ask(tower, batch, batch->at++);
	}
	if (tower_deep(tower) && batch->at == tower->n_layers && !batch->probe) {
		tower_promote(tower, batch);
	}
	if (batch->probe) {
		return;
	}
	if (tower->recorder) {
		record(tower, batch);
	}
	if (batch->n_hits != above) {
		budget_keep(tower);
		bound_ends(tower, batch);
		fill_above(tower, batch);
	}
	if (tower->held.n) {
		count_lost(tower, batch);
	}
}

void tower_abandoned(const void *end)
{
	struct tower *tower = atomic_load_explicit(&tower_now, memory_order_acquire);

	open_writes_abandon(end);
	for (uint8_t i = 0; tower && i < tower->n_layers; i++) {
		if (tower->layers[i].ops->abandoned) {
			tower->layers[i].ops->abandoned(tower->layers[i].layer, end);
		}
	}
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t thread_end;
static bool has_key; /* written under `once` */

static void at_thread_end(void *unused)
{
	(void)unused;
	tower_abandoned((const void *)UINTPTR_MAX);
}

static void make_key(void)
{
	has_key = pthread_key_create(&thread_end, at_thread_end) == 0;
}

void tower_thread(struct tower *tower)
{
	int before = errno;

	stats_thread(tower->stats);
	pthread_once(&once, make_key);
	if (has_key) {
		pthread_setspecific(thread_end, tower);
	}
	errno = before;
}

static void flushed(struct tower *tower, const char *const *servers, size_t n,
		    enum layer_outcome outcome)
{
	const struct tower_layer *deep = tower_deep(tower);

	if (outcome == LAYER_UNCERTAIN) {
		int64_t now = clock_now_ns();

		/* It may take effect at any moment: nothing is served until it has. */
		if (deep) {
			deep->ops->flush_later(deep->layer, servers, n);
		}
		slots_flush_later(tower->slots, now, now + SLOTS_SENT_NS);
	}
	flush_now(tower, servers, n);
}

static void announce_flush(struct tower *tower, const char *const *servers, size_t n,
			   int64_t deadline)
{
	const struct tower_layer *deep = tower_deep(tower);

	if (deep) {
		deep->ops->flush_later(deep->layer, servers, n);
	}
	slots_flush_later(tower->slots, deadline - FLUSH_SPREAD_NS, deadline + FLUSH_SPREAD_NS);
}

/* The last server may have heard of it only when the call returned, or hear of it yet. */
static void flush_was_announced(struct tower *tower, int64_t earliest, int64_t latest,
				enum layer_outcome outcome)
{
	int64_t spread = FLUSH_SPREAD_NS + (outcome == LAYER_UNCERTAIN ? SLOTS_SENT_NS : 0);

	slots_flush_later(tower->slots, earliest - FLUSH_SPREAD_NS, latest + spread);
}

/* Ours is over; one that was announced meanwhile and is due, too, has nothing else to wait for. */
static void end_announced(struct tower *tower)
{
	const struct tower_layer *deep = tower_deep(tower);

	if (slots_flush_due(tower->slots)) {
		if (deep) {
			deep->ops->flush_due(deep->layer);
		}
		slots_flush_done(tower->slots);
	}
}

void tower_flush(struct tower *tower, const char *const *servers, size_t n, int64_t delay_s,
		 enum layer_outcome (*call)(void *), void *arg)
{
	int64_t deadline = expiry_deadline_ns(delay_s);
	int64_t now = clock_now_ns();
	bool later = deadline != CLOCK_NEVER && deadline > now;
	bool announces = !later && !slots_flush_pending(tower->slots);
	enum layer_outcome outcome;

	slots_flush_begin(tower->slots);
	if (later) {
		announce_flush(tower, servers, n, deadline);
	} else if (announces) {
		/* From now on it may have happened: one process misses, no other still hits. */
		slots_flush_later(tower->slots, now, now);
	}
	outcome = call(arg);
	if (outcome != LAYER_UNSENT && later) {
		flush_was_announced(tower, deadline, expiry_deadline_ns(delay_s), outcome);
	} else if (outcome != LAYER_UNSENT) {
		flushed(tower, servers, n, outcome);
	}
	slots_flush_end(tower->slots);
	if (announces) {
		end_announced(tower);
	}
}

void tower_forget_all(struct tower *tower, const char *const *servers, size_t n)
{
	flush_now(tower, servers, n);
}
