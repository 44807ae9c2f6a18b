/* Handles of every kind that programs make, and their ends. */
#include <libmemcached/util.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/differential/differential.h"
#include "tests/differential/worker.h"

#define PATIENCE_MS 100000
#define MARK UINT64_C(0x6469666665726e74)

/* --- an allocator that knows its own --- */

struct block {
	uint64_t mark;
	size_t n;
};

static void *block_new(const memcached_st *st, size_t n, void *context)
{
	struct allocations *allocations = context;
	struct block *block = malloc(sizeof(*block) + n);

	(void)st;
	if (block == NULL) {
		abort();
	}
	*block = (struct block){ MARK, n };
	allocations->n_live++;
	return block + 1;
}

static void block_free(const memcached_st *st, void *bytes, void *context)
{
	struct allocations *allocations = context;
	struct block *block = bytes;

	(void)st;
	if (bytes == NULL) {
		return;
	}
	block--;
	if (block->mark != MARK) {
		allocations->n_foreign++;
		return;
	}
	block->mark = 0;
	allocations->n_live--;
	free(block);
}

static void *block_resize(const memcached_st *st, void *bytes, size_t n, void *context)
{
	void *larger = block_new(st, n, context);
	size_t n_before = bytes ? ((struct block *)bytes - 1)->n : 0;

	if (bytes) {
		memcpy(larger, bytes, n_before < n ? n_before : n);
	}
	block_free(st, bytes, context);
	return larger;
}

static void *block_new_zeroed(const memcached_st *st, size_t n, size_t size, void *context)
{
	return memset(block_new(st, n * size, context), 0, n * size);
}

static void use_allocator(struct worker *worker, struct handle *handle)
{
	handle->allocations = calloc(1, sizeof(*handle->allocations));
	if (handle->allocations == NULL) {
		abort();
	}
	handle->allocations->n_handles = 1;
	record(worker, " allocator=%d",
	       memcached_set_memory_allocators(handle->st, block_new, block_free, block_resize,
					       block_new_zeroed, handle->allocations));
}

void handle_free_value(struct handle *handle, char *value)
{
	if (handle->allocations) {
		block_free(handle->st, value, handle->allocations);
	} else {
		free(value);
	}
}

/* --- servers --- */

static void add_server(struct worker *worker, struct handle *handle, const char *path)
{
	record(worker, " %s=%d", path,
	       chance(worker, 20) ? memcached_server_add_unix_socket_with_weight(
					    handle->st, path, 1 + choose(worker, 3))
				  : memcached_server_add_unix_socket(handle->st, path));
	handle->n_servers++;
}

static void set(struct worker *worker, struct handle *handle, memcached_behavior_t flag,
		uint64_t value)
{
	record(worker, " %d:%llu=%d", flag, (unsigned long long)value,
	       memcached_behavior_set(handle->st, flag, value));
}

static void choose_distribution(struct worker *worker, struct handle *handle)
{
	static const memcached_server_distribution_t distributions[] = {
		MEMCACHED_DISTRIBUTION_MODULA, MEMCACHED_DISTRIBUTION_CONSISTENT,
		MEMCACHED_DISTRIBUTION_CONSISTENT_KETAMA
	};

	set(worker, handle, MEMCACHED_BEHAVIOR_DISTRIBUTION, distributions[choose(worker, 3)]);
	if (chance(worker, 30)) {
		set(worker, handle, MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED, 1);
	}
	if (chance(worker, 20) && !worker->has_namespace) {
		set(worker, handle, MEMCACHED_BEHAVIOR_HASH_WITH_PREFIX_KEY, 1);
	}
}

static void add_dead_server(struct worker *worker, struct handle *handle)
{
	handle->has_dead = true;
	add_server(worker, handle, DIFFERENTIAL_SERVER_DEAD);
	if (chance(worker, 40)) {
		set(worker, handle, MEMCACHED_BEHAVIOR_SERVER_FAILURE_LIMIT, 2);
		set(worker, handle, MEMCACHED_BEHAVIOR_REMOVE_FAILED_SERVERS, 1);
	}
	if (chance(worker, 50)) {
		set(worker, handle, MEMCACHED_BEHAVIOR_RETRY_TIMEOUT, choose(worker, 3));
	}
}

static void add_servers(struct worker *worker, struct handle *handle)
{
	uint32_t kind = choose(worker, 100);

	if (kind < 2) {
		return;
	}
	if (kind < 70 || worker->has_expiries) {
		add_server(worker, handle, DIFFERENTIAL_SERVER_1);
		return;
	}
	choose_distribution(worker, handle);
	add_server(worker, handle, DIFFERENTIAL_SERVER_1);
	add_server(worker, handle, DIFFERENTIAL_SERVER_2);
	if (chance(worker, 15)) {
		add_dead_server(worker, handle);
	}
}

