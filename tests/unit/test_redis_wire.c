/* Does a connection survive whatever the other side does, and in time? */
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

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "layers/redis_wire.h"

#define PATIENCE_NS (20 * CLOCK_NS_PER_S)
#define SHORT_NS (50 * CLOCK_NS_PER_MS)
#define MAX_REPLY 1000
#define SEEN_MAX 4096
#define FUZZ_ROUNDS 20000
#define FUZZ_LIMIT_NS (4 * CLOCK_NS_PER_S)

/* What the server at the other end does with one connection. */
struct script {
	const char *bytes;
	size_t n;
	size_t piece;  /* bytes a send; 0: all at once */
	bool for_ever; /* sends again and again */
	bool early;    /* does not wait for a question */
	bool never_reads;
	int questions; /* so often; 0: once */
	bool closes;   /* else waits until the client has closed */
};

struct fake {
	int listener;
	struct sockaddr_storage address;
	socklen_t n_address;
	struct script script;
	pthread_t thread;
	bool runs;
};

static struct fake fake;

static void send_all(int fd, const struct script *script)
{
	size_t piece = script->piece ? script->piece : script->n;

	do {
		for (size_t at = 0; at < script->n; at += piece) {
			size_t n = script->n - at < piece ? script->n - at : piece;

			if (send(fd, script->bytes + at, n, MSG_NOSIGNAL) < 0) {
				return;
			}
		}
	} while (script->for_ever);
}

static void *serve(void *unused)
{
	char bytes[4096];
	sigset_t all;
	int fd;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	fd = accept4(fake.listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0) {
		return unused;
	}
	do {
		if (!fake.script.early && !fake.script.never_reads) {
			recv(fd, bytes, sizeof(bytes), 0);
		}
		send_all(fd, &fake.script);
	} while (--fake.script.questions > 0);
	if (!fake.script.closes) {
		struct pollfd gone = { .fd = fd, .events = fake.script.never_reads ? 0 : POLLIN };

		while (poll(&gone, 1, PATIENCE_NS / CLOCK_NS_PER_MS) > 0 &&
		       !(gone.revents & (POLLHUP | POLLERR)) &&
		       recv(fd, bytes, sizeof(bytes), 0) > 0) {
		}
	}
	close(fd);
	return unused;
}

static void serve_script(struct script script)
{
	fake.script = script;
	assert_int_equal(pthread_create(&fake.thread, NULL, serve, NULL), 0);
	fake.runs = true;
}

#define SAYS(text) ((struct script){ .bytes = (text), .n = sizeof(text) - 1 })

static int setup(void **state)
{
	struct sockaddr_un local = { .sun_family = AF_UNIX };

	/* An abstract name that the kernel chooses: no file, no port. */
	fake.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	fake.n_address = sizeof(fake.address);
	return bind(fake.listener, (struct sockaddr *)&local, sizeof(sa_family_t)) ||
	       listen(fake.listener, 8) ||
	       getsockname(fake.listener, (struct sockaddr *)&fake.address, &fake.n_address);
}

static void join(void)
{
	if (fake.runs) {
		pthread_join(fake.thread, NULL);
		fake.runs = false;
	}
}

static int teardown(void **state)
{
	join();
	close(fake.listener);
	return 0;
}

/* What came in, one line a reply. */
struct seen {
	char text[SEEN_MAX];
	size_t n;
	size_t n_replies;
	int64_t took_ns; /* the exchange, the making of its questions not counted */
	bool refuses;
};

