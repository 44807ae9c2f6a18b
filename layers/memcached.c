#include "layers/memcached.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "layers/probes.h"

struct memcached_real memcached_real;

struct layer {
	struct layer_counters **counters;
};

/* --- reading --- */

static const char *program_key(const struct layer_item *item)
{
	return item->key.wire + item->key.n_prefix;
}

static size_t program_key_length(const struct layer_item *item)
{
	return item->key.n_wire - item->key.n_prefix;
}

static bool wants_cas(const memcached_st *handle)
{
	return handle->flags.support_cas || handle->flags.binary_protocol;
}

static void count(struct layer *layer, const struct layer_item *item, memcached_return_t rc)
{
	struct layer_counters *counters = *layer->counters;

	if (item->answer == LAYER_HIT) {
		probe_hit(PROBE_MEMCACHED, &item->key, item->n_value);
		counter_add(&counters->hits, 1);
	} else if (item->answer == LAYER_MISS) {
		probe_miss(PROBE_MEMCACHED, &item->key);
		counter_add(&counters->misses, 1);
	} else {
		counter_add(&counters->errors, 1);
		if (rc == MEMCACHED_TIMEOUT) {
			counter_add(&counters->timeouts, 1);
		}
	}
}

char *memcached_get_real(struct memcached_read *read, const char *key, size_t n_key)
{
	return read->by_key
		       ? memcached_real.memcached_get_by_key(
				 read->handle, read->group, read->n_group, key, n_key,
				 read->ret_n_value, read->ret_flags, &read->rc)
		       : memcached_real.memcached_get(read->handle, key, n_key, read->ret_n_value,
						      read->ret_flags, &read->rc);
}

/* Libmemcached takes for the answer whatever comes next, also the one to an earlier call. */
static bool is_for_another(const memcached_st *handle, const char *key, size_t n_key)
{
	return handle->result.key_length != n_key ||
	       memcmp(handle->result.item_key, key, n_key) != 0;
}

/* One get: the value is the program's already, its allocator is the batch's. */
static void get_one(struct layer *layer, struct layer_batch *batch)
{
	struct memcached_read *read = batch->program;
	struct layer_item *item = &batch->items[0];
	const char *key = program_key(item);
	size_t n_key = program_key_length(item);

	if (batch->probe) {
		read->rc = read->by_key
				   ? memcached_real.memcached_exist_by_key(
					     read->handle, read->group, read->n_group, key, n_key)
				   : memcached_real.memcached_exist(read->handle, key, n_key);
	} else {
		item->value = memcached_get_real(read, key, n_key);
	}
	item->answer = LAYER_DOWN;
	if (read->rc == MEMCACHED_SUCCESS) {
		item->answer = LAYER_HIT;
		item->n_value = batch->probe ? 0 : *read->ret_n_value;
		item->flags = batch->probe ? 0 : *read->ret_flags;
		item->deadline_ns = CLOCK_NEVER;
		item->has_cas = wants_cas(read->handle);
		item->cas = read->handle->result.item_cas;
		if (!batch->probe && is_for_another(read->handle, key, n_key)) {
			read->strayed = true;
			item->slot = LAYER_SLOT_BUSY;
		}
		batch->n_hits++;
	} else if (read->rc == MEMCACHED_NOTFOUND) {
		item->answer = LAYER_MISS;
	}
	count(layer, item, read->rc);
}

static bool is_asked(const memcached_st *handle, uint32_t server)
{
	return memcached_real.memcached_server_response_count(
		       memcached_real.memcached_server_instance_by_position(handle, server)) > 0;
}

/* In text a server that cannot be reached is no error of an mget that reaches others. */
static bool has_passed_over(const struct memcached_read *read, const char *const *keys,
			    const size_t *lengths, size_t n)
{
	const memcached_st *handle = read->handle;
	uint32_t n_asked = 0;

	if (handle->number_of_hosts < 2 || read->by_key) {
		return false;
	}
	while (n_asked < handle->number_of_hosts && is_asked(handle, n_asked)) {
		n_asked++;
	}
	for (size_t i = 0; n_asked < handle->number_of_hosts && i < n; i++) {
		if (!is_asked(handle, memcached_real.memcached_generate_hash(handle, keys[i],
									     lengths[i]))) {
			return true;
		}
	}
	return false;
}

