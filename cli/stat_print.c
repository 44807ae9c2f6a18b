#include "cli/stat_print.h"

#include <inttypes.h>
#include <string.h>

#include "cli/json.h"

#define CELL_MAX 24 /* holds any number */
#define CELL_MIN 7
#define INDENT "  "

enum column {
	COLUMN_LAYER,
	COLUMN_HITS,
	COLUMN_MISSES,
	COLUMN_SHARE,
	COLUMN_FILLS,
	COLUMN_REJECTED,
	COLUMN_EVICTIONS,
	COLUMN_EXPIRED,
	COLUMN_INVALIDATED,
	COLUMN_ERRORS,
	COLUMN_ITEMS,
	COLUMN_BYTES,
	N_COLUMNS
};

static const char *const titles[N_COLUMNS] = {
	"layer",   "hits",    "misses",	     "share",  "fills", "rejected",
	"evicted", "expired", "invalidated", "errors", "items", "bytes",
};

typedef char row[N_COLUMNS][CELL_MAX];

const struct stats_process *stat_find(const struct stats_snapshot *snapshot, pid_t pid)
{
	for (unsigned i = 0; i < snapshot->n_processes; i++) {
		if (snapshot->processes[i].pid == pid) {
			return &snapshot->processes[i];
		}
	}
	return NULL;
}

static bool wants_layer(const struct stat_filter *filter, unsigned layer)
{
	return !filter->layer || strcmp(filter->layer, stats_layer_names[layer]) == 0;
}

static void format_bytes(char *ret, uint64_t n)
{
	static const char units[] = " KMGTPE";
	double scaled = (double)n;
	unsigned unit = 0;

	while (scaled >= 1024 && units[unit + 1]) {
		scaled /= 1024;
		unit++;
	}
	if (unit == 0) {
		snprintf(ret, CELL_MAX, "%" PRIu64, n);
	} else {
		snprintf(ret, CELL_MAX, "%.1f%c", scaled, units[unit]);
	}
}

/*
 * Memory's misses go on to memcached, and Redis is only asked for what
 * memcached missed: so these are all reads, each counted once.
 */
static uint64_t reads_of(const struct stats_values *values)
{
	return values->layers[STATS_MEMORY].hits + values->layers[STATS_MEMCACHED].hits +
	       values->layers[STATS_MEMCACHED].misses;
}

static void format_row(row ret, const struct stats_values *values, unsigned layer)
{
	const struct stats_layer_values *counts = &values->layers[layer];
	uint64_t reads = reads_of(values);
	const uint64_t numbers[N_COLUMNS] = {
		[COLUMN_HITS] = counts->hits,
		[COLUMN_MISSES] = counts->misses,
		[COLUMN_FILLS] = counts->fills,
		[COLUMN_REJECTED] = counts->rejected,
		[COLUMN_EVICTIONS] = counts->evictions,
		[COLUMN_EXPIRED] = counts->expired,
		[COLUMN_INVALIDATED] = counts->invalidated,
		[COLUMN_ERRORS] = counts->errors,
		[COLUMN_ITEMS] = counts->items,
	};

	for (unsigned i = 0; i < N_COLUMNS; i++) {
		snprintf(ret[i], CELL_MAX, "%" PRIu64, numbers[i]);
	}
	snprintf(ret[COLUMN_LAYER], CELL_MAX, "%s", stats_layer_names[layer]);
	snprintf(ret[COLUMN_SHARE], CELL_MAX, "-");
	if (reads > 0) {
		snprintf(ret[COLUMN_SHARE], CELL_MAX, "%.1f%%",
			 100.0 * (double)counts->hits / (double)reads);
	}
	format_bytes(ret[COLUMN_BYTES], counts->bytes);
}

/* No process has a longer number than the total, so one width suits all. */
static void measure(const struct stats_values *total, unsigned *ret_widths)
{
	for (unsigned i = 0; i < N_COLUMNS; i++) {
		size_t n = strlen(titles[i]);

		ret_widths[i] = n > CELL_MIN ? (unsigned)n : CELL_MIN;
	}
	ret_widths[COLUMN_LAYER] = (unsigned)strlen(stats_layer_names[STATS_MEMCACHED]);
	for (unsigned layer = 0; layer < STATS_LAYERS_MAX; layer++) {
		row cells;

		format_row(cells, total, layer);
		for (unsigned i = 0; i < N_COLUMNS; i++) {
			size_t n = strlen(cells[i]);

			ret_widths[i] = n > ret_widths[i] ? (unsigned)n : ret_widths[i];
		}
	}
}

