/* What happens when the library is loaded, and when the process ends: no more than this. */
#include "base/env.h"
#include "base/log.h"
#include "core/tower.h"

#include <unistd.h>

__attribute__((constructor)) static void remember_start(void)
{
	env_capture(environ);
	log_remember_stderr();
}

__attribute__((destructor)) static void leave_at_end(void)
{
	tower_leave();
}
