/* Requests from recordings: [trace] path. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "core/trace_file.h"
#include "sim/trace_private.h"

struct trace_record {
	int64_t time_ms; /* since 1970 */
	uint64_t key;
	uint32_t what;
	uint32_t turn; /* among those of one moment */
};

#define READ_RECORDS 4096

static bool refuse(struct trace_reader *reader, const char *why)
{
	trace_fail(reader, "%s", why);
	return false;
}

static bool read_all(struct trace_reader *reader, void *ret, size_t n, uint64_t offset)
{
	for (size_t done = 0; done < n;) {
		ssize_t got =
			pread(reader->fd, (char *)ret + done, n - done, (off_t)(offset + done));

		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got < 0) {
			return refuse(reader, strerror(errno));
		}
		if (got == 0) {
			return refuse(reader, "was cut: a recording is longer");
		}
		done += (size_t)got;
	}
	return true;
}

static bool read_header(struct trace_reader *reader, struct trace_file *ret)
{
	struct stat st;
	uint64_t n_bytes;

	if (fstat(reader->fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		return refuse(reader, "is no file");
	}
	if (st.st_size < TRACE_FILE_HEADER_BYTES) {
		return refuse(reader, "is no recording of tower: too short");
	}
	if (!read_all(reader, ret, sizeof(*ret), 0)) {
		return false;
	}
	if (memcmp(ret->header.magic, TRACE_FILE_MAGIC, SHM_MAGIC_BYTES) != 0) {
		return refuse(reader, "is no recording of tower");
	}
	if (ret->header.format != TRACE_FILE_FORMAT) {
		return refuse(reader, "is a recording of another version of tower");
	}
	n_bytes = (uint64_t)st.st_size - TRACE_FILE_HEADER_BYTES;
	if (ret->n_places == 0 || ret->n_places % TRACE_FILE_RUN ||
	    n_bytes / sizeof(struct trace_file_record) < ret->n_places || ret->sample == 0 ||
	    ret->sample > UINT64_C(1) << 32 || ret->wall_ms < 0 ||
	    ret->wall_ms > INT64_MAX / CLOCK_NS_PER_S) {
		return refuse(reader, "is a damaged recording");
	}
	return true;
}

static bool reserve(struct trace_reader *reader, uint64_t more)
{
	struct trace_record *larger;

	if (reader->n_records + more > TRACE_RECORDS_MAX) {
		return refuse(reader,
			      "these recordings hold more requests than can be read at once; "
			      "name fewer files");
	}
	larger = realloc(reader->records, (reader->n_records + more + 1) * sizeof(*larger));
	if (larger == NULL) {
		return refuse(reader, "out of memory");
	}
	reader->records = larger;
	return true;
}

static bool load_places(struct trace_reader *reader, const struct trace_file *file, uint64_t from,
			uint64_t to)
{
	struct trace_file_record read[READ_RECORDS];

	while (from < to) {
		uint64_t at = from % file->n_places;
		uint64_t n = to - from;

		n = n < READ_RECORDS ? n : READ_RECORDS;
		n = n < file->n_places - at ? n : file->n_places - at;
		if (!reserve(reader, n) ||
		    !read_all(reader, read, n * sizeof(read[0]),
			      TRACE_FILE_HEADER_BYTES + at * sizeof(read[0]))) {
			return false;
		}
		for (uint64_t i = 0; i < n; i++) {
			if (read[i].key &&
			    (read[i].what & TRACE_FILE_OPERATION) < TRACE_FILE_N_OPERATIONS) {
				reader->records[reader->n_records++] = (struct trace_record){
					.time_ms = file->wall_ms + read[i].time_ms,
					.key = read[i].key,
					.what = read[i].what,
					.turn = (uint32_t)reader->n_records,
				};
			}
		}
		from += n;
	}
	return true;
}

static int compare(const void *one, const void *other)
{
	const struct trace_record *a = one;
	const struct trace_record *b = other;

	if (a->time_ms != b->time_ms) {
		return a->time_ms < b->time_ms ? -1 : 1;
	}
	return a->turn < b->turn ? -1 : a->turn > b->turn;
}

static bool load_one(struct trace_reader *reader)
{
	struct trace_file file;
	bool is_first = reader->n_records == 0;
	double share;

	if (!read_header(reader, &file)) {
		return false;
	}
	share = (double)file.sample / 4294967296.0;
	if (!is_first && share != reader->share) {
		return refuse(reader,
			      "samples another part of the keys than the recordings before");
	}
	reader->share = share;
	return load_places(reader, &file,
			   file.n_taken > file.n_places ? file.n_taken - file.n_places : 0,
			   file.n_taken);
}

static void sort(struct trace_reader *reader)
{
	if (reader->n_records) {
		qsort(reader->records, reader->n_records, sizeof(*reader->records), compare);
	}
}

bool trace_load_records(struct trace_reader *reader)
{
	if (!load_one(reader)) {
		return false;
	}
	sort(reader);
	return true;
}

static bool load_path(struct trace_reader *reader, const char *path)
{
	char *name = strdup(path);
	bool well;

	if (name) {
		free(reader->file);
		reader->file = name;
	}
	reader->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (reader->fd < 0) {
		return refuse(reader, strerror(errno));
	}
	well = load_one(reader);
	close(reader->fd);
	reader->fd = -1;
	return well;
}

/* The files that processes made of a configured path: PATH.<pid>.<time>. */
static bool load_all(struct trace_reader *reader, const char *path)
{
	char pattern[1024];
	glob_t found;
	bool well = true;

	snprintf(pattern, sizeof(pattern), "%.900s.[0-9]*.[0-9]*", path);
	if (glob(pattern, 0, NULL, &found) != 0) {
		return refuse(reader, "there is no such file, and no recording under this path");
	}
	for (size_t i = 0; i < found.gl_pathc && well; i++) {
		well = load_path(reader, found.gl_pathv[i]);
	}
	globfree(&found);
	return well;
}

bool trace_open_records(struct trace_reader *reader, const char *path)
{
	struct stat st;

	if (stat(path, &st) == 0 ? !load_path(reader, path) : !load_all(reader, path)) {
		return false;
	}
	sort(reader);
	return true;
}

enum trace_status trace_next_record(struct trace_reader *reader, struct trace_request *ret)
{
	static const enum trace_operation operations[] = {
		[TRACE_FILE_HIT] = TRACE_GET,	    [TRACE_FILE_MISS] = TRACE_GET,
		[TRACE_FILE_SET] = TRACE_SET,	    [TRACE_FILE_DELETE] = TRACE_DELETE,
		[TRACE_FILE_CHANGE] = TRACE_CHANGE,
	};
	const struct trace_record *record;
	unsigned operation;

	if (reader->next_record == reader->n_records) {
		return TRACE_END;
	}
	record = &reader->records[reader->next_record++];
	operation = record->what & TRACE_FILE_OPERATION;
	*ret = (struct trace_request){
		.key = record->key,
		.time_ns = record->time_ms * CLOCK_NS_PER_MS,
		.operation = operations[operation],
		.size = operation == TRACE_FILE_HIT || operation == TRACE_FILE_SET
				? record->what >> TRACE_FILE_SIZE_SHIFT
				: TRACE_SIZE_UNKNOWN,
	};
	return TRACE_REQUEST;
}

void trace_free_records(struct trace_reader *reader)
{
	free(reader->records);
	reader->records = NULL;
}
