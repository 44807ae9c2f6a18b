/* tower bench on a terminal: progress, and a table of what came out. */
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/version.h"
#include "cli/bench.h"

#define PROGRESS_NS (100 * CLOCK_NS_PER_MS)
#define NAME_WIDTH 24

void bench_format_ns(double ns, char *ret_text, size_t n)
{
	static const struct {
		double ns;
		const char *name;
	} units[] = { { 1e9, "s" }, { 1e6, "ms" }, { 1e3, "us" }, { 1, "ns" } };
	size_t i = 0;

	while (i + 1 < sizeof(units) / sizeof(units[0]) && ns < units[i].ns * 0.9995) {
		i++;
	}
	ns /= units[i].ns;
	snprintf(ret_text, n, ns < 99.95 && units[i].ns > 1 ? "%.3g %s" : "%.0f %s", ns,
		 units[i].name);
}

void bench_format_count(double count, char *ret_text, size_t n)
{
	if (count >= 999500) {
		snprintf(ret_text, n, "%.3g M", count / 1e6);
	} else if (count >= 9999.5) {
		snprintf(ret_text, n, count >= 99950 ? "%.0f k" : "%.3g k", count / 1e3);
	} else {
		snprintf(ret_text, n, "%.0f", count);
	}
}

/* --- progress --- */

static int64_t shown_ns;

void bench_progress(void *owner, const struct session_progress *progress)
{
	static const char *const phases[] = { "starting", "writing the keys", "warming up",
					      "resting",  "measuring",	      "clearing",
					      "ending" };
	int64_t now = clock_now_ns();
	char requests[24];

	if (!isatty(STDERR_FILENO) || (shown_ns && now - shown_ns < PROGRESS_NS)) {
		return;
	}
	shown_ns = now;
	bench_format_count((double)progress->requests, requests, sizeof(requests));
	fprintf(stderr, "\r\033[K[%u/%u] %s: %s, %.1f s", progress->run + 1, progress->n_runs,
		progress->candidate->name, phases[progress->phase],
		(double)progress->phase_ns / 1e9);
	if (progress->phase == BOARD_RUN) {
		fprintf(stderr, ", %s requests", requests);
	}
	if (progress->run > 0) {
		double per_run = (double)progress->session_ns / (progress->run + 0.5);

		fprintf(stderr, "; %.0f s of about %.0f s", (double)progress->session_ns / 1e9,
			per_run * progress->n_runs / 1e9);
	}
	fflush(stderr);
}

void bench_progress_end(void)
{
	if (shown_ns) {
		fputs("\r\033[K", stderr);
		fflush(stderr);
	}
}

/* --- the table --- */

static void print_interval_percent(const struct interval *interval, FILE *out)
{
	if (interval->known && interval->mean > 0) {
		fprintf(out, " %5.1f%%", 50 * (interval->high - interval->low) / interval->mean);
	} else {
		fprintf(out, " %6s", "");
	}
}

static void print_rates(const struct bench_report *report, FILE *out)
{
	fprintf(out, "%-*s %10s %6s %8s %-15s", NAME_WIDTH, "hierarchy", "requests/s", "+-",
		"times", "(95 %)");
	for (unsigned i = 0; i < SUMMARY_SHARES; i++) {
		fprintf(out, " %10s", summary_share_names[i]);
	}
	fputc('\n', out);
	for (unsigned h = 0; h < report->options->n_candidates; h++) {
		const struct summary *summary = &report->summaries[h];
		char rate[24];
		char range[48] = "";

		bench_format_count(summary->rate.mean, rate, sizeof(rate));
		if (summary->ratio.known && h > 0) {
			snprintf(range, sizeof(range), "(%.3g to %.3g)", summary->ratio.low,
				 summary->ratio.high);
		}
		fprintf(out, "%-*s %10s", NAME_WIDTH, report->options->candidates[h].name, rate);
		print_interval_percent(&summary->rate, out);
		fprintf(out, " %8.3g %-15s", summary->ratio.mean, range);
		for (unsigned i = 0; i < SUMMARY_SHARES; i++) {
			fprintf(out, " %8.2f %%", 100 * summary->shares[i].mean);
		}
		fputc('\n', out);
	}
}

