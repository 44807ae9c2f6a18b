/*
 * One big memcached: calls over more than a small memcached holds.
 *
 * Everything that a program can see must be as with a memcached that has room:
 * values, flags, counters, what is missing, when it ends.  Left out is what nobody
 * promises of keys that memcached has lost (docs/DEEP-TIER.md): writes that are
 * not confirmed, CAS ids from before memcached lost the key.  Ids themselves
 * differ, because what goes back into memcached gets a new one.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tests/differential/differential.h"
#include "tests/differential/worker.h"

#define KEYS 2500
#define HOT_KEYS 300 /* asked for again before memcached has lost them */
#define COUNTERS 600
#define MGET_MAX 40
#define VALUE_MAX 5000
#define PIECE_MAX 60

enum { BIG_TEXT, BIG_CAS, BIG_BINARY, BIG_HANDLES };

static void open_handle(struct worker *worker, unsigned kind)
{
	struct handle *handle = &worker->handles[kind];

	handle->st = memcached_create(NULL);
	memcached_server_add_unix_socket(handle->st, DIFFERENTIAL_SERVER_1);
	memcached_server_add_unix_socket(handle->st, DIFFERENTIAL_SERVER_2);
	memcached_behavior_set(handle->st, MEMCACHED_BEHAVIOR_BINARY_PROTOCOL, kind == BIG_BINARY);
	memcached_behavior_set(handle->st, MEMCACHED_BEHAVIOR_SUPPORT_CAS, kind == BIG_CAS);
}

static struct text key_of(struct worker *worker, const char *kind, unsigned number)
{
	char *buffer = worker->texts[worker->n_texts++ % WORKER_TEXTS];

	return (struct text){ buffer,
			      (size_t)snprintf(buffer, WORKER_TEXT_MAX, "%s%u", kind, number) };
}

static unsigned any_number(struct worker *worker)
{
	return choose(worker, chance(worker, 40) ? HOT_KEYS : KEYS);
}

static struct text any_key(struct worker *worker)
{
	return key_of(worker, "k", any_number(worker));
}

static struct text any_value(struct worker *worker, size_t n_max)
{
	size_t n = choose(worker, 100) < 5 ? 0 : choose(worker, (uint32_t)n_max);

	memset(worker->value, 'a' + (int)choose(worker, 26), n);
	if (n > 8) {
		snprintf(worker->value, 8, "%07u", choose(worker, 10000000));
		worker->value[n / 2] = (char)choose(worker, 256);
	}
	return (struct text){ worker->value, n };
}

/* Ends between two moments of the clock, at none of which anybody looks. */
static time_t any_expiration(struct worker *worker)
{
	time_t left = BIG_SECOND * (time_t)choose(worker, 8) + BIG_SECOND - 1;

	switch (choose(worker, 10)) {
	case 0:
	case 1:
		return left;
	case 2:
		return time(NULL) + left;
	case 3:
		return 30 * 86400;
	case 4:
		return time(NULL) + 60 * 86400;
	case 5:
		return chance(worker, 10) ? -1 : 0;
	case 6:
		/* In 1970. */
		return chance(worker, 10) ? 30 * 86400 + 1 : 0;
	default:
		return 0;
	}
}

static void record_rc(struct worker *worker, memcached_return_t rc)
{
	record(worker, " -> %d", rc);
}

static void big_get(struct worker *worker, struct handle *handle)
{
	struct text key = chance(worker, 80) ? any_key(worker)
					     : key_of(worker, "c", choose(worker, COUNTERS));
	memcached_return_t rc;
	uint32_t flags = 0;
	size_t n = 0;
	char *value;

	record(worker, " get");
	record_key(worker, key);
	value = memcached_get(handle->st, key.bytes, key.n, &n, &flags, &rc);
	record_rc(worker, rc);
	record(worker, " flags=%u", flags);
	record_value(worker, value, n, false);
	handle_free_value(handle, value);
}

