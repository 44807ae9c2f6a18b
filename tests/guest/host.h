/*
 * host.h - a program as tower may meet it: does harm to itself, and goes on
 * using libmemcached.
 *
 *	host HAZARD SOCKET REPORT [ARGUMENT]
 *
 * What it sees goes into the report, a file that is mapped when the program
 * begins: writing there needs no descriptor, no memory and no path.  tests/lib/guest.sh
 * runs every hazard bare and under tower, and reports must be equal.
 */
#ifndef TOWER_TESTS_GUEST_HOST_H
#define TOWER_TESTS_GUEST_HOST_H

#include <libmemcached/memcached.h>
#include <stdbool.h>
#include <stddef.h>

struct hazard {
	const char *name;
	void (*run)(void);
};

/* Each ends with an empty name. */
extern const struct hazard hazards_threads[];
extern const struct hazard hazards_processes[];
extern const struct hazard hazards_signals[];
extern const struct hazard hazards_descriptors[];
extern const struct hazard hazards_limits[];
extern const struct hazard hazards_privileges[];

extern const char *host_socket;
extern const char *host_argument; /* empty where there is none */
extern const char *host_program;
extern const char *host_report; /* another process of the test adds to the same */

/* Adds a line to the report; any thread, any child. */
__attribute__((format(printf, 1, 2))) void say(const char *format, ...);

/* Says what failed, and ends the program with status 3: the test itself is broken. */
__attribute__((noreturn)) void broken(const char *what);
void must(bool good, const char *what);

/* A handle for the private memcached, never NULL. */
memcached_st *host_handle(void);

/* Every kind of call, over keys that begin with `name`; says each answer. */
void host_round(memcached_st *handle, const char *name);

/* The same on a handle of its own. */
void host_session(const char *name);

/* A set and gets, says nothing; false where anything but the value came. */
bool host_quiet_round(memcached_st *handle, const char *key);

/* Waits for a child and says how it ended. */
void host_wait(const char *name, int pid);

/* A session in a child that ends by exit(); says how it ended. */
void host_child_session(void);

/* How many descriptors are open, threads run. */
unsigned host_descriptors(void);
unsigned host_threads(void);

#endif
