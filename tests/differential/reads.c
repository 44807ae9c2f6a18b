/* Operations that read. */
#include "tests/differential/worker.h"

#include <errno.h>
#include <string.h>

#define MGET_MAX 12
#define CALLBACKS 2
#define LONGEST_KEY 250
#define ARRAY 16 /* more than MGET_MAX */
#define ALL 1000

#define UNTOUCHED 77

void operate_get(struct worker *worker, struct handle *handle)
{
	struct text key = choose_key(worker, handle);
	struct text group = choose_group(worker);
	bool by_key = chance(worker, 20);
	uint32_t without = choose(worker, 12); /* an out-parameter that is not asked for */
	memcached_return_t rc = MEMCACHED_MAXIMUM_RETURN;
	memcached_return_t *ret_rc = without == 0 ? NULL : &rc;
	uint32_t flags = UNTOUCHED;
	uint32_t *ret_flags = without == 1 ? NULL : &flags;
	size_t n = UNTOUCHED;
	size_t *ret_n = without == 2 ? NULL : &n;
	char *value;

	record(worker, " get%s", by_key ? "_by_key" : "");
	record_key(worker, key);
	record_group(worker, by_key, group);
	errno = RECORD_ERRNO;
	value = by_key ? memcached_get_by_key(handle->st, group.bytes, group.n, key.bytes, key.n,
					      ret_n, ret_flags, ret_rc)
		       : memcached_get(handle->st, key.bytes, key.n, ret_n, ret_flags, ret_rc);
	record(worker, " -> %d n=%zu flags=%u", rc, n, flags);
	if (value) {
		record_errno(worker);
	}
	if (without != 2) {
		record_value(worker, value, n, !handle->st->flags.binary_protocol);
	} else {
		record(worker, value ? " some" : " none");
	}
	handle_free_value(handle, value);
	handle->has_results = false;
}

void operate_exist(struct worker *worker, struct handle *handle)
{
	struct text key = choose_key(worker, handle);
	struct text group = choose_group(worker);
	bool by_key = chance(worker, 20);

	if (key.n == 0 || key.n > LONGEST_KEY ||
	    (!handle->st->flags.binary_protocol && memchr(key.bytes, ' ', key.n)) ||
	    (!handle->st->flags.binary_protocol && memchr(key.bytes, '\0', key.n))) {
		/* Nobody checks the key: two errors come back for one question. */
		key = (struct text){ "k0", 2 };
	}
	record(worker, " exist%s", by_key ? "_by_key" : "");
	record_key(worker, key);
	record_group(worker, by_key, group);
	errno = RECORD_ERRNO;
	record(worker, " -> %d",
	       by_key ? memcached_exist_by_key(handle->st, group.bytes, group.n, key.bytes, key.n)
		      : memcached_exist(handle->st, key.bytes, key.n));
	handle->has_results = false;
}

/* For a later memcached_cas(). */
static void note_cas(struct worker *worker, const struct handle *handle,
		     const memcached_result_st *result)
{
	if (memcached_result_cas(result) != 0 && !handle->is_unordered) {
		worker->seen_cas = memcached_result_cas(result);
	}
}

/* --- callbacks --- */

struct seen {
	struct worker *worker;
	struct handle *handle;
	unsigned n;
	bool fails;
	bool calls_others;
};

static void call_others(struct seen *seen)
{
	struct worker *worker = seen->worker;
	struct handle *other = handle_other(worker, seen->handle);
	memcached_return_t rc;
	uint32_t flags;
	size_t n;
	char *value;

	if (other == NULL) {
		return;
	}
	value = memcached_get(other->st, "k1", 2, &n, &flags, &rc);
	worker->is_stirred |= other->is_slow;
	record(worker, " <get %d", rc);
	record_value(worker, value, n, !other->st->flags.binary_protocol);
	handle_free_value(other, value);
	record(worker, " set %d>", memcached_set(other->st, "k2", 2, "inner", 5, 0, 5));
}

static memcached_return_t see(const memcached_st *st, memcached_result_st *result, void *context)
{
	struct seen *seen = context;

	(void)st;
	record_part(seen->worker);
	record_result(seen->worker, result);
	note_cas(seen->worker, seen->handle, result);
	if (seen->n++ == 0 && seen->calls_others) {
		call_others(seen);
	}
	return seen->fails && seen->n % 2 ? MEMCACHED_FAILURE : MEMCACHED_SUCCESS;
}

static memcached_return_t see_again(const memcached_st *st, memcached_result_st *result,
				    void *context)
{
	struct seen *seen = context;

	(void)st;
	record(seen->worker, " again(%zu)", memcached_result_key_length(result));
	return MEMCACHED_SUCCESS;
}

static memcached_execute_fn callbacks[CALLBACKS] = { see, see_again };

