#include "base/fork.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

/*
 * Filled from the front and never emptied, so that a registry without a lock
 * is right: a slot is taken by one compare-and-exchange, and the handlers run
 * up to the first free slot.
 */
static _Atomic(const struct fork_handler *) handlers[FORK_HANDLERS_MAX];

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool installed; /* written under `once` */

/*
 * How many handlers the prepare of this fork saw: one that registers while a
 * fork is under way must not get a parent or child without its prepare.
 * Written between prepare and parent only, which libc runs one at a time.
 */
static size_t n_prepared;

static size_t count(void)
{
	size_t n = 0;

	while (n < FORK_HANDLERS_MAX && atomic_load(&handlers[n])) {
		n++;
	}
	return n;
}

static void prepare_all(void)
{
	size_t n = count();

	for (size_t i = n; i-- > 0;) {
		const struct fork_handler *handler = atomic_load(&handlers[i]);

		if (handler->prepare) {
			handler->prepare();
		}
	}
	n_prepared = n;
}

static void parent_all(void)
{
	for (size_t i = 0; i < n_prepared; i++) {
		const struct fork_handler *handler = atomic_load(&handlers[i]);

		if (handler->parent) {
			handler->parent();
		}
	}
}

static void child_all(void)
{
	for (size_t i = 0; i < n_prepared; i++) {
		const struct fork_handler *handler = atomic_load(&handlers[i]);

		if (handler->child) {
			handler->child();
		}
	}
}

static void install(void)
{
	installed = pthread_atfork(prepare_all, parent_all, child_all) == 0;
}

bool fork_register(const struct fork_handler *handler)
{
	pthread_once(&once, install);
	if (!installed) {
		return false;
	}
	for (size_t i = 0; i < FORK_HANDLERS_MAX; i++) {
		const struct fork_handler *there = NULL;

		if (atomic_compare_exchange_strong(&handlers[i], &there, handler) ||
		    there == handler) {
			return true;
		}
	}
	return false;
}
