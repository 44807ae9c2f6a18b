/* By which ways is a Redis reached, and as whom? */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/faults/lib/deep.h"

static void test_without_password__is_down_until_it_is_given(void **state)
{
	struct redis_options options = deep_options(DEEP_LONG_NS);
	char path[] = "/tmp/tower-password-XXXXXX";
	struct layer *layer = deep_open(DEEP_LONG_NS);
	int fd = mkstemp(path);

	deep_set(layer, "k", "v");
	redis_ops.close(&layer);
	deep_expect_command("CONFIG SET requirepass secret", "+OK\r\n");
	layer = deep_open(DEEP_LONG_NS);
	deep_expect(layer, "k", LAYER_DOWN);
	deep_set(layer, "k", "w");
	deep_expect_clean(false);
	redis_ops.close(&layer);

	snprintf(deep_url, sizeof(deep_url), "unix://:wrong@%s", server_socket(deep_server));
	layer = deep_open(DEEP_LONG_NS);
	deep_expect(layer, "k", LAYER_DOWN);
	redis_ops.close(&layer);

	deep_setup_empty(state);
	snprintf(deep_url, sizeof(deep_url), "unix://default:secret@%s?db=0",
		 server_socket(deep_server));
	layer = deep_open(DEEP_LONG_NS);
	deep_expect_hit(layer, "k", "v");
	redis_ops.close(&layer);

	snprintf(deep_url, sizeof(deep_url), "unix://%s", server_socket(deep_server));
	assert_int_equal(write(fd, "secret\n", 7), 7);
	close(fd);
	options.password_file = path;
	layer = deep_with(&options);
	deep_expect_hit(layer, "k", "v");
	redis_ops.close(&layer);
	unlink(path);
}

static void test_databases__are_apart(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);
	struct layer *other;

	snprintf(deep_url, sizeof(deep_url), "unix://%s?db=3", server_socket(deep_server));
	other = deep_open(DEEP_LONG_NS);
	deep_set(layer, "k", "v");
	deep_expect(other, "k", LAYER_MISS);
	deep_set(other, "k", "w");
	deep_expect_hit(layer, "k", "v");
	deep_expect_hit(other, "k", "w");
	redis_ops.close(&other);
	/* There are 16. */
	snprintf(deep_url, sizeof(deep_url), "unix://%s?db=16", server_socket(deep_server));
	other = deep_open(DEEP_LONG_NS);
	deep_expect(other, "k", LAYER_DOWN);
	redis_ops.close(&other);
	redis_ops.close(&layer);
}

/* Something else listens there: HTTP, or noise. */
static void *serve_noise(void *listener)
{
	int fd;

	while ((fd = accept(*(int *)listener, NULL, NULL)) >= 0) {
		char bytes[512];

		if (recv(fd, bytes, sizeof(bytes), 0) > 0) {
			dprintf(fd, "HTTP/1.1 400 Bad Request\r\n\r\n");
		}
		close(fd);
	}
	return NULL;
}

static void test_something_else_there__is_down(void **state)
{
	struct sockaddr_in loopback = { .sin_family = AF_INET };
	socklen_t n = sizeof(loopback);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct layer *layer;
	pthread_t thread;

	loopback.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(listener, (struct sockaddr *)&loopback, n), 0);
	assert_int_equal(listen(listener, 8), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&loopback, &n), 0);
	assert_int_equal(pthread_create(&thread, NULL, serve_noise, &listener), 0);
	snprintf(deep_url, sizeof(deep_url), "redis://localhost:%d", ntohs(loopback.sin_port));
	layer = deep_open(DEEP_LONG_NS);
	for (int i = 0; i < 10; i++) {
		deep_expect(layer, "k", LAYER_DOWN);
		deep_set(layer, "k", "v");
	}
	assert_int_equal(redis_shared_n_unmarked(deep_shared), 10);
	redis_ops.close(&layer);
	shutdown(listener, SHUT_RDWR);
	pthread_join(thread, NULL);
	close(listener);
}

static void test_tcp_by_name__works(void **state)
{
	struct layer *layer;

	snprintf(deep_url, sizeof(deep_url), "redis://localhost:%d/2", deep_listen(deep_server));
	layer = deep_open(DEEP_LONG_NS);
	deep_set(layer, "k", "v");
	deep_expect_hit(layer, "k", "v");
	redis_ops.close(&layer);
}

