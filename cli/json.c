#include "cli/json.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>

/* Length of the UTF-8 character at `s`, or 0: overlong, a surrogate, cut, or none at all. */
static size_t utf8_length(const unsigned char *s)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] < 0xC2 ? 0 : s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;

	if (s[0] > 0xF4) {
		return 0;
	}
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xC0) != 0x80) { /* a NUL, too */
			return 0;
		}
	}
	if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) ||
	    (s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F)) {
		return 0;
	}
	return n;
}

static void write_text(FILE *out, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	putc('"', out);
	while (*s) {
		size_t n = utf8_length(s);

		if (n == 0) {
			fputs("\\ufffd", out);
			n = 1;
		} else if (*s < 0x20) {
			fprintf(out, "\\u%04x", (unsigned)*s);
		} else {
			if (*s == '"' || *s == '\\') {
				putc('\\', out);
			}
			fwrite(s, 1, n, out);
		}
		s += n;
	}
	putc('"', out);
}

static void begin_value(struct json *json, const char *key)
{
	if (json->filled[json->depth]) {
		putc(',', json->out);
	}
	json->filled[json->depth] = true;
	if (key) {
		write_text(json->out, key);
		putc(':', json->out);
	}
}

static void nest(struct json *json, const char *key, char begin, char end)
{
	begin_value(json, key);
	putc(begin, json->out);
	json->depth++;
	json->end[json->depth] = end;
	json->filled[json->depth] = false;
}

void json_object(struct json *json, const char *key)
{
	nest(json, key, '{', '}');
}

void json_array(struct json *json, const char *key)
{
	nest(json, key, '[', ']');
}

void json_end(struct json *json)
{
	putc(json->end[json->depth], json->out);
	json->depth--;
}

void json_number(struct json *json, const char *key, uint64_t n)
{
	begin_value(json, key);
	fprintf(json->out, "%" PRIu64, n);
}

void json_real(struct json *json, const char *key, double x)
{
	begin_value(json, key);
	if (isfinite(x)) {
		fprintf(json->out, "%.9g", x);
	} else {
		fputs("null", json->out);
	}
}

void json_text(struct json *json, const char *key, const char *text)
{
	begin_value(json, key);
	write_text(json->out, text);
}

void json_histogram(struct json *json, const char *key, const struct latency_values *values)
{
	json_array(json, key);
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
		if (values->buckets[i]) {
			json_array(json, NULL);
			json_number(json, NULL, latency_floor_ns(i));
			json_number(json, NULL, values->buckets[i]);
			json_end(json);
		}
	}
	json_end(json);
}
