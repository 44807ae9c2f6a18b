/* Does a connection send and answer what it should, and leave alone what is the host's? */
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/lib/script.h"

#define SHORT_NS (50 * CLOCK_NS_PER_MS)

static void test_replies__come_in_order(void **state)
{
	script_expect(SCRIPT_SAYS(SCRIPT_MIXED), 8, SCRIPT_MIXED_SEEN);
}

static void test_replies_byte_by_byte__are_the_same(void **state)
{
	struct script script = SCRIPT_SAYS(SCRIPT_MIXED);

	script.piece = 1;
	script_expect(script, 8, SCRIPT_MIXED_SEEN);
}

static void on_alarm(int signal_number)
{
	(void)signal_number;
}

static void test_signals__interrupt_nothing(void **state)
{
	struct sigaction action = { .sa_handler = on_alarm };
	struct itimerval often = { { 0, 200 }, { 0, 200 } };
	struct script script = SCRIPT_SAYS(SCRIPT_MIXED);

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	script.piece = 1;
	for (int i = 0; i < 50; i++) {
		script_expect(script, 8, SCRIPT_MIXED_SEEN);
	}
	memset(&often, 0, sizeof(often));
	setitimer(ITIMER_REAL, &often, NULL);
	signal(SIGALRM, SIG_DFL);
}

static void test_request__is_what_redis_expects(void **state)
{
	static const char expected[] = "*3\r\n$3\r\nSET\r\n$6\r\nab\0cd\n\r\n$3\r\n-17\r\n"
				       "*1\r\n$0\r\n\r\n";
	struct redis_wire *wire = script_open();
	struct script_seen seen = { .n = 0 };
	char bytes[256];
	ssize_t n;
	int fd;

	redis_wire_command(wire, 3);
	redis_wire_text(wire, "SET");
	redis_wire_arg_pair(wire, "ab\0", 3, "cd\n", 3);
	redis_wire_number(wire, -17);
	redis_wire_command(wire, 1);
	redis_wire_arg(wire, NULL, 0);
	assert_int_equal(redis_wire_exchange(wire, script_see, &seen, clock_now_ns() + SHORT_NS),
			 REDIS_WIRE_TIMEOUT);
	fd = accept(script_server.listener, NULL, NULL);
	n = recv(fd, bytes, sizeof(bytes), 0);
	assert_int_equal(n, sizeof(expected) - 1);
	assert_memory_equal(bytes, expected, sizeof(expected) - 1);
	close(fd);
	redis_wire_close(&wire);
}

static void test_posted_commands__owe_their_replies_to_the_next_exchange(void **state)
{
	struct script script = SCRIPT_SAYS("-NOSCRIPT nothing of it\r\n:1\r\n+OK\r\n");
	struct redis_wire *wire;
	struct script_seen seen = { .n = 0 };

	script.questions = 1;
	script_serve(script);
	wire = script_open();
	script_ask(wire, 2);
	assert_int_equal(redis_wire_post(wire, clock_now_ns() + SCRIPT_PATIENCE_NS), REDIS_WIRE_OK);
	/* What is owed may lie there already. */
	poll(NULL, 0, 20);
	assert_true(redis_wire_is_usable(wire));
	script_ask(wire, 1);
	redis_wire_send(wire);
	assert_int_equal(
		redis_wire_receive(wire, script_see, &seen, clock_now_ns() + SCRIPT_PATIENCE_NS),
		REDIS_WIRE_OK);
	assert_string_equal(seen.text, "0+OK\n");
	assert_string_equal(redis_wire_owed_error(wire), "NOSCRIPT");
	assert_string_equal(redis_wire_error(wire), "");
	assert_true(redis_wire_is_usable(wire));
	redis_wire_close(&wire);
	script_join();
}

/* What has come is taken though the time is over: the caller was busy elsewhere. */
static void test_answer_that_lies_there__is_in_time(void **state)
{
	struct redis_wire *wire;
	struct script_seen seen = { .n = 0 };

	script_serve(SCRIPT_SAYS("+OK\r\n"));
	wire = script_open();
	script_ask(wire, 1);
	redis_wire_send(wire);
	poll(NULL, 0, 50);
	assert_int_equal(redis_wire_receive(wire, script_see, &seen, clock_now_ns() - 1),
			 REDIS_WIRE_OK);
	assert_string_equal(seen.text, "0+OK\n");
	redis_wire_close(&wire);
	script_join();
}

/* Buffers that grew are given back, and the connection works on. */
static void test_refused_reply__ends_the_exchange(void **state)
{
	struct script_seen seen = { .refuses = true };

	assert_int_equal(script_talk(SCRIPT_SAYS("+OK\r\n+OK\r\n"), 2, SCRIPT_PATIENCE_NS, &seen),
			 REDIS_WIRE_REFUSED);
	assert_int_equal(seen.n_replies, 1);
}

static void expect_error(struct script script, const char *expected)
{
	struct redis_wire *wire;
	struct script_seen seen = { .refuses = true };

	script_serve(script);
	wire = script_open();
	script_ask(wire, 1);
	assert_int_equal(
		redis_wire_exchange(wire, script_see, &seen, clock_now_ns() + SCRIPT_PATIENCE_NS),
		REDIS_WIRE_REFUSED);
	assert_string_equal(redis_wire_error(wire), expected);
	redis_wire_close(&wire);
	script_join();
}

static void test_error__has_no_arguments(void **state)
{
	expect_error(SCRIPT_SAYS("-WRONGPASS for 'secret'\r\n"), "WRONGPASS");
	expect_error(SCRIPT_SAYS("-ERR DB index is out of range\r\n"),
		     "ERR DB index is out of range");
	expect_error(
		SCRIPT_SAYS("-ERR unknown command 'AUTH', with args beginning with: 'secret'\r\n"),
		"ERR unknown command");
	expect_error(SCRIPT_SAYS("-ERR\r\n"), "ERR");
}

