#include "tests/differential/report.h"

#include <stdlib.h>
#include <string.h>

#define TEXT_MAX ((size_t)16 << 20)
#define KEYS_MAX 16
#define KEY_MAX 80
#define SHOWN_KEY_LINES 12
#define SHOWN_HANDLE_LINES 8
#define SHOWN_MAX 900

/* What a line is about. */
struct subject {
	char handle[32]; /* ".WORKER hHANDLE " */
	char keys[KEYS_MAX][KEY_MAX];
	size_t n_keys;
};

bool report_open(struct report *report, const char *trace_path)
{
	*report = (struct report){ .text = malloc(TEXT_MAX) };
	if (trace_path) {
		report->trace = fopen(trace_path, "we");
		if (report->trace == NULL) {
			perror(trace_path);
			return false;
		}
	}
	return report->text != NULL;
}

void report_close(struct report *report)
{
	free(report->text);
	report->text = NULL;
	if (report->trace) {
		fclose(report->trace);
		report->trace = NULL;
	}
}

void report_add(struct report *report, const char *lines, size_t n)
{
	if (report->trace) {
		fwrite(lines, 1, n, report->trace);
	}
	if (n > TEXT_MAX / 2) {
		return;
	}
	if (report->n + n > TEXT_MAX) {
		/* The older half goes, up to the end of a line. */
		const char *middle = memchr(report->text + report->n / 2, '\n', report->n / 2);
		size_t gone = middle ? (size_t)(middle + 1 - report->text) : report->n;

		memmove(report->text, report->text + gone, report->n - gone);
		report->n -= gone;
	}
	memcpy(report->text + report->n, lines, n);
	report->n += n;
}

static size_t line_length(const char *text, size_t n)
{
	const char *end = memchr(text, '\n', n);

	return end ? (size_t)(end - text) : n;
}

static void show(const char *before, const char *line, size_t n)
{
	printf("%s%.*s%s\n", before, (int)(n < SHOWN_MAX ? n : SHOWN_MAX), line,
	       n < SHOWN_MAX ? "" : "...");
}

static void read_subject(struct subject *subject, const char *line, size_t n)
{
	const char *end = line + n;
	const char *dot = memchr(line, '.', n);
	const char *at = dot ? memchr(dot, ' ', (size_t)(end - dot)) : NULL;
	const char *space = at ? memchr(at + 1, ' ', (size_t)(end - at - 1)) : NULL;

	*subject = (struct subject){ .n_keys = 0 };
	if (space && (size_t)(space - dot) + 1 < sizeof(subject->handle)) {
		memcpy(subject->handle, dot, (size_t)(space - dot) + 1);
	}
	for (at = line; subject->n_keys < KEYS_MAX; at = space) {
		at = memchr(at, '[', (size_t)(end - at));
		space = at ? memchr(at, ']', (size_t)(end - at)) : NULL;
		if (space == NULL) {
			break;
		}
		if ((size_t)(space - at) + 2 < KEY_MAX) {
			memcpy(subject->keys[subject->n_keys++], at, (size_t)(space - at) + 1);
		}
	}
}

static bool has_key(const struct subject *subject, const char *line, size_t n)
{
	for (size_t i = 0; i < subject->n_keys; i++) {
		if (memmem(line, n, subject->keys[i], strlen(subject->keys[i]))) {
			return true;
		}
	}
	return false;
}

static bool has_handle(const struct subject *subject, const char *line, size_t n)
{
	return subject->handle[0] &&
	       memmem(line, n < 48 ? n : 48, subject->handle, strlen(subject->handle));
}

/* The last `most` lines about it, oldest first. */
static void show_lines(const struct report *report, const struct subject *subject,
		       bool (*is_about)(const struct subject *subject, const char *line, size_t n),
		       size_t most)
{
	const char *lines[SHOWN_KEY_LINES + SHOWN_HANDLE_LINES];
	size_t n_lines = 0;

	for (size_t at = 0; at < report->n;) {
		size_t n = line_length(report->text + at, report->n - at);

		if (is_about(subject, report->text + at, n)) {
			lines[n_lines++ % most] = report->text + at;
		}
		at += n + 1;
	}
	for (size_t i = n_lines > most ? n_lines - most : 0; i < n_lines; i++) {
		const char *line = lines[i % most];

		show("  ", line, line_length(line, report->n - (size_t)(line - report->text)));
	}
}

void report_difference(struct report *report, const char *const names[2],
		       const char *const texts[2], const size_t lengths[2])
{
	size_t shorter = lengths[0] < lengths[1] ? lengths[0] : lengths[1];
	struct subject subject;
	size_t at = 0, line;

	while (at < shorter && texts[0][at] == texts[1][at]) {
		at++;
	}
	for (line = at; line > 0 && texts[0][line - 1] != '\n'; line--) {
	}
	report_add(report, texts[0], line);
	for (int i = 0; i < 2; i++) {
		printf("%s:\n", names[i]);
		show("  ", texts[i] + line, line_length(texts[i] + line, lengths[i] - line));
	}
	read_subject(&subject, texts[0] + line, line_length(texts[0] + line, lengths[0] - line));
	printf("before, on the same keys:\n");
	show_lines(report, &subject, has_key, SHOWN_KEY_LINES);
	printf("before, on the same handle:\n");
	show_lines(report, &subject, has_handle, SHOWN_HANDLE_LINES);
}
