/*
 * recorder.h - records the program's traffic: [trace] path.
 *
 * What was asked for and answered, stored, deleted, changed, in a file per process
 * (core/trace_file.h), whose size is fixed when it is made: its oldest records
 * give way.  Keys are recorded as hashes, all requests of a key or none.
 *
 * The file is mapped, so that recording is a few stores, makes no system call but for one
 * each 64 KiB, and holds no descriptor.  What the file system has no room for is not
 * recorded.  A file that cannot be had at all is one line in the log.
 *
 * Any thread may record, also in a signal handler.  errno is preserved.
 */
#ifndef TOWER_CORE_RECORDER_H
#define TOWER_CORE_RECORDER_H

#include <stdint.h>

#include "core/trace_file.h"

struct recorder_options {
	const char *path; /* borrowed for good; the file is PATH.<pid>.<milliseconds since 1970> */
	uint64_t one_of;  /* keys: one of so many is recorded */
	uint64_t max_bytes; /* of the file */
	uint64_t max_files; /* of this path: the oldest are removed before there would be more */
};

struct recorder;

/* NULL where memory is out; where there is no file nothing is recorded. */
struct recorder *recorder_open(const struct recorder_options *options);

/* The key by its hash; the size of the value where there is one. */
void recorder_record(struct recorder *recorder, enum trace_file_operation operation, uint64_t hash,
		     uint64_t size);

/* In the child of a fork nothing is recorded before recorder_claim(), which makes a new file. */
void recorder_child(struct recorder *recorder);
void recorder_claim(struct recorder *recorder);

/* Nobody records any more.  NULL is accepted. */
void recorder_close(struct recorder **recorder);

#endif