static void test_unasked_bytes__make_an_idle_connection_unusable(void **state)
{
	struct script script = SCRIPT_SAYS("+OK\r\n");
	struct pollfd wait;
	struct redis_wire *wire;
	int fd = dup(0);

	close(fd);
	wire = script_open();
	script.early = true;
	script_serve(script);
	wait = (struct pollfd){ .fd = fd, .events = POLLIN };
	assert_int_equal(poll(&wait, 1, SCRIPT_PATIENCE_NS / CLOCK_NS_PER_MS), 1);
	assert_false(redis_wire_is_usable(wire));
	redis_wire_close(&wire);
}

static void test_idle_connection__is_usable_until_the_server_leaves(void **state)
{
	struct redis_wire *wire = script_open();
	int fd = accept(script_server.listener, NULL, NULL);

	assert_true(redis_wire_is_usable(wire));
	close(fd);
	assert_false(redis_wire_is_usable(wire));
	redis_wire_close(&wire);
}

static void test_server_that_left__is_noticed_behind_what_it_owed(void **state)
{
	struct script script = SCRIPT_SAYS(":1\r\n");
	struct redis_wire *wire;

	script.closes = true;
	script_serve(script);
	wire = script_open();
	script_ask(wire, 1);
	assert_int_equal(redis_wire_post(wire, clock_now_ns() + SCRIPT_PATIENCE_NS), REDIS_WIRE_OK);
	script_join();
	assert_false(redis_wire_is_usable(wire));
	redis_wire_close(&wire);
}

/* What a daemon does: closes every descriptor, and gets the number again. */
static void test_descriptor_of_the_host__is_left_alone(void **state)
{
	int fd = dup(0), mine;
	struct redis_wire *wire;

	close(fd);
	wire = script_open();
	close(fd);
	mine = open("/dev/null", O_RDWR | O_CLOEXEC);
	assert_int_equal(mine, fd);
	assert_false(redis_wire_is_usable(wire));
	redis_wire_close(&wire);
	assert_true(fcntl(mine, F_GETFD) >= 0);
	close(mine);
}

static void test_standard_descriptors__are_never_taken(void **state)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct redis_wire *wire = NULL;
		bool well;

		close(0);
		close(1);
		close(2);
		well = redis_wire_open(&wire, (struct sockaddr *)&script_server.address,
				       script_server.n_address, SCRIPT_MAX_REPLY,
				       clock_now_ns() + SCRIPT_PATIENCE_NS) == REDIS_WIRE_OK;
		for (int fd = 0; fd <= 2; fd++) {
			well = well && fcntl(fd, F_GETFD) < 0;
		}
		_exit(well ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_socket__is_closed_on_exec(void **state)
{
	int fd = dup(0);
	struct redis_wire *wire;

	close(fd);
	wire = script_open();
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	redis_wire_close(&wire);
}

static void test_nobody_there__is_unreachable(void **state)
{
	struct sockaddr_in loopback = { .sin_family = AF_INET };
	struct sockaddr_un local = { .sun_family = AF_UNIX, .sun_path = "/nonexistent/socket" };
	socklen_t n = sizeof(loopback);
	struct redis_wire *wire = NULL;
	int bound = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* A port that is taken, where nobody listens. */
	loopback.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(bound, (struct sockaddr *)&loopback, n), 0);
	assert_int_equal(getsockname(bound, (struct sockaddr *)&loopback, &n), 0);
	assert_int_equal(redis_wire_open(&wire, (struct sockaddr *)&loopback, n, SCRIPT_MAX_REPLY,
					 clock_now_ns() + SCRIPT_PATIENCE_NS),
			 REDIS_WIRE_UNREACHABLE);
	assert_int_equal(redis_wire_open(&wire, (struct sockaddr *)&local, sizeof(local),
					 SCRIPT_MAX_REPLY, clock_now_ns() + SCRIPT_PATIENCE_NS),
			 REDIS_WIRE_UNREACHABLE);
	assert_null(wire);
	close(bound);
}

static void test_tcp__works_too(void **state)
{
	struct sockaddr_in loopback = { .sin_family = AF_INET };

	close(script_server.listener);
	script_server.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	loopback.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(
		bind(script_server.listener, (struct sockaddr *)&loopback, sizeof(loopback)), 0);
	assert_int_equal(listen(script_server.listener, 8), 0);
	script_server.n_address = sizeof(script_server.address);
	getsockname(script_server.listener, (struct sockaddr *)&script_server.address,
		    &script_server.n_address);
	script_expect(SCRIPT_SAYS(SCRIPT_MIXED), 8, SCRIPT_MIXED_SEEN);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, script_set_up, script_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_replies__come_in_order),
		TEST(test_replies_byte_by_byte__are_the_same),
		TEST(test_signals__interrupt_nothing),
		TEST(test_request__is_what_redis_expects),
		TEST(test_posted_commands__owe_their_replies_to_the_next_exchange),
		TEST(test_answer_that_lies_there__is_in_time),
		TEST(test_refused_reply__ends_the_exchange),
		TEST(test_error__has_no_arguments),
		TEST(test_unasked_bytes__make_an_idle_connection_unusable),
		TEST(test_idle_connection__is_usable_until_the_server_leaves),
		TEST(test_server_that_left__is_noticed_behind_what_it_owed),
		TEST(test_descriptor_of_the_host__is_left_alone),
		TEST(test_standard_descriptors__are_never_taken),
		TEST(test_socket__is_closed_on_exec),
		TEST(test_nobody_there__is_unreachable),
		TEST(test_tcp__works_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
