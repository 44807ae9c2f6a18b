/*
 * shim.h - how programs reach the tower: libmemcached's ABI, translated.
 *
 * Every interposed function is an entry point of a few lines: it opens a frame
 * (shim/guard.c), describes the call, and hands it to one of the few functions
 * that do the work: get, shim_mget, shim_fetch_result, shim_write, ...
 * No cache policy lives here.
 *
 * Frames.  libmemcached calls itself through its own PLT, so that one call of
 * the program comes back to us several times.  A frame on the thread's stack
 * marks the outer call.  Inside it everything is passed on, but for what only
 * the program can have called, from a callback: a write of another key or
 * handle, any write inside a read, a read of another handle, and what
 * libmemcached never calls itself.  These are outer calls again.
 *
 * Threads: as with libmemcached, a handle belongs to one thread at a time.
 */
#ifndef TOWER_SHIM_SHIM_H
#define TOWER_SHIM_SHIM_H

#include <libmemcached/memcached.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/tower.h"
#include "layers/memcached.h"

#define SHIM_EXPORT __attribute__((visibility("default")))

enum shim_call {
#define CALL(name, kind, does) CALL_##name,
#include "shim/api.def"
	SHIM_N_CALLS
};

enum shim_reason {
	REASON_none,
#define REASON(name, kinds, help, why) REASON_##name,
#include "shim/reasons.def"
	SHIM_N_REASONS
};

/* --- init.c --- */

/* What must be known of the process before anything else; cheap after the first time. */
void shim_load(void);

/* --- bind.c --- */

/* Finds libmemcached's functions; cheap after the first time.  Fills memcached_real always. */
void shim_bind(void);

/* --- guard.c --- */

/*
 * Lies on the stack of the call.  What is known of the call is kept apart: a handler
 * of the program may jump out of it, and then the stack is somebody else's.
 */
struct shim_frame {
	bool is_open;
	unsigned depth;		/* frames that were open before */
	const void *living;	/* itself, as long as nobody has overwritten it */
	memcached_st *hastened; /* has TCP_NODELAY for the time of the frame; or NULL */
};

/*
 * Opens a frame and counts the call.  NULL: an inner call, or the tower is
 * off; then no frame is open and the real function is to be called.
 */
struct tower *shim_begin(struct shim_frame *frame, enum shim_call call, const memcached_st *handle);

/*
 * The same for a call that libmemcached makes itself only on the handle of the
 * outer call: on another one it is the program's own, made from a callback.
 *
 * With the binary protocol, connections that are made inside get TCP_NODELAY.
 * Libmemcached asks for several keys in two packets, and TCP keeps the second until the
 * first is acknowledged: 40 ms, where it has no answer because all of its keys are absent.
 * Memory answers the others, which makes such a request common.
 */
struct tower *shim_begin_own(struct shim_frame *frame, enum shim_call call, memcached_st *handle);

/* The same for a call that writes this key (its bytes are borrowed). */
struct tower *shim_begin_write(struct shim_frame *frame, enum shim_call call, memcached_st *handle,
			       const char *key, size_t n_key);

/* Closes the frame, if it is open. */
void shim_end(struct shim_frame *frame);

/* The tower whatever the frame; NULL where it is off. */
struct tower *shim_tower(void);

/* Around a callback of the program that we call ourselves: it may call anything. */
unsigned shim_pause(void);
void shim_resume(unsigned paused);

/*
 * The tower, where a call of this thread would be an outer one and nothing has to
 * be prepared for it; else NULL, and shim_begin() knows.
 */
struct tower *shim_at_once(void);

void shim_count(struct tower *tower, enum shim_call call);

/*
 * The reason, or REASON_disabled where there is none but the tower is switched off.
 * The real get may store a value with a get-failure trigger, which must enter its slot.
 */
static inline enum shim_reason shim_unless_off(const struct tower *tower,
					       const memcached_st *handle, enum shim_reason reason)
{
	return reason == REASON_none && tower_is_off(tower) && !handle->get_key_failure
		       ? REASON_disabled
		       : reason;
}

/* --- handles.c --- */

struct shim_results; /* results.h */

/* Where a key of this handle may be. */
struct shim_server {
	uint64_t place;
	const char *name;
};

/* What is kept for a handle, from its first use to memcached_free(). */
struct shim_state {
	/* Who the items of this handle are; recomputed where `fresh` is false. */
	bool fresh;
	bool direct; /* one server, no namespace, nothing refused: an item is its key (item.h) */
	enum shim_reason refused; /* why nothing may be served, or REASON_none */
	const void *servers_seen;
	size_t n_servers;
	struct shim_server *servers;
	size_t n_prefix; /* all namespaces of the wire */
	char prefix[LAYER_KEY_MAX + 1];

