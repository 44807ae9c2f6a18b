/*
 * bench.h - what the files of `tower bench` share: bench.c reads the command line and runs the
 * session, the others show what came out.
 *
 * One thread.
 */
#ifndef TOWER_CLI_BENCH_H
#define TOWER_CLI_BENCH_H

#include <stdio.h>

#include "cli/bench_curves.h"
#include "measure/session.h"
#include "measure/summary.h"

#define BENCH_TEXT_MAX 4096

/* Where and how it was measured. */
struct bench_place {
	char processor[256];
	unsigned n_processors; /* that we may use */
	uint64_t memory_bytes;
	char kernel[256];
	char memcached[64]; /* versions; empty: not known */
	char redis[64];
	char libmemcached[64];
	double load;  /* average of the minute before */
	double steal; /* share of the processors' time that the machine below took meanwhile */
	char began[64];
	char command[BENCH_TEXT_MAX];
};

struct bench_report {
	const struct session_options *options;
	const struct session *session;
	const struct summary *summaries;   /* of every hierarchy */
	const struct bench_curves *curves; /* NULL: no requests of a file were replayed */
	struct bench_place place;
};

/* At the beginning, and at the end of the session. */
void bench_place_begin(struct bench_place *place);
void bench_place_end(struct bench_place *place);

void bench_print_table(const struct bench_report *report, FILE *out);
void bench_print_json(const struct bench_report *report, FILE *out);
void bench_print_html(const struct bench_report *report, FILE *out);

/* The style sheet of the page. */
extern const char bench_style[];

/* Shows on a terminal, on stderr, how far it is. */
void bench_progress(void *owner, const struct session_progress *progress);
void bench_progress_end(void);

/* "12.3 us", "450 ns"; n >= 24. */
void bench_format_ns(double ns, char *ret_text, size_t n);

/* "1.23 M", "45.6 k", "789"; n >= 24. */
void bench_format_count(double count, char *ret_text, size_t n);

#endif
