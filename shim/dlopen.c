#include "shim/dlopen.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "shim/shim.h"

typedef void *dlopen_fn(const char *file, int mode);

/* For the jump in dlopen_jump.S; set before it is read. */
dlopen_fn *shim_dlopen_next;

int shim_dlopen_mode(int mode);

static void *no_dlopen(const char *file, int mode)
{
	return NULL;
}

static void find_next(void)
{
	/* Two threads may both store the same pointer here; it is word-sized and never changes. */
	if (__atomic_load_n(&shim_dlopen_next, __ATOMIC_ACQUIRE) == NULL) {
		void *found = dlsym(RTLD_NEXT, "dlopen");
		dlopen_fn *next = no_dlopen;

		if (found) {
			memcpy(&next, &found, sizeof(next));
		}
		__atomic_store_n(&shim_dlopen_next, next, __ATOMIC_RELEASE);
	}
}

void *shim_real_dlopen(const char *file, int mode)
{
	find_next();
	return shim_dlopen_next(file, mode);
}

/* What mode the program's dlopen is to have. */
int shim_dlopen_mode(int mode)
{
	const struct config *config;

	find_next();
	if ((mode & RTLD_DEEPBIND) == 0) {
		return mode;
	}
	shim_load();
	config = tower_config();
	if (config == NULL || config->tower_rtld_deepbind == CONFIG_DEEPBIND_KEEP) {
		return mode;
	}
	return mode & ~RTLD_DEEPBIND;
}
