/*
 * report.h - what was seen so far, and what to say where two sides differ.
 */
#ifndef TOWER_TESTS_DIFFERENTIAL_REPORT_H
#define TOWER_TESTS_DIFFERENTIAL_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct report {
	char *text; /* the latest lines of all workers, in the order in which they ran */
	size_t n;
	FILE *trace; /* NULL, or where all lines go */
};

/* `trace_path` may be NULL. */
bool report_open(struct report *report, const char *trace_path);
void report_close(struct report *report);

/* Lines on which both sides agree. */
void report_add(struct report *report, const char *lines, size_t n);

/*
 * Prints the first line in which the two texts differ, and which of the latest
 * lines had its keys or its handle.
 */
void report_difference(struct report *report, const char *const names[2],
		       const char *const texts[2], const size_t lengths[2]);

#endif
