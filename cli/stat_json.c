/* tower stat --json; docs/STATISTICS.md has the format. */
#include <string.h>

#include "base/clock.h"
#include "cli/json.h"
#include "cli/rates.h"
#include "cli/served.h"
#include "cli/stat_print.h"
#include "layers/layer.h"

static void write_named(struct json *json, const char *key, const char names[][STATS_NAME_MAX],
			const uint64_t *counts, unsigned n)
{
	json_object(json, key);
	for (unsigned i = 0; i < n; i++) {
		if (counts[i] > 0) {
			char name[STATS_NAME_MAX + 1] = { 0 };

			memcpy(name, names[i], STATS_NAME_MAX);
			json_number(json, name, counts[i]);
		}
	}
	json_end(json);
}

static void write_served(struct json *json, const struct stats_snapshot *snapshot,
			 const struct stats_values *values)
{
	json_object(json, "served");
	for (unsigned i = 0; i < snapshot->n_calls; i++) {
		char name[STATS_NAME_MAX + 1] = { 0 };
		struct served served;

		if (values->calls[i] == 0 || !served_of(snapshot, values, i, &served)) {
			continue;
		}
		memcpy(name, snapshot->calls[i], STATS_NAME_MAX);
		json_object(json, name);
		json_number(json, "keys", served.keys);
		for (unsigned layer = 0; layer < STATS_LAYERS_MAX; layer++) {
			json_number(json, stats_layer_names[layer], served.layers[layer]);
		}
		json_number(json, "nowhere", served.nowhere);
		json_number(json, "passed", served.passed);
		json_number(json, "failed", served.failed);
		json_number(json, "unknown", served.unknown);
		json_end(json);
	}
	json_end(json);
}

static void write_latencies(struct json *json, const struct latency_values *latencies,
			    bool histograms)
{
	for (unsigned i = 0; i < STATS_OPERATIONS; i++) {
		char key[16];

		snprintf(key, sizeof(key), "%s_ns", stats_operation_names[i]);
		json_object(json, key);
		json_number(json, "timed", latency_count(&latencies[i]));
		json_number(json, "sum", latencies[i].sum_ns);
		for (unsigned j = 0; j < STAT_PERCENTILES; j++) {
			json_number(
				json, stat_percentiles[j].name,
				latency_permille_ns(&latencies[i], stat_percentiles[j].permille));
		}
		if (histograms) {
			json_histogram(json, "histogram", &latencies[i]);
		}
		json_end(json);
	}
}

/* What the differences of two answers are made of is in the total alone: it is long. */
static void write_values(struct json *json, const struct stats_snapshot *snapshot,
			 const struct stats_values *values, const struct stat_filter *filter)
{
	json_array(json, "layers");
	for (unsigned layer = 0; layer < STATS_LAYERS_MAX; layer++) {
		const struct stats_layer_values *counts = &values->layers[layer];

		if (!stat_wants_layer(filter, layer)) {
			continue;
		}
		json_object(json, NULL);
		json_text(json, "name", stats_layer_names[layer]);
#define COUNTER(name, help) json_number(json, #name, counts->name);
#define GAUGE(name, help) json_number(json, #name, counts->name);
#include "layers/counters.def"
#undef COUNTER
#undef GAUGE
		write_latencies(json, values->latencies[layer], values == &snapshot->total);
		json_end(json);
	}
	json_end(json);
	json_object(json, "saved");
	json_number(json, "round_trips", rates_saved(values).round_trips);
	json_number(json, "bytes", rates_saved(values).bytes);
	json_end(json);
	write_named(json, "calls", snapshot->calls, values->calls, snapshot->n_calls);
	write_served(json, snapshot, values);
	write_named(json, "passed", snapshot->reasons, values->passed, snapshot->n_reasons);
}

void stat_print_json(const struct stats_snapshot *snapshot, const struct stat_filter *filter,
		     FILE *out)
{
	struct json json = { .out = out };

	json_object(&json, NULL);
	json_number(&json, "version", 1);
	json_text(&json, "domain", snapshot->domain);
	json_number(&json, "taken_ms", (uint64_t)(snapshot->taken_ns / CLOCK_NS_PER_MS));
	json_array(&json, "off");
	for (unsigned i = 0; i < STATS_LAYERS_MAX; i++) {
		static const unsigned bits[] = { LAYER_PRIVATE, LAYER_AUTHORITY, LAYER_SHARED };

		if (filter->off & bits[i]) {
			json_text(&json, NULL,
				  bits[i] == LAYER_AUTHORITY ? "tower" : stats_layer_names[i]);
		}
	}
	json_end(&json);
	json_array(&json, "processes");
	for (unsigned i = 0; i < snapshot->n_processes; i++) {
		const struct stats_process *process = &snapshot->processes[i];

		if (filter->pid && process->pid != filter->pid) {
			continue;
		}
		json_object(&json, NULL);
		json_number(&json, "pid", (uint64_t)process->pid);
		json_text(&json, "command", process->command);
		write_values(&json, snapshot, &process->values, filter);
		json_end(&json);
	}
	json_end(&json);
	json_object(&json, "total");
	write_values(&json, snapshot, &snapshot->total, filter);
	json_end(&json);
	json_object(&json, "redis");
	json_text(&json, "breaker", snapshot->redis_open ? "open" : "closed");
	json_number(&json, "unmarked", snapshot->redis_unmarked);
	json_number(&json, "generation", snapshot->redis_generation);
	json_text(&json, "writers", snapshot->redis_several ? "several" : "one");
	json_end(&json);
	json_end(&json);
	putc('\n', out);
}
