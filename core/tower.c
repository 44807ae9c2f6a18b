#include "core/tower.h"

#include "base/clock.h"
#include "core/expiry.h"

/* memcached counts a flush's delay in its own seconds, up to one early or late. */
#define FLUSH_SPREAD_NS (2 * CLOCK_NS_PER_S)

static void flush_layers(struct tower *tower)
{
	for (uint8_t i = 0; i < tower->n_layers; i++) {
		const struct tower_layer *at = &tower->layers[i];

		if (at->ops->flush) {
			at->ops->flush(at->layer);
		}
	}
}

static void flush_if_due(struct tower *tower)
{
	if (slots_flush_pending(tower->slots) && slots_flush_due(tower->slots)) {
		flush_layers(tower);
	}
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

/* Items that were hits of layer `at` and not known as such yet. */
static void sign_hits(struct layer_batch *batch, uint8_t at, size_t before)
{
	if (batch->n_hits == before) {
		return;
	}
	for (size_t i = 0; i < batch->n_items; i++) {
		struct layer_item *item = &batch->items[i];

		if (item->answer == LAYER_HIT && item->layer == UINT8_MAX) {
			item->layer = at;
		}
	}
}

static void ask(struct tower *tower, struct layer_batch *batch, uint8_t at)
{
	const struct tower_layer *layer = &tower->layers[at];
	size_t before = batch->n_hits;

	if (layer->ops->capabilities & LAYER_DEEP) {
		pass_over_changed(tower, batch);
	}
	layer->ops->get(layer->layer, batch);
	sign_hits(batch, at, before);
}

bool tower_read_begin(struct tower *tower, struct layer_batch *batch)
{
	const struct tower_layer *authority = &tower->layers[tower->authority];

	flush_if_due(tower);
	for (size_t i = 0; i < batch->n_items; i++) {
		struct layer_item *item = &batch->items[i];

		item->slot = slots_load(tower->slots, item->key.hash);
		item->layer = UINT8_MAX;
	}
	batch->at = 0;
	while (batch->at < tower->authority) {
		ask(tower, batch, batch->at++);
	}
	if (batch->n_hits < batch->n_items && authority->ops->submit) {
		return authority->ops->submit(authority->layer, batch);
	}
	return true;
}

void tower_read_end(struct tower *tower, struct layer_batch *batch)
{
	size_t above = batch->n_hits;

	while (batch->at < tower->n_layers && batch->n_hits < batch->n_items) {
		ask(tower, batch, batch->at++);
	}
	if (batch->n_hits == above || batch->probe) {
		return;
	}
	for (uint8_t i = 0; i + 1 < batch->at; i++) {
		const struct tower_layer *layer = &tower->layers[i];

		if (layer->ops->fill) {
			layer->ops->fill(layer->layer, batch, i);
		}
	}
}

/* Tells the layers with this capability what became of a write. */
static void tell(struct tower *tower, const struct layer_write *write, unsigned capability)
{
	for (uint8_t i = 0; i < tower->n_layers; i++) {
		const struct tower_layer *layer = &tower->layers[i];

		if (layer->ops->capabilities & capability) {
			layer->ops->written(layer->layer, write);
		}
	}
}

/* What is shared by many must be told before the slot is left, what is private after it. */
static void settle(struct tower *tower, struct layer_write *write,
		   const struct slots_ticket *ticket)
{
	enum layer_outcome outcome = write->outcome;

	if (slots_flush_pending(tower->slots) && outcome != LAYER_UNSENT) {
		/* The flush will end this value at memcached; a deep copy would live on. */
		write->outcome = LAYER_DROPPED;
	}
	write->slot = LAYER_SLOT_BUSY;
	tell(tower, write, LAYER_SHARED);
	write->slot = slots_leave(tower->slots, ticket);
	tell(tower, write, LAYER_PRIVATE);
	write->outcome = outcome;
}

void tower_write(struct tower *tower, struct layer_write *write)
{
	const struct tower_layer *authority = &tower->layers[tower->authority];
	struct slots_ticket ticket;

	flush_if_due(tower);
	write->exptime = write->changes_expiry
				 ? expiry_cap(write->exptime, tower->config.memcached_ttl)
				 : write->exptime;
	slots_enter(tower->slots, write->key.hash, &ticket);
	/* Before the call: the value must not outlive memcached's, which counts from later on. */
	write->deadline_ns = expiry_deadline_ns(write->exptime);
	authority->ops->write(authority->layer, write);
	settle(tower, write, &ticket);
}

void tower_change(struct tower *tower, const struct layer_key *key, void (*call)(void *), void *arg)
{
	struct layer_write write = {
		.verb = LAYER_TOUCH,
		.key = *key,
		.outcome = LAYER_DROPPED,
	};
	struct slots_ticket ticket;

	slots_enter(tower->slots, key->hash, &ticket);
	call(arg);
	settle(tower, &write, &ticket);
}

void tower_flush(struct tower *tower, int64_t delay_s, void (*call)(void *), void *arg)
{
	int64_t deadline = expiry_deadline_ns(delay_s);

	if (deadline != CLOCK_NEVER && deadline > clock_now_ns()) {
		slots_flush_later(tower->slots, deadline - FLUSH_SPREAD_NS,
				  deadline + FLUSH_SPREAD_NS);
		call(arg);
		return;
	}
	call(arg);
	slots_flush(tower->slots);
	flush_layers(tower);
}

void tower_forget_all(struct tower *tower)
{
	slots_flush(tower->slots);
	flush_layers(tower);
}
