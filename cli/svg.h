/*
 * svg.h - charts as SVG inside a page: a plot with axes, and the marks in it.
 *
 * Colours, fonts and line widths are the page's (cli/bench_style.c), by class: series 0, 1, ...
 * are s0, s1, ... of SVG_SERIES, then they begin again, dashed.  Failures stay in the
 * stream's error flag.
 */
#ifndef TOWER_CLI_SVG_H
#define TOWER_CLI_SVG_H

#include <stdbool.h>
#include <stdio.h>

#define SVG_WIDTH 820
#define SVG_SERIES 6

struct svg_axis {
	bool log; /* low > 0 then */
	double low;
	double high;
};

struct svg_plot {
	FILE *out;			 /* borrowed */
	double left, top, right, bottom; /* of the plot, in units of the picture */
	struct svg_axis x;
	struct svg_axis y;
};

/* Any text, safe in HTML and in attributes. */
void svg_text(FILE *out, const char *text);

void svg_begin(FILE *out, double height, const char *label);
void svg_end(FILE *out);

double svg_x(const struct svg_plot *plot, double x);
double svg_y(const struct svg_plot *plot, double y);

/* anchor: start, middle, end; class may be NULL. */
__attribute__((format(printf, 6, 7))) void svg_label(FILE *out, double x, double y,
						     const char *anchor, const char *class,
						     const char *format, ...);

void svg_line(FILE *out, double x1, double y1, double x2, double y2, const char *class);

/* A grid line and its label at a value of the axis. */
void svg_tick_x(const struct svg_plot *plot, double x, const char *label);
void svg_tick_y(const struct svg_plot *plot, double y, const char *label);

/* Powers of ten and what is between; labels are nanoseconds. */
void svg_ticks_ns(const struct svg_plot *plot);

/* The same along x, in bytes, by powers of two. */
void svg_ticks_bytes(const struct svg_plot *plot);

/* From 0, some five of a round size. */
double svg_step(double high);

/* A series: a line through n points; y below 0 is a gap.  Nothing of fewer than two. */
void svg_series(const struct svg_plot *plot, unsigned series, const double *x, const double *y,
		unsigned n);

/* Names at the right end of lines, pushed apart where they would lie on each other. */
struct svg_end_label {
	const char *text;
	unsigned series;
	double y; /* in units of the picture */
};
void svg_end_labels(const struct svg_plot *plot, struct svg_end_label *labels, unsigned n);

#endif
