/*
 * bench_stream.h - a file of requests (sim/trace_reader.h) as a workload's stream.
 *
 * Keys are numbered in the order in which they first come.  Changes (append, incr, touch)
 * become sets, and times are not kept: how fast requests come is the workload's to say.
 *
 * One thread.
 */
#ifndef TOWER_CLI_BENCH_STREAM_H
#define TOWER_CLI_BENCH_STREAM_H

#include "measure/workload.h"
#include "sim/trace_reader.h"

/*
 * Reads at most `max` requests (0: all), and makes the workload one of this stream.  The records
 * are the caller's to free.  False: stderr says why.
 */
bool bench_stream_read(const char *path, enum trace_format format, uint64_t max,
		       struct workload *workload, struct workload_stream *ret);

#endif
