/*
 * One file, line by line, through inih.  inih alone would split lines of 200
 * bytes, take an indented line for more of the last value, pass over unknown
 * sections that are empty, and not say where it is: next_line() looks at every
 * line before inih does.
 */
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/config_private.h"

/* Room for the longest key, the longest value and a comment. */
#define LINE_MAX_BYTES 1024

/*
 * Debian's inih has its longest line (200 by default) in a variable; others
 * have it compiled in, and then the shorter limit holds.
 */
extern int ini_max_line __attribute__((weak));

struct reader {
	struct config *config;
	const char *shown; /* the path, for errors */
	char *why;
	const char *text;
	size_t n;
	size_t at;
	unsigned line;	   /* that inih has now, from 1 */
	unsigned bad_line; /* that `why` speaks of; 0: none */
};

__attribute__((format(printf, 2, 3))) static void refuse(struct reader *reader, const char *format,
							 ...)
{
	int n = snprintf(reader->why, CONFIG_WHY_MAX, "%s:%u: ", reader->shown, reader->line);
	va_list args;

	va_start(args, format);
	vsnprintf(reader->why + n, CONFIG_WHY_MAX - (size_t)n, format, args);
	va_end(args);
	reader->bad_line = reader->line;
}

static bool is_section(const char *name, size_t n)
{
	for (unsigned i = 0; i < CONFIG_N_KEYS; i++) {
		const char *section = config_entries[i].section;

		if (strlen(section) == n && memcmp(section, name, n) == 0) {
			return true;
		}
	}
	return false;
}

/* A line that begins with '['. */
static void check_section(struct reader *reader, const char *line, size_t n)
{
	const char *end = memchr(line, ']', n);
	const char *rest = end ? end + 1 : NULL;
	char shown[CONFIG_SHOWN_MAX];
	char name[64];
	char list[256];

	if (!end) {
		refuse(reader, "a section without its ]; allowed: [section]");
		return;
	}
	if (!is_section(line + 1, (size_t)(end - line - 1))) {
		snprintf(name, sizeof(name), "%.*s", (int)(rest - line < 60 ? rest - line : 60),
			 line);
		config_show(name, shown, sizeof(shown));
		config_list(NULL, list, sizeof(list));
		refuse(reader, "%s: no such section; allowed: %s", shown, list);
		return;
	}
	while (rest < line + n && (*rest == ' ' || *rest == '\t' || *rest == '\r')) {
		rest++;
	}
	if (rest < line + n && *rest != ';' && *rest != '#') {
		refuse(reader, "something behind the section; allowed: [section] alone");
	}
}

/* Gives inih the next line as fgets() would, or stops it at a wrong one. */
static char *next_line(char *ret_line, int max, void *stream)
{
	struct reader *reader = stream;
	const char *line = reader->text + reader->at;
	const char *end;
	size_t n;

	if (reader->bad_line || reader->at >= reader->n) {
		return NULL;
	}
	end = memchr(line, '\n', reader->n - reader->at);
	n = end ? (size_t)(end - line) : reader->n - reader->at;
	reader->at += n + 1;
	reader->line++;
	/* A blank at the beginning would mean to inih: more of the last value. */
	while (n > 0 && (*line == ' ' || *line == '\t')) {
		line++;
		n--;
	}
	if (n > 0 && (*line == ';' || *line == '#')) {
		n = 0;
	}
	if (memchr(line, '\0', n)) {
		refuse(reader, "a NUL byte; allowed: text");
	} else if (n + sizeof("\n") > (size_t)max) {
		refuse(reader, "a line of %zu bytes; allowed: at most %zu", n,
		       (size_t)max - sizeof("\n"));
	} else if (n > 0 && *line == '[') {
		check_section(reader, line, n);
	}
	if (reader->bad_line) {
		return NULL;
	}
	memcpy(ret_line, line, n);
	memcpy(ret_line + n, "\n", sizeof("\n"));
	return ret_line;
}

