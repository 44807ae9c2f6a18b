#include "sim/trace_private.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const format_names[TRACE_N_FORMATS] = {
	[TRACE_BE32] = "be32",	 [TRACE_BE64] = "be64", [TRACE_ADAPTSIZE] = "adaptsize",
	[TRACE_CSV] = "csv",	 [TRACE_KEYS] = "keys", [TRACE_MEMCACHED] = "memcached",
	[TRACE_TOWER] = "tower",
};

/* Who decompresses what, to standard output. */
static const struct {
	const char *suffix;
	const char *program;
} packers[] = {
	{ ".gz", "gzip" },
	{ ".xz", "xz" },
	{ ".zst", "zstd" },
	{ ".bz2", "bzip2" },
};

bool trace_format_find(const char *name, enum trace_format *ret)
{
	for (enum trace_format format = 0; format < TRACE_N_FORMATS; format++) {
		if (strcmp(name, format_names[format]) == 0) {
			*ret = format;
			return true;
		}
	}
	return false;
}

const char *trace_format_names(void)
{
	return "be32, be64, adaptsize, csv, keys, memcached, tower";
}

static bool is_binary(const struct trace_reader *reader)
{
	return reader->format == TRACE_BE32 || reader->format == TRACE_BE64;
}

enum trace_status trace_fail(struct trace_reader *reader, const char *format, ...)
{
	char text[TRACE_WHY_MAX];
	va_list args;

	if (reader->bad) {
		return TRACE_BAD;
	}
	reader->bad = true;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (reader->format == TRACE_TOWER) {
		snprintf(reader->why, sizeof(reader->why), "%.200s: %.300s", reader->file, text);
	} else if (is_binary(reader)) {
		snprintf(reader->why, sizeof(reader->why), "%.200s, byte %llu: %.250s",
			 reader->file, (unsigned long long)reader->offset, text);
	} else {
		snprintf(reader->why, sizeof(reader->why), "%.200s:%llu: %.250s", reader->file,
			 (unsigned long long)reader->line, text);
	}
	return TRACE_BAD;
}

/* What became of the program that decompresses; a file that was cut must not pass for a whole. */
static bool child_ended_well(struct trace_reader *reader)
{
	int status;
	pid_t ended;

	if (reader->child == 0) {
		return true;
	}
	do {
		ended = waitpid(reader->child, &status, 0);
	} while (ended < 0 && errno == EINTR);
	reader->child = 0;
	if (ended < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		trace_fail(reader, "cannot be decompressed");
		return false;
	}
	return true;
}

bool trace_fill(struct trace_reader *reader, size_t n)
{
	if (reader->end - reader->at >= n || reader->ended) {
		return true;
	}
	memmove(reader->bytes, reader->bytes + reader->at, reader->end - reader->at);
	reader->end -= reader->at;
	reader->at = 0;
	while (reader->end < n) {
		ssize_t got =
			read(reader->fd, reader->bytes + reader->end, TRACE_LINE_MAX - reader->end);

		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got < 0) {
			trace_fail(reader, "cannot be read: %s", strerror(errno));
			return false;
		}
		if (got == 0) {
			reader->ended = true;
			return child_ended_well(reader);
		}
		reader->end += (size_t)got;
	}
	return true;
}

static enum trace_status next_binary(struct trace_reader *reader, struct trace_request *ret)
{
	size_t width = reader->format == TRACE_BE32 ? 4 : 8;
	uint64_t key = 0;

	if (!trace_fill(reader, width)) {
		return TRACE_BAD;
	}
	if (reader->at == reader->end) {
		return TRACE_END;
	}
	if (reader->end - reader->at < width) {
		return trace_fail(reader, "the file ends in the middle of a key of %zu bytes",
				  width);
	}
	for (size_t i = 0; i < width; i++) {
		key = key << 8 | (unsigned char)reader->bytes[reader->at + i];
	}
	reader->at += width;
	reader->offset += width;
	*ret = (struct trace_request){ .key = key, .size = TRACE_SIZE_UNKNOWN };
	return TRACE_REQUEST;
}

/* Times from the first request on, and never back. */
static void set_time(struct trace_reader *reader, struct trace_request *request)
{
	if (!reader->began) {
		reader->began = true;
		reader->first_ns = request->time_ns;
		reader->last_ns = request->time_ns;
	}
	if (request->time_ns < reader->last_ns) {
		request->time_ns = reader->last_ns;
	}
	reader->last_ns = request->time_ns;
	request->time_ns -= reader->first_ns;
}

enum trace_status trace_next(struct trace_reader *reader, struct trace_request *ret)
{
	struct trace_request request;
	enum trace_status status;

	if (reader->bad) {
		return TRACE_BAD;
	}
	if (is_binary(reader)) {
		return next_binary(reader, ret);
	}
	status = reader->format == TRACE_TOWER ? trace_next_record(reader, &request)
					       : trace_next_text(reader, &request);
	if (status == TRACE_REQUEST) {
		set_time(reader, &request);
		*ret = request;
	}
	return status;
}

