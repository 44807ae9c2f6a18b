/*
 * results.h - what lies between an mget and its fetches.
 *
 * An mget is one batch: layers above memcached answer what they can, one real
 * mget asks for the rest (mget.c).  The first fetch collects what memcached sent,
 * asks deeper layers, and from then on results come in the order of the request
 * (fetch.c).  Owned by the handle's state; used by the handle's thread.
 */
#ifndef TOWER_SHIM_RESULTS_H
#define TOWER_SHIM_RESULTS_H

#include "base/arena.h"
#include "shim/shim.h"

struct shim_results {
	struct arena arena; /* keys and values */
	struct layer_item *items;
	struct layer_batch batch;
	struct memcached_read read;
	bool asked;	/* the real mget was sent */
	bool collected; /* its answers have been taken */
	size_t next;	/* item to look at for the next result */
	/* Of the handle's namespaces now: so much does the real call take off a key. */
	size_t n_prefix;
};

#endif
