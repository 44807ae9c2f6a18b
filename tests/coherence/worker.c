/* A worker of a litmus run: a plain program that uses libmemcached. */
#include <inttypes.h>
#include <libmemcached/memcached.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/coherence/board.h"
#include "tests/coherence/variant.h"

#define MGET_KEYS 6
#define NAME_MAX_BYTES 16
#define HANDLES 3
#define LINK_CALLS 64 /* between two reads through a handle of unconfirmed writes */

#define TURN_NS (BOARD_NS_PER_S / 12)
#define SHORT_TURN_NS (BOARD_NS_PER_S / 50)
#define BOTH_OF 2
#define CALM_US 4000
#define LOG_US 1000 /* logs are of bounded size */

/* Namespace and the rest of the key, which are the same item on the wire. */
static const char *const aliases[HANDLES][2] = { { "", "abc" }, { "a", "bc" }, { "ab", "c" } };

struct worker {
	const struct worker_job *job;
	const struct variant *variant;
	struct board *board;
	struct board_worker *own;
	unsigned number;
	uint64_t random;
	uint64_t turn;			/* of several domains, the last */
	FILE *log;			/* of every call, for check.py; NULL: the board judges */
	memcached_st *handles[HANDLES]; /* by alias; all the same without aliases */
	memcached_st *with_cas;
	memcached_st *noreply;	/* NULL where writes are confirmed */
	memcached_st *buffered; /* the same */
	char names[HANDLES][BOARD_KEYS][NAME_MAX_BYTES];
};

static unsigned draw(struct worker *w, unsigned below)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return (unsigned)(w->random >> 33) % below;
}

static memcached_st *connect_to(const struct worker *w, unsigned alias)
{
	memcached_st *handle = memcached_create(NULL);
	bool binary = (w->variant->traits & VARIANT_BINARY) && w->number % 2;

	memcached_server_add_unix_socket(handle, w->job->socket);
	memcached_behavior_set(handle, MEMCACHED_BEHAVIOR_BINARY_PROTOCOL, binary);
	if (w->variant->traits & VARIANT_HANGS) {
		memcached_behavior_set(handle, MEMCACHED_BEHAVIOR_POLL_TIMEOUT, 30);
		memcached_behavior_set(handle, MEMCACHED_BEHAVIOR_RETRY_TIMEOUT, 0);
		memcached_behavior_set(handle, MEMCACHED_BEHAVIOR_SERVER_FAILURE_LIMIT, 0);
	}
	if (aliases[alias][0][0]) {
		memcached_callback_set(handle, MEMCACHED_CALLBACK_NAMESPACE, aliases[alias][0]);
	}
	return handle;
}

static void open_handles(struct worker *w)
{
	bool many = w->variant->traits & VARIANT_ALIASES;

	for (unsigned i = 0; i < HANDLES; i++) {
		w->handles[i] = i == 0 || many ? connect_to(w, i) : w->handles[0];
		for (unsigned key = 0; key < BOARD_KEYS; key++) {
			snprintf(w->names[i][key], NAME_MAX_BYTES, "%s%02u",
				 aliases[many ? i : 0][1], key);
		}
	}
	w->with_cas = connect_to(w, 0);
	memcached_behavior_set(w->with_cas, MEMCACHED_BEHAVIOR_SUPPORT_CAS, 1);
	if ((w->variant->traits & VARIANT_UNCONFIRMED) && w->number % 2) {
		w->noreply = connect_to(w, 0);
		memcached_behavior_set(w->noreply, MEMCACHED_BEHAVIOR_NOREPLY, 1);
		w->buffered = connect_to(w, 0);
		memcached_behavior_set(w->buffered, MEMCACHED_BEHAVIOR_BUFFER_REQUESTS, 1);
	}
}

static void close_handles(struct worker *w)
{
	for (unsigned i = 0; i < HANDLES; i++) {
		if (i == 0 || w->handles[i] != w->handles[0]) {
			memcached_free(w->handles[i]);
		}
	}
	memcached_free(w->with_cas);
	if (w->noreply) {
		memcached_free(w->noreply);
		memcached_free(w->buffered);
	}
}

