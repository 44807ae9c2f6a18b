/*
 * A configured namespace ([memcached] namespace): on the wire, and nowhere else.
 *
 * What goes over the wire is asked of the server by hand.
 */
#include "tests/shim/client.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define OURS "tenant-1:"
#define N_OURS (sizeof(OURS) - 1)

/* Longer than memcached takes with the configured namespace before it, and not without. */
#define N_LONG 248

/* The server's whole answer to a get of this key, with nothing put before it. */
static void get_by_hand(const char *key, char *answer, size_t n_answer)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char command[300];
	size_t n = 0;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strncpy(address.sun_path, server_socket(client_server), sizeof(address.sun_path) - 1);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	snprintf(command, sizeof(command), "get %s\r\n", key);
	assert_int_equal(write(fd, command, strlen(command)), strlen(command));
	do {
		ssize_t got = read(fd, answer + n, n_answer - 1 - n);

		assert_true(got > 0);
		n += (size_t)got;
		answer[n] = '\0';
	} while (strstr(answer, "END\r\n") == NULL);
	close(fd);
}

static bool is_on_the_wire(const char *key)
{
	char answer[1024];

	get_by_hand(key, answer, sizeof(answer));
	return strncmp(answer, "VALUE ", 6) == 0;
}

TEST_IN_BOTH(test_namespace__on_the_wire_and_nowhere_else)
{
	static const char *const keys[] = { "key", "missing", OURS "key" };
	memcached_return_t rc;
	memcached_st *clone;

	store(handle, "key", "value", 0);
	assert_int_equal(is_on_the_wire(OURS "key"), preloaded());
	assert_int_equal(is_on_the_wire("key"), !preloaded());
	for (int i = 0; i < 2; i++) {
		get(handle, "key");
		get(handle, OURS "key");
		ask(handle, keys, 3);
		fetch_result_all(handle);
		ask(handle, keys, 3);
		fetch_all(handle);
	}
	observe("namespace: %s",
		memcached_callback_get(handle, MEMCACHED_CALLBACK_NAMESPACE, &rc) ? "one" : "none");
	memcached_callback_set(handle, MEMCACHED_CALLBACK_NAMESPACE, "own:");
	observe("namespace: %s",
		(char *)memcached_callback_get(handle, MEMCACHED_CALLBACK_NAMESPACE, &rc));
	store(handle, "key", "own", 0);
	assert_int_equal(is_on_the_wire(OURS "own:key"), preloaded());
	clone = memcached_clone(NULL, handle);
	get(clone, "key");
	observe("of the clone: %s",
		(char *)memcached_callback_get(clone, MEMCACHED_CALLBACK_NAMESPACE, &rc));
	store(clone, "clone", "too", 0);
	assert_int_equal(is_on_the_wire(OURS "own:clone"), preloaded());
	memcached_free(clone);
	memcached_callback_set(handle, MEMCACHED_CALLBACK_NAMESPACE, NULL);
	get(handle, "key");
	observe_state(handle, "reset", memcached_reset(handle));
	memcached_server_add_unix_socket(handle, server_socket(client_server));
	memcached_flush(handle, 0);
	store(handle, "key", "anew", 0);
	assert_int_equal(is_on_the_wire(OURS "key"), preloaded());
}

static void long_key(char *key, size_t n)
{
	memset(key, 'k', n);
	key[n] = '\0';
}

