#include "layers/redis_wire.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <hiredis/read.h>
#include <hiredis/sds.h>

#include "base/clock.h"
#include "base/digits.h"
#include "base/quiet.h"
#include "layers/redis_socket.h"
#include "layers/redis_way.h"

#define CHUNK_BYTES 16384

/* What a connection keeps of its buffers between two exchanges. */
#define KEEP_BYTES 65536

struct redis_wire {
	_Atomic int fd; /* -1: closed; a forked child looks at it */
	dev_t device;
	ino_t inode;

	char *out;
	size_t n_out;
	size_t out_bytes; /* allocated */
	size_t n_sent;
	size_t n_commands;
	size_t n_owed; /* replies to earlier commands, which come first */
	bool no_memory;
	bool is_quiet; /* signals are blocked until the reader has given up */

	redisReader *reader;
	size_t max_reply_bytes;
	size_t widest;	  /* of the reader's buffer, this exchange */
	size_t received;  /* this exchange */
	size_t n_replies; /* this exchange, owed ones included */
	struct redis_way way;
	redis_wire_reply_fn take;
	void *owner;
	enum redis_wire_status status; /* of this exchange */
	char error[REDIS_WIRE_ERROR_MAX];
	char owed_error[REDIS_WIRE_ERROR_MAX];
	char chunk[CHUNK_BYTES];
};

static bool is_ours(const struct redis_wire *wire)
{
	struct stat info;

	return wire->fd >= 0 && fstat(wire->fd, &info) == 0 && info.st_dev == wire->device &&
	       info.st_ino == wire->inode;
}

void redis_wire_drop(struct redis_wire *wire)
{
	bool closes = is_ours(wire);
	/* Forgotten first: a fork in between must not find a number that is free again. */
	int fd = atomic_exchange(&wire->fd, -1);

	if (closes) {
		close(fd);
	}
}

/*
 * hiredis takes NULL for out of memory, and frees its buffer; why we give it
 * stands in wire->status.
 */
static void *give_up(struct redis_wire *wire, enum redis_wire_status status)
{
	wire->status = status;
	wire->is_quiet = true;
	quiet_begin();
	return NULL;
}

static void *deliver(const redisReadTask *task, struct redis_wire_reply *reply)
{
	struct redis_wire *wire = task->privdata;

	if (wire->n_replies >= wire->n_owed + wire->n_commands) {
		return give_up(wire, REDIS_WIRE_GARBAGE);
	}
	if (wire->n_replies < wire->n_owed) {
		return wire;
	}
	reply->command = wire->n_replies - wire->n_owed;
	reply->is_element = task->parent != NULL;
	reply->element = reply->is_element ? (size_t)task->idx : 0;
	if (!wire->take(wire->owner, reply)) {
		return give_up(wire, REDIS_WIRE_REFUSED);
	}
	return wire;
}

static bool is_capital(char c)
{
	return c >= 'A' && c <= 'Z';
}

static bool is_of_words(char c)
{
	return is_capital(c) || (c >= 'a' && c <= 'z') || c == ' ';
}

/* ERR alone says nothing: its words, too, up to what is quoted. */
static void note_error(struct redis_wire *wire, const char *bytes, size_t n)
{
	char *error = wire->n_replies < wire->n_owed ? wire->owed_error : wire->error;
	bool (*is_part)(char) = n > 4 && memcmp(bytes, "ERR ", 4) == 0 ? is_of_words : is_capital;
	size_t i = 0;

	while (i < n && i + 1 < REDIS_WIRE_ERROR_MAX && is_part(bytes[i])) {
		error[i] = bytes[i];
		i++;
	}
	while (i > 0 && error[i - 1] == ' ') {
		i--;
	}
	error[i] = '\0';
}

static void *on_string(const redisReadTask *task, char *bytes, size_t n)
{
	struct redis_wire_reply reply = { .type = REDIS_WIRE_STRING, .bytes = bytes, .n = n };

	if (task->type == REDIS_REPLY_STATUS) {
		reply.type = REDIS_WIRE_STATUS;
	} else if (task->type == REDIS_REPLY_ERROR) {
		reply.type = REDIS_WIRE_ERROR;
		note_error(task->privdata, bytes, n);
	}
	return deliver(task, &reply);
}

static void *on_array(const redisReadTask *task, int n)
{
	struct redis_wire_reply reply = { .type = REDIS_WIRE_ARRAY, .n = (size_t)n };
	struct redis_wire *wire = task->privdata;

	if (task->parent) {
		return give_up(wire, REDIS_WIRE_GARBAGE);
	}
	return deliver(task, &reply);
}

