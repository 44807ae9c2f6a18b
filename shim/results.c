/* The memory of results (results.h). */
#include "shim/results.h"

#include <stdlib.h>

/* A handle keeps room for so many items from one mget to the next. */
#define KEEP_ITEMS_MAX 1024

static void *alloc(void *owner, size_t n)
{
	return arena_alloc(owner, n);
}

static void no_free(void *owner, void *bytes)
{
	/* An arena gives back all at once. */
}

static void free_all(struct shim_results **results)
{
	if (*results) {
		arena_done(&(*results)->arena);
		free((*results)->items);
		free(*results);
		*results = NULL;
	}
}

/* Items need not be zero. */
static bool make_room(struct shim_results *results, size_t n)
{
	if (n > results->n_room) {
		free(results->items);
		results->items = malloc(n * sizeof(*results->items));
		results->n_room = results->items ? n : 0;
	}
	return n <= results->n_room;
}

struct shim_results *results_take(struct shim_state *state, size_t n)
{
	struct shim_results *results = state->spare ? state->spare : calloc(1, sizeof(*results));

	state->spare = NULL;
	if (results == NULL || !make_room(results, n)) {
		free_all(&results);
		return NULL;
	}
	results->batch = (struct layer_batch){
		.items = results->items,
		.n_items = n,
		.allocator = { alloc, no_free, &results->arena },
		.program = &results->read,
	};
	results->asked = false;
	results->collected = false;
	results->next = 0;
	return results;
}

void results_give(struct shim_state *state, struct shim_results *results)
{
	if (results->n_room > KEEP_ITEMS_MAX) {
		free(results->items);
		results->items = NULL;
		results->n_room = 0;
	}
	arena_reset(&results->arena);
	/* Of two the later one: a request was refused while an earlier one was kept. */
	free_all(&state->spare);
	state->spare = results;
}

void shim_drop_results(struct shim_state *state)
{
	struct shim_results *results = state ? state->results : NULL;

	if (results == NULL) {
		return;
	}
	state->unread |= results_unread(results);
	state->results = NULL;
	results_give(state, results);
}

void shim_end_results(struct shim_state *state)
{
	shim_drop_results(state);
	free_all(&state->spare);
}
