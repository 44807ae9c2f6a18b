/*
 * peek.h - a hit, in line: the part of the walk (tower.h) that is most of what a
 * tower does.  Nothing here changes anything but statistics.
 */
#ifndef TOWER_CORE_PEEK_H
#define TOWER_CORE_PEEK_H

#include "base/clock.h"
#include "base/likely.h"
#include "core/slots_file.h"
#include "core/timing.h"
#include "core/tower.h"

/*
 * slots_load() for a reader that has followed all flushes up to number `flushes`
 * (slots_flushes()).  LAYER_SLOT_BUSY also where anything is to be done before a
 * read: doubts have grown old, or a flush was announced or has taken place.
 */
static inline uint64_t slots_peek(const struct slots *slots, uint64_t hash, uint64_t flushes)
{
	const struct slots_head *head = slots->head;
	uint64_t word =
		atomic_load_explicit(&slots->words[hash & slots->mask], memory_order_acquire);

	/* With something switched off the word is no number of flushes. */
	if (unlikely(word & SLOTS_IN_FLIGHT) ||
	    unlikely(atomic_load_explicit(&head->flushes, memory_order_acquire) != flushes) ||
	    unlikely(atomic_load_explicit(&head->flush_from_ns, memory_order_acquire)) ||
	    unlikely(atomic_load_explicit(&slots->doubts_until_ns, memory_order_relaxed) !=
		     CLOCK_NEVER)) {
		return LAYER_SLOT_BUSY;
	}
	return slots_token(flushes, word);
}

/* tower_peek() without its statistics of time. */
static inline bool tower_peek_at(const struct tower *tower, const struct layer_key *key,
				 bool want_cas, const struct layer_allocator *allocator,
				 struct layer_item *ret)
{
	const struct tower_layer *first = &tower->layers[0];
	uint64_t followed = atomic_load_explicit(&tower->flushes, memory_order_relaxed);

	ret->answer = LAYER_UNASKED;
	ret->slot = slots_peek(tower->slots, key->hash, followed);
	if (likely(ret->slot != LAYER_SLOT_BUSY) && likely(first->ops->peek != NULL)) {
		ret->answer = first->ops->peek(first->layer, key, want_cas, allocator, ret);
	}
	return ret->answer == LAYER_HIT;
}

/* The same for one that is timed, recorded, or both. */
bool tower_peek_watched(const struct tower *tower, const struct layer_key *key, bool want_cas,
			const struct layer_allocator *allocator, struct layer_item *ret);

/*
 * A read of one key in the first layer, where nothing else is to be done before.
 * True: a hit, and *ret is as the layer's get() leaves an item but for key and
 * layer.  False: the read goes on with tower_read_begin().  Then the answer is
 * LAYER_MISS where the layer was asked, and slot is set; an item with these two is
 * not asked for there again.  Else it is LAYER_UNASKED, and nothing has happened.
 */
static inline bool tower_peek(const struct tower *tower, const struct layer_key *key, bool want_cas,
			      const struct layer_allocator *allocator, struct layer_item *ret)
{
	return unlikely(timing_hit()) ? tower_peek_watched(tower, key, want_cas, allocator, ret)
				      : tower_peek_at(tower, key, want_cas, allocator, ret);
}

#endif
