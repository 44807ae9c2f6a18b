/* tower bench --html: one page, with everything that it needs in it. */
#include <inttypes.h>
#include <string.h>

#include "base/version.h"
#include "cli/bench.h"
#include "cli/bench_charts.h"
#include "cli/svg.h"

#define WIDE 1.25

static const char *name_of(const struct bench_report *report, unsigned h)
{
	return report->options->candidates[h].name;
}

/*
 * The hierarchy that certainly answers more requests than the first one, and of these the one
 * that answers most; the first one where nothing is certain, or where the rate was given.
 */
static unsigned best_of(const struct bench_report *report)
{
	unsigned best = 0;

	for (unsigned h = 1; h < report->options->n_candidates; h++) {
		const struct summary *summary = &report->summaries[h];

		if (summary->ratio.known && summary->ratio.low > 1 &&
		    summary->rate.mean > report->summaries[best].rate.mean) {
			best = h;
		}
	}
	return report->options->workload->rate > 0 ? 0 : best;
}

/* One number where it is one; a wide interval is not hidden behind its middle. */
static void write_times(const struct interval *ratio, FILE *out)
{
	if (ratio->high > WIDE * ratio->low) {
		fprintf(out, ": %.3g to %.3g times the requests of ", ratio->low, ratio->high);
	} else {
		fprintf(out, ": %.3g times the requests of ", ratio->mean);
	}
}

static void write_title(const struct bench_report *report, FILE *out)
{
	unsigned best = best_of(report);

	fputs("<h1>", out);
	if (best == 0) {
		fputs("What a hierarchy of caches brings", out);
	} else {
		svg_text(out, name_of(report, best));
		write_times(&report->summaries[best].ratio, out);
		svg_text(out, name_of(report, 0));
	}
	fputs("</h1>\n", out);
}

static void write_workload(const struct bench_report *report, FILE *out)
{
	const struct session_options *options = report->options;
	char text[BENCH_TEXT_MAX];

	workload_describe(options->workload, text, sizeof(text));
	fputs("<p>The same requests were made through libmemcached against each hierarchy of "
	      "caches: <em>plain</em> is the program with its memcached alone; "
	      "<em>memory</em> is a cache inside the program, <em>redis</em> one behind "
	      "memcached, both by tower. Every value was checked.</p>\n<p class=\"soft\">",
	      out);
	svg_text(out, text);
	fprintf(out,
		". %u process%s with %u thread%s each; %u runs of %g s for each hierarchy, in "
		"turn, each after %g s of warm-up.</p>\n",
		options->n_processes, options->n_processes == 1 ? "" : "es", options->n_threads,
		options->n_threads == 1 ? "" : "s", options->n_repeats,
		(double)options->run_ns / 1e9, (double)options->warm_ns / 1e9);
}

static void write_warnings(const struct bench_report *report, FILE *out)
{
	for (unsigned h = 0; h < report->options->n_candidates; h++) {
		const struct board_counts *counts = &report->summaries[h].counts;

		if (counts->errors) {
			fputs("<p class=\"bad\">", out);
			svg_text(out, name_of(report, h));
			fprintf(out, ": %" PRIu64 " calls failed", counts->errors);
			if (report->summaries[h].error) {
				fputs(", the first: ", out);
				svg_text(out, report->summaries[h].error);
			}
			fputs(".</p>\n", out);
		}
		if (counts->stale) {
			fputs("<p class=\"bad\">", out);
			svg_text(out, name_of(report, h));
			fprintf(out,
				": %" PRIu64 " of %" PRIu64 " values were older than what had "
				"been acknowledged, as coherence.mode = none permits.</p>\n",
				counts->stale, counts->hits);
		}
		if (counts->unserved) {
			fputs("<p class=\"bad\">", out);
			svg_text(out, name_of(report, h));
			fprintf(out,
				" did not keep up: %" PRIu64
				" requests were due and not begun. Its "
				"latencies would be longer the longer it is measured.</p>\n",
				counts->unserved);
		}
	}
}

static void write_cell_ns(const struct summary_call *call, unsigned percentile, FILE *out)
{
	char text[24] = "";

	if (call->n) {
		bench_format_ns(
			(double)latency_ppm_ns(&call->all, summary_percentiles[percentile].ppm),
			text, sizeof(text));
	}
	fprintf(out, "<td>%s</td>", text);
}

static void write_row(const struct bench_report *report, unsigned h, enum board_call call,
		      FILE *out)
{
	const struct summary *summary = &report->summaries[h];
	char text[24];

	bench_format_count(summary->rate.mean, text, sizeof(text));
	fputs("<tr><td>", out);
	svg_text(out, name_of(report, h));
	fprintf(out, "</td><td>%s</td>", text);
	if (h == 0) {
		fputs("<td>1</td>", out);
	} else if (summary->ratio.known) {
		fprintf(out, "<td>%.3g (%.3g to %.3g)</td>", summary->ratio.mean,
			summary->ratio.low, summary->ratio.high);
	} else {
		fprintf(out, "<td>%.3g</td>", summary->ratio.mean);
	}
	write_cell_ns(&summary->calls[call], 0, out);
	write_cell_ns(&summary->calls[call], 2, out);
	write_cell_ns(&summary->calls[call], 3, out);
	fprintf(out, "<td>%.2f %%</td></tr>\n", 100 * (1 - summary->shares[SUMMARY_MISSED].mean));
}

static void write_table(const struct bench_report *report, FILE *out)
{
	enum board_call call = summary_main_call(&report->summaries[0]);

	fprintf(out,
		"<div class=\"wide\"><table><thead><tr><th>hierarchy</th><th>requests/s</th>"
		"<th>times the first (95 %%)</th><th>%s p50</th><th>p99</th><th>p99.9</th>"
		"<th>keys found</th></tr></thead><tbody>\n",
		board_call_names[call]);
	for (unsigned h = 0; h < report->options->n_candidates; h++) {
		write_row(report, h, call, out);
	}
	fputs("</tbody></table></div>\n", out);
}

