/*
 * memory_log.h - where the memory layer's entries lie: one after the other in a
 * ring.
 *
 * New entries go to the tail; room is made at the head, where the oldest lies.
 * So there is no fragmentation, and a budget holds to the byte, but for pages behind
 * the head that have not been given back yet.  Places are 64-bit counts of bytes
 * since the beginning; the ring is a power of two of address space; how much of it
 * is in use at once is the caller's to bound.  Where that is less than the ring, the log can
 * begin anew at the ring's beginning before it has come to its end (memory_log_turn()), so that
 * it stays in pages that it has.
 *
 * An entry is never changed after it was put, but that it becomes a filler when it is
 * not wanted any more: one store, and all but its size stays readable.  A reader without a lock
 * copies what it wants, then asks memory_log_holds(): the entry at a place was whole as long as the
 * head had not passed it.  The writer moves the head before it overwrites anything.
 */
#ifndef TOWER_LAYERS_MEMORY_LOG_H
#define TOWER_LAYERS_MEMORY_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/racy.h"
#include "layers/memory_index.h"

enum memory_kind {
	MEMORY_ENTRY,
	MEMORY_ENTRY_WITH_CAS,
	MEMORY_FILLER, /* up to the ring's end, as an entry lies in one piece; or what was one;
			* or the hole */
};

/* A deadline is kept up to so many nanoseconds early, and a key's size in its lowest bits. */
#define MEMORY_DEADLINE_STEP 256

/* Behind the head so large a part of the limit may be kept until it is given back. */
#define MEMORY_RELEASE_PART 128

/* A log that may grow begins anew where so large a part of what it holds is free before it. */
#define MEMORY_GROW_PART 4

/* What is kept of pages that are not in use counts up to so large a part of the budget. */
#define MEMORY_SLACK_PART 16

/* An entry's value is shorter than this. */
#define MEMORY_VALUE_LIMIT (UINT32_C(1) << 30)

/*
 * So much behind the ring may be read, at least: who comes too late to a place takes what lies
 * there for a head and compares a key behind it before it knows.
 */
#define MEMORY_RING_SPARE 512

/*
 * Before an entry's bytes: its CAS id where it has one, its key, its value.  In words, so
 * that a reader has it in registers.
 */
struct memory_head {
	uint64_t what; /* from the lowest bit: 2 kind, 30 size of the value, 32 flags */
	uint64_t deadline_and_key;
	uint64_t where; /* the item's place: server and encoding key */
	uint64_t slot;
};

_Static_assert(sizeof(struct memory_head) == 32, "what an entry costs");

/* Of a filler, which has no more than this word: its size in units. */
static inline uint64_t memory_what(enum memory_kind kind, size_t n_value, uint32_t flags)
{
	return (uint64_t)flags << 32 | (uint64_t)n_value << 2 | kind;
}

/* Of what lies there now, which somebody may be overwriting. */
static inline struct memory_head memory_head_read(const char *bytes)
{
	return (struct memory_head){
		.what = racy_word(bytes),
		.deadline_and_key =
			racy_word(bytes + offsetof(struct memory_head, deadline_and_key)),
		.where = racy_word(bytes + offsetof(struct memory_head, where)),
		.slot = racy_word(bytes + offsetof(struct memory_head, slot)),
	};
}

/* Writes a head where somebody may be reading: word by word, as it is read. */
static inline void memory_head_write(char *bytes, const struct memory_head *head)
{
	racy_write_word(bytes, head->what);
	racy_write_word(bytes + offsetof(struct memory_head, deadline_and_key),
			head->deadline_and_key);
	racy_write_word(bytes + offsetof(struct memory_head, where), head->where);
	racy_write_word(bytes + offsetof(struct memory_head, slot), head->slot);
}

static inline enum memory_kind memory_kind(const struct memory_head *head)
{
	return (enum memory_kind)(head->what & 3);
}

static inline size_t memory_n_value(const struct memory_head *head)
{
	return head->what >> 2 & (MEMORY_VALUE_LIMIT - 1);
}

static inline uint32_t memory_flags(const struct memory_head *head)
{
	return (uint32_t)(head->what >> 32);
}

/* Of a deadline above MEMORY_DEADLINE_STEP, or CLOCK_NEVER, and a key of 1 to 250 bytes. */
static inline uint64_t memory_deadline_and_key(int64_t deadline_ns, size_t n_key)
{
	uint64_t step = deadline_ns == CLOCK_NEVER
				? (uint64_t)deadline_ns
				: (uint64_t)deadline_ns - (MEMORY_DEADLINE_STEP - 1);

	return (step & ~(uint64_t)(MEMORY_DEADLINE_STEP - 1)) | n_key;
}

static inline int64_t memory_deadline(const struct memory_head *head)
{
	return (int64_t)(head->deadline_and_key | (MEMORY_DEADLINE_STEP - 1));
}

static inline size_t memory_n_key(const struct memory_head *head)
{
	return head->deadline_and_key & (MEMORY_DEADLINE_STEP - 1);
}

/* Where an entry's key begins. */
static inline size_t memory_key_offset(const struct memory_head *head)
{
	_Static_assert(MEMORY_ENTRY == 0 && MEMORY_ENTRY_WITH_CAS == 1, "the bit that counts");
	return sizeof(*head) + (head->what & 1) * sizeof(uint64_t);
}

