/*
 * stats_file.h - how the statistics lie in shared memory, and who may change
 * what; for stats*.c alone.
 *
 * A block belongs to whom its word in owners[] names:
 *
 *	FREE     nobody; its counts are zero.  Anybody may claim it: CAS to OWNED.
 *	OWNED    one process, which alone counts in it and alone may end it:
 *	         to ENDED.  Once that process is gone, the folder may.
 *	ENDED    the folder; the counts are final.
 *	FOLDING  the folder; the counts are part of fold number n.
 *
 * The folder is the process whose packed identity is in `folder`; it is taken
 * by CAS from 0, or from a process that is gone.  Fold number n, where `folds`
 * is n - 1:
 *
 *	1. every block to be folded, ENDED or of a process gone, becomes FOLDING n
 *	2. totals[n % 2] = totals[(n - 1) % 2] + all blocks FOLDING n
 *	3. folds = n
 *	4. every block FOLDING n is zeroed, then FREE
 *
 * A folder may die anywhere.  The next one finds `folds` and the blocks that
 * are FOLDING, and nothing else matters: before step 3 the total in force is
 * untouched, the blocks still hold their counts and are folded again under
 * the same number, into the copy that nobody reads; after it they are in the
 * total, and are zeroed again, which changes nothing.  Step 3 is one store,
 * so each block is in the total exactly once.  A FOLDING block cannot belong
 * to an older fold that its number would mistake: it becomes FREE only after
 * it was zeroed, and FOLDING only with the next number.
 *
 * Only a process that knows who it is (process.space != 0) folds: others could
 * never be found dead while they hold the file.
 *
 * A reader sees one total as long as `folds` does not change, and counts the
 * blocks of no or a later fold beside it (stats_snapshot.c).
 */
#ifndef TOWER_CORE_STATS_FILE_H
#define TOWER_CORE_STATS_FILE_H

#include <stddef.h>

#include "base/process.h"
#include "base/shm.h"
#include "core/stats.h"

/* A page of most machines: a block that was never used costs nothing. */
#define STATS_PAGE_BYTES 4096

/* How many blocks of live processes each claim and leave looks at; all where none is free. */
#define STATS_LOOKS 4

enum stats_owner {
	STATS_OWNER_FREE,
	STATS_OWNER_OWNED,
	STATS_OWNER_ENDED,
	STATS_OWNER_FOLDING,
};

/* An owner word: the kind in its low bits, a packed process or a fold's number above. */
#define STATS_OWNER_BITS 2

static inline uint64_t stats_owner_word(enum stats_owner kind, uint64_t rest)
{
	return rest << STATS_OWNER_BITS | (uint64_t)kind;
}

static inline enum stats_owner stats_owner_kind(uint64_t word)
{
	return (enum stats_owner)(word & ((1U << STATS_OWNER_BITS) - 1));
}

static inline uint64_t stats_owner_rest(uint64_t word)
{
	return word >> STATS_OWNER_BITS;
}

struct stats_head {
	struct shm_header shm;
	/* Constant. */
	uint32_t n_calls;
	uint32_t n_reasons;
	char domain[STATS_DOMAIN_MAX];
	char calls[STATS_CALLS_MAX][STATS_NAME_MAX];
	char reasons[STATS_REASONS_MAX][STATS_NAME_MAX];

	_Atomic uint64_t folder;
	_Atomic uint64_t folds;
	_Atomic uint64_t next_look; /* index; folder only */
	struct redis_seen redis;
	_Atomic uint64_t owners[STATS_BLOCKS_MAX];
	/* Not 0: the block has memory and may be touched.  Set once, for good. */
	_Atomic uint8_t backed[STATS_BLOCKS_MAX];
	struct stats_sums {
		struct stats_counts counts;
		struct stats_latencies latencies;
	} totals[2];
};

struct stats_block {
	_Atomic uint64_t n_command; /* bytes; stored after them */
	_Atomic uint64_t command[STATS_COMMAND_MAX / sizeof(uint64_t)];
	struct stats_latencies latencies;
	/* The first so many have memory and may be touched; only grows. */
	_Atomic uint64_t n_stripes;
	struct stats_counts stripes[STATS_STRIPES];
};

