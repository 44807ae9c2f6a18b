/*
 * Replays a trace of requests through the memory layer and counts hits.
 *
 * usage: replay NAME FORMAT [--opt] SHARE... <trace
 *
 * FORMAT is u32 or u64 (big-endian keys) or text (lines of "time key size").
 * A SHARE is a percentage of the different keys: so many values are held, of no
 * bytes, because capacities are counted in values.  A line for each, separated by
 * tabs: name, share, values, then hit ratios in percent with lru, fifo, s3fifo, and,
 * if asked for, of OPT, which knows the future (Belady 1966).
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "layers/memory.h"

#define NEVER UINT32_MAX

struct trace {
	uint32_t *keys; /* numbered from 0 in the order of their first request */
	size_t n;
	size_t n_max;
	uint32_t n_keys;
	/* Open addressing: numbers + 1 by the key as it stands in the trace. */
	uint64_t *raw;
	uint32_t *numbers;
	size_t n_slots;
};

static void *need(void *bytes)
{
	if (bytes == NULL) {
		fprintf(stderr, "replay: out of memory\n");
		exit(1);
	}
	return bytes;
}

static size_t slot_of(const struct trace *trace, uint64_t raw)
{
	size_t at = hash_mix(raw, 0) & (trace->n_slots - 1);

	while (trace->numbers[at] && trace->raw[at] != raw) {
		at = (at + 1) & (trace->n_slots - 1);
	}
	return at;
}

static void widen(struct trace *trace)
{
	struct trace old = *trace;

	trace->n_slots = old.n_slots ? old.n_slots * 2 : 1 << 16;
	trace->raw = need(calloc(trace->n_slots, sizeof(*trace->raw)));
	trace->numbers = need(calloc(trace->n_slots, sizeof(*trace->numbers)));
	for (size_t i = 0; i < old.n_slots; i++) {
		if (old.numbers[i]) {
			size_t at = slot_of(trace, old.raw[i]);

			trace->raw[at] = old.raw[i];
			trace->numbers[at] = old.numbers[i];
		}
	}
	free(old.raw);
	free(old.numbers);
}

static void add(struct trace *trace, uint64_t raw)
{
	size_t at;

	if ((trace->n_keys + 1U) * 2 > trace->n_slots) {
		widen(trace);
	}
	if (trace->n == trace->n_max) {
		trace->n_max = trace->n_max ? trace->n_max * 2 : 1 << 16;
		trace->keys = need(realloc(trace->keys, trace->n_max * sizeof(*trace->keys)));
	}
	at = slot_of(trace, raw);
	if (trace->numbers[at] == 0) {
		trace->raw[at] = raw;
		trace->numbers[at] = ++trace->n_keys;
	}
	trace->keys[trace->n++] = trace->numbers[at] - 1;
}

static void read_trace(struct trace *trace, const char *format)
{
	size_t width = strcmp(format, "u32") == 0 ? 4 : 8;
	unsigned char bytes[8];
	char line[256];

	if (strcmp(format, "text") == 0) {
		uint64_t key;

		while (fgets(line, sizeof(line), stdin)) {
			if (sscanf(line, "%*s %" SCNu64, &key) == 1) {
				add(trace, key);
			}
		}
		return;
	}
	while (fread(bytes, width, 1, stdin) == 1) {
		uint64_t key = 0;

		for (size_t i = 0; i < width; i++) {
			key = key << 8 | bytes[i];
		}
		add(trace, key);
	}
}

/* --- the memory layer --- */

