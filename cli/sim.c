/* tower sim: what caches would do with a trace of requests. */
#include <stdlib.h>

#include "base/clock.h"
#include "cli/sim.h"
#include "cli/snapshot.h"
#include "core/latency.h"

/* The mean latency of gets in every layer, where the domain has any. */
static bool measure(const struct config *config, struct sim_arguments *arguments)
{
	struct stats_snapshot *snapshot;
	bool found = false;

	if (snapshot_take("sim", config, &snapshot) != STATS_OK) {
		cli_error("sim: nothing was measured in domain %s", config->tower_name);
		return false;
	}
	for (unsigned layer = 0; layer < SIM_ORIGIN; layer++) {
		const struct latency_values *latency = &snapshot->total.latencies[layer][STATS_GET];
		uint64_t n = latency_count(latency);

		if (n) {
			arguments->latency_ns[layer] = (double)latency->sum_ns / (double)n;
			found = true;
		}
	}
	if (!found) {
		cli_error("sim: no get was measured in domain %s", config->tower_name);
	}
	stats_snapshot_free(&snapshot);
	return found;
}

static uint32_t milliseconds(int64_t ns)
{
	int64_t ms = ns / CLOCK_NS_PER_MS;

	return ms < UINT32_MAX ? (uint32_t)ms : 0;
}

/* The layers that were given sizes, with what the configuration says of them. */
static void describe(const struct config *config, const struct sim_arguments *arguments,
		     struct hierarchy *ret)
{
	static const enum policy_kind policies[SIM_ORIGIN] = { POLICY_LRU, POLICY_LRU, POLICY_LRU };
	const uint32_t ttls[SIM_ORIGIN] = {
		[SIM_MEMORY] = milliseconds(config->memory_ttl),
		[SIM_MEMCACHED] = milliseconds(config->memcached_ttl),
		[SIM_REDIS] = milliseconds(config->redis_ttl),
	};

	for (unsigned place = 0; place < SIM_ORIGIN; place++) {
		if (arguments->layer_bytes[place]) {
			ret->layers[ret->n_layers++] = (struct hierarchy_layer){
				.name = sim_places[place],
				.policy = place == SIM_MEMORY
						  ? (enum policy_kind)config->memory_policy
						  : policies[place],
				.as_built = place == SIM_MEMORY,
				.private = place == SIM_MEMORY,
				.max_bytes = arguments->layer_bytes[place],
				.ttl_ms = ttls[place],
				.latency_ns = arguments->latency_ns[place],
			};
		}
	}
	ret->origin_ns = arguments->latency_ns[SIM_ORIGIN];
}

static bool load(const struct sim_arguments *arguments, struct stream *ret)
{
	char why[TRACE_WHY_MAX];
	struct trace_reader *reader;
	bool well;

	if (!trace_open(&reader, arguments->trace, arguments->format, why)) {
		cli_error("sim: %s", why);
		return false;
	}
	well = stream_load(ret, reader, &arguments->sample, why);
	if (!well) {
		cli_error("sim: %s", why);
	}
	trace_close(&reader);
	return well;
}

static int simulate(const struct sim_arguments *arguments, const struct stream *stream,
		    struct hierarchy *hierarchy)
{
	struct sim_results results = {
		.stream = stream,
		.n_rows = arguments->curve.n_policies * arguments->curve.n_sizes,
		.hierarchy = hierarchy,
	};
	struct curve_recommendation recommended;
	struct curve_row *rows = calloc(results.n_rows, sizeof(*rows));

	if (rows == NULL || !curve_run(stream, &arguments->curve, rows) ||
	    (hierarchy->n_layers && !hierarchy_run(stream, arguments->curve.key_bytes,
						   arguments->curve.fill_by_writes, hierarchy))) {
		cli_error("sim: out of memory; fewer threads or a smaller sample (--sample) need "
			  "less");
		free(rows);
		return CLI_FAILED;
	}
	results.rows = rows;
	if (curve_recommend(stream, &arguments->curve, rows, results.n_rows, &recommended)) {
		results.recommended = &recommended;
	}
	(arguments->json ? sim_print_json : sim_print_text)(arguments, &results, stdout);
	free(rows);
	return CLI_OK;
}

int cli_sim(const struct cli_options *options, int argc, char **argv)
{
	struct sim_arguments arguments;
	struct hierarchy hierarchy = { 0 };
	struct config config;
	struct stream stream;
	int status;

	if (!sim_parse(argc, argv, &arguments)) {
		return CLI_USAGE;
	}
	if (!cli_load_config(options, &config) ||
	    (arguments.measured && !measure(&config, &arguments)) || !load(&arguments, &stream)) {
		return CLI_FAILED;
	}
	describe(&config, &arguments, &hierarchy);
	status = simulate(&arguments, &stream, &hierarchy);
	stream_free(&stream);
	return status;
}