/* What docs/DEEP-TIER.md asks for is enough for everything. */
static void test_user_with_few_rights__does_all(void **state)
{
	static const enum layer_verb verbs[] = { LAYER_SET,    LAYER_APPEND,	LAYER_TOUCH,
						 LAYER_DELETE, LAYER_INCREMENT, LAYER_REPLACE };
	struct redis_options options;
	struct layer *layer;

	deep_expect_command(
		"ACL SETUSER tower on >secret +auth +select +info +get +mget +set "
		"+unlink +script|load +evalsha +getrange +append +strlen +pexpire +persist "
		"+time +hset +hsetnx +hgetall +hdel ~test:*",
		"+OK\r\n");
	deep_expect_command("ACL SETUSER default off", "+OK\r\n");
	snprintf(deep_url, sizeof(deep_url), "unix://tower:secret@%s?db=1",
		 server_socket(deep_server));
	layer = deep_open(DEEP_LONG_NS);
	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
		struct layer_write write = deep_write_of(verbs[i], "k", "v");

		deep_write(layer, &write, true);
		write.deadline_ns = clock_now_ns() + 100 * CLOCK_NS_PER_S;
		deep_write(layer, &write, true);
	}
	deep_flush(layer);
	deep_set(layer, "k", "v");
	deep_expect_hit(layer, "k", "v");
	deep_expect_clean(true);
	redis_ops.close(&layer);
	/* And where another domain writes, until it is not heard of any more. */
	options = deep_options(DEEP_LONG_NS);
	options.heard_ms = 50;
	layer = deep_of_other(&options);
	for (size_t i = 0; i < 2 * sizeof(verbs) / sizeof(*verbs); i++) {
		deep_wrote(layer, verbs[i % (sizeof(verbs) / sizeof(*verbs))], "k", "v");
		poll(NULL, 0, 20);
	}
	assert_int_equal(deep_seen.several, 0);
	assert_int_equal(deep_counts.errors, 0);
	redis_ops.close(&layer);
	/* Another user's rights are not enough, and say so. */
	snprintf(deep_url, sizeof(deep_url), "unix://tower:wrong@%s", server_socket(deep_server));
	layer = deep_open(DEEP_LONG_NS);
	deep_expect(layer, "k", LAYER_DOWN);
	redis_ops.close(&layer);
}

/* A right that earlier versions did not need: what may not be read is not taken for nothing. */
static void test_user_who_may_not_look_at_bodies__is_told(void **state)
{
	struct layer *layer = deep_open(DEEP_LONG_NS);
	struct layer_write write = deep_write_of(LAYER_APPEND, "k", "v");

	deep_set(layer, "k", "v");
	redis_ops.close(&layer);
	deep_expect_command("ACL SETUSER tower on >secret +@all -getrange ~test:*", "+OK\r\n");
	snprintf(deep_url, sizeof(deep_url), "unix://tower:secret@%s", server_socket(deep_server));
	layer = deep_open(DEEP_LONG_NS);
	deep_write(layer, &write, true);
	assert_int_equal(write.found, LAYER_FOUND_UNKNOWN);
	assert_true(deep_counts.errors > 0);
	deep_expect_clean(false);
	redis_ops.close(&layer);
}

static struct server *replica_start(void)
{
	struct server *replica = server_start_redis("--repl-diskless-sync-delay 0");
	char text[64];

	assert_non_null(replica);
	deep_expect_command("CONFIG SET repl-diskless-sync-delay 0", "+OK\r\n");
	snprintf(text, sizeof(text), "REPLICAOF 127.0.0.1 %d", deep_listen(deep_server));
	assert_string_equal(deep_command_to(replica, text), "+OK\r\n");
	deep_wait_for(replica, "INFO replication", "master_link_status:up");
	return replica;
}

/* Until the replica has it. */
static void wait_for_record(const struct server *replica)
{
	char text[600];

	snprintf(text, sizeof(text), "EXISTS %s", deep_only_body());
	deep_wait_for(replica, text, ":1");
}