static int take_value(void *user, const char *section, const char *name, const char *value)
{
	struct reader *reader = user;
	char where[CONFIG_WHERE_MAX];
	char full_name[128];
	char shown[CONFIG_SHOWN_MAX];
	char list[512];
	enum config_key key;

	if (reader->bad_line) {
		return 0;
	}
	snprintf(full_name, sizeof(full_name), "%s.%s", section, name);
	key = config_find(full_name);
	if (section[0] == '\0') {
		config_show(name, shown, sizeof(shown));
		refuse(reader, "%s: before any section; allowed: [section] first", shown);
		return 0;
	}
	if (key == CONFIG_N_KEYS) {
		config_show(full_name, shown, sizeof(shown));
		config_list(section, list, sizeof(list));
		refuse(reader, "%s: no such key; allowed in [%s]: %s", shown, section, list);
		return 0;
	}
	if (reader->config->line[key]) {
		refuse(reader, "%s: set on line %u already; allowed: each key once", full_name,
		       reader->config->line[key]);
		return 0;
	}
	snprintf(where, sizeof(where), "%s:%u: %s", reader->shown, reader->line, full_name);
	if (config_set(reader->config, key, value, CONFIG_FROM_FILE, where, reader->why) !=
	    CONFIG_OK) {
		reader->bad_line = reader->line;
		return 0;
	}
	reader->config->line[key] = reader->line;
	return 1;
}

static enum config_status parse(struct reader *reader)
{
	int bad_line;

	if (reader->n >= 3 && memcmp(reader->text, "\xef\xbb\xbf", 3) == 0) {
		reader->at = 3;
	}
	if (&ini_max_line) {
		ini_max_line = LINE_MAX_BYTES + (int)sizeof("\n");
	}
	bad_line = ini_parse_stream(next_line, reader, take_value, reader);
	if (bad_line < 0) {
		snprintf(reader->why, CONFIG_WHY_MAX, "%s: out of memory", reader->shown);
		return CONFIG_BAD;
	}
	/* inih goes on after a line it cannot read; the first wrong line is what to tell. */
	if (bad_line > 0 && (!reader->bad_line || (unsigned)bad_line < reader->bad_line)) {
		reader->line = (unsigned)bad_line;
		refuse(reader, "not understood; allowed: [section], key = value, # comment");
	}
	return reader->bad_line ? CONFIG_BAD : CONFIG_OK;
}

/* Reads a whole file of at most CONFIG_FILE_MAX bytes.  NULL, or what is wrong with it. */
static const char *read_all(int fd, char *text, size_t *ret_n)
{
	struct stat st;
	size_t n = 0;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		return "not a regular file";
	}
	/* Not by st_size: the file may grow while we read. */
	while (n <= CONFIG_FILE_MAX) {
		ssize_t got = read(fd, text + n, CONFIG_FILE_MAX + 1 - n);

		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got < 0) {
			return "cannot be read";
		}
		if (got == 0) {
			*ret_n = n;
			return NULL;
		}
		n += (size_t)got;
	}
	return "too large; allowed: at most 1M";
}

/* The bytes of a file, which the caller frees; NULL after an error. */
static char *take_file(int fd, const char *where, size_t *ret_n, char *ret_why)
{
	char *text = malloc(CONFIG_FILE_MAX + 1);
	const char *problem = text ? read_all(fd, text, ret_n) : "out of memory";

	if (problem) {
		snprintf(ret_why, CONFIG_WHY_MAX, "%s: %s", where, problem);
		free(text);
		return NULL;
	}
	return text;
}

enum config_status config_read_file(struct config *config, const char *path, bool must_exist,
				    const char *where, char *ret_why)
{
	char shown[CONFIG_TEXT_MAX];
	struct reader reader = { .config = config, .shown = shown, .why = ret_why };
	enum config_status status;
	char *text;
	int fd;

	if (strlen(path) >= sizeof(config->file)) {
		snprintf(ret_why, CONFIG_WHY_MAX, "%s: too long a path; allowed: %zu bytes", where,
			 sizeof(config->file) - 1);
		return CONFIG_BAD;
	}
	/* O_NONBLOCK: a FIFO would wait for its writer before we see that it is one. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT && !must_exist) {
		return CONFIG_OK;
	}
	if (fd < 0) {
		snprintf(ret_why, CONFIG_WHY_MAX, "%s: cannot be opened: %m", where);
		return CONFIG_BAD;
	}
	text = take_file(fd, where, &reader.n, ret_why);
	close(fd);
	if (!text) {
		return CONFIG_BAD;
	}
	config_show(path, shown, sizeof(shown));
	reader.text = text;
	memcpy(config->file, path, strlen(path) + 1);
	status = parse(&reader);
	free(text);
	return status;
}