const char *trace_why(const struct trace_reader *reader)
{
	return reader->why;
}

double trace_share(const struct trace_reader *reader)
{
	return reader->share;
}

void trace_close(struct trace_reader **reader)
{
	struct trace_reader *old = *reader;

	if (old == NULL) {
		return;
	}
	if (old->fd > STDIN_FILENO) {
		/* Whoever still decompresses into it ends by SIGPIPE. */
		close(old->fd);
		old->fd = -1;
	}
	old->bad = true;
	child_ended_well(old);
	trace_free_records(old);
	free(old->bytes);
	free(old->file);
	free(old);
	*reader = NULL;
}

static struct trace_reader *new_reader(const char *name, enum trace_format format)
{
	struct trace_reader *made = calloc(1, sizeof(*made));

	if (made == NULL) {
		return NULL;
	}
	made->format = format;
	made->fd = -1;
	made->share = 1;
	made->file = strdup(name);
	made->bytes = malloc(TRACE_BUFFER_BYTES);
	if (made->file == NULL || made->bytes == NULL) {
		trace_close(&made);
	}
	return made;
}

static const char *packer_of(const char *path)
{
	size_t n = strlen(path);

	for (size_t i = 0; i < sizeof(packers) / sizeof(packers[0]); i++) {
		size_t n_suffix = strlen(packers[i].suffix);

		if (n > n_suffix && strcmp(path + n - n_suffix, packers[i].suffix) == 0) {
			return packers[i].program;
		}
	}
	return NULL;
}

/* The program reads the file as its standard input, whatever its name is. */
static bool spawn_packer(struct trace_reader *reader, const char *program)
{
	char *argv[] = { (char *)program, (char *)"-dc", NULL };
	posix_spawn_file_actions_t actions;
	int pipes[2];
	int wrong;

	if (pipe2(pipes, O_CLOEXEC) != 0) {
		return false;
	}
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, reader->fd, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, pipes[1], STDOUT_FILENO);
	wrong = posix_spawnp(&reader->child, program, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(pipes[1]);
	close(reader->fd);
	reader->fd = pipes[0];
	if (wrong) {
		reader->child = 0;
		errno = wrong;
	}
	return wrong == 0;
}

static bool begin(struct trace_reader *reader, int fd)
{
	reader->fd = fd;
	return reader->format != TRACE_TOWER || trace_load_records(reader);
}

static bool open_path(struct trace_reader *reader, const char *path)
{
	const char *program = packer_of(path);
	int fd;

	if (strcmp(path, "-") == 0) {
		return begin(reader, STDIN_FILENO);
	}
	if (reader->format == TRACE_TOWER) {
		return trace_open_records(reader, path);
	}
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		snprintf(reader->why, sizeof(reader->why), "%.200s: %s", path, strerror(errno));
		return false;
	}
	reader->fd = fd;
	if (program && !spawn_packer(reader, program)) {
		snprintf(reader->why, sizeof(reader->why), "%.200s: %s cannot be run: %s", path,
			 program, strerror(errno));
		return false;
	}
	return true;
}

static bool opened(struct trace_reader *reader, bool well, struct trace_reader **ret, char *ret_why)
{
	if (!well) {
		snprintf(ret_why, TRACE_WHY_MAX, "%s", reader->why);
		trace_close(&reader);
		return false;
	}
	*ret = reader;
	return true;
}

bool trace_open(struct trace_reader **ret, const char *path, enum trace_format format,
		char *ret_why)
{
	struct trace_reader *reader = new_reader(path, format);

	if (reader == NULL) {
		snprintf(ret_why, TRACE_WHY_MAX, "out of memory");
		return false;
	}
	return opened(reader, open_path(reader, path), ret, ret_why);
}

bool trace_open_descriptor(struct trace_reader **ret, int fd, const char *name,
			   enum trace_format format, char *ret_why)
{
	struct trace_reader *reader = new_reader(name, format);

	if (reader == NULL) {
		close(fd);
		snprintf(ret_why, TRACE_WHY_MAX, "out of memory");
		return false;
	}
	return opened(reader, begin(reader, fd), ret, ret_why);
}

static bool may_be_key(const char *name, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if ((unsigned char)name[i] <= ' ' || name[i] == 0x7f) {
			return false;
		}
	}
	return n > 0 && n < TRACE_NAME_MAX;
}

size_t trace_name(const struct trace_request *request, char *ret_name)
{
	/* A name of 16 digits might be another key's number. */
	if (request->name && request->n_name != 16 && may_be_key(request->name, request->n_name)) {
		memcpy(ret_name, request->name, request->n_name);
		ret_name[request->n_name] = '\0';
		return request->n_name;
	}
	return (size_t)snprintf(ret_name, TRACE_NAME_MAX, "%016llx",
				(unsigned long long)request->key);
}
