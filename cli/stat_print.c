#include "cli/stat_print.h"

#include <inttypes.h>
#include <string.h>

#include "cli/numbers.h"
#include "cli/rates.h"
#include "cli/switch.h"

#define CELL_MAX NUMBERS_MAX
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

const struct stat_percentile stat_percentiles[STAT_PERCENTILES] = {
	{ "p50", 500 },
	{ "p90", 900 },
	{ "p99", 990 },
	{ "p99.9", 999 },
};

bool stat_wants_layer(const struct stat_filter *filter, unsigned layer)
{
	return !filter->layer || strcmp(filter->layer, stats_layer_names[layer]) == 0;
}

static void format_number(char *ret, uint64_t n, double seconds)
{
	double rate = seconds > 0 ? (double)n / seconds : 0;

	if (seconds > 0) {
		snprintf(ret, CELL_MAX, "%.*f", rate > 0 && rate < 99.95 ? 1 : 0, rate);
	} else {
		snprintf(ret, CELL_MAX, "%" PRIu64, n);
	}
}

/* `seconds`: the values are of so many, and the cells are rates; 0: what was counted. */
static void format_row(row ret, const struct stats_values *values, unsigned layer, double seconds)
{
	const struct stats_layer_values *counts = &values->layers[layer];
	uint64_t reads = rates_reads(values);
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
		format_number(ret[i], numbers[i], seconds);
	}
	snprintf(ret[COLUMN_LAYER], CELL_MAX, "%s", stats_layer_names[layer]);
	snprintf(ret[COLUMN_SHARE], CELL_MAX, "-");
	if (reads > 0) {
		snprintf(ret[COLUMN_SHARE], CELL_MAX, "%.1f%%",
			 100.0 * (double)counts->hits / (double)reads);
	}
	numbers_bytes(ret[COLUMN_BYTES], counts->bytes);
	if (seconds > 0) {
		ret[COLUMN_ITEMS][0] = '\0';
		ret[COLUMN_BYTES][0] = '\0';
	}
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

		format_row(cells, total, layer, 0);
		for (unsigned i = 0; i < N_COLUMNS; i++) {
			size_t n = strlen(cells[i]);

			ret_widths[i] = n > ret_widths[i] ? (unsigned)n : ret_widths[i];
		}
	}
}

