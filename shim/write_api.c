/* Entry points that write one key: each describes its call and hands it to shim_write(). */
#include "shim/shim.h"

SHIM_EXPORT memcached_return_t memcached_set(memcached_st *handle, const char *key, size_t n_key,
					     const char *value, size_t n_value, time_t expiration,
					     uint32_t flags)
{
	struct memcached_call call = {
		.handle = handle,
		.key = key,
		.n_key = n_key,
		.value = value,
		.n_value = n_value,
		.expiration = expiration,
		.flags = flags,
	};

	return shim_write(CALL_memcached_set, LAYER_SET, &call);
}

SHIM_EXPORT memcached_return_t memcached_set_by_key(memcached_st *handle, const char *group,
						    size_t n_group, const char *key, size_t n_key,
						    const char *value, size_t n_value,
						    time_t expiration, uint32_t flags)
{
	struct memcached_call call = {
		.handle = handle,
		.by_key = true,
		.group = group,
		.n_group = n_group,
		.key = key,
		.n_key = n_key,
		.value = value,
		.n_value = n_value,
		.expiration = expiration,
		.flags = flags,
	};

	return shim_write(CALL_memcached_set_by_key, LAYER_SET, &call);
}

SHIM_EXPORT memcached_return_t memcached_add(memcached_st *handle, const char *key, size_t n_key,
					     const char *value, size_t n_value, time_t expiration,
					     uint32_t flags)
{
	struct memcached_call call = {
		.handle = handle,
		.key = key,
		.n_key = n_key,
		.value = value,
		.n_value = n_value,
		.expiration = expiration,
		.flags = flags,
	};

	return shim_write(CALL_memcached_add, LAYER_ADD, &call);
}

SHIM_EXPORT memcached_return_t memcached_add_by_key(memcached_st *handle, const char *group,
						    size_t n_group, const char *key, size_t n_key,
						    const char *value, size_t n_value,
						    time_t expiration, uint32_t flags)
{
	struct memcached_call call = {
		.handle = handle,
		.by_key = true,
		.group = group,
		.n_group = n_group,
		.key = key,
		.n_key = n_key,
		.value = value,
		.n_value = n_value,
		.expiration = expiration,
		.flags = flags,
	};

	return shim_write(CALL_memcached_add_by_key, LAYER_ADD, &call);
}

SHIM_EXPORT memcached_return_t memcached_replace(memcached_st *handle, const char *key,
						 size_t n_key, const char *value, size_t n_value,
						 time_t expiration, uint32_t flags)
{
	struct memcached_call call = {
		.handle = handle,
		.key = key,
		.n_key = n_key,
		.value = value,
		.n_value = n_value,
		.expiration = expiration,
		.flags = flags,
	};

	return shim_write(CALL_memcached_replace, LAYER_REPLACE, &call);
}

SHIM_EXPORT memcached_return_t memcached_replace_by_key(memcached_st *handle, const char *group,
							size_t n_group, const char *key,
							size_t n_key, const char *value,
							size_t n_value, time_t expiration,
							uint32_t flags)
{
	struct memcached_call call = {
		.handle = handle,
		.by_key = true,
		.group = group,
		.n_group = n_group,
		.key = key,
		.n_key = n_key,
		.value = value,
		.n_value = n_value,
		.expiration = expiration,
		.flags = flags,
	};

	return shim_write(CALL_memcached_replace_by_key, LAYER_REPLACE, &call);
}

SHIM_EXPORT memcached_return_t memcached_append(memcached_st *handle, const char *key, size_t n_key,
						const char *value, size_t n_value,
						time_t expiration, uint32_t flags)
{
	struct memcached_call call = {
		.handle = handle,
		.key = key,
		.n_key = n_key,
		.value = value,
		.n_value = n_value,
		.expiration = expiration,
		.flags = flags,
	};

	return shim_write(CALL_memcached_append, LAYER_APPEND, &call);
}

SHIM_EXPORT memcached_return_t memcached_append_by_key(memcached_st *handle, const char *group,
						       size_t n_group, const char *key,
						       size_t n_key, const char *value,
						       size_t n_value, time_t expiration,
						       uint32_t flags)
{
	struct memcached_call call = {
		.handle = handle,
		.by_key = true,
		.group = group,
		.n_group = n_group,
		.key = key,
		.n_key = n_key,
		.value = value,
		.n_value = n_value,
		.expiration = expiration,
		.flags = flags,
	};

	return shim_write(CALL_memcached_append_by_key, LAYER_APPEND, &call);
}