/* What of a block has memory from the beginning: enough for one thread of its own. */
#define STATS_STRIPES_MIN 2

#define STATS_HEAD_BYTES                                                                           \
	((sizeof(struct stats_head) + STATS_PAGE_BYTES - 1) / STATS_PAGE_BYTES * STATS_PAGE_BYTES)
#define STATS_BLOCK_BYTES                                                                          \
	((sizeof(struct stats_block) + STATS_PAGE_BYTES - 1) / STATS_PAGE_BYTES * STATS_PAGE_BYTES)
#define STATS_FILE_BYTES (STATS_HEAD_BYTES + (size_t)STATS_BLOCKS_MAX * STATS_BLOCK_BYTES)

/* What a process takes that has one thread: the latencies, mostly. */
#define STATS_BLOCK_MIN_BYTES ((size_t)6 * STATS_PAGE_BYTES)

_Static_assert(offsetof(struct stats_block, stripes) +
			       STATS_STRIPES_MIN * sizeof(struct stats_counts) <=
		       STATS_BLOCK_MIN_BYTES,
	       "it does take no more");
_Static_assert(PROCESS_WORD_BITS + STATS_OWNER_BITS <= 64, "a process fits into an owner word");

struct stats_file {
	struct shm shm;
	struct stats_head *head;
	struct process self; /* as of the claim */
};

static inline struct stats_block *stats_block_at(const struct shm *shm, unsigned i)
{
	char *start = shm->start;

	return (struct stats_block *)(start + STATS_HEAD_BYTES + (size_t)i * STATS_BLOCK_BYTES);
}

/* The file as base/shm.h wants to know it; the caller adds `fill` and `owner`. */
struct shm_kind stats_file_kind(void);

/* Every counter as one row of numbers. */
#define STATS_N_COUNTS                                                                             \
	((offsetof(struct stats_counts, reads) +                                                   \
	  (size_t)STATS_READS_MAX * STATS_READ_COUNTS * sizeof(uint64_t)) /                        \
	 sizeof(uint64_t))

_Static_assert(sizeof(_Atomic uint64_t) == sizeof(uint64_t), "counters are plain words");

static inline _Atomic uint64_t *stats_count_at(struct stats_counts *counts, size_t i)
{
	return (_Atomic uint64_t *)counts + i;
}

#define STATS_N_LATENCIES (sizeof(struct stats_latencies) / sizeof(uint64_t))

/* These and the latencies behind them. */
#define STATS_N_NUMBERS (STATS_N_COUNTS + STATS_N_LATENCIES)

static inline _Atomic uint64_t *stats_latency_at(struct stats_latencies *latencies, size_t i)
{
	return (_Atomic uint64_t *)latencies + i;
}

static inline _Atomic uint64_t *stats_sum_at(struct stats_sums *sums, size_t i)
{
	return i < STATS_N_COUNTS ? stats_count_at(&sums->counts, i)
				  : stats_latency_at(&sums->latencies, i - STATS_N_COUNTS);
}

/* Number i of the block, over all stripes. */
uint64_t stats_block_count(struct stats_block *block, size_t i);

/* Whether number i is added up over processes that ended; gauges are not. */
bool stats_count_adds(size_t i);

/* A block for file->self, or -1: full, or no memory for another block (errno ENOSPC). */
int stats_block_claim(struct stats_file *file);

/* Memory for the block's first n stripes; false where there is none. */
bool stats_block_back(struct stats_file *file, unsigned block, unsigned n);

/* How many blocks belong to a process, dead ones that nobody folded yet included. */
unsigned stats_blocks_owned(struct stats_file *file);

/* Ends our own block: its counts are final. */
void stats_block_end(struct stats_file *file, unsigned block);

/* In the child of a fork: nobody folds here. */
void stats_fold_child(void);

/*
 * Folds what has ended, and what is dead up to the `n_looks`-th block whose
 * process lives.  Nothing where another process folds just now: it, or a later one,
 * does the work.
 */
void stats_fold(struct stats_file *file, unsigned n_looks);

#endif