	size_t n_ours;	     /* the part of the prefix that is configured */
	bool namespaced;     /* the configured namespace stands in front of the program's */
	bool encoding_known; /* `encoding` is that of the handle's key */
	uint64_t encoding;   /* its fingerprint */
	uint64_t login;	     /* that of name and password; 0 without */
	uint64_t buffered;   /* servers for which writes may wait in buffers: shim_server_bit() */
	bool unread;	     /* results may wait on the handle's connections */
	struct shim_results *results; /* of an mget, not yet fetched; owned */
	struct shim_results *spare;  /* empty, for the next one; owned; NULL while results is not */
	struct slots_doubts *doubts; /* writes of this handle whose outcome is not known */
	bool out_of_step;	     /* more answers may come on its connections than calls await */
	bool lost; /* some of them went over a connection that is gone: no answer tells of them */
	uint64_t told;			  /* reasons that the log has had (passed.c): a bit each */
	struct layer_allocator allocator; /* the handle's own, for values that the program gets */
};

/* Of all servers, where it is not known which. */
#define SHIM_ANY_SERVER UINT64_MAX

/* A bit for each of a handle's servers; the last of these stands for several. */
static inline uint64_t shim_server_bit(size_t number)
{
	return UINT64_C(1) << (number < 62 ? number : 62);
}

/* Beside those: what waits for replies is sent by a get or mget to any server. */
#define SHIM_AWAITED (UINT64_C(1) << 63)

/* What was buffered for these has been sent. */
static inline void shim_sent(struct shim_state *state, uint64_t servers)
{
	if (state->n_servers <= 1) {
		state->buffered = 0;
	} else {
		state->buffered &= ~servers;
	}
}

/* The handle's state, made if need be; NULL where there is no room. */
struct shim_state *shim_state(struct tower *tower, memcached_st *handle);

/* The handle's state as it is, made if need be, its items not looked at; NULL where no room. */
struct shim_state *shim_state_new(const memcached_st *handle);

/* The handle's state if there is one. */
struct shim_state *shim_state_if_any(const memcached_st *handle);

/* Forgets the handle: it ends, or begins anew at the same address. */
void shim_forget(const memcached_st *handle);

/*
 * memcached has answered a call on the handle: whatever it sent before has
 * happened.  With several servers only one has answered, and nothing is known.
 */
void shim_answered(struct tower *tower, struct shim_state *state);

/* Whether writes go to further servers as well; only the binary protocol does so. */
static inline bool shim_has_replicas(const memcached_st *handle)
{
	return handle->number_of_replicas && handle->flags.binary_protocol;
}

/*
 * Whether what the handle reads and writes must stay in the process.  Encoded values are
 * meant for those who have the key.  What needs a login stays behind it: libmemcached takes a
 * refused login for a miss, and Redis must not answer for a memcached that let nobody in.
 * Where servers are ejected a key moves to another one and back: Redis would still have what
 * it was there before, when that server comes back empty.
 */
static inline bool shim_is_private(const struct shim_state *state, const memcached_st *handle)
{
	return handle->hashkit._key != NULL || state->login != 0 ||
	       (handle->flags.auto_eject_hosts && state->n_servers > 1);
}

/*
 * What libmemcached takes for answers on this handle are those to earlier calls: until
 * memcached_quit() all of its calls are passed on.
 */
void shim_is_out_of_step(struct shim_state *state);

/*
 * A call was passed on, and answered `rc`: for REASON_key in the text protocol memcached may
 * have taken it for several commands, of which libmemcached reads one answer.  `has_read_all`:
 * it has come to the end of what a request for several keys is answered, so that only a key of
 * several lines has more.  `key` may be NULL.
 */
void shim_fell_out_of_step(struct shim_state *state, const memcached_st *handle,
			   enum shim_reason reason, const char *key, size_t n_key,
			   memcached_return_t rc, bool has_read_all);

/* The handle's servers, hashes or namespace may have changed. */
void shim_changed(const memcached_st *handle);

/* --- passed.c --- */

/*
 * A call goes to memcached as it is: counted, and told to the log at level debug, once
 * per handle and reason.  `state` may be NULL.
 */
void shim_passed(struct tower *tower, enum shim_call call, const memcached_st *handle,
		 struct shim_state *state, enum shim_reason reason);

