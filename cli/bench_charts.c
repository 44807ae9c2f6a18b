#include "cli/bench_charts.h"

#include <math.h>
#include <string.h>

#include "cli/svg.h"

#define NAME_MAX_SHOWN 28 /* characters of a name in a picture */
#define SHOWN_BYTES (NAME_MAX_SHOWN + 4)
#define CHARACTER_WIDTH 10 /* of the widest fonts that browsers take */
#define BAR_HEIGHT 26
#define BAR_STEP 42
#define N_CURVE 64 /* points of a curve of percentiles */

static const char *name_of(const struct bench_report *report, unsigned h)
{
	return report->options->candidates[h].name;
}

static unsigned n_candidates(const struct bench_report *report)
{
	return report->options->n_candidates;
}

/* The name as far as a picture has room for it. */
static const char *shown_name(const struct bench_report *report, unsigned h, char *ret_text)
{
	const char *name = name_of(report, h);
	size_t n = strlen(name);

	snprintf(ret_text, SHOWN_BYTES, n > NAME_MAX_SHOWN ? "%.*s\xe2\x80\xa6" : "%.*s",
		 NAME_MAX_SHOWN - (n > NAME_MAX_SHOWN), name);
	return ret_text;
}

/* Room for all names left of bars, or right of lines. */
static double name_width(const struct bench_report *report)
{
	size_t n = 0;

	for (unsigned h = 0; h < n_candidates(report); h++) {
		size_t here = strlen(name_of(report, h));

		here = here < NAME_MAX_SHOWN ? here : NAME_MAX_SHOWN;
		n = here > n ? here : n;
	}
	return 20.0 + (double)(n * CHARACTER_WIDTH);
}

static void bar(FILE *out, double x, double y, double width, const char *class, const char *title)
{
	fprintf(out,
		"<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" class=\"%s\"><title>", x,
		y, width > 0 ? width : 0, BAR_HEIGHT, class);
	svg_text(out, title);
	fputs("</title></rect>\n", out);
}

/* --- requests a second --- */

static void rate_bar(const struct svg_plot *plot, const struct bench_report *report, unsigned h)
{
	const struct summary *summary = &report->summaries[h];
	const struct interval *rate = &summary->rate;
	double y = plot->top + 8 + h * BAR_STEP;
	double middle = y + BAR_HEIGHT / 2.0;
	double low = svg_x(plot, rate->low > 0 ? rate->low : 0);
	double high = svg_x(plot, rate->high);
	char shown[SHOWN_BYTES];
	char count[24];
	char title[160];

	bench_format_count(rate->mean, count, sizeof(count));
	snprintf(title, sizeof(title), "%s: %.0f requests a second (95 %%: %.0f to %.0f)",
		 name_of(report, h), rate->mean, rate->low, rate->high);
	svg_label(plot->out, plot->left - 10, middle + 5, "end", NULL, "%s",
		  shown_name(report, h, shown));
	bar(plot->out, plot->left, y, svg_x(plot, rate->mean) - plot->left, "bar", title);
	if (rate->known) {
		svg_line(plot->out, low, middle, high, middle, "whisker");
		svg_line(plot->out, low, middle - 6, low, middle + 6, "whisker");
		svg_line(plot->out, high, middle - 6, high, middle + 6, "whisker");
	} else {
		high = svg_x(plot, rate->mean);
	}
	if (h == 0) {
		svg_label(plot->out, high + 10, middle + 5, "start", "value", "%s", count);
	} else {
		svg_label(plot->out, high + 10, middle + 5, "start", "value", "%s · %.3g ×", count,
			  summary->ratio.mean);
	}
}

void bench_chart_rates(const struct bench_report *report, FILE *out)
{
	double height = 8 + BAR_STEP * n_candidates(report);
	struct svg_plot plot = {
		.out = out,
		.left = name_width(report),
		.top = 4,
		.right = SVG_WIDTH - 160,
		.bottom = 4 + height,
		.x = { .high = 1 },
	};

	for (unsigned h = 0; h < n_candidates(report); h++) {
		plot.x.high = fmax(plot.x.high, report->summaries[h].rate.high);
	}
	svg_begin(out, plot.bottom + 30, "Requests a second of every hierarchy");
	for (unsigned i = 0; i * svg_step(plot.x.high) <= plot.x.high; i++) {
		double x = i * svg_step(plot.x.high);
		char text[24];

		bench_format_count(x, text, sizeof(text));
		svg_tick_x(&plot, x, text);
	}
	for (unsigned h = 0; h < n_candidates(report); h++) {
		rate_bar(&plot, report, h);
	}
	svg_line(out, plot.left, plot.top, plot.left, plot.bottom, "axis");
	svg_end(out);
}

