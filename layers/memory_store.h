/*
 * memory_store.h - what the memory layer holds, and how that is changed; for
 * memory*.c alone.
 *
 * memory.c finds and answers; memory_store.c puts and drops; memory_room.c
 * makes room, keeps to the budget, and clears away what has ended.
 *
 * Each of the policy's queues is a log.  A functions ending in _locked wants the
 * layer's lock; all others here are for any thread.
 */
#ifndef TOWER_LAYERS_MEMORY_STORE_H
#define TOWER_LAYERS_MEMORY_STORE_H

#include "base/hash.h"
#include "base/lock.h"
#include "layers/memory.h"
#include "layers/memory_index.h"
#include "layers/memory_log.h"
#include "layers/policy.h"
#include "layers/remembered.h"

/* The table may take so large a part of the budget, and the policy's memory. */
#define MEMORY_INDEX_PART 4
#define MEMORY_GHOST_PART 16

/* Words of the first table. */
#define MEMORY_INDEX_WORDS_MIN 64

/* Where the search for what has ended stands: one pass over a queue after the other. */
struct memory_sweep {
	uint64_t place;	    /* entries before were asked on this pass */
	int64_t soonest_ns; /* nothing ends before: until then there is nothing to look for */
	int64_t next_ns;    /* of what this pass has seen: it comes to all that comes meanwhile */
};

struct layer {
	struct memory_index index;
	struct memory_log logs[POLICY_QUEUES];
	unsigned uses_max;
	struct memory_options options;
	struct layer_counters **counters;

	struct lock lock;   /* guards: changes of index and logs, and everything below */
	uint64_t max_bytes; /* the budget now, no more than options.max_bytes */
	struct policy policy;
	uint64_t n_items;
	uint64_t n_queued[POLICY_QUEUES]; /* items by queue */
	uint64_t n_living[POLICY_QUEUES]; /* bytes of entries that are in the index */
	struct memory_sweep sweeps[POLICY_QUEUES];
	uint64_t random; /* for jitter */
	struct remembered evicted;
	bool forks_in_change; /* the forking thread had the lock already */
};

/* An entry that a reader found, as it was while the log held it. */
struct memory_found {
	const struct memory_log *log;
	uint64_t place;
	const char *bytes; /* what lies there; for readers */
	struct memory_head head;
	_Atomic uint64_t *at;
	uint64_t word;
};

/* What is to be stored, from a fill or from a write. */
struct memory_offer {
	const struct layer_key *key;
	uint64_t slot;
	const char *value;
	size_t n_value;
	uint32_t flags;
	uint64_t cas;
	bool has_cas;
	int64_t deadline_ns;
};

/* Both are hashes, so that nothing more need be mixed. */
static inline uint64_t memory_hash(const struct layer_key *key)
{
	return key->hash ^ key->place;
}

/* The hash of an entry in a log; its key is hashed again. */
uint64_t memory_entry_hash(const struct memory_head *head, const char *bytes);

/* The word that leads to the entry at a place of a queue's log, or NULL: it is dead. */
_Atomic uint64_t *memory_word_at(const struct layer *layer, uint64_t hash, unsigned queue,
				 uint64_t place);

/* A free way in the table that is filled now, or NULL. */
_Atomic uint64_t *memory_free_way_locked(const struct layer *layer, uint64_t hash);

/* Bytes of everything held, what is dead included. */
uint64_t memory_held_locked(const struct layer *layer);

/* Tells the statistics what is held now: at the end of every change. */
void memory_gauges_locked(const struct layer *layer);

/*
 * Offers the policy a value that went for want of nothing but time or truth, and
 * unlinks it.  memory_unlink_locked() alone: the value is being replaced, or the
 * policy knows already.  Its bytes stay until the log's head passes them.
 */
void memory_drop_locked(struct layer *layer, const struct memory_found *found);
void memory_unlink_locked(struct layer *layer, _Atomic uint64_t *at, uint64_t size);

/* Unlinks an entry of which there is no room for itself or its word. */
void memory_evict_locked(struct layer *layer, _Atomic uint64_t *at, uint64_t size, uint64_t hash,
			 const struct memory_head *head);

/*
 * Stores the offer in place of `found` (NULL: nothing there), or at least makes
 * sure that nothing older stays; false then.
 */
bool memory_put_locked(struct layer *layer, const struct memory_offer *offer,
		       const struct memory_found *found, int64_t now);

void memory_clear_locked(struct layer *layer);

/* An entry has come to the queue. */
static inline void memory_expect_end_locked(struct layer *layer, unsigned queue,
					    int64_t deadline_ns)
{
	struct memory_sweep *sweep = &layer->sweeps[queue];

	sweep->soonest_ns = deadline_ns < sweep->soonest_ns ? deadline_ns : sweep->soonest_ns;
}

/* --- memory_room.c --- */

/* Nothing is held. */
void memory_sweep_anew_locked(struct layer *layer);

/* Room for an entry of so many bytes in that queue, which fits for certain. */
void memory_make_room_locked(struct layer *layer, unsigned queue, uint64_t size, int64_t now);

/* A table twice as large, if half of the words are taken and the budget allows; whether it is. */
bool memory_grow_index_locked(struct layer *layer);

/*
 * A larger table before it is too full, a smaller one where it is nearly empty; some
 * of the words that still have to move into it, all of them for a large entry.
 */
void memory_fit_index_locked(struct layer *layer, uint64_t size);

/*
 * Ends a change with a bounded part of what time asks for: drops entries that have
 * ended, moves the living together where most of a log is dead, gives memory back.
 */
void memory_tidy_locked(struct layer *layer, int64_t now);

/* The largest entry for which there can be room. */
uint64_t memory_size_max(const struct layer *layer);

void memory_set_budget_locked(struct layer *layer, uint64_t max_bytes, int64_t now);

#endif
