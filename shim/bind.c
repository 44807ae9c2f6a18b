#include "shim/shim.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/quiet.h"
#include "shim/dlopen.h"

#define LIBRARY "libmemcached.so.11"
#define OBJECTS_MAX 512

/* Both tables speak of the same functions: what is interposed is bound, what is bound exists. */
enum shim_api {
#define CALL(name, kind, does) API_##name,
#define LEFT(name, why) API_##name,
#include "shim/api.def"
};

#define CALL(name, kind, does)                                                                     \
	_Static_assert(sizeof(memcached_real.name) > 0, "interposed functions are bound");
#include "shim/api.def"
#define REAL(name, failure)                                                                        \
	_Static_assert(API_##name >= 0, "functions that are bound are in the table");
#include "layers/memcached_real.def"
#undef REAL

static pthread_once_t once = PTHREAD_ONCE_INIT;
static atomic_bool bound; /* saves the fast path a call */

/* What a function answers where there is no libmemcached. */
static memcached_return_t answer_FAILURE(void)
{
	return MEMCACHED_FAILURE;
}

static void *answer_NOTHING(void)
{
	return NULL;
}

/* The library that has the function, found under whatever name it was loaded. */
struct search {
	const char *names[OBJECTS_MAX];
	size_t n;
};

static int note_object(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct search *search = arg;

	if (info->dlpi_name && info->dlpi_name[0] && search->n < OBJECTS_MAX) {
		search->names[search->n++] = info->dlpi_name;
	}
	return 0;
}

static void *find_renamed(void)
{
	/* Too large for a small stack. */
	struct search *search = calloc(1, sizeof(*search));
	void *result = NULL;

	if (search) {
		dl_iterate_phdr(note_object, search);
	}
	for (size_t i = 0; search && result == NULL && i < search->n; i++) {
		void *object = shim_real_dlopen(search->names[i], RTLD_LAZY | RTLD_NOLOAD);
		void *found = object ? dlsym(object, "memcached_create") : NULL;

		if (found && found != (void *)memcached_create) {
			result = object;
		} else if (object) {
			dlclose(object);
		}
	}
	free(search);
	return result;
}

/*
 * Linked programs: the next in the order of search.  Opened with RTLD_LOCAL: not in
 * that order, but loaded under its name.  The handle is kept, so that the
 * library cannot go away under us.
 */
static void *find_library(void)
{
	void *object;

	if (dlsym(RTLD_NEXT, "memcached_create")) {
		return RTLD_NEXT;
	}
	object = shim_real_dlopen(LIBRARY, RTLD_LAZY | RTLD_NOLOAD);
	if (object == NULL) {
		object = find_renamed();
	}
	if (object == NULL) {
		object = shim_real_dlopen(LIBRARY, RTLD_LAZY);
	}
	return object;
}

/* ISO C has no cast between object and function pointers; POSIX promises the bytes. */
static bool bind_one(void *object, const char *name, void *ret_function, void *fallback)
{
	void *found = object ? dlsym(object, name) : NULL;
	void *function = found ? found : fallback;

	memcpy(ret_function, &function, sizeof(function));
	return found != NULL;
}

/*
 * What the program opened with RTLD_GLOBAL is in the order of search and may be closed
 * again; the library must not go away under us, so a handle is kept.
 */
static void keep_library(void)
{
	Dl_info info;

	if (dladdr((void *)memcached_real.memcached_create, &info) && info.dli_fname) {
		shim_real_dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
	}
}

static void bind_all(void)
{
	void *object = find_library();
	size_t missing = 0;

#define REAL(name, failure)                                                                        \
	missing += !bind_one(object, #name, &memcached_real.name, (void *)answer_##failure);
#include "layers/memcached_real.def"
#undef REAL
	if (object == RTLD_NEXT) {
		keep_library();
	}
	if (missing) {
		log_line(LOG_LEVEL_ERROR,
			 object ? "%s lacks %zu functions of libmemcached 1.1"
				: "%s is not loaded and cannot be; %zu functions fail",
			 LIBRARY, missing);
	}
	atomic_store_explicit(&bound, true, memory_order_release);
}

void shim_bind(void)
{
	int before = errno;

	if (!atomic_load_explicit(&bound, memory_order_acquire)) {
		quiet_begin();
		pthread_once(&once, bind_all);
		quiet_end();
		errno = before;
	}
}
