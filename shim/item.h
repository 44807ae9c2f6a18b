/*
 * item.h - what every hit goes through, in line: what is kept of the handle, who an
 * item of the plainest ones is, and how a handle is left.  shim.h has the rest of
 * handles.c and item.c.
 */
#ifndef TOWER_SHIM_ITEM_H
#define TOWER_SHIM_ITEM_H

#include <errno.h>
#include <string.h>

#include "base/fault.h"
#include "base/hash.h"
#include "base/likely.h"
#include "shim/shim.h"

/* --- handles.c --- */

/*
 * Changes whenever a handle is forgotten, so that no thread's memory of its
 * last handle outlives it.  Relaxed would not do: a thread that got an address
 * from another one must see that it is a new handle.
 */
extern _Atomic uint64_t shim_forgotten;

/* The handle that this thread used last: programs use one over and over. */
struct shim_last {
	const memcached_st *handle;
	struct shim_state *state;
	uint64_t forgotten;
};

extern __thread struct shim_last shim_last;

/* The handle's state as it is, if this thread used it last; else NULL. */
static inline struct shim_state *shim_state_last(const memcached_st *handle)
{
	return shim_last.handle == handle &&
			       shim_last.forgotten ==
				       atomic_load_explicit(&shim_forgotten, memory_order_acquire)
		       ? shim_last.state
		       : NULL;
}

/* Whether what is kept of the handle's items still holds. */
static inline bool shim_is_fresh(const struct shim_state *state, const memcached_st *handle)
{
	return state->fresh && state->servers_seen == handle->servers &&
	       state->n_servers == handle->number_of_hosts;
}

/*
 * The handle's state where a read can begin at once: this thread used it last, its
 * items are known, nothing of it is buffered or unread.  Else NULL, and shim_state()
 * knows.
 */
static inline struct shim_state *shim_state_at_once(const memcached_st *handle)
{
	struct shim_state *state = shim_state_last(handle);

	return likely(state != NULL) && likely(shim_is_fresh(state, handle)) &&
			       likely(!state->buffered && !state->unread && !state->results)
		       ? state
		       : NULL;
}

/* --- item.c --- */

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
static inline bool shim_is_plain(const char *key, size_t n)
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

/*
 * shim_item() for a handle whose state is `direct`, if the key is one that means itself
 * (shim_is_plain()).  One that is not has another place, so that memory, which alone may be
 * asked before that is known, does not have it under this one.  False: shim_item() knows.
 */
static inline bool shim_item_known(const struct shim_state *state, const char *key, size_t n_key,
				   struct layer_key *ret)
{
	if (key == NULL || n_key - 1 >= LAYER_KEY_MAX) {
		return false;
	}
	*ret = (struct layer_key){
		.wire = key,
		.n_wire = n_key,
		.hash = hash_bytes(key, n_key),
		.place = fault_planted(FAULT_ignored_server) ? 0 : state->servers[0].place,
		.server = state->servers[0].name,
	};
	return true;
}

/* The same, and it is one that means itself. */
static inline bool shim_item_direct(const struct shim_state *state, const char *key, size_t n_key,
				    struct layer_key *ret)
{
	return shim_item_known(state, key, n_key, ret) && shim_is_plain(key, n_key);
}

/* memcached_result_reset(), which costs more to call than to do; of all but the value. */
static inline void shim_reset_fields(memcached_result_st *result)
{
	result->item_flags = 0;
	result->item_expiration = 0;
	result->key_length = 0;
	result->item_cas = 0;
	result->numeric_value = UINT64_MAX;
}

static inline void shim_reset_result(memcached_result_st *result)
{
	shim_reset_fields(result);
	result->value.end = result->value.string;
}

/* Leaves the handle as after a real call that succeeded without errors. */
static inline void shim_succeeded(memcached_st *handle, bool counted_already)
{
	if (handle->error_messages && !fault_planted(FAULT_kept_error)) {
		shim_clear_errors(handle);
	}
	if (!handle->flags.binary_protocol) {
		/* Reading a value off the text protocol sets it so. */
		errno = 0;
	}
	if (!counted_already) {
		handle->query_id++;
	}
	shim_reset_result(&handle->result);
}

/* memcpy(); for most keys two pieces of eight bytes, which may overlap, instead of a call. */
static inline void shim_copy_bytes(char *to, const char *key, size_t n)
{
	if (n >= sizeof(uint64_t) && n <= 2 * sizeof(uint64_t)) {
		uint64_t begin = eight_at(key);
		uint64_t end = eight_at(key + n - sizeof(end));

		memcpy(to, &begin, sizeof(begin));
		memcpy(to + n - sizeof(end), &end, sizeof(end));
	} else {
		memcpy(to, key, n);
	}
}

/*
 * Leaves the handle's own result as after a real get of this key, but for its
 * value, which is the program's; after shim_succeeded().
 */
static inline void shim_got(memcached_st *handle, const char *key, size_t n_key,
			    const struct layer_item *item)
{
	memcached_result_st *result = &handle->result;

	shim_copy_bytes(result->item_key, key, n_key);
	result->item_key[n_key] = '\0';
	result->key_length = n_key;
	result->item_flags = item->flags;
	if (item->has_cas && (handle->flags.support_cas || handle->flags.binary_protocol)) {
		result->item_cas = item->cas;
	}
	result->count++;
}

#endif
