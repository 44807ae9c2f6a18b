#include "tests/shim/client.h"

#include <unistd.h>

#define KEYS_MAX 16

struct server *client_server;

int client_server_up(void **state)
{
	client_server = server_start_memcached("-t 1");
	return client_server != NULL ? 0 : -1;
}

int client_server_down(void **state)
{
	server_stop(&client_server);
	return 0;
}

void client_environment(const char *name, const char *value, char **arguments)
{
	if (getenv(name) == NULL) {
		setenv(name, value, 1);
		execv("/proc/self/exe", arguments);
		abort();
	}
}

memcached_st *handle_open(bool binary)
{
	memcached_st *handle = memcached_create(NULL);

	assert_non_null(handle);
	assert_int_equal(memcached_server_add_unix_socket(handle, server_socket(client_server)),
			 MEMCACHED_SUCCESS);
	assert_int_equal(memcached_behavior_set(handle, MEMCACHED_BEHAVIOR_BINARY_PROTOCOL, binary),
			 MEMCACHED_SUCCESS);
	return handle;
}

const char *name_of(memcached_return_t result)
{
	return memcached_strerror(NULL, result);
}

void observe_state(memcached_st *handle, const char *call, memcached_return_t result)
{
	observe("%s: %s, last error %s, errno %d, message %s", call, name_of(result),
		name_of(memcached_last_error(handle)), memcached_last_error_errno(handle),
		memcached_last_error_message(handle) != NULL ? "one" : "none");
}

void observe_value(const char *call, const char *value, size_t n_value, uint32_t flags,
		   memcached_return_t result)
{
	observe("%s: %s \"%.*s\" %zu bytes flags %#x%s", call, name_of(result),
		value != NULL ? (int)(n_value < 64 ? n_value : 64) : 0, value != NULL ? value : "",
		n_value, flags, value == NULL ? " null" : "");
}

void store(memcached_st *handle, const char *key, const char *value, uint32_t flags)
{
	observe_state(handle, "set",
		      memcached_set(handle, key, strlen(key), value, strlen(value), 0, flags));
}

void get(memcached_st *handle, const char *key)
{
	memcached_return_t result;
	uint32_t flags = 77;
	size_t n_value = 77;
	char *value = memcached_get(handle, key, strlen(key), &n_value, &flags, &result);

	observe_value("get", value, n_value, value != NULL ? flags : 0, result);
	observe_state(handle, "get", result);
	assert_true(value == NULL || value[n_value] == '\0');
	free(value);
}

void ask(memcached_st *handle, const char *const *keys, size_t n_keys)
{
	size_t lengths[KEYS_MAX];
	size_t i;

	assert_true(n_keys <= KEYS_MAX);
	for (i = 0; i < n_keys; i++) {
		lengths[i] = strlen(keys[i]);
	}
	observe_state(handle, "mget", memcached_mget(handle, keys, lengths, n_keys));
}

void fetch_all(memcached_st *handle)
{
	memcached_return_t result = MEMCACHED_SUCCESS;
	char *value;

	do {
		char key[MEMCACHED_MAX_KEY] = "";
		size_t n_key = 0, n_value = 0;
		uint32_t flags = 0;

		value = memcached_fetch(handle, key, &n_key, &n_value, &flags, &result);
		observe("fetch of %.*s", (int)n_key, key);
		observe_value("fetch", value, n_value, flags, result);
		free(value);
	} while (result == MEMCACHED_SUCCESS);
}

void fetch_result_all(memcached_st *handle)
{
	memcached_return_t result = MEMCACHED_SUCCESS;
	memcached_result_st *found;

	while ((found = memcached_fetch_result(handle, NULL, &result)) != NULL) {
		observe("result of %.*s cas %s", (int)memcached_result_key_length(found),
			memcached_result_key_value(found),
			memcached_result_cas(found) != 0 ? "yes" : "no");
		observe_value("result", memcached_result_value(found),
			      memcached_result_length(found), memcached_result_flags(found),
			      result);
		memcached_result_free(found);
	}
	observe_state(handle, "fetch_result", result);
}

memcached_return_t execute_one(const memcached_st *handle, memcached_result_st *found,
			       void *context)
{
	++*(unsigned *)context;
	observe("executed for %.*s: %.*s", (int)memcached_result_key_length(found),
		memcached_result_key_value(found), (int)memcached_result_length(found),
		memcached_result_value(found) != NULL ? memcached_result_value(found) : "");
	return MEMCACHED_SUCCESS;
}

void in_both_protocols(const char *name, void (*body)(memcached_st *handle))
{
	unsigned binary;

	for (binary = 0; binary < 2; binary++) {
		memcached_st *handle = handle_open(binary);

		observe("-- %s, %s", name, binary ? "binary" : "text");
		observe_state(handle, "flush", memcached_flush(handle, 0));
		body(handle);
		memcached_free(handle);
	}
}