/* --- how it behaves --- */

static memcached_return_t fail_to_get(const memcached_st *st, const char *key, size_t n_key,
				      memcached_result_st *result)
{
	static const memcached_return_t answers[] = { MEMCACHED_FAILURE, MEMCACHED_SUCCESS,
						      MEMCACHED_NOTFOUND };

	memcached_result_set_flags(result, 99);
	memcached_result_set_value(result, "from the trigger", 16);
	/* A callback has no argument of its own: what it answers follows from the key. */
	return answers[n_key ? (unsigned char)key[n_key - 1] % 3 : 0];
}

static memcached_return_t delete_seen(const memcached_st *st, const char *key, size_t n_key)
{
	return n_key && (unsigned char)key[n_key - 1] % 3 ? MEMCACHED_SUCCESS : MEMCACHED_FAILURE;
}

static void set_trigger(struct worker *worker, struct handle *handle, memcached_callback_t kind)
{
	memcached_trigger_key_fn get = fail_to_get;
	memcached_trigger_delete_key_fn delete = delete_seen;
	const void *function;

	if (kind == MEMCACHED_CALLBACK_GET_FAILURE) {
		/* What it stores may be buffered. */
		handle->is_slow = true;
		memcpy(&function, &get, sizeof(function));
	} else {
		memcpy(&function, &delete, sizeof(function));
	}
	record(worker, " trigger%d=%d", kind, memcached_callback_set(handle->st, kind, function));
}

/*
 * Over the binary protocol libmemcached takes the answer to the first write that
 * it has buffered for the answer to the next question.
 */
static bool has_a_server_twice(const memcached_st *st)
{
	for (uint32_t i = 0; i < memcached_server_count(st); i++) {
		const char *name =
			memcached_server_name(memcached_server_instance_by_position(st, i));

		for (uint32_t j = 0; j < i; j++) {
			if (strcmp(name, memcached_server_name(
						 memcached_server_instance_by_position(st, j))) ==
			    0) {
				return true;
			}
		}
	}
	return false;
}

/* What two connections to one server send at once comes in any order. */
bool handle_may_buffer(const struct handle *handle)
{
	return !handle->st->flags.binary_protocol && !has_a_server_twice(handle->st);
}

static void choose_protocol(struct worker *worker, struct handle *handle)
{
	if (chance(worker, 40)) {
		set(worker, handle, MEMCACHED_BEHAVIOR_BINARY_PROTOCOL, 1);
	}
	if (chance(worker, 40)) {
		set(worker, handle, MEMCACHED_BEHAVIOR_SUPPORT_CAS, 1);
	}
	if (chance(worker, 10)) {
		set(worker, handle, MEMCACHED_BEHAVIOR_NO_BLOCK, 1);
	}
	if (chance(worker, 10)) {
		set(worker, handle, MEMCACHED_BEHAVIOR_VERIFY_KEY, 1);
	}
	if (chance(worker, 10)) {
		set(worker, handle, MEMCACHED_BEHAVIOR_HASH, choose(worker, 6));
	}
	if (chance(worker, 6) && handle_may_buffer(handle)) {
		handle->is_slow = true;
		set(worker, handle, MEMCACHED_BEHAVIOR_BUFFER_REQUESTS, 1);
	}
	if (chance(worker, 6)) {
		handle->is_slow = true;
		set(worker, handle, MEMCACHED_BEHAVIOR_NOREPLY, 1);
	}
}

static void choose_traits(struct worker *worker, struct handle *handle)
{
	bool encodes = chance(worker, 4);

	if (encodes) {
		record(worker, " encode=%d", memcached_set_encoding_key(handle->st, "secret", 6));
	}
	if (encodes || chance(worker, 30)) {
		const char *prefix = encodes ? "encoded:" : chance(worker, 50) ? "ns1:" : "ns2";

		record(worker, " ns=%d",
		       memcached_callback_set(handle->st, MEMCACHED_CALLBACK_NAMESPACE, prefix));
	}
	if (chance(worker, 5) && !handle->has_dead) {
		/* libmemcached asserts that such a get has come as far as asking. */
		set_trigger(worker, handle, MEMCACHED_CALLBACK_GET_FAILURE);
	}
	if (chance(worker, 5)) {
		set_trigger(worker, handle, MEMCACHED_CALLBACK_DELETE_TRIGGER);
	}
}

/*
 * Some calls hang up before memcached has answered to what was buffered, which
 * then drops the rest.
 */
