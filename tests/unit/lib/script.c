#include "tests/unit/lib/script.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

struct script_server script_server;

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
	fd = accept4(script_server.listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0) {
		return unused;
	}
	do {
		if (!script_server.script.early && !script_server.script.never_reads) {
			recv(fd, bytes, sizeof(bytes), 0);
		}
		send_all(fd, &script_server.script);
	} while (--script_server.script.questions > 0);
	if (!script_server.script.closes) {
		struct pollfd gone = { .fd = fd,
				       .events = script_server.script.never_reads ? 0 : POLLIN };

		while (poll(&gone, 1, SCRIPT_PATIENCE_NS / CLOCK_NS_PER_MS) > 0 &&
		       !(gone.revents & (POLLHUP | POLLERR)) &&
		       recv(fd, bytes, sizeof(bytes), 0) > 0) {
		}
	}
	close(fd);
	return unused;
}

void script_serve(struct script script)
{
	script_server.script = script;
	assert_int_equal(pthread_create(&script_server.thread, NULL, serve, NULL), 0);
	script_server.runs = true;
}

int script_set_up(void **state)
{
	struct sockaddr_un local = { .sun_family = AF_UNIX };

	/* An abstract name that the kernel chooses: no file, no port. */
	script_server.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	script_server.n_address = sizeof(script_server.address);
	return bind(script_server.listener, (struct sockaddr *)&local, sizeof(sa_family_t)) ||
	       listen(script_server.listener, 8) ||
	       getsockname(script_server.listener, (struct sockaddr *)&script_server.address,
			   &script_server.n_address);
}

void script_join(void)
{
	if (script_server.runs) {
		pthread_join(script_server.thread, NULL);
		script_server.runs = false;
	}
}

int script_tear_down(void **state)
{
	script_join();
	close(script_server.listener);
	return 0;
}

bool script_see(void *owner, const struct redis_wire_reply *reply)
{
	static const char marks[] = "$+-:_*";
	struct script_seen *seen = owner;
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

struct redis_wire *script_open(void)
{
	struct redis_wire *wire = NULL;

	assert_int_equal(redis_wire_open(&wire, (struct sockaddr *)&script_server.address,
					 script_server.n_address, SCRIPT_MAX_REPLY,
					 clock_now_ns() + SCRIPT_PATIENCE_NS),
			 REDIS_WIRE_OK);
	return wire;
}

void script_ask(struct redis_wire *wire, unsigned n)
{
	while (n-- > 0) {
		redis_wire_command(wire, 1);
		redis_wire_text(wire, "PING");
	}
}

enum redis_wire_status script_talk(struct script script, unsigned n, int64_t wait_ns,
				   struct script_seen *ret_seen)
{
	struct redis_wire *wire;
	enum redis_wire_status status;
	struct script_seen refused = { .refuses = true };
	int64_t before;

	memset(ret_seen, 0, offsetof(struct script_seen, refuses));
	script_serve(script);
	wire = script_open();
	script_ask(wire, n);
	before = clock_now_ns();
	status = redis_wire_exchange(wire, script_see, ret_seen, before + wait_ns);
	ret_seen->took_ns = clock_now_ns() - before;
	if (status != REDIS_WIRE_OK) {
		/* Never again. */
		assert_false(redis_wire_is_usable(wire));
		script_ask(wire, 1);
		assert_int_equal(redis_wire_exchange(wire, script_see, &refused, INT64_MAX),
				 REDIS_WIRE_CLOSED);
		assert_int_equal(refused.n_replies, 0);
	}
	redis_wire_close(&wire);
	assert_null(wire);
	script_join();
	return status;
}

void script_expect(struct script script, unsigned n, const char *text)
{
	struct script_seen seen = { .n = 0 };

	assert_int_equal(script_talk(script, n, SCRIPT_PATIENCE_NS, &seen), REDIS_WIRE_OK);
	assert_string_equal(seen.text, text);
}
