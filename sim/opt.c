#include "sim/opt.h"

#include <stdlib.h>
#include <string.h>

#define LEVELS 6 /* 64^6 requests */

/* A set of requests, which knows its largest: a bit each, and a bit for each word that is not 0. */
struct set {
	uint64_t *words[LEVELS];
	unsigned n_levels;
};

struct opt {
	struct set due; /* the next requests of what is held */
	/* What is held and never asked for again goes first; of it only the weights matter. */
	uint32_t *dead;
	size_t n_dead;
	uint8_t *held;	   /* a bit a key */
	uint32_t *weights; /* by key */
	uint64_t load;
};

uint32_t *opt_next(const struct stream *stream)
{
	uint32_t *next = malloc((stream->n_requests + 1) * sizeof(*next));
	uint32_t *due = malloc(((size_t)stream->n_keys + 1) * sizeof(*due));

	if (next == NULL || due == NULL) {
		free(next);
		free(due);
		return NULL;
	}
	memset(due, 0xff, stream->n_keys * sizeof(*due));
	for (size_t i = stream->n_requests; i-- > 0;) {
		uint32_t key = stream->keys[i];

		next[i] = due[key];
		due[key] = stream_operation(stream, i) == TRACE_GET ? (uint32_t)i : OPT_NEVER;
	}
	free(due);
	return next;
}

static bool set_open(struct set *set, size_t n)
{
	do {
		n = n / 64 + 1;
		set->words[set->n_levels] = calloc(n, sizeof(uint64_t));
		if (set->words[set->n_levels] == NULL) {
			return false;
		}
		set->n_levels++;
	} while (n > 1);
	return true;
}

static void set_close(struct set *set)
{
	while (set->n_levels) {
		free(set->words[--set->n_levels]);
	}
}

static void set_put(struct set *set, uint32_t at)
{
	for (unsigned level = 0; level < set->n_levels; level++, at /= 64) {
		uint64_t before = set->words[level][at / 64];

		set->words[level][at / 64] = before | UINT64_C(1) << (at % 64);
		if (before) {
			break;
		}
	}
}

static void set_remove(struct set *set, uint32_t at)
{
	for (unsigned level = 0; level < set->n_levels; level++, at /= 64) {
		set->words[level][at / 64] &= ~(UINT64_C(1) << (at % 64));
		if (set->words[level][at / 64]) {
			break;
		}
	}
}

/* OPT_NEVER: it is empty. */
static uint32_t set_last(const struct set *set)
{
	uint32_t at = 0;

	for (unsigned level = set->n_levels; level-- > 0;) {
		uint64_t word = set->words[level][at];

		if (word == 0) {
			return OPT_NEVER;
		}
		at = at * 64 + 63 - (uint32_t)__builtin_clzll(word);
	}
	return at;
}

static bool is_held(const struct opt *opt, uint32_t key)
{
	return opt->held[key / 8] >> (key % 8) & 1;
}

static void hold(struct opt *opt, uint32_t key, bool held)
{
	uint8_t bit = (uint8_t)(1U << (key % 8));

	opt->held[key / 8] = (uint8_t)(held ? opt->held[key / 8] | bit : opt->held[key / 8] & ~bit);
}

static void make_room(struct opt *opt, const struct stream *stream, uint64_t most)
{
	while (opt->load > most) {
		uint32_t last;

		if (opt->n_dead) {
			opt->load -= opt->dead[--opt->n_dead];
			continue;
		}
		last = set_last(&opt->due);
		set_remove(&opt->due, last);
		hold(opt, stream->keys[last], false);
		opt->load -= opt->weights[stream->keys[last]];
	}
}

/* The key, which is not held, is held until its next request; there is room. */
static void keep(struct opt *opt, uint32_t key, uint32_t next, uint32_t weight)
{
	if (next == OPT_NEVER) {
		opt->dead[opt->n_dead++] = weight;
	} else {
		hold(opt, key, true);
		set_put(&opt->due, next);
		opt->weights[key] = weight;
	}
	opt->load += weight;
}

static uint64_t run(struct opt *opt, const struct stream *stream, const uint32_t *next,
		    uint64_t max, opt_weight_fn weight, uint32_t key_bytes)
{
	uint64_t n_misses = 0;

	for (size_t i = 0; i < stream->n_requests; i++) {
		uint32_t key = stream->keys[i];
		enum trace_operation operation = stream_operation(stream, i);
		uint32_t n = weight(stream, i, key_bytes);

		if (is_held(opt, key)) {
			hold(opt, key, false);
			set_remove(&opt->due, (uint32_t)i);
			opt->load -= opt->weights[key];
		} else {
			n_misses += operation == TRACE_GET;
		}
		if ((operation == TRACE_GET || operation == TRACE_SET) && n <= max) {
			make_room(opt, stream, max - n);
			keep(opt, key, next[i], n);
		}
	}
	return n_misses;
}

bool opt_run(const struct stream *stream, const uint32_t *next, uint64_t max, opt_weight_fn weight,
	     uint32_t key_bytes, uint64_t *ret_misses)
{
	struct opt opt = {
		.dead = malloc((stream->n_requests + 1) * sizeof(uint32_t)),
		.held = calloc(stream->n_keys / 8 + 1, 1),
		.weights = malloc(((size_t)stream->n_keys + 1) * sizeof(uint32_t)),
	};
	bool well = set_open(&opt.due, stream->n_requests) && opt.dead && opt.held && opt.weights;

	if (well) {
		*ret_misses = run(&opt, stream, next, max, weight, key_bytes);
	}
	set_close(&opt.due);
	free(opt.dead);
	free(opt.held);
	free(opt.weights);
	return well;
}
