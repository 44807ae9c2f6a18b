#include "cli/svg.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>

#include "cli/bench.h"

#define LABEL_HEIGHT 16

void svg_text(FILE *out, const char *text)
{
	for (const char *c = text; *c; c++) {
		switch (*c) {
		case '<':
			fputs("&lt;", out);
			break;
		case '>':
			fputs("&gt;", out);
			break;
		case '&':
			fputs("&amp;", out);
			break;
		case '"':
			fputs("&quot;", out);
			break;
		default:
			putc(*c, out);
		}
	}
}

void svg_begin(FILE *out, double height, const char *label)
{
	fprintf(out, "<svg viewBox=\"0 0 %d %.0f\" role=\"img\" aria-label=\"", SVG_WIDTH, height);
	svg_text(out, label);
	fputs("\">\n", out);
}

void svg_end(FILE *out)
{
	fputs("</svg>\n", out);
}

static double place(const struct svg_axis *axis, double value)
{
	if (axis->log) {
		return log(value / axis->low) / log(axis->high / axis->low);
	}
	return (value - axis->low) / (axis->high - axis->low);
}

double svg_x(const struct svg_plot *plot, double x)
{
	return plot->left + place(&plot->x, x) * (plot->right - plot->left);
}

double svg_y(const struct svg_plot *plot, double y)
{
	return plot->bottom - place(&plot->y, y) * (plot->bottom - plot->top);
}

void svg_label(FILE *out, double x, double y, const char *anchor, const char *class,
	       const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\"", x, y, anchor);
	if (class) {
		fprintf(out, " class=\"%s\"", class);
	}
	putc('>', out);
	svg_text(out, text);
	fputs("</text>\n", out);
}

void svg_line(FILE *out, double x1, double y1, double x2, double y2, const char *class)
{
	fprintf(out, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"%s\"/>\n", x1,
		y1, x2, y2, class);
}

void svg_tick_x(const struct svg_plot *plot, double x, const char *label)
{
	double at = svg_x(plot, x);

	svg_line(plot->out, at, plot->top, at, plot->bottom, "grid");
	svg_label(plot->out, at, plot->bottom + 18, "middle", "tick", "%s", label);
}

void svg_tick_y(const struct svg_plot *plot, double y, const char *label)
{
	double at = svg_y(plot, y);

	svg_line(plot->out, plot->left, at, plot->right, at, "grid");
	svg_label(plot->out, plot->left - 8, at + 4, "end", "tick", "%s", label);
}

void svg_ticks_ns(const struct svg_plot *plot)
{
	static const double parts[] = { 1, 2, 5 };
	/* More than two powers of ten have room for one line each. */
	unsigned n_parts = plot->y.high / plot->y.low > 100 ? 1 : 3;
	int power = (int)floor(log10(plot->y.low));

	for (; pow(10, power) <= plot->y.high; power++) {
		for (unsigned i = 0; i < n_parts; i++) {
			double ns = parts[i] * pow(10, power);
			char text[24];

			if (ns >= plot->y.low * 0.999 && ns <= plot->y.high * 1.001) {
				bench_format_ns(ns, text, sizeof(text));
				svg_tick_y(plot, ns, text);
			}
		}
	}
}

void svg_ticks_bytes(const struct svg_plot *plot)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	/* Some eight of them. */
	int step = (int)ceil(log2(plot->x.high / plot->x.low) / 8);

	step = step > 0 ? step : 1;
	for (int power = (int)ceil(log2(plot->x.low)); power < 50 && exp2(power) <= plot->x.high;
	     power += step) {
		char text[24];

		snprintf(text, sizeof(text), "%.0f %s", exp2(power % 10), units[power / 10]);
		svg_tick_x(plot, exp2(power), text);
	}
}

double svg_step(double high)
{
	double power = pow(10, floor(log10(high > 0 ? high : 1)));
	double parts = high / power;

	return power * (parts > 5 ? 2 : parts > 2 ? 1 : parts > 1 ? 0.5 : 0.2);
}

void svg_series(const struct svg_plot *plot, unsigned series, const double *x, const double *y,
		unsigned n)
{
	bool pen = false;
	unsigned n_known = 0;

	for (unsigned i = 0; i < n; i++) {
		n_known += y[i] >= 0;
	}
	if (n_known < 2) {
		return;
	}
	fprintf(plot->out, "<path class=\"line s%u%s\" d=\"", series % SVG_SERIES,
		series >= SVG_SERIES ? " dashed" : "");
	for (unsigned i = 0; i < n; i++) {
		if (y[i] >= 0) {
			fprintf(plot->out, "%c%.1f %.1f", pen ? 'L' : 'M', svg_x(plot, x[i]),
				svg_y(plot, y[i]));
		}
		pen = y[i] >= 0;
	}
	fputs("\"/>\n", plot->out);
}

static int by_place(const void *a, const void *b)
{
	const struct svg_end_label *first = a;
	const struct svg_end_label *second = b;

	return (first->y > second->y) - (first->y < second->y);
}

void svg_end_labels(const struct svg_plot *plot, struct svg_end_label *labels, unsigned n)
{
	double lowest = plot->bottom;

	qsort(labels, n, sizeof(*labels), by_place);
	for (unsigned i = 1; i < n; i++) {
		if (labels[i].y < labels[i - 1].y + LABEL_HEIGHT) {
			labels[i].y = labels[i - 1].y + LABEL_HEIGHT;
		}
	}
	for (unsigned i = n; i > 0; i--) {
		if (labels[i - 1].y > lowest) {
			labels[i - 1].y = lowest;
		}
		lowest = labels[i - 1].y - LABEL_HEIGHT;
	}
	for (unsigned i = 0; i < n; i++) {
		char class[32];

		snprintf(class, sizeof(class), "end t%u", labels[i].series % SVG_SERIES);
		svg_label(plot->out, plot->right + 8, labels[i].y + 4, "start", class, "%s",
			  labels[i].text);
	}
}
