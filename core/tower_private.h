/*
 * tower_private.h - what the parts of the walk share: tower.c, tower_write.c,
 * promote.c.
 */
#ifndef TOWER_CORE_TOWER_PRIVATE_H
#define TOWER_CORE_TOWER_PRIVATE_H

#include "core/tower.h"

/* What time and other processes have changed since the last call. */
void tower_keep_up(struct tower *tower);

/* Whether an operator has switched the layer off. */
bool tower_layer_is_off(const struct tower *tower, const struct tower_layer *layer);

/* The deep layer, or NULL where there is none. */
static inline const struct tower_layer *tower_deep(const struct tower *tower)
{
	const struct tower_layer *last = &tower->layers[tower->n_layers - 1];

	return last->ops->capabilities & LAYER_DEEP ? last : NULL;
}

/* memcached has the key's value until then: remembered, where tower.held has places. */
void tower_hold(struct tower *tower, const struct layer_key *key, uint64_t slot,
		int64_t deadline_ns);

/* --- promote.c --- */

/*
 * Puts deep hits back into memcached, where they are worth it or must be (an
 * answer without the server's CAS id is none where one is wanted).
 */
void tower_promote(struct tower *tower, struct layer_batch *batch);

/*
 * Puts the item's value back into memcached for a write that is in its slot;
 * false: it is not alone there, or memcached could not be told.
 */
bool tower_put_back(struct tower *tower, const struct layer_write *write,
		    const struct slots_ticket *ticket, const struct layer_item *item);

#endif