static bool memcached_submit(struct layer *layer, struct layer_batch *batch)
{
	struct memcached_read *read = batch->program;
	size_t n = batch->n_items - batch->n_hits;
	const char **keys;
	size_t *lengths;

	if (!read->multiple) {
		return true;
	}
	keys = malloc(n * sizeof(*keys) + n * sizeof(*lengths));
	if (keys == NULL) {
		read->unasked = true;
		return false;
	}
	lengths = (size_t *)(keys + n);
	n = 0;
	for (size_t i = 0; i < batch->n_items; i++) {
		if (batch->items[i].answer != LAYER_HIT) {
			keys[n] = program_key(&batch->items[i]);
			lengths[n++] = program_key_length(&batch->items[i]);
		}
	}
	read->rc = read->by_key
			   ? memcached_real.memcached_mget_by_key(read->handle, read->group,
								  read->n_group, keys, lengths, n)
			   : memcached_real.memcached_mget(read->handle, keys, lengths, n);
	read->partial = read->rc == MEMCACHED_SOME_ERRORS ||
			(read->rc == MEMCACHED_SUCCESS && has_passed_over(read, keys, lengths, n));
	free(keys);
	if (read->rc == MEMCACHED_SUCCESS || read->partial) {
		return true;
	}
	counter_add(&(*layer->counters)->errors, 1);
	return false;
}

static bool is_of(const struct layer_item *item, const memcached_result_st *result)
{
	return item->answer != LAYER_HIT && program_key_length(item) == result->key_length &&
	       memcmp(program_key(item), result->item_key, result->key_length) == 0;
}

/*
 * The item that a result answers: the next one with its key, seen from the
 * last.  One server answers in the order of the request, so this is one step;
 * several take turns, each in order.
 */
static struct layer_item *item_of(struct layer_batch *batch, const memcached_result_st *result,
				  size_t *cursor)
{
	size_t at = *cursor;

	for (size_t i = 0; i < batch->n_items; i++, at++) {
		at = at < batch->n_items ? at : 0;
		if (is_of(&batch->items[at], result)) {
			*cursor = at + 1;
			return &batch->items[at];
		}
	}
	return NULL;
}

static bool take_result(struct layer_batch *batch, struct layer_item *item,
			const memcached_result_st *result)
{
	const struct memcached_read *read = batch->program;
	size_t n = (size_t)(result->value.end - result->value.string);

	item->value = NULL;
	if (n) {
		item->value = batch->allocator.alloc(batch->allocator.owner, n + 1);
		if (item->value == NULL) {
			return false;
		}
		memcpy(item->value, result->value.string, n);
		item->value[n] = '\0';
	}
	item->n_value = n;
	item->flags = result->item_flags;
	item->cas = result->item_cas;
	item->has_cas = batch->want_cas || read->handle->flags.binary_protocol;
	item->deadline_ns = CLOCK_NEVER;
	item->answer = LAYER_HIT;
	batch->n_hits++;
	return true;
}

static void collect(struct layer_batch *batch)
{
	struct memcached_read *read = batch->program;
	memcached_result_st result;
	size_t cursor = 0;
	size_t n_bytes = 0;

	memcached_real.memcached_result_create(read->handle, &result);
	while (memcached_real.memcached_fetch_result(read->handle, &result, &read->rc)) {
		struct layer_item *item = item_of(batch, &result, &cursor);

		if (item == NULL) {
			continue;
		}
		if (!take_result(batch, item, &result)) {
			read->rc = MEMCACHED_MEMORY_ALLOCATION_FAILURE;
			break;
		}
		n_bytes += item->n_value;
		if (n_bytes >= read->max_bytes) {
			read->unread = true;
			break;
		}
	}
	memcached_real.memcached_result_free(&result);
}