static bool see(void *owner, const struct redis_wire_reply *reply)
{
	static const char marks[] = "$+-:_*";
	struct seen *seen = owner;
	size_t room = sizeof(seen->text) - seen->n;
	int n = 0;

	seen->n_replies++;
	if (room > 1) {
		n = snprintf(seen->text + seen->n, room, "%zu%s%c", reply->command,
			     reply->is_element ? "." : "", marks[reply->type]);
		seen->n += (size_t)n;
		room -= (size_t)n;
	}
	switch (reply->type) {
	case REDIS_WIRE_STRING:
	case REDIS_WIRE_STATUS:
	case REDIS_WIRE_ERROR:
		n = snprintf(seen->text + seen->n, room, "%.*s\n", (int)reply->n, reply->bytes);
		break;
	case REDIS_WIRE_INTEGER:
		n = snprintf(seen->text + seen->n, room, "%lld\n", (long long)reply->integer);
		break;
	case REDIS_WIRE_ARRAY:
		n = snprintf(seen->text + seen->n, room, "%zu\n", reply->n);
		break;
	case REDIS_WIRE_NIL:
		n = snprintf(seen->text + seen->n, room, "\n");
		break;
	}
	seen->n += (size_t)n < room ? (size_t)n : room - 1;
	return !seen->refuses;
}

static struct redis_wire *wire_open(void)
{
	struct redis_wire *wire = NULL;

	assert_int_equal(redis_wire_open(&wire, (struct sockaddr *)&fake.address, fake.n_address,
					 MAX_REPLY, clock_now_ns() + PATIENCE_NS),
			 REDIS_WIRE_OK);
	return wire;
}

static void ask(struct redis_wire *wire, unsigned n)
{
	while (n-- > 0) {
		redis_wire_command(wire, 1);
		redis_wire_text(wire, "PING");
	}
}

/* One exchange of n questions on a new connection to a server with this script. */
static enum redis_wire_status talk(struct script script, unsigned n, int64_t wait_ns,
				   struct seen *ret_seen)
{
	struct redis_wire *wire;
	enum redis_wire_status status;
	struct seen refused = { .refuses = true };
	int64_t before;

	memset(ret_seen, 0, offsetof(struct seen, refuses));
	serve_script(script);
	wire = wire_open();
	ask(wire, n);
	before = clock_now_ns();
	status = redis_wire_exchange(wire, see, ret_seen, before + wait_ns);
	ret_seen->took_ns = clock_now_ns() - before;
	if (status != REDIS_WIRE_OK) {
		/* Never again. */
		assert_false(redis_wire_is_usable(wire));
		ask(wire, 1);
		assert_int_equal(redis_wire_exchange(wire, see, &refused, INT64_MAX),
				 REDIS_WIRE_CLOSED);
		assert_int_equal(refused.n_replies, 0);
	}
	redis_wire_close(&wire);
	assert_null(wire);
	join();
	return status;
}

static void expect(struct script script, unsigned n, const char *text)
{
	struct seen seen = { .n = 0 };

	assert_int_equal(talk(script, n, PATIENCE_NS, &seen), REDIS_WIRE_OK);
	assert_string_equal(seen.text, text);
}

#define MIXED                                                                                      \
	"+OK\r\n:-42\r\n$5\r\nhello\r\n$-1\r\n$0\r\n\r\n*2\r\n$1\r\na\r\n$-1\r\n*-1\r\n-ERR "      \
	"no\r\n"
#define MIXED_SEEN "0+OK\n1:-42\n2$hello\n3_\n4$\n5*2\n5.$a\n5._\n6_\n7-ERR no\n"

static void test_replies__come_in_order(void **state)
{
	expect(SAYS(MIXED), 8, MIXED_SEEN);
}

static void test_replies_byte_by_byte__are_the_same(void **state)
{
	struct script script = SAYS(MIXED);

	script.piece = 1;
	expect(script, 8, MIXED_SEEN);
}

static void on_alarm(int signal_number)
{
	(void)signal_number;
}

static void test_signals__interrupt_nothing(void **state)
{
	struct sigaction action = { .sa_handler = on_alarm };
	struct itimerval often = { { 0, 200 }, { 0, 200 } };
	struct script script = SAYS(MIXED);

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	script.piece = 1;
	for (int i = 0; i < 50; i++) {
		expect(script, 8, MIXED_SEEN);
	}
	memset(&often, 0, sizeof(often));
	setitimer(ITIMER_REAL, &often, NULL);
	signal(SIGALRM, SIG_DFL);
}

