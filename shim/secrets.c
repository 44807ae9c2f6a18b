/*
 * Entry points that change who may read what: encoding keys and logins.  Items
 * of handles with different ones have different places, so that they never mix.
 */
#include "shim/shim.h"

#include <string.h>

#include "base/hash.h"

static struct shim_state *state_of(struct tower *tower, memcached_st *handle)
{
	return tower && handle ? shim_state_new(handle) : NULL;
}

SHIM_EXPORT memcached_return_t memcached_set_encoding_key(memcached_st *handle, const char *key,
							  size_t n_key)
{
	struct shim_frame frame;
	struct tower *tower = shim_begin(&frame, CALL_memcached_set_encoding_key, handle);
	memcached_return_t rc = memcached_real.memcached_set_encoding_key(handle, key, n_key);
	struct shim_state *state = state_of(tower, handle);

	if (state) {
		state->encoding_known = true;
		state->encoding = hash_bytes(key, n_key);
		state->fresh = false;
	}
	shim_end(&frame);
	return rc;
}

/* The kit may bring a key with it, and nothing tells which. */
SHIM_EXPORT memcached_return_t memcached_set_hashkit(memcached_st *handle, hashkit_st *kit)
{
	struct shim_frame frame;
	struct tower *tower = shim_begin(&frame, CALL_memcached_set_hashkit, handle);
	memcached_return_t rc = memcached_real.memcached_set_hashkit(handle, kit);
	struct shim_state *state = state_of(tower, handle);

	if (state) {
		state->encoding_known = false;
		state->encoding = 0;
		state->fresh = false;
	}
	shim_end(&frame);
	return rc;
}

static void note_login(struct tower *tower, memcached_st *handle, uint64_t login)
{
	struct shim_state *state = state_of(tower, handle);

	if (state) {
		state->login = login;
		state->fresh = false;
	}
}

SHIM_EXPORT memcached_return_t memcached_set_sasl_auth_data(memcached_st *handle, const char *user,
							    const char *password)
{
	struct shim_frame frame;
	struct tower *tower = shim_begin(&frame, CALL_memcached_set_sasl_auth_data, handle);
	memcached_return_t rc = memcached_real.memcached_set_sasl_auth_data(handle, user, password);

	if (rc == MEMCACHED_SUCCESS) {
		note_login(tower, handle,
			   hash_mix(hash_bytes(user, strlen(user)),
				    hash_bytes(password, strlen(password))));
	}
	shim_end(&frame);
	return rc;
}

/* What callbacks answer is theirs to know: the list of them stands for it. */
SHIM_EXPORT void memcached_set_sasl_callbacks(memcached_st *handle,
					      const sasl_callback_t *callbacks)
{
	struct shim_frame frame;
	struct tower *tower = shim_begin(&frame, CALL_memcached_set_sasl_callbacks, handle);

	memcached_real.memcached_set_sasl_callbacks(handle, callbacks);
	note_login(tower, handle, callbacks ? hash_mix((uintptr_t)callbacks, 1) : 0);
	shim_end(&frame);
}

SHIM_EXPORT memcached_return_t memcached_destroy_sasl_auth_data(memcached_st *handle)
{
	struct shim_frame frame;
	struct tower *tower = shim_begin(&frame, CALL_memcached_destroy_sasl_auth_data, handle);
	memcached_return_t rc = memcached_real.memcached_destroy_sasl_auth_data(handle);

	note_login(tower, handle, 0);
	shim_end(&frame);
	return rc;
}
