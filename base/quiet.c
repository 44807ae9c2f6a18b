#include "base/quiet.h"

#include <signal.h>
#include <stddef.h>
#include <stdlib.h>

static __thread struct {
	unsigned depth;
	sigset_t before;
} quiet;

/* pthread_sigmask() leaves errno alone. */
void quiet_begin(void)
{
	sigset_t all;
	sigset_t before;

	if (quiet.depth == 0) {
		sigfillset(&all);
		if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0) {
			pthread_sigmask(SIG_SETMASK, NULL, &before);
		}
		quiet.before = before;
	}
	quiet.depth++;
}

void quiet_end(void)
{
	if (--quiet.depth == 0) {
		pthread_sigmask(SIG_SETMASK, &quiet.before, NULL);
	}
}

void *quiet_calloc(size_t n, size_t size)
{
	void *bytes;

	quiet_begin();
	bytes = calloc(n, size);
	quiet_end();
	return bytes;
}

void *quiet_realloc(void *bytes, size_t size)
{
	void *moved;

	quiet_begin();
	moved = realloc(bytes, size);
	quiet_end();
	return moved;
}

/* Of nothing there is nothing to do. */
void quiet_free(void *bytes)
{
	if (bytes) {
		quiet_begin();
		free(bytes);
		quiet_end();
	}
}
