/* The work behind every entry point that writes; write_api.c has the entry points. */
#include "shim/item.h"

#include <errno.h>

/* No deep layer knows more servers than that. */
#define SERVER_NAMES_MAX 256

/* The call, as it is passed to a function that makes it between two others. */
struct perform {
	enum layer_verb verb;
	struct memcached_call *call;
	bool shifted; /* the answer is that of an earlier write */
};

static enum layer_outcome perform(void *arg)
{
	struct perform *p = arg;

	memcached_perform(p->verb, p->call);
	return p->shifted ? LAYER_UNCERTAIN : memcached_outcome(p->call->handle, p->call->rc);
}

static bool changes_expiry(enum layer_verb verb, const struct memcached_call *call)
{
	switch (verb) {
	case LAYER_SET:
	case LAYER_ADD:
	case LAYER_REPLACE:
	case LAYER_CAS:
	case LAYER_TOUCH:
		return true;
	case LAYER_INCREMENT:
	case LAYER_DECREMENT:
		return call->with_initial &&
		       (uint32_t)call->expiration != MEMCACHED_EXPIRATION_NOT_ADD;
	default:
		return false;
	}
}

/*
 * As memcached reads it: 32 bits, with a sign in the text protocol only.  In the
 * binary one -1 is a time in 2106.
 */
static int64_t exptime_of(const struct memcached_call *call)
{
	return call->handle->flags.binary_protocol ? (int64_t)(uint32_t)call->expiration
						   : (int64_t)(int32_t)call->expiration;
}

static enum layer_outcome walk(struct tower *tower, enum layer_verb verb,
			       struct memcached_call *call, const struct layer_key *key,
			       struct slots_doubts **doubts)
{
	struct layer_write write = {
		.verb = verb,
		.key = *key,
		.value = call->value,
		.n_value = call->n_value,
		.flags = call->flags,
		.exptime = changes_expiry(verb, call) ? exptime_of(call) : call->expiration,
		.changes_expiry = changes_expiry(verb, call),
		.may_keep_expiry = call->with_initial,
		.program = call,
		.awaited = call->handle->flags.reply && !call->handle->flags.buffer_requests &&
			   !call->handle->flags.use_udp,
	};

	tower_write(tower, &write, doubts);
	if (write.outcome == LAYER_DONE && write.absent) {
		/* Deleted, though only a deeper layer still had it. */
		shim_succeeded(call->handle, true);
		call->rc = MEMCACHED_SUCCESS;
	} else if (write.is_below) {
		/* Not added, though memcached was not asked. */
		shim_succeeded(call->handle, false);
		call->rc = MEMCACHED_NOTSTORED;
	}
	return write.outcome;
}

static enum layer_outcome refuse(enum layer_verb verb, struct memcached_call *call)
{
	struct memcached_call refused = *call;

	/* By a group key, so that the real function does not come back through us. */
	refused.by_key = true;
	refused.group = call->key;
	refused.n_group = call->n_key;
	refused.n_key = SHIM_TOO_LONG;
	memcached_perform(verb, &refused);
	call->rc = refused.rc;
	return LAYER_UNSENT;
}

static enum layer_outcome no_call(void *arg)
{
	return LAYER_DROPPED;
}

/*
 * Replicas are written, too, without an answer: what was known of the key on
 * these servers is void.
 */
static void forget_replicas(struct tower *tower, const struct shim_state *state,
			    const struct layer_key *key, struct slots_doubts **doubts)
{
	for (size_t i = 0; i < state->n_servers; i++) {
		struct layer_key replica = *key;

		replica.place = shim_item_place(&state->servers[i], key);
		replica.server = state->servers[i].name;
		if (replica.place != key->place) {
			tower_change(tower, &replica, 0, no_call, NULL, doubts);
		}
	}
}

/*
 * A write that cannot be walked still happens: what it may have changed is
 * forgotten.  A key that means something else on the wire may have changed
 * anything.
 */
static enum layer_outcome pass_on(struct tower *tower, enum shim_reason reason,
				  enum layer_verb verb, struct memcached_call *call,
				  const struct shim_state *state, const struct layer_key *key,
				  struct slots_doubts **doubts)
{
	struct perform p = { verb, call,
			     reason == REASON_buffered || reason == REASON_out_of_step };
	enum layer_outcome outcome;

	if (reason == REASON_namespace) {
		return refuse(verb, call);
	}
	if (reason != REASON_key && reason != REASON_handles) {
		tower_change(tower, key, changes_expiry(verb, call) ? exptime_of(call) : 0, perform,
			     &p, doubts);
		return p.shifted ? LAYER_UNCERTAIN : memcached_outcome(call->handle, call->rc);
	}
	outcome = perform(&p);
	if (outcome != LAYER_UNSENT) {
		shim_forget_all(tower, state);
	}
	return outcome;
}

