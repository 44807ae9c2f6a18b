/*
 * results.h - what lies between an mget and its fetches.
 *
 * An mget is one batch: layers above memcached answer what they can, one real
 * mget asks for the rest (mget.c).  The first fetch collects what memcached sent,
 * asks deeper layers, and from then on results come in the order of the request
 * (fetch.c).  Owned by the handle's state, which keeps it for the next mget; used by
 * the handle's thread.
 */
#ifndef TOWER_SHIM_RESULTS_H
#define TOWER_SHIM_RESULTS_H

#include "base/arena.h"
#include "shim/shim.h"

struct shim_results {
	struct arena arena; /* keys and values */
	struct layer_item *items;
	size_t n_room; /* so many items fit */
	struct layer_batch batch;
	struct memcached_read read;
	enum shim_call call; /* that asked */
	bool asked;	     /* the real mget was sent */
	bool collected;	     /* its answers have been taken */
	size_t next;	     /* item to look at for the next result */
	/* Of the handle's namespaces now: so much does the real call take off a key. */
	size_t n_prefix;
};

/* Whether answers are still to be read off the handle's connections.  NULL is nothing. */
static inline bool results_unread(const struct shim_results *results)
{
	return results && results->asked && (!results->collected || results->read.unread);
}

/*
 * For a request of n keys on this handle, as if it had found nothing yet: the caller
 * sets read, want_cas, and every item's key and answer.  NULL where there is no memory.
 */
struct shim_results *results_take(struct shim_state *state, size_t n);

/* They are not wanted any more; they are the handle's spare ones from now on. */
void results_give(struct shim_state *state, struct shim_results *results);

#endif