static void write_charts(const struct bench_report *report, FILE *out)
{
	const char *from = report->options->workload->rate > 0
				   ? "from when a request was due, so that a slow answer does not "
				     "hide those that it delayed"
				   : "of the call alone";

	fputs("<h2>Requests a second</h2>\n<figure>", out);
	bench_chart_rates(report, out);
	fputs("<figcaption>Means; the thin lines are 95 % confidence intervals (Student's t over "
	      "the runs). Where they overlap, do not conclude that one is faster.</figcaption>"
	      "</figure>\n<h2>Where keys were found</h2>\n<figure>",
	      out);
	bench_chart_shares(report, out);
	fputs("<figcaption>Of all keys that were asked for. What was missed a program has to get "
	      "elsewhere.</figcaption></figure>\n",
	      out);
	for (unsigned call = 0; call < BOARD_CALLS; call++) {
		bool any = false;

		for (unsigned h = 0; h < report->options->n_candidates; h++) {
			any = any || report->summaries[h].calls[call].n > 0;
		}
		if (any) {
			fprintf(out, "<h2>How long %s %s takes</h2>\n<figure>",
				call == BOARD_MGET ? "an" : "a", board_call_names[call]);
			bench_chart_latencies(report, (enum board_call)call, out);
			fprintf(out,
				"<figcaption>Lower is better; the scale is logarithmic, each step "
				"to the right is ten times rarer. Time %s.</figcaption></figure>\n",
				from);
		}
	}
	fputs("<h2>Latency over time: the median</h2>\n<figure>", out);
	bench_chart_time(report, 500000, "Median", out);
	fputs("</figure>\n<h2>Latency over time: 99 of 100</h2>\n<figure>", out);
	bench_chart_time(report, 990000, "99th percentile", out);
	fputs("<figcaption>Of all calls, over all runs of a hierarchy. Lines that climb or jump "
	      "say that the warm-up was too short, or that something else was "
	      "running.</figcaption></figure>\n",
	      out);
}

static void write_curves(const struct bench_curves *curves, FILE *out)
{
	if (!curves) {
		return;
	}
	fputs("<h2>What other sizes would miss</h2>\n<figure>", out);
	bench_chart_curves(curves, out);
	fputs("<figcaption>Simulated, not measured: the requests of the file through caches of "
	      "many "
	      "sizes, of which each policy keeps what it thinks will come again. opt knows the "
	      "future, and cannot be beaten. ",
	      out);
	if (curves->share < 1) {
		fprintf(out, "From a sample of %.2g %% of the keys. ", 100 * curves->share);
	}
	fputs("<code>tower sim</code> says more.</figcaption></figure>\n", out);
}

static void write_fact(const char *name, const char *text, FILE *out)
{
	fprintf(out, "<tr><td>%s</td><td>", name);
	svg_text(out, text);
	fputs("</td></tr>\n", out);
}

static void write_configurations(const struct bench_report *report, FILE *out)
{
	for (unsigned h = 0; h < report->options->n_candidates; h++) {
		char text[BENCH_TEXT_MAX];

		candidate_describe(&report->options->candidates[h], text, sizeof(text));
		fputs("<tr><td>", out);
		svg_text(out, name_of(report, h));
		fputs("</td><td>", out);
		if (text[0]) {
			fputs("<code>", out);
			svg_text(out, text);
			fputs("</code>", out);
		} else {
			fputs("nothing is preloaded", out);
		}
		fputs("</td></tr>\n", out);
	}
}

static void write_facts(const struct bench_report *report, FILE *out)
{
	const struct bench_place *place = &report->place;
	char text[BENCH_TEXT_MAX];

	fputs("<h2>How it was measured</h2>\n<table class=\"facts\"><tbody>\n", out);
	write_fact("began", place->began, out);
	snprintf(text, sizeof(text), "%s, %u processors, %.1f GiB of memory", place->processor,
		 place->n_processors, (double)place->memory_bytes / (1U << 30));
	write_fact("machine", text, out);
	snprintf(text, sizeof(text),
		 "%s; load %.2f before it began; %.1f %% of the time taken by other machines of "
		 "the same host",
		 place->kernel, place->load, 100 * place->steal);
	write_fact("system", text, out);
	snprintf(text, sizeof(text), "tower %s, libmemcached %s, memcached %s, redis %s",
		 TOWER_VERSION, place->libmemcached[0] ? place->libmemcached : "unknown",
		 place->memcached[0] ? place->memcached : "not started here",
		 place->redis[0] ? place->redis : "not started here");
	write_fact("versions", text, out);
	snprintf(text, sizeof(text), "%.0f ns a request, in the rates but not in the latencies",
		 report->summaries[0].own_ns);
	write_fact("the driver itself", text, out);
	write_configurations(report, out);
	fputs("<tr><td>command</td><td><code>", out);
	svg_text(out, place->command);
	fputs("</code></td></tr>\n</tbody></table>\n", out);
}

void bench_print_html(const struct bench_report *report, FILE *out)
{
	fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	      "<meta name=\"viewport\" content=\"width=device-width\">\n"
	      "<title>tower bench</title>\n<style>\n",
	      out);
	fputs(bench_style, out);
	fputs("</style>\n</head>\n<body>\n<main>\n", out);
	write_title(report, out);
	write_workload(report, out);
	write_warnings(report, out);
	write_table(report, out);
	write_charts(report, out);
	write_curves(report->curves, out);
	write_facts(report, out);
	fputs("</main>\n</body>\n</html>\n", out);
}