/* --- reading --- */

static void judge(struct worker *w, unsigned key, const struct board_look *look, const char *bytes,
		  size_t n)
{
	struct value value;
	char number[32] = "";

	board_count(&w->own->gets, 1);
	if (w->variant->traits & VARIANT_COUNTERS) {
		memcpy(number, bytes, n < sizeof(number) ? n : sizeof(number) - 1);
		board_judge_number(w->board, w->number, key, look, strtoull(number, NULL, 10));
	} else if (value_read(bytes, n, &value)) {
		board_judge(w->board, w->number, key, look, &value);
	} else {
		board_count(&w->own->corrupt, 1);
	}
}

static void judge_rc(struct worker *w, unsigned key, const struct board_look *look,
		     memcached_return_t rc)
{
	board_count(&w->own->gets, 1);
	if (rc == MEMCACHED_NOTFOUND) {
		if (!(w->variant->traits & VARIANT_DEEP)) {
			board_judge_miss(w->board, w->number, key, look);
		}
	} else {
		board_count(&w->own->failed, 1);
	}
}

/* Versions are the digits of value.h. */
static void log_read(struct worker *w, const struct board_look *look, unsigned key,
		     memcached_return_t rc, const char *bytes)
{
	bool found = rc == MEMCACHED_SUCCESS;

	fprintf(w->log, "r %" PRIu64 " %" PRIu64 " %u %.40s\n", look->begin_ns, board_now_ns(), key,
		found ? bytes : "-");
	if (!found && rc != MEMCACHED_NOTFOUND) {
		board_count(&w->own->failed, 1);
	}
}

static void log_write(struct worker *w, unsigned key, uint64_t start, const char *bytes,
		      memcached_return_t rc)
{
	if (rc == MEMCACHED_SUCCESS || rc == MEMCACHED_NOTFOUND) {
		fprintf(w->log, "w %" PRIu64 " %" PRIu64 " %u %.40s\n", start, board_now_ns(), key,
			bytes ? bytes : "-");
	} else {
		board_count(&w->own->failed, 1);
	}
}

static void read_through(struct worker *w, memcached_st *handle, const char *name, unsigned key)
{
	struct board_look look;
	memcached_return_t rc;
	uint32_t flags;
	size_t n;
	char *bytes;

	board_look(w->board, key, &look);
	bytes = memcached_get(handle, name, strlen(name), &n, &flags, &rc);
	if (w->log) {
		log_read(w, &look, key, rc, bytes);
	} else if (rc == MEMCACHED_SUCCESS) {
		judge(w, key, &look, bytes, n);
	} else {
		judge_rc(w, key, &look, rc);
	}
	free(bytes);
}

/* Keys of an mget, all different. */
struct request {
	unsigned keys[MGET_KEYS];
	const char *names[MGET_KEYS];
	size_t lengths[MGET_KEYS];
	struct board_look looks[MGET_KEYS];
	bool answered[MGET_KEYS];
};

static void request_make(struct worker *w, unsigned alias, struct request *request)
{
	unsigned first = draw(w, w->variant->n_keys);
	unsigned step = 1 + 2 * draw(w, 4); /* odd: coprime to the number of keys */

	for (unsigned i = 0; i < MGET_KEYS; i++) {
		request->keys[i] = (first + i * step) % w->variant->n_keys;
		request->names[i] = w->names[alias][request->keys[i]];
		request->lengths[i] = strlen(request->names[i]);
		request->answered[i] = false;
		board_look(w->board, request->keys[i], &request->looks[i]);
	}
}

static void take(struct worker *w, struct request *request, const char *name, size_t n_name,
		 const char *bytes, size_t n)
{
	for (unsigned i = 0; i < MGET_KEYS; i++) {
		if (!request->answered[i] && request->lengths[i] == n_name &&
		    memcmp(request->names[i], name, n_name) == 0) {
			request->answered[i] = true;
			judge(w, request->keys[i], &request->looks[i], bytes, n);
			return;
		}
	}
	board_count(&w->own->corrupt, 1);
}