/* Of one key: then that is what the id is for. */
static void record_found(struct worker *worker, const memcached_result_st *result)
{
	record(worker, " {");
	record_key(worker, (struct text){ memcached_result_key_value(result),
					  memcached_result_key_length(result) });
	record(worker, " flags=%u", memcached_result_flags(result));
	record_value(worker, memcached_result_length(result) ? memcached_result_value(result) : "",
		     memcached_result_length(result), false);
	record(worker, "}");
}

static uint64_t ask_for(struct worker *worker, struct handle *handle, const char *const *keys,
			const size_t *lengths, unsigned n)
{
	memcached_return_t rc;
	memcached_result_st *result;
	uint64_t cas = 0;

	record_rc(worker, memcached_mget(handle->st, keys, lengths, n));
	record_parts_begin(worker);
	while ((result = memcached_fetch_result(handle->st, NULL, &rc)) != NULL) {
		record_part(worker);
		record_found(worker, result);
		cas = memcached_result_cas(result);
		memcached_result_free(result);
	}
	record_parts_end(worker, true);
	record_rc(worker, rc);
	return cas;
}

static void big_mget(struct worker *worker, struct handle *handle)
{
	char texts[MGET_MAX][16];
	const char *keys[MGET_MAX];
	size_t lengths[MGET_MAX];
	unsigned n = 1 + choose(worker, MGET_MAX);

	record(worker, " mget %u", n);
	for (unsigned i = 0; i < n; i++) {
		lengths[i] =
			(size_t)snprintf(texts[i], sizeof(texts[i]), "k%u", any_number(worker));
		keys[i] = texts[i];
	}
	ask_for(worker, handle, keys, lengths, n);
}

static void big_store(struct worker *worker, struct handle *handle)
{
	static const char *const names[] = { "set", "add", "replace", "append", "prepend" };
	static const unsigned verbs[] = { 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4 };
	static memcached_return_t (*const calls[])(memcached_st *, const char *, size_t,
						   const char *, size_t, time_t, uint32_t) = {
		memcached_set, memcached_add, memcached_replace, memcached_append, memcached_prepend
	};
	unsigned verb = verbs[choose(worker, sizeof(verbs) / sizeof(*verbs))];
	struct text key = any_key(worker);
	struct text value = any_value(worker, verb > 2 ? PIECE_MAX : VALUE_MAX);
	time_t expiration = any_expiration(worker);
	uint32_t flags = choose_flags(worker);

	record(worker, " %s", names[verb]);
	record_key(worker, key);
	record(worker, " n=%zu expiration=%lld flags=%u", value.n, (long long)expiration, flags);
	record_rc(worker, calls[verb](handle->st, key.bytes, key.n, value.bytes, value.n,
				      expiration, flags));
}

/* gets and cas, with or without another write in between. */
static void big_cas(struct worker *worker, struct handle *handle)
{
	struct text key = any_key(worker);
	struct text value = any_value(worker, VALUE_MAX);
	bool is_late = chance(worker, 30);
	time_t expiration = any_expiration(worker);
	uint64_t cas;

	record(worker, " gets");
	record_key(worker, key);
	/* What is old memcached may lose in the cas itself, which needs room first. */
	record_rc(worker, memcached_set(handle->st, key.bytes, key.n, "early", 5, 0, 0));
	cas = ask_for(worker, handle, &key.bytes, &key.n, 1);
	if (is_late) {
		record(worker, " set");
		record_rc(worker, memcached_set(handle->st, key.bytes, key.n, "late", 4, 0, 0));
	}
	/* Of a key that nobody has: an id that no item has. */
	record(worker, " cas n=%zu expiration=%lld", value.n, (long long)expiration);
	record_rc(worker, memcached_cas(handle->st, key.bytes, key.n, value.bytes, value.n,
					expiration, 7, cas ? cas : INT64_MAX));
}

static void big_delete(struct worker *worker, struct handle *handle)
{
	struct text key = any_key(worker);

	record(worker, " delete");
	record_key(worker, key);
	record_rc(worker, memcached_delete(handle->st, key.bytes, key.n, 0));
}

