/*
 * stream.h - a trace in memory, whole or a sample of its keys.
 *
 * The sample is spatial (SHARDS; Waldspurger, Park, Garthwaite, Ahmad, "Efficient MRC
 * Construction with SHARDS", FAST 2015): a key is in it, with all its requests, where
 * its hash is below a threshold.  The threshold is given (fixed rate), or falls while the
 * trace is read so that no more than so many keys and requests are kept (fixed size).
 * What is then simulated are caches smaller by the same share (Waldspurger, Saemundsson,
 * Ahmad, Park, "Cache Modeling and Optimization using Miniature Simulations",
 * ATC 2017).
 *
 * Read-only once loaded; any thread may then read it.
 */
#ifndef TOWER_SIM_STREAM_H
#define TOWER_SIM_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/trace_reader.h"

#define STREAM_REQUESTS_MAX (UINT64_C(1) << 31)

/* What is kept by default where the sample's size is fixed. */
#define STREAM_SAMPLE_KEYS 262144
#define STREAM_SAMPLE_REQUESTS (UINT64_C(16) << 20)

struct stream_options {
	double rate;		/* share of the keys, above 0; 1: all */
	uint32_t max_keys;	/* fewer where there would be more; UINT32_MAX: no bound */
	uint64_t max_requests;	/* the same, up to STREAM_REQUESTS_MAX */
	uint64_t seed;		/* another sample for another one */
	uint64_t assumed_bytes; /* size of values of which the trace does not tell it */
};

struct stream {
	uint32_t *keys;	     /* by request; numbered from 0 */
	uint8_t *operations; /* by request (enum trace_operation); NULL: all are gets */
	uint32_t *
		sizes; /* by request: bytes of the value that the key then has; NULL: all assumed */
	uint32_t *times_ms; /* by request, since the first; NULL: the trace has no times */
	uint32_t *ttls_ms;  /* by request, of a write; 0: for ever; NULL: all for ever */
	size_t n_requests;
	uint32_t n_keys;
	uint64_t n_gets;

	double share;	 /* of all keys of the program that are here */
	double rate;	 /* of the trace's keys: share, but for recordings that sample */
	uint64_t n_read; /* requests of the trace */
	uint64_t n_read_gets;
	uint64_t assumed_bytes;
	double mean_bytes; /* of a value, over keys */
	bool assumes;	   /* some size was not known */
};

/* False, with why (TRACE_WHY_MAX bytes); also where no request is left. */
bool stream_load(struct stream *ret, struct trace_reader *reader,
		 const struct stream_options *options, char *ret_why);

void stream_free(struct stream *stream);

/* Size of the value that request `at` is about. */
static inline uint32_t stream_size(const struct stream *stream, size_t at)
{
	return stream->sizes ? stream->sizes[at] : (uint32_t)stream->assumed_bytes;
}

static inline enum trace_operation stream_operation(const struct stream *stream, size_t at)
{
	return stream->operations ? (enum trace_operation)stream->operations[at] : TRACE_GET;
}

/*
 * Of so many sampled gets that missed, the share of all gets that are hits.  Where the
 * sample has more or fewer requests than its share, that is taken for requests of keys
 * that are asked for so often that they always hit (SHARDS-adj).
 */
double stream_hit_ratio(const struct stream *stream, uint64_t n_misses);

#endif
