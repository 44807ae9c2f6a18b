/* Operations that write. */
#include "tests/differential/worker.h"

#include <errno.h>

#define QUIET_MAX 100000 /* bytes that certainly fit */

/* What is left of an mget is dropped on the way to the answer, where there is one. */
static void wrote(struct worker *worker, struct handle *handle, memcached_return_t rc)
{
	record(worker, " -> %d", rc);
	record_errno(worker);
	handle->has_results &= !handle->st->flags.reply;
}

/*
 * Binary, and set not to wait for replies: memcached then answers errors only,
 * which libmemcached takes for the answer to the next question.
 */
static bool answers_errors_only(const struct handle *handle)
{
	return handle->st->flags.binary_protocol && !handle->st->flags.reply;
}

enum store { STORE_SET, STORE_ADD, STORE_REPLACE, STORE_APPEND, STORE_PREPEND, STORE_CAS };

static memcached_return_t store(memcached_st *st, enum store verb, struct text key,
				struct text value, time_t expiration, uint32_t flags, uint64_t cas)
{
	switch (verb) {
	case STORE_SET:
		return memcached_set(st, key.bytes, key.n, value.bytes, value.n, expiration, flags);
	case STORE_ADD:
		return memcached_add(st, key.bytes, key.n, value.bytes, value.n, expiration, flags);
	case STORE_REPLACE:
		return memcached_replace(st, key.bytes, key.n, value.bytes, value.n, expiration,
					 flags);
	case STORE_APPEND:
		return memcached_append(st, key.bytes, key.n, value.bytes, value.n, expiration,
					flags);
	case STORE_PREPEND:
		return memcached_prepend(st, key.bytes, key.n, value.bytes, value.n, expiration,
					 flags);
	default:
		return memcached_cas(st, key.bytes, key.n, value.bytes, value.n, expiration, flags,
				     cas);
	}
}

static memcached_return_t store_by_key(memcached_st *st, enum store verb, struct text group,
				       struct text key, struct text value, time_t expiration,
				       uint32_t flags, uint64_t cas)
{
	switch (verb) {
	case STORE_SET:
		return memcached_set_by_key(st, group.bytes, group.n, key.bytes, key.n, value.bytes,
					    value.n, expiration, flags);
	case STORE_ADD:
		return memcached_add_by_key(st, group.bytes, group.n, key.bytes, key.n, value.bytes,
					    value.n, expiration, flags);
	case STORE_REPLACE:
		return memcached_replace_by_key(st, group.bytes, group.n, key.bytes, key.n,
						value.bytes, value.n, expiration, flags);
	case STORE_APPEND:
		return memcached_append_by_key(st, group.bytes, group.n, key.bytes, key.n,
					       value.bytes, value.n, expiration, flags);
	case STORE_PREPEND:
		return memcached_prepend_by_key(st, group.bytes, group.n, key.bytes, key.n,
						value.bytes, value.n, expiration, flags);
	default:
		return memcached_cas_by_key(st, group.bytes, group.n, key.bytes, key.n, value.bytes,
					    value.n, expiration, flags, cas);
	}
}

void operate_store(struct worker *worker, struct handle *handle)
{
	static const char *const names[] = { "set", "add", "replace", "append", "prepend", "cas" };
	static const enum store verbs[] = { STORE_SET,	   STORE_SET,	 STORE_SET,	STORE_SET,
					    STORE_SET,	   STORE_SET,	 STORE_ADD,	STORE_ADD,
					    STORE_REPLACE, STORE_APPEND, STORE_PREPEND, STORE_CAS,
					    STORE_CAS };
	enum store verb = verbs[choose(worker, sizeof(verbs) / sizeof(verbs[0]))];
	struct text key = choose_key(worker, handle);
	struct text value = choose_value(worker);
	time_t expiration = choose_expiration(worker);
	uint32_t flags = choose_flags(worker);
	uint64_t cas = worker->seen_cas && chance(worker, 80) ? worker->seen_cas : worker->step + 1;
	bool by_key = chance(worker, 20);
	struct text group = choose_group(worker);

	if (answers_errors_only(handle)) {
		verb = STORE_SET;
		value.n %= QUIET_MAX;
	}
	record(worker, " %s%s", names[verb], by_key ? "_by_key" : "");
	record_key(worker, key);
	record(worker, " n=%zu expiration=%lld flags=%u", value.n, (long long)expiration, flags);
	record_group(worker, by_key, group);
	if (verb == STORE_CAS) {
		record(worker, " cas=%llu", (unsigned long long)cas);
	}
	errno = RECORD_ERRNO;
	wrote(worker, handle,
	      by_key ? store_by_key(handle->st, verb, group, key, value, expiration, flags, cas)
		     : store(handle->st, verb, key, value, expiration, flags, cas));
}

