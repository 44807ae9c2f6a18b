#include "shim/item.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/fork.h"
#include "base/hash.h"
#include "base/lock.h"

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define HANDLES_MAX 65536

struct shim_handle {
	struct shim_state state;
	const memcached_st *handle;
	UT_hash_handle hh;
};

static struct lock table_lock = LOCK_INIT(LOCK_RANK_HANDLES); /* guards: table */
static struct shim_handle *table;

_Atomic uint64_t shim_forgotten;
__thread struct shim_last shim_last;

static void fork_prepare(void)
{
	lock_take(&table_lock);
}

static void fork_parent(void)
{
	lock_release(&table_lock);
}

static void fork_child(void)
{
	lock_reset(&table_lock);
}

static const struct fork_handler fork_handler = { fork_prepare, fork_parent, fork_child };

static void servers_free(struct shim_state *state)
{
	free(state->servers);
	state->servers = NULL;
	state->n_servers = 0;
}

static void *program_alloc(void *owner, size_t n)
{
	memcached_st *handle = owner;

	if (fault_planted(FAULT_foreign_memory)) {
		return malloc(n);
	}
	return handle->allocators.malloc(handle, n, handle->allocators.context);
}

static void program_free(void *owner, void *bytes)
{
	memcached_st *handle = owner;

	if (bytes) {
		handle->allocators.free(handle, bytes, handle->allocators.context);
	}
}

static struct shim_handle *find_locked(const memcached_st *handle)
{
	struct shim_handle *found = NULL;

	HASH_FIND_PTR(table, &handle, found);
	return found;
}

static struct shim_handle *add_locked(const memcached_st *handle)
{
	struct shim_handle *added;

	if (HASH_COUNT(table) >= HANDLES_MAX) {
		return NULL;
	}
	added = calloc(1, sizeof(*added));
	if (added == NULL) {
		return NULL;
	}
	added->handle = handle;
	added->state.allocator =
		(struct layer_allocator){ program_alloc, program_free, (memcached_st *)handle };
	HASH_ADD_PTR(table, handle, added);
	if (added->hh.tbl == NULL) {
		free(added);
		return NULL;
	}
	return added;
}

static struct shim_state *look_up(const memcached_st *handle, bool add)
{
	uint64_t now = atomic_load_explicit(&shim_forgotten, memory_order_acquire);
	struct shim_handle *found;

	if (shim_last.handle == handle && shim_last.forgotten == now) {
		return shim_last.state;
	}
	fork_register(&fork_handler);
	lock_take(&table_lock);
	found = find_locked(handle);
	if (found == NULL && add) {
		found = add_locked(handle);
	}
	lock_release(&table_lock);
	if (found == NULL) {
		return NULL;
	}
	shim_last.handle = handle;
	shim_last.state = &found->state;
	shim_last.forgotten = now;
	return shim_last.state;
}

/* --- who the items of a handle are --- */

static bool read_servers(struct shim_state *state, const memcached_st *handle)
{
	size_t n = handle->number_of_hosts;
	/* What is read from replicas in need must not meet those who read the server itself. */
	uint64_t who = hash_mix(hash_mix(state->encoding, state->login),
				shim_has_replicas(handle) ? handle->number_of_replicas : 0);

	servers_free(state);
	state->servers_seen = handle->servers;
	if (n == 0) {
		return true;
	}
	state->servers = calloc(n, sizeof(*state->servers));
	if (state->servers == NULL) {
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		const char *name = shim_server_name(
			memcached_real.memcached_server_instance_by_position(handle, (uint32_t)i));

		if (name == NULL) {
			return false;
		}
		state->servers[i].name = name;
		state->servers[i].place = hash_mix(hash_bytes(name, strlen(name)), who);
		state->n_servers = i + 1;
	}
	return true;
}

static void read_prefix(struct tower *tower, struct shim_state *state, memcached_st *handle)
{
	memcached_return_t rc;
	const char *prefix =
		memcached_real.memcached_callback_get(handle, MEMCACHED_CALLBACK_NAMESPACE, &rc);

	state->n_prefix = prefix && !fault_planted(FAULT_ignored_namespace)
				  ? strnlen(prefix, LAYER_KEY_MAX)
				  : 0;
	state->n_ours = state->namespaced ? strlen(tower->config.memcached_namespace) : 0;
	if (state->n_prefix) {
		memcpy(state->prefix, prefix, state->n_prefix);
	}
}

