/*
 * trace_file.h - the format of a recording: one file per process.
 *
 * A header, which fills TRACE_FILE_HEADER_BYTES, then a ring of records.  Writers
 * take places by counting `n_taken` up by TRACE_FILE_RUN, so many for each thread at a
 * time; place n lies at n % n_places.  So the newest are there, older ones were
 * written over.  A record of key 0 is none: a thread has not used its place (yet).
 * Within a run times rise; several threads' runs overlap by a little.
 *
 * Numbers are in the machine's own order of bytes.
 */
#ifndef TOWER_CORE_TRACE_FILE_H
#define TOWER_CORE_TRACE_FILE_H

#include <stdint.h>

#include "base/shm.h"

#define TRACE_FILE_MAGIC "towertrc"
#define TRACE_FILE_FORMAT 1
#define TRACE_FILE_HEADER_BYTES 4096
#define TRACE_FILE_RUN 64 /* records; a page holds a whole number of runs */

/* Bits of a record's `what`: operation, then size. */
#define TRACE_FILE_OPERATION 0xf
#define TRACE_FILE_SIZE_SHIFT 4
#define TRACE_FILE_SIZE_MAX ((UINT32_C(1) << 28) - 1) /* and above */

/* In this order for good. */
enum trace_file_operation {
	TRACE_FILE_HIT,	 /* a get that some layer answered; size is the value's */
	TRACE_FILE_MISS, /* a get that none did, size 0 */
	TRACE_FILE_SET,	 /* and add, replace, cas that were stored; size is the value's */
	TRACE_FILE_DELETE,
	TRACE_FILE_CHANGE, /* append, prepend, incr, decr, touch; size 0 */
	TRACE_FILE_N_OPERATIONS,
};

struct trace_file_record {
	uint64_t key;	  /* hash of the key on the wire; never 0 */
	uint32_t time_ms; /* since the header's time; from a clock of a few milliseconds */
	uint32_t what;
};

struct trace_file {
	struct shm_header header;
	uint64_t n_places; /* a multiple of TRACE_FILE_RUN */
	uint64_t sample;   /* of 2^32 parts of all keys so many are recorded; 2^32: all */
	int64_t wall_ms;   /* since 1970: when the recording began */
	int64_t pid;
	uint64_t n_taken;    /* atomic */
	uint64_t n_unbacked; /* atomic: places that could not be had, the file system being full */
	char command[64];    /* NUL-terminated */
};

_Static_assert(sizeof(struct trace_file_record) == 16, "records are packed");
_Static_assert(sizeof(struct trace_file) <= TRACE_FILE_HEADER_BYTES, "the header has room");

#endif
