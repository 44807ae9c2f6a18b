/*
 * redis_filter.h - which keys the domain may have something of in Redis: Bloom filters
 * (Bloom 1970) in blocks of a processor's cache line (Putze, Sanders, Singler 2007).
 *
 * Every write notes its key here before it marks it.  While this domain is the only one that
 * has ever written in a generation (redis_place_is_ours()), a key that was not noted is not in
 * Redis, and need not be asked for.  Whatever else is wrong here, a key that is taken for absent
 * is a miss, which is always permitted, and never an old value.
 *
 * A key counts for as long as anything that its mark or commit left in Redis can live, then a
 * turn is over, and for one turn more: of three parts one is written, one is of the turn before,
 * one is empty or being emptied.  The next turn begins only when that is done; where the process
 * that does it is killed, no other turn begins, and the filter gets full until it spares
 * nothing.  With values that live for ever it gets full, too.
 *
 * At eight bits a key, a million keys a turn, one of 30 keys that are not there is asked for.
 *
 * Lies in memory that all processes of the domain share, zero at first (redis.h), or nobody has it:
 * then it is NULL, and every key may be there.  Lock-free; any thread, any process.
 */
#ifndef TOWER_LAYERS_REDIS_FILTER_H
#define TOWER_LAYERS_REDIS_FILTER_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define REDIS_FILTER_PARTS 3
#define REDIS_FILTER_BLOCKS 16384 /* a power of two; 1 MiB a part */
#define REDIS_FILTER_WORDS 8	  /* of a block */

struct redis_filter {
	_Atomic uint64_t turn;
	_Atomic uint64_t emptied;   /* the turn whose next part is empty */
	_Atomic int64_t began_ns;   /* the turn, by clock_boot_ns(); 0: nothing was noted yet */
	_Atomic int64_t longest_ns; /* that anything lives in Redis; CLOCK_NEVER: for ever */
	alignas(64) _Atomic uint64_t
		parts[REDIS_FILTER_PARTS][REDIS_FILTER_BLOCKS][REDIS_FILTER_WORDS];
};

/* A process of the domain lets values live for so long (0: for ever): before it notes any. */
void redis_filter_may_live(struct redis_filter *filter, int64_t ttl_ns);

/* A key with this hash is about to be marked. */
void redis_filter_note(struct redis_filter *filter, uint64_t hash);

/* Whether one has been; sometimes also where none has. */
bool redis_filter_has(const struct redis_filter *filter, uint64_t hash);

#endif
