/*
 * quiet.h - stretches of our code that no signal handler of the host interrupts.
 *
 * A handler may leave by siglongjmp() what it interrupted, or call libmemcached
 * itself, so that a lock would stay taken, or be waited for by its own holder.
 * Between quiet_begin() and quiet_end(), which nest, the thread has all signals
 * blocked; the outermost pair restores its mask.  Costs two system calls, so not
 * for what every call does.  errno is preserved.
 */
#ifndef TOWER_BASE_QUIET_H
#define TOWER_BASE_QUIET_H

#include <stddef.h>

void quiet_begin(void);
void quiet_end(void);

/* As those of libc, so that nobody jumps out of them: a heap left half-way ends the program. */
void *quiet_calloc(size_t n, size_t size);
void *quiet_realloc(void *bytes, size_t size);
void quiet_free(void *bytes);

#endif