static void test_replica__is_read_and_nobody_keeps_what_it_has(void **state)
{
	struct redis_options options = deep_options(DEEP_LONG_NS);
	struct layer_item item = { .key = deep_key("k"), .answer = LAYER_MISS };
	struct layer_batch batch = deep_batch(&item, 1);
	struct server *replica = replica_start();
	char replicas[256];
	struct layer *layer;

	snprintf(replicas, sizeof(replicas), "unix://%s", server_socket(replica));
	options.replicas = replicas;
	layer = deep_with(&options);
	deep_set(layer, "k", "v");
	wait_for_record(replica);
	redis_ops.get(layer, &batch);
	assert_int_equal(item.answer, LAYER_HIT);
	assert_string_equal(item.value, "v");
	assert_true(item.slot == LAYER_SLOT_BUSY);
	free(item.value);
	assert_int_equal(deep_n_reads(deep_server), 0);
	assert_int_equal(deep_n_reads(replica), 1);
	deep_expect(layer, "l", LAYER_MISS);
	assert_int_equal(deep_n_reads(deep_server), 0);

	/* With CAS ids: what goes back into memcached must not be old. */
	item = (struct layer_item){ .key = deep_key("k"), .answer = LAYER_MISS };
	batch = deep_batch(&item, 1);
	batch.want_cas = true;
	redis_ops.get(layer, &batch);
	assert_int_equal(item.answer, LAYER_HIT);
	assert_true(item.slot != LAYER_SLOT_BUSY);
	free(item.value);
	assert_int_equal(deep_n_reads(deep_server), 1);
	redis_ops.close(&layer);
	server_stop(&replica);
}

/* One that is away, and one that has never heard of the generation in force. */
static void test_replica_that_cannot_know__is_replaced_by_the_leader(void **state)
{
	struct redis_options options = deep_options(DEEP_LONG_NS);
	struct server *replica = replica_start();
	char replicas[256];
	struct layer *layer;

	snprintf(replicas, sizeof(replicas), "unix:///nonexistent/redis, unix://%s",
		 server_socket(replica));
	options.replicas = replicas;
	layer = deep_with(&options);
	deep_set(layer, "k", "old");
	wait_for_record(replica);
	assert_string_equal(deep_command_to(replica, "REPLICAOF NO ONE"), "+OK\r\n");
	deep_flush(layer);
	for (int i = 0; i < 10; i++) {
		deep_expect(layer, "k", LAYER_MISS);
	}
	deep_set(layer, "k", "new");
	deep_expect_hit(layer, "k", "new");
	server_kill(replica, SIGKILL);
	assert_true(server_wait_exit(replica, DEEP_PATIENCE_NS / CLOCK_NS_PER_MS));
	for (int i = 0; i < 10; i++) {
		deep_expect_hit(layer, "k", "new");
	}
	deep_expect_clean(true);
	redis_ops.close(&layer);
	server_stop(&replica);
}

/* They are asked as the url's user, whom each of them has to know. */
static void test_two_replicas__are_both_read_as_the_urls_user(void **state)
{
	static const char user[] = "ACL SETUSER tower on >secret ~* +@all";
	struct redis_options options = deep_options(DEEP_LONG_NS);
	struct server *replicas[2] = { replica_start(), replica_start() };
	char urls[512];
	struct layer *layer;

	deep_expect_command(user, "+OK\r\n");
	for (int i = 0; i < 2; i++) {
		assert_string_equal(deep_command_to(replicas[i], user), "+OK\r\n");
		assert_string_equal(deep_command_to(replicas[i], "ACL SETUSER default -mget"),
				    "+OK\r\n");
	}
	snprintf(deep_url, sizeof(deep_url), "unix://tower:secret@%s", server_socket(deep_server));
	snprintf(urls, sizeof(urls), "unix://%s,unix://%s", server_socket(replicas[0]),
		 server_socket(replicas[1]));
	options.replicas = urls;
	layer = deep_with(&options);
	deep_set(layer, "k", "v");
	wait_for_record(replicas[0]);
	wait_for_record(replicas[1]);
	for (int i = 0; i < 100; i++) {
		deep_expect_hit(layer, "k", "v");
	}
	assert_in_range(deep_n_reads(replicas[0]), 10, 90);
	assert_int_equal(deep_n_reads(replicas[0]) + deep_n_reads(replicas[1]), 100);
	assert_int_equal(deep_n_reads(deep_server), 0);

	/* Who has forgotten him is not read, and the other one, or the leader, is. */
	assert_string_equal(deep_command_to(replicas[0], "ACL DELUSER tower"), ":1\r\n");
	for (int i = 0; i < 20; i++) {
		deep_expect_hit(layer, "k", "v");
	}
	redis_ops.close(&layer);
	server_stop(&replicas[0]);
	server_stop(&replicas[1]);
}