/* What waits for no reply says SUCCESS where it is buffered, too. */
static bool is_held_back(const struct memcached_call *call)
{
	return call->rc == MEMCACHED_BUFFERED ||
	       (call->rc == MEMCACHED_SUCCESS && call->handle->flags.buffer_requests &&
		!call->handle->flags.reply);
}

/* Who the item is; with one server the group key does not matter. */
static enum shim_reason item_of(const struct shim_state *state, const struct memcached_call *call,
				struct shim_key *ret)
{
	if (state->direct && shim_item_direct(state, call->key, call->n_key, &ret->key)) {
		return REASON_none;
	}
	return shim_item(state, call->handle, call->by_key ? call->group : call->key,
			 call->by_key ? call->n_group : call->n_key, call->key, call->n_key, ret);
}

memcached_return_t shim_write(enum shim_call id, enum layer_verb verb, struct memcached_call *call)
{
	struct shim_frame frame;
	struct tower *tower = shim_begin_write(&frame, id, call->handle, call->key, call->n_key);
	struct shim_state *state;
	struct shim_key item;
	enum shim_reason reason = REASON_handles;
	struct slots_doubts *nobodys = NULL;
	struct slots_doubts **doubts = &nobodys;
	enum layer_outcome outcome;

	if (tower == NULL || call->handle == NULL) {
		memcached_perform(verb, call);
		shim_end(&frame);
		return call->rc;
	}
	state = shim_state(tower, call->handle);
	item.server = SHIM_ANY_SERVER;
	if (state) {
		doubts = &state->doubts;
		reason = item_of(state, call, &item);
	}
	if (reason == REASON_none && state->buffered && call->handle->flags.binary_protocol) {
		/* libmemcached then reads the answer to the first write that is buffered. */
		reason = REASON_buffered;
	}
	if (reason != REASON_none) {
		shim_passed(tower, id, call->handle, state, reason);
	}
	outcome = reason == REASON_none
			  ? walk(tower, verb, call, &item.key, doubts)
			  : pass_on(tower, reason, verb, call, state, &item.key, doubts);
	if (state && outcome != LAYER_UNSENT && shim_has_replicas(call->handle) &&
	    (reason == REASON_none || reason == REASON_replicas || reason == REASON_buffered)) {
		forget_replicas(tower, state, &item.key, doubts);
	}
	if (outcome != LAYER_UNSENT && call->handle->flags.reply) {
		/* What is refused unsent, or waits for no reply, leaves what is to be fetched. */
		shim_drop_results(state);
	}
	if (state && is_held_back(call)) {
		state->buffered |= call->handle->flags.reply ? SHIM_AWAITED : item.server;
	} else if (state && memcached_fatal(call->rc)) {
		state->lost = true;
	}
	shim_fell_out_of_step(state, call->handle, reason, call->key, call->n_key, call->rc, false);
	if (outcome != LAYER_UNCERTAIN && outcome != LAYER_UNSENT) {
		shim_answered(tower, state);
	}
	shim_end(&frame);
	return call->rc;
}

/* The names of a handle's servers. */
struct server_names {
	const char *list[SERVER_NAMES_MAX];
	const char *const *names; /* NULL: not known, all there are */
	size_t n;
};

static void name_servers(const struct shim_state *state, struct server_names *ret)
{
	ret->names = state ? ret->list : NULL;
	ret->n = 0;
	for (size_t i = 0; state && i < state->n_servers && ret->n < SERVER_NAMES_MAX; i++) {
		ret->list[ret->n++] = state->servers[i].name;
	}
}

void shim_forget_all(struct tower *tower, const struct shim_state *state)
{
	struct server_names servers;

	name_servers(state, &servers);
	tower_forget_all(tower, servers.names, servers.n);
}

struct flush {
	memcached_st *handle;
	time_t delay;
	memcached_return_t rc;
	int error; /* errno after the call */
};

static enum layer_outcome flush(void *arg)
{
	struct flush *f = arg;

	f->rc = memcached_real.memcached_flush(f->handle, f->delay);
	f->error = errno;
	return memcached_outcome(f->handle, f->rc);
}

SHIM_EXPORT memcached_return_t memcached_flush(memcached_st *handle, time_t delay)
{
	struct flush f = { handle, delay, MEMCACHED_FAILURE, errno };
	struct shim_frame frame;
	struct tower *tower = shim_begin_own(&frame, CALL_memcached_flush, handle);
	struct server_names servers;
	struct shim_state *state;

	if (tower == NULL) {
		return memcached_real.memcached_flush(handle, delay);
	}
	state = handle ? shim_state(tower, handle) : NULL;
	if (handle && handle->flags.reply) {
		shim_drop_results(state);
	}
	name_servers(state, &servers);
	tower_flush(tower, servers.names, servers.n, delay, flush, &f);
	shim_end(&frame);
	errno = f.error;
	return f.rc;
}