static struct seen choose_seen(struct worker *worker, struct handle *handle)
{
	return (struct seen){
		.worker = worker,
		.handle = handle,
		.fails = chance(worker, 20) && !handle->is_unordered,
		.calls_others = chance(worker, 10) && !handle->is_unordered,
	};
}

/* --- ways to fetch; each tells whether the end was reached --- */

static bool fetch_values(struct worker *worker, struct handle *handle, unsigned most)
{
	uint32_t without = choose(worker, 8);

	for (unsigned i = 0; i < most; i++) {
		memcached_return_t rc = MEMCACHED_MAXIMUM_RETURN;
		uint32_t flags = UNTOUCHED;
		size_t n_key = UNTOUCHED, n = UNTOUCHED;
		char key[WORKER_TEXT_MAX];
		char *value;

		memset(key, '#', sizeof(key));
		errno = RECORD_ERRNO;
		value = memcached_fetch(handle->st, without == 0 ? NULL : key,
					without == 1 ? NULL : &n_key, without == 2 ? NULL : &n,
					without == 3 ? NULL : &flags, &rc);
		record_part(worker);
		record(worker, " (%d n=%zu flags=%u", rc, n, flags);
		if (value) {
			record_errno(worker);
		}
		if (without > 1 && n_key < sizeof(key)) {
			record_key(worker, (struct text){ key, n_key });
			/* One byte behind: the key has no NUL there. */
			record(worker, "%c", key[n_key] == '#' ? '#' : '!');
		}
		if (without != 2) {
			record_value(worker, value, n, !handle->st->flags.binary_protocol);
		}
		record(worker, ")");
		handle_free_value(handle, value);
		if (value == NULL && rc != MEMCACHED_SUCCESS) {
			return true;
		}
	}
	return false;
}

static bool fetch_new_results(struct worker *worker, struct handle *handle, unsigned most)
{
	for (unsigned i = 0; i < most; i++) {
		memcached_return_t rc = MEMCACHED_MAXIMUM_RETURN;
		memcached_result_st *result = memcached_fetch_result(handle->st, NULL, &rc);

		record_part(worker);
		record(worker, " %d", rc);
		if (result == NULL) {
			return true;
		}
		record_result(worker, result);
		note_cas(worker, handle, result);
		memcached_result_free(result);
	}
	return false;
}

static bool fetch_into_one(struct worker *worker, struct handle *handle, unsigned most)
{
	memcached_result_st own;
	memcached_result_st *result = memcached_result_create(handle->st, &own);
	bool takes = chance(worker, 20);
	bool at_end = false;

	for (unsigned i = 0; i < most && !at_end; i++) {
		memcached_return_t rc = MEMCACHED_MAXIMUM_RETURN;
		memcached_result_st *got = memcached_fetch_result(handle->st, result, &rc);

		record_part(worker);
		record(worker, " %d", rc);
		at_end = got == NULL;
		if (got) {
			record_result(worker, got);
			note_cas(worker, handle, got);
			if (got != result) {
				record(worker, " another");
			}
		}
		if (got && takes) {
			char *value = memcached_result_take_value(got);

			record(worker, " taken%s", value ? "" : " NULL");
			handle_free_value(handle, value);
		}
	}
	memcached_result_free(&own);
	return at_end;
}

/* As pylibmc: all are read after the last fetch. */
static bool fetch_into_many(struct worker *worker, struct handle *handle, unsigned most)
{
	memcached_result_st results[ARRAY];
	unsigned n = 0;
	bool at_end = false;

	for (unsigned i = 0; i < ARRAY; i++) {
		memcached_result_create(handle->st, &results[i]);
	}
	while (n < ARRAY && n < most && !at_end) {
		memcached_return_t rc = MEMCACHED_MAXIMUM_RETURN;

		at_end = memcached_fetch_result(handle->st, &results[n], &rc) == NULL;
		record(worker, " %d", rc);
		n += at_end ? 0 : 1;
	}
	for (unsigned i = 0; i < n; i++) {
		record_part(worker);
		record_result(worker, &results[i]);
		note_cas(worker, handle, &results[i]);
	}
	for (unsigned i = 0; i < ARRAY; i++) {
		memcached_result_free(&results[i]);
	}
	return at_end;
}

/* As PHP: the library's own result, over and over. */
static bool fetch_reusing(struct worker *worker, struct handle *handle, unsigned most)
{
	memcached_result_st *result = NULL;

	for (unsigned i = 0; i < most; i++) {
		memcached_return_t rc = MEMCACHED_MAXIMUM_RETURN;
		memcached_result_st *got = memcached_fetch_result(handle->st, result, &rc);

		record_part(worker);
		record(worker, " %d", rc);
		if (got == NULL) {
			/* The library has freed it. */
			return true;
		}
		record_result(worker, got);
		note_cas(worker, handle, got);
		result = got;
	}
	memcached_result_free(result);
	return false;
}

