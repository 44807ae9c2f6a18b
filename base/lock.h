/*
 * lock.h - mutexes with a rank.
 *
 * A thread takes locks in rising rank only; developer builds (TOWER_DEVELOPER)
 * assert it.  No lock is held across the network or a call into libmemcached.
 * Ranks leave gaps so that a new lock finds its place.
 *
 * Who holds a lock is not interrupted (quiet.h), but for the locks that calls
 * take all the time: those of LOCK_RANK_MEMORY and LOCK_RANK_CONNECTIONS.  A handler
 * of the host that leaves by siglongjmp() may leave them taken; lock_is_mine()
 * tells the thread when it comes back.
 */
#ifndef TOWER_BASE_LOCK_H
#define TOWER_BASE_LOCK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

enum lock_rank {
	LOCK_RANK_NAMES = 5,	    /* shim: names of servers */
	LOCK_RANK_HANDLES = 10,	    /* shim: the table of handles */
	LOCK_RANK_TOWER = 20,	    /* core: opening the tower */
	LOCK_RANK_DOUBTS = 25,	    /* core: the slots whose writes are uncertain */
	LOCK_RANK_MEMORY = 40,	    /* layers: changes of the memory layer */
	LOCK_RANK_CONNECTIONS = 45, /* layers: the list of free connections */
	LOCK_RANK_STATS = 50,	    /* core: claiming a block */
	LOCK_RANK_LOG = 90,	    /* base: last, everything may log */
};

struct lock {
	pthread_mutex_t mutex;
	enum lock_rank rank;
	/* Relaxed: only the holder finds itself there. */
	_Atomic(const void *) holder;
};

#define LOCK_INIT(the_rank)                                                                        \
	{                                                                                          \
		PTHREAD_MUTEX_INITIALIZER, (the_rank), NULL                                        \
	}

void lock_init(struct lock *lock, enum lock_rank rank);
void lock_done(struct lock *lock);
void lock_take(struct lock *lock);
void lock_release(struct lock *lock);

/* Whether the calling thread holds it. */
bool lock_is_mine(const struct lock *lock);

/* Takes it where the calling thread does not hold it; whether it was taken. */
bool lock_take_if_not_mine(struct lock *lock);

/* Waits with the lock taken, at most until that moment of CLOCK_MONOTONIC: 0, or ETIMEDOUT. */
int lock_wait(struct lock *lock, pthread_cond_t *cond, const struct timespec *until);

/*
 * In the child of a fork: the lock is free again, whoever held it.  Also
 * forgets which ranks the forking thread held.
 */
void lock_reset(struct lock *lock);

#endif