void operate_delete(struct worker *worker, struct handle *handle)
{
	struct text key = choose_key(worker, handle);
	time_t expiration = chance(worker, 95) ? 0 : choose_expiration(worker);
	bool by_key = chance(worker, 20);
	struct text group = choose_group(worker);

	record(worker, " delete%s", by_key ? "_by_key" : "");
	record_key(worker, key);
	record(worker, " expiration=%lld", (long long)expiration);
	record_group(worker, by_key, group);
	errno = RECORD_ERRNO;
	wrote(worker, handle,
	      by_key ? memcached_delete_by_key(handle->st, group.bytes, group.n, key.bytes, key.n,
					       expiration)
		     : memcached_delete(handle->st, key.bytes, key.n, expiration));
}

struct count {
	struct text key;
	struct text group;
	uint64_t offset;
	uint64_t initial;
	time_t expiration;
	bool by_key;
	bool down;
	bool with_initial;
};

static memcached_return_t count(memcached_st *st, const struct count *c, uint64_t *ret_value)
{
	const char *key = c->key.bytes;
	size_t n = c->key.n;

	if (c->with_initial) {
		return (c->down ? memcached_decrement_with_initial
				: memcached_increment_with_initial)(
			st, key, n, c->offset, c->initial, c->expiration, ret_value);
	}
	return (c->down ? memcached_decrement
			: memcached_increment)(st, key, n, (uint32_t)c->offset, ret_value);
}

static memcached_return_t count_by_key(memcached_st *st, const struct count *c, uint64_t *ret_value)
{
	const char *key = c->key.bytes;
	size_t n = c->key.n;

	if (c->with_initial) {
		return (c->down ? memcached_decrement_with_initial_by_key
				: memcached_increment_with_initial_by_key)(
			st, c->group.bytes, c->group.n, key, n, c->offset, c->initial,
			c->expiration, ret_value);
	}
	return (c->down ? memcached_decrement_by_key : memcached_increment_by_key)(
		st, c->group.bytes, c->group.n, key, n, c->offset, ret_value);
}

void operate_count(struct worker *worker, struct handle *handle)
{
	static const struct text counter = { "count", 5 };
	struct count c = {
		.key = chance(worker, 40) ? counter : choose_key(worker, handle),
		.group = choose_group(worker),
		.offset = chance(worker, 10) ? (UINT64_C(1) << 33) + choose(worker, 5)
					     : choose(worker, 100),
		.initial = choose(worker, 1000),
		.expiration = chance(worker, 20) ? (time_t)MEMCACHED_EXPIRATION_NOT_ADD
						 : choose_expiration(worker),
		.by_key = chance(worker, 20),
		.down = chance(worker, 50),
		.with_initial = chance(worker, 50) && !handle_encodes(handle),
	};
	uint64_t value = 77;
	uint64_t *ret_value = chance(worker, 5) ? NULL : &value;

	record(worker, " %s%s%s", c.down ? "decrement" : "increment",
	       c.with_initial ? "_with_initial" : "", c.by_key ? "_by_key" : "");
	record_key(worker, c.key);
	record(worker, " by=%llu initial=%llu expiration=%lld", (unsigned long long)c.offset,
	       (unsigned long long)c.initial, (long long)c.expiration);
	record_group(worker, c.by_key, c.group);
	errno = RECORD_ERRNO;
	wrote(worker, handle,
	      c.by_key ? count_by_key(handle->st, &c, ret_value)
		       : count(handle->st, &c, ret_value));
	record(worker, " value=%llu", (unsigned long long)value);
}

void operate_touch(struct worker *worker, struct handle *handle)
{
	struct text key = choose_key(worker, handle);
	time_t expiration = choose_expiration(worker);
	bool by_key = chance(worker, 20);
	struct text group = choose_group(worker);

	record(worker, " touch%s", by_key ? "_by_key" : "");
	record_key(worker, key);
	record(worker, " expiration=%lld", (long long)expiration);
	record_group(worker, by_key, group);
	errno = RECORD_ERRNO;
	wrote(worker, handle,
	      by_key ? memcached_touch_by_key(handle->st, group.bytes, group.n, key.bytes, key.n,
					      expiration)
		     : memcached_touch(handle->st, key.bytes, key.n, expiration));
}

/*
 * At once: one that is to come spares what was read meanwhile, by the time of the
 * last access, and what memory answers memcached does not see.
 */
void operate_flush(struct worker *worker, struct handle *handle)
{
	memcached_return_t rc;

	record(worker, " flush");
	errno = RECORD_ERRNO;
	rc = memcached_flush(handle->st, 0);
	if (memcached_failed(rc)) {
		/* It goes to all servers: errno depends on which of them were connected to before.
		 */
		errno = RECORD_ERRNO;
	}
	wrote(worker, handle, rc);
}