SHIM_EXPORT memcached_return_t memcached_prepend(memcached_st *handle, const char *key,
						 size_t n_key, const char *value, size_t n_value,
						 time_t expiration, uint32_t flags)
{
	struct memcached_call call = {
		.handle = handle,
		.key = key,
		.n_key = n_key,
		.value = value,
		.n_value = n_value,
		.expiration = expiration,
		.flags = flags,
	};

	return shim_write(CALL_memcached_prepend, LAYER_PREPEND, &call);
}

SHIM_EXPORT memcached_return_t memcached_prepend_by_key(memcached_st *handle, const char *group,
							size_t n_group, const char *key,
							size_t n_key, const char *value,
							size_t n_value, time_t expiration,
							uint32_t flags)
{
	struct memcached_call call = {
		.handle = handle,
		.by_key = true,
		.group = group,
		.n_group = n_group,
		.key = key,
		.n_key = n_key,
		.value = value,
		.n_value = n_value,
		.expiration = expiration,
		.flags = flags,
	};

	return shim_write(CALL_memcached_prepend_by_key, LAYER_PREPEND, &call);
}

SHIM_EXPORT memcached_return_t memcached_cas(memcached_st *handle, const char *key, size_t n_key,
					     const char *value, size_t n_value, time_t expiration,
					     uint32_t flags, uint64_t cas)
{
	struct memcached_call call = {
		.handle = handle,
		.key = key,
		.n_key = n_key,
		.value = value,
		.n_value = n_value,
		.expiration = expiration,
		.flags = flags,
		.cas = cas,
	};

	return shim_write(CALL_memcached_cas, LAYER_CAS, &call);
}

SHIM_EXPORT memcached_return_t memcached_cas_by_key(memcached_st *handle, const char *group,
						    size_t n_group, const char *key, size_t n_key,
						    const char *value, size_t n_value,
						    time_t expiration, uint32_t flags, uint64_t cas)
{
	struct memcached_call call = {
		.handle = handle,
		.by_key = true,
		.group = group,
		.n_group = n_group,
		.key = key,
		.n_key = n_key,
		.value = value,
		.n_value = n_value,
		.expiration = expiration,
		.flags = flags,
		.cas = cas,
	};

	return shim_write(CALL_memcached_cas_by_key, LAYER_CAS, &call);
}

SHIM_EXPORT memcached_return_t memcached_delete(memcached_st *handle, const char *key, size_t n_key,
						time_t expiration)
{
	struct memcached_call call = {
		.handle = handle,
		.key = key,
		.n_key = n_key,
		.expiration = expiration,
	};

	return shim_write(CALL_memcached_delete, LAYER_DELETE, &call);
}

SHIM_EXPORT memcached_return_t memcached_touch(memcached_st *handle, const char *key, size_t n_key,
					       time_t expiration)
{
	struct memcached_call call = {
		.handle = handle,
		.key = key,
		.n_key = n_key,
		.expiration = expiration,
	};

	return shim_write(CALL_memcached_touch, LAYER_TOUCH, &call);
}

SHIM_EXPORT memcached_return_t memcached_delete_by_key(memcached_st *handle, const char *group,
						       size_t n_group, const char *key,
						       size_t n_key, time_t expiration)
{
	struct memcached_call call = {
		.handle = handle,
		.by_key = true,
		.group = group,
		.n_group = n_group,
		.key = key,
		.n_key = n_key,
		.expiration = expiration,
	};

	return shim_write(CALL_memcached_delete_by_key, LAYER_DELETE, &call);
}

SHIM_EXPORT memcached_return_t memcached_touch_by_key(memcached_st *handle, const char *group,
						      size_t n_group, const char *key, size_t n_key,
						      time_t expiration)
{
	struct memcached_call call = {
		.handle = handle,
		.by_key = true,
		.group = group,
		.n_group = n_group,
		.key = key,
		.n_key = n_key,
		.expiration = expiration,
	};

	return shim_write(CALL_memcached_touch_by_key, LAYER_TOUCH, &call);
}

