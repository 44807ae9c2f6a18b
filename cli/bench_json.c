/* tower bench --json; docs/BENCH.md has the format. */
#include "base/version.h"
#include "cli/bench.h"
#include "cli/json.h"

static void write_interval(struct json *json, const char *key, const struct interval *interval)
{
	json_object(json, key);
	json_real(json, "mean", interval->mean);
	if (interval->known) {
		json_real(json, "low", interval->low);
		json_real(json, "high", interval->high);
	}
	json_end(json);
}

static void write_place(struct json *json, const struct bench_report *report)
{
	const struct bench_place *place = &report->place;
	const struct session_options *options = report->options;
	char text[BENCH_TEXT_MAX];

	json_text(json, "command", place->command);
	json_text(json, "began", place->began);
	json_object(json, "machine");
	json_text(json, "processor", place->processor);
	json_number(json, "processors", place->n_processors);
	json_number(json, "memory_bytes", place->memory_bytes);
	json_text(json, "kernel", place->kernel);
	json_real(json, "load_before", place->load);
	json_real(json, "steal", place->steal);
	json_end(json);
	json_object(json, "versions");
	json_text(json, "tower", TOWER_VERSION);
	json_text(json, "libmemcached", place->libmemcached);
	json_text(json, "memcached", place->memcached);
	json_text(json, "redis", place->redis);
	json_end(json);
	workload_describe(options->workload, text, sizeof(text));
	json_object(json, "run");
	json_text(json, "workload", text);
	json_number(json, "seed", options->workload->seed);
	json_real(json, "rate", options->workload->rate);
	json_real(json, "seconds", (double)options->run_ns / 1e9);
	json_real(json, "warm_up_seconds", (double)options->warm_ns / 1e9);
	json_number(json, "repeats", options->n_repeats);
	json_number(json, "processes", options->n_processes);
	json_number(json, "threads", options->n_threads);
	json_end(json);
}

static void write_call(struct json *json, const struct summary_call *call)
{
	json_number(json, "calls", call->n);
	json_real(json, "mean_ns", (double)call->all.sum_ns / (double)call->n);
	for (unsigned i = 0; i < SUMMARY_PERCENTILES; i++) {
		char key[32];

		snprintf(key, sizeof(key), "%s_ns", summary_percentiles[i].name);
		json_number(json, key, latency_ppm_ns(&call->all, summary_percentiles[i].ppm));
	}
	json_histogram(json, "histogram", &call->all);
}

static void write_counts(struct json *json, const struct board_counts *counts)
{
	json_number(json, "requests", counts->requests);
	json_number(json, "keys_asked", counts->asked);
	json_number(json, "hits", counts->hits);
	json_number(json, "misses", counts->misses);
	json_number(json, "refills", counts->refills);
	json_number(json, "errors", counts->errors);
	json_number(json, "stale", counts->stale);
	json_number(json, "unserved", counts->unserved);
}

static void write_candidate(struct json *json, const struct bench_report *report, unsigned h)
{
	const struct summary *summary = &report->summaries[h];
	const struct candidate *candidate = &report->options->candidates[h];
	char text[BENCH_TEXT_MAX];

	json_object(json, NULL);
	json_text(json, "name", candidate->name);
	candidate_describe(candidate, text, sizeof(text));
	json_text(json, "configuration", text);
	write_interval(json, "requests_per_second", &summary->rate);
	write_interval(json, "times_first", &summary->ratio);
	json_object(json, "shares");
	for (unsigned i = 0; i < SUMMARY_SHARES; i++) {
		write_interval(json, summary_share_names[i], &summary->shares[i]);
	}
	json_end(json);
	write_counts(json, &summary->counts);
	if (summary->error) {
		json_text(json, "first_error", summary->error);
	}
	json_real(json, "driver_ns", summary->own_ns);
	json_object(json, "latencies");
	for (unsigned i = 0; i < BOARD_CALLS; i++) {
		if (summary->calls[i].n) {
			json_object(json, board_call_names[i]);
			write_call(json, &summary->calls[i]);
			json_end(json);
		}
	}
	json_end(json);
	json_array(json, "runs");
	for (unsigned r = 0; r < report->session->n_repeats; r++) {
		const struct session_run *run = session_run_of(report->session, h, r);

		json_object(json, NULL);
		write_counts(json, &run->counts);
		json_end(json);
	}
	json_end(json);
	json_end(json);
}

void bench_print_json(const struct bench_report *report, FILE *out)
{
	struct json json = { .out = out };

	json_object(&json, NULL);
	json_number(&json, "version", 1);
	write_place(&json, report);
	json_array(&json, "hierarchies");
	for (unsigned h = 0; h < report->options->n_candidates; h++) {
		write_candidate(&json, report, h);
	}
	json_end(&json);
	json_end(&json);
	putc('\n', out);
}