static void *on_integer(const redisReadTask *task, long long integer)
{
	struct redis_wire_reply reply = { .type = REDIS_WIRE_INTEGER, .integer = integer };

	return deliver(task, &reply);
}

static void *on_nil(const redisReadTask *task)
{
	struct redis_wire_reply reply = { .type = REDIS_WIRE_NIL };

	return deliver(task, &reply);
}

static void on_free(void *reply)
{
	(void)reply; /* the connection itself: there are no objects */
}

static redisReplyObjectFunctions reply_functions = {
	.createString = on_string,
	.createArray = on_array,
	.createInteger = on_integer,
	.createNil = on_nil,
	.freeObject = on_free,
};

static bool reader_open(struct redis_wire *wire)
{
	quiet_begin();
	wire->reader = redisReaderCreateWithFunctions(&reply_functions);
	quiet_end();
	if (wire->reader == NULL) {
		return false;
	}
	/* 0: never shrink; the code that does asserts that there is memory. */
	wire->reader->maxbuf = 0;
	wire->reader->privdata = wire;
	return true;
}

static void reader_close(struct redis_wire *wire)
{
	quiet_begin();
	redisReaderFree(wire->reader);
	quiet_end();
	wire->reader = NULL;
}

/* Room is seldom made: what it has stays. */
static bool reader_feed(redisReader *reader, const char *bytes, size_t n)
{
	bool grows = reader->buf == NULL || sdsavail(reader->buf) < n;
	int result;

	if (grows) {
		quiet_begin();
	}
	result = redisReaderFeed(reader, bytes, n);
	if (grows) {
		quiet_end();
	}
	return result == REDIS_OK;
}

enum redis_wire_status redis_wire_open(struct redis_wire **ret_wire, const struct sockaddr *address,
				       socklen_t n_address, size_t max_reply_bytes,
				       int64_t deadline_ns)
{
	struct redis_wire *wire = quiet_calloc(1, sizeof(*wire));
	enum redis_wire_status status = REDIS_WIRE_NO_MEMORY;
	struct stat info;

	if (wire == NULL) {
		return REDIS_WIRE_NO_MEMORY;
	}
	wire->max_reply_bytes = max_reply_bytes;
	wire->fd = -1;
	if (reader_open(wire)) {
		wire->fd = redis_socket_open(address->sa_family);
		if (wire->fd < 0 || fstat(wire->fd, &info) != 0) {
			status = REDIS_WIRE_NO_SOCKET;
		} else {
			wire->device = info.st_dev;
			wire->inode = info.st_ino;
			status = redis_socket_connect(wire->fd, address, n_address, deadline_ns);
		}
	}
	if (status != REDIS_WIRE_OK) {
		int why = errno;

		redis_wire_close(&wire);
		errno = why;
		return status;
	}
	*ret_wire = wire;
	return REDIS_WIRE_OK;
}

void redis_wire_close(struct redis_wire **wire)
{
	struct redis_wire *old = *wire;

	*wire = NULL;
	if (old == NULL) {
		return;
	}
	redis_wire_drop(old);
	reader_close(old);
	quiet_free(old->out);
	quiet_free(old);
}

/* The end is asked for, not read: it may stand behind replies that are owed. */
bool redis_wire_is_usable(struct redis_wire *wire)
{
	struct pollfd look = { .fd = wire->fd, .events = POLLIN | POLLRDHUP };

	/* Interrupted, it has not looked: what is wrong shows later. */
	if (!is_ours(wire) || (poll(&look, 1, 0) < 0 && errno != EINTR)) {
		return false;
	}
	return look.revents == 0 || (look.revents == POLLIN && wire->n_owed > 0);
}

static void append(struct redis_wire *wire, const void *bytes, size_t n)
{
	if (wire->no_memory || n == 0) {
		return;
	}
	if (n > wire->out_bytes - wire->n_out) {
		size_t wanted = wire->out_bytes + n + wire->out_bytes / 2 + 256;
		char *grown = wanted > n ? quiet_realloc(wire->out, wanted) : NULL;

		if (grown == NULL) {
			wire->no_memory = true;
			return;
		}
		wire->out = grown;
		wire->out_bytes = wanted;
	}
	memcpy(wire->out + wire->n_out, bytes, n);
	wire->n_out += n;
}

static void append_size(struct redis_wire *wire, char mark, size_t size)
{
	char line[DIGITS_MAX + 3];
	char *end = line;

	*end++ = mark;
	end = digits_decimal(end, size);
	*end++ = '\r';
	*end++ = '\n';
	append(wire, line, (size_t)(end - line));
}

