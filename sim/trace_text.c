/* Requests from lines of text. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "sim/trace_private.h"

#define FIELDS_MAX 5
#define SECONDS_MAX (INT64_MAX / CLOCK_NS_PER_S - 1)

static const struct {
	const char *name;
	enum trace_operation operation;
} operations[] = {
	{ "get", TRACE_GET },	     { "gets", TRACE_GET },	    { "gat", TRACE_GET },
	{ "gats", TRACE_GET },	     { "mg", TRACE_GET },	    { "read", TRACE_GET },
	{ "set", TRACE_SET },	     { "add", TRACE_SET },	    { "replace", TRACE_SET },
	{ "cas", TRACE_SET },	     { "ms", TRACE_SET },	    { "write", TRACE_SET },
	{ "delete", TRACE_DELETE },  { "md", TRACE_DELETE },	    { "append", TRACE_CHANGE },
	{ "prepend", TRACE_CHANGE }, { "incr", TRACE_CHANGE },	    { "decr", TRACE_CHANGE },
	{ "touch", TRACE_CHANGE },   { "increment", TRACE_CHANGE }, { "decrement", TRACE_CHANGE },
	{ "ma", TRACE_CHANGE },
};

static bool find_operation(const char *name, enum trace_operation *ret)
{
	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
		if (strcmp(name, operations[i].name) == 0) {
			*ret = operations[i].operation;
			return true;
		}
	}
	return false;
}

/* Digits alone, and no more than fit. */
static bool read_number(const char *text, uint64_t *ret)
{
	uint64_t n = 0;

	if (*text == '\0') {
		return false;
	}
	for (; *text; text++) {
		unsigned digit = (unsigned)(*text - '0');

		if (digit > 9 || __builtin_mul_overflow(n, UINT64_C(10), &n) ||
		    __builtin_add_overflow(n, digit, &n)) {
			return false;
		}
	}
	*ret = n;
	return true;
}

/* Seconds with or without a fraction, of which more than nine digits do not count. */
static bool read_seconds(const char *text, int64_t *ret_ns)
{
	int64_t seconds = 0;
	int64_t fraction = 0;
	int64_t unit = CLOCK_NS_PER_S;
	size_t n_digits = 0;

	for (; *text >= '0' && *text <= '9'; text++, n_digits++) {
		seconds = seconds * 10 + (*text - '0');
		if (seconds > SECONDS_MAX) {
			return false;
		}
	}
	if (*text == '.') {
		for (text++; *text >= '0' && *text <= '9'; text++, n_digits++) {
			unit /= 10;
			fraction += (*text - '0') * unit;
		}
	}
	*ret_ns = seconds * CLOCK_NS_PER_S + fraction;
	return *text == '\0' && n_digits > 0;
}

/* The next line, NUL-terminated; its end is taken off.  NULL: TRACE_END, or an error. */
static char *next_line(struct trace_reader *reader, size_t *ret_n)
{
	char *start;
	char *end;
	size_t n;

	for (size_t want = 1;; want = reader->end - reader->at + 1) {
		if (!trace_fill(reader, want)) {
			return NULL;
		}
		start = reader->bytes + reader->at;
		end = memchr(start, '\n', reader->end - reader->at);
		if (end || reader->ended) {
			break;
		}
		if (reader->end - reader->at >= TRACE_LINE_MAX) {
			reader->line++;
			trace_fail(reader, "a line of more than %d bytes", TRACE_LINE_MAX);
			return NULL;
		}
	}
	if (reader->at == reader->end) {
		return NULL;
	}
	n = end ? (size_t)(end - start) : reader->end - reader->at;
	reader->at += n + (end != NULL);
	reader->offset += n + (end != NULL);
	reader->line++;
	n -= n && start[n - 1] == '\r';
	start[n] = '\0';
	*ret_n = n;
	return start;
}

static void name_key(struct trace_request *request, const char *name, size_t n)
{
	request->name = name;
	request->n_name = n;
	request->key = hash_bytes(name, n);
}

/* Words of the line, of at most so many; what is more stays in the last. */
static size_t split_words(char *line, char **words, size_t n_max)
{
	char *rest = line;
	size_t n = 0;

	while (n < n_max) {
		rest += strspn(rest, " \t");
		if (*rest == '\0') {
			break;
		}
		words[n++] = rest;
		rest += strcspn(rest, " \t");
		if (*rest && n < n_max) {
			*rest++ = '\0';
		}
	}
	return n;
}

static enum trace_status next_adaptsize(struct trace_reader *reader, struct trace_request *ret)
{
	char *words[4];
	char *line;
	size_t n;

