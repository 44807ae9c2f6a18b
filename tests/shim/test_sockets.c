/* What connections over TCP are like. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>

#include "tests/shim/client.h"

static struct server *server;

static int server_up(void **state)
{
	server = server_start_memcached_tcp(NULL);
	return server ? 0 : -1;
}

static int server_down(void **state)
{
	server_stop(&server);
	return 0;
}

static memcached_st *open_handle(bool binary)
{
	memcached_st *handle = memcached_create(NULL);

	assert_non_null(handle);
	memcached_behavior_set(handle, MEMCACHED_BEHAVIOR_BINARY_PROTOCOL, binary);
	memcached_server_add(handle, "127.0.0.1", server_port(server));
	return handle;
}

/* Of the one connection to the server: 1, or 0 where packets may wait for each other (Nagle). */
static int has_nodelay(void)
{
	int found = -1;

	for (int fd = 0; fd < 256; fd++) {
		struct sockaddr_in peer = { 0 };
		socklen_t n_peer = sizeof(peer);
		socklen_t n = sizeof(found);

		if (getpeername(fd, (struct sockaddr *)&peer, &n_peer) == 0 &&
		    peer.sin_family == AF_INET && ntohs(peer.sin_port) == server_port(server)) {
			assert_int_equal(found, -1);
			assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &found, &n), 0);
			found = found != 0;
		}
	}
	return found;
}

static void begin_version(memcached_st *handle)
{
	observe_state(handle, "version", memcached_version(handle));
}

static void begin_stat(memcached_st *handle)
{
	memcached_return_t rc;

	memcached_stat_free(handle, memcached_stat(handle, NULL, &rc));
	observe_state(handle, "stat", rc);
}

static void begin_get(memcached_st *handle)
{
	get(handle, "absent");
}

static void begin_set(memcached_st *handle)
{
	store(handle, "key", "value", 0);
}

static void begin_mget(memcached_st *handle)
{
	static const char *const keys[] = { "absent", "key" };

	ask(handle, keys, 2);
	fetch_result_all(handle);
}

static void begin_exist(memcached_st *handle)
{
	observe_state(handle, "exist", memcached_exist(handle, "absent", 6));
}

static void begin_flush(memcached_st *handle)
{
	observe_state(handle, "flush", memcached_flush(handle, 0));
}

static void (*const beginnings[])(memcached_st *) = {
	begin_version, begin_stat, begin_get, begin_set, begin_mget, begin_exist, begin_flush,
};

#define N_BEGINNINGS (sizeof(beginnings) / sizeof(beginnings[0]))

static void test_binary_connection__sends_at_once_and_the_handle_does_not_say_so(void **state)
{
	for (size_t i = 0; i < N_BEGINNINGS; i++) {
		memcached_st *handle = open_handle(true);
		memcached_st *clone;

		beginnings[i](handle);
		assert_int_equal(has_nodelay(), preloaded());
		observe("says %d\n",
			(int)memcached_behavior_get(handle, MEMCACHED_BEHAVIOR_TCP_NODELAY));
		clone = memcached_clone(NULL, handle);
		observe("its clone says %d\n",
			(int)memcached_behavior_get(clone, MEMCACHED_BEHAVIOR_TCP_NODELAY));
		memcached_free(clone);
		memcached_free(handle);
	}
}

static void test_text_connection__is_as_the_program_wants_it(void **state)
{
	for (size_t i = 0; i < N_BEGINNINGS; i++) {
		memcached_st *handle = open_handle(false);

		beginnings[i](handle);
		assert_int_equal(has_nodelay(), 0);
		memcached_free(handle);
	}
}

static void test_program_that_wants_it__has_it_in_both(void **state)
{
	for (int binary = 0; binary < 2; binary++) {
		memcached_st *handle = open_handle(binary);

		memcached_behavior_set(handle, MEMCACHED_BEHAVIOR_TCP_NODELAY, 1);
		begin_mget(handle);
		assert_int_equal(has_nodelay(), 1);
		observe("says %d\n",
			(int)memcached_behavior_get(handle, MEMCACHED_BEHAVIOR_TCP_NODELAY));
		memcached_free(handle);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_binary_connection__sends_at_once_and_the_handle_does_not_say_so),
		cmocka_unit_test(test_text_connection__is_as_the_program_wants_it),
		cmocka_unit_test(test_program_that_wants_it__has_it_in_both),
	};

	return cmocka_run_group_tests(tests, server_up, server_down);
}