static void test_request__is_what_redis_expects(void **state)
{
	static const char expected[] = "*3\r\n$3\r\nSET\r\n$6\r\nab\0cd\n\r\n$3\r\n-17\r\n"
				       "*1\r\n$0\r\n\r\n";
	struct redis_wire *wire = wire_open();
	struct seen seen = { .n = 0 };
	char bytes[256];
	ssize_t n;
	int fd;

	redis_wire_command(wire, 3);
	redis_wire_text(wire, "SET");
	redis_wire_arg_pair(wire, "ab\0", 3, "cd\n", 3);
	redis_wire_number(wire, -17);
	redis_wire_command(wire, 1);
	redis_wire_arg(wire, NULL, 0);
	assert_int_equal(redis_wire_exchange(wire, see, &seen, clock_now_ns() + SHORT_NS),
			 REDIS_WIRE_TIMEOUT);
	fd = accept(fake.listener, NULL, NULL);
	n = recv(fd, bytes, sizeof(bytes), 0);
	assert_int_equal(n, sizeof(expected) - 1);
	assert_memory_equal(bytes, expected, sizeof(expected) - 1);
	close(fd);
	redis_wire_close(&wire);
}

static void test_posted_commands__owe_their_replies_to_the_next_exchange(void **state)
{
	struct script script = SAYS("-NOSCRIPT nothing of it\r\n:1\r\n+OK\r\n");
	struct redis_wire *wire;
	struct seen seen = { .n = 0 };

	script.questions = 1;
	serve_script(script);
	wire = wire_open();
	ask(wire, 2);
	assert_int_equal(redis_wire_post(wire, clock_now_ns() + PATIENCE_NS), REDIS_WIRE_OK);
	/* What is owed may lie there already. */
	poll(NULL, 0, 20);
	assert_true(redis_wire_is_usable(wire));
	ask(wire, 1);
	redis_wire_send(wire);
	assert_int_equal(redis_wire_receive(wire, see, &seen, clock_now_ns() + PATIENCE_NS),
			 REDIS_WIRE_OK);
	assert_string_equal(seen.text, "0+OK\n");
	assert_string_equal(redis_wire_owed_error(wire), "NOSCRIPT");
	assert_string_equal(redis_wire_error(wire), "");
	assert_true(redis_wire_is_usable(wire));
	redis_wire_close(&wire);
	join();
}

/* What has come is taken though the time is over: the caller was busy elsewhere. */
static void test_answer_that_lies_there__is_in_time(void **state)
{
	struct redis_wire *wire;
	struct seen seen = { .n = 0 };

	serve_script(SAYS("+OK\r\n"));
	wire = wire_open();
	ask(wire, 1);
	redis_wire_send(wire);
	poll(NULL, 0, 50);
	assert_int_equal(redis_wire_receive(wire, see, &seen, clock_now_ns() - 1), REDIS_WIRE_OK);
	assert_string_equal(seen.text, "0+OK\n");
	redis_wire_close(&wire);
	join();
}

static void test_half_a_reply__times_out(void **state)
{
	static const char *const halves[] = {
		"", "+", "+OK", "+OK\r", "$5\r\n", "$5\r\nhe", "*2\r\n$1\r\na\r\n"
	};

	for (size_t i = 0; i < sizeof(halves) / sizeof(*halves); i++) {
		struct script script = { .bytes = halves[i], .n = strlen(halves[i]) };
		struct seen seen = { .n = 0 };

		assert_int_equal(talk(script, 1, SHORT_NS, &seen), REDIS_WIRE_TIMEOUT);
		assert_true(seen.took_ns < 20 * SHORT_NS);
	}
}

