/*
 * Entry points that change a handle: what the shim keeps of it is brought up to
 * date, then or at its next use.  Those that are called from inside libmemcached
 * do so at any depth; only outer calls are counted.
 */
#include "shim/shim.h"

#include <string.h>

#include "base/log.h"

/* --- the configured namespace --- */

void shim_namespace(struct tower *tower, memcached_st *handle, struct shim_state *state)
{
	const char *ours = tower->config.memcached_namespace;
	char both[MEMCACHED_PREFIX_KEY_MAX_SIZE];
	memcached_return_t rc;
	const char *programs;
	size_t n_ours = strlen(ours);
	size_t n_programs;

	if (n_ours == 0 || state->namespaced) {
		return;
	}
	programs = memcached_real.memcached_callback_get(handle, MEMCACHED_CALLBACK_NAMESPACE, &rc);
	n_programs = programs ? strlen(programs) : 0;
	if (n_ours + n_programs < MEMCACHED_PREFIX_KEY_MAX_SIZE) {
		memcpy(both, ours, n_ours);
		if (n_programs) {
			memcpy(both + n_ours, programs, n_programs);
		}
		both[n_ours + n_programs] = '\0';
		rc = memcached_real.memcached_callback_set(handle, MEMCACHED_CALLBACK_NAMESPACE,
							   both);
	} else {
		rc = MEMCACHED_KEY_TOO_BIG;
	}
	state->namespaced = rc == MEMCACHED_SUCCESS;
	if (!state->namespaced) {
		log_line(LOG_LEVEL_WARN,
			 "memcached.namespace \"%s\" and the program's own \"%s\" are longer than "
			 "libmemcached allows; only the program's own is used",
			 ours, programs ? programs : "");
	}
}

SHIM_EXPORT memcached_return_t memcached_callback_set(memcached_st *handle,
						      const memcached_callback_t flag,
						      const void *value)
{
	struct shim_frame frame;
	struct tower *tower = shim_begin_own(&frame, CALL_memcached_callback_set, handle);
	struct shim_state *state;
	memcached_return_t rc;

	if (tower == NULL || handle == NULL || flag != MEMCACHED_CALLBACK_NAMESPACE) {
		rc = memcached_real.memcached_callback_set(handle, flag, value);
	} else {
		state = shim_state(tower, handle);
		if (state) {
			shim_collect_results(tower, state);
		}
		rc = memcached_real.memcached_callback_set(handle, flag, value);
		if (state && rc == MEMCACHED_SUCCESS) {
			state->namespaced = false;
			state->fresh = false;
			shim_state(tower, handle);
			shim_rename_results(state);
		}
	}
	shim_end(&frame);
	return rc;
}

SHIM_EXPORT void *memcached_callback_get(memcached_st *handle, const memcached_callback_t flag,
					 memcached_return_t *ret_rc)
{
	struct shim_frame frame;
	struct tower *tower = shim_begin_own(&frame, CALL_memcached_callback_get, handle);
	struct shim_state *state = tower ? shim_state_if_any(handle) : NULL;
	char *value = memcached_real.memcached_callback_get(handle, flag, ret_rc);

	if (state && state->namespaced && flag == MEMCACHED_CALLBACK_NAMESPACE && value) {
		value += strlen(tower->config.memcached_namespace);
		if (*value == '\0') {
			value = NULL;
		}
	}
	shim_end(&frame);
	return value;
}

/* --- connections --- */

/* The connections were closed: what was buffered has been sent, what was unread is gone. */
static void disconnected(const memcached_st *handle)
{
	struct shim_state *state = shim_state_if_any(handle);

	if (state) {
		shim_drop_results(state);
		state->buffered = 0;
		state->unread = false;
		state->fresh &= !state->out_of_step;
		state->out_of_step = false;
		slots_sent(shim_tower()->slots, state->doubts);
	}
}

SHIM_EXPORT void memcached_quit(memcached_st *handle)
{
	struct shim_frame frame;
	struct tower *tower = shim_begin_own(&frame, CALL_memcached_quit, handle);

	memcached_real.memcached_quit(handle);
	if (tower) {
		disconnected(handle);
		shim_end(&frame);
	}
}

SHIM_EXPORT memcached_return_t memcached_flush_buffers(memcached_st *handle)
{
	struct shim_frame frame;
	struct tower *tower = shim_begin_own(&frame, CALL_memcached_flush_buffers, handle);
	struct shim_state *state = tower ? shim_state_if_any(handle) : NULL;
	memcached_return_t rc = memcached_real.memcached_flush_buffers(handle);

	if (state && rc == MEMCACHED_SUCCESS) {
		state->buffered = 0;
		slots_sent(tower->slots, state->doubts);
	}
	shim_end(&frame);
	return rc;
}

static bool disconnects(memcached_behavior_t flag)
{
	switch (flag) {
	case MEMCACHED_BEHAVIOR_BINARY_PROTOCOL:
	case MEMCACHED_BEHAVIOR_NO_BLOCK:
	case MEMCACHED_BEHAVIOR_BUFFER_REQUESTS:
	case MEMCACHED_BEHAVIOR_USE_UDP:
	case MEMCACHED_BEHAVIOR_TCP_NODELAY:
	case MEMCACHED_BEHAVIOR_TCP_KEEPALIVE:
	case MEMCACHED_BEHAVIOR_TCP_KEEPIDLE:
	case MEMCACHED_BEHAVIOR_SOCKET_SEND_SIZE:
	case MEMCACHED_BEHAVIOR_SOCKET_RECV_SIZE:
		return true;
	default:
		return false;
	}
}