	do {
		line = next_line(reader, &n);
		if (line == NULL) {
			return reader->bad ? TRACE_BAD : TRACE_END;
		}
	} while (n == 0);
	if (strlen(line) != n || split_words(line, words, 4) < 3) {
		return trace_fail(reader, "not \"time key size\"");
	}
	*ret = (struct trace_request){ 0 };
	if (!read_seconds(words[0], &ret->time_ns)) {
		return trace_fail(reader, "\"%.40s\" is no time in seconds", words[0]);
	}
	if (!read_number(words[1], &ret->key)) {
		return trace_fail(reader, "\"%.40s\" is no key: a number below 2^64", words[1]);
	}
	if (!read_number(words[2], &ret->size) || ret->size >= TRACE_SIZE_UNKNOWN) {
		return trace_fail(reader, "\"%.40s\" is no size in bytes", words[2]);
	}
	return TRACE_REQUEST;
}

static enum trace_status next_key(struct trace_reader *reader, struct trace_request *ret)
{
	char *line;
	size_t n;

	do {
		line = next_line(reader, &n);
		if (line == NULL) {
			return reader->bad ? TRACE_BAD : TRACE_END;
		}
	} while (n == 0);
	*ret = (struct trace_request){ .size = TRACE_SIZE_UNKNOWN };
	name_key(ret, line, n);
	return TRACE_REQUEST;
}

/* --- csv (RFC 4180, but for line ends inside quotes) --- */

/* Takes the quotes off in place.  NULL: they do not match. */
static char *unquote(char **rest)
{
	char *start = ++*rest;
	char *to = start;

	for (;; (*rest)++) {
		if (**rest == '\0') {
			return NULL;
		}
		if (**rest == '"' && *++*rest != '"') {
			break;
		}
		*to++ = **rest;
	}
	if (**rest != ',' && **rest != '\0') {
		return NULL;
	}
	*rest += **rest == ',';
	*to = '\0';
	return start;
}

/* More than FIELDS_MAX are passed over.  0: quotes do not match. */
static size_t split_fields(char *line, const char **fields)
{
	size_t n = 0;
	bool more = true;

	for (char *rest = line; more && n < FIELDS_MAX;) {
		if (*rest == '"') {
			char *field = unquote(&rest);

			if (field == NULL) {
				return 0;
			}
			fields[n++] = field;
			more = *rest || rest[-1] == ',';
			continue;
		}
		fields[n++] = rest;
		rest += strcspn(rest, ",");
		more = *rest == ',';
		if (more) {
			*rest++ = '\0';
		}
	}
	for (size_t i = n; i < FIELDS_MAX; i++) {
		fields[i] = "";
	}
	return n;
}

static enum trace_status read_fields(struct trace_reader *reader, const char **fields,
				     struct trace_request *ret)
{
	*ret = (struct trace_request){ .size = TRACE_SIZE_UNKNOWN };
	if (!read_seconds(fields[0], &ret->time_ns)) {
		return trace_fail(reader, "\"%.40s\" is no time in seconds", fields[0]);
	}
	if (*fields[1] == '\0') {
		return trace_fail(reader, "no key");
	}
	name_key(ret, fields[1], strlen(fields[1]));
	if (*fields[2] &&
	    (!read_number(fields[2], &ret->size) || ret->size >= TRACE_SIZE_UNKNOWN)) {
		return trace_fail(reader, "\"%.40s\" is no size in bytes", fields[2]);
	}
	if (*fields[3] && !find_operation(fields[3], &ret->operation)) {
		return trace_fail(reader,
				  "\"%.40s\" is no operation (get, set, add, replace, cas, "
				  "append, prepend, delete, incr, decr, touch)",
				  fields[3]);
	}
	if (*fields[4] && !read_seconds(fields[4], &ret->ttl_ns)) {
		return trace_fail(reader, "\"%.40s\" is no time to live in seconds", fields[4]);
	}
	return TRACE_REQUEST;
}

static enum trace_status next_csv(struct trace_reader *reader, struct trace_request *ret)
{
	const char *fields[FIELDS_MAX];

	for (;;) {
		size_t n;
		char *line = next_line(reader, &n);

		if (line == NULL) {
			return reader->bad ? TRACE_BAD : TRACE_END;
		}
		if (n == 0) {
			continue;
		}
		if (strlen(line) != n) {
			return trace_fail(reader, "a NUL in the line");
		}
		if (split_fields(line, fields) == 0) {
			return trace_fail(reader, "quotes do not match");
		}
		if (reader->line == 1 && !(fields[0][0] >= '0' && fields[0][0] <= '9') &&
		    fields[0][0] != '.') {
			continue; /* a heading */
		}
		return read_fields(reader, fields, ret);
	}
}

