/* What happens when the library is loaded, and when the process ends: no more than this. */
#include "shim/shim.h"

#include <pthread.h>
#include <unistd.h>

#include "base/env.h"
#include "base/log.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void remember_start(void)
{
	env_capture(environ);
	log_remember_stderr();
}

/* Also at the first call: other libraries' constructors may have run before. */
__attribute__((constructor)) void shim_load(void)
{
	pthread_once(&once, remember_start);
}

__attribute__((destructor)) static void leave_at_end(void)
{
	tower_leave();
}