/* --- where keys were found --- */

static void share_bar(const struct svg_plot *plot, const struct bench_report *report, unsigned h)
{
	double y = plot->top + 8 + h * BAR_STEP;
	double x = plot->left;
	double whole = plot->right - plot->left;
	char shown[SHOWN_BYTES];

	svg_label(plot->out, plot->left - 10, y + BAR_HEIGHT / 2.0 + 5, "end", NULL, "%s",
		  shown_name(report, h, shown));
	for (unsigned i = 0; i < SUMMARY_SHARES; i++) {
		double share = report->summaries[h].shares[i].mean;
		char class[32];
		char title[160];

		if (share <= 0) {
			continue;
		}
		snprintf(class, sizeof(class), "layer l%u", i);
		snprintf(title, sizeof(title), "%s: %.2f %% %s%s", name_of(report, h), 100 * share,
			 i == SUMMARY_MISSED ? "" : "found in ", summary_share_names[i]);
		bar(plot->out, x, y, share * whole, class, title);
		if (share > 0.08) {
			snprintf(class, sizeof(class), "on l%u", i);
			svg_label(plot->out, x + share * whole / 2, y + BAR_HEIGHT / 2.0 + 5,
				  "middle", class, "%.1f %%", 100 * share);
		}
		x += share * whole;
	}
}

void bench_chart_shares(const struct bench_report *report, FILE *out)
{
	struct svg_plot plot = {
		.out = out,
		.left = name_width(report),
		.top = 34,
		.right = SVG_WIDTH - 32,
		.bottom = 34 + 8 + BAR_STEP * n_candidates(report),
		.x = { .high = 1 },
	};
	double x = plot.left;

	svg_begin(out, plot.bottom + 30, "Where keys were found, for every hierarchy");
	for (unsigned i = 0; i < SUMMARY_SHARES; i++) {
		fprintf(out,
			"<rect x=\"%.1f\" y=\"8\" width=\"14\" height=\"14\" class=\"layer "
			"l%u\"/>\n",
			x, i);
		svg_label(out, x + 20, 20, "start", NULL, "%s", summary_share_names[i]);
		x += 120;
	}
	for (unsigned percent = 0; percent <= 100; percent += 25) {
		char text[24];

		snprintf(text, sizeof(text), "%u %%", percent);
		svg_tick_x(&plot, percent / 100.0, text);
	}
	for (unsigned h = 0; h < n_candidates(report); h++) {
		share_bar(&plot, report, h);
	}
	svg_end(out);
}

/* --- latencies --- */

/* An axis in powers of ten that has all of these; false where there is none. */
static bool ns_axis(const double *ns, unsigned n, struct svg_axis *ret)
{
	double low = INFINITY;
	double high = 0;

	for (unsigned i = 0; i < n; i++) {
		if (ns[i] > 0) {
			low = fmin(low, ns[i]);
			high = fmax(high, ns[i]);
		}
	}
	if (high <= 0) {
		return false;
	}
	ret->log = true;
	ret->low = pow(10, floor(log10(low)));
	ret->high = pow(10, ceil(log10(high * 1.0001)));
	if (low >= 5 * ret->low) {
		ret->low *= 5;
	} else if (low >= 2 * ret->low) {
		ret->low *= 2;
	}
	if (high <= ret->high / 5) {
		ret->high /= 5;
	} else if (high <= ret->high / 2) {
		ret->high /= 2;
	}
	return true;
}

/*
 * Percentiles lie by how many calls are slower, 1 in 2 to 1 in 10000, in powers of ten: so
 * each further nine has as much room as the one before.
 */
struct curves {
	double slower[N_CURVE]; /* 1 / share of slower calls */
	double ns[CANDIDATES_MAX][N_CURVE];
	unsigned n_points;
};

