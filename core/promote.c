/*
 * Values that go back into memcached from a deeper layer.
 *
 * A plain add would bring back what somebody has just deleted.  So it is done
 * only by who owns the key's slot: nothing is in flight there, nothing has
 * happened since the value was read, and writers wait until it is done
 * (core/slots.h).  An owner that was stopped for longer than they wait finds out,
 * and deletes the key.  So does one that has put back while another domain came, whose
 * writers know nothing of the slot; where there are several, nothing goes back.
 */
#include "core/tower_private.h"

#include "base/fault.h"
#include "core/expiry.h"
#include "core/open_writes.h"

/* In one batch, where nobody needs them at once. */
#define PROMOTIONS_MAX 8

static bool may_stay(struct tower *tower, const struct layer_write *write,
		     const struct layer_item *item)
{
	const struct tower_layer *deep = tower_deep(tower);

	return deep->ops->may_stay == NULL || deep->ops->may_stay(deep->layer, write, item);
}

static bool put_back_owning(struct tower *tower, const struct layer_batch *batch,
			    const struct layer_write *write, const struct slots_ticket *ticket,
			    const struct layer_item *item)
{
	const struct tower_layer *authority = &tower->layers[tower->authority];
	int64_t exptime = expiry_exptime(item->deadline_ns);
	bool done, stays;

	if (fault_planted(FAULT_deep_without_end)) {
		exptime = 0;
	}
	done = exptime >= 0 &&
	       authority->ops->put_back(authority->layer, batch, write, item, exptime);
	stays = !done || may_stay(tower, write, item);
	if (!slots_disown(tower->slots, ticket) && !fault_planted(FAULT_put_back_unowned)) {
		stays = false;
	}
	if (!stays) {
		authority->ops->take_back(authority->layer, batch, write, item);
		done = false;
	}
	if (done) {
		const struct tower_layer *deep = &tower->layers[tower->n_layers - 1];

		counter_add(&tower->stats->layers[deep->stats]->promotions, 1);
	}
	return done;
}

bool tower_put_back(struct tower *tower, const struct layer_write *write,
		    const struct slots_ticket *ticket, const struct layer_item *item)
{
	return (slots_own(tower->slots, ticket) || fault_planted(FAULT_put_back_unowned)) &&
	       put_back_owning(tower, NULL, write, ticket, item);
}

/* A read's: it enters the slot for that, and has another token afterwards. */
static bool put_back(struct tower *tower, const struct layer_batch *batch, struct layer_item *item)
{
	struct slots_ticket ticket;
	bool done;

	if (!slots_enter_owning(tower->slots, item->key.hash, item->slot, &ticket)) {
		if (fault_planted(FAULT_put_back_unowned)) {
			slots_enter(tower->slots, item->key.hash, item->deadline_ns, &ticket);
			done = put_back_owning(tower, batch, NULL, &ticket, item);
			item->slot = slots_leave(tower->slots, &ticket);
			return done;
		}
		item->slot = LAYER_SLOT_BUSY;
		return false;
	}
	open_writes_add(tower->slots, &ticket);
	done = put_back_owning(tower, batch, NULL, &ticket, item);
	item->slot =
		open_writes_close(&ticket) ? slots_leave(tower->slots, &ticket) : LAYER_SLOT_BUSY;
	return done;
}

/* Whether the key came lately; it does now. */
static bool comes_again(struct tower_seen *seen, uint64_t hash)
{
	_Atomic uint32_t *tag = &seen->tags[hash % TOWER_SEEN_KEYS];
	uint32_t wanted = (uint32_t)(hash >> 32) | 1;

	/* Relaxed: a hint, and one word. */
	if (atomic_load_explicit(tag, memory_order_relaxed) == wanted) {
		return true;
	}
	atomic_store_explicit(tag, wanted, memory_order_relaxed);
	return false;
}

static bool is_worth_it(const struct tower *tower, const struct layer_item *item)
{
	switch (tower->config.redis_promote) {
	case CONFIG_PROMOTE_ALWAYS:
		return true;
	case CONFIG_PROMOTE_AGAIN:
		return tower->seen && comes_again(tower->seen, item->key.hash);
	default:
		return false;
	}
}

static void unanswer(struct layer_batch *batch, struct layer_item *item)
{
	batch->allocator.free(batch->allocator.owner, item->value);
	item->value = NULL;
	item->answer = LAYER_MISS;
	item->layer = UINT8_MAX;
	batch->n_hits--;
}

/* The answers with CAS ids, of keys that are in memcached again. */
static void ask_again(struct tower *tower, struct layer_batch *batch)
{
	const struct tower_layer *authority = &tower->layers[tower->authority];

	if (authority->ops->submit == NULL || authority->ops->submit(authority->layer, batch)) {
		authority->ops->get(authority->layer, batch);
	}
	for (size_t i = 0; i < batch->n_items; i++) {
		struct layer_item *item = &batch->items[i];

		if (item->answer == LAYER_HIT && item->layer == UINT8_MAX) {
			item->layer = tower->authority;
		}
	}
}

void tower_promote(struct tower *tower, struct layer_batch *batch)
{
	uint8_t deep = (uint8_t)(tower->n_layers - 1);
	unsigned n_done = 0;

	for (size_t i = 0; i < batch->n_items; i++) {
		struct layer_item *item = &batch->items[i];

		if (item->answer != LAYER_HIT || item->layer != deep) {
			continue;
		}
		if (!item->stays_below &&
		    (batch->want_cas || (n_done < PROMOTIONS_MAX && is_worth_it(tower, item)))) {
			n_done += put_back(tower, batch, item);
		}
		if (batch->want_cas) {
			unanswer(batch, item);
		}
	}
	if (batch->want_cas && n_done) {
		ask_again(tower, batch);
	}
}
