/*
 * redis_wire.h - one connection to Redis: requests out, replies in, on time.
 *
 * A socket of our own (non-blocking, O_CLOEXEC, MSG_NOSIGNAL, never 0 to 2);
 * of hiredis only the reader, behind reply functions that build no objects:
 * its connections raise SIGPIPE and block, its own objects and its reader's
 * shrinking buffer end the process when memory is out.
 *
 * The other side is not trusted: a reply may nest one level, one unfinished
 * reply may hold max_reply_bytes, one exchange may bring
 * REDIS_WIRE_TOTAL_BYTES more than that.  What fails closes the socket: a
 * connection that timed out would answer the next question with the last
 * one's reply.
 *
 * One thread at a time.
 */
#ifndef TOWER_LAYERS_REDIS_WIRE_H
#define TOWER_LAYERS_REDIS_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define REDIS_WIRE_TOTAL_BYTES (64u << 20)
#define REDIS_WIRE_ERROR_MAX 49 /* bytes of redis_wire_error(), NUL included */

struct redis_wire;

enum redis_wire_status {
	REDIS_WIRE_OK,
	REDIS_WIRE_UNREACHABLE, /* no connection could be made */
	REDIS_WIRE_NO_SOCKET,	/* nor a socket: this process may have no more */
	REDIS_WIRE_TIMEOUT,
	REDIS_WIRE_CLOSED,  /* the other side closed, or the network failed */
	REDIS_WIRE_GARBAGE, /* what came is no reply, not asked for, or too large */
	REDIS_WIRE_REFUSED, /* a reply that the caller did not accept */
	REDIS_WIRE_NO_MEMORY,
};

enum redis_wire_type {
	REDIS_WIRE_STRING,
	REDIS_WIRE_STATUS,
	REDIS_WIRE_ERROR,
	REDIS_WIRE_INTEGER,
	REDIS_WIRE_NIL,
	REDIS_WIRE_ARRAY, /* only its size; the elements follow one by one */
};

struct redis_wire_reply {
	enum redis_wire_type type;
	size_t command; /* which command of the exchange it answers, from 0 */
	bool is_element;
	size_t element;	   /* place in its array */
	const char *bytes; /* string, status, error: borrowed for the call, no NUL behind */
	size_t n;	   /* of bytes, or elements of an array */
	int64_t integer;
};

/* One reply, in order.  False ends the exchange as REDIS_WIRE_REFUSED. */
typedef bool (*redis_wire_reply_fn)(void *owner, const struct redis_wire_reply *reply);

/* Connects.  *ret_wire is untouched unless REDIS_WIRE_OK; errno says why there is no connection. */
enum redis_wire_status redis_wire_open(struct redis_wire **ret_wire, const struct sockaddr *address,
				       socklen_t n_address, size_t max_reply_bytes,
				       int64_t deadline_ns);

/* Closes the socket if it is still ours, and frees; NULL in *wire afterwards. */
void redis_wire_close(struct redis_wire **wire);

/*
 * Closes the socket only: for a child of fork, where another thread may have
 * been at work on the rest.
 */
void redis_wire_drop(struct redis_wire *wire);

/*
 * Whether an idle connection can be used: the descriptor is still this socket
 * (hosts that become daemons close them all), it is open at the other end, and
 * nothing came that nobody asked for.
 */
bool redis_wire_is_usable(struct redis_wire *wire);

/*
 * Builds the requests of the next exchange: a command, then so many arguments,
 * its name the first.  What has no memory makes the exchange fail.
 */
void redis_wire_command(struct redis_wire *wire, size_t n_args);
void redis_wire_arg(struct redis_wire *wire, const void *bytes, size_t n);
void redis_wire_text(struct redis_wire *wire, const char *text);
void redis_wire_number(struct redis_wire *wire, int64_t number);

/* One argument of two pieces. */
void redis_wire_arg_pair(struct redis_wire *wire, const void *first, size_t n_first,
			 const void *second, size_t n_second);

/* Sends what was built in one go and hands every reply to `take`. */
enum redis_wire_status redis_wire_exchange(struct redis_wire *wire, redis_wire_reply_fn take,
					   void *owner, int64_t deadline_ns);

/*
 * The two halves of an exchange, between which the caller may do something
 * else, but not build: sends what goes out without waiting; then sends the
 * rest and takes the replies.  A failed send shows in the receive.
 */
void redis_wire_send(struct redis_wire *wire);
enum redis_wire_status redis_wire_receive(struct redis_wire *wire, redis_wire_reply_fn take,
					  void *owner, int64_t deadline_ns);

/*
 * Sends what was built and waits until it has gone out, not for the replies:
 * they are owed, and come before those of the next exchange, which drops them.
 */
enum redis_wire_status redis_wire_post(struct redis_wire *wire, int64_t deadline_ns);

/* First word of the last error among the owed replies of the last exchange, or "". */
const char *redis_wire_owed_error(const struct redis_wire *wire);

/*
 * First word of the last error reply ("READONLY"), or ""; of "ERR" also the letters and
 * blanks behind it ("ERR DB index is out of range").  Never more of it: Redis repeats a
 * command's arguments, which may be a password, in its errors, in quotes.
 */
const char *redis_wire_error(const struct redis_wire *wire);

/* In words, for the log. */
const char *redis_wire_status_text(enum redis_wire_status status);

#endif