static void test_dripping__does_not_extend_the_deadline(void **state)
{
	/* Always something to read, and never all that was asked for. */
	struct script script = SAYS("$-1\r\n");
	struct seen seen = { .n = 0 };

	script.for_ever = true;
	/* On a busy machine nothing may have dripped in time. */
	for (int i = 0; i < 20 && seen.n_replies == 0; i++) {
		assert_int_equal(talk(script, 5000000, SHORT_NS, &seen), REDIS_WIRE_TIMEOUT);
	}
	assert_true(seen.n_replies > 0);
	assert_true(seen.took_ns < 200 * SHORT_NS);
}

static void test_early_close__is_closed(void **state)
{
	static const char *const halves[] = { "", "+OK", "$5\r\nhe", "*2\r\n:1\r\n" };

	for (size_t i = 0; i < sizeof(halves) / sizeof(*halves); i++) {
		struct script script = { .bytes = halves[i],
					 .n = strlen(halves[i]),
					 .closes = true };
		struct seen seen = { .n = 0 };

		assert_int_equal(talk(script, 1, PATIENCE_NS, &seen), REDIS_WIRE_CLOSED);
	}
}

static void test_garbage__is_refused(void **state)
{
	static const char *const garbage[] = {
		"hello\r\n",
		"HTTP/1.1 400 Bad Request\r\n",
		"\r\n",
		":12x\r\n",
		":99999999999999999999\r\n",
		"$\r\n",
		"$-2\r\n",
		"$x\r\n",
		"*-2\r\n",
		"*99999999999999\r\n",
		"*1\r\n*1\r\n:1\r\n",
		"*1\r\n*0\r\n",
		"+OK\r\n+OK\r\n",
		"+OK\r\nx",
	};

	for (size_t i = 0; i < sizeof(garbage) / sizeof(*garbage); i++) {
		struct script script = { .bytes = garbage[i], .n = strlen(garbage[i]) };
		struct seen seen = { .n = 0 };

		if (talk(script, 1, PATIENCE_NS, &seen) != REDIS_WIRE_GARBAGE) {
			fail_msg("accepted: %s", garbage[i]);
		}
	}
}

static void test_oversized_bulk__is_refused_early(void **state)
{
	static char bulk[2 * MAX_REPLY + 20000];
	struct script script = { .bytes = bulk, .n = sizeof(bulk) };
	struct seen seen = { .n = 0 };

	memset(bulk, 'x', sizeof(bulk));
	memcpy(bulk, "$536870912\r\n", 12);
	assert_int_equal(talk(script, 1, PATIENCE_NS, &seen), REDIS_WIRE_GARBAGE);
	assert_int_equal(seen.n_replies, 0);
	/* Where all arithmetic on lengths ends. */
	memcpy(bulk, "$9223372036854775807\r\n", 22);
	assert_int_equal(talk(script, 1, PATIENCE_NS, &seen), REDIS_WIRE_GARBAGE);
	memcpy(bulk, "+xxxxxxxxxxxxxxxxxxx\r\r", 22);
	assert_int_equal(talk(script, 1, PATIENCE_NS, &seen), REDIS_WIRE_GARBAGE);
}

static void test_more_than_all_together_may_have__is_refused(void **state)
{
	static char bulk[MAX_REPLY];
	struct script script = { .bytes = bulk, .for_ever = true };
	struct seen seen = { .n = 0 };

	memset(bulk, 'x', sizeof(bulk));
	memcpy(bulk, "$900\r\n", 6);
	memcpy(bulk + 6 + 900, "\r\n", 2);
	script.n = 6 + 900 + 2;
	assert_int_equal(talk(script, 100000, PATIENCE_NS, &seen), REDIS_WIRE_GARBAGE);
	assert_in_range(seen.n_replies, 1, (REDIS_WIRE_TOTAL_BYTES + MAX_REPLY) / 900 + 20);
}

