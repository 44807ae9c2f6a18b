/*
 * memcached.h - layer "memcached": the program's own handle, the authority.
 *
 * Makes the program's own calls, through the real functions, on the program's
 * own handle; keeps nothing.  The only layer that knows libmemcached's types.
 *
 * `program` of a batch is a struct memcached_read, of a write a struct
 * memcached_call.
 */
#ifndef TOWER_LAYERS_MEMCACHED_H
#define TOWER_LAYERS_MEMCACHED_H

#include <libmemcached/memcached.h>

#include "layers/layer.h"

/*
 * The real functions that this layer needs, one pointer each; shim/bind.c
 * finds them (libmemcached is no DT_NEEDED of ours).
 */
struct memcached_real {
#define REAL(name, failure) __typeof__(&(name)) name;
#include "layers/memcached_real.def"
#undef REAL
};

/* Set once, before the first layer is opened. */
extern struct memcached_real memcached_real;

/* How the program asked. */
struct memcached_read {
	memcached_st *handle;
	bool multiple; /* mget and fetch; else one get */
	bool by_key;   /* through the _by_key function, with this group key */
	const char *group;
	size_t n_group;
	size_t *ret_n_value;   /* one get: where its length and flags go, as the real call */
	uint32_t *ret_flags;   /* leaves them; never NULL */
	memcached_return_t rc; /* out: what the real get, mget or last fetch returned */
	/* multiple: results are collected up to so many bytes, the rest stays unread */
	size_t max_bytes;
	bool unasked; /* out: there was no memory for the question: the program's own is to be sent
		       */
	bool unread;  /* out: max_bytes was reached, the program fetches on from the handle */
	bool partial; /* out: not all servers could be asked: what did not come may be there */
	bool strayed; /* out: the answer is another key's: the handle is out of step */
};

/* One write as the program wrote it. */
struct memcached_call {
	memcached_st *handle;
	bool by_key;
	const char *group;
	size_t n_group;
	const char *key;
	size_t n_key;
	const char *value;
	size_t n_value;
	time_t expiration;
	uint32_t flags;
	uint64_t cas;
	uint64_t delta;
	uint64_t initial;
	bool with_initial;
	uint64_t *
		counter; /* increment, decrement: where the program wants the answer; may be NULL */
	memcached_return_t rc; /* out */
};

/* The real get as the program asked, outside of any walk; sets rc. */
char *memcached_get_real(struct memcached_read *read, const char *key, size_t n_key);

/*
 * Makes the call as the program wrote it and sets rc; `verb` chooses the
 * function.  Also used, outside of any walk, for calls that are passed on.
 */
void memcached_perform(enum layer_verb verb, struct memcached_call *call);

/* What a return code says about a write on this handle. */
enum layer_outcome memcached_outcome(const memcached_st *handle, memcached_return_t rc);

extern const struct layer_ops memcached_ops;

/* NULL where memory is out.  `counters` is borrowed for the layer's life; the pointer
 * it points at is exchanged after a fork. */
struct layer *memcached_open(struct layer_counters **counters);

#endif
