/* variant.h - the variants of the litmus test, and what a worker is told. */
#ifndef TOWER_TESTS_COHERENCE_VARIANT_H
#define TOWER_TESTS_COHERENCE_VARIANT_H

#include <stdbool.h>
#include <stddef.h>

enum variant_reads { READS_GET, READS_FETCH_RESULT, READS_FETCH };

enum variant_trait {
	VARIANT_BINARY = 1 << 0,      /* every other worker speaks the binary protocol */
	VARIANT_ALIASES = 1 << 1,     /* handles whose namespaces differ reach the same items */
	VARIANT_UNCONFIRMED = 1 << 2, /* every other worker's writes are noreply or buffered */
	VARIANT_COUNTERS = 1 << 3,    /* keys are counters */
	VARIANT_KILLS = 1 << 4,
	VARIANT_STOPS = 1 << 5,
	VARIANT_HANGS = 1 << 6, /* memcached is stopped for longer than a call waits */
	VARIANT_FLUSHES = 1 << 7,
	VARIANT_FLUSHES_LATER = 1 << 8,
	VARIANT_EXPIRIES = 1 << 9,
	VARIANT_LANGUAGES = 1 << 10, /* PHP and Python, judged by their logs */
	VARIANT_DEEP = 1 << 11,	     /* with Redis, over a memcached that loses keys all the time */
	VARIANT_TROUBLES = 1 << 12,  /* of Redis: stopped, killed, full, read-only, emptied */
	VARIANT_SWITCHES = 1 << 13,  /* `tower disable` and `enable` come and go */
	/*
	 * Every other worker is of another domain, and nobody has memory.  Reads may go
	 * backwards then, and troubles are such that every mark reaches Redis, or what
	 * Redis had is void: a writer that cannot tell others is not promised anything.
	 */
	VARIANT_DOMAINS = 1 << 14,
};

struct variant {
	const char *name;
	unsigned traits;
	enum variant_reads reads;
	unsigned n_keys;
	unsigned n_workers;
	unsigned reads_per_write; /* calls */
	/*
	 * What writes are, at random: s(et) a(dd) r(eplace) c(as) d(elete)
	 * i(ncrement); more often by writing it more often.
	 */
	const char *verbs;
	const char *ttl;	/* memory.ttl, or NULL for the default */
	unsigned percent_least; /* of gets that memory must serve */
	double seconds;		/* of the short form */
};

const struct variant *variant_find(const char *name);

/* Ends with an entry without a name. */
extern const struct variant variants[];

/* A worker process, of this number; does not return before the board says so. */
struct worker_job {
	const struct variant *variant;
	const char *board_path;
	const char *socket;
	unsigned number;
};

/* The exit status. */
int worker_run(const struct worker_job *job);

/* Waits until every key is served from memory; what is not goes to the board. */
int worker_probe(const struct worker_job *job);

#endif