void redis_wire_command(struct redis_wire *wire, size_t n_args)
{
	append_size(wire, '*', n_args);
	wire->n_commands++;
}

void redis_wire_arg_pair(struct redis_wire *wire, const void *first, size_t n_first,
			 const void *second, size_t n_second)
{
	append_size(wire, '$', n_first + n_second);
	append(wire, first, n_first);
	append(wire, second, n_second);
	append(wire, "\r\n", 2);
}

void redis_wire_arg(struct redis_wire *wire, const void *bytes, size_t n)
{
	redis_wire_arg_pair(wire, bytes, n, NULL, 0);
}

void redis_wire_text(struct redis_wire *wire, const char *text)
{
	redis_wire_arg(wire, text, strlen(text));
}

void redis_wire_number(struct redis_wire *wire, int64_t number)
{
	char text[DIGITS_MAX + 1];
	char *end = text;

	if (number < 0) {
		*end++ = '-';
	}
	end = digits_decimal(end, number < 0 ? 0 - (uint64_t)number : (uint64_t)number);
	redis_wire_arg(wire, text, (size_t)(end - text));
}

static bool would_block(void)
{
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

static enum redis_wire_status send_some(struct redis_wire *wire)
{
	ssize_t n =
		send(wire->fd, wire->out + wire->n_sent, wire->n_out - wire->n_sent, MSG_NOSIGNAL);

	if (n >= 0) {
		wire->n_sent += (size_t)n;
		return REDIS_WIRE_OK;
	}
	return would_block() ? REDIS_WIRE_OK : REDIS_WIRE_CLOSED;
}

/* Hands on every reply that is complete. */
static enum redis_wire_status parse(struct redis_wire *wire)
{
	redisReader *reader = wire->reader;
	size_t unfinished;
	void *reply;

	do {
		if (redisReaderGetReply(reader, &reply) != REDIS_OK) {
			if (wire->is_quiet) {
				wire->is_quiet = false;
				quiet_end();
			}
			return wire->status == REDIS_WIRE_OK ? REDIS_WIRE_GARBAGE : wire->status;
		}
		wire->n_replies += reply != NULL;
	} while (reply);
	unfinished = reader->len - reader->pos;
	if (unfinished > wire->max_reply_bytes ||
	    (unfinished > 0 && wire->n_replies == wire->n_owed + wire->n_commands)) {
		return REDIS_WIRE_GARBAGE;
	}
	return REDIS_WIRE_OK;
}

static enum redis_wire_status receive_some(struct redis_wire *wire)
{
	ssize_t n = recv(wire->fd, wire->chunk, sizeof(wire->chunk), 0);

	if (n < 0 && would_block()) {
		return REDIS_WIRE_OK;
	}
	if (n <= 0) {
		return REDIS_WIRE_CLOSED;
	}
	wire->received += (size_t)n;
	if (wire->received > wire->max_reply_bytes + REDIS_WIRE_TOTAL_BYTES) {
		return REDIS_WIRE_GARBAGE;
	}
	if (!reader_feed(wire->reader, wire->chunk, (size_t)n)) {
		return REDIS_WIRE_NO_MEMORY;
	}
	if (wire->reader->len > wire->widest) {
		wire->widest = wire->reader->len;
	}
	return parse(wire);
}

/* See redis_way.h. */
static enum redis_wire_status give_way(struct redis_wire *wire)
{
	int64_t begun = clock_now_ns();
	enum redis_wire_status status;

	if (!redis_way_pays(&wire->way, begun)) {
		return REDIS_WIRE_OK;
	}
	status = receive_some(wire);
	if (status == REDIS_WIRE_OK && wire->received == 0) {
		sched_yield();
		status = receive_some(wire);
		redis_way_given(&wire->way, wire->received > 0, begun, clock_now_ns());
	}
	return status;
}

/*
 * Reads while it writes: the other side may stop reading until we do.  What has
 * come already is taken even where the deadline is over.
 */
static enum redis_wire_status talk(struct redis_wire *wire, int64_t deadline_ns)
{
	size_t n_expected = wire->n_owed + wire->n_commands;
	enum redis_wire_status status = REDIS_WIRE_OK;

	if (wire->n_sent < wire->n_out) {
		status = send_some(wire);
		if (status == REDIS_WIRE_OK && wire->n_sent == wire->n_out) {
			status = give_way(wire);
		}
	} else if (n_expected) {
		status = receive_some(wire);
	}
	while (status == REDIS_WIRE_OK && wire->n_replies < n_expected) {
		short writing = wire->n_sent < wire->n_out ? POLLOUT : 0;
		short ready = 0;

		status =
			redis_socket_wait(wire->fd, (short)(POLLIN | writing), deadline_ns, &ready);
		if (status == REDIS_WIRE_OK && (ready & writing)) {
			status = send_some(wire);
		}
		if (status == REDIS_WIRE_OK && (ready & ~POLLOUT)) {
			status = receive_some(wire);
		}
	}
	/* Answered before it was asked to the end: not in step with us. */
	return status == REDIS_WIRE_OK && wire->n_sent < wire->n_out ? REDIS_WIRE_GARBAGE : status;
}

/* One large value must not stay allocated for the connection's life. */
static bool give_back(struct redis_wire *wire)
{
	if (wire->out_bytes > KEEP_BYTES) {
		quiet_free(wire->out);
		wire->out = NULL;
		wire->out_bytes = 0;
	}
	if (wire->widest > KEEP_BYTES) {
		reader_close(wire);
		return reader_open(wire);
	}
	return true;
}

static enum redis_wire_status state_of(const struct redis_wire *wire)
{
	if (wire->fd < 0) {
		return REDIS_WIRE_CLOSED;
	}
	return wire->no_memory ? REDIS_WIRE_NO_MEMORY : REDIS_WIRE_OK;
}

static void forget_built(struct redis_wire *wire)
{
	wire->n_out = 0;
	wire->n_sent = 0;
	wire->n_commands = 0;
	wire->no_memory = false;
}

void redis_wire_send(struct redis_wire *wire)
{
	if (state_of(wire) == REDIS_WIRE_OK && send_some(wire) != REDIS_WIRE_OK) {
		redis_wire_drop(wire);
	}
}

enum redis_wire_status redis_wire_receive(struct redis_wire *wire, redis_wire_reply_fn take,
					  void *owner, int64_t deadline_ns)
{
	enum redis_wire_status status = state_of(wire);

	wire->take = take;
	wire->owner = owner;
	wire->status = REDIS_WIRE_OK;
	wire->n_replies = 0;
	wire->received = 0;
	wire->widest = 0;
	wire->error[0] = '\0';
	wire->owed_error[0] = '\0';
	if (status == REDIS_WIRE_OK) {
		status = talk(wire, deadline_ns);
	}
	forget_built(wire);
	wire->n_owed = 0;
	/* A reply that came whole is good, even where no other can follow it. */
	if (status != REDIS_WIRE_OK || !give_back(wire)) {
		redis_wire_drop(wire);
	}
	return status;
}

enum redis_wire_status redis_wire_exchange(struct redis_wire *wire, redis_wire_reply_fn take,
					   void *owner, int64_t deadline_ns)
{
	return redis_wire_receive(wire, take, owner, deadline_ns);
}

enum redis_wire_status redis_wire_post(struct redis_wire *wire, int64_t deadline_ns)
{
	enum redis_wire_status status = state_of(wire);
	short ready;

	if (status == REDIS_WIRE_OK) {
		status = send_some(wire);
	}
	while (status == REDIS_WIRE_OK && wire->n_sent < wire->n_out) {
		status = redis_socket_wait(wire->fd, POLLOUT, deadline_ns, &ready);
		if (status == REDIS_WIRE_OK) {
			status = send_some(wire);
		}
	}
	wire->n_owed += wire->n_commands;
	wire->widest = 0;
	forget_built(wire);
	if (status != REDIS_WIRE_OK || !give_back(wire)) {
		redis_wire_drop(wire);
	}
	return status;
}

const char *redis_wire_owed_error(const struct redis_wire *wire)
{
	return wire->owed_error;
}

const char *redis_wire_error(const struct redis_wire *wire)
{
	return wire->error;
}

const char *redis_wire_status_text(enum redis_wire_status status)
{
	static const char *const texts[] = {
		[REDIS_WIRE_OK] = "well",
		[REDIS_WIRE_UNREACHABLE] = "cannot be reached",
		[REDIS_WIRE_NO_SOCKET] = "is out of this process's reach",
		[REDIS_WIRE_TIMEOUT] = "did not answer in time",
		[REDIS_WIRE_CLOSED] = "closed the connection",
		[REDIS_WIRE_GARBAGE] = "sent what is no reply",
		[REDIS_WIRE_REFUSED] = "gave an answer that cannot be used",
		[REDIS_WIRE_NO_MEMORY] = "cannot be asked: out of memory",
	};

	return texts[status];
}
