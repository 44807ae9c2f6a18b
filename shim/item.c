#include "shim/item.h"

#include <errno.h>
#include <string.h>

#include "base/fault.h"
#include "base/hash.h"

/* Whether a byte is a letter for isgraph() is a matter of the program's locale. */
static bool is_ascii(const char *key, size_t n)
{
	unsigned char seen = 0;

	for (size_t i = 0; i < n; i++) {
		seen |= (unsigned char)key[i];
	}
	return seen < 0x80;
}

static bool may_be_sent(const memcached_st *handle, const char *key, size_t n)
{
	return handle->flags.binary_protocol ||
	       (shim_is_plain(key, n) && (!handle->flags.verify_key || is_ascii(key, n)));
}

uint64_t shim_item_place(const struct shim_server *server, const struct layer_key *item)
{
	uint64_t place = fault_planted(FAULT_ignored_server) ? 0 : server->place;

	return shim_is_plain(item->wire, item->n_wire) ? place : hash_mix(place, ' ');
}

static const struct shim_server *server_of(const struct shim_state *state, memcached_st *handle,
					   const char *group, size_t n_group)
{
	static const struct shim_server nowhere = { 0, "" };
	uint32_t at = 0;

	if (state->n_servers == 0) {
		return &nowhere;
	}
	if (state->n_servers > 1 && state->refused != REASON_random_distribution) {
		if (handle->flags.auto_eject_hosts) {
			memcached_real.memcached_autoeject(handle);
		}
		at = memcached_real.memcached_generate_hash(handle, group, n_group);
	}
	return at < state->n_servers ? &state->servers[at] : &state->servers[0];
}

static bool is_too_long_by_us(const struct shim_state *state, size_t n_key)
{
	return n_key <= LAYER_KEY_MAX && state->n_prefix + n_key > LAYER_KEY_MAX &&
	       state->n_prefix - state->n_ours + n_key <= LAYER_KEY_MAX;
}

enum shim_reason shim_item(const struct shim_state *state, memcached_st *handle, const char *group,
			   size_t n_group, const char *key, size_t n_key, struct shim_key *ret_key)
{
	struct layer_key *item = &ret_key->key;
	const struct shim_server *server;

	/* A program may say any length. */
	if (key == NULL || n_key == 0 || n_key > LAYER_KEY_MAX - state->n_prefix ||
	    !may_be_sent(handle, key, n_key)) {
		return is_too_long_by_us(state, n_key) ? REASON_namespace : REASON_key;
	}
	item->wire = key;
	item->n_wire = n_key;
	item->n_prefix = state->n_prefix;
	if (state->n_prefix) {
		memcpy(ret_key->wire, state->prefix, state->n_prefix);
		memcpy(ret_key->wire + state->n_prefix, key, n_key);
		item->wire = ret_key->wire;
		item->n_wire += state->n_prefix;
	}
	item->hash = hash_bytes(item->wire, item->n_wire);
	server = server_of(state, handle, group, n_group);
	ret_key->server = state->n_servers > 1 && !state->refused
				  ? shim_server_bit((size_t)(server - state->servers))
				  : SHIM_ANY_SERVER;
	item->place = shim_item_place(server, item);
	item->server = server->name;
	item->private = shim_is_private(state, handle);
	return state->refused;
}
