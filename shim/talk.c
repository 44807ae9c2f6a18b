/*
 * Entry points that talk to memcached itself: passed on, but where the real
 * call drops what was fetched half-way we must, too.
 */
#include "shim/shim.h"

static void begin_conversation(struct shim_frame *frame, enum shim_call call, memcached_st *handle,
			       bool drops)
{
	if (shim_begin_own(frame, call, handle) && drops) {
		shim_drop_results(shim_state_if_any(handle));
	}
}

/* Ended before it begins: a callback of the program may call anything. */
static void note_conversation(enum shim_call call, memcached_st *handle, bool drops)
{
	struct shim_frame frame;

	begin_conversation(&frame, call, handle, drops);
	shim_end(&frame);
}

/* The real call asks only servers that it has not asked before. */
static bool asks_version(const memcached_st *handle)
{
	uint32_t n = handle ? handle->number_of_hosts : 0;

	for (uint32_t i = 0; i < n; i++) {
		const memcached_instance_st *server =
			memcached_real.memcached_server_instance_by_position(handle, i);

		if (memcached_real.memcached_server_major_version(server) == UINT8_MAX) {
			return true;
		}
	}
	return false;
}

SHIM_EXPORT memcached_return_t memcached_version(memcached_st *handle)
{
	struct shim_frame frame;
	memcached_return_t rc;

	shim_bind();
	begin_conversation(&frame, CALL_memcached_version, handle, asks_version(handle));
	rc = memcached_real.memcached_version(handle);
	shim_end(&frame);
	return rc;
}

SHIM_EXPORT memcached_stat_st *memcached_stat(memcached_st *handle, char *args,
					      memcached_return_t *ret_rc)
{
	struct shim_frame frame;
	memcached_stat_st *stat;

	begin_conversation(&frame, CALL_memcached_stat, handle, true);
	stat = memcached_real.memcached_stat(handle, args, ret_rc);
	shim_end(&frame);
	return stat;
}

SHIM_EXPORT memcached_return_t memcached_stat_execute(memcached_st *handle, const char *args,
						      memcached_stat_fn function, void *context)
{
	note_conversation(CALL_memcached_stat_execute, handle, true);
	return memcached_real.memcached_stat_execute(handle, args, function, context);
}

SHIM_EXPORT memcached_return_t memcached_dump(memcached_st *handle, memcached_dump_fn *functions,
					      void *context, uint32_t n_functions)
{
	note_conversation(CALL_memcached_dump, handle, handle && !handle->flags.binary_protocol);
	return memcached_real.memcached_dump(handle, functions, context, n_functions);
}
