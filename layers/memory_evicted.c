#include "layers/memory_evicted.h"

#include <stdlib.h>

bool memory_evicted_open(struct memory_evicted *evicted, uint64_t n)
{
	size_t places = 1;

	if (n == 0) {
		return true;
	}
	while (places < n) {
		places *= 2;
	}
	evicted->places = calloc(places, sizeof(*evicted->places));
	evicted->n = evicted->places ? places : 0;
	return evicted->places != NULL;
}

void memory_evicted_close(struct memory_evicted *evicted)
{
	free(evicted->places);
	evicted->places = NULL;
	evicted->n = 0;
}

void memory_evicted_note(struct memory_evicted *evicted, uint64_t hash, uint64_t slot,
			 int64_t deadline_ns)
{
	if (evicted->n) {
		evicted->places[hash & (evicted->n - 1)] =
			(struct memory_evicted_one){ hash, slot, deadline_ns };
	}
}

bool memory_evicted_returns(struct memory_evicted *evicted, uint64_t hash, uint64_t slot,
			    int64_t now)
{
	struct memory_evicted_one *at;
	bool returns;

	if (evicted->n == 0) {
		return false;
	}
	at = &evicted->places[hash & (evicted->n - 1)];
	if (at->hash != hash) {
		return false;
	}
	returns = at->slot == slot && at->deadline_ns > now;
	*at = (struct memory_evicted_one){ 0 };
	return returns;
}