static void print_cells(FILE *out, const char *const *cells, const unsigned *widths)
{
	unsigned n = N_COLUMNS;

	while (n > 1 && cells[n - 1][0] == '\0') {
		n--;
	}
	fprintf(out, INDENT "%-*s", (int)widths[0], cells[0]);
	for (unsigned i = 1; i < n; i++) {
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

/* Of the layers that are wanted and, where none is named, in use; `seconds` as format_row(). */
static void print_rows(const struct stats_values *values, const struct stats_values *rows,
		       double seconds, const struct stat_filter *filter, const unsigned *widths,
		       FILE *out)
{
	for (unsigned layer = 0; layer < STATS_LAYERS_MAX; layer++) {
		const char *cells[N_COLUMNS];
		row texts;

		if (!stat_wants_layer(filter, layer) ||
		    (!filter->layer && is_unused(values, layer))) {
			continue;
		}
		format_row(texts, rows, layer, seconds);
		for (unsigned i = 0; i < N_COLUMNS; i++) {
			cells[i] = texts[i];
		}
		print_cells(out, cells, widths);
	}
}

/* `before` as rates_difference(). */
static void print_layers(const struct stats_values *before, const struct stats_values *values,
			 double seconds, const struct stat_filter *filter, const unsigned *widths,
			 FILE *out)
{
	struct stats_values since;

	print_cells(out, titles, widths);
	print_rows(values, values, 0, filter, widths, out);
	if (seconds > 0) {
		fputs(INDENT "per second\n", out);
		rates_difference(before, values, &since);
		print_rows(values, &since, seconds, filter, widths, out);
	}
}

static void print_latency(const char *layer, const char *operation,
			  const struct latency_values *latency, FILE *out)
{
	char name[2 * CELL_MAX];

	snprintf(name, sizeof(name), "%s %s", layer, operation);
	fprintf(out, INDENT "%-16s", name);
	for (unsigned i = 0; i < STAT_PERCENTILES; i++) {
		char cell[CELL_MAX];

		numbers_ns(cell, latency_permille_ns(latency, stat_percentiles[i].permille));
		fprintf(out, INDENT "%8s", cell);
	}
	putc('\n', out);
}

static void print_latencies(const struct stats_values *values, const struct stat_filter *filter,
			    FILE *out)
{
	bool any = false;

	for (unsigned i = 0; i < STATS_LAYERS_MAX * STATS_OPERATIONS; i++) {
		unsigned layer = i / STATS_OPERATIONS;
		const struct latency_values *latency =
			&values->latencies[layer][i % STATS_OPERATIONS];

		if (!stat_wants_layer(filter, layer) || latency_count(latency) == 0) {
			continue;
		}
		if (!any) {
			fprintf(out, INDENT "%-16s", "latency");
			for (unsigned j = 0; j < STAT_PERCENTILES; j++) {
				fprintf(out, INDENT "%8s", stat_percentiles[j].name);
			}
			putc('\n', out);
			any = true;
		}
		print_latency(stats_layer_names[layer], stats_operation_names[i % STATS_OPERATIONS],
			      latency, out);
	}
}

static void print_saved(const struct stats_values *values, FILE *out)
{
	struct rates_saved saved = rates_saved(values);
	char bytes[CELL_MAX];

	if (saved.round_trips) {
		numbers_bytes(bytes, saved.bytes);
		fprintf(out,
			INDENT "memory saved %" PRIu64 " round trips to memcached, and %s%s of "
			       "values\n",
			saved.round_trips, bytes, saved.bytes < 1024 ? " bytes" : "");
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
		fprintf(out, INDENT INDENT "%-44.*s  %12" PRIu64 "\n", STATS_NAME_MAX, names[i],
			counts[i]);
	}
}

static void print_values(const struct stats_snapshot *snapshot, const struct stats_values *before,
			 const struct stats_values *values, const struct stat_filter *filter,
			 const unsigned *widths, FILE *out)
{
	print_layers(before, values, rates_seconds(filter->before, snapshot), filter, widths, out);
	print_latencies(values, filter, out);
	if (!filter->layer) {
		print_saved(values, out);
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

/* What programs that start with this configuration would be told. */
static void print_configuration(const struct config *config, FILE *out)
{
	static const enum config_key keys[] = {
		CONFIG_KEY_tower_layers,   CONFIG_KEY_memory_max_bytes, CONFIG_KEY_memory_policy,
		CONFIG_KEY_memory_ttl,	   CONFIG_KEY_redis_url,	CONFIG_KEY_redis_ttl,
		CONFIG_KEY_coherence_mode,
	};

	fputs("configuration ", out);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		bool of_redis = keys[i] == CONFIG_KEY_redis_url || keys[i] == CONFIG_KEY_redis_ttl;
		char text[CONFIG_TEXT_MAX];

		if (!of_redis || (config->tower_layers & CONFIG_LAYER_REDIS)) {
			config_describe(config, keys[i], text, sizeof(text));
			fprintf(out, INDENT "%s", text);
		}
	}
	fprintf(out, "  (%s)\n", config->file[0] ? config->file : "no file");
}

static void print_domain(const struct stats_snapshot *snapshot, const struct stat_filter *filter,
			 FILE *out)
{
	fprintf(out, "domain %s, %u %s, %s\n", snapshot->domain, snapshot->n_processes,
		snapshot->n_processes == 1 ? "process" : "processes", switch_text(filter->off));
	if (filter->config) {
		print_configuration(filter->config, out);
	}
	putc('\n', out);
}

/* Whether Redis has a part in this domain, as far as this command can know. */
static bool has_redis(const struct stats_snapshot *snapshot, const struct config *config)
{
	const struct stats_layer_values *redis = &snapshot->total.layers[STATS_REDIS];

	return snapshot->redis_generation || redis->hits || redis->misses || redis->errors ||
	       (config && (config->tower_layers & CONFIG_LAYER_REDIS));
}

static void print_redis(const struct stats_snapshot *snapshot, const struct config *config,
			FILE *out)
{
	if (snapshot->redis_open) {
		fprintf(out, INDENT "redis failed and is left alone for a while (breaker open)\n");
	} else if (has_redis(snapshot, config)) {
		fprintf(out, INDENT "redis breaker closed%s\n",
			snapshot->redis_unmarked ? "" : ", it has heard of every write");
	}
	if (snapshot->redis_several) {
		fprintf(out, INDENT "other domains write to the same memcached and Redis: nothing "
				    "goes back into memcached\n");
	}
	if (snapshot->redis_unmarked > 0) {
		fprintf(out, INDENT "keys that redis has yet to hear of  %" PRIu64 "\n",
			snapshot->redis_unmarked);
	}
}

void stat_print_table(const struct stats_snapshot *snapshot, const struct stat_filter *filter,
		      FILE *out)
{
	unsigned widths[N_COLUMNS];

	if (!filter->pid) {
		print_domain(snapshot, filter, out);
	}
	measure(&snapshot->total, widths);
	for (unsigned i = 0; i < snapshot->n_processes; i++) {
		const struct stats_process *process = &snapshot->processes[i];
		const struct stats_process *was = rates_process(filter->before, process->pid);

		if (filter->pid && process->pid != filter->pid) {
			continue;
		}
		fprintf(out, "process %d  ", (int)process->pid);
		print_command(process->command, out);
		putc('\n', out);
		print_values(snapshot, was ? &was->values : NULL, &process->values, filter, widths,
			     out);
		putc('\n', out);
	}
	if (filter->pid) {
		return;
	}
	fprintf(out, "total of domain %s, ended processes included\n", snapshot->domain);
	print_values(snapshot, filter->before ? &filter->before->total : NULL, &snapshot->total,
		     filter, widths, out);
	print_redis(snapshot, filter->config, out);
}
