#include "base/lock.h"

#include <assert.h>
#include <stddef.h>

#include "base/quiet.h"

/* Its address tells threads apart. */
static __thread char self;

static bool is_quiet(const struct lock *lock)
{
	return lock->rank != LOCK_RANK_MEMORY && lock->rank != LOCK_RANK_CONNECTIONS;
}

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
	atomic_store_explicit(&lock->holder, NULL, memory_order_relaxed);
}

void lock_done(struct lock *lock)
{
	pthread_mutex_destroy(&lock->mutex);
}

void lock_take(struct lock *lock)
{
	note_take(lock->rank);
	if (is_quiet(lock)) {
		quiet_begin();
	}
	pthread_mutex_lock(&lock->mutex);
	atomic_store_explicit(&lock->holder, &self, memory_order_relaxed);
}

void lock_release(struct lock *lock)
{
	/* Afterwards it is somebody else's, who may even free it. */
	bool quiet = is_quiet(lock);

	note_release(lock->rank);
	atomic_store_explicit(&lock->holder, NULL, memory_order_relaxed);
	pthread_mutex_unlock(&lock->mutex);
	if (quiet) {
		quiet_end();
	}
}

bool lock_is_mine(const struct lock *lock)
{
	return atomic_load_explicit(&lock->holder, memory_order_relaxed) == &self;
}

bool lock_take_if_not_mine(struct lock *lock)
{
	bool mine = lock_is_mine(lock);

	if (!mine) {
		lock_take(lock);
	}
	return !mine;
}

int lock_wait(struct lock *lock, pthread_cond_t *cond, const struct timespec *until)
{
	int result;

	atomic_store_explicit(&lock->holder, NULL, memory_order_relaxed);
	/* Nor does it obey a clock that the host was given instead of the machine's. */
	result = pthread_cond_clockwait(cond, &lock->mutex, CLOCK_MONOTONIC, until);
	atomic_store_explicit(&lock->holder, &self, memory_order_relaxed);
	return result;
}

void lock_reset(struct lock *lock)
{
	note_reset();
	if (lock_is_mine(lock) && is_quiet(lock)) {
		quiet_end();
	}
	lock_init(lock, lock->rank);
}
