/*
 * layer.h - the contract of a layer: the key header of tower.
 *
 * A layer is a place where values live.  The tower (core/tower.h) walks over
 * its layers from the nearest to the deepest; the first that has a key
 * answers, and what a deeper one answered is filled into those above.  A new
 * layer is one file that ends in one `const struct layer_ops`.
 *
 * Everything is batch-first: a read is n items, a single get is n = 1.
 *
 * Threads: every operation may be called by several threads at once, for
 * different batches.  A batch and its items belong to one thread at a time.
 *
 * Guests: no operation blocks longer than its layer's configured deadlines
 * (the authority: than the program's own), raises a signal, or writes to a
 * descriptor it did not open.
 */
#ifndef TOWER_LAYERS_LAYER_H
#define TOWER_LAYERS_LAYER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layers/counters.h"

/* memcached's limit, and that of everything that goes on its wire. */
#define LAYER_KEY_MAX 250

/* A slot token that must neither be answered from, nor filled under. */
#define LAYER_SLOT_BUSY UINT64_MAX

/*
 * What an item is, to every layer.  All pointers are borrowed and stay valid
 * for the call.
 */
struct layer_key {
	const char *wire;   /* as memcached sees it: namespaces and key; not NUL-terminated */
	size_t n_wire;	    /* 1 to LAYER_KEY_MAX */
	size_t n_prefix;    /* so many of them are namespaces; the rest is the program's key */
	uint64_t hash;	    /* hash_bytes(wire): names the slot */
	uint64_t place;	    /* fingerprint of the server the key maps to and of the encoding key */
	const char *server; /* that server by name ("host:port" or a path), NUL-terminated */
	bool private;	    /* must not leave the process for a deep layer */
};

enum layer_answer {
	LAYER_UNASKED, /* nobody has answered yet */
	LAYER_HIT,
	LAYER_MISS, /* the layer is well and does not have it */
	LAYER_DOWN, /* the layer cannot say; never the same as a miss */
};

struct layer_item {
	struct layer_key key;
	uint64_t slot; /* the slot's token before anything was asked, or LAYER_SLOT_BUSY */

	enum layer_answer answer; /* of the last layer asked */
	uint8_t layer;		  /* place in the walk of the layer that hit */
	bool has_cas;
	char *value; /* from the batch's allocator, a NUL behind it; NULL where n_value is 0 */
	size_t n_value;
	uint32_t flags;
	uint64_t cas;	     /* the server's own, where has_cas */
	int64_t deadline_ns; /* of clock.h, when the value ends as far as the layer knows, or
				CLOCK_NEVER */
	bool spared;	  /* the deep layer's: it was not asked for there, being known not to be */
	bool stays_below; /* of a LAYER_DEEP hit: it must not be put back into the authority */
	uint64_t origin;  /* of one that may be: the deep layer's, for may_stay */
};

/*
 * Where values of a batch live.  A single get allocates with the program's
 * allocator, because the value is handed on; an mget uses an arena.  `alloc`
 * gives n bytes or NULL, and must not be called under a lock with a rank
 * (it may be the program's code).
 */
struct layer_allocator {
	void *(*alloc)(void *owner, size_t n);
	void (*free)(void *owner, void *bytes); /* NULL is nothing */
	void *owner;
};

struct layer_batch {
	struct layer_item *items;
	size_t n_items;
	size_t n_hits; /* items whose answer is LAYER_HIT */
	bool want_cas; /* an answer without the server's own CAS id is none */
	bool probe;    /* only whether it is there: no value need come, nothing is filled */
	struct layer_allocator allocator;
	bool spared;   /* set by a layer that knew without asking its server: no latency of that */
	void *program; /* what the authority needs; nobody else looks at it */
	uint8_t at;    /* tower.c: where the walk stands */
	bool timed;    /* tower.c: this walk's latencies are kept */
	int64_t submit_ns; /* tower.c: what submit() took, where it is timed */
};

enum layer_verb {
	LAYER_SET,
	LAYER_ADD,
	LAYER_REPLACE,
	LAYER_APPEND,
	LAYER_PREPEND,
	LAYER_CAS,
	LAYER_DELETE,
	LAYER_INCREMENT,
	LAYER_DECREMENT,
	LAYER_TOUCH,
};

/* Whether the verb's value is what is held afterwards, if it is done. */
static inline bool layer_stores(enum layer_verb verb)
{
	return verb == LAYER_SET || verb == LAYER_ADD || verb == LAYER_REPLACE || verb == LAYER_CAS;
}

