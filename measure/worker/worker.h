/*
 * worker.h - a thread that is a program's place: it makes the requests of a workload through
 * libmemcached, times each call and checks each value.
 *
 * This is the only code of `tower bench` that calls libmemcached, and it knows nothing of
 * tower: what is preloaded decides what is measured.
 */
#ifndef TOWER_MEASURE_WORKER_H
#define TOWER_MEASURE_WORKER_H

#include <libmemcached/memcached.h>

#include "measure/board.h"

#define WORKER_KEY_MAX (BOARD_PREFIX_MAX + 16)

struct worker {
	struct board *board;
	struct board_thread *thread;
	unsigned number; /* of all threads of all workers */
	memcached_st *handle;
	memcached_result_st result;
	struct workload_stream stream;
	struct workload_generator generator; /* has a pointer to stream */
	struct workload_request request;
	int64_t begun_ns; /* a hot set moves from here */
	int64_t measured_from_ns;
	int64_t measured_to_ns;	      /* nothing is noted where this is 0 */
	char (*keys)[WORKER_KEY_MAX]; /* of a request */
	const char **key_places;
	size_t *key_lengths;
	uint64_t *floors;
	bool *found;
	char *value;
};

/* Nanoseconds of CLOCK_MONOTONIC. */
int64_t worker_now_ns(void);

/* False: the board says why.  It is not to be moved then. */
bool worker_open(struct worker *worker, struct board *board, unsigned number);
void worker_close(struct worker *worker);

/*
 * Makes worker->request.  Latencies count from `due_ns`, or from when the call is made where
 * that is 0.
 */
void worker_call(struct worker *worker, int64_t due_ns);

/* Writes one key, unmeasured. */
void worker_fill(struct worker *worker, uint32_t key);

/* Deletes one key, unmeasured. */
void worker_clear(struct worker *worker, uint32_t key);

/* From BOARD_OPEN to BOARD_LEAVE; `worker` is a struct worker that is open. */
void *worker_live(void *worker);

#endif
