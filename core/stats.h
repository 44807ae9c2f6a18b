/*
 * stats.h - counters in shared memory, one block per process.
 *
 * The file holds a header, a total, and STATS_BLOCKS_MAX blocks.  A process
 * claims a block at its first intercepted call, counts there without locks,
 * and gives it back when it closes; `tower stat` only reads
 * (core/stats_snapshot.h).  The block of a process that ended or died is
 * folded into the total exactly once, by whoever claims or leaves later, and
 * used again.  A process is known by pid, start time and pid namespace
 * (base/process.h); across pid namespaces nobody is taken for dead.
 *
 * Where the file cannot be had (no /dev/shm, not ours, another format, full)
 * a process counts in private memory, and whoever opened it says why: statistics
 * never fail a program.  How the file is protected: base/shm.h.
 *
 * Threads: counting is for any thread at any time.  Everything else is for
 * one thread at a time, while no other counts: what these functions exchange
 * are plain pointers.  The tower does that under its opening lock.  errno is
 * preserved.
 */
#ifndef TOWER_CORE_STATS_H
#define TOWER_CORE_STATS_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/latency.h"
#include "layers/counters.h"
#include "layers/redis.h"

#define STATS_FORMAT 7
#define STATS_BLOCKS_MAX 1024
#define STATS_STRIPES 16 /* of a block: one for all threads, and for so many less one */
#define STATS_LAYERS_MAX 3
#define STATS_CALLS_MAX 160  /* functions that may be counted */
#define STATS_REASONS_MAX 32 /* reasons to pass a call on */
#define STATS_READS_MAX 12   /* functions that read: the first ones */
#define STATS_COMMAND_MAX 32
#define STATS_DOMAIN_MAX 72 /* bytes of a domain's name, NUL included */
#define STATS_NAME_MAX 48   /* bytes of a function's or reason's name, NUL included */

/*
 * Of a function that reads, in keys: how many it took past a first look at memory, and where
 * these were found.  A single key that the first look finds is in calls[] alone, so that a
 * hit pays for one counter.  What is asked and found nowhere else in the row was not
 * fetched to the end, or its process died before.
 */
enum stats_read {
	STATS_READ_ASKED,
	STATS_READ_LAYERS, /* the first of STATS_LAYERS_MAX: enum stats_layer */
	STATS_READ_NOWHERE = STATS_READ_LAYERS + STATS_LAYERS_MAX,
	STATS_READ_FAILED,
	STATS_READ_PASSED,
	STATS_READ_COUNTS
};

/* What one process counts, or one of its threads: a stripe (layers/counters.h). */
struct stats_counts {
	alignas(64) struct layer_counters
		layers[STATS_LAYERS_MAX];	    /* memory, memcached, redis: fixed places */
	_Atomic uint64_t calls[STATS_CALLS_MAX];    /* by enum of shim/api.def */
	_Atomic uint64_t passed[STATS_REASONS_MAX]; /* by enum of shim/reasons.def */
	_Atomic uint64_t reads[STATS_READS_MAX][STATS_READ_COUNTS]; /* as calls[] */
};

/* What is timed of a layer: reads of one key, of several, and writes. */
enum stats_operation { STATS_GET, STATS_MGET, STATS_WRITE, STATS_OPERATIONS };

extern const char *const stats_operation_names[STATS_OPERATIONS];

/*
 * How long a layer took, of some operations chosen at random (core/timing.h).  One per
 * process: so few are timed that its threads need no stripes.
 */
struct stats_latency {
	_Atomic uint64_t sum_ns;
	_Atomic uint64_t buckets[LATENCY_BUCKETS];
};

struct stats_latencies {
	struct stats_latency of[STATS_LAYERS_MAX][STATS_OPERATIONS];
};

enum stats_layer { STATS_MEMORY, STATS_MEMCACHED, STATS_REDIS };

extern const char *const stats_layer_names[STATS_LAYERS_MAX];

/*
 * The names behind calls[] and passed[]: the shim's tables, given before
 * stats_open().  They are written into the file's header, so that the reader
 * needs no table of its own; a file with other names is another format.
 * Arrays of `n` static strings, borrowed.
 */
struct stats_names {
	const char *const *calls;
	unsigned n_calls;
	const char *const *reasons;
	unsigned n_reasons;
};

struct stats_file; /* the mapping; core/stats_file.h */

/* One per process. */
struct stats {
	/*
	 * Where this process counts now.  All these are exchanged by
	 * stats_child(), stats_claim() and stats_leave(), so that whoever
	 * counts keeps a pointer to the pointer
	 * (&stats->layers[STATS_MEMORY]) and never the pointer.
	 */
	struct stats_counts *counts;			 /* STATS_STRIPES of them */
	struct layer_counters *layers[STATS_LAYERS_MAX]; /* into counts[0] */
	struct stats_latencies *latencies;
	struct redis_seen *redis; /* the domain's; private where the file is */
	struct stats_file *file;  /* NULL where private, also for want of a block */
	const char *why;	  /* the file cannot be had: the end of a sentence; else NULL */
};

/*
 * Never NULL but where not even private memory can be had.  `path` NULL means
 * private (statistics switched off).
 */
struct stats *stats_open(const char *path, const char *domain, const struct stats_names *names);

/*
 * Gives the block back; its counts are folded now or by a later process.
 * Counts go to private memory from now on, and nothing is unmapped: for the
 * end of a process in which other threads may still count (what they count
 * then may be lost).
 */
void stats_leave(struct stats *stats);

/* stats_leave(), and frees everything: nobody counts any more. */
void stats_close(struct stats **stats);

/*
 * How many processes count in the file, those that were found dead left out; 0 where
 * this one does not, and nothing is known.  Any thread, at any time.
 */
unsigned stats_processes(struct stats *stats);

/*
 * In the atfork child: counts go to private zeroed memory from now on, and the
 * parent's block is the parent's.  Async-signal-safe: no system call, no lock.
 */
void stats_child(struct stats *stats);

/*
 * At the child's first intercepted call: claims a block and adds what was
 * counted since.  Nothing where a block is already had or was refused.
 */
void stats_claim(struct stats *stats);

/*
 * At a thread's first call: gives it a stripe of its own until it ends, where
 * there is one.  Any thread may do that at any time.
 */
void stats_thread(struct stats *stats);

#endif