/* What became of a write, as far as anybody but the program must know. */
enum layer_outcome {
	LAYER_DONE,	 /* memcached confirmed: it happened */
	LAYER_REFUSED,	 /* memcached confirmed: nothing stored or changed */
	LAYER_DROPPED,	 /* memcached answered with an error: nothing stored, but what was
			  * there may be gone (a value too large drops the old one) */
	LAYER_UNCERTAIN, /* not confirmed (buffered, noreply, failed, timed out): it may
			  * have happened, may happen later, or never */
	LAYER_UNSENT,	 /* refused by the client library: nothing was sent */
};

/* What a deep layer has of a key that is being written. */
enum layer_found {
	LAYER_FOUND_UNKNOWN, /* it cannot say, or not for certain: nothing is built on it */
	LAYER_FOUND_NOTHING,
	LAYER_FOUND_VALUE, /* the one that was in force before this write */
};

/* What a deep layer keeps of one write, its own kind. */
struct layer_mark;

struct layer_write {
	enum layer_verb verb;
	struct layer_key key;
	uint64_t slot; /* token after the write left its slot, BUSY where others wrote too */

	const char *value; /* borrowed; set to prepend */
	size_t n_value;
	uint32_t flags;
	int64_t exptime; /* as memcached takes it: 0 never, to 30 days relative, else absolute */
	int64_t deadline_ns;  /* the same as a deadline of clock.h; in the past: ended already */
	bool changes_expiry;  /* the exptime counts for this verb */
	bool capped;	      /* it is not the program's own any more */
	bool may_keep_expiry; /* but only where the key was not there (a counter's initial value) */

	void *program; /* the call itself, for the authority */
	bool awaited;  /* its answer comes before anything else happens */
	enum layer_outcome outcome;

	bool no_create;	 /* a counter that is not there is not to be made */
	bool again;	 /* the same call was made before, inside this one */
	bool absent;	 /* out: refused because memcached has nothing under the key */
	uint64_t number; /* out: what a counter is now, where it was done */

	struct layer_mark *mark; /* the deep layer's from announce to commit; may be NULL */
	enum layer_found found;
	bool stays_below; /* what was found must not be put back into the authority */
	bool is_below;	  /* refused for what was found there; the authority was not called */
	bool created;	  /* the counter was not there in any layer, and was made */
	bool alone;	  /* for commit: no other write and no flush overlapped this one */

	bool timed;	 /* tower_write.c: this write's latencies are kept */
	int64_t deep_ns; /* tower_write.c: what the program waited for the deep layer, where timed
			  */
};

enum layer_capability {
	LAYER_AUTHORITY = 1 << 0, /* the program's own memcached: exactly one layer of a walk */
	LAYER_PRIVATE = 1 << 1,	  /* of this process: told of a write after its slot was left */
	LAYER_SHARED = 1 << 2,	  /* of many */
	LAYER_DEEP = 1 << 3,	  /* asked only where the authority answered with a clean miss */
};

struct layer; /* each layer's own */

struct layer_ops {
	const char *name; /* in statistics and configuration */
	unsigned capabilities;

	/*
	 * Answers items of the batch.  Looks only at items whose answer is not
	 * LAYER_HIT; skips (leaves as they are) those whose slot is
	 * LAYER_SLOT_BUSY, unless the layer is the authority; sets every other
	 * one's answer to HIT (with value, flags, deadline, cas), MISS or DOWN
	 * and keeps n_hits.  A layer that is LAYER_DEEP asks only for items
	 * that are LAYER_MISS.  The walk sets `layer`.  Of a hit that nobody else may
	 * keep, it sets the slot to LAYER_SLOT_BUSY.
	 */
	void (*get)(struct layer *layer, struct layer_batch *batch);

	/*
	 * Optional, of a first layer: get() of one key, without a batch.  The
	 * slot is that of *ret, and not BUSY; of *ret everything but key, answer
	 * and layer is set where it is a hit, else its value is not.  Takes nothing that a
	 * handler of the program could leave taken by jumping away, so that what
	 * would have to be changed is LAYER_UNASKED, and get() does it.
	 */
	enum layer_answer (*peek)(struct layer *layer, const struct layer_key *key, bool want_cas,
				  const struct layer_allocator *allocator, struct layer_item *ret);

	/*
	 * Optional: sends the questions of get() without waiting; get() then
	 * collects.  False: nothing was sent and get() must not follow.
	 */
	bool (*submit)(struct layer *layer, struct layer_batch *batch);

	/*
	 * Takes a copy of hits that deeper layers answered: items that are HIT
	 * with `layer` above `own` and whose slot is not BUSY.  May refuse any.
	 * NULL: this layer is never filled.
	 */
	void (*fill)(struct layer *layer, const struct layer_batch *batch, uint8_t own);

