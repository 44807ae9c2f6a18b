/*
 * workload.h - what programs ask of the cache: which keys, reads or writes, how large, how
 * many at once, when.
 *
 * A struct workload is plain: it lies in the memory that `tower bench` shares with its
 * workers, and the same workload and seed give every thread the same requests in every
 * hierarchy and repeat (but for keys of a hot set, which moves by the clock).
 *
 * Requests are made by one thread per generator; the workload does not change meanwhile.
 */
#ifndef TOWER_MEASURE_WORKLOAD_H
#define TOWER_MEASURE_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "measure/zipf.h"

#define WORKLOAD_KEYS_MAX (64U << 20)
#define WORKLOAD_RANGES_MAX 32
#define WORKLOAD_WIDTH_MAX 1000 /* keys of one mget */
/* Bytes; memcached's own limit by default is 1 MiB with the key and what an item costs. */
#define WORKLOAD_VALUE_MAX ((1U << 20) - 1024)
#define WORKLOAD_WHY_MAX 256	    /* bytes of an error, NUL included */
#define WORKLOAD_EXPIRY_MAX 2592000 /* seconds; more would be a date to memcached */

enum workload_popularity {
	WORKLOAD_UNIFORM,
	WORKLOAD_ZIPF,
	WORKLOAD_HOT,	 /* a set of keys that gets most requests, and moves */
	WORKLOAD_STREAM, /* the requests of a file, in its order */
};

enum workload_operation { WORKLOAD_GET, WORKLOAD_SET, WORKLOAD_DELETE, WORKLOAD_OPERATIONS };

extern const char *const workload_operation_names[WORKLOAD_OPERATIONS];

/* Numbers drawn from ranges by weight; within one all are equally likely. */
struct workload_numbers {
	unsigned n_ranges;
	struct workload_range {
		uint32_t low;
		uint32_t high;
		double until; /* the sum of the weights up to here, of 1 */
	} ranges[WORKLOAD_RANGES_MAX];
};

struct workload {
	uint64_t seed;
	uint32_t n_keys;
	enum workload_popularity popularity;
	double exponent;		   /* of ZIPF */
	double hot_keys;		   /* of HOT: the set's share of the keys, */
	double hot_requests;		   /* its share of the requests, */
	int64_t hot_every_ns;		   /* and how long it stays where it is */
	double scans;			   /* share of requests that belong to a scan */
	uint32_t scan_length;		   /* keys of a scan, one after the other */
	double until[WORKLOAD_OPERATIONS]; /* sums of the shares of the operations, of 1 */
	struct workload_numbers values;	   /* bytes of a value, by its key and version */
	struct workload_numbers widths;	   /* keys of a read */
	struct workload_numbers expiries;  /* seconds, of a written value; 0: none */
	double rate;			   /* requests a second of all threads; 0: closed loop */
	bool poisson;			   /* they come at random, not evenly */
	bool fills;			   /* every key is written before */
	bool refills;			   /* what was missed is written */
	int64_t miss_ns; /* what it takes to get missed values elsewhere, before they are written */
};

/* What WORKLOAD_STREAM replays. */
struct workload_record {
	uint32_t key;	 /* below n_keys */
	uint32_t size;	 /* of a value written; 0: as the workload says */
	uint32_t expiry; /* seconds */
	uint32_t operation;
};

struct workload_stream {
	uint64_t n_records;
	const struct workload_record *records; /* borrowed */
};

/* 90 % gets and 10 % sets of 100 bytes over 10000 keys, Zipf 0.99, closed loop. */
void workload_default(struct workload *ret);

/*
 * One option by its name without the dashes ("keys", "popularity", ...), as `tower bench
 * --help` explains them.  False where the value is wrong; `ret_why` (WORKLOAD_WHY_MAX
 * bytes) then ends the sentence "--NAME=VALUE ...".
 */
bool workload_option(struct workload *workload, const char *name, const char *value, char *ret_why);

/* Whether workload_option() knows the name. */
bool workload_has_option(const char *name);

/* In words, for reports. */
void workload_describe(const struct workload *workload, char *ret_text, size_t n);

/* Of these numbers the one that a hash selects. */
uint32_t workload_number(const struct workload_numbers *numbers, uint64_t hash);

struct workload_request {
	enum workload_operation operation;
	uint32_t n_keys; /* more than 1 only of reads; all different */
	uint32_t keys[WORKLOAD_WIDTH_MAX];
	uint32_t size; /* of the value; 0: by key and version */
	uint32_t expiry;
};

struct workload_generator {
	const struct workload *workload; /* borrowed */
	const struct workload_stream *stream;
	struct random_stream random;
	struct zipf zipf;
	uint64_t at;   /* in the stream */
	uint64_t step; /* generators take turns */
	uint32_t scan_key;
	uint32_t scan_left;
};

/* Generator `number` of `n`. */
void workload_open(struct workload_generator *generator, const struct workload *workload,
		   const struct workload_stream *stream, unsigned number, unsigned n);

/* now_ns: since the run began; for a hot set that moves. */
void workload_next(struct workload_generator *generator, int64_t now_ns,
		   struct workload_request *ret);

/* Time from one request of this generator to the next in open loop, on average `mean_ns`. */
double workload_gap_ns(struct workload_generator *generator, double mean_ns);

#endif
