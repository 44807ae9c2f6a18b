/* Entry points that read one key: get and exist. */
#include "shim/item.h"

#include "base/likely.h"
#include "core/peek.h"

/* Why a read must go to the real function as it is, or REASON_none. */
static enum shim_reason prepare(const struct tower *tower, struct shim_state *state,
				const struct memcached_read *read, const char *key, size_t n_key,
				struct shim_key *ret_key)
{
	enum shim_reason reason;

	ret_key->server = 0;
	if (state == NULL) {
		return REASON_handles;
	}
	reason = shim_item_read(state, read->handle, read->group, read->n_group, key, n_key,
				ret_key);
	if (state->buffered) {
		/* What else the real call sends, only libmemcached knows. */
		return REASON_buffered;
	}
	return shim_has_unread(state, read->handle) ? REASON_unread
						    : shim_unless_off(tower, read->handle, reason);
}

/*
 * A real read sends what was buffered for these servers, drops what was unread, and waits
 * for an answer.
 */
static void after_real_read(struct tower *tower, struct shim_state *state,
			    const struct memcached_read *read, uint64_t servers)
{
	memcached_return_t rc = read->rc;

	if (state && read->handle && memcached_outcome(read->handle, rc) != LAYER_UNSENT) {
		shim_drop_results(state);
		shim_sent(state, servers);
		if (rc == MEMCACHED_BUFFERED) {
			state->buffered = SHIM_ANY_SERVER;
		}
		state->unread = false;
	}
	if (rc == MEMCACHED_SUCCESS || rc == MEMCACHED_NOTFOUND) {
		shim_answered(tower, state);
	} else if (state && memcached_fatal(rc)) {
		state->lost = true;
	}
}

struct real_get {
	struct memcached_read *read;
	const char *key;
	size_t n_key;
	char *value;
};

static enum layer_outcome call_real_get(void *arg)
{
	struct real_get *get = arg;

	get->value = memcached_get_real(get->read, get->key, get->n_key);
	return get->read->rc == MEMCACHED_BUFFERED ? LAYER_UNCERTAIN : LAYER_DROPPED;
}

/* The id is in the handle's own result; without it a cas would always fail. */
static bool wants_cas(const memcached_st *handle)
{
	return handle->flags.support_cas;
}

/* A hit above or below memcached leaves the handle as if libmemcached had got the value. */
static void leave_handle(memcached_st *handle, const char *key, size_t n_key,
			 const struct layer_item *item, bool counted_already)
{
	shim_succeeded(handle, counted_already);
	shim_got(handle, key, n_key, item);
}

/*
 * The walk.  A get-failure trigger stores a value from inside the real get, so
 * it is let go only where every layer has missed, and as a write.
 */
static char *walk(struct tower *tower, struct shim_state *state, struct memcached_read *read,
		  struct layer_item *item, const char *program_key, size_t n_key)
{
	memcached_st *handle = read->handle;
	memcached_trigger_key_fn trigger = handle->get_key_failure;
	uint64_t query_id = handle->query_id;
	struct layer_batch batch = {
		.items = item,
		.n_items = 1,
		.want_cas = wants_cas(handle),
		.allocator = state->allocator,
		.program = read,
	};

	handle->get_key_failure = NULL;
	tower_read_begin(tower, &batch);
	tower_read_end(tower, &batch);
	handle->get_key_failure = trigger;
	if (handle->query_id != query_id) {
		after_real_read(tower, state, read, SHIM_AWAITED);
	}
	if (read->strayed) {
		shim_is_out_of_step(state);
	}
	if (item->answer == LAYER_HIT) {
		if (item->layer != tower->authority) {
			leave_handle(handle, program_key, n_key, item,
				     handle->query_id != query_id);
			read->rc = MEMCACHED_SUCCESS;
			*read->ret_n_value = item->n_value;
			*read->ret_flags = item->flags;
		}
		return item->value;
	}
	if (trigger && read->rc == MEMCACHED_NOTFOUND) {
		struct real_get get = { read, program_key, n_key, NULL };

		/* For the program this is the same get. */
		handle->query_id = query_id;

		tower_change(tower, &item->key, 0, call_real_get, &get, &state->doubts);
		/* The trigger's own write may wait for the next question. */
		if (read->rc == MEMCACHED_BUFFERED) {
			state->buffered = SHIM_ANY_SERVER;
		}
		return get.value;
	}
	return item->value;
}

