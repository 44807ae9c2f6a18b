/* What happens when the library is loaded: no more than this. */
#include "base/env.h"
#include "base/log.h"

#include <unistd.h>

__attribute__((constructor)) static void remember_start(void)
{
	env_capture(environ);
	log_remember_stderr();
}
