/* Handles that log in (SASL): who is not let in by memcached gets nothing from memory. */
#include "tests/shim/client.h"

#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* The server knows of no logins, and the text protocol has none. */
static void test_login__as_far_as_libmemcached_goes(void **state)
{
	for (unsigned binary = 0; binary < 2; binary++) {
		memcached_st *plain = handle_open(binary);
		memcached_st *handle = handle_open(binary);
		memcached_st *clone;
		uint64_t hits;

		observe("-- login, %s", binary ? "binary" : "text");
		store(plain, "key", "value", 0);
		get(plain, "key");
		get(plain, "key");
		observe_state(handle, "login",
			      memcached_set_sasl_auth_data(handle, "user", "password"));
		hits = preloaded() ? layer_hits("memory") : 0;
		get(handle, "key");
		if (preloaded()) {
			/* What somebody else was let to read is no reason to let this one. */
			assert_int_equal(layer_hits("memory"), hits);
		}
		for (int i = 0; i < 3; i++) {
			get(handle, "key");
			store(handle, "own", "mine", 0);
			get(plain, "own");
		}
		clone = memcached_clone(NULL, handle);
		observe("clone: %s", clone ? "one" : "none");
		if (clone) {
			get(clone, "key");
			get(clone, "key");
		}
		memcached_free(clone);
		observe("logout: %s", name_of(memcached_destroy_sasl_auth_data(handle)));
		memcached_quit(handle);
		get(handle, "key");
		memcached_set_sasl_callbacks(handle, NULL);
		get(handle, "key");
		observe("wrong: %s", name_of(memcached_set_sasl_auth_data(handle, NULL, "")));
		get(handle, "key");
		memcached_free(handle);
		memcached_free(plain);
	}
}

/* --- a server that lets nobody in --- */

static bool read_whole(int fd, unsigned char *bytes, size_t n)
{
	for (size_t done = 0; done < n;) {
		ssize_t got = read(fd, bytes + done, n - done);

		if (got <= 0) {
			return false;
		}
		done += (size_t)got;
	}
	return true;
}

/* Whatever is asked for: authentication error. */
static void refuse_one(int fd)
{
	unsigned char header[24];
	unsigned char body[1024];

	while (read_whole(fd, header, sizeof(header))) {
		unsigned n = (unsigned)(header[10] << 8 | header[11]);

		if (header[8] || header[9] || n > sizeof(body) || !read_whole(fd, body, n)) {
			break;
		}
		header[0] = 0x81;
		memset(header + 2, 0, 10);
		header[7] = 0x20;
		if (send(fd, header, sizeof(header), MSG_NOSIGNAL) != sizeof(header)) {
			break;
		}
	}
	close(fd);
}

static pid_t start_refusing(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t pid;

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	unlink(path);
	assert_int_equal(bind(listening, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listening, 8), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;) {
			refuse_one(accept(listening, NULL, NULL));
		}
	}
	close(listening);
	return pid;
}

static memcached_st *open_at(const char *path, const char *user)
{
	memcached_st *handle = memcached_create(NULL);

	memcached_behavior_set(handle, MEMCACHED_BEHAVIOR_BINARY_PROTOCOL, 1);
	memcached_server_add_unix_socket(handle, path);
	if (user) {
		memcached_set_sasl_auth_data(handle, user, "password");
	}
	return handle;
}

/*
 * The same server by name, first one that asks for no login: so memory has the
 * value for those without a login, and for one with another.
 */
static void test_login_refused__nothing_from_memory(void **state)
{
	static const char *const keys[] = { "key", "other" };
	const char *parent = getenv("TMPDIR");
	char path[100];
	memcached_st *handle, *friend;
	pid_t refusing;

	observe("-- refused");
	snprintf(path, sizeof(path), "%s/login.%d", parent ? parent : "/tmp", (int)getpid());
	unlink(path);
	assert_int_equal(symlink(server_socket(client_server), path), 0);
	handle = open_at(path, NULL);
	friend = open_at(path, "friend");
	for (int i = 0; i < 2; i++) {
		store(handle, "key", "value", 0);
		get(handle, "key");
		get(friend, "key");
	}
	memcached_free(handle);
	memcached_free(friend);

	refusing = start_refusing(path);
	handle = open_at(path, "stranger");
	get(handle, "key");
	ask(handle, keys, 2);
	fetch_result_all(handle);
	observe_state(handle, "exist", memcached_exist(handle, "key", 3));
	store(handle, "key", "changed", 0);
	get(handle, "key");
	memcached_free(handle);
	kill(refusing, SIGKILL);
	waitpid(refusing, NULL, 0);
	unlink(path);
}

static void test_preloaded__logins_were_seen(void **state)
{
	if (preloaded()) {
		assert_true(calls_seen("memcached_set_sasl_auth_data") > 2);
		assert_true(calls_seen("memcached_set_sasl_callbacks") > 0);
		assert_true(calls_seen("memcached_destroy_sasl_auth_data") > 0);
		assert_true(layer_hits("memory") > 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_login__as_far_as_libmemcached_goes),
		cmocka_unit_test(test_login_refused__nothing_from_memory),
		cmocka_unit_test(test_preloaded__logins_were_seen),
	};

	return cmocka_run_group_tests(tests, client_server_up, client_server_down);
}