static void print_latencies(const struct bench_report *report, enum board_call call, FILE *out)
{
	bool any = false;

	for (unsigned h = 0; h < report->options->n_candidates; h++) {
		any = any || report->summaries[h].calls[call].n > 0;
	}
	if (!any) {
		return;
	}
	fprintf(out, "\n%-*s %10s", NAME_WIDTH, board_call_names[call], "calls");
	for (unsigned p = 0; p < SUMMARY_PERCENTILES; p++) {
		fprintf(out, " %9s", summary_percentiles[p].name);
	}
	fputc('\n', out);
	for (unsigned h = 0; h < report->options->n_candidates; h++) {
		const struct summary_call *of_call = &report->summaries[h].calls[call];
		char text[24];

		bench_format_count((double)of_call->n, text, sizeof(text));
		fprintf(out, "%-*s %10s", NAME_WIDTH, report->options->candidates[h].name, text);
		for (unsigned p = 0; p < SUMMARY_PERCENTILES && of_call->n; p++) {
			bench_format_ns(
				(double)latency_ppm_ns(&of_call->all, summary_percentiles[p].ppm),
				text, sizeof(text));
			fprintf(out, " %9s", text);
		}
		fputc('\n', out);
	}
}

static void print_remarks(const struct bench_report *report, FILE *out)
{
	for (unsigned h = 0; h < report->options->n_candidates; h++) {
		const struct board_counts *counts = &report->summaries[h].counts;
		const char *name = report->options->candidates[h].name;
		const char *error = report->summaries[h].error;

		if (counts->errors) {
			fprintf(out, "%s: %" PRIu64 " calls failed%s%s\n", name, counts->errors,
				error ? ", the first: " : "", error ? error : "");
		}
		if (counts->stale) {
			fprintf(out,
				"%s: %" PRIu64 " of %" PRIu64 " values were older than what had "
				"been acknowledged, as coherence.mode = none permits\n",
				name, counts->stale, counts->hits);
		}
		if (counts->unserved) {
			fprintf(out,
				"%s: it did not keep up: %" PRIu64 " requests were due and not "
				"begun; latencies would be longer the longer it is measured\n",
				name, counts->unserved);
		}
	}
}

void bench_print_table(const struct bench_report *report, FILE *out)
{
	const struct session_options *options = report->options;
	const struct bench_place *place = &report->place;
	char text[BENCH_TEXT_MAX];

	workload_describe(options->workload, text, sizeof(text));
	fprintf(out, "workload   %s\n", text);
	fprintf(out,
		"run        %u x %u threads, %g s each after %g s of warm-up, %u repeats, seed "
		"%" PRIu64 "\n",
		options->n_processes, options->n_threads, (double)options->run_ns / 1e9,
		(double)options->warm_ns / 1e9, options->n_repeats, options->workload->seed);
	fprintf(out, "machine    %s, %u processors, load %.2f before, %s\n", place->processor,
		place->n_processors, place->load, place->kernel);
	fprintf(out, "versions   tower %s, libmemcached %s, memcached %s, redis %s\n\n",
		TOWER_VERSION, place->libmemcached[0] ? place->libmemcached : "unknown",
		place->memcached[0] ? place->memcached : "not ours",
		place->redis[0] ? place->redis : "not started");
	print_rates(report, out);
	for (unsigned call = 0; call < BOARD_CALLS; call++) {
		print_latencies(report, (enum board_call)call, out);
	}
	fputc('\n', out);
	print_remarks(report, out);
	fprintf(out,
		"times: requests a second to those of %s, with 95 %% confidence (Student's t over "
		"repeats);\nthen where keys that were asked for were found; latencies of %s\n",
		options->candidates[0].name,
		options->workload->rate > 0 ? "calls from when they were due"
					    : "calls from when they were made");
}
