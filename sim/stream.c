#include "sim/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"

#define NONE UINT32_MAX
#define SIZE_MISSING UINT32_MAX
#define SIZE_MOST (UINT32_MAX - 1)
#define THRESHOLD_ALL (UINT64_C(1) << 32)

/* So large a part of the sample goes where it is too large. */
#define FALL_PART 8

/* A stream while it is read. */
struct loading {
	struct stream *stream;
	struct stream_options options;
	uint64_t threshold; /* keys whose hash (of 32 bits) is below are in the sample */
	size_t n_room;	    /* of the arrays */
	uint64_t *raw;	    /* by number: the key as it stands in the trace */
	size_t n_raw_room;
	uint32_t *numbers; /* open addressing by the key: number + 1; 0: free */
	size_t n_slots;
	bool has_sizes;
	bool has_times;
	bool has_operations;
	bool has_ttls;
	bool out_of_memory;
};

static uint32_t sample_hash(const struct loading *loading, uint64_t raw)
{
	return (uint32_t)(hash_mix(hash_mix(raw, 0), loading->options.seed) >> 32);
}

static size_t slot_of(const struct loading *loading, uint64_t raw)
{
	size_t at = hash_mix(raw, 2) & (loading->n_slots - 1);

	while (loading->numbers[at] && loading->raw[loading->numbers[at] - 1] != raw) {
		at = (at + 1) & (loading->n_slots - 1);
	}
	return at;
}

static bool make_slots(struct loading *loading, size_t n_slots)
{
	uint32_t *made = calloc(n_slots, sizeof(*made));

	if (made == NULL) {
		return false;
	}
	free(loading->numbers);
	loading->numbers = made;
	loading->n_slots = n_slots;
	for (uint32_t number = 0; number < loading->stream->n_keys; number++) {
		loading->numbers[slot_of(loading, loading->raw[number])] = number + 1;
	}
	return true;
}

/* *array has room for n_room of them then. */
static bool widen(void *array, size_t n_room, size_t n_each)
{
	void *before;
	void *wider;

	memcpy(&before, array, sizeof(before));
	wider = realloc(before, n_room * n_each);
	if (wider == NULL) {
		return false;
	}
	memcpy(array, &wider, sizeof(wider));
	/* cppcheck-suppress memleak; *array has it */
	return true;
}

static bool room_for_request(struct loading *loading)
{
	struct stream *stream = loading->stream;
	size_t n = loading->n_room ? loading->n_room * 2 : 1 << 16;

	if (stream->n_requests < loading->n_room) {
		return true;
	}
	if (!widen(&stream->keys, n, sizeof(*stream->keys)) ||
	    !widen(&stream->operations, n, sizeof(*stream->operations)) ||
	    !widen(&stream->sizes, n, sizeof(*stream->sizes)) ||
	    !widen(&stream->times_ms, n, sizeof(*stream->times_ms)) ||
	    !widen(&stream->ttls_ms, n, sizeof(*stream->ttls_ms))) {
		return false;
	}
	loading->n_room = n;
	return true;
}

/* NONE: no memory. */
static uint32_t number_of(struct loading *loading, uint64_t raw)
{
	struct stream *stream = loading->stream;
	size_t at;

	if (((size_t)stream->n_keys + 1) * 2 > loading->n_slots &&
	    !make_slots(loading, loading->n_slots ? loading->n_slots * 2 : 1 << 12)) {
		return NONE;
	}
	at = slot_of(loading, raw);
	if (loading->numbers[at]) {
		return loading->numbers[at] - 1;
	}
	if (stream->n_keys == loading->n_raw_room) {
		size_t n = loading->n_raw_room ? loading->n_raw_room * 2 : 1 << 12;

		if (!widen(&loading->raw, n, sizeof(*loading->raw))) {
			return NONE;
		}
		loading->n_raw_room = n;
	}
	loading->raw[stream->n_keys] = raw;
	loading->numbers[at] = ++stream->n_keys;
	return stream->n_keys - 1;
}

