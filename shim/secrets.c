/*
 * Entry points that change who may read what: encoding keys and logins.  Items
 * of handles with different ones have different places, so that they never mix.
 */
#include "shim/shim.h"

#include <string.h>

#include "base/hash.h"

/* At any depth of calls: a callback may set up another handle. */
static struct shim_state *state_of(memcached_st *handle)
{
	return handle && shim_tower() ? shim_state_new(handle) : NULL;
}

SHIM_EXPORT memcached_return_t memcached_set_encoding_key(memcached_st *handle, const char *key,
							  size_t n_key)
{
	struct shim_frame frame;
	struct shim_state *state;
	memcached_return_t rc;

	shim_begin(&frame, CALL_memcached_set_encoding_key, handle);
	rc = memcached_real.memcached_set_encoding_key(handle, key, n_key);
	state = state_of(handle);

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
	struct shim_state *state;
	memcached_return_t rc;

	shim_begin(&frame, CALL_memcached_set_hashkit, handle);
	rc = memcached_real.memcached_set_hashkit(handle, kit);
	state = state_of(handle);

	if (state) {
		state->encoding_known = false;
		state->encoding = 0;
		state->fresh = false;
	}
	shim_end(&frame);
	return rc;
}

static void note_login(struct shim_state *state, uint64_t login)
{
	if (state) {
		state->login = login;
		state->fresh = false;
	}
}

SHIM_EXPORT memcached_return_t memcached_set_sasl_auth_data(memcached_st *handle, const char *user,
							    const char *password)
{
	struct shim_frame frame;
	memcached_return_t rc;

	shim_begin(&frame, CALL_memcached_set_sasl_auth_data, handle);
	rc = memcached_real.memcached_set_sasl_auth_data(handle, user, password);

	if (rc == MEMCACHED_SUCCESS) {
		note_login(state_of(handle), hash_mix(hash_bytes(user, strlen(user)),
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

	shim_begin(&frame, CALL_memcached_set_sasl_callbacks, handle);
	memcached_real.memcached_set_sasl_callbacks(handle, callbacks);
	note_login(state_of(handle), callbacks ? hash_mix((uintptr_t)callbacks, 1) : 0);
	shim_end(&frame);
}

SHIM_EXPORT memcached_return_t memcached_destroy_sasl_auth_data(memcached_st *handle)
{
	struct shim_frame frame;
	memcached_return_t rc;

	shim_begin(&frame, CALL_memcached_destroy_sasl_auth_data, handle);
	rc = memcached_real.memcached_destroy_sasl_auth_data(handle);

	/* Called also from memcached_free(). */
	note_login(shim_state_if_any(handle), 0);
	shim_end(&frame);
	return rc;
}
