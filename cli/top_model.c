#include "cli/top_model.h"

#include <stdlib.h>
#include <string.h>

#include "cli/rates.h"

struct top *top_new(void)
{
	return calloc(1, sizeof(struct top));
}

void top_free(struct top **top)
{
	if (*top) {
		stats_snapshot_free(&(*top)->last);
		free((*top)->processes);
		free(*top);
		*top = NULL;
	}
}

/* `values` are differences.  What memcached missed was answered by Redis or by nobody. */
static struct top_reads reads_of(const struct stats_values *values, double seconds)
{
	uint64_t n[TOP_ANSWERS];
	uint64_t missed = values->layers[STATS_MEMCACHED].misses;
	uint64_t all = 0;
	struct top_reads reads = { 0 };

	for (unsigned i = 0; i < STATS_LAYERS_MAX; i++) {
		n[i] = values->layers[i].hits;
	}
	/* Of moments that differ a little: no fewer than none. */
	n[TOP_NOBODY] = missed > n[STATS_REDIS] ? missed - n[STATS_REDIS] : 0;
	for (unsigned i = 0; i < TOP_ANSWERS; i++) {
		all += n[i];
	}
	for (unsigned i = 0; i < TOP_ANSWERS && all; i++) {
		reads.shares[i] = (double)n[i] / (double)all;
	}
	reads.per_s = (double)all / seconds;
	return reads;
}

static struct top_latency latency_of(const struct latency_values *gets)
{
	return (struct top_latency){ latency_count(gets), latency_permille_ns(gets, 500),
				     latency_permille_ns(gets, 990) };
}

static void take_history(struct top *top)
{
	if (top->n_history == TOP_HISTORY) {
		for (unsigned i = 0; i < TOP_ANSWERS; i++) {
			memmove(top->history[i], top->history[i] + 1,
				(TOP_HISTORY - 1) * sizeof(top->history[i][0]));
		}
		top->n_history--;
	}
	for (unsigned i = 0; i < TOP_ANSWERS; i++) {
		top->history[i][top->n_history] = top->reads.per_s * top->reads.shares[i];
	}
	top->n_history++;
}

static void take_latencies(struct top *top, const struct stats_values *total)
{
	static const struct stats_values nothing;
	const struct stats_values *oldest = top->n_window ? &top->window[0] : total;
	struct stats_values since;

	rates_difference(oldest, total, &since);
	for (unsigned i = 0; i < STATS_LAYERS_MAX; i++) {
		const struct stats_values *of = top->n_window ? &since : &nothing;

		top->latencies[i] = latency_of(&of->latencies[i][STATS_GET]);
	}
	if (top->n_window == TOP_WINDOW) {
		memmove(&top->window[0], &top->window[1],
			(TOP_WINDOW - 1) * sizeof(top->window[0]));
		top->n_window--;
	}
	top->window[top->n_window++] = *total;
}

static void take_rates(struct top *top, const struct stats_snapshot *now, double seconds)
{
	const struct stats_layer_values *memory;
	struct stats_values since;
	uint64_t passed = 0;

	rates_difference(&top->last->total, &now->total, &since);
	memory = &since.layers[STATS_MEMORY];
	top->reads = reads_of(&since, seconds);
	for (unsigned i = 0; i < STATS_LAYERS_MAX; i++) {
		top->fills_per_s[i] = (double)since.layers[i].fills / seconds;
		top->errors_per_s[i] = (double)since.layers[i].errors / seconds;
	}
	for (unsigned i = 0; i < now->n_reasons; i++) {
		passed += since.passed[i];
	}
	top->evictions_per_s = (double)memory->evictions / seconds;
	top->invalidated_per_s = (double)memory->invalidated / seconds;
	top->expired_per_s = (double)memory->expired / seconds;
	top->rejected_per_s = (double)memory->rejected / seconds;
	top->passed_per_s = (double)passed / seconds;
	top->saved_per_s = (double)rates_saved(&since).round_trips / seconds;
	take_history(top);
}

static void take_process(struct top_process *row, const struct stats_process *process,
			 const struct stats_snapshot *before, double seconds)
{
	const struct stats_process *was = rates_process(before, process->pid);
	struct stats_values since;

	rates_difference(was ? &was->values : NULL, &process->values, &since);
	row->pid = process->pid;
	row->reads = seconds > 0 ? reads_of(&since, seconds) : (struct top_reads){ 0 };
	row->items = since.layers[STATS_MEMORY].items;
	row->bytes = since.layers[STATS_MEMORY].bytes;
	/* A process chooses its own name: nothing in it may steer a terminal. */
	for (unsigned i = 0; i < STATS_COMMAND_MAX; i++) {
		char c = process->command[i];

		row->command[i] = c == '\0' || (c >= ' ' && c <= '~') ? c : '?';
	}
	row->command[STATS_COMMAND_MAX - 1] = '\0';
}

bool top_take(struct top *top, struct stats_snapshot *snapshot)
{
	double seconds = rates_seconds(top->last, snapshot);
	struct top_process *rows = calloc(snapshot->n_processes + 1, sizeof(*rows));

	if (rows == NULL) {
		stats_snapshot_free(&snapshot);
		return false;
	}
	for (unsigned i = 0; i < snapshot->n_processes; i++) {
		take_process(&rows[i], &snapshot->processes[i], top->last, seconds);
	}
	top->has_rates = seconds > 0;
	if (top->has_rates) {
		take_rates(top, snapshot, seconds);
	}
	take_latencies(top, &snapshot->total);
	free(top->processes);
	top->processes = rows;
	top->n_processes = snapshot->n_processes;
	stats_snapshot_free(&top->last);
	top->last = snapshot;
	top_sort(top);
	return true;
}

/* --- order --- */

static int compare_numbers(double a, double b)
{
	return (a < b) - (a > b);
}

/* Most first; pids and commands from the least. */
static int compare(const struct top_process *a, const struct top_process *b, enum top_sort sort)
{
	switch (sort) {
	case TOP_BY_READS:
		return compare_numbers(a->reads.per_s, b->reads.per_s);
	case TOP_BY_MEMORY:
		return compare_numbers(a->reads.shares[STATS_MEMORY],
				       b->reads.shares[STATS_MEMORY]);
	case TOP_BY_BYTES:
		return compare_numbers((double)a->bytes, (double)b->bytes);
	case TOP_BY_COMMAND:
		return strcmp(a->command, b->command);
	default:
		return 0;
	}
}

static int compare_rows(const void *left, const void *right, void *owner)
{
	const struct top_process *a = left;
	const struct top_process *b = right;
	const struct top *top = owner;
	int order = compare(a, b, top->sort);

	if (order == 0) {
		order = (a->pid > b->pid) - (a->pid < b->pid);
	}
	return top->reversed ? -order : order;
}

void top_sort(struct top *top)
{
	if (top->n_processes) {
		qsort_r(top->processes, top->n_processes, sizeof(top->processes[0]), compare_rows,
			top);
	}
}

void top_scroll(struct top *top, int by, unsigned rows)
{
	unsigned most = top->n_processes > rows ? top->n_processes - rows : 0;
	int64_t to = (int64_t)top->scrolled + by;

	top->scrolled = to < 0 ? 0 : to > most ? most : (unsigned)to;
}
