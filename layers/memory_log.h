/*
 * memory_log.h - where the memory layer's entries lie: one after the other in a
 * ring.
 *
 * New entries go to the tail; room is made at the head, where the oldest lies.
 * So there is no fragmentation, and a budget holds to the byte.  Places are
 * 64-bit counts of bytes since the beginning; the ring is a power of two of
 * address space; how much of it is in use at once is the caller's to bound.
 *
 * An entry is never changed after it was put.  A reader without a lock copies
 * what it wants, then asks memory_log_holds(): the entry at a place was whole as
 * long as the head had not passed it.  The writer moves the head before it
 * overwrites anything.
 */
#ifndef TOWER_LAYERS_MEMORY_LOG_H
#define TOWER_LAYERS_MEMORY_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/racy.h"
#include "layers/memory_index.h"

enum memory_kind {
	MEMORY_ENTRY,
	MEMORY_ENTRY_WITH_CAS,
	MEMORY_FILLER, /* up to the ring's end: an entry lies in one piece */
};

/* Before an entry's bytes: its CAS id where it has one, its key, its value. */
struct memory_head {
	uint32_t n_units; /* of MEMORY_UNIT, head included */
	uint16_t kind;	  /* with n_units in the first unit: a filler may be no longer */
	uint16_t n_key;
	uint32_t n_value;
	uint32_t flags;
	uint64_t where; /* the item's place: server and encoding key */
	uint64_t slot;
	int64_t deadline_ns;
};

struct memory_log {
	char *ring;
	uint64_t mask; /* of the address space */
	_Atomic uint64_t head;
	uint64_t tail;
	uint64_t released; /* pages before it have been given back */
	uint64_t piece;	   /* so much goes back at a time; whole pages */
};

/* A ring for at least `limit` bytes.  False where memory is out. */
bool memory_log_open(struct memory_log *log, uint64_t limit);
void memory_log_close(struct memory_log *log);

/* The place that a word means: of all with these low bits the one nearest to the head. */
static inline uint64_t memory_log_place(uint64_t low, uint64_t head)
{
	int64_t ahead =
		(int64_t)((low - head) << MEMORY_PLACE_SPARE_BITS) >> MEMORY_PLACE_SPARE_BITS;

	return head + (uint64_t)ahead;
}

static inline const char *memory_log_at(const struct memory_log *log, uint64_t place)
{
	return log->ring + (place & log->mask);
}

/* Whether all that was read at the place so far was the entry's own. */
static inline bool memory_log_holds(const struct memory_log *log, uint64_t place)
{
	racy_done();
	return atomic_load_explicit(&log->head, memory_order_relaxed) <= place;
}

/* Bytes that an entry takes. */
uint64_t memory_log_size(size_t n_key, size_t n_value, bool has_cas);

/* --- under the layer's lock --- */

/* Bytes in use, what is dead included. */
static inline uint64_t memory_log_used(const struct memory_log *log)
{
	return log->tail - atomic_load_explicit(&log->head, memory_order_relaxed);
}

/* Bytes that must be free so that `size` can be put at the tail in one piece. */
uint64_t memory_log_needs(const struct memory_log *log, uint64_t size);

/*
 * Gives the oldest entry up; its bytes can still be read under the lock until
 * memory_log_put() or memory_log_release().
 */
void memory_log_pass(struct memory_log *log, uint64_t size);

/* Gives memory behind the head back, where there is enough of it. */
void memory_log_release(struct memory_log *log);

/* Whether `size` bytes would be put right at the tail, without a filler. */
static inline bool memory_log_is_next(const struct memory_log *log, uint64_t size)
{
	return log->mask + 1 - (log->tail & log->mask) >= size;
}

/*
 * Reserves `size` bytes at the tail, for which there is room; the caller fills
 * them and then lets readers know.  Returns their place.
 */
uint64_t memory_log_put(struct memory_log *log, uint64_t size);

/* Holds nothing; memory goes back. */
void memory_log_clear(struct memory_log *log);

#endif
