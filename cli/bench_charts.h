/*
 * bench_charts.h - the charts of `tower bench --html`.
 */
#ifndef TOWER_CLI_BENCH_CHARTS_H
#define TOWER_CLI_BENCH_CHARTS_H

#include "cli/bench.h"

/* Requests a second, a bar for each hierarchy with its confidence interval. */
void bench_chart_rates(const struct bench_report *report, FILE *out);

/* Where keys were found, a bar of 100 % for each hierarchy. */
void bench_chart_shares(const struct bench_report *report, FILE *out);

/* Percentiles of the latency of a call, a line for each hierarchy; whether there was any. */
bool bench_chart_latencies(const struct bench_report *report, enum board_call call, FILE *out);

/* A percentile of all calls over the measured time, a line for each hierarchy. */
void bench_chart_time(const struct bench_report *report, unsigned ppm, const char *name, FILE *out);

/* Misses of policies over the size of the memory layer. */
void bench_chart_curves(const struct bench_curves *curves, FILE *out);

#endif
