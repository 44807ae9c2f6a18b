/*
 * Replays a trace of requests through the memory layer and counts hits.
 *
 * usage: replay NAME FORMAT [--opt] SHARE... <trace
 *
 * FORMAT is one of sim/trace_reader.h.  A SHARE is a percentage of the different
 * keys: so many values are held, of no bytes, because capacities are counted in
 * values.  A line for each, separated by tabs: name, share, values, then hit ratios in
 * percent with lru, fifo, s3fifo, and, if asked for, of OPT, which knows the
 * future (sim/opt.h).
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "layers/memory.h"
#include "sim/opt.h"

static void *need(void *bytes)
{
	if (bytes == NULL) {
		fprintf(stderr, "replay: out of memory\n");
		exit(1);
	}
	return bytes;
}

static struct stream read_trace(const char *name, const char *format_name)
{
	const struct stream_options options = { .rate = 1,
						.max_keys = UINT32_MAX - 1,
						.max_requests = STREAM_REQUESTS_MAX };
	char why[TRACE_WHY_MAX] = "no such format";
	struct trace_reader *reader = NULL;
	enum trace_format format;
	struct stream stream;

	if (!trace_format_find(format_name, &format) || !trace_open(&reader, "-", format, why) ||
	    !stream_load(&stream, reader, &options, why)) {
		fprintf(stderr, "replay: %s: %s\n", name, why);
		exit(1);
	}
	trace_close(&reader);
	return stream;
}

static size_t replay(const struct stream *stream, enum policy_kind policy, uint32_t n_held)
{
	static struct layer_counters counted;
	static struct layer_counters *counters = &counted;
	const struct memory_options options = {
		.policy = policy,
		.max_bytes = UINT64_C(1) << 30,
		.max_items = n_held,
	};
	struct layer *layer = need(memory_open(&options, &counters));
	size_t n_hits = 0;

	for (size_t i = 0; i < stream->n_requests; i++) {
		char key[16];
		struct layer_item item = { .key = { .wire = key } };
		struct layer_batch batch = { .items = &item, .n_items = 1, .probe = true };

		item.key.n_wire = (size_t)snprintf(key, sizeof(key), "%" PRIx32, stream->keys[i]);
		item.key.hash = hash_bytes(key, item.key.n_wire);
		memory_ops.get(layer, &batch);
		if (item.answer == LAYER_HIT) {
			n_hits++;
			continue;
		}
		item.answer = LAYER_HIT;
		item.layer = 1;
		item.deadline_ns = CLOCK_NEVER;
		memory_ops.fill(layer, &batch, 0);
	}
	memory_ops.close(&layer);
	return n_hits;
}

static uint32_t one(const struct stream *stream, size_t at, uint32_t key_bytes)
{
	(void)stream;
	(void)at;
	(void)key_bytes;
	return 1;
}

static size_t replay_opt(const struct stream *stream, uint32_t n_held)
{
	uint32_t *next = need(opt_next(stream));
	uint64_t n_misses = 0;

	need(opt_run(stream, next, n_held, one, 0, &n_misses) ? next : NULL);
	free(next);
	return stream->n_requests - n_misses;
}

static void print_ratio(const struct stream *stream, size_t n_hits)
{
	printf("\t%.2f", 100.0 * (double)n_hits / (double)stream->n_requests);
}

int main(int argc, char **argv)
{
	bool opt = argc > 3 && strcmp(argv[3], "--opt") == 0;
	struct stream stream;

	if (argc < 4) {
		fprintf(stderr, "usage: replay NAME FORMAT [--opt] SHARE... <trace\n");
		return 2;
	}
	stream = read_trace(argv[1], argv[2]);
	clock_fake(CLOCK_NS_PER_S, 1);
	for (int i = 3 + opt; i < argc; i++) {
		uint32_t n_held = (uint32_t)(stream.n_keys * strtod(argv[i], NULL) / 100);

		printf("%s\t%s\t%" PRIu32, argv[1], argv[i], n_held);
		for (enum policy_kind policy = POLICY_LRU; policy <= POLICY_S3FIFO; policy++) {
			print_ratio(&stream, replay(&stream, policy, n_held));
		}
		if (opt) {
			print_ratio(&stream, replay_opt(&stream, n_held));
		}
		printf("\n");
	}
	stream_free(&stream);
	return 0;
}
