/* Entry points that ask for many keys: the first half of the walk (results.h). */
#include "shim/item.h"
#include "shim/results.h"

#include <string.h>

#include "base/fault.h"

#define REQUEST_KEYS_MAX 65536
#define COLLECT_BYTES_MAX ((size_t)64 << 20)

bool shim_has_unread(struct shim_state *state, const memcached_st *handle)
{
	/* Who fetches to the end does not tell: libmemcached is asked where there may be any. */
	bool may_have = state->unread || results_unread(state->results);

	state->unread = false;
	for (uint32_t i = 0; may_have && !state->unread && i < handle->number_of_hosts; i++) {
		state->unread =
			memcached_real.memcached_server_response_count(
				memcached_real.memcached_server_instance_by_position(handle, i)) >
			0;
	}
	return state->unread;
}

static memcached_return_t real_mget(const struct memcached_read *read,
				    const struct shim_request *request)
{
	if (request->execute) {
		return read->by_key
			       ? memcached_real.memcached_mget_execute_by_key(
					 read->handle, read->group, read->n_group, request->keys,
					 request->lengths, request->n, request->callbacks,
					 request->context, request->n_callbacks)
			       : memcached_real.memcached_mget_execute(
					 read->handle, request->keys, request->lengths, request->n,
					 request->callbacks, request->context,
					 request->n_callbacks);
	}
	return read->by_key ? memcached_real.memcached_mget_by_key(read->handle, read->group,
								   read->n_group, request->keys,
								   request->lengths, request->n)
			    : memcached_real.memcached_mget(read->handle, request->keys,
							    request->lengths, request->n);
}

/* As if the first key were the one that is too long. */
static memcached_return_t refuse_mget(const struct memcached_read *read,
				      const struct shim_request *request)
{
	static const size_t too_long = SHIM_TOO_LONG;
	struct shim_request refused = *request;

	refused.lengths = &too_long;
	refused.n = 1;
	return real_mget(read, &refused);
}

/* Who the items are; the program may free its keys before it fetches. */
static enum shim_reason add_items(struct shim_results *results, const struct shim_state *state,
				  const struct shim_request *request)
{
	const struct memcached_read *read = &results->read;
	bool direct = state->direct;
	struct shim_key composed;

	for (size_t i = 0; i < request->n; i++) {
		size_t at = fault_planted(FAULT_wrong_order) ? request->n - 1 - i : i;
		struct layer_item *item = &results->items[at];
		const char *key = request->keys[i];
		size_t n_key = request->lengths[i];
		char *bytes;

		if (!direct || !shim_item_direct(state, key, n_key, &item->key)) {
			enum shim_reason reason =
				shim_item_read(state, read->handle, read->group, read->n_group, key,
					       n_key, &composed);

			if (reason != REASON_none) {
				return reason;
			}
			item->key = composed.key;
		}
		bytes = arena_alloc(&results->arena, item->key.n_wire);
		if (bytes == NULL) {
			return REASON_handles;
		}
		shim_copy_bytes(bytes, item->key.wire, item->key.n_wire);
		item->key.wire = bytes;
		item->answer = LAYER_UNASKED;
	}
	return REASON_none;
}

/* Why the request goes to the real function as it is; else *ret_results is ready for the walk. */
static enum shim_reason prepare(const struct tower *tower, struct shim_state *state,
				const struct memcached_read *read,
				const struct shim_request *request,
				struct shim_results **ret_results)
{
	struct shim_results *results;
	enum shim_reason reason;

	if (state == NULL) {
		return REASON_handles;
	}
	if (request->n == 0 || request->n > REQUEST_KEYS_MAX || !request->keys ||
	    !request->lengths || (request->execute && !read->handle->flags.binary_protocol)) {
		return REASON_batch;
	}
	if (state->buffered) {
		return REASON_buffered;
	}
	if (shim_has_unread(state, read->handle)) {
		return REASON_unread;
	}
	results = results_take(state, request->n);
	if (results == NULL) {
		return REASON_handles;
	}
	results->read = *read;
	results->read.multiple = true;
	results->read.max_bytes = COLLECT_BYTES_MAX;
	/* The binary protocol sends CAS ids with every result, asked for or not. */
	results->batch.want_cas =
		read->handle->flags.support_cas || read->handle->flags.binary_protocol;
	reason = shim_unless_off(tower, read->handle, add_items(results, state, request));
	if (reason != REASON_none) {
		results_give(state, results);
		return reason;
	}
	*ret_results = results;
	return REASON_none;
}

static void after_real_mget(struct shim_state *state, const memcached_st *handle,
			    memcached_return_t rc)
{
	if (state && memcached_outcome(handle, rc) != LAYER_UNSENT) {
		shim_drop_results(state);
		shim_sent(state, SHIM_AWAITED);
		state->unread = memcached_success(rc) || rc == MEMCACHED_SOME_ERRORS;
	}
}

/*
 * Only keys of servers that cannot be asked were left to ask for.  Libmemcached would have got
 * the others' from theirs; and in text it would not even have said that there was an error.
 */
static bool has_part(const struct shim_results *results)
{
	const struct memcached_read *read = &results->read;

	return !read->unasked && !read->by_key && read->handle->number_of_hosts > 1 &&
	       results->batch.n_hits;
}

