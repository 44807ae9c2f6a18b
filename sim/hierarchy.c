#include "sim/hierarchy.h"

#include <stdlib.h>

#include "sim/cache.h"
#include "sim/curve.h"

struct run {
	const struct stream *stream;
	struct hierarchy *hierarchy;
	struct cache *caches[HIERARCHY_LAYERS_MAX];
	uint64_t n_misses[HIERARCHY_LAYERS_MAX]; /* gets that this layer and those above had not */
	uint32_t key_bytes;
	bool fill_by_writes;
};

static bool open_caches(struct run *run)
{
	for (size_t i = 0; i < run->hierarchy->n_layers; i++) {
		const struct hierarchy_layer *layer = &run->hierarchy->layers[i];
		const struct cache_options options = {
			.policy = layer->policy,
			.as_built = layer->as_built,
			.n_keys = run->stream->n_keys,
			.by_bytes = true,
			.max = (uint64_t)((double)curve_usable_bytes(layer->max_bytes,
								     layer->policy) *
						  run->stream->share +
					  0.5),
			.share = run->stream->share,
		};

		run->caches[i] = cache_new(&options);
		if (run->caches[i] == NULL) {
			return false;
		}
	}
	return true;
}

/* Into the layers above `below`. */
static void store(struct run *run, size_t at, size_t below, uint32_t now_ms, uint32_t end_ms)
{
	uint32_t key = run->stream->keys[at];
	uint32_t n_bytes = curve_entry_bytes(run->key_bytes, stream_size(run->stream, at));

	for (size_t i = 0; i < below; i++) {
		uint64_t most = run->hierarchy->layers[i].ttl_ms;
		uint64_t end = most && run->stream->times_ms ? now_ms + most : CACHE_NEVER;

		cache_put(run->caches[i], key, n_bytes, end < end_ms ? (uint32_t)end : end_ms);
	}
}

static void get(struct run *run, size_t at, uint32_t now_ms, uint32_t *ends_ms)
{
	uint32_t key = run->stream->keys[at];
	size_t n = run->hierarchy->n_layers;
	size_t i = 0;

	while (i < n && !cache_get(run->caches[i], key, now_ms)) {
		run->n_misses[i++]++;
	}
	if (i == n) {
		ends_ms[key] = CACHE_NEVER;
		if (run->fill_by_writes) {
			return;
		}
	}
	store(run, at, i, now_ms, ends_ms[key]);
}

static void change(struct run *run, size_t at, uint32_t now_ms, uint32_t *ends_ms)
{
	uint32_t key = run->stream->keys[at];
	enum trace_operation operation = stream_operation(run->stream, at);
	uint32_t ttl_ms = run->stream->ttls_ms ? run->stream->ttls_ms[at] : 0;

	if (operation == TRACE_SET) {
		ends_ms[key] =
			ttl_ms && ttl_ms < CACHE_NEVER - now_ms ? now_ms + ttl_ms : CACHE_NEVER;
		store(run, at, run->hierarchy->n_layers, now_ms, ends_ms[key]);
		return;
	}
	for (size_t i = 0; i < run->hierarchy->n_layers; i++) {
		if (operation == TRACE_DELETE || run->hierarchy->layers[i].private) {
			cache_drop(run->caches[i], key);
		}
	}
}

static void sum_up(const struct run *run)
{
	struct hierarchy *hierarchy = run->hierarchy;
	double above = 1;
	double waited = 0;

	hierarchy->mean_ns = 0;
	for (size_t i = 0; i < hierarchy->n_layers; i++) {
		struct hierarchy_layer *layer = &hierarchy->layers[i];
		double missing = 1 - stream_hit_ratio(run->stream, run->n_misses[i]);

		layer->hit_share = above - missing;
		waited += layer->latency_ns;
		hierarchy->mean_ns += layer->hit_share * waited;
		above = missing;
	}
	hierarchy->origin_share = above;
	hierarchy->mean_ns += above * (waited + hierarchy->origin_ns);
}

bool hierarchy_run(const struct stream *stream, uint32_t key_bytes, bool fill_by_writes,
		   struct hierarchy *hierarchy)
{
	struct run run = {
		.stream = stream,
		.hierarchy = hierarchy,
		.key_bytes = key_bytes,
		.fill_by_writes = fill_by_writes,
	};
	/* By key, when the value that is there ends: fills take over what is left. */
	uint32_t *ends_ms = malloc(((size_t)stream->n_keys + 1) * sizeof(*ends_ms));
	bool well = ends_ms && open_caches(&run);

	for (uint32_t key = 0; well && key < stream->n_keys; key++) {
		ends_ms[key] = CACHE_NEVER;
	}
	for (size_t i = 0; well && i < stream->n_requests; i++) {
		uint32_t now_ms = stream->times_ms ? stream->times_ms[i] : 0;

		if (stream_operation(stream, i) == TRACE_GET) {
			get(&run, i, now_ms, ends_ms);
		} else {
			change(&run, i, now_ms, ends_ms);
		}
	}
	if (well) {
		sum_up(&run);
	}
	for (size_t i = 0; i < hierarchy->n_layers; i++) {
		cache_free(&run.caches[i]);
	}
	free(ends_ms);
	return well;
}