static void memcached_get_batch(struct layer *layer, struct layer_batch *batch)
{
	struct memcached_read *read = batch->program;
	bool complete;

	if (!read->multiple) {
		get_one(layer, batch);
		return;
	}
	for (size_t i = 0; i < batch->n_items; i++) {
		if (batch->items[i].answer != LAYER_HIT) {
			batch->items[i].answer = LAYER_UNASKED;
		}
	}
	collect(batch);
	complete = !read->unread && !read->partial &&
		   (read->rc == MEMCACHED_END || read->rc == MEMCACHED_NOTFOUND);
	for (size_t i = 0; i < batch->n_items; i++) {
		struct layer_item *item = &batch->items[i];

		if (item->answer == LAYER_UNASKED) {
			item->answer = complete ? LAYER_MISS : LAYER_DOWN;
			count(layer, item, read->rc);
		} else if (item->layer == UINT8_MAX) {
			count(layer, item, read->rc);
		}
	}
}

/* --- writing --- */

enum layer_outcome memcached_outcome(const memcached_st *handle, memcached_return_t rc)
{
	switch (rc) {
	case MEMCACHED_SUCCESS:
		return handle->flags.reply ? LAYER_DONE : LAYER_UNCERTAIN;
	case MEMCACHED_NOTSTORED:
	case MEMCACHED_NOTFOUND:
	case MEMCACHED_DATA_EXISTS:
		return LAYER_REFUSED;
	case MEMCACHED_AUTH_FAILURE:
	case MEMCACHED_AUTH_PROBLEM:
	case MEMCACHED_E2BIG:
	case MEMCACHED_ERROR:
	case MEMCACHED_CLIENT_ERROR:
	case MEMCACHED_SERVER_ERROR:
	case MEMCACHED_SERVER_MEMORY_ALLOCATION_FAILURE:
		return LAYER_DROPPED;
	case MEMCACHED_BAD_KEY_PROVIDED:
	case MEMCACHED_INVALID_ARGUMENTS:
	case MEMCACHED_KEY_TOO_BIG:
	case MEMCACHED_NO_SERVERS:
	case MEMCACHED_NOT_SUPPORTED:
	case MEMCACHED_SERVER_MARKED_DEAD:
	case MEMCACHED_SERVER_TEMPORARILY_DISABLED:
		return LAYER_UNSENT;
	default:
		return LAYER_UNCERTAIN;
	}
}

/* Refused because nothing is there, and not because something is. */
static bool is_absent(const struct layer_write *write, memcached_return_t rc)
{
	return rc == MEMCACHED_NOTFOUND || (rc == MEMCACHED_NOTSTORED && write->verb != LAYER_ADD);
}

static bool is_count(const struct layer_write *write)
{
	return write->verb == LAYER_INCREMENT || write->verb == LAYER_DECREMENT;
}

/* Counting what is no number changes nothing; other errors of the client's may be of anything. */
static bool is_no_number(const struct memcached_call *call)
{
	const char *message = call->rc == MEMCACHED_CLIENT_ERROR
				      ? memcached_real.memcached_last_error_message(call->handle)
				      : NULL;

	return message && strstr(message, "non-numeric");
}

static enum layer_outcome outcome_of(const struct layer_write *write,
				     const struct memcached_call *call)
{
	return is_count(write) && is_no_number(call) ? LAYER_REFUSED
						     : memcached_outcome(call->handle, call->rc);
}

/* The call once, with the counter where we can read it. */
static void perform_once(struct layer_write *write, struct memcached_call *call)
{
	bool counts = is_count(write);
	uint64_t *counter = call->counter;
	time_t expiration = call->expiration;

	if (write->again) {
		/* For the program this is the same call. */
		call->handle->query_id--;
	}
	if (counts && counter == NULL) {
		call->counter = &write->number;
	}
	if (write->no_create) {
		call->expiration = (time_t)MEMCACHED_EXPIRATION_NOT_ADD;
	}
	memcached_perform(write->verb, call);
	if (counts && counter) {
		write->number = *counter;
	}
	call->counter = counter;
	call->expiration = expiration;
}

static void memcached_write(struct layer *layer, struct layer_write *write)
{
	struct memcached_call *call = write->program;

	if (write->capped) {
		call->expiration = (time_t)write->exptime;
	}
	perform_once(write, call);
	write->outcome = outcome_of(write, call);
	write->absent = write->outcome == LAYER_REFUSED && is_absent(write, call->rc);
	if (write->outcome == LAYER_DONE && write->verb <= LAYER_CAS) {
		counter_add(&(*layer->counters)->fills, 1);
	}
	if (write->outcome == LAYER_UNCERTAIN && call->rc != MEMCACHED_SUCCESS &&
	    call->rc != MEMCACHED_BUFFERED) {
		counter_add(&(*layer->counters)->errors, 1);
		if (call->rc == MEMCACHED_TIMEOUT) {
			counter_add(&(*layer->counters)->timeouts, 1);
		}
	}
}