static void make_curves(const struct bench_report *report, enum board_call call, struct curves *ret)
{
	ret->n_points = N_CURVE;
	for (unsigned i = 0; i < N_CURVE; i++) {
		ret->slower[i] = 2 * pow(5000, i / (double)(N_CURVE - 1));
	}
	for (unsigned h = 0; h < n_candidates(report); h++) {
		const struct summary_call *of_call = &report->summaries[h].calls[call];

		for (unsigned i = 0; i < N_CURVE; i++) {
			/* Of fewer calls there is no such percentile. */
			bool known = of_call->n && (double)of_call->n >= ret->slower[i];
			unsigned ppm = (unsigned)lround(1e6 - 1e6 / ret->slower[i]);

			ret->ns[h][i] = known ? (double)latency_ppm_ns(&of_call->all, ppm) : -1;
		}
	}
}

static void label_lines(const struct svg_plot *plot, const struct bench_report *report,
			const double *last_ns)
{
	struct svg_end_label labels[CANDIDATES_MAX];
	char shown[CANDIDATES_MAX][SHOWN_BYTES];
	unsigned n = 0;

	for (unsigned h = 0; h < n_candidates(report); h++) {
		if (last_ns[h] > 0) {
			labels[n++] = (struct svg_end_label){ shown_name(report, h, shown[h]), h,
							      svg_y(plot, last_ns[h]) };
		}
	}
	svg_end_labels(plot, labels, n);
}

static double last_known(const double *y, unsigned n)
{
	double last = -1;

	for (unsigned i = 0; i < n; i++) {
		last = y[i] > 0 ? y[i] : last;
	}
	return last;
}

static void mark_percentiles(const struct svg_plot *plot, const struct bench_report *report,
			     enum board_call call, unsigned h)
{
	const struct summary_call *of_call = &report->summaries[h].calls[call];

	for (unsigned p = 0; p + 1 < SUMMARY_PERCENTILES; p++) {
		double slower = 1e6 / (1e6 - summary_percentiles[p].ppm);
		double ns = (double)latency_ppm_ns(&of_call->all, summary_percentiles[p].ppm);
		char text[24];

		if ((double)of_call->n < slower || ns <= 0) {
			continue;
		}
		bench_format_ns(ns, text, sizeof(text));
		fprintf(plot->out,
			"<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" class=\"dot s%u\"><title>",
			svg_x(plot, slower), svg_y(plot, ns), h % SVG_SERIES);
		svg_text(plot->out, name_of(report, h));
		fprintf(plot->out, ", %s: %s</title></circle>\n", summary_percentiles[p].name,
			text);
	}
}

bool bench_chart_latencies(const struct bench_report *report, enum board_call call, FILE *out)
{
	struct svg_plot plot = {
		.out = out,
		.left = 70,
		.top = 12,
		.right = SVG_WIDTH - name_width(report),
		.bottom = 330,
		.x = { true, 2, 10000 },
	};
	struct curves curves;
	double last[CANDIDATES_MAX];
	char label[64];

	make_curves(report, call, &curves);
	if (!ns_axis(curves.ns[0], n_candidates(report) * N_CURVE, &plot.y)) {
		return false;
	}
	snprintf(label, sizeof(label), "Latency of %s by percentile", board_call_names[call]);
	svg_begin(out, plot.bottom + 44, label);
	svg_ticks_ns(&plot);
	for (unsigned p = 0; p + 1 < SUMMARY_PERCENTILES; p++) {
		svg_tick_x(&plot, 1e6 / (1e6 - summary_percentiles[p].ppm),
			   summary_percentiles[p].name);
	}
	svg_label(out, (plot.left + plot.right) / 2, plot.bottom + 38, "middle", "tick",
		  "this share of the calls was not slower");
	for (unsigned h = 0; h < n_candidates(report); h++) {
		last[h] = last_known(curves.ns[h], N_CURVE);
		svg_series(&plot, h, curves.slower, curves.ns[h], N_CURVE);
		mark_percentiles(&plot, report, call, h);
	}
	label_lines(&plot, report, last);
	svg_end(out);
	return true;
}

