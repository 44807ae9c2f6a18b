/*
 * A library that calls libmemcached when it is loaded and when it goes, or when it is
 * asked: what a client library, or a module that dlopen() brings, does.
 */
#include <libmemcached/memcached.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int client_round(const char *socket);

int client_round(const char *socket)
{
	memcached_st *handle = memcached_create(NULL);
	int good = 0;

	memcached_server_add_unix_socket(handle, socket);
	memcached_set(handle, "client", 6, "value", 5, 0, 0);
	for (unsigned i = 0; i < 3; i++) {
		memcached_return_t rc;
		uint32_t flags;
		size_t n = 0;
		char *value = memcached_get(handle, "client", 6, &n, &flags, &rc);

		good += value && n == 5 && memcmp(value, "value", 5) == 0;
		free(value);
	}
	memcached_free(handle);
	return good;
}

static void round_at(const char *moment)
{
	const char *socket = getenv("GUEST_CLIENT");

	if (socket) {
		printf("%s: %d\n", moment, client_round(socket));
		fflush(stdout);
	}
}

__attribute__((constructor)) static void begin(void)
{
	round_at("loaded");
}

__attribute__((destructor)) static void end(void)
{
	round_at("unloaded");
}