/* --- putting back --- */

/* Whose program it is: that of the read, or of the write. */
struct target {
	memcached_st *handle;
	bool by_key;
	const char *group;
	size_t n_group;
};

static struct target target_of(const struct layer_batch *batch, const struct layer_write *write)
{
	if (batch) {
		const struct memcached_read *read = batch->program;

		return (struct target){ read->handle, read->by_key, read->group, read->n_group };
	}
	const struct memcached_call *call = write->program;

	return (struct target){ call->handle, call->by_key, call->group, call->n_group };
}

/* Where the answer comes at once and is the call's own. */
static bool answers(const struct layer_batch *batch, const struct target *to)
{
	const struct memcached_read *read = batch ? batch->program : NULL;

	return to->handle->flags.reply && !to->handle->flags.buffer_requests &&
	       !to->handle->flags.use_udp && !(to->by_key && to->group == NULL) &&
	       !(read && read->unread);
}

static bool memcached_put_back(struct layer *layer, const struct layer_batch *batch,
			       const struct layer_write *write, const struct layer_item *item,
			       int64_t exptime)
{
	struct target to = target_of(batch, write);
	uint64_t query_id = to.handle->query_id;
	const char *key = program_key(item);
	size_t n_key = program_key_length(item);
	const char *value = item->n_value ? item->value : "";
	memcached_return_t rc;

	if (!answers(batch, &to)) {
		return false;
	}
	rc = to.by_key ? memcached_real.memcached_add_by_key(to.handle, to.group, to.n_group, key,
							     n_key, value, item->n_value,
							     (time_t)exptime, item->flags)
		       : memcached_real.memcached_add(to.handle, key, n_key, value, item->n_value,
						      (time_t)exptime, item->flags);
	/* For the program it was no call. */
	to.handle->query_id = query_id;
	if (rc == MEMCACHED_SUCCESS) {
		probe_fill(PROBE_MEMCACHED, &item->key, item->n_value);
	}
	counter_add(rc == MEMCACHED_SUCCESS ? &(*layer->counters)->fills
					    : &(*layer->counters)->rejected,
		    1);
	return rc == MEMCACHED_SUCCESS;
}

/*
 * By the function with a group: the other one calls it through its PLT, and there it would
 * be taken for a write of the program's.  Nor is it one for the program's own trigger.
 */
static void memcached_take_back(struct layer *layer, const struct layer_batch *batch,
				const struct layer_write *write, const struct layer_item *item)
{
	struct target to = target_of(batch, write);
	memcached_trigger_delete_key_fn trigger = to.handle->delete_trigger;
	uint64_t query_id = to.handle->query_id;
	const char *key = program_key(item);
	size_t n_key = program_key_length(item);

	if (!answers(batch, &to)) {
		return;
	}
	to.handle->delete_trigger = NULL;
	memcached_real.memcached_delete_by_key(to.handle, to.by_key ? to.group : key,
					       to.by_key ? to.n_group : n_key, key, n_key, 0);
	to.handle->delete_trigger = trigger;
	to.handle->query_id = query_id;
	probe_invalidate(PROBE_MEMCACHED, &item->key);
	counter_add(&(*layer->counters)->invalidated, 1);
}

struct layer *memcached_open(struct layer_counters **counters)
{
	struct layer *layer = calloc(1, sizeof(*layer));

	if (layer) {
		layer->counters = counters;
	}
	return layer;
}

static void memcached_close(struct layer **layer)
{
	free(*layer);
	*layer = NULL;
}

const struct layer_ops memcached_ops = {
	.name = "memcached",
	.capabilities = LAYER_AUTHORITY,
	.get = memcached_get_batch,
	.submit = memcached_submit,
	.write = memcached_write,
	.put_back = memcached_put_back,
	.take_back = memcached_take_back,
	.close = memcached_close,
};
