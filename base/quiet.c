#include "base/quiet.h"

#include <signal.h>
#include <stddef.h>

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
