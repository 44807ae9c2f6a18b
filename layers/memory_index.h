/*
 * memory_index.h - where in the log a key lies: a table of words.
 *
 * Open addressing in lines of eight words, a processor's cache line; a key is in
 * one of two neighbouring lines.  A word holds the entry's place in its queue's
 * log, 16 bits of the hash, the queue, and how often the entry was used since it
 * was last looked at by the one who evicts.
 *
 * Readers need no lock: they find candidates and compare keys in the log.  They
 * change nothing but the uses.  Everything else is done under the layer's
 * lock.  The table changes its size by being exchanged for another, into which the
 * words are moved by and by; until then who does not find a key there looks into
 * the one before.  An old one stays mapped, but empty, for readers that still
 * look at it, and for the next time that its size is wanted.
 */
#ifndef TOWER_LAYERS_MEMORY_INDEX_H
#define TOWER_LAYERS_MEMORY_INDEX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MEMORY_INDEX_LINE 8
#define MEMORY_INDEX_WAYS 16   /* words in which a key may be */
#define MEMORY_INDEX_TABLES 40 /* of 2^0 to 2^39 lines */

/* Places in the log are multiples of this. */
#define MEMORY_UNIT 8

#define MEMORY_WORD_TAG UINT64_C(0xffff)
#define MEMORY_WORD_USE (UINT64_C(1) << 16) /* uses are counted from 0 to 3 */
#define MEMORY_WORD_USES (UINT64_C(3) << 16)
#define MEMORY_WORD_TAKEN (UINT64_C(1) << 18) /* no word of an entry is 0 */
#define MEMORY_WORD_QUEUE_SHIFT 19
#define MEMORY_WORD_PLACE_SHIFT 20

/* A word keeps the low 47 bits of a place, which counts in units of 2^3. */
#define MEMORY_PLACE_SPARE_BITS 17

struct memory_table {
	size_t n_lines;		 /* a power of two */
	_Atomic uint64_t *words; /* NULL: never used */
};

struct memory_index {
	_Atomic(struct memory_table *) now;
	_Atomic(struct memory_table *) before;		 /* NULL: all words have moved */
	size_t n_moved;					 /* words of it that were looked at */
	struct memory_table tables[MEMORY_INDEX_TABLES]; /* by the logarithm of n_lines */
};

/* The words in which a key with this hash may be. */
struct memory_ways {
	_Atomic uint64_t *lines[2];
	uint64_t tag;
};

bool memory_index_open(struct memory_index *index, size_t n_words);
void memory_index_close(struct memory_index *index);

/* Bytes of the tables in use. */
size_t memory_index_bytes(const struct memory_index *index);

/* Words of the table that is filled now. */
size_t memory_index_words(const struct memory_index *index);

static inline struct memory_ways memory_table_ways(const struct memory_table *table, uint64_t hash)
{
	size_t line = (hash >> 16) & (table->n_lines - 1);
	size_t next = (line + 1) & (table->n_lines - 1);

	return (struct memory_ways){
		{ table->words + line * MEMORY_INDEX_LINE,
		  table->words + next * MEMORY_INDEX_LINE },
		hash & MEMORY_WORD_TAG,
	};
}

/* The line behind one of the table in use. */
static inline _Atomic uint64_t *memory_index_next(const struct memory_index *index,
						  _Atomic uint64_t *line)
{
	const struct memory_table *table = atomic_load_explicit(&index->now, memory_order_relaxed);
	_Atomic uint64_t *next = line + MEMORY_INDEX_LINE;

	return next == table->words + table->n_lines * MEMORY_INDEX_LINE ? table->words : next;
}

/* The table that is filled now. */
static inline const struct memory_table *memory_index_now(const struct memory_index *index)
{
	return atomic_load_explicit(&index->now, memory_order_acquire);
}

static inline struct memory_ways memory_index_ways(const struct memory_index *index, uint64_t hash)
{
	return memory_table_ways(memory_index_now(index), hash);
}

/* The table whose words are being moved, or NULL. */
static inline const struct memory_table *memory_index_before(const struct memory_index *index)
{
	return atomic_load_explicit(&index->before, memory_order_acquire);
}

static inline _Atomic uint64_t *memory_index_way(const struct memory_ways *ways, unsigned i)
{
	return &ways->lines[i / MEMORY_INDEX_LINE][i % MEMORY_INDEX_LINE];
}

static inline uint64_t memory_word(uint64_t place, uint64_t tag, unsigned queue, unsigned uses)
{
	return place / MEMORY_UNIT << MEMORY_WORD_PLACE_SHIFT |
	       (uint64_t)queue << MEMORY_WORD_QUEUE_SHIFT | MEMORY_WORD_TAKEN |
	       uses * MEMORY_WORD_USE | tag;
}

static inline unsigned memory_word_queue(uint64_t word)
{
	return (word >> MEMORY_WORD_QUEUE_SHIFT) & 1;
}

static inline unsigned memory_word_uses(uint64_t word)
{
	return (unsigned)((word & MEMORY_WORD_USES) / MEMORY_WORD_USE);
}

/* The place's low bits; memory_log_place() knows which place is meant. */
static inline uint64_t memory_word_place(uint64_t word)
{
	return (word >> MEMORY_WORD_PLACE_SHIFT) * MEMORY_UNIT;
}

/*
 * Counts one use more, up to `uses_max`, unless the word has changed.  Of uses at
 * the same moment some may be lost: a value that is used so often has enough.
 */
static inline void memory_word_use(_Atomic uint64_t *at, uint64_t word, unsigned uses_max)
{
	if ((word & MEMORY_WORD_USES) < uses_max * MEMORY_WORD_USE) {
		atomic_compare_exchange_strong_explicit(at, &word, word + MEMORY_WORD_USE,
							memory_order_relaxed, memory_order_relaxed);
	}
}

/*
 * A table of so many words, a power of two, is filled from now on; all empty.
 * False, and nothing changes, where memory is out.  The words of the one before
 * are the caller's to move, before the next exchange: memory_index_next_moved()
 * gives the next one that is taken; NULL after the last, or where it has looked at
 * *n_looks words, which it counts down.
 */
bool memory_index_exchange(struct memory_index *index, size_t n_words);
_Atomic uint64_t *memory_index_next_moved(struct memory_index *index, size_t *n_looks);

/* Empties the tables in use. */
void memory_index_clear(struct memory_index *index);

#endif