static memcached_return_t answer_part(struct tower *tower, struct shim_state *state,
				      struct shim_results *results)
{
	for (size_t i = 0; i < results->batch.n_items; i++) {
		if (results->items[i].answer != LAYER_HIT) {
			results->items[i].answer = LAYER_DOWN;
		}
	}
	shim_served_items(tower, results->call, results->items, results->batch.n_items);
	results->n_prefix = state->n_prefix;
	results->collected = true;
	state->results = results;
	return results->read.handle->flags.binary_protocol ? MEMCACHED_SOME_ERRORS
							   : MEMCACHED_SUCCESS;
}

static memcached_return_t walk(struct tower *tower, struct shim_state *state,
			       struct shim_results *results, const struct shim_request *request)
{
	struct memcached_read *read = &results->read;
	char *group =
		read->group && read->n_group ? arena_alloc(&results->arena, read->n_group) : NULL;
	bool sent = tower_read_begin(tower, &results->batch);

	if (!sent && has_part(results)) {
		return answer_part(tower, state, results);
	}
	if (!sent) {
		memcached_return_t rc = read->unasked ? real_mget(read, request) : read->rc;

		shim_served(tower, results->call,
			    read->unasked ? STATS_READ_PASSED : STATS_READ_FAILED, request->n);
		if (read->unasked) {
			after_real_mget(state, read->handle, rc);
		}
		results_give(state, results);
		return rc;
	}
	/* The program may free it now; what goes back into memcached needs it later. */
	if (group) {
		memcpy(group, read->group, read->n_group);
	}
	read->group = group;
	results->n_prefix = state->n_prefix;
	state->results = results;
	results->asked = results->batch.n_hits < results->batch.n_items;
	results->collected = !results->asked;
	if (!results->asked) {
		/* All by the one layer that is above memcached. */
		shim_served(tower, results->call,
			    STATS_READ_LAYERS + tower->layers[results->items->layer].stats,
			    request->n);
		shim_succeeded(read->handle, false);
		return MEMCACHED_SUCCESS;
	}
	return read->rc;
}

memcached_return_t shim_mget(enum shim_call call, struct memcached_read *read,
			     const struct shim_request *request)
{
	struct shim_frame frame;
	struct tower *tower = shim_begin_own(&frame, call, read->handle);
	struct shim_results *results = NULL;
	struct shim_state *state;
	enum shim_reason reason;
	memcached_return_t rc;

	if (tower == NULL) {
		return real_mget(read, request);
	}
	shim_served(tower, call, STATS_READ_ASKED, request->n);
	state = read->handle ? shim_state(tower, read->handle) : NULL;
	reason = prepare(tower, state, read, request, &results);
	if (reason == REASON_none) {
		results->call = call;
		shim_drop_results(state);
		rc = walk(tower, state, results, request);
	} else {
		shim_passed(tower, call, read->handle, state, reason);
		shim_served(tower, call, STATS_READ_PASSED, request->n);
		rc = reason == REASON_namespace ? refuse_mget(read, request)
						: real_mget(read, request);
		after_real_mget(state, read->handle, rc);
		/* A reason that is a key's is that of a request with its keys. */
		for (size_t i = 0; reason == REASON_key && i < request->n; i++) {
			shim_fell_out_of_step(state, read->handle, reason, request->keys[i],
					      request->lengths[i], rc, true);
		}
	}
	shim_end(&frame);
	return rc;
}

SHIM_EXPORT memcached_return_t memcached_mget(memcached_st *handle, const char *const *keys,
					      const size_t *lengths, size_t n)
{
	struct memcached_read read = { .handle = handle };
	const struct shim_request request = { .keys = keys, .lengths = lengths, .n = n };

	return shim_mget(CALL_memcached_mget, &read, &request);
}

SHIM_EXPORT memcached_return_t memcached_mget_by_key(memcached_st *handle, const char *group,
						     size_t n_group, const char *const *keys,
						     const size_t *lengths, size_t n)
{
	struct memcached_read read = {
		.handle = handle,
		.by_key = true,
		.group = group,
		.n_group = n_group,
	};
	const struct shim_request request = { .keys = keys, .lengths = lengths, .n = n };

	return shim_mget(CALL_memcached_mget_by_key, &read, &request);
}

SHIM_EXPORT memcached_return_t memcached_mget_execute(memcached_st *handle, const char *const *keys,
						      const size_t *lengths, size_t n,
						      memcached_execute_fn *callbacks,
						      void *context, unsigned n_callbacks)
{
	struct memcached_read read = { .handle = handle };
	const struct shim_request request = {
		.keys = keys,
		.lengths = lengths,
		.n = n,
		.execute = true,
		.callbacks = callbacks,
		.context = context,
		.n_callbacks = n_callbacks,
	};

	return shim_mget(CALL_memcached_mget_execute, &read, &request);
}

SHIM_EXPORT memcached_return_t memcached_mget_execute_by_key(memcached_st *handle,
							     const char *group, size_t n_group,
							     const char *const *keys,
							     const size_t *lengths, size_t n,
							     memcached_execute_fn *callbacks,
							     void *context, unsigned n_callbacks)
{
	struct memcached_read read = {
		.handle = handle,
		.by_key = true,
		.group = group,
		.n_group = n_group,
	};
	const struct shim_request request = {
		.keys = keys,
		.lengths = lengths,
		.n = n,
		.execute = true,
		.callbacks = callbacks,
		.context = context,
		.n_callbacks = n_callbacks,
	};

	return shim_mget(CALL_memcached_mget_execute_by_key, &read, &request);
}