void bench_chart_time(const struct bench_report *report, unsigned ppm, const char *name, FILE *out)
{
	double seconds = (double)report->options->run_ns / 1e9;
	struct svg_plot plot = {
		.out = out,
		.left = 70,
		.top = 12,
		.right = SVG_WIDTH - name_width(report),
		.bottom = 230,
		.x = { false, 0, seconds },
	};
	double times[BOARD_SLICES];
	double ns[CANDIDATES_MAX][BOARD_SLICES];
	double last[CANDIDATES_MAX];
	char label[96];

	for (unsigned h = 0; h < n_candidates(report); h++) {
		for (unsigned i = 0; i < BOARD_SLICES; i++) {
			const struct latency_values *slice = &report->summaries[h].slices[i];

			times[i] = (i + 0.5) * seconds / BOARD_SLICES;
			ns[h][i] = latency_count(slice) ? (double)latency_ppm_ns(slice, ppm) : -1;
		}
		last[h] = last_known(ns[h], BOARD_SLICES);
	}
	if (!ns_axis(ns[0], n_candidates(report) * BOARD_SLICES, &plot.y)) {
		return;
	}
	snprintf(label, sizeof(label), "%s of all calls over time", name);
	svg_begin(out, plot.bottom + 44, label);
	svg_ticks_ns(&plot);
	for (unsigned i = 0; i * svg_step(seconds) <= seconds * 1.0001; i++) {
		char text[24];

		snprintf(text, sizeof(text), "%.3g s", i * svg_step(seconds));
		svg_tick_x(&plot, i * svg_step(seconds), text);
	}
	svg_label(out, (plot.left + plot.right) / 2, plot.bottom + 38, "middle", "tick",
		  "time since the measurement began");
	for (unsigned h = 0; h < n_candidates(report); h++) {
		svg_series(&plot, h, times, ns[h], BOARD_SLICES);
	}
	label_lines(&plot, report, last);
	svg_end(out);
}

/* --- of a simulation --- */

static void curve_axis(const struct bench_curves *curves, struct svg_axis *ret)
{
	*ret = (struct svg_axis){ true, INFINITY, 1 };
	for (unsigned i = 0; i < BENCH_CURVE_POLICIES; i++) {
		for (unsigned j = 0; j < BENCH_CURVE_SIZES; j++) {
			ret->low = fmin(ret->low, fmax(curves->bytes[i][j], 1));
			ret->high = fmax(ret->high, curves->bytes[i][j]);
		}
	}
	ret->low = fmin(ret->low, ret->high / 2);
}

void bench_chart_curves(const struct bench_curves *curves, FILE *out)
{
	struct svg_plot plot = {
		.out = out,
		.left = 70,
		.top = 20,
		.right = SVG_WIDTH - 110,
		.bottom = 320,
		.y = { false, 0, 1 },
	};
	struct svg_end_label labels[BENCH_CURVE_POLICIES];

	curve_axis(curves, &plot.x);
	svg_begin(out, plot.bottom + 44, "Misses over the size of the memory layer");
	svg_ticks_bytes(&plot);
	for (unsigned percent = 0; percent <= 100; percent += 25) {
		char text[24];

		snprintf(text, sizeof(text), "%u %%", percent);
		svg_tick_y(&plot, percent / 100.0, text);
	}
	svg_label(out, (plot.left + plot.right) / 2, plot.bottom + 38, "middle", "tick",
		  "size of the memory layer, overhead included");
	if ((double)curves->max_bytes > plot.x.low && (double)curves->max_bytes < plot.x.high) {
		double x = svg_x(&plot, (double)curves->max_bytes);

		svg_line(out, x, plot.top, x, plot.bottom, "axis");
		svg_label(out, x, plot.top - 6, "middle", "tick", "memory.max_bytes");
	}
	for (unsigned i = 0; i < BENCH_CURVE_POLICIES; i++) {
		svg_series(&plot, i + 1, curves->bytes[i], curves->misses[i], BENCH_CURVE_SIZES);
		labels[i] =
			(struct svg_end_label){ curves->policies[i]->name, i + 1,
						svg_y(&plot,
						      curves->misses[i][BENCH_CURVE_SIZES - 1]) };
	}
	svg_end_labels(&plot, labels, BENCH_CURVE_POLICIES);
	svg_end(out);
}
