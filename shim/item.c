#include "shim/shim.h"

#include <errno.h>
#include <string.h>

#include "base/fault.h"
#include "base/hash.h"

typedef unsigned char sixteen_bytes __attribute__((vector_size(16)));
typedef uint64_t two_words __attribute__((vector_size(16)));

/* 0xff where a byte is a blank, a control character or DEL. */
static inline sixteen_bytes unplain(sixteen_bytes bytes)
{
	return (sixteen_bytes)((bytes <= ' ') | (bytes == 0x7f));
}

static inline uint64_t eight_at(const char *bytes)
{
	uint64_t eight;

	memcpy(&eight, bytes, sizeof(eight));
	return eight;
}

static inline sixteen_bytes sixteen_at(const char *bytes)
{
	sixteen_bytes sixteen;

	memcpy(&sixteen, bytes, sizeof(sixteen));
	return sixteen;
}

static inline bool is_none(sixteen_bytes found)
{
	two_words words = (two_words)found;

	return (words[0] | words[1]) == 0;
}

/*
 * Blanks and control characters end or split a key on memcached's text wire:
 * such calls mean something else than they say, and only the real one knows what.
 * Pieces may overlap.
 */
static inline bool is_plain(const char *key, size_t n)
{
	const size_t piece = sizeof(sixteen_bytes);
	sixteen_bytes found;

	if (n < sizeof(uint64_t)) {
		char eight[sizeof(uint64_t)] = { '.', '.', '.', '.', '.', '.', '.', '.' };

		for (size_t i = 0; i < n; i++) {
			eight[i] = key[i];
		}
		return is_none(
			unplain((sixteen_bytes)(two_words){ eight_at(eight), eight_at(eight) }));
	}
	if (n <= piece) {
		return is_none(unplain((sixteen_bytes)(two_words){
			eight_at(key), eight_at(key + n - sizeof(uint64_t)) }));
	}
	found = unplain(sixteen_at(key + n - piece));
	for (size_t i = 0; i + piece < n; i += piece) {
		found |= unplain(sixteen_at(key + i));
	}
	return is_none(found);
}

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
	       (is_plain(key, n) && (!handle->flags.verify_key || is_ascii(key, n)));
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
	item->place = fault_planted(FAULT_ignored_server) ? 0 : server->place;
	item->server = server->name;
	/*
	 * What needs a login stays behind it: libmemcached takes a refused login for a
	 * miss, and Redis must not answer for a memcached that let nobody in.
	 */
	item->private = handle->hashkit._key != NULL || state->login != 0;
	return state->refused;
}

void shim_got(memcached_st *handle, const char *key, size_t n_key, const struct layer_item *item)
{
	memcached_result_st *result = &handle->result;

	memcpy(result->item_key, key, n_key);
	result->item_key[n_key] = '\0';
	result->key_length = n_key;
	result->item_flags = item->flags;
	if (item->has_cas && (handle->flags.support_cas || handle->flags.binary_protocol)) {
		result->item_cas = item->cas;
	}
	result->count++;
}

void shim_succeeded(memcached_st *handle, bool counted_already)
{
	if (!counted_already) {
		handle->query_id++;
	}
	if (handle->error_messages && !fault_planted(FAULT_kept_error)) {
		shim_clear_errors(handle);
	}
	memcached_real.memcached_result_reset(&handle->result);
	if (!handle->flags.binary_protocol) {
		/* Reading a value off the text protocol sets it so. */
		errno = 0;
	}
}