static bool fetch_by_callbacks(struct worker *worker, struct handle *handle, unsigned most)
{
	struct seen seen = choose_seen(worker, handle);
	memcached_return_t rc = memcached_fetch_execute(handle->st, callbacks, &seen,
							1 + choose(worker, CALLBACKS));

	(void)most;
	record_part(worker);
	record(worker, " execute=%d", rc);
	return true;
}

void fetch_some(struct worker *worker, struct handle *handle, bool all)
{
	static const struct {
		const char *name;
		bool (*fetch)(struct worker *worker, struct handle *handle, unsigned most);
	} ways[] = { { "fetch", fetch_values },
		     { "fetch_result", fetch_new_results },
		     { "fetch_result own", fetch_into_one },
		     { "fetch_result many", fetch_into_many },
		     { "fetch_result again", fetch_reusing },
		     { "fetch_execute", fetch_by_callbacks } };
	size_t way = choose(worker, sizeof(ways) / sizeof(ways[0]));
	unsigned most = chance(worker, 75) ? ALL : choose(worker, 3);
	bool at_end;

	if (!handle->has_results && handle->st->flags.buffer_requests) {
		/* libmemcached would wait for the answers to what it has not sent. */
		record(worker, " fetch -");
		return;
	}
	record(worker, " %s", ways[way].name);
	record_parts_begin(worker);
	at_end = ways[way].fetch(worker, handle, all || handle->is_unordered ? ALL : most);
	record_parts_end(worker, handle->is_unordered);
	if (at_end) {
		handle->has_results = false;
	}
}

void operate_fetch(struct worker *worker, struct handle *handle)
{
	fetch_some(worker, handle, false);
}

/* --- many keys --- */

struct request {
	const char *keys[MGET_MAX];
	size_t lengths[MGET_MAX];
	size_t n;
	struct text group;
	bool by_key;
};

static void choose_request(struct worker *worker, struct handle *handle, struct request *request)
{
	request->n = choose(worker, 100) < 3 && !handle->has_results
			     ? 0
			     : 1 + choose(worker, chance(worker, 80) ? 5 : MGET_MAX);
	request->by_key = chance(worker, 20);
	request->group = choose_group(worker);
	for (size_t i = 0; i < request->n; i++) {
		struct text key = choose_key(worker, handle);

		if (i > 0 && chance(worker, 5)) {
			key = (struct text){ request->keys[0], request->lengths[0] };
		}
		request->keys[i] = key.bytes;
		request->lengths[i] = key.n;
		record_key(worker, key);
	}
	record_group(worker, request->by_key, request->group);
}

static memcached_return_t execute(struct worker *worker, struct handle *handle,
				  const struct request *request)
{
	struct seen seen = choose_seen(worker, handle);

	seen.calls_others = false;
	return request->by_key ? memcached_mget_execute_by_key(handle->st, request->group.bytes,
							       request->group.n, request->keys,
							       request->lengths, request->n,
							       callbacks, &seen, CALLBACKS)
			       : memcached_mget_execute(handle->st, request->keys, request->lengths,
							request->n, callbacks, &seen, CALLBACKS);
}

static memcached_return_t ask(struct handle *handle, const struct request *request)
{
	return request->by_key
		       ? memcached_mget_by_key(handle->st, request->group.bytes, request->group.n,
					       request->keys, request->lengths, request->n)
		       : memcached_mget(handle->st, request->keys, request->lengths, request->n);
}

/*
 * A request that memory answers in part is a smaller one for libmemcached, which
 * then speaks of a dead server where it would have been silent, and vice versa.
 */
void operate_mget(struct worker *worker, struct handle *handle)
{
	bool by_callbacks = chance(worker, 5);
	struct request request;
	memcached_return_t rc;

	if (handle->has_dead) {
		operate_get(worker, handle);
		return;
	}
	record(worker, by_callbacks ? " mget_execute" : " mget");
	choose_request(worker, handle, &request);
	/* Of several servers whichever answered first, which is up to the moment. */
	handle->is_unordered = handle->n_servers > 1 && !(request.by_key && request.group.n);
	record_parts_begin(worker);
	rc = by_callbacks ? execute(worker, handle, &request) : ask(handle, &request);
	record_parts_end(worker, handle->is_unordered);
	record(worker, " -> %d", rc);
	handle->has_results |= memcached_success(rc);
	/* The keys are the program's: it may change them now. */
	memset(worker->texts, 'z', sizeof(worker->texts));
	if (chance(worker, 10)) {
		/* As PHP: the demand for CAS ids holds from the moment of the mget. */
		memcached_behavior_set(handle->st, MEMCACHED_BEHAVIOR_SUPPORT_CAS,
				       !handle->st->flags.support_cas);
	}
	if (chance(worker, 70)) {
		fetch_some(worker, handle, false);
	}
}
