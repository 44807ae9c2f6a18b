/*
 * board.h - what all workers of a litmus run know of each other, in one shared
 * mapping, and the judgement on what a read returned.
 *
 * Times are CLOCK_MONOTONIC.  A write has a start, taken before its call, and
 * an ack, taken after it was confirmed; one that never was has none.  A read
 * that began when write w was acknowledged, and returns version v, is
 *
 *	stale		if w stored, and began after v was acknowledged,
 *	resurrected	if w deleted or flushed, and began after that,
 *	backwards	if a version that began after that had been returned
 *			to another read before this one began,
 *	late		if v should have expired 0.1 s before the read began.
 *
 * The first three ask only for the latest start, so that writers which overlap
 * need no order.  But whichever order they took, memcached and Redis must have the
 * same: two reads are
 *
 *	split		if they return different versions though no write of the key was under
 *			way since the first began (and none had an unknown outcome); only judged
 *			where the run asks for it.
 *
 * A miss is unexplained if the key was stored, acknowledged,
 * and nothing that may have removed it can have happened since.
 *
 * Every cell has one writer: the worker of that number, of which one process
 * at a time is alive.  What a cell promises is published after the call it
 * speaks of has returned, what it warns of before the call begins.
 */
#ifndef TOWER_TESTS_COHERENCE_BOARD_H
#define TOWER_TESTS_COHERENCE_BOARD_H

#include <stdalign.h>
#include <stdatomic.h>

#include "tests/coherence/value.h"

#define BOARD_KEYS 64
#define BOARD_WORKERS 12
#define BOARD_ACKS 256
#define BOARD_NS_PER_S UINT64_C(1000000000)
#define BOARD_LATE_NS (BOARD_NS_PER_S / 10)

enum board_phase {
	BOARD_WAIT,
	BOARD_RUN,
	BOARD_CALM, /* workers only write, and not at full speed */
	BOARD_END,
};

/* When a version was acknowledged; 0: not, or not yet. */
struct board_ack {
	_Atomic uint64_t count;
	_Atomic uint64_t ack_ns;
};

struct board_key {
	alignas(64) _Atomic uint64_t stored[BOARD_WORKERS]; /* latest start, acknowledged */
	alignas(64) _Atomic uint64_t removed[BOARD_WORKERS];
	alignas(64) _Atomic uint64_t returned[BOARD_WORKERS];	/* latest start, to a read */
	alignas(64) _Atomic uint64_t gone_until[BOARD_WORKERS]; /* a removal may happen until */
	_Atomic uint64_t gone_kept[BOARD_WORKERS]; /* the same without the call under way */
	_Atomic uint64_t counts[BOARD_WORKERS];
	_Atomic uint64_t begun[BOARD_WORKERS], ended[BOARD_WORKERS]; /* writes, of any outcome */
	_Atomic uint64_t doubtful; /* so many had begun when one of unknown outcome had ended */
	_Atomic uint64_t agreed;   /* the version that was returned when so many had begun */
	struct board_ack acks[BOARD_WORKERS][BOARD_ACKS];
};

struct board_worker {
	alignas(64) _Atomic uint64_t gets;
	_Atomic uint64_t writes;
	_Atomic uint64_t stale;
	_Atomic uint64_t resurrected;
	_Atomic uint64_t backwards;
	_Atomic uint64_t unexplained;
	_Atomic uint64_t late;
	_Atomic uint64_t split;
	_Atomic uint64_t corrupt;
	_Atomic uint64_t failed; /* calls, neither success nor a clean refusal */
	_Atomic uint64_t lost;	 /* reads that were judged too late for an exact answer */
};

struct board {
	_Atomic uint32_t phase;
	_Atomic uint32_t n_ready;
	_Atomic uint32_t judges_split;
	_Atomic uint32_t unserved; /* keys that the probe did not get from memory */
	struct board_worker workers[BOARD_WORKERS];
	struct board_key keys[BOARD_KEYS];
};

/* What was known when a read began. */
struct board_look {
	uint64_t begin_ns;
	uint64_t stored;
	uint64_t removed;
	uint64_t returned;
	uint64_t calm; /* writes begun so far, none of which is under way; 0: one may be */
};

/* Of a file of its own, whose content is zeros at first; NULL with errno. */
struct board *board_map(const char *path);

uint64_t board_now_ns(void);

/* Adds to a cell of the caller's own. */
static inline void board_count(_Atomic uint64_t *cell, uint64_t n)
{
	atomic_store_explicit(cell, atomic_load_explicit(cell, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

/* --- writing --- */

/* A new version of the key begins; its count. */
uint64_t board_store_begin(struct board *board, unsigned worker, unsigned key, unsigned exptime);

enum board_outcome {
	BOARD_DONE,
	BOARD_REFUSED, /* for certain nothing happened */
	BOARD_UNKNOWN,
};

void board_store_end(struct board *board, unsigned worker, const struct value *value,
		     enum board_outcome outcome);

void board_remove_begin(struct board *board, unsigned worker, unsigned key);

/* It happened between two moments at the latest; unknown: it may still until `until_ns`. */
void board_remove_end(struct board *board, unsigned worker, unsigned key, uint64_t from_ns,
		      uint64_t until_ns, enum board_outcome outcome);

/* The worker of this number was killed: what it had begun ends soon. */
void board_worker_died(struct board *board, unsigned worker);

/* --- reading --- */

void board_look(const struct board *board, unsigned key, struct board_look *ret);

void board_judge(struct board *board, unsigned worker, unsigned key, const struct board_look *look,
		 const struct value *value);
void board_judge_miss(struct board *board, unsigned worker, unsigned key,
		      const struct board_look *look);

/* --- counters: `stored` and `returned` hold the numbers themselves --- */

void board_counted(struct board *board, unsigned worker, unsigned key, uint64_t number);
void board_judge_number(struct board *board, unsigned worker, unsigned key,
			const struct board_look *look, uint64_t number);

#endif
