#include "base/lock.h"

#include <assert.h>
#include <stddef.h>

#ifdef TOWER_DEVELOPER

#define HELD_MAX 16

/* The ranks this thread holds, rising. */
static _Thread_local enum lock_rank held[HELD_MAX];
static _Thread_local size_t n_held;

static void note_take(enum lock_rank rank)
{
	assert(n_held < HELD_MAX);
	assert(n_held == 0 || held[n_held - 1] < rank);
	held[n_held++] = rank;
}

static void note_release(enum lock_rank rank)
{
	size_t i = n_held;

	while (i > 0 && held[i - 1] != rank) {
		i--;
	}
	assert(i > 0);
	for (; i < n_held; i++) {
		held[i - 1] = held[i];
	}
	n_held--;
}

static void note_reset(void)
{
	n_held = 0;
}

#else

static void note_take(enum lock_rank rank)
{
	(void)rank;
}

static void note_release(enum lock_rank rank)
{
	(void)rank;
}

static void note_reset(void)
{
}

#endif

void lock_init(struct lock *lock, enum lock_rank rank)
{
	/* Cannot fail for a mutex of the default kind in glibc or musl. */
	pthread_mutex_init(&lock->mutex, NULL);
	lock->rank = rank;
}

void lock_done(struct lock *lock)
{
	pthread_mutex_destroy(&lock->mutex);
}

void lock_take(struct lock *lock)
{
	note_take(lock->rank);
	pthread_mutex_lock(&lock->mutex);
}

void lock_release(struct lock *lock)
{
	note_release(lock->rank);
	pthread_mutex_unlock(&lock->mutex);
}

void lock_reset(struct lock *lock)
{
	note_reset();
	lock_init(lock, lock->rank);
}
