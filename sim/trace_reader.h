/*
 * trace_reader.h - streams of requests, from files of several formats.
 *
 *	struct trace_reader *reader;
 *	struct trace_request request;
 *	enum trace_status status;
 *
 *	if (!trace_open(&reader, path, format, why)) ...
 *	while ((status = trace_next(reader, &request)) == TRACE_REQUEST) ...
 *	if (status == TRACE_BAD) ... trace_why(reader)
 *	trace_close(&reader);
 *
 * be32, be64  a key per request, an unsigned number of 4 or 8 bytes, the highest first
 * adaptsize   a line per request: time (s), key (a number), size (bytes); more is ignored
 * csv         a line per request: time (s), key[, size[, operation[, ttl (s)]]]; a
 *             field may be quoted ("a,b", a quote inside twice) or empty; a
 *             first line that does not begin with a time is a heading
 * keys        a line per request, the key
 * memcached   what `memcached -vv` prints of the text protocol, and what its `watch
 *             fetchers mutations` sends; other lines are passed over
 * tower       recordings ([trace] path): one file, or the path that was
 *             configured, then all processes' files in the order of time
 *
 * Times are seconds, with or without a fraction.  Files whose names end in .gz, .xz,
 * .zst or .bz2 are decompressed by the program for that; "-" is standard input.
 *
 * Whatever a file holds, reading it takes bounded memory (recordings: that of their
 * requests, at most TRACE_RECORDS_MAX) and ends in TRACE_END or TRACE_BAD.  A file
 * without requests is no error here.
 *
 * One thread per reader; several readers may be open.
 */
#ifndef TOWER_SIM_TRACE_READER_H
#define TOWER_SIM_TRACE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRACE_WHY_MAX 512
#define TRACE_LINE_MAX 65536 /* bytes; longer ones are an error */
#define TRACE_NAME_MAX 251   /* of trace_name(), NUL included */
#define TRACE_RECORDS_MAX (UINT64_C(1) << 27)

enum trace_format {
	TRACE_BE32,
	TRACE_BE64,
	TRACE_ADAPTSIZE,
	TRACE_CSV,
	TRACE_KEYS,
	TRACE_MEMCACHED,
	TRACE_TOWER,
	TRACE_N_FORMATS,
};

enum trace_operation {
	TRACE_GET,
	TRACE_SET, /* and add, replace, cas: what was stored is the value from now on */
	TRACE_DELETE,
	TRACE_CHANGE, /* append, prepend, incr, decr, touch: changes what is there */
	TRACE_N_OPERATIONS,
};

#define TRACE_SIZE_UNKNOWN UINT64_MAX

struct trace_request {
	uint64_t key;	  /* tells keys apart: the number, or a hash (hash.h) of the name */
	const char *name; /* as the file has it, until the next call; NULL: numbers, recordings */
	size_t n_name;	  /* not NUL-terminated */
	int64_t time_ns;  /* since the first request, never falling; 0 where there are no times */
	uint64_t size;	  /* of the value in bytes, or TRACE_SIZE_UNKNOWN */
	int64_t ttl_ns;	  /* what a write gave it; 0: for ever, or not known */
	enum trace_operation operation;
};

enum trace_status {
	TRACE_REQUEST,
	TRACE_END,
	TRACE_BAD, /* for good; trace_why() says where and why */
};

struct trace_reader;

/* False where there is no such format. */
bool trace_format_find(const char *name, enum trace_format *ret);

/* "be32, be64, ..." */
const char *trace_format_names(void);

/* False, with `ret_why` (TRACE_WHY_MAX bytes), where the file cannot be opened. */
bool trace_open(struct trace_reader **ret, const char *path, enum trace_format format,
		char *ret_why);

/* The same of a descriptor, which is taken; `name` is for errors. */
bool trace_open_descriptor(struct trace_reader **ret, int fd, const char *name,
			   enum trace_format format, char *ret_why);

enum trace_status trace_next(struct trace_reader *reader, struct trace_request *ret);

/* "FILE:LINE: ..." or "FILE, byte N: ..."; the reader's, until it is closed. */
const char *trace_why(const struct trace_reader *reader);

/* Of all keys so large a part is in the file: 1, but for recordings that sample. */
double trace_share(const struct trace_reader *reader);

/* NULL is accepted. */
void trace_close(struct trace_reader **reader);

/*
 * A key for memcached, NUL-terminated: the name where it may be one, else 16
 * hexadecimal digits of `key`.  Different keys of one trace have different names.
 */
size_t trace_name(const struct trace_request *request, char *ret_name);

#endif
