/*
 * fork.h - the fork registry: who must start afresh in a child.
 *
 * Modules that hold locks, connections or memory shared by agreement register
 * once.  Before a fork every `prepare` runs in order of registration reversed
 * (take your locks), afterwards every `parent` or `child` in order of
 * registration.  The child's functions must not use the network and must not
 * log: they re-initialise locks and drop connections silently.
 *
 * vfork and posix_spawn run none of this, and need not: the child shares our
 * memory and must only exec.
 */
#ifndef TOWER_BASE_FORK_H
#define TOWER_BASE_FORK_H

#include <stdbool.h>

#define FORK_HANDLERS_MAX 16

struct fork_handler {
	void (*prepare)(void); /* each may be NULL */
	void (*parent)(void);
	void (*child)(void);
};

/*
 * Registers a handler for the life of the process; the struct is borrowed and
 * must be static.  Registering the same one again is nothing.  False when the
 * registry is full or pthread_atfork() has no memory: the caller must then
 * not keep state that a fork would break.
 */
bool fork_register(const struct fork_handler *handler);

#endif