/* The handle's values stay in the process (an encoding key, a login): told in the same way. */
void shim_kept_private(const memcached_st *handle, struct shim_state *state);

/* --- served.c --- */

/*
 * What is kept for `tower explain` of a function that reads: n more of its keys.  Every
 * read that was not a hit at once says first how many it asks (STATS_READ_ASKED).
 */
void shim_served(struct tower *tower, enum shim_call call, enum stats_read where, size_t n);

/* The same of a walk that is over; items that nobody was asked for are not known. */
void shim_served_items(struct tower *tower, enum shim_call call, const struct layer_item *items,
		       size_t n);

/* --- servers.c --- */

/*
 * A server by a name that means it alone, on whatever machine it is read; it
 * stays for the life of the process.  NULL where there is no room.
 */
const char *shim_server_name(const memcached_instance_st *server);

/* --- item.c --- */

/* A key of one item with room for its bytes. */
struct shim_key {
	struct layer_key key;
	uint64_t server; /* shim_server_bit() of the one that the handle asks */
	char wire[LAYER_KEY_MAX];
};

/*
 * Who the item is.  The key's bytes are borrowed where the handle has no
 * namespace, else composed in ret_key.  REASON_key and _namespace leave ret_key unset; any
 * other reason (what the handle refuses) sets it.
 *
 * Passed on for REASON_namespace a key has a length that libmemcached refuses,
 * SHIM_TOO_LONG, so that nothing is sent.
 */
#define SHIM_TOO_LONG MEMCACHED_MAX_KEY

/* The servers that a question for the item has certainly reached. */
static inline uint64_t shim_asked(const struct shim_key *key)
{
	return key->server == SHIM_ANY_SERVER ? 0 : key->server;
}

enum shim_reason shim_item(const struct shim_state *state, memcached_st *handle, const char *group,
			   size_t n_group, const char *key, size_t n_key, struct shim_key *ret_key);

/*
 * The place of an item (its bytes on the wire are set) at that server.  A key with blanks or
 * control characters, which only the binary protocol or a namespace can have, is at another
 * than the same bytes in a text request, where they mean something else.
 */
uint64_t shim_item_place(const struct shim_server *server, const struct layer_key *item);

/* The same for a read, for which an empty group key is none. */
static inline enum shim_reason shim_item_read(const struct shim_state *state, memcached_st *handle,
					      const char *group, size_t n_group, const char *key,
					      size_t n_key, struct shim_key *ret_key)
{
	bool by_group = group && n_group;

	return shim_item(state, handle, by_group ? group : key, by_group ? n_group : n_key, key,
			 n_key, ret_key);
}

/* --- error.c --- */

/* Forgets the handle's errors; it must have some. */
void shim_clear_errors(memcached_st *handle);

/* Adds an error to the handle as memcached_fetch_execute() does for a callback that failed. */
void shim_set_error(memcached_st *handle, memcached_return_t rc);

/* --- mget.c --- */

/* The request of an mget, as the program wrote it. */
struct shim_request {
	const char *const *keys;
	const size_t *lengths;
	size_t n;
	bool execute; /* mget_execute, with the callbacks */
	memcached_execute_fn *callbacks;
	void *context;
	unsigned n_callbacks;
};

memcached_return_t shim_mget(enum shim_call call, struct memcached_read *read,
			     const struct shim_request *request);

/* --- results.c --- */

/* What an mget left is not wanted any more.  NULL is nothing. */
void shim_drop_results(struct shim_state *state);

/* The same, and nothing is kept for the next one. */
void shim_end_results(struct shim_state *state);

/*
 * Takes what an mget asked for off the handle's connections now: the handle is
 * about to change in a way that the answers would be understood by.
 */
void shim_collect_results(struct tower *tower, struct shim_state *state);

/* The handle's namespace has changed: what is still to be fetched is named by it. */
void shim_rename_results(struct shim_state *state);

/* Whether results of an earlier request wait on the handle's connections: a real call drops them.
 */
bool shim_has_unread(struct shim_state *state, const memcached_st *handle);

/* --- write.c --- */

memcached_return_t shim_write(enum shim_call id, enum layer_verb verb, struct memcached_call *call);

/* Nothing held in the domain is a hit any more: for calls nobody can follow. */
void shim_forget_all(struct tower *tower, const struct shim_state *state);

/* --- change.c: what the configured namespace needs of a handle --- */

/* Puts the configured namespace before the program's own, once. */
void shim_namespace(struct tower *tower, memcached_st *handle, struct shim_state *state);

#endif