SHIM_EXPORT memcached_return_t memcached_increment(memcached_st *handle, const char *key,
						   size_t n_key, uint32_t offset,
						   uint64_t *ret_value)
{
	struct memcached_call call = {
		.handle = handle,
		.key = key,
		.n_key = n_key,
		.delta = offset,
		.counter = ret_value,
	};

	return shim_write(CALL_memcached_increment, LAYER_INCREMENT, &call);
}

SHIM_EXPORT memcached_return_t memcached_increment_with_initial(memcached_st *handle,
								const char *key, size_t n_key,
								uint64_t offset, uint64_t initial,
								time_t expiration,
								uint64_t *ret_value)
{
	struct memcached_call call = {
		.handle = handle,
		.key = key,
		.n_key = n_key,
		.delta = offset,
		.initial = initial,
		.with_initial = true,
		.expiration = expiration,
		.counter = ret_value,
	};

	return shim_write(CALL_memcached_increment_with_initial, LAYER_INCREMENT, &call);
}

SHIM_EXPORT memcached_return_t memcached_increment_by_key(memcached_st *handle, const char *group,
							  size_t n_group, const char *key,
							  size_t n_key, uint64_t offset,
							  uint64_t *ret_value)
{
	struct memcached_call call = {
		.handle = handle,
		.by_key = true,
		.group = group,
		.n_group = n_group,
		.key = key,
		.n_key = n_key,
		.delta = offset,
		.counter = ret_value,
	};

	return shim_write(CALL_memcached_increment_by_key, LAYER_INCREMENT, &call);
}

SHIM_EXPORT memcached_return_t memcached_increment_with_initial_by_key(
	memcached_st *handle, const char *group, size_t n_group, const char *key, size_t n_key,
	uint64_t offset, uint64_t initial, time_t expiration, uint64_t *ret_value)
{
	struct memcached_call call = {
		.handle = handle,
		.by_key = true,
		.group = group,
		.n_group = n_group,
		.key = key,
		.n_key = n_key,
		.delta = offset,
		.initial = initial,
		.with_initial = true,
		.expiration = expiration,
		.counter = ret_value,
	};

	return shim_write(CALL_memcached_increment_with_initial_by_key, LAYER_INCREMENT, &call);
}

SHIM_EXPORT memcached_return_t memcached_decrement(memcached_st *handle, const char *key,
						   size_t n_key, uint32_t offset,
						   uint64_t *ret_value)
{
	struct memcached_call call = {
		.handle = handle,
		.key = key,
		.n_key = n_key,
		.delta = offset,
		.counter = ret_value,
	};

	return shim_write(CALL_memcached_decrement, LAYER_DECREMENT, &call);
}

SHIM_EXPORT memcached_return_t memcached_decrement_with_initial(memcached_st *handle,
								const char *key, size_t n_key,
								uint64_t offset, uint64_t initial,
								time_t expiration,
								uint64_t *ret_value)
{
	struct memcached_call call = {
		.handle = handle,
		.key = key,
		.n_key = n_key,
		.delta = offset,
		.initial = initial,
		.with_initial = true,
		.expiration = expiration,
		.counter = ret_value,
	};

	return shim_write(CALL_memcached_decrement_with_initial, LAYER_DECREMENT, &call);
}

SHIM_EXPORT memcached_return_t memcached_decrement_by_key(memcached_st *handle, const char *group,
							  size_t n_group, const char *key,
							  size_t n_key, uint64_t offset,
							  uint64_t *ret_value)
{
	struct memcached_call call = {
		.handle = handle,
		.by_key = true,
		.group = group,
		.n_group = n_group,
		.key = key,
		.n_key = n_key,
		.delta = offset,
		.counter = ret_value,
	};

	return shim_write(CALL_memcached_decrement_by_key, LAYER_DECREMENT, &call);
}

SHIM_EXPORT memcached_return_t memcached_decrement_with_initial_by_key(
	memcached_st *handle, const char *group, size_t n_group, const char *key, size_t n_key,
	uint64_t offset, uint64_t initial, time_t expiration, uint64_t *ret_value)
{
	struct memcached_call call = {
		.handle = handle,
		.by_key = true,
		.group = group,
		.n_group = n_group,
		.key = key,
		.n_key = n_key,
		.delta = offset,
		.initial = initial,
		.with_initial = true,
		.expiration = expiration,
		.counter = ret_value,
	};

	return shim_write(CALL_memcached_decrement_with_initial_by_key, LAYER_DECREMENT, &call);
}