/* --- memcached --- */

/* "key=value" of a line of watch, ended by a blank; NULL: not there.  Cuts the line. */
static char *value_of(char *line, const char *name)
{
	size_t n = strlen(name);

	for (char *at = line; at; at = strchr(at, ' ')) {
		at += *at == ' ';
		if (strncmp(at, name, n) == 0 && at[n] == '=') {
			return at + n + 1;
		}
	}
	return NULL;
}

static void end_word(char *word)
{
	if (word) {
		word[strcspn(word, " ")] = '\0';
	}
}

/* "ts=1700000000.123456 gid=1 type=item_get key=foo status=found ... size=3" */
static bool read_watched(char *line, struct trace_request *ret)
{
	char *time = value_of(line, "ts");
	char *type = value_of(line, "type");
	char *key = value_of(line, "key");
	char *size = value_of(line, "size");
	char *ttl = value_of(line, "ttl");
	char *command = value_of(line, "cmd");

	end_word(time);
	end_word(type);
	end_word(key);
	end_word(size);
	end_word(ttl);
	end_word(command);
	*ret = (struct trace_request){ .size = TRACE_SIZE_UNKNOWN };
	if (!time || !type || !key || !*key || !read_seconds(time, &ret->time_ns)) {
		return false;
	}
	if (strcmp(type, "item_store") == 0) {
		ret->operation = TRACE_SET;
		if (command) {
			find_operation(command, &ret->operation);
		}
		/* Relative to now where it is short, as memcached takes it; else not known. */
		if (!ttl || !read_seconds(ttl, &ret->ttl_ns) ||
		    ret->ttl_ns > 30 * 86400 * CLOCK_NS_PER_S) {
			ret->ttl_ns = 0;
		}
	} else if (strcmp(type, "item_get") != 0) {
		return false;
	}
	if (size && !read_number(size, &ret->size)) {
		ret->size = TRACE_SIZE_UNKNOWN;
	}
	name_key(ret, key, strlen(key));
	return true;
}

/* The next key of a get of several. */
static bool next_of_get(struct trace_reader *reader, struct trace_request *ret)
{
	char *key = reader->rest;

	if (key) {
		key += strspn(key, " ");
	}
	if (key == NULL || *key == '\0') {
		reader->rest = NULL;
		return false;
	}
	reader->rest = key + strcspn(key, " ");
	*ret = (struct trace_request){ .size = TRACE_SIZE_UNKNOWN };
	name_key(ret, key, (size_t)(reader->rest - key));
	return true;
}

/* "<28 get a b", "<28 set a 0 0 5": what a client sent on its connection 28. */
static bool read_sent(struct trace_reader *reader, char *line, struct trace_request *ret)
{
	char *words[6];
	size_t n = split_words(line, words, 3);
	enum trace_operation operation;

	if (n < 3 || words[0][0] != '<' || !find_operation(words[1], &operation)) {
		return false;
	}
	if (operation == TRACE_GET && words[1][0] == 'g') {
		char *keys = words[2];

		if (words[1][2] == 't' && words[1][1] == 'a') {
			keys += strcspn(keys, " "); /* gat EXPTIME KEY... */
		}
		reader->rest = keys;
		return next_of_get(reader, ret);
	}
	*ret = (struct trace_request){ .size = TRACE_SIZE_UNKNOWN, .operation = operation };
	n = split_words(words[2], words, 6);
	if (operation == TRACE_SET && n >= 4) {
		char *end = strchr(words[3], ' ');

		if (end) {
			*end = '\0';
		}
		if (!read_number(words[3], &ret->size)) {
			return false;
		}
	}
	name_key(ret, words[0], strlen(words[0]));
	return true;
}

static enum trace_status next_memcached(struct trace_reader *reader, struct trace_request *ret)
{
	while (!next_of_get(reader, ret)) {
		size_t n;
		char *line = next_line(reader, &n);

		if (line == NULL) {
			return reader->bad ? TRACE_BAD : TRACE_END;
		}
		if (line[0] == '<' ? read_sent(reader, line, ret) : read_watched(line, ret)) {
			break;
		}
	}
	return TRACE_REQUEST;
}

enum trace_status trace_next_text(struct trace_reader *reader, struct trace_request *ret)
{
	switch (reader->format) {
	case TRACE_ADAPTSIZE:
		return next_adaptsize(reader, ret);
	case TRACE_CSV:
		return next_csv(reader, ret);
	case TRACE_KEYS:
		return next_key(reader, ret);
	default:
		return next_memcached(reader, ret);
	}
}