struct memory_log {
	char *ring;
	uint64_t mask; /* of the address space */
	_Atomic uint64_t head;
	uint64_t tail;
	uint64_t released; /* pages before it have been given back; a multiple of page */
	uint64_t page;
	uint64_t piece; /* so much goes back at a time */
	/* The tail, for who only wants to fetch it. */
	_Atomic uint64_t next;
	/* The ring's last part that was left out when the log began anew before it: the hole is
	 * a filler that takes no memory.  None: both 0. */
	uint64_t hole;
	uint64_t hole_end;
	bool may_grow;	/* it began anew though the budget had room for more */
	uint64_t reach; /* no page of the ring from this byte on is in memory */
	uint64_t padding[4];
};

_Static_assert((sizeof(struct memory_log) & (sizeof(struct memory_log) - 1)) == 0,
	       "a log is found by shifting");

#define MEMORY_LINE 64 /* of the processor's cache */

/* A ring for at least `limit` bytes.  False where memory is out. */
bool memory_log_open(struct memory_log *log, uint64_t limit);

/* One of zeros was never opened. */
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
static inline uint64_t memory_log_size(size_t n_key, size_t n_value, bool has_cas)
{
	uint64_t size = sizeof(struct memory_head) + (has_cas ? sizeof(uint64_t) : 0) + n_key +
			(uint64_t)n_value;

	return (size + MEMORY_UNIT - 1) / MEMORY_UNIT * MEMORY_UNIT;
}

/* What is put next overwrites these lines: the processor may fetch them. */
static inline void memory_log_expect(const struct memory_log *log)
{
	const char *next =
		memory_log_at(log, atomic_load_explicit(&log->next, memory_order_relaxed));

	__builtin_prefetch(next, 1);
	__builtin_prefetch(next + MEMORY_LINE, 1);
	__builtin_prefetch(next + (size_t)2 * MEMORY_LINE, 1);
}

/* --- under the layer's lock --- */

/* Bytes in use, what is dead included. */
static inline uint64_t memory_log_used(const struct memory_log *log)
{
	uint64_t head = atomic_load_explicit(&log->head, memory_order_relaxed);

	return log->tail - head - (head <= log->hole ? log->hole_end - log->hole : 0);
}

/* The head of what lies at a place, and its bytes, head included: an entry or a filler. */
uint64_t memory_log_head(const struct memory_log *log, uint64_t place, struct memory_head *ret);

/* So many bytes at the place are a filler from now on: nobody looks for their word any more. */
void memory_log_void(struct memory_log *log, uint64_t place, uint64_t size);

/* Bytes that must be free so that `size` can be put at the tail in one piece. */
uint64_t memory_log_needs(const struct memory_log *log, uint64_t size);

/*
 * Whether so many bytes that it needs are free in the ring.  Where the log has begun anew, the
 * ring may have less room than the budget, until the head has come around, too.
 */
static inline bool memory_log_has_room(const struct memory_log *log, uint64_t needs)
{
	return log->tail + needs - atomic_load_explicit(&log->head, memory_order_relaxed) <=
	       log->mask + 1;
}

/*
 * Begins anew at the ring's beginning where there is room for `size` bytes in pages that the head
 * has left.  Without, new pages would be asked for at the tail and others given back at the
 * head all the time, which costs more than all else.
 *
 * If that room is all that the budget has (`spare`), nothing else is needed.  Where the budget has
 * more, there has to be as much as the log may grow by until its head has come around:
 * memory_log_must_hurry() tells when the head has to be helped.
 */
void memory_log_turn(struct memory_log *log, uint64_t size, uint64_t spare);

/*
 * Whether entries should go from the head to the tail before `needs` bytes are put: if the log
 * went on growing, its tail would come to its head before that has come around.
 */
static inline bool memory_log_must_hurry(const struct memory_log *log, uint64_t needs)
{
	uint64_t head = atomic_load_explicit(&log->head, memory_order_relaxed);
	uint64_t left = log->mask + 1 - (log->tail - head);

	return log->may_grow && head <= log->hole &&
	       (left < needs || (left - needs) * MEMORY_GROW_PART < log->hole - head);
}

/*
 * Gives the oldest entry up; its bytes can still be read under the lock until
 * memory_log_put() or memory_log_release().
 */
void memory_log_pass(struct memory_log *log, uint64_t size);

/* Gives all entries up. */
void memory_log_pass_all(struct memory_log *log);

/*
 * Gives memory behind the head back, where there is more than a piece of it and than the log will
 * need soon; `spare` bytes may be kept for that.
 */
void memory_log_release(struct memory_log *log, uint64_t spare);

/* How much behind the head may be kept: for so many bytes in use at most. */
void memory_log_limit(struct memory_log *log, uint64_t limit);

/*
 * The most that is kept beyond what is in use: a piece, and of pages at head and tail; and at the
 * hole, of a log that turns.
 */
static inline uint64_t memory_log_slack(const struct memory_log *log, bool turns)
{
	return log->piece + (turns ? 3 : 2) * log->page;
}

/*
 * Reserves `size` bytes at the tail, for which there is room; the caller fills
 * them and then lets readers know.  Returns their place.
 */
uint64_t memory_log_put(struct memory_log *log, uint64_t size);

/* Holds nothing; memory goes back. */
void memory_log_clear(struct memory_log *log);

#endif