SHIM_EXPORT memcached_return_t memcached_behavior_set(memcached_st *handle,
						      const memcached_behavior_t flag,
						      uint64_t value)
{
	struct shim_frame frame;
	memcached_return_t rc;

	shim_begin(&frame, CALL_memcached_behavior_set, handle);
	rc = memcached_real.memcached_behavior_set(handle, flag, value);
	shim_changed(handle);
	if (disconnects(flag)) {
		disconnected(handle);
	}
	shim_end(&frame);
	return rc;
}

/* --- what the items of a handle depend on --- */

static memcached_return_t changed(struct shim_frame *frame, const memcached_st *handle,
				  memcached_return_t rc)
{
	shim_changed(handle);
	shim_end(frame);
	return rc;
}

SHIM_EXPORT memcached_return_t
memcached_behavior_set_distribution(memcached_st *handle, memcached_server_distribution_t type)
{
	struct shim_frame frame;

	shim_begin(&frame, CALL_memcached_behavior_set_distribution, handle);
	return changed(&frame, handle,
		       memcached_real.memcached_behavior_set_distribution(handle, type));
}

SHIM_EXPORT memcached_return_t memcached_behavior_set_key_hash(memcached_st *handle,
							       memcached_hash_t type)
{
	struct shim_frame frame;

	shim_begin(&frame, CALL_memcached_behavior_set_key_hash, handle);
	return changed(&frame, handle,
		       memcached_real.memcached_behavior_set_key_hash(handle, type));
}

SHIM_EXPORT memcached_return_t memcached_behavior_set_distribution_hash(memcached_st *handle,
									memcached_hash_t type)
{
	struct shim_frame frame;

	shim_begin(&frame, CALL_memcached_behavior_set_distribution_hash, handle);
	return changed(&frame, handle,
		       memcached_real.memcached_behavior_set_distribution_hash(handle, type));
}

SHIM_EXPORT memcached_return_t memcached_bucket_set(memcached_st *handle, const uint32_t *host_map,
						    const uint32_t *forward_map,
						    const uint32_t buckets, const uint32_t replicas)
{
	struct shim_frame frame;

	shim_begin(&frame, CALL_memcached_bucket_set, handle);
	return changed(&frame, handle,
		       memcached_real.memcached_bucket_set(handle, host_map, forward_map, buckets,
							   replicas));
}

SHIM_EXPORT memcached_return_t memcached_server_add(memcached_st *handle, const char *host,
						    in_port_t port)
{
	struct shim_frame frame;

	shim_begin(&frame, CALL_memcached_server_add, handle);
	return changed(&frame, handle, memcached_real.memcached_server_add(handle, host, port));
}

SHIM_EXPORT memcached_return_t memcached_server_add_with_weight(memcached_st *handle,
								const char *host, in_port_t port,
								uint32_t weight)
{
	struct shim_frame frame;

	shim_begin(&frame, CALL_memcached_server_add_with_weight, handle);
	return changed(&frame, handle,
		       memcached_real.memcached_server_add_with_weight(handle, host, port, weight));
}

SHIM_EXPORT memcached_return_t memcached_server_add_udp(memcached_st *handle, const char *host,
							in_port_t port)
{
	struct shim_frame frame;

	shim_begin(&frame, CALL_memcached_server_add_udp, handle);
	return changed(&frame, handle, memcached_real.memcached_server_add_udp(handle, host, port));
}

SHIM_EXPORT memcached_return_t memcached_server_add_udp_with_weight(memcached_st *handle,
								    const char *host,
								    in_port_t port, uint32_t weight)
{
	struct shim_frame frame;

	shim_begin(&frame, CALL_memcached_server_add_udp_with_weight, handle);
	return changed(
		&frame, handle,
		memcached_real.memcached_server_add_udp_with_weight(handle, host, port, weight));
}

SHIM_EXPORT memcached_return_t memcached_server_add_unix_socket(memcached_st *handle,
								const char *path)
{
	struct shim_frame frame;

	shim_begin(&frame, CALL_memcached_server_add_unix_socket, handle);
	return changed(&frame, handle,
		       memcached_real.memcached_server_add_unix_socket(handle, path));
}

SHIM_EXPORT memcached_return_t memcached_server_add_unix_socket_with_weight(memcached_st *handle,
									    const char *path,
									    uint32_t weight)
{
	struct shim_frame frame;

	shim_begin(&frame, CALL_memcached_server_add_unix_socket_with_weight, handle);
	return changed(
		&frame, handle,
		memcached_real.memcached_server_add_unix_socket_with_weight(handle, path, weight));
}

SHIM_EXPORT memcached_return_t memcached_server_push(memcached_st *handle,
						     const memcached_server_list_st list)
{
	struct shim_frame frame;

	shim_begin(&frame, CALL_memcached_server_push, handle);
	return changed(&frame, handle, memcached_real.memcached_server_push(handle, list));
}

SHIM_EXPORT memcached_return_t memcached_push(memcached_st *handle, const memcached_st *source)
{
	struct shim_frame frame;

	shim_begin(&frame, CALL_memcached_push, handle);
	return changed(&frame, handle, memcached_real.memcached_push(handle, source));
}

SHIM_EXPORT void memcached_servers_reset(memcached_st *handle)
{
	struct shim_frame frame;

	shim_begin(&frame, CALL_memcached_servers_reset, handle);
	memcached_real.memcached_servers_reset(handle);
	shim_changed(handle);
	disconnected(handle);
	shim_end(&frame);
}