	/* The authority only: makes the program's call and sets outcome, absent, number. */
	void (*write)(struct layer *layer, struct layer_write *write);

	/*
	 * The authority only: adds the item's value where there is none, with an
	 * exptime as memcached takes it.  For the read or the write (the other is
	 * NULL) whose program it is.  False: that cannot be told of this handle.
	 */
	bool (*put_back)(struct layer *layer, const struct layer_batch *batch,
			 const struct layer_write *write, const struct layer_item *item,
			 int64_t exptime);

	/* The same who put back, too late: deletes the key. */
	void (*take_back)(struct layer *layer, const struct layer_batch *batch,
			  const struct layer_write *write, const struct layer_item *item);

	/*
	 * Optional, LAYER_PRIVATE only: written() of this key will follow when memcached has
	 * answered; until then the processor may fetch what it will look at.  Called twice,
	 * some hundred instructions apart: `again` finds what the first has asked for, and
	 * asks for what that leads to.
	 */
	void (*expect)(const struct layer *layer, const struct layer_key *key, bool again);

	/*
	 * The authority answered a write and its slot was left.  Afterwards the
	 * layer holds the new value or nothing under that key, never what was
	 * there before.  LAYER_PRIVATE only.
	 */
	void (*written)(struct layer *layer, const struct layer_write *write);

	/*
	 * LAYER_DEEP: its part in a write, by the writer's thread, in this order.
	 * Where others write whom the slot does not keep apart it sets `stays_below`.
	 *
	 * announce: before the slot is entered.  Should the process die from here
	 * on, what the layer has of the key is not read before it was made safe.
	 */
	void (*announce)(struct layer *layer, struct layer_write *write);

	/* Optional, in the slot: sets `found` without touching anything. */
	void (*look)(struct layer *layer, struct layer_write *write);

	/* In the slot: what the layer has of the key is to be unreadable; does not wait. */
	void (*mark)(struct layer *layer, struct layer_write *write);

	/* Waits for that, and sets `found`; whatever fails, nobody reads an old value. */
	void (*marked)(struct layer *layer, struct layer_write *write);

	/* The value that was found, into the item (value from the allocator); false: it is gone. */
	bool (*recall)(struct layer *layer, struct layer_write *write,
		       const struct layer_allocator *allocator, struct layer_item *item);

	/*
	 * Optional, by who has put an item back and owns its slot still, for the write
	 * (NULL: a read): whether nobody outside of the domain could write since it was
	 * read here.  False: it is taken back.
	 */
	bool (*may_stay)(struct layer *layer, const struct layer_write *write,
			 const struct layer_item *item);

	/* Optional, before the slot is left: the call may have taken very long. */
	void (*leaving)(struct layer *layer, struct layer_write *write);

	/*
	 * After the slot was left, with outcome and alone: the layer may hold
	 * what memcached has now.  Does not wait for an answer.
	 */
	void (*commit)(struct layer *layer, struct layer_write *write);

	/* Holds nothing of any key any more.  NULL: nothing to do. */
	void (*flush)(struct layer *layer);

	/*
	 * Holds no more than so many bytes from now on, overhead counted, and no more
	 * than it was opened with.  NULL: it has no budget.
	 */
	void (*set_budget)(struct layer *layer, uint64_t max_bytes);

	/* LAYER_DEEP: of any key of these memcached servers; NULL: of all there are. */
	void (*flush_servers)(struct layer *layer, const char *const *servers, size_t n);

	/* A flush was announced for these; and: its time has come. */
	void (*flush_later)(struct layer *layer, const char *const *servers, size_t n);
	void (*flush_due)(struct layer *layer);

	/*
	 * LAYER_DEEP: whether its operator has switched it off.  Then it behaves as
	 * where its server does not answer, without asking.  Optional.
	 */
	void (*set_off)(struct layer *layer, bool off);

	/* Frees everything; NULL in *layer afterwards.  NULL is accepted. */
	void (*close)(struct layer **layer);

	/*
	 * The calling thread has left calls in the middle: a handler of the program
	 * jumped out of them, or the thread was cancelled.  Whatever it had taken of
	 * the layer (locks, connections) is given back.  NULL: it takes nothing.
	 */
	void (*abandoned)(struct layer *layer, const void *end);

	/*
	 * Around a fork; each may be NULL.  prepare: takes the layer's locks, so
	 * that a child finds it whole; parent: releases them; child: locks
	 * afresh, connections dropped silently.
	 */
	void (*prepare)(struct layer *layer);
	void (*parent)(struct layer *layer);
	void (*child)(struct layer *layer);
};

#endif