/* Buffers that grew are given back, and the connection works on. */
static void test_large_reply__is_followed_by_others(void **state)
{
	static char bulk[300011];
	struct redis_wire *wire = NULL;

	memset(bulk, 'x', sizeof(bulk));
	memcpy(bulk, "$300000\r\n", 9);
	memcpy(bulk + 9 + 300000, "\r\n", 2);
	serve_script((struct script){ .bytes = bulk, .n = sizeof(bulk), .questions = 3 });
	assert_int_equal(redis_wire_open(&wire, (struct sockaddr *)&fake.address, fake.n_address,
					 sizeof(bulk), clock_now_ns() + PATIENCE_NS),
			 REDIS_WIRE_OK);
	for (int i = 0; i < 3; i++) {
		struct seen seen = { .n = 0 };

		ask(wire, 1);
		assert_int_equal(
			redis_wire_exchange(wire, see, &seen, clock_now_ns() + PATIENCE_NS),
			REDIS_WIRE_OK);
		assert_int_equal(seen.n_replies, 1);
		assert_true(redis_wire_is_usable(wire));
	}
	redis_wire_close(&wire);
	join();
}

static void test_refused_reply__ends_the_exchange(void **state)
{
	struct seen seen = { .refuses = true };

	assert_int_equal(talk(SAYS("+OK\r\n+OK\r\n"), 2, PATIENCE_NS, &seen), REDIS_WIRE_REFUSED);
	assert_int_equal(seen.n_replies, 1);
}

static void test_error__is_kept_to_its_first_word(void **state)
{
	struct redis_wire *wire;
	struct seen seen = { .refuses = true };

	serve_script(SAYS("-WRONGPASS for 'secret'\r\n"));
	wire = wire_open();
	ask(wire, 1);
	assert_int_equal(redis_wire_exchange(wire, see, &seen, clock_now_ns() + PATIENCE_NS),
			 REDIS_WIRE_REFUSED);
	assert_string_equal(redis_wire_error(wire), "WRONGPASS");
	redis_wire_close(&wire);
	join();
}

static void test_unasked_bytes__make_an_idle_connection_unusable(void **state)
{
	struct script script = SAYS("+OK\r\n");
	struct pollfd wait;
	struct redis_wire *wire;
	int fd = dup(0);

	close(fd);
	wire = wire_open();
	script.early = true;
	serve_script(script);
	wait = (struct pollfd){ .fd = fd, .events = POLLIN };
	assert_int_equal(poll(&wait, 1, PATIENCE_NS / CLOCK_NS_PER_MS), 1);
	assert_false(redis_wire_is_usable(wire));
	redis_wire_close(&wire);
}

static void test_idle_connection__is_usable_until_the_server_leaves(void **state)
{
	struct redis_wire *wire = wire_open();
	int fd = accept(fake.listener, NULL, NULL);

	assert_true(redis_wire_is_usable(wire));
	close(fd);
	assert_false(redis_wire_is_usable(wire));
	redis_wire_close(&wire);
}

/* What a daemon does: closes every descriptor, and gets the number again. */
static void test_descriptor_of_the_host__is_left_alone(void **state)
{
	int fd = dup(0), mine;
	struct redis_wire *wire;

	close(fd);
	wire = wire_open();
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
		well = redis_wire_open(&wire, (struct sockaddr *)&fake.address, fake.n_address,
				       MAX_REPLY, clock_now_ns() + PATIENCE_NS) == REDIS_WIRE_OK;
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
	wire = wire_open();
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	redis_wire_close(&wire);
}