static memcached_return_t take_results(struct worker *w, memcached_st *handle,
				       struct request *request)
{
	memcached_result_st result;
	memcached_return_t rc;

	memcached_result_create(handle, &result);
	while (memcached_fetch_result(handle, &result, &rc)) {
		take(w, request, memcached_result_key_value(&result),
		     memcached_result_key_length(&result), memcached_result_value(&result),
		     memcached_result_length(&result));
	}
	memcached_result_free(&result);
	return rc;
}

static memcached_return_t take_fetched(struct worker *w, memcached_st *handle,
				       struct request *request)
{
	char name[MEMCACHED_MAX_KEY];
	size_t n_name, n;
	uint32_t flags;
	memcached_return_t rc;
	char *bytes;

	while ((bytes = memcached_fetch(handle, name, &n_name, &n, &flags, &rc))) {
		take(w, request, name, n_name, bytes, n);
		free(bytes);
	}
	return rc;
}

static void read_many(struct worker *w)
{
	unsigned alias = draw(w, HANDLES);
	memcached_st *handle = w->handles[alias];
	struct request request;
	memcached_return_t rc;

	request_make(w, alias, &request);
	rc = memcached_mget(handle, request.names, request.lengths, MGET_KEYS);
	if (rc == MEMCACHED_SUCCESS) {
		rc = w->variant->reads == READS_FETCH ? take_fetched(w, handle, &request)
						      : take_results(w, handle, &request);
	}
	for (unsigned i = 0; i < MGET_KEYS; i++) {
		if (!request.answered[i]) {
			bool clean = rc == MEMCACHED_END || rc == MEMCACHED_NOTFOUND;

			judge_rc(w, request.keys[i], &request.looks[i],
				 clean ? MEMCACHED_NOTFOUND : rc);
		}
	}
}

/* What ends must be left alone afterwards: then all write one key, and in turn the next. */
static unsigned written_key(struct worker *w)
{
	if (w->variant->traits & VARIANT_DOMAINS) {
		return (unsigned)(w->turn % w->variant->n_keys);
	}
	if (w->variant->traits & VARIANT_EXPIRIES) {
		return (unsigned)(board_now_ns() / TURN_NS % w->variant->n_keys);
	}
	return draw(w, w->variant->n_keys);
}

static void read_on(struct worker *w)
{
	unsigned alias = draw(w, HANDLES);
	unsigned key = draw(w, w->variant->n_keys);

	if ((w->variant->traits & VARIANT_DOMAINS) && draw(w, 2)) {
		/* What was written a moment ago. */
		key = written_key(w);
	}
	if (w->variant->reads == READS_GET) {
		read_through(w, w->handles[alias], w->names[alias][key], key);
	} else {
		read_many(w);
	}
}

/* --- writing --- */

static enum board_outcome outcome_of(memcached_return_t rc, const memcached_st *handle,
				     const struct worker *w)
{
	if (rc == MEMCACHED_SUCCESS) {
		return w->noreply && (handle == w->noreply || handle == w->buffered) ? BOARD_UNKNOWN
										     : BOARD_DONE;
	}
	if (rc == MEMCACHED_NOTSTORED || rc == MEMCACHED_NOTFOUND || rc == MEMCACHED_DATA_EXISTS) {
		return BOARD_REFUSED;
	}
	return BOARD_UNKNOWN;
}

