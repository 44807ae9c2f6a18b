/*
 * trace_private.h - what the parts of the trace reader share; for trace_*.c alone.
 */
#ifndef TOWER_SIM_TRACE_PRIVATE_H
#define TOWER_SIM_TRACE_PRIVATE_H

#include <sys/types.h>

#include "sim/trace_reader.h"

/* Room behind a line, so that a last one without an end gets one. */
#define TRACE_BUFFER_BYTES (TRACE_LINE_MAX + 2)

struct trace_record; /* trace_tower.c */

struct trace_reader {
	enum trace_format format;
	int fd;
	pid_t child; /* that decompresses; 0: none */
	bool ended;  /* the descriptor has no more */
	bool bad;
	bool began; /* a request was given */
	char *file; /* its name, for errors */

	char *bytes; /* read and not taken yet: from `at` to `end` */
	size_t at;
	size_t end;
	uint64_t offset; /* in the stream, of `at` */
	uint64_t line;	 /* the number of the line taken last */

	int64_t first_ns; /* time of the first request */
	int64_t last_ns;

	char *rest; /* memcached: keys of one get that were not given yet; inside of `bytes` */
	int64_t now_ns;

	struct trace_record *records;
	size_t n_records;
	size_t next_record;
	double share;

	char why[TRACE_WHY_MAX];
};

/* TRACE_BAD for good; the place is put in front. */
__attribute__((format(printf, 2, 3))) enum trace_status trace_fail(struct trace_reader *reader,
								   const char *format, ...);

/* --- trace_reader.c --- */

/* At least n bytes at bytes + at, unless the stream ends before; false on an error. */
bool trace_fill(struct trace_reader *reader, size_t n);

/* --- trace_text.c --- */

enum trace_status trace_next_text(struct trace_reader *reader, struct trace_request *ret);

/* --- trace_tower.c --- */

/* Of the files at the path: false, with why, where one cannot be read. */
bool trace_open_records(struct trace_reader *reader, const char *path);

/* The same of the one file that reader->fd is. */
bool trace_load_records(struct trace_reader *reader);

enum trace_status trace_next_record(struct trace_reader *reader, struct trace_request *ret);

void trace_free_records(struct trace_reader *reader);

#endif
