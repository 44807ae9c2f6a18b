/*
 * stats_snapshot.h - the counters of a domain at one moment, for `tower stat`.
 *
 * Taken without a lock and without writing to the file: no process waits for
 * it and none can be harmed.  The snapshot is consistent as far as processes
 * go: what a process counted is either in its own row or in the total of
 * those that ended, never in both and never in neither.
 *
 * One thread; the file is mapped only during the call.
 */
#ifndef TOWER_CORE_STATS_SNAPSHOT_H
#define TOWER_CORE_STATS_SNAPSHOT_H

#include <stdint.h>
#include <sys/types.h>

#include "core/stats.h"

/* struct stats_counts, layer_counters and stats_latencies as plain numbers in the same order. */
struct stats_layer_values {
#define COUNTER(name, help) uint64_t name;
#define GAUGE(name, help) uint64_t name;
#include "layers/counters.def"
#undef COUNTER
#undef GAUGE
};

struct stats_values {
	struct stats_layer_values layers[STATS_LAYERS_MAX];
	uint64_t calls[STATS_CALLS_MAX];
	uint64_t passed[STATS_REASONS_MAX];
	uint64_t reads[STATS_READS_MAX][STATS_READ_COUNTS];
	struct latency_values latencies[STATS_LAYERS_MAX][STATS_OPERATIONS];
};

struct stats_process {
	pid_t pid;			 /* as the pid namespace of that process numbers it */
	char command[STATS_COMMAND_MAX]; /* any bytes; empty where unknown */
	struct stats_values values;
};

struct stats_snapshot {
	char domain[STATS_DOMAIN_MAX];
	unsigned n_calls;
	char calls[STATS_CALLS_MAX][STATS_NAME_MAX];
	unsigned n_reasons;
	char reasons[STATS_REASONS_MAX][STATS_NAME_MAX];
	unsigned n_processes; /* that live, or cannot be told to be dead; in order of pid */
	struct stats_process *processes;
	struct stats_values total; /* these and all that ended; items and bytes of these only */
	uint64_t redis_unmarked;   /* keys that Redis has yet to hear of */
	bool redis_open;	   /* it failed and is left alone */
	bool redis_several;	   /* other domains write to the same */
	uint64_t redis_generation; /* the newest known of any memcached server; 0: none */
	int64_t taken_ns;	   /* of clock.h */
};

enum stats_status {
	STATS_OK,
	STATS_NONE,    /* no such file: nothing has run in this domain yet */
	STATS_FOREIGN, /* another user's, another format, truncated, or not ours at all */
	STATS_FAILED,  /* errno says why; EAGAIN: processes come and go too fast */
};

/* Takes a snapshot, to be freed by the caller. */
enum stats_status stats_snapshot_take(const char *path, struct stats_snapshot **ret);

void stats_snapshot_free(struct stats_snapshot **snapshot);

#endif