/* The CAS id of what is there, which is also a read; false where nothing is. */
static bool read_cas(struct worker *w, unsigned key, uint64_t *ret_cas)
{
	const char *name = w->names[0][key];
	size_t n_name = strlen(name);
	struct board_look look;
	memcached_result_st result;
	memcached_return_t rc;
	bool found = false;

	board_look(w->board, key, &look);
	rc = memcached_mget(w->with_cas, &name, &n_name, 1);
	if (rc != MEMCACHED_SUCCESS) {
		return false;
	}
	memcached_result_create(w->with_cas, &result);
	while (memcached_fetch_result(w->with_cas, &result, &rc)) {
		judge(w, key, &look, memcached_result_value(&result),
		      memcached_result_length(&result));
		*ret_cas = memcached_result_cas(&result);
		found = true;
	}
	memcached_result_free(&result);
	if (!found) {
		judge_rc(w, key, &look, rc == MEMCACHED_END ? MEMCACHED_NOTFOUND : rc);
	}
	return found;
}

static memcached_return_t store(memcached_st *handle, char verb, const char *name,
				const char *bytes, time_t exptime, uint64_t cas)
{
	size_t n = strlen(name);

	switch (verb) {
	case 'a':
		return memcached_add(handle, name, n, bytes, VALUE_BYTES, exptime, 0);
	case 'r':
		return memcached_replace(handle, name, n, bytes, VALUE_BYTES, exptime, 0);
	case 'c':
		return memcached_cas(handle, name, n, bytes, VALUE_BYTES, exptime, 0, cas);
	default:
		return memcached_set(handle, name, n, bytes, VALUE_BYTES, exptime, 0);
	}
}

static void write_store(struct worker *w, memcached_st *handle, const char *name, unsigned key,
			char verb)
{
	static const unsigned exptimes[] = { 2, 0, 2, 4 };
	struct value value = { .key = key, .writer = w->number };
	char bytes[VALUE_BYTES];
	memcached_return_t rc;
	uint64_t cas = 0;

	if (w->variant->traits & VARIANT_EXPIRIES) {
		value.exptime = exptimes[draw(w, 4)];
	}
	if (verb == 'c' && !read_cas(w, key, &cas)) {
		return;
	}
	value.count = board_store_begin(w->board, w->number, key, value.exptime);
	value.start_ns = board_now_ns();
	value_write(bytes, &value);
	rc = store(handle, verb, name, bytes, value.exptime, cas);
	if (w->log) {
		log_write(w, key, value.start_ns, bytes, rc);
	} else {
		board_store_end(w->board, w->number, &value, outcome_of(rc, handle, w));
	}
}

static void write_delete(struct worker *w, memcached_st *handle, const char *name, unsigned key)
{
	uint64_t begin;
	memcached_return_t rc;
	enum board_outcome outcome;

	board_remove_begin(w->board, w->number, key);
	begin = board_now_ns();
	rc = memcached_delete(handle, name, strlen(name), 0);
	if (w->log) {
		log_write(w, key, begin, NULL, rc);
		return;
	}
	/* Nothing there is as good as deleted. */
	outcome = rc == MEMCACHED_NOTFOUND ? BOARD_DONE : outcome_of(rc, handle, w);
	board_remove_end(w->board, w->number, key, begin, board_now_ns(), outcome);
	board_count(&w->own->writes, 1);
}

static void write_increment(struct worker *w, memcached_st *handle, const char *name, unsigned key)
{
	uint64_t number;

	if (memcached_increment(handle, name, strlen(name), 1, &number) == MEMCACHED_SUCCESS) {
		board_counted(w->board, w->number, key, number);
	} else {
		board_count(&w->own->failed, 1);
	}
}

/*
 * Where domains write one key at once it has no deep copy for a mark's life: so keys
 * take turns, in which one worker writes, or one of each domain at the same moment.
 */
static bool has_turn(struct worker *w)
{
	uint64_t turn = board_now_ns() / SHORT_TURN_NS;
	uint64_t drawn = turn * UINT64_C(0x9e3779b97f4a7c15) >> 40;
	unsigned writer;

	if (!(w->variant->traits & VARIANT_DOMAINS)) {
		return true;
	}
	if (turn == w->turn) {
		return false;
	}
	w->turn = turn;
	writer = (unsigned)(drawn / BOTH_OF % w->variant->n_workers);
	return writer == w->number || (drawn % BOTH_OF == 0 && writer / 2 == w->number / 2);
}

