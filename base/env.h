/*
 * env.h - the TOWER_ variables, copied when the library is loaded.
 *
 * PHP-FPM clears the environment before its first memcached call, so that
 * what counts is what was there at load time.  In a privileged process
 * (AT_SECURE) the copy is empty.  The command line tools call env_capture()
 * first thing in main().
 */
#ifndef TOWER_BASE_ENV_H
#define TOWER_BASE_ENV_H

#include <stddef.h>

#define ENV_NAMES_MAX 128   /* variables kept */
#define ENV_BYTES_MAX 16384 /* bytes kept, names and values together */

/* Copies all variables whose name begins with TOWER_; replaces any earlier copy. */
void env_capture(char *const *environment);

/* The value of TOWER_<name>, or NULL.  Borrowed, for the life of the process. */
const char *env_get(const char *name);

/* The i-th captured variable as "TOWER_X=value", or NULL past the end. */
const char *env_at(size_t i);

/* How many variables did not fit. */
size_t env_dropped(void);

#endif