static void print_cells(FILE *out, const char *const *cells, const unsigned *widths)
{
	fprintf(out, INDENT "%-*s", (int)widths[0], cells[0]);
	for (unsigned i = 1; i < N_COLUMNS; i++) {
		fprintf(out, INDENT "%*s", (int)widths[i], cells[i]);
	}
	putc('\n', out);
}

/* A layer that is not in use would be a row of zeros. */
static bool is_unused(const struct stats_values *values, unsigned layer)
{
	static const struct stats_layer_values zero;

	return layer != STATS_MEMCACHED && memcmp(&values->layers[layer], &zero, sizeof(zero)) == 0;
}

static void print_layers(const struct stats_values *values, const struct stat_filter *filter,
			 const unsigned *widths, FILE *out)
{
	print_cells(out, titles, widths);
	for (unsigned layer = 0; layer < STATS_LAYERS_MAX; layer++) {
		const char *cells[N_COLUMNS];
		row texts;

		if (!wants_layer(filter, layer) || (!filter->layer && is_unused(values, layer))) {
			continue;
		}
		format_row(texts, values, layer);
		for (unsigned i = 0; i < N_COLUMNS; i++) {
			cells[i] = texts[i];
		}
		print_cells(out, cells, widths);
	}
}

static void print_named(const char *title, const char names[][STATS_NAME_MAX],
			const uint64_t *counts, unsigned n, FILE *out)
{
	bool any = false;

	for (unsigned i = 0; i < n; i++) {
		if (counts[i] == 0) {
			continue;
		}
		if (!any) {
			fprintf(out, INDENT "%s\n", title);
			any = true;
		}
		fprintf(out, INDENT INDENT "%-40.*s  %12" PRIu64 "\n", STATS_NAME_MAX, names[i],
			counts[i]);
	}
}

static void print_values(const struct stats_snapshot *snapshot, const struct stats_values *values,
			 const struct stat_filter *filter, const unsigned *widths, FILE *out)
{
	print_layers(values, filter, widths, out);
	if (!filter->layer) {
		print_named("calls", snapshot->calls, values->calls, snapshot->n_calls, out);
		print_named("passed on to memcached alone, because of", snapshot->reasons,
			    values->passed, snapshot->n_reasons, out);
	}
}

/* A process chooses its own name: nothing in it may steer a terminal. */
static void print_command(const char *command, FILE *out)
{
	for (; *command; command++) {
		putc(*command >= ' ' && *command <= '~' ? *command : '?', out);
	}
}

void stat_print_table(const struct stats_snapshot *snapshot, const struct stat_filter *filter,
		      FILE *out)
{
	unsigned widths[N_COLUMNS];

	measure(&snapshot->total, widths);
	for (unsigned i = 0; i < snapshot->n_processes; i++) {
		const struct stats_process *process = &snapshot->processes[i];

		if (filter->pid && process->pid != filter->pid) {
			continue;
		}
		fprintf(out, "process %d  ", (int)process->pid);
		print_command(process->command, out);
		putc('\n', out);
		print_values(snapshot, &process->values, filter, widths, out);
		putc('\n', out);
	}
	if (filter->pid) {
		return;
	}
	fprintf(out, "total of domain %s, ended processes included\n", snapshot->domain);
	print_values(snapshot, &snapshot->total, filter, widths, out);
	if (snapshot->redis_unmarked > 0) {
		fprintf(out, INDENT "keys that redis has yet to hear of  %" PRIu64 "\n",
			snapshot->redis_unmarked);
	}
}

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

static void write_values(struct json *json, const struct stats_snapshot *snapshot,
			 const struct stats_values *values, const struct stat_filter *filter)
{
	json_array(json, "layers");
	for (unsigned layer = 0; layer < STATS_LAYERS_MAX; layer++) {
		const struct stats_layer_values *counts = &values->layers[layer];

		if (!wants_layer(filter, layer)) {
			continue;
		}
		json_object(json, NULL);
		json_text(json, "name", stats_layer_names[layer]);
#define COUNTER(name, help) json_number(json, #name, counts->name);
#define GAUGE(name, help) json_number(json, #name, counts->name);
#include "layers/counters.def"
#undef COUNTER
#undef GAUGE
		json_end(json);
	}
	json_end(json);
	write_named(json, "calls", snapshot->calls, values->calls, snapshot->n_calls);
	write_named(json, "passed", snapshot->reasons, values->passed, snapshot->n_reasons);
}

void stat_print_json(const struct stats_snapshot *snapshot, const struct stat_filter *filter,
		     FILE *out)
{
	struct json json = { .out = out };

	json_object(&json, NULL);
	json_number(&json, "version", 1);
	json_text(&json, "domain", snapshot->domain);
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
	json_number(&json, "unmarked", snapshot->redis_unmarked);
	json_end(&json);
	json_end(&json);
	putc('\n', out);
}