/* Numbers of keys after those that are not in the sample any more have gone. */
static void keep_keys(struct loading *loading, uint32_t *ret_moved)
{
	struct stream *stream = loading->stream;
	uint32_t n = 0;

	for (uint32_t number = 0; number < stream->n_keys; number++) {
		bool stays = sample_hash(loading, loading->raw[number]) < loading->threshold;

		ret_moved[number] = stays ? n : NONE;
		if (stays) {
			loading->raw[n++] = loading->raw[number];
		}
	}
	stream->n_keys = n;
}

static void keep_requests(struct stream *stream, const uint32_t *moved)
{
	size_t n = 0;

	stream->n_gets = 0;
	for (size_t i = 0; i < stream->n_requests; i++) {
		if (moved[stream->keys[i]] == NONE) {
			continue;
		}
		stream->keys[n] = moved[stream->keys[i]];
		stream->operations[n] = stream->operations[i];
		stream->sizes[n] = stream->sizes[i];
		stream->times_ms[n] = stream->times_ms[i];
		stream->ttls_ms[n] = stream->ttls_ms[i];
		stream->n_gets += stream->operations[n] == TRACE_GET;
		n++;
	}
	stream->n_requests = n;
}

static bool fall(struct loading *loading)
{
	uint32_t *moved = malloc(((size_t)loading->stream->n_keys + 1) * sizeof(*moved));

	if (moved == NULL) {
		return false;
	}
	loading->threshold -= loading->threshold / FALL_PART;
	keep_keys(loading, moved);
	keep_requests(loading->stream, moved);
	free(moved);
	return make_slots(loading, loading->n_slots);
}

static bool is_too_large(const struct loading *loading)
{
	return loading->stream->n_keys > loading->options.max_keys ||
	       loading->stream->n_requests > loading->options.max_requests;
}

/* Up to 49 days; what is above 0 stays so. */
static uint32_t milliseconds(int64_t ns)
{
	int64_t ms = ns / CLOCK_NS_PER_MS + (ns > 0 && ns < CLOCK_NS_PER_MS);

	return ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX - 1;
}

static bool add(struct loading *loading, const struct trace_request *request)
{
	struct stream *stream = loading->stream;
	uint32_t number;
	size_t at;

	stream->n_read++;
	stream->n_read_gets += request->operation == TRACE_GET;
	if (sample_hash(loading, request->key) >= loading->threshold) {
		return true;
	}
	number = number_of(loading, request->key);
	if (number == NONE || !room_for_request(loading)) {
		return false;
	}
	at = stream->n_requests++;
	stream->keys[at] = number;
	stream->operations[at] = (uint8_t)request->operation;
	stream->sizes[at] = request->size == TRACE_SIZE_UNKNOWN ? SIZE_MISSING
			    : request->size < SIZE_MOST		? (uint32_t)request->size
								: SIZE_MOST;
	stream->times_ms[at] = milliseconds(request->time_ns);
	stream->ttls_ms[at] = milliseconds(request->ttl_ns);
	stream->n_gets += request->operation == TRACE_GET;
	loading->has_operations |= request->operation != TRACE_GET;
	loading->has_sizes |= request->size != TRACE_SIZE_UNKNOWN;
	loading->has_times |= request->time_ns > 0;
	loading->has_ttls |= request->ttl_ns > 0;
	while (is_too_large(loading) && loading->threshold > FALL_PART) {
		if (!fall(loading)) {
			return false;
		}
	}
	return true;
}

/* A value whose size is not told has that of the same key before, else behind, else the assumed
 * one. */