static void write_on(struct worker *w)
{
	unsigned alias = draw(w, HANDLES);
	unsigned key = written_key(w);
	memcached_st *handle = w->handles[alias];
	const char *name = w->names[alias][key];
	char verb = w->variant->verbs[draw(w, (unsigned)strlen(w->variant->verbs))];

	if (w->noreply && draw(w, 8)) {
		handle = draw(w, 2) ? w->noreply : w->buffered;
		if (draw(w, LINK_CALLS) == 0) {
			read_through(w, handle, name, key);
		} else if (draw(w, LINK_CALLS) == 0) {
			memcached_flush_buffers(w->buffered);
		}
	}
	if (verb == 'c') {
		handle = w->handles[0];
		name = w->names[0][key];
	}
	if (verb == 'd') {
		write_delete(w, handle, name, key);
	} else if (verb == 'i') {
		write_increment(w, handle, name, key);
	} else {
		write_store(w, handle, name, key, verb);
	}
}

/*
 * memcached counts seconds of its own: a flush that waits for d of them takes
 * effect d - 2 to d - 1 seconds later, and takes with it what was stored until
 * the end of that second.
 */
static void flush_all(struct worker *w, unsigned delay)
{
	uint64_t begin, end;
	memcached_return_t rc;
	enum board_outcome outcome;

	for (unsigned key = 0; key < w->variant->n_keys; key++) {
		board_remove_begin(w->board, w->number, key);
	}
	begin = board_now_ns();
	rc = memcached_flush(w->handles[0], delay);
	outcome = outcome_of(rc, w->handles[0], w);
	if (delay) {
		begin += delay * BOARD_NS_PER_S - 2 * BOARD_NS_PER_S;
		usleep(delay * 1000000 + 200000);
	}
	end = board_now_ns();
	for (unsigned key = 0; key < w->variant->n_keys; key++) {
		board_remove_end(w->board, w->number, key, begin, end, outcome);
	}
	board_count(&w->own->writes, 1);
}

/* --- the life of a worker --- */

static bool open_worker(struct worker *w, const struct worker_job *job)
{
	w->job = job;
	w->variant = job->variant;
	w->number = job->number;
	w->board = board_map(job->board_path);
	if (w->board == NULL) {
		perror(job->board_path);
		return false;
	}
	w->own = &w->board->workers[w->number];
	if (w->variant->traits & VARIANT_LANGUAGES) {
		char path[4096];

		snprintf(path, sizeof(path), "%s.log.%u", job->board_path, w->number);
		w->log = fopen(path, "we");
		if (w->log == NULL) {
			perror(path);
			return false;
		}
	}
	w->random = board_now_ns() | 1;
	open_handles(w);
	atomic_fetch_add(&w->board->n_ready, 1);
	while (atomic_load(&w->board->phase) == BOARD_WAIT) {
		usleep(1000);
	}
	return true;
}

int worker_run(const struct worker_job *job)
{
	struct worker w = { 0 };
	unsigned traits = job->variant->traits;

	if (!open_worker(&w, job)) {
		return EXIT_FAILURE;
	}
	while (atomic_load(&w.board->phase) == BOARD_RUN) {
		unsigned n = draw(&w, 2 * job->variant->reads_per_write);

		for (unsigned i = 0; i < n; i++) {
			read_on(&w);
		}
		if (has_turn(&w)) {
			write_on(&w);
		}
		if (w.log) {
			usleep(LOG_US);
		}
		if ((traits & VARIANT_FLUSHES) && draw(&w, 100) == 0) {
			flush_all(&w, 0);
		} else if ((traits & VARIANT_FLUSHES_LATER) && w.number == 0 &&
			   draw(&w, 400) == 0) {
			flush_all(&w, 1 + draw(&w, 3));
		}
	}
	while (atomic_load(&w.board->phase) == BOARD_CALM) {
		write_on(&w);
		usleep(CALM_US);
	}
	close_handles(&w);
	return w.log && fclose(w.log) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
