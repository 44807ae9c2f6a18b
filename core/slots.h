/*
 * slots.h - the table of slots: what makes a copy in memory as true as
 * memcached itself (docs/ARCHITECTURE.md, DESIGN section 4).
 *
 * A slot belongs to all keys whose hash on the wire falls into it, and holds a
 * version and the number of writes in flight.  A write enters before it
 * touches memcached and leaves before it returns; both change the version.  A
 * reader loads the slot's token before it fetches; what it stores is a hit
 * only while the token is the same.  While a write is in flight the token is
 * LAYER_SLOT_BUSY: no answer, no fill.
 *
 * So a value that comes out was in force at some moment after the read began:
 * every write that was acknowledged before had left, hence changed the token.
 *
 * Lock-free; any thread may call anything.  The table lies in private memory:
 * it holds for the threads of one process.
 */
#ifndef TOWER_CORE_SLOTS_H
#define TOWER_CORE_SLOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct slots;

/* One write between enter and leave. */
struct slots_ticket {
	size_t slot;
	uint64_t entered; /* the slot's word after entering */
	bool alone;       /* nothing was in flight when it entered */
};

/* `n` is rounded up to a power of two, 2 to 2^24.  NULL where memory is out. */
struct slots *slots_open(size_t n);
void slots_close(struct slots **slots);

/* The token of a key's slot now, or LAYER_SLOT_BUSY. */
uint64_t slots_load(struct slots *slots, uint64_t hash);

void slots_enter(struct slots *slots, uint64_t hash, struct slots_ticket *ret_ticket);

/*
 * The token under which the writer may keep its own value, or LAYER_SLOT_BUSY
 * where another write overlapped this one.
 */
uint64_t slots_leave(struct slots *slots, const struct slots_ticket *ticket);

/* Every token changes: nothing stored before is a hit any more. */
void slots_flush(struct slots *slots);

/*
 * A flush will take effect at memcached between two moments of clock.h; until
 * it has, every token is LAYER_SLOT_BUSY from `from_ns` on.  A later call
 * replaces an earlier one only by a wider span: both may still come.
 */
void slots_flush_later(struct slots *slots, int64_t from_ns, int64_t until_ns);

/* Whether a flush announced by slots_flush_later() has not taken effect yet. */
bool slots_flush_pending(const struct slots *slots);

/*
 * True once after an announced flush has taken effect: tokens have changed, and
 * the caller must flush what lies outside the table.
 */
bool slots_flush_due(struct slots *slots);

#endif