static bool settle_sizes(struct loading *loading)
{
	struct stream *stream = loading->stream;
	uint32_t *known = malloc(((size_t)stream->n_keys + 1) * sizeof(*known));
	double sum = 0;

	if (known == NULL) {
		return false;
	}
	memset(known, 0xff, stream->n_keys * sizeof(*known));
	for (size_t i = stream->n_requests; i-- > 0;) {
		if (stream->sizes[i] != SIZE_MISSING) {
			known[stream->keys[i]] = stream->sizes[i];
		}
	}
	for (uint32_t key = 0; key < stream->n_keys; key++) {
		if (known[key] == SIZE_MISSING) {
			known[key] = (uint32_t)stream->assumed_bytes;
			stream->assumes = true;
		}
		sum += known[key];
	}
	for (size_t i = 0; i < stream->n_requests; i++) {
		if (stream->sizes[i] == SIZE_MISSING) {
			stream->sizes[i] = known[stream->keys[i]];
		} else {
			known[stream->keys[i]] = stream->sizes[i];
		}
	}
	stream->mean_bytes = sum / stream->n_keys;
	free(known);
	return true;
}

static void drop(void *array)
{
	void *none = NULL;
	void *before;

	memcpy(&before, array, sizeof(before));
	free(before);
	memcpy(array, &none, sizeof(none));
}

/* What the trace does not tell is not kept. */
static bool finish(struct loading *loading)
{
	struct stream *stream = loading->stream;

	if (loading->has_sizes && !settle_sizes(loading)) {
		return false;
	}
	if (!loading->has_sizes) {
		drop(&stream->sizes);
		stream->mean_bytes = (double)stream->assumed_bytes;
		stream->assumes = true;
	}
	if (!loading->has_operations) {
		drop(&stream->operations);
	}
	if (!loading->has_times) {
		drop(&stream->times_ms);
	}
	if (!loading->has_ttls) {
		drop(&stream->ttls_ms);
	}
	return true;
}

static enum trace_status read_all(struct loading *loading, struct trace_reader *reader)
{
	struct trace_request request;
	enum trace_status status;

	while ((status = trace_next(reader, &request)) == TRACE_REQUEST) {
		if (!add(loading, &request)) {
			loading->out_of_memory = true;
			return TRACE_BAD;
		}
	}
	return status;
}

bool stream_load(struct stream *ret, struct trace_reader *reader,
		 const struct stream_options *options, char *ret_why)
{
	struct stream stream = { .assumed_bytes = options->assumed_bytes };
	struct loading loading = {
		.stream = &stream,
		.options = *options,
		.threshold = (uint64_t)(options->rate * (double)THRESHOLD_ALL),
	};
	bool well = read_all(&loading, reader) == TRACE_END;

	stream.rate = (double)loading.threshold / (double)THRESHOLD_ALL;
	stream.share = stream.rate * trace_share(reader);
	if (well && (stream.n_gets == 0 || is_too_large(&loading))) {
		snprintf(ret_why, TRACE_WHY_MAX, "%s",
			 stream.n_read == 0	   ? "the trace has no requests"
			 : stream.n_read_gets == 0 ? "the trace has no gets"
			 : stream.n_gets == 0
				 ? "no key of the trace is in the sample; take a larger one"
				 : "the trace has more requests than can be simulated");
		well = false;
	} else if (well && !finish(&loading)) {
		loading.out_of_memory = true;
		well = false;
	} else if (!well) {
		snprintf(ret_why, TRACE_WHY_MAX, "%s", trace_why(reader));
	}
	if (loading.out_of_memory) {
		snprintf(ret_why, TRACE_WHY_MAX, "out of memory after %llu requests",
			 (unsigned long long)stream.n_read);
	}
	free(loading.raw);
	free(loading.numbers);
	if (well) {
		*ret = stream;
	} else {
		stream_free(&stream);
	}
	return well;
}

void stream_free(struct stream *stream)
{
	free(stream->keys);
	free(stream->operations);
	free(stream->sizes);
	free(stream->times_ms);
	free(stream->ttls_ms);
	*stream = (struct stream){ 0 };
}

double stream_hit_ratio(const struct stream *stream, uint64_t n_misses)
{
	double expected = (double)stream->n_read_gets * stream->rate;
	double ratio = 1 - (double)n_misses / expected;

	return ratio < 0 ? 0 : ratio;
}
