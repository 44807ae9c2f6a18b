/* Entry points that fetch what an mget asked for: the second half of the walk (results.h). */
#include "shim/item.h"
#include "shim/results.h"

#include <errno.h>
#include <string.h>

/* Value and the NUL that stands behind every value, which does not count. */
INLINE static inline bool set_value(memcached_result_st *result, const struct layer_item *item,
				    bool is_text)
{
	memcached_string_st *value = &result->value;
	const char *bytes = item->n_value ? item->value : "";

	/* The real function below appends. */
	value->end = value->string;
	/* Reading nothing off the text protocol still leaves a buffer. */
	if (item->n_value == 0 && !is_text) {
		return true;
	}
	if (item->n_value < value->current_size) {
		memcpy(value->string, bytes, item->n_value + 1);
	} else if (memcached_real.memcached_result_set_value(result, bytes, item->n_value + 1) !=
		   MEMCACHED_SUCCESS) {
		return false;
	}
	value->end = value->string + item->n_value;
	return true;
}

INLINE static inline bool deliver(const struct shim_results *results, const struct layer_item *item,
				  memcached_result_st *result)
{
	size_t n_prefix =
		results->n_prefix < item->key.n_wire ? results->n_prefix : item->key.n_wire;
	size_t n_key = item->key.n_wire - n_prefix;
	bool is_text = !results->read.handle->flags.binary_protocol;

	bool has_value = set_value(result, item, is_text);

	shim_reset_fields(result);
	if (!has_value) {
		return false;
	}
	shim_copy_bytes(result->item_key, item->key.wire + n_prefix, n_key);
	result->item_key[n_key] = '\0';
	result->key_length = n_key;
	result->item_flags = item->flags;
	result->item_cas = results->batch.want_cas ? item->cas : 0;
	result->count++;
	if (is_text) {
		/* Reading a value off the text protocol sets it so. */
		errno = 0;
	}
	return true;
}

/* As the real one: the end is END where this result was ever filled, else NOTFOUND. */
static memcached_return_t end_of(const struct shim_results *results,
				 const memcached_result_st *result)
{
	memcached_return_t rc = results->read.rc;

	if (!results->asked || rc == MEMCACHED_END || rc == MEMCACHED_NOTFOUND) {
		return result->count ? MEMCACHED_END : MEMCACHED_NOTFOUND;
	}
	return rc;
}

static void end_result(memcached_result_st *result)
{
	if (result->options.is_allocated) {
		memcached_real.memcached_result_free(result);
	} else {
		result->count = 0;
		result->value.end = result->value.string;
	}
}

/* The next result of what was not collected, straight from the handle. */
static memcached_result_st *fetch_unread(struct shim_results *results, memcached_result_st *result,
					 memcached_return_t *ret_rc)
{
	memcached_result_st *got =
		memcached_real.memcached_fetch_result(results->read.handle, result, ret_rc);

	if (got == NULL) {
		results->read.unread = false;
		results->read.rc = *ret_rc;
	}
	return got;
}

/* The next result where it was found already; NULL where there is more to do, or less. */
INLINE static inline memcached_result_st *next_found(struct shim_results *results,
						     memcached_result_st *result)
{
	const struct layer_item *item = &results->items[results->next];

	if (results->next == results->batch.n_items || item->answer != LAYER_HIT ||
	    !deliver(results, item, result)) {
		return NULL;
	}
	results->next++;
	return result;
}

/* NULL where there is nothing more; then *result may have been freed by the real call. */
static memcached_result_st *next_result(struct shim_results *results, memcached_result_st *result,
					memcached_return_t *ret_rc)
{
	while (results->next < results->batch.n_items) {
		const struct layer_item *item = &results->items[results->next];

		if (item->answer == LAYER_HIT) {
			bool found = next_found(results, result) != NULL;

			*ret_rc = found ? MEMCACHED_SUCCESS : MEMCACHED_MEMORY_ALLOCATION_FAILURE;
			if (!found) {
				results->next = results->batch.n_items;
				end_result(result);
			}
			return found ? result : NULL;
		}
		if (results->read.unread) {
			return fetch_unread(results, result, ret_rc);
		}
		results->next++;
	}
	*ret_rc = end_of(results, result);
	end_result(result);
	return NULL;
}

void shim_collect_results(struct tower *tower, struct shim_state *state)
{
	struct shim_results *results = state->results;

	if (results == NULL || results->collected) {
		return;
	}
	results->collected = true;
	tower_read_end(tower, &results->batch);
	shim_served_items(tower, results->call, results->items, results->batch.n_items);
	if (results->asked &&
	    (results->read.rc == MEMCACHED_END || results->read.rc == MEMCACHED_NOTFOUND)) {
		shim_answered(tower, state);
	} else if (results->asked && memcached_fatal(results->read.rc)) {
		state->lost = true;
	}
}

void shim_rename_results(struct shim_state *state)
{
	if (state->results) {
		state->results->n_prefix = state->n_prefix;
	}
}

static memcached_result_st *fetch_from(struct tower *tower, struct shim_state *state,
				       memcached_st *handle, memcached_result_st *result,
				       memcached_return_t *ret_rc)
{
	struct shim_results *results = state->results;

	if (result == NULL) {
		result = memcached_real.memcached_result_create(handle, NULL);
		if (result == NULL) {
			*ret_rc = MEMCACHED_MEMORY_ALLOCATION_FAILURE;
			return NULL;
		}
	}
	shim_collect_results(tower, state);
	result = next_result(results, result, ret_rc);
	if (result == NULL) {
		shim_drop_results(state);
	}
	return result;
}

