/*
 * tower.h - what a tower does: the walk over its layers, once for everybody.
 *
 * One tower per process.  It comes into being at the first intercepted call:
 * configuration, statistics, slots, layers.  Where it cannot (wrong
 * configuration, no memory, TOWER_DISABLE=1) it is off for good, and every
 * call is the real one.
 *
 * Any thread may call anything; a batch or write belongs to its thread.
 */
#ifndef TOWER_CORE_TOWER_H
#define TOWER_CORE_TOWER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/config.h"
#include "core/recorder.h"
#include "core/slots.h"
#include "core/stats.h"
#include "layers/layer.h"
#include "layers/remembered.h"

#define TOWER_LAYERS_MAX 3

struct tower_layer {
	const struct layer_ops *ops;
	struct layer *layer;
	enum stats_layer stats; /* where it counts */
};

struct tower {
	struct config config;
	struct stats *stats;
	struct slots *slots;
	struct tower_layer layers[TOWER_LAYERS_MAX]; /* in the order of the walk */
	uint8_t n_layers;
	uint8_t authority;		/* place of the memcached layer */
	_Atomic int64_t budget_next_ns; /* core/budget.h */
	_Atomic uint64_t flushes;	/* of the domain, as far as private layers have followed */
	struct recorder *recorder;	/* NULL: nothing is recorded */
	struct remembered held;		/* what memcached had, to tell what it lost */
	struct tower_seen *seen; /* of the domain; NULL: nothing is put back for coming again */
};

/* Deep hits seen lately, by hash: what comes again is worth its place in memcached. */
#define TOWER_SEEN_KEYS 4096
struct tower_seen {
	_Atomic uint32_t tags[TOWER_SEEN_KEYS];
};

/*
 * The authority comes from outside, because it speaks the program's language;
 * so do the names of what is counted.  Both are kept, for good.
 */
struct tower_plug {
	const struct layer_ops *authority;
	struct layer *(*authority_open)(struct layer_counters **counters);
	struct stats_names names;
};

/*
 * The process's tower, opened if need be; NULL where it is off.  `plug` is
 * read by the first call only.
 */
struct tower *tower_open(const struct tower_plug *plug);

extern _Atomic(struct tower *) tower_now; /* core/instance.c */

static inline struct tower *tower_get(const struct tower_plug *plug)
{
	struct tower *now = atomic_load_explicit(&tower_now, memory_order_acquire);

	return now ? now : tower_open(plug);
}

/* The process ends: its counts are folded.  Other threads may still use the tower. */
void tower_leave(void);

/*
 * The configuration alone, for whoever needs it before the first intercepted
 * call; NULL where it is wrong or tower is disabled.
 */
const struct config *tower_config(void);

/* Whether the domain's operator has switched the tower off as a whole. */
static inline bool tower_is_off(const struct tower *tower)
{
	return slots_off(tower->slots) & LAYER_AUTHORITY;
}

/*
 * A read in two halves: begin asks the layers above the authority and sends
 * the authority its questions if it can be asked without waiting; end collects,
 * asks what is deeper, and fills the layers above.  False from begin: the
 * authority could not be asked, the batch's `program` says why, and end must
 * not follow.  Between the two the thread may do anything else.
 *
 * Items come in with key set and everything else zero, or, one alone, from tower_peek() (peek.h).
 */
bool tower_read_begin(struct tower *tower, struct layer_batch *batch);
void tower_read_end(struct tower *tower, struct layer_batch *batch);

/*
 * A write: verb, key, value, flags, exptime, changes_expiry, may_keep_expiry,
 * program are set.  A delete that is LAYER_DONE though `absent` deleted what only
 * a deeper layer had.  Where its outcome is LAYER_UNCERTAIN the key's slot stays
 * entered and is added to *doubts, which the caller keeps for the handle:
 * slots_settle() when a later answer on it says that all has happened,
 * slots_sent() when all was sent, slots_abandon() when the handle ends.
 */
void tower_write(struct tower *tower, struct layer_write *write, struct slots_doubts **doubts);

/*
 * Around a call that changes the key in ways the tower does not follow: no
 * layer above or below the authority holds it afterwards.  `exptime` is an expiry
 * that it may give the key, as memcached takes it, or 0.
 */
void tower_change(struct tower *tower, const struct layer_key *key, int64_t exptime,
		  enum layer_outcome (*call)(void *), void *arg, struct slots_doubts **doubts);

/*
 * Around a real flush of these servers (NULL: of any), `delay_s` as the program gave it (0 at
 * once): when it takes effect nothing of before comes out of any layer.
 */
void tower_flush(struct tower *tower, const char *const *servers, size_t n, int64_t delay_s,
		 enum layer_outcome (*call)(void *), void *arg);

/*
 * The calling thread has left calls in the middle: a handler of the program has
 * jumped out of them.  What they held, and lies below `end` on the thread's stack,
 * is given back; writes are doubts from now on.
 */
void tower_abandoned(const void *end);

/*
 * At a thread's first call.  It counts in a stripe of its own, and what it holds
 * when it ends (cancelled, or ended by a handler) is given back: tower_abandoned().
 */
void tower_thread(struct tower *tower);

/*
 * Nothing held in the domain is a hit any more, nor what deeper layers hold of
 * these servers: for calls nobody can follow.
 */
void tower_forget_all(struct tower *tower, const char *const *servers, size_t n);

#endif
