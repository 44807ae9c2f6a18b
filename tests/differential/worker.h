/*
 * worker.h - one of the processes that run the random sequence.
 *
 * A worker chooses by its own random stream, which depends on the seed and its
 * number alone, so that the workers of both sides with the same number do the
 * same.  What it sees goes into its seat: one line per step,
 *
 *	STEP.WORKER hHANDLE operation [KEY] arguments -> outcome | handle's state
 *
 * Keys stand in brackets, and what differs between two well-behaved sides
 * (addresses, EAGAIN or not) has no place in a line.  Single-threaded.
 */
#ifndef TOWER_TESTS_DIFFERENTIAL_WORKER_H
#define TOWER_TESTS_DIFFERENTIAL_WORKER_H

#include <libmemcached/memcached.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/differential/board.h"
#include "tests/differential/random.h"

#define WORKER_HANDLES 5
#define WORKER_SERVERS 2
#define WORKER_TEXTS 16
#define WORKER_TEXT_MAX 300
#define WORKER_PARTS 40
#define WORKER_VALUE_MAX ((size_t)1300000)

/* Blocks of the handles that share an allocator: a handle and its clones. */
struct allocations {
	long n_live;	/* handed out and not taken back */
	long n_foreign; /* taken back, but never handed out */
	unsigned n_handles;
};

struct handle {
	memcached_st *st;		 /* NULL: none */
	memcached_st own;		 /* st, where the program owns the memory */
	struct allocations *allocations; /* NULL: malloc() */
	struct memcached_pool_st *pool;	 /* st came from it, the only one; NULL: none */
	bool is_slow;			 /* may ever have buffered, or not waited for replies */
	bool has_results;		 /* an mget may not be fetched to its end */
	bool is_unordered;		 /* its results may come in any order */
	bool has_dead;			 /* one of the servers does not exist */
	unsigned n_servers;
};

/* A key, or a group key; bytes may be NULL. */
struct text {
	const char *bytes;
	size_t n;
};

struct worker {
	unsigned number;
	uint64_t step;
	struct random random;
	struct handle handles[WORKER_HANDLES];
	struct board_seat *seat;
	int barriers[WORKER_SERVERS]; /* connections of our own, to every server */
	size_t key_max;		      /* longest key that may be used */
	bool is_stirred;	      /* what this step sent may still be on its way */
	/*
	 * Either values end while somebody looks, or there is more than one server:
	 * the tower knows ends by key, not by key and server.
	 */
	bool has_expiries;
	bool has_namespace; /* the tower has one; it moves keys that are hashed with it */
	uint64_t seen_cas;  /* the last CAS id that a result had */
	char texts[WORKER_TEXTS][WORKER_TEXT_MAX];
	unsigned n_texts;
	char *value;		    /* WORKER_VALUE_MAX bytes */
	size_t parts[WORKER_PARTS]; /* where in the seat's text they begin */
	unsigned n_parts;
};

typedef void (*worker_operation)(struct worker *worker, struct handle *handle);

/* --- record.c: what was seen --- */

__attribute__((format(printf, 2, 3))) void record(struct worker *worker, const char *format, ...);

/* [k1], or [(NULL)]; long ones are cut, bytes that are not text are shown in hex. */
void record_key(struct worker *worker, struct text key);

/* Nothing unless `by_key`. */
void record_group(struct worker *worker, bool by_key, struct text group);

/* Length, checksum, beginning; with `has_nul` whether a NUL follows. */
void record_value(struct worker *worker, const char *value, size_t n, bool has_nul);
void record_result(struct worker *worker, const memcached_result_st *result);

/*
 * Parts of a line, one for each result: what was recorded between begin and end
 * is sorted, part by part, if it is `unordered`.
 */
void record_parts_begin(struct worker *worker);
void record_part(struct worker *worker);
void record_parts_end(struct worker *worker, bool unordered);

/* errno after a call: 0 where it is what it was before, or EAGAIN, which is up to the moment. */
void record_errno(struct worker *worker);
void record_state(struct worker *worker, const struct handle *handle);

/* errno before a call. */
#define RECORD_ERRNO 77

/* --- choices.c: what to do it with; texts live until the next step --- */

struct text choose_key(struct worker *worker, const struct handle *handle);
struct text choose_group(struct worker *worker);

/* Into worker->value. */
struct text choose_value(struct worker *worker);
time_t choose_expiration(struct worker *worker);
uint32_t choose_flags(struct worker *worker);
bool chance(struct worker *worker, uint32_t percent);
uint32_t choose(struct worker *worker, uint32_t n);

/* --- handles.c --- */

/* Another handle in its place, with a random configuration. */
void handle_open(struct worker *worker, struct handle *handle);
void handle_close(struct worker *worker, struct handle *handle);
void handle_clone(struct worker *worker, struct handle *from, struct handle *to);

bool handle_may_buffer(const struct handle *handle);

/* Sends what was buffered, and waits until it took effect; before a call that hangs up. */
void handle_empty_buffers(struct worker *worker, struct handle *handle);

/* Gives back a value that a call on the handle returned. */
void handle_free_value(struct handle *handle, char *value);

/*
 * Whether values are encoded.  Such handles stay in a namespace of their own:
 * libmemcached loses its place in an mget over a value that it cannot decode.
 */
bool handle_encodes(const struct handle *handle);

/* Another handle that is at rest, or NULL. */
struct handle *handle_other(struct worker *worker, const struct handle *handle);

/* --- operations --- */

void operate_get(struct worker *worker, struct handle *handle);
void operate_mget(struct worker *worker, struct handle *handle);
void operate_fetch(struct worker *worker, struct handle *handle);
void operate_exist(struct worker *worker, struct handle *handle);

/* Fetches the results of an mget, some or all, in one of several ways. */
void fetch_some(struct worker *worker, struct handle *handle, bool all);

void operate_store(struct worker *worker, struct handle *handle);
void operate_delete(struct worker *worker, struct handle *handle);
void operate_count(struct worker *worker, struct handle *handle);
void operate_touch(struct worker *worker, struct handle *handle);
void operate_flush(struct worker *worker, struct handle *handle);

void operate_namespace(struct worker *worker, struct handle *handle);
void operate_behavior(struct worker *worker, struct handle *handle);
void operate_servers(struct worker *worker, struct handle *handle);
void operate_clone(struct worker *worker, struct handle *handle);
void operate_quit(struct worker *worker, struct handle *handle);
void operate_flush_buffers(struct worker *worker, struct handle *handle);
void operate_talk(struct worker *worker, struct handle *handle);
void operate_fork(struct worker *worker, struct handle *handle);
void operate_reopen(struct worker *worker, struct handle *handle);

/* --- worker.c --- */

/* Returns when both servers have done what was sent to them so far. */
void worker_barrier(struct worker *worker);

/* One step on a handle. */
void worker_step(struct worker *worker);

/* --- big.c: the sequence of one big memcached --- */

void big_step(struct worker *worker);

#endif
