/*
 * session.h - a whole measurement: every hierarchy, several times, interleaved.
 *
 * In each repeat every hierarchy runs once, in an order drawn anew, so that what the machine
 * does meanwhile hits all of them alike.  Every run has new workers and, unless servers were
 * given, new empty servers; its keys are written, it warms up, it is measured.  A tower's
 * domain is the run's own.
 *
 * One thread; it starts processes and waits for them (child.h), and leaves nothing behind.
 */
#ifndef TOWER_MEASURE_SESSION_H
#define TOWER_MEASURE_SESSION_H

#include <signal.h>

#include "core/stats_snapshot.h"
#include "measure/board.h"
#include "measure/candidate.h"

#define SESSION_REPEATS_MAX 100
#define SESSION_WHY_MAX 1536

struct session_progress {
	const struct candidate *candidate;
	unsigned run; /* of n_runs, counted from 0 */
	unsigned n_runs;
	enum board_phase phase;
	int64_t phase_ns;   /* since the phase began */
	uint64_t requests;  /* measured so far, of this run */
	int64_t session_ns; /* since the session began */
};

/* Everything is borrowed. */
struct session_options {
	const struct workload *workload;
	const struct workload_stream *stream; /* NULL: none */
	const struct candidate *candidates;
	unsigned n_candidates;
	unsigned n_repeats;
	unsigned n_processes;
	unsigned n_threads; /* of each process */
	int64_t warm_ns;
	int64_t run_ns;
	const char *servers; /* NULL: a private memcached for every run */
	const char *redis;   /* url; NULL: a private Redis for every run */
	uint64_t memcached_bytes;
	uint64_t redis_bytes;
	bool binary;
	const char *library; /* libtower.so */
	const char *worker;  /* tower-bench-worker */
	const volatile sig_atomic_t *interrupted;
	void (*progress)(void *owner, const struct session_progress *progress); /* may be NULL */
	void *owner;
};

/* What one run brought. */
struct session_run {
	struct board_counts counts;
	struct latency_values latencies[BOARD_CALLS];
	struct latency_values slices[BOARD_SLICES];
	char error[BOARD_ERROR_MAX]; /* the first call that failed; empty: none did */
	double own_ns;		     /* of the driver, mean over the threads */
	/* What the layers counted meanwhile; zero for plain. */
	struct stats_layer_values layers[STATS_LAYERS_MAX];
};

struct session {
	unsigned n_candidates;
	unsigned n_repeats;
	char libmemcached[32]; /* versions; empty where they are not known */
	char memcached[32];
	char redis[32];
	struct session_run *runs; /* of candidate h and repeat r: session_run_of() */
};

enum session_status {
	SESSION_OK,
	SESSION_WRONG,	     /* a value was not what it has to be */
	SESSION_FAILED,	     /* it could not be measured */
	SESSION_INTERRUPTED, /* without a word */
};

/*
 * On SESSION_OK *ret is to be given to session_free(); else ret_why (SESSION_WHY_MAX bytes)
 * says what was wrong.
 */
enum session_status session_run(const struct session_options *options, struct session *ret,
				char *ret_why);

void session_free(struct session *session);

static inline const struct session_run *session_run_of(const struct session *session,
						       unsigned candidate, unsigned repeat)
{
	return &session->runs[candidate * session->n_repeats + repeat];
}

#endif