static enum shim_reason refusal(const struct shim_state *state, const memcached_st *handle)
{
	if (handle->number_of_hosts == 0) {
		return REASON_no_servers;
	}
	if (handle->flags.use_udp) {
		return REASON_udp;
	}
	if (state->out_of_step) {
		return REASON_out_of_step;
	}
	if (shim_has_replicas(handle) && handle->flags.randomize_replica_read) {
		return REASON_replicas;
	}
	if (handle->distribution == MEMCACHED_DISTRIBUTION_RANDOM && handle->number_of_hosts > 1) {
		return REASON_random_distribution;
	}
	/* With the binary protocol libmemcached encodes what it sends and decodes nothing. */
	if (handle->hashkit._key && (!state->encoding_known || handle->flags.binary_protocol)) {
		return REASON_encoding;
	}
	return REASON_none;
}

static bool refresh(struct tower *tower, struct shim_state *state, memcached_st *handle)
{
	shim_namespace(tower, handle, state);
	read_prefix(tower, state, handle);
	state->refused = refusal(state, handle);
	state->fresh = read_servers(state, handle);
	state->direct = state->n_servers == 1 && state->n_prefix == 0 &&
			state->refused == REASON_none && !handle->hashkit._key &&
			state->login == 0 && !handle->flags.verify_key;
	if (state->fresh && shim_is_private(state, handle)) {
		shim_kept_private(handle, state);
	}
	return state->fresh;
}

struct shim_state *shim_state(struct tower *tower, memcached_st *handle)
{
	int before = errno;
	struct shim_state *state = look_up(handle, true);

	if (state && !shim_is_fresh(state, handle) && !refresh(tower, state, handle)) {
		state = NULL;
	}
	errno = before;
	return state;
}

struct shim_state *shim_state_new(const memcached_st *handle)
{
	return look_up(handle, true);
}

struct shim_state *shim_state_if_any(const memcached_st *handle)
{
	return handle ? look_up(handle, false) : NULL;
}

void shim_forget(const memcached_st *handle)
{
	struct shim_handle *found;

	lock_take(&table_lock);
	found = find_locked(handle);
	if (found) {
		HASH_DEL(table, found);
	}
	lock_release(&table_lock);
	if (found) {
		atomic_fetch_add(&shim_forgotten, 1);
		shim_end_results(&found->state);
		servers_free(&found->state);
		if (found->state.doubts) {
			slots_abandon(shim_tower()->slots, &found->state.doubts);
		}
		free(found);
	}
}

void shim_answered(struct tower *tower, struct shim_state *state)
{
	if (state == NULL || state->doubts == NULL || state->out_of_step) {
		return;
	}
	if (state->lost) {
		/* Only time helps; then the next doubts are new ones. */
		state->lost = atomic_load_explicit(&state->doubts->n, memory_order_relaxed) != 0;
	} else if (state->n_servers == 1) {
		slots_settle(tower->slots, state->doubts);
	}
}

void shim_is_out_of_step(struct shim_state *state)
{
	state->out_of_step = true;
	state->direct = false;
	state->fresh = false;
}

void shim_fell_out_of_step(struct shim_state *state, const memcached_st *handle,
			   enum shim_reason reason, const char *key, size_t n_key,
			   memcached_return_t rc, bool has_read_all)
{
	bool has_lines = key && n_key <= LAYER_KEY_MAX && memchr(key, '\n', n_key);

	if (state && reason == REASON_key && !handle->flags.binary_protocol &&
	    memcached_outcome(handle, rc) != LAYER_UNSENT && (has_lines || !has_read_all)) {
		shim_is_out_of_step(state);
	}
}

void shim_changed(const memcached_st *handle)
{
	struct shim_state *state = shim_state_if_any(handle);

	if (state) {
		state->fresh = false;
	}
}