static size_t replay(const struct trace *trace, enum policy_kind policy, uint32_t n_held)
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

	for (size_t i = 0; i < trace->n; i++) {
		char key[16];
		struct layer_item item = { .key = { .wire = key } };
		struct layer_batch batch = { .items = &item, .n_items = 1, .probe = true };

		item.key.n_wire = (size_t)snprintf(key, sizeof(key), "%" PRIx32, trace->keys[i]);
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

/* --- OPT: whose next request is the farthest goes --- */

struct heap {
	uint64_t *nodes; /* next request << 32 | key; the largest first; some are out of date */
	size_t n;
	size_t n_max;
};

static void push(struct heap *heap, uint64_t node)
{
	size_t at = heap->n++;

	if (at == heap->n_max) {
		heap->n_max = heap->n_max ? heap->n_max * 2 : 1 << 16;
		heap->nodes = need(realloc(heap->nodes, heap->n_max * sizeof(*heap->nodes)));
	}
	while (at && heap->nodes[(at - 1) / 2] < node) {
		heap->nodes[at] = heap->nodes[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	heap->nodes[at] = node;
}

static uint64_t pop(struct heap *heap)
{
	uint64_t first = heap->nodes[0];
	uint64_t node = heap->nodes[--heap->n];
	size_t at = 0;

	while (at * 2 + 1 < heap->n) {
		size_t child = at * 2 + 1;

		child += child + 1 < heap->n && heap->nodes[child + 1] > heap->nodes[child];
		if (heap->nodes[child] <= node) {
			break;
		}
		heap->nodes[at] = heap->nodes[child];
		at = child;
	}
	heap->nodes[at] = node;
	return first;
}

static size_t replay_opt(const struct trace *trace, uint32_t n_held)
{
	uint32_t *next = need(malloc(trace->n * sizeof(*next)));    /* by request */
	uint32_t *due = need(malloc(trace->n_keys * sizeof(*due))); /* by key */
	bool *held = need(calloc(trace->n_keys, sizeof(*held)));
	struct heap heap = { 0 };
	uint32_t n = 0;
	size_t n_hits = 0;

	memset(due, 0xff, trace->n_keys * sizeof(*due));
	for (size_t i = trace->n; i-- > 0;) {
		next[i] = due[trace->keys[i]];
		due[trace->keys[i]] = (uint32_t)i;
	}
	for (size_t i = 0; i < trace->n; i++) {
		uint32_t key = trace->keys[i];

		n_hits += held[key];
		while (!held[key] && n == n_held) {
			uint64_t node = pop(&heap);
			uint32_t other = (uint32_t)node;

			if (held[other] && due[other] == node >> 32) {
				held[other] = false;
				n--;
			}
		}
		n += !held[key];
		held[key] = true;
		due[key] = next[i];
		push(&heap, (uint64_t)next[i] << 32 | key);
	}
	free(heap.nodes);
	free(held);
	free(due);
	free(next);
	return n_hits;
}

int main(int argc, char **argv)
{
	struct trace trace = { 0 };
	bool opt = argc > 3 && strcmp(argv[3], "--opt") == 0;

	if (argc < 4) {
		fprintf(stderr, "usage: replay NAME u32|u64|text [--opt] SHARE... <trace\n");
		return 2;
	}
	read_trace(&trace, argv[2]);
	if (trace.n == 0 || trace.n >= NEVER) {
		fprintf(stderr, "replay: %s: no requests, or too many\n", argv[1]);
		return 1;
	}
	clock_fake(CLOCK_NS_PER_S, 1);
	for (int i = 3 + opt; i < argc; i++) {
		uint32_t n_held = (uint32_t)(trace.n_keys * strtod(argv[i], NULL) / 100);

		printf("%s\t%s\t%" PRIu32, argv[1], argv[i], n_held);
		for (enum policy_kind policy = POLICY_LRU; policy <= POLICY_S3FIFO; policy++) {
			printf("\t%.2f",
			       100.0 * (double)replay(&trace, policy, n_held) / (double)trace.n);
		}
		if (opt) {
			printf("\t%.2f",
			       100.0 * (double)replay_opt(&trace, n_held) / (double)trace.n);
		}
		printf("\n");
	}
	free(trace.keys);
	free(trace.raw);
	free(trace.numbers);
	return 0;
}