/* While its connection is open; what Redis did not hear of is not read afterwards. */
static void test_rights_withdrawn_for_a_while__nothing_old_comes_back(void **state)
{
	struct layer *layer;

	deep_expect_command("ACL SETUSER tower on >secret ~* +@all", "+OK\r\n");
	snprintf(deep_url, sizeof(deep_url), "unix://tower:secret@%s", server_socket(deep_server));
	layer = deep_open(DEEP_LONG_NS);
	deep_set(layer, "k", "old");
	deep_set(layer, "l", "kept");
	deep_expect_hit(layer, "k", "old");
	deep_expect_command("ACL SETUSER tower -mget", "+OK\r\n");
	deep_expect(layer, "l", LAYER_DOWN);
	assert_true(deep_seen.open);
	deep_expect_command("ACL SETUSER tower +mget -set -unlink", "+OK\r\n");
	/* The breaker is closed by a read; the mark is refused. */
	assert_int_equal(deep_get_when_up(layer, "l"), LAYER_HIT);
	deep_wrote(layer, LAYER_DELETE, "k", NULL);
	deep_expect_clean(false);
	deep_expect(layer, "k", LAYER_DOWN);
	deep_expect_command("ACL SETUSER tower +set +unlink", "+OK\r\n");
	assert_int_equal(deep_get_when_up(layer, "k"), LAYER_MISS);
	deep_expect_clean(true);
	deep_expect_hit(layer, "l", "kept");
	redis_ops.close(&layer);
}

static void test_user_of_the_url__has_his_password_from_a_file(void **state)
{
	struct redis_options options = deep_options(DEEP_LONG_NS);
	char path[] = "/tmp/tower-password-XXXXXX";
	int fd = mkstemp(path);
	struct layer *layer;

	assert_int_equal(write(fd, "secret\n", 7), 7);
	close(fd);
	deep_expect_command("ACL SETUSER tower on >secret ~* +@all", "+OK\r\n");
	snprintf(deep_url, sizeof(deep_url), "unix://tower@%s", server_socket(deep_server));
	options.password_file = path;
	layer = deep_with(&options);
	unlink(path);
	deep_set(layer, "k", "v");
	deep_expect_hit(layer, "k", "v");
	assert_non_null(strstr(deep_command("CLIENT LIST"), "user=tower"));
	redis_ops.close(&layer);
}

static void test_unknown_name__is_down(void **state)
{
	struct layer *layer;

	strcpy(deep_url, "redis://[::zz]:6379");
	layer = deep_open(DEEP_LONG_NS);
	deep_expect(layer, "k", LAYER_DOWN);
	redis_ops.close(&layer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DEEP_TEST(test_without_password__is_down_until_it_is_given),
		DEEP_TEST(test_databases__are_apart),
		DEEP_TEST_ALONE(test_something_else_there__is_down),
		DEEP_TEST(test_tcp_by_name__works),
		DEEP_TEST(test_replica__is_read_and_nobody_keeps_what_it_has),
		DEEP_TEST(test_replica_that_cannot_know__is_replaced_by_the_leader),
		DEEP_TEST(test_two_replicas__are_both_read_as_the_urls_user),
		DEEP_TEST(test_user_with_few_rights__does_all),
		DEEP_TEST(test_user_who_may_not_look_at_bodies__is_told),
		DEEP_TEST(test_rights_withdrawn_for_a_while__nothing_old_comes_back),
		DEEP_TEST(test_user_of_the_url__has_his_password_from_a_file),
		DEEP_TEST_ALONE(test_unknown_name__is_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
