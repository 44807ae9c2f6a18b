/*
 * board.h - the memory that `tower bench` shares with its workers during one run: what they
 * are to do, how far they are, what they have measured.
 *
 * `tower bench` makes it without a name and hands the descriptor on; the workers are of the
 * same build.  Phases are set by `tower bench` alone and only rise; a thread says which one
 * it has finished.  All else of a thread is written by that thread, and read by others once
 * it has finished BOARD_RUN, but `requests`, which shows progress.
 */
#ifndef TOWER_MEASURE_BOARD_H
#define TOWER_MEASURE_BOARD_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/latency.h"
#include "measure/value.h"
#include "measure/workload.h"

#define BOARD_MAGIC UINT64_C(0x746f7765722d6231)
#define BOARD_FD 3 /* where a worker finds it */
#define BOARD_THREADS_MAX 1024
#define BOARD_SLICES 60 /* of the measured time */
#define BOARD_PREFIX_MAX 64
#define BOARD_SERVERS_MAX 4096
#define BOARD_ERROR_MAX 256

enum board_phase {
	BOARD_OPEN,  /* connections are made */
	BOARD_FILL,  /* keys are written, if the workload says so */
	BOARD_WARM,  /* the workload, not measured */
	BOARD_REST,  /* nobody does anything: counters are read */
	BOARD_RUN,   /* the workload, measured */
	BOARD_CLEAR, /* keys are deleted from servers that are not our own */
	BOARD_LEAVE,
};

/* What is told apart in latencies. */
enum board_call { BOARD_GET, BOARD_MGET, BOARD_SET, BOARD_DELETE, BOARD_CALLS };

extern const char *const board_call_names[BOARD_CALLS];

struct board_counts {
	uint64_t requests; /* of the workload */
	uint64_t asked;	   /* keys */
	uint64_t hits;
	uint64_t misses;
	uint64_t refills;  /* sets of what was missed; no requests */
	uint64_t errors;   /* calls that failed otherwise than by a miss */
	uint64_t stale;	   /* old values, where the configuration permits them */
	uint64_t unserved; /* requests due in the measured time that were not even begun */
};

/* Requests by the time that they ended (open loop: were due), with their latencies. */
struct board_slice {
	uint32_t buckets[LATENCY_BUCKETS];
};

struct board_thread {
	alignas(128) _Atomic uint32_t finished; /* enum board_phase */
	_Atomic uint64_t requests;
	struct board_counts counts;
	double own_ns; /* what making up a request and asking the time takes */
	struct latency_values latencies[BOARD_CALLS];
	struct board_slice slices[BOARD_SLICES];
};

/* The first wrong value, complete once `known`. */
struct board_wrong {
	_Atomic bool taken;
	_Atomic bool known;
	uint32_t key;
	uint32_t fault; /* enum value_fault */
	uint64_t version;
	uint64_t floor;
	uint64_t issued;
	bool several; /* of an mget */
};

struct board {
	uint64_t magic;
	uint64_t n_bytes;
	/* What is to be done. */
	struct workload workload;
	char servers[BOARD_SERVERS_MAX]; /* HOST:PORT or paths of sockets, separated by commas */
	char prefix[BOARD_PREFIX_MAX];	 /* of all keys */
	bool binary;
	bool stale_is_wrong;
	bool clears;
	uint32_t n_threads; /* of all workers */
	int64_t run_ns;
	/* How far it is. */
	_Atomic uint32_t phase;
	_Atomic int64_t begin_ns; /* of BOARD_RUN, CLOCK_MONOTONIC */
	struct board_wrong wrong;
	char library[32]; /* version of the workers' libmemcached */
	_Atomic bool has_error;
	char error[BOARD_ERROR_MAX]; /* the first call that failed, or why a worker gave up */
	/* Where the rest lies, from the beginning. */
	uint64_t threads_at;
	uint64_t keys_at;
	uint64_t records_at;
	uint64_t n_records;
};

struct board_options {
	const struct workload *workload;
	const struct workload_stream *stream; /* NULL: none */
	unsigned n_threads;
};

/* A new one, to be given to board_close(); NULL: errno says why. */
struct board *board_make(const struct board_options *options, int *ret_fd);

/* A worker's view of it; NULL where the descriptor is not a board of this build. */
struct board *board_open(int fd);

void board_close(struct board **board);

static inline struct board_thread *board_thread(struct board *board, unsigned i)
{
	return (struct board_thread *)((char *)board + board->threads_at) + i;
}

static inline struct value_key *board_key(struct board *board, uint32_t key)
{
	return (struct value_key *)((char *)board + board->keys_at) + key;
}

static inline struct workload_stream board_stream(const struct board *board)
{
	return (struct workload_stream){
		board->n_records,
		(const struct workload_record *)((const char *)board + board->records_at),
	};
}

/* Whether every thread has finished the phase. */
bool board_finished(struct board *board, enum board_phase phase);

/* Notes the first error. */
__attribute__((format(printf, 2, 3))) void board_error(struct board *board, const char *format,
						       ...);

#endif
