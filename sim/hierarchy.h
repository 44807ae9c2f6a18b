/*
 * hierarchy.h - which layer of a tower would answer how many gets of a trace.
 *
 * As the tower walks (core/tower.h): the first layer that holds a key answers and the
 * ones above it are filled; what none holds is fetched by the program and then in all
 * of them.  A write is stored in all, a delete drops everywhere; other changes drop only
 * the memory layer's copy, which is `private`.
 */
#ifndef TOWER_SIM_HIERARCHY_H
#define TOWER_SIM_HIERARCHY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layers/policy.h"
#include "sim/stream.h"

#define HIERARCHY_LAYERS_MAX 3

struct hierarchy_layer {
	const char *name;
	enum policy_kind policy;
	bool as_built; /* cache.h */
	bool private;
	uint64_t max_bytes;
	uint32_t ttl_ms;   /* the most that a value lives here; 0: its own expiry only */
	double latency_ns; /* of asking it */
	double hit_share;  /* out: of all gets */
};

struct hierarchy {
	struct hierarchy_layer layers[HIERARCHY_LAYERS_MAX];
	size_t n_layers;
	double origin_ns;    /* where the program gets what no layer has */
	double origin_share; /* out */
	double mean_ns;	     /* out: of a get */
};

/* Sets what is "out".  False where memory is out. */
bool hierarchy_run(const struct stream *stream, uint32_t key_bytes, bool fill_by_writes,
		   struct hierarchy *hierarchy);

#endif
