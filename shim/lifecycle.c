/*
 * Entry points with which handles come and go.  libmemcached calls some of them
 * itself, so what is kept of a handle is forgotten at any depth of calls.
 */
#include "shim/shim.h"

/*
 * The handle that this thread is cloning.  libmemcached creates the clone and,
 * having filled it, calls the program back: by then we must know it.
 */
static __thread const memcached_st *cloned;

/* A clone has its source's namespaces, encoding key and login. */
static void inherit(memcached_st *clone, const memcached_st *source)
{
	const struct shim_state *from = shim_state_if_any(source);
	bool namespaced = from && from->namespaced;
	bool encoding_known = from && from->encoding_known;
	uint64_t encoding = from ? from->encoding : 0;
	uint64_t login = from ? from->login : 0;
	struct shim_state *to = shim_state_new(clone);

	if (to) {
		to->namespaced = namespaced;
		to->encoding_known = encoding_known;
		to->encoding = encoding;
		to->login = login;
	}
}

static void begin_anew(memcached_st *handle)
{
	const memcached_st *source = cloned;

	shim_forget(handle);
	if (source) {
		cloned = NULL;
		inherit(handle, source);
	}
}

SHIM_EXPORT memcached_st *memcached_create(memcached_st *handle)
{
	struct shim_frame frame;
	memcached_st *created;

	shim_begin(&frame, CALL_memcached_create, handle);
	created = memcached_real.memcached_create(handle);
	if (created) {
		begin_anew(created);
	}
	shim_end(&frame);
	return created;
}

SHIM_EXPORT memcached_st *memcached(const char *options, size_t n_options)
{
	struct shim_frame frame;
	memcached_st *created;

	shim_begin(&frame, CALL_memcached, NULL);
	created = memcached_real.memcached(options, n_options);
	if (created) {
		shim_forget(created);
	}
	shim_end(&frame);
	return created;
}

SHIM_EXPORT memcached_st *memcached_clone(memcached_st *clone, const memcached_st *source)
{
	struct shim_frame frame;
	const memcached_st *outer = cloned;
	memcached_st *created;

	shim_begin(&frame, CALL_memcached_clone, source);
	cloned = shim_tower() ? source : NULL;
	created = memcached_real.memcached_clone(clone, source);
	if (created && cloned) {
		/* It was not created through us. */
		begin_anew(created);
	}
	cloned = outer;
	shim_end(&frame);
	return created;
}

SHIM_EXPORT void memcached_free(memcached_st *handle)
{
	struct shim_frame frame;

	shim_begin(&frame, CALL_memcached_free, handle);
	if (handle) {
		shim_forget(handle);
	}
	memcached_real.memcached_free(handle);
	shim_end(&frame);
}

SHIM_EXPORT memcached_return_t memcached_reset(memcached_st *handle)
{
	struct shim_frame frame;
	memcached_return_t rc;

	shim_begin(&frame, CALL_memcached_reset, handle);
	if (handle) {
		shim_forget(handle);
	}
	rc = memcached_real.memcached_reset(handle);
	shim_end(&frame);
	return rc;
}