static char *get_prepared(struct tower *tower, enum shim_call call, struct memcached_read *read,
			  const char *key, size_t n_key)
{
	struct shim_state *state = shim_state(tower, read->handle);
	struct shim_key at;
	enum shim_reason reason = prepare(tower, state, read, key, n_key, &at);
	char *value;

	if (reason == REASON_none) {
		struct layer_item item = { .key = at.key };

		shim_drop_results(state);
		value = walk(tower, state, read, &item, key, n_key);
		shim_served_items(tower, call, &item, 1);
		return value;
	}
	shim_passed(tower, call, read->handle, state, reason);
	shim_served(tower, call, STATS_READ_PASSED, 1);
	value = memcached_get_real(read, key, reason == REASON_namespace ? SHIM_TOO_LONG : n_key);
	after_real_read(tower, state, read, shim_asked(&at) | SHIM_AWAITED);
	shim_fell_out_of_step(state, read->handle, reason, key, n_key, read->rc,
			      read->rc == MEMCACHED_NOTFOUND);
	return value;
}

static memcached_return_t real_exist(const struct memcached_read *read, const char *key,
				     size_t n_key)
{
	return read->by_key ? memcached_real.memcached_exist_by_key(read->handle, read->group,
								    read->n_group, key, n_key)
			    : memcached_real.memcached_exist(read->handle, key, n_key);
}

/* Only exist takes keys of any length: another call says that this one is too long. */
static memcached_return_t refuse_exist(const struct memcached_read *read, const char *key,
				       size_t n_key)
{
	return memcached_real.memcached_touch_by_key(read->handle, key, n_key, key, SHIM_TOO_LONG,
						     0);
}

static void walk_exist(struct tower *tower, enum shim_call call, const struct shim_state *state,
		       struct memcached_read *read, const struct shim_key *key)
{
	memcached_st *handle = read->handle;
	uint64_t query_id = handle->query_id;
	struct layer_item item = { .key = key->key };
	struct layer_batch batch = {
		.items = &item,
		.n_items = 1,
		.probe = true,
		.allocator = state->allocator,
		.program = read,
	};

	tower_read_begin(tower, &batch);
	tower_read_end(tower, &batch);
	shim_served_items(tower, call, &item, 1);
	state->allocator.free(handle, item.value);
	if (item.answer == LAYER_HIT && item.layer != tower->authority) {
		shim_succeeded(handle, handle->query_id != query_id);
		read->rc = MEMCACHED_SUCCESS;
	}
}

static memcached_return_t shim_exist(enum shim_call call, struct memcached_read *read,
				     const char *key, size_t n_key)
{
	struct shim_frame frame;
	struct tower *tower = shim_begin_own(&frame, call, read->handle);
	struct shim_state *state;
	struct shim_key item;
	enum shim_reason reason;

	if (tower == NULL) {
		return real_exist(read, key, n_key);
	}
	shim_served(tower, call, STATS_READ_ASKED, 1);
	state = read->handle ? shim_state(tower, read->handle) : NULL;
	reason = prepare(tower, state, read, key, n_key, &item);
	if (reason == REASON_none && read->by_key) {
		/* Unlike a get, it takes an empty group key for one. */
		reason = shim_item(state, read->handle, read->group, read->n_group, key, n_key,
				   &item);
	}
	if (reason == REASON_none) {
		shim_drop_results(state);
		walk_exist(tower, call, state, read, &item);
	} else {
		shim_passed(tower, call, read->handle, state, reason);
		shim_served(tower, call, STATS_READ_PASSED, 1);
		read->rc = reason == REASON_namespace ? refuse_exist(read, key, n_key)
						      : real_exist(read, key, n_key);
		after_real_read(tower, state, read, shim_asked(&item));
		shim_fell_out_of_step(state, read->handle, reason, key, n_key, read->rc,
				      read->rc == MEMCACHED_NOTFOUND);
	}
	shim_end(&frame);
	return read->rc;
}

/* A get as the program wrote it; group is NULL without a master key. */
struct get {
	enum shim_call call;
	memcached_st *handle;
	const char *group;
	size_t n_group;
	const char *key;
	size_t n_key;
	size_t *ret_n_value; /* these three may be NULL */
	uint32_t *ret_flags;
	memcached_return_t *ret_rc;
};

/* What is known of a get that was not a hit at once. */
struct looked {
	struct shim_state *state;
	struct shim_key at;
	struct layer_item item; /* MISS: memory was asked; else nothing here is set */
};

/*
 * Who the item is as far as memory must know.  In text whether the key means itself is asked
 * after memory, which has nothing under the place of one that does not.
 */
INLINE static inline bool item_at_once(const struct shim_state *state, const struct get *get,
				       struct shim_key *ret)
{
	if (unlikely(!state->direct)) {
		return shim_item_read(state, get->handle, get->group, get->n_group, get->key,
				      get->n_key, ret) == REASON_none;
	}
	return unlikely(get->handle->flags.binary_protocol)
		       ? shim_item_direct(state, get->key, get->n_key, &ret->key)
		       : shim_item_known(state, get->key, get->n_key, &ret->key);
}

