/*
 * remembered.h - items that a layer had not long ago: for onlookers who ask what it would
 * bring, had it kept them.
 *
 * Remembers hash, slot token and deadline of an item, one for each place of a table by hash;
 * a later one takes the place.  Nothing need be told of writes and flushes: they
 * change the token.  Of a fixed size, beside every budget.
 *
 * Any thread.  Words are relaxed and an entry may be torn by two threads: then its parts
 * do not belong together, no item has all three, and a count is one less.
 */
#ifndef TOWER_LAYERS_REMEMBERED_H
#define TOWER_LAYERS_REMEMBERED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layers/layer.h"

struct remembered {
	size_t n; /* places; 0: nothing is remembered */
	struct remembered_one {
		_Atomic uint64_t hash; /* remembered_hash() */
		_Atomic uint64_t slot;
		_Atomic int64_t deadline_ns; /* 0: free */
	} * places;			     /* owned */
};

uint64_t remembered_hash(const struct layer_key *key);

/* `n` places, rounded up to a power of two; 0: none.  False where memory is out. */
bool remembered_open(struct remembered *remembered, uint64_t n);

void remembered_close(struct remembered *remembered);

/* The layer has, or had, the item under this token until its deadline.  Not under a busy one. */
void remembered_note(struct remembered *remembered, uint64_t hash, uint64_t slot,
		     int64_t deadline_ns);

/* The layer does not have this item: whether it would, had it kept all. */
bool remembered_has(const struct remembered *remembered, uint64_t hash, uint64_t slot, int64_t now);

#endif
