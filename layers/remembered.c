#include "layers/remembered.h"

#include <stdlib.h>

#include "base/hash.h"

uint64_t remembered_hash(const struct layer_key *key)
{
	return hash_mix(key->hash, key->place);
}

bool remembered_open(struct remembered *remembered, uint64_t n)
{
	size_t places = 1;

	if (n == 0) {
		return true;
	}
	while (places < n) {
		places *= 2;
	}
	remembered->places = calloc(places, sizeof(*remembered->places));
	remembered->n = remembered->places ? places : 0;
	return remembered->places != NULL;
}

void remembered_close(struct remembered *remembered)
{
	free(remembered->places);
	remembered->places = NULL;
	remembered->n = 0;
}

static struct remembered_one *place_of(const struct remembered *remembered, uint64_t hash)
{
	return &remembered->places[hash & (remembered->n - 1)];
}

void remembered_note(struct remembered *remembered, uint64_t hash, uint64_t slot,
		     int64_t deadline_ns)
{
	struct remembered_one *at;

	if (remembered->n == 0 || slot == LAYER_SLOT_BUSY) {
		return;
	}
	at = place_of(remembered, hash);
	atomic_store_explicit(&at->hash, hash, memory_order_relaxed);
	atomic_store_explicit(&at->slot, slot, memory_order_relaxed);
	atomic_store_explicit(&at->deadline_ns, deadline_ns, memory_order_relaxed);
}

bool remembered_has(const struct remembered *remembered, uint64_t hash, uint64_t slot, int64_t now)
{
	const struct remembered_one *at;

	if (remembered->n == 0) {
		return false;
	}
	at = place_of(remembered, hash);
	return atomic_load_explicit(&at->hash, memory_order_relaxed) == hash &&
	       atomic_load_explicit(&at->slot, memory_order_relaxed) == slot &&
	       atomic_load_explicit(&at->deadline_ns, memory_order_relaxed) > now;
}