static void big_touch(struct worker *worker, struct handle *handle)
{
	struct text key = any_key(worker);
	time_t expiration = any_expiration(worker);

	record(worker, " touch");
	record_key(worker, key);
	record(worker, " expiration=%lld", (long long)expiration);
	record_rc(worker, memcached_touch(handle->st, key.bytes, key.n, expiration));
}

static void begin_count(struct worker *worker, struct handle *handle, struct text key)
{
	char number[24];
	int n = snprintf(number, sizeof(number), "%u", choose(worker, 2000));
	time_t expiration = any_expiration(worker);

	record(worker, " set %s expiration=%lld", number, (long long)expiration);
	record_rc(worker, memcached_set(handle->st, key.bytes, key.n, number, (size_t)n, expiration,
					choose_flags(worker)));
}

static void big_count(struct worker *worker, struct handle *handle)
{
	struct text key = key_of(worker, "c", choose(worker, COUNTERS));
	uint32_t by = choose(worker, 1000);
	bool down = chance(worker, 50);
	uint64_t value = 0;
	memcached_return_t rc;

	record_key(worker, key);
	if (chance(worker, 30)) {
		begin_count(worker, handle, key);
		return;
	}
	record(worker, " %s by=%u", down ? "decrement" : "increment", by);
	if (handle == &worker->handles[BIG_BINARY] && chance(worker, 50)) {
		time_t expiration = chance(worker, 20) ? (time_t)MEMCACHED_EXPIRATION_NOT_ADD
						       : any_expiration(worker);

		record(worker, " initial expiration=%lld", (long long)expiration);
		rc = (down ? memcached_decrement_with_initial : memcached_increment_with_initial)(
			handle->st, key.bytes, key.n, by, 1000, expiration, &value);
	} else {
		rc = (down ? memcached_decrement : memcached_increment)(handle->st, key.bytes,
									key.n, by, &value);
	}
	record_rc(worker, rc);
	record(worker, " value=%llu", (unsigned long long)value);
}

static void big_exist(struct worker *worker, struct handle *handle)
{
	/* Asks memcached alone, and leaves keys where they are. */
	struct text key = any_key(worker);
	memcached_return_t rc = memcached_exist(handle->st, key.bytes, key.n);

	record(worker, " exist");
	record_key(worker, key);
	record_rc(worker, rc);
}

static void big_flush(struct worker *worker, struct handle *handle)
{
	if (chance(worker, 95)) {
		return; /* what was lost takes long to come again */
	}
	record(worker, " flush");
	record_rc(worker, memcached_flush(handle->st, 0));
}

static void big_quit(struct worker *worker, struct handle *handle)
{
	record(worker, " quit");
	memcached_quit(handle->st);
}

static const struct {
	worker_operation operate;
	unsigned weight;
} operations[] = {
	{ big_get, 380 },   { big_mget, 60 },  { big_store, 320 }, { big_cas, 40 },
	{ big_delete, 40 }, { big_touch, 50 }, { big_count, 90 },  { big_exist, 10 },
	{ big_quit, 9 },    { big_flush, 1 },
};

void big_step(struct worker *worker)
{
	unsigned kind = (unsigned)(worker->step / 16 % BIG_HANDLES);
	uint32_t at = choose(worker, 1000);
	size_t i = 0;

	worker->n_texts = 0;
	record(worker, "%llu.%u h%u", (unsigned long long)worker->step, worker->number, kind);
	if (worker->handles[BIG_TEXT].st == NULL) {
		for (unsigned each = 0; each < BIG_HANDLES; each++) {
			open_handle(worker, each);
		}
	}
	while (at >= operations[i].weight) {
		at -= operations[i++].weight;
	}
	if (operations[i].operate == big_cas && kind == BIG_TEXT) {
		kind = BIG_CAS;
	}
	operations[i].operate(worker, &worker->handles[kind]);
	record(worker, "\n");
}