/* What libmemcached says of a key that is too long by itself. */
static void test_key_too_long_with_it__is_too_long(void **state)
{
	for (unsigned binary = 0; binary < 2 && preloaded(); binary++) {
		memcached_st *handle = handle_open(binary);
		char key[N_LONG + 1];
		const char *keys[] = { "key", key };
		size_t lengths[] = { 3, N_LONG };
		memcached_execute_fn callbacks[] = { execute_one };
		memcached_return_t rc;
		uint32_t flags;
		uint64_t number;
		size_t n = 7;
		uint64_t passed = calls_passed("namespace");

		long_key(key, N_LONG);
		store(handle, "key", "value", 0);
		assert_null(memcached_get(handle, key, N_LONG, &n, &flags, &rc));
		assert_int_equal(rc, MEMCACHED_BAD_KEY_PROVIDED);
		assert_int_equal(memcached_last_error(handle), MEMCACHED_BAD_KEY_PROVIDED);
		assert_int_equal(n, 0);
		assert_int_equal(memcached_exist(handle, key, N_LONG), MEMCACHED_BAD_KEY_PROVIDED);
		assert_int_equal(memcached_mget(handle, keys, lengths, 2),
				 MEMCACHED_BAD_KEY_PROVIDED);
		assert_int_equal(memcached_mget_execute(handle, keys, lengths, 2, callbacks, &n, 1),
				 binary ? MEMCACHED_BAD_KEY_PROVIDED : MEMCACHED_NOT_SUPPORTED);
		/* The value would be taken for a command. */
		assert_int_equal(memcached_set(handle, key, N_LONG, "flush_all", 9, 0, 0),
				 MEMCACHED_BAD_KEY_PROVIDED);
		assert_int_equal(memcached_add(handle, key, N_LONG, "flush_all", 9, 0, 0),
				 MEMCACHED_BAD_KEY_PROVIDED);
		assert_int_equal(memcached_append_by_key(handle, "g", 1, key, N_LONG, "x", 1, 0, 0),
				 MEMCACHED_BAD_KEY_PROVIDED);
		assert_int_equal(memcached_cas(handle, key, N_LONG, "x", 1, 0, 0, 1),
				 MEMCACHED_BAD_KEY_PROVIDED);
		assert_int_equal(memcached_delete(handle, key, N_LONG, 0),
				 MEMCACHED_BAD_KEY_PROVIDED);
		assert_int_equal(memcached_increment(handle, key, N_LONG, 1, &number),
				 MEMCACHED_BAD_KEY_PROVIDED);
		assert_int_equal(
			memcached_decrement_with_initial(handle, key, N_LONG, 1, 1, 0, &number),
			MEMCACHED_BAD_KEY_PROVIDED);
		assert_int_equal(memcached_touch(handle, key, N_LONG, 0),
				 MEMCACHED_BAD_KEY_PROVIDED);
		assert_int_equal(calls_passed("namespace") - passed, 11 + binary);
		/* Nothing was sent, and nothing is out of step. */
		get(handle, "key");
		memcached_quit(handle);
		get(handle, "key");
		/* The longest that there is. */
		lengths[1] = 250 - N_OURS;
		store(handle, key + N_LONG - lengths[1], "longest", 0);
		get(handle, key + N_LONG - lengths[1]);
		memcached_quit(handle);
		get(handle, key + N_LONG - lengths[1]);
		memcached_free(handle);
	}
	if (!preloaded()) {
		/* The same lines. */
		for (unsigned binary = 0; binary < 2; binary++) {
			memcached_st *handle = handle_open(binary);
			char key[N_LONG + 1];

			long_key(key, 250 - N_OURS);
			store(handle, "key", "value", 0);
			get(handle, "key");
			get(handle, "key");
			store(handle, key, "longest", 0);
			get(handle, key);
			get(handle, key);
			memcached_free(handle);
		}
	}
}

/* libmemcached takes 127 bytes: then the program's own is worth more. */
static void test_namespaces_too_long_together__only_the_programs_own(void **state)
{
	memcached_st *handle = handle_open(false);
	memcached_return_t rc;
	char name[MEMCACHED_PREFIX_KEY_MAX_SIZE];
	char key[200];

	observe("-- too long");
	for (size_t n = 127 - N_OURS; n < 128; n++) {
		memset(name, 'n', n);
		name[n] = '\0';
		observe_state(handle, "namespace",
			      memcached_callback_set(handle, MEMCACHED_CALLBACK_NAMESPACE, name));
		observe("now %zu",
			strlen(memcached_callback_get(handle, MEMCACHED_CALLBACK_NAMESPACE, &rc)));
		store(handle, "key", "value", 0);
		get(handle, "key");
		snprintf(key, sizeof(key), "%s%skey", n > 127 - N_OURS || !preloaded() ? "" : OURS,
			 name);
		assert_true(is_on_the_wire(key));
	}
	memcached_free(handle);
}

int main(int n_arguments, char **arguments)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_namespace__on_the_wire_and_nowhere_else),
		cmocka_unit_test(test_key_too_long_with_it__is_too_long),
		cmocka_unit_test(test_namespaces_too_long_together__only_the_programs_own),
	};

	client_environment("TOWER_MEMCACHED_NAMESPACE", OURS, arguments);
	return cmocka_run_group_tests(tests, client_server_up, client_server_down);
}