void handle_empty_buffers(struct worker *worker, struct handle *handle)
{
	if (handle->st->flags.buffer_requests) {
		record(worker, " flush_buffers=%d", memcached_flush_buffers(handle->st));
		worker_barrier(worker);
	}
}

/* --- life --- */

static void open_by_options(struct worker *worker, struct handle *handle)
{
	static const char *const options[] = { "",
					       " --BINARY-PROTOCOL",
					       " --SUPPORT-CAS",
					       " --NAMESPACE=opt:",
					       " --NAMESPACE=ns1: --BINARY-PROTOCOL --SUPPORT-CAS",
					       " --NOREPLY",
					       " --BUFFER-REQUESTS",
					       " --VERIFY-KEY",
					       " --HASH=MD5",
					       " --DISTRIBUTION=consistent",
					       " --NO-SUCH-OPTION" };
	const char *chosen = options[choose(worker, sizeof(options) / sizeof(options[0]))];
	char all[128];
	int n = snprintf(all, sizeof(all), "--SOCKET=\"%s\"%s", DIFFERENTIAL_SERVER_1, chosen);

	handle->st = memcached(all, (size_t)n);
	record(worker, " options%s: %s", chosen, handle->st ? "ok" : "NULL");
	handle->is_slow = strstr(chosen, "REPLY") || strstr(chosen, "REQUESTS");
	handle->n_servers = 1;
}

/* The handle becomes the pool's only one. */
static void move_into_pool(struct worker *worker, struct handle *handle)
{
	memcached_return_t rc = MEMCACHED_SUCCESS;

	handle->pool = memcached_pool_create(handle->st, 1, 1 + choose(worker, 2));
	handle->st = memcached_pool_pop(handle->pool, false, &rc);
	record(worker, " pool=%s/%d", handle->st ? "ok" : "NULL", rc);
}

/* A machine that is busy is no difference. */
static void be_patient(struct handle *handle)
{
	if (handle->st) {
		memcached_behavior_set(handle->st, MEMCACHED_BEHAVIOR_POLL_TIMEOUT, PATIENCE_MS);
	}
}

void handle_open(struct worker *worker, struct handle *handle)
{
	if (chance(worker, 15)) {
		open_by_options(worker, handle);
		be_patient(handle);
		return;
	}
	if (chance(worker, 30)) {
		memset(&handle->own, 0xee, sizeof(handle->own));
		handle->st = memcached_create(&handle->own);
	} else {
		handle->st = memcached_create(NULL);
		if (chance(worker, 30)) {
			use_allocator(worker, handle);
		}
	}
	be_patient(handle);
	add_servers(worker, handle);
	choose_protocol(worker, handle);
	choose_traits(worker, handle);
	if (handle->st != &handle->own && handle->allocations == NULL && chance(worker, 10)) {
		move_into_pool(worker, handle);
	}
}

void handle_close(struct worker *worker, struct handle *handle)
{
	worker->is_stirred |= handle->is_slow;
	if (handle->pool) {
		if (handle->st) {
			handle_empty_buffers(worker, handle);
			memcached_pool_push(handle->pool, handle->st);
		}
		handle->st = memcached_pool_destroy(handle->pool);
	}
	if (handle->st) {
		memcached_free(handle->st);
	}
	if (handle->allocations && --handle->allocations->n_handles == 0) {
		record(worker, " live=%ld foreign=%ld", handle->allocations->n_live,
		       handle->allocations->n_foreign);
		free(handle->allocations);
	}
	memset(handle, 0, sizeof(*handle));
}

void handle_clone(struct worker *worker, struct handle *from, struct handle *to)
{
	memcached_st *room = chance(worker, 40) ? &to->own : NULL;

	handle_close(worker, to);
	if (room) {
		memset(room, 0xcc, sizeof(*room));
	}
	to->st = memcached_clone(room, from->st);
	to->allocations = to->st ? from->allocations : NULL;
	to->is_slow = from->is_slow;
	to->n_servers = from->n_servers;
	to->has_dead = from->has_dead;
	if (to->allocations) {
		to->allocations->n_handles++;
	}
	record(worker, " clone h%d: %s", (int)(to - worker->handles), to->st ? "ok" : "NULL");
}

bool handle_encodes(const struct handle *handle)
{
	return handle->st->hashkit._key != NULL;
}

struct handle *handle_other(struct worker *worker, const struct handle *handle)
{
	size_t at = (size_t)(handle - worker->handles);
	struct handle *other =
		&worker->handles[(at + 1 + choose(worker, WORKER_HANDLES - 1)) % WORKER_HANDLES];

	return other->st && !other->has_results ? other : NULL;
}