static void test_server_that_never_reads__times_out(void **state)
{
	struct script script = { .never_reads = true };
	struct redis_wire *wire;
	struct seen seen = { .n = 0 };
	int64_t before = clock_now_ns();

	serve_script(script);
	wire = wire_open();
	ask(wire, 1000000);
	assert_int_equal(redis_wire_exchange(wire, see, &seen, clock_now_ns() + SHORT_NS),
			 REDIS_WIRE_TIMEOUT);
	assert_true(clock_now_ns() - before < 200 * SHORT_NS);
	redis_wire_close(&wire);
	join();
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
	assert_int_equal(redis_wire_open(&wire, (struct sockaddr *)&loopback, n, MAX_REPLY,
					 clock_now_ns() + PATIENCE_NS),
			 REDIS_WIRE_UNREACHABLE);
	assert_int_equal(redis_wire_open(&wire, (struct sockaddr *)&local, sizeof(local), MAX_REPLY,
					 clock_now_ns() + PATIENCE_NS),
			 REDIS_WIRE_UNREACHABLE);
	assert_null(wire);
	close(bound);
}

static void test_tcp__works_too(void **state)
{
	struct sockaddr_in loopback = { .sin_family = AF_INET };

	close(fake.listener);
	fake.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	loopback.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fake.listener, (struct sockaddr *)&loopback, sizeof(loopback)), 0);
	assert_int_equal(listen(fake.listener, 8), 0);
	fake.n_address = sizeof(fake.address);
	getsockname(fake.listener, (struct sockaddr *)&fake.address, &fake.n_address);
	expect(SAYS(MIXED), 8, MIXED_SEEN);
}

static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static size_t spoil(char *bytes, size_t n, uint64_t *seed)
{
	static const char syntax[] = "$*+-:\r\n0123456789";

	for (uint64_t i = next_random(seed) % 6; i > 0; i--) {
		uint64_t with = next_random(seed);

		bytes[next_random(seed) % n] =
			with % 3 ? syntax[with % (sizeof(syntax) - 1)] : (char)(with >> 8);
	}
	return (size_t)(next_random(seed) % n) + 1;
}

static void test_fuzz__survives(void **state)
{
	int64_t give_up = clock_now_ns() + FUZZ_LIMIT_NS;
	uint64_t seed = UINT64_C(0x5eed);
	unsigned statuses = 0;

	for (int round = 0; round < FUZZ_ROUNDS && clock_now_ns() < give_up; round++) {
		char bytes[] = MIXED MIXED;
		struct script script = { .bytes = bytes, .closes = true };
		struct seen seen = { .n = 0 };

		script.n = spoil(bytes, sizeof(bytes) - 1, &seed);
		script.piece = next_random(&seed) % 64;
		statuses |= 1u << talk(script, 16, PATIENCE_NS, &seen);
	}
	assert_true(statuses & (1u << REDIS_WIRE_GARBAGE));
	assert_true(statuses & (1u << REDIS_WIRE_CLOSED));
	assert_false(statuses & (1u << REDIS_WIRE_TIMEOUT));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_replies__come_in_order),
		TEST(test_replies_byte_by_byte__are_the_same),
		TEST(test_signals__interrupt_nothing),
		TEST(test_request__is_what_redis_expects),
		TEST(test_posted_commands__owe_their_replies_to_the_next_exchange),
		TEST(test_answer_that_lies_there__is_in_time),
		TEST(test_half_a_reply__times_out),
		TEST(test_dripping__does_not_extend_the_deadline),
		TEST(test_early_close__is_closed),
		TEST(test_garbage__is_refused),
		TEST(test_oversized_bulk__is_refused_early),
		TEST(test_more_than_all_together_may_have__is_refused),
		TEST(test_large_reply__is_followed_by_others),
		TEST(test_refused_reply__ends_the_exchange),
		TEST(test_error__is_kept_to_its_first_word),
		TEST(test_unasked_bytes__make_an_idle_connection_unusable),
		TEST(test_idle_connection__is_usable_until_the_server_leaves),
		TEST(test_descriptor_of_the_host__is_left_alone),
		TEST(test_standard_descriptors__are_never_taken),
		TEST(test_socket__is_closed_on_exec),
		TEST(test_server_that_never_reads__times_out),
		TEST(test_nobody_there__is_unreachable),
		TEST(test_tcp__works_too),
		TEST(test_fuzz__survives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
