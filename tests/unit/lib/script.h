/*
 * script.h - a server that says what it is told, and what a connection of redis_wire.h
 * makes of it, for unit tests.
 *
 * script_set_up() and script_tear_down() belong around each test.  One server at a time, on an
 * abstract unix socket; it serves one connection in a thread.
 */
#ifndef TESTS_UNIT_LIB_SCRIPT_H
#define TESTS_UNIT_LIB_SCRIPT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "layers/redis_wire.h"

#define SCRIPT_PATIENCE_NS (20 * CLOCK_NS_PER_S)
#define SCRIPT_MAX_REPLY 1000
#define SCRIPT_SEEN_MAX 4096

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

#define SCRIPT_SAYS(text) ((struct script){ .bytes = (text), .n = sizeof(text) - 1 })

struct script_server {
	int listener;
	struct sockaddr_storage address;
	socklen_t n_address;
	struct script script;
	pthread_t thread;
	bool runs;
};

extern struct script_server script_server;

int script_set_up(void **state);
int script_tear_down(void **state);

void script_serve(struct script script);

/* Until the connection that is served has ended. */
void script_join(void);

/* What came in, one line a reply. */
struct script_seen {
	char text[SCRIPT_SEEN_MAX];
	size_t n;
	size_t n_replies;
	int64_t took_ns; /* the exchange, the making of its questions not counted */
	bool refuses;
};

bool script_see(void *owner, const struct redis_wire_reply *reply);

/* A connection to the server. */
struct redis_wire *script_open(void);

/* So many questions, not sent yet. */
void script_ask(struct redis_wire *wire, unsigned n);

/* One exchange of n questions on a new connection to a server with this script. */
enum redis_wire_status script_talk(struct script script, unsigned n, int64_t wait_ns,
				   struct script_seen *ret_seen);

/* The same, which goes well and has seen this. */
void script_expect(struct script script, unsigned n, const char *text);

/* Replies of every kind, to 8 questions, and what is seen of them. */
#define SCRIPT_MIXED                                                                               \
	"+OK\r\n:-42\r\n$5\r\nhello\r\n$-1\r\n$0\r\n\r\n*2\r\n$1\r\na\r\n$-1\r\n*-1\r\n-ERR "      \
	"no\r\n"
#define SCRIPT_MIXED_SEEN "0+OK\n1:-42\n2$hello\n3_\n4$\n5*2\n5.$a\n5._\n6_\n7-ERR no\n"

#endif