/* What most fetches are: the next of what memory had.  Else NULL, and nothing has happened. */
INLINE static inline memcached_result_st *fetch_at_once(enum shim_call call,
							const memcached_st *handle,
							memcached_result_st *result,
							memcached_return_t *ret_rc)
{
	struct tower *tower = shim_at_once();
	const struct shim_state *state = tower ? shim_state_last(handle) : NULL;

	if (state == NULL || state->results == NULL || result == NULL ||
	    !state->results->collected || next_found(state->results, result) == NULL) {
		return NULL;
	}
	shim_count(tower, call);
	*ret_rc = MEMCACHED_SUCCESS;
	return result;
}

static memcached_result_st *fetch_result(enum shim_call call, memcached_st *handle,
					 memcached_result_st *result, memcached_return_t *ret_rc)
{
	struct shim_frame frame;
	struct tower *tower;
	struct shim_state *state;

	if (fetch_at_once(call, handle, result, ret_rc)) {
		return result;
	}
	tower = shim_begin_own(&frame, call, handle);
	state = tower ? shim_state_if_any(handle) : NULL;
	if (state && state->results) {
		result = fetch_from(tower, state, handle, result, ret_rc);
	} else {
		result = memcached_real.memcached_fetch_result(handle, result, ret_rc);
	}
	shim_end(&frame);
	return result;
}

SHIM_EXPORT memcached_result_st *memcached_fetch_result(memcached_st *handle,
							memcached_result_st *result,
							memcached_return_t *ret_rc)
{
	memcached_return_t unwanted = MEMCACHED_SUCCESS;

	return fetch_result(CALL_memcached_fetch_result, handle, result,
			    ret_rc ? ret_rc : &unwanted);
}

static void nothing_fetched(char *ret_key, size_t *ret_n_key, size_t *ret_n_value,
			    uint32_t *ret_flags)
{
	if (ret_n_value) {
		*ret_n_value = 0;
	}
	if (ret_n_key) {
		*ret_n_key = 0;
	}
	if (ret_flags) {
		*ret_flags = 0;
	}
	if (ret_key) {
		*ret_key = '\0';
	}
}

/* What the real memcached_fetch() does with a result; the key has no NUL there either. */
static char *hand_over(memcached_result_st *result, char *ret_key, size_t *ret_n_key,
		       size_t *ret_n_value, uint32_t *ret_flags)
{
	if (ret_n_value) {
		*ret_n_value = (size_t)(result->value.end - result->value.string);
	}
	if (ret_key) {
		/* So does the real one: after a NUL within the key it puts NULs only. */
		strncpy(ret_key, result->item_key, result->key_length);
		if (ret_n_key) {
			*ret_n_key = result->key_length;
		}
	}
	if (ret_flags) {
		*ret_flags = result->item_flags;
	}
	return memcached_real.memcached_result_take_value(result);
}

SHIM_EXPORT char *memcached_fetch(memcached_st *handle, char *ret_key, size_t *ret_n_key,
				  size_t *ret_n_value, uint32_t *ret_flags,
				  memcached_return_t *ret_rc)
{
	memcached_return_t unwanted = MEMCACHED_SUCCESS;
	memcached_return_t *rc = ret_rc ? ret_rc : &unwanted;
	struct shim_frame frame;
	struct tower *tower = shim_begin_own(&frame, CALL_memcached_fetch, handle);
	struct shim_state *state = tower ? shim_state_if_any(handle) : NULL;
	char *value = NULL;

	if (state && state->results) {
		if (fetch_from(tower, state, handle, &handle->result, rc)) {
			value = hand_over(&handle->result, ret_key, ret_n_key, ret_n_value,
					  ret_flags);
		} else {
			nothing_fetched(ret_key, ret_n_key, ret_n_value, ret_flags);
		}
	} else {
		value = memcached_real.memcached_fetch(handle, ret_key, ret_n_key, ret_n_value,
						       ret_flags, rc);
	}
	shim_end(&frame);
	return value;
}

/* False where a callback failed; as the real one, the others after it are not called. */
static bool call_back(memcached_st *handle, memcached_result_st *result,
		      memcached_execute_fn *callbacks, void *context, uint32_t n_callbacks)
{
	for (uint32_t i = 0; i < n_callbacks; i++) {
		unsigned paused = shim_pause();
		memcached_return_t rc = callbacks[i](handle, result, context);

		shim_resume(paused);
		if (memcached_failed(rc)) {
			shim_set_error(handle, rc);
			return false;
		}
	}
	return true;
}

SHIM_EXPORT memcached_return_t memcached_fetch_execute(memcached_st *handle,
						       memcached_execute_fn *callbacks,
						       void *context, uint32_t n_callbacks)
{
	struct shim_frame frame;
	struct tower *tower = shim_begin_own(&frame, CALL_memcached_fetch_execute, handle);
	struct shim_state *state = tower ? shim_state_if_any(handle) : NULL;
	memcached_return_t rc = MEMCACHED_SUCCESS;
	bool all_well = true;

	if (state == NULL || state->results == NULL) {
		rc = memcached_real.memcached_fetch_execute(handle, callbacks, context,
							    n_callbacks);
	} else {
		/* A callback may drop the results: then this was all. */
		while (state->results && fetch_from(tower, state, handle, &handle->result, &rc)) {
			all_well &=
				call_back(handle, &handle->result, callbacks, context, n_callbacks);
		}
		if (!all_well) {
			rc = MEMCACHED_SOME_ERRORS;
		} else if (memcached_success(rc)) {
			rc = MEMCACHED_SUCCESS;
		}
	}
	shim_end(&frame);
	return rc;
}