/* What most gets are: a hit in memory, with nothing else to be done.  Else nothing has happened. */
INLINE static inline bool get_at_once(const struct get *get, struct looked *looked)
{
	memcached_st *handle = get->handle;
	struct tower *tower = shim_at_once();
	struct layer_item *item = &looked->item;
	struct shim_state *state = tower ? shim_state_at_once(handle) : NULL;

	looked->state = state;
	item->answer = LAYER_UNASKED;
	if (unlikely(state == NULL) || !item_at_once(state, get, &looked->at)) {
		return false;
	}
	if (!likely(tower_peek(tower, &looked->at.key, wants_cas(handle), &state->allocator,
			       item))) {
		if (state->direct && !shim_is_plain(get->key, get->n_key)) {
			/* Nobody else may be asked for it like that. */
			item->answer = LAYER_UNASKED;
		}
		return false;
	}
	shim_count(tower, get->call);
	leave_handle(handle, get->key, get->n_key, item, false);
	if (get->ret_n_value) {
		*get->ret_n_value = item->n_value;
	}
	if (get->ret_flags) {
		*get->ret_flags = item->flags;
	}
	if (get->ret_rc) {
		*get->ret_rc = MEMCACHED_SUCCESS;
	}
	return true;
}

static char *get_framed(const struct get *get, struct memcached_read *read,
			const struct looked *looked)
{
	struct shim_frame frame;
	struct tower *tower = shim_begin_own(&frame, get->call, get->handle);
	char *value;

	if (tower) {
		shim_served(tower, get->call, STATS_READ_ASKED, 1);
	}
	if (tower == NULL || get->handle == NULL) {
		value = memcached_get_real(read, get->key, get->n_key);
	} else if (looked->item.answer == LAYER_MISS) {
		struct layer_item item = {
			.key = looked->at.key,
			.slot = looked->item.slot,
			.answer = LAYER_MISS,
		};

		value = walk(tower, looked->state, read, &item, get->key, get->n_key);
		shim_served_items(tower, get->call, &item, 1);
	} else {
		value = get_prepared(tower, get->call, read, get->key, get->n_key);
	}
	shim_end(&frame);
	return value;
}

__attribute__((noinline)) static char *get_through(const struct get *get, bool by_key,
						   const struct looked *looked)
{
	/* Where the program does not want an answer, the real call still writes it somewhere. */
	size_t n_value = 0;
	uint32_t flags = 0;
	struct memcached_read read = {
		.handle = get->handle,
		.by_key = by_key,
		.group = get->group,
		.n_group = get->n_group,
		.ret_n_value = get->ret_n_value ? get->ret_n_value : &n_value,
		.ret_flags = get->ret_flags ? get->ret_flags : &flags,
	};
	char *value = get_framed(get, &read, looked);

	if (get->ret_rc) {
		*get->ret_rc = read.rc;
	}
	return value;
}

INLINE static inline char *get(struct get get, bool by_key)
{
	struct looked looked;
	struct get further;

	if (likely(get_at_once(&get, &looked))) {
		return looked.item.value;
	}
	/* A copy, so that a hit need not have it in memory. */
	further = get;
	return get_through(&further, by_key, &looked);
}

SHIM_EXPORT char *memcached_get(memcached_st *handle, const char *key, size_t n_key,
				size_t *ret_n_value, uint32_t *ret_flags,
				memcached_return_t *ret_rc)
{
	return get((struct get){ CALL_memcached_get, handle, NULL, 0, key, n_key, ret_n_value,
				 ret_flags, ret_rc },
		   false);
}

SHIM_EXPORT char *memcached_get_by_key(memcached_st *handle, const char *group, size_t n_group,
				       const char *key, size_t n_key, size_t *ret_n_value,
				       uint32_t *ret_flags, memcached_return_t *ret_rc)
{
	return get((struct get){ CALL_memcached_get_by_key, handle, group, n_group, key, n_key,
				 ret_n_value, ret_flags, ret_rc },
		   true);
}

SHIM_EXPORT memcached_return_t memcached_exist(memcached_st *handle, const char *key, size_t n_key)
{
	struct memcached_read read = { .handle = handle };

	return shim_exist(CALL_memcached_exist, &read, key, n_key);
}

SHIM_EXPORT memcached_return_t memcached_exist_by_key(memcached_st *handle, const char *group,
						      size_t n_group, const char *key, size_t n_key)
{
	struct memcached_read read = {
		.handle = handle,
		.by_key = true,
		.group = group,
		.n_group = n_group,
	};

	return shim_exist(CALL_memcached_exist_by_key, &read, key, n_key);
}
