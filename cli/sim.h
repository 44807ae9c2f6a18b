/*
 * sim.h - what the parts of `tower sim` share; for sim*.c alone.
 */
#ifndef TOWER_CLI_SIM_H
#define TOWER_CLI_SIM_H

#include <stdio.h>

#include "cli/cli.h"
#include "sim/curve.h"
#include "sim/hierarchy.h"

/* Places of the layers in latencies; what no layer has comes from the origin. */
enum sim_place { SIM_MEMORY, SIM_MEMCACHED, SIM_REDIS, SIM_ORIGIN, SIM_PLACES };

struct sim_arguments {
	const char *trace;
	enum trace_format format;
	bool exact;
	bool sampled; /* --sample was given */
	bool json;
	bool measured;
	bool has_policies;
	bool has_sizes;
	struct stream_options sample;
	struct curve_options curve;
	uint64_t layer_bytes[SIM_ORIGIN]; /* 0: not in the hierarchy */
	double latency_ns[SIM_PLACES];
};

/* What was found. */
struct sim_results {
	const struct stream *stream;
	const struct curve_row *rows;
	size_t n_rows;
	const struct curve_recommendation *recommended; /* NULL: nothing is */
	const struct hierarchy *hierarchy;		/* without layers: none was asked for */
};

/* False, with a line on stderr, where they are wrong: a matter of usage. */
bool sim_parse(int argc, char **argv, struct sim_arguments *ret);

extern const char *const sim_places[SIM_PLACES];

void sim_print_json(const struct sim_arguments *arguments, const struct sim_results *results,
		    FILE *out);
void sim_print_text(const struct sim_arguments *arguments, const struct sim_results *results,
		    FILE *out);

#endif
