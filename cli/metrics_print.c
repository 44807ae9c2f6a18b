#include "cli/metrics_print.h"

#include <inttypes.h>
#include <string.h>

#include "base/version.h"
#include "cli/rates.h"
#include "cli/stat_print.h"
#include "layers/layer.h"

/* Bounds of the histograms: powers of two, 64 ns to 4.3 s. */
#define BOUND_FIRST 6
#define BOUND_LAST 32

#define DEFAULT_DOMAIN "default"

/* What is being written, and the label of a domain that is not the default. */
struct page {
	FILE *out;
	const struct stats_snapshot *snapshot;
	char domain[2 * STATS_DOMAIN_MAX + 16]; /* `domain="..."`, or empty */
};

static void escape(char *ret_text, size_t n, const char *text)
{
	size_t used = 0;

	for (; *text && used + 3 < n; text++) {
		if (*text == '\\' || *text == '"' || *text == '\n') {
			ret_text[used++] = '\\';
		}
		ret_text[used++] = *text == '\n' ? 'n' : *text;
	}
	ret_text[used] = '\0';
}

static void print_head(const struct page *page, const char *name, const char *type,
		       const char *help)
{
	fprintf(page->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* `labels` without braces, or empty. */
static void print_labels(const struct page *page, const char *labels)
{
	const char *comma = *labels && *page->domain ? "," : "";

	if (*labels || *page->domain) {
		fprintf(page->out, "{%s%s%s}", labels, comma, page->domain);
	}
}

static void print_number(const struct page *page, const char *name, const char *labels, uint64_t n)
{
	fputs(name, page->out);
	print_labels(page, labels);
	fprintf(page->out, " %" PRIu64 "\n", n);
}

/* A counter or gauge at this offset of struct stats_layer_values. */
static void print_of_layers(const struct page *page, const char *name, const char *type,
			    const char *help, size_t offset)
{
	print_head(page, name, type, help);
	for (unsigned i = 0; i < STATS_LAYERS_MAX; i++) {
		const char *layer = (const char *)&page->snapshot->total.layers[i];
		char labels[32];
		uint64_t n;

		memcpy(&n, layer + offset, sizeof(n));
		snprintf(labels, sizeof(labels), "layer=\"%s\"", stats_layer_names[i]);
		print_number(page, name, labels, n);
	}
}

static void print_layers(const struct page *page)
{
#define COUNTER(name, help)                                                                        \
	print_of_layers(page, "tower_layer_" #name "_total", "counter", help,                      \
			offsetof(struct stats_layer_values, name));
#define GAUGE(name, help)                                                                          \
	print_of_layers(page, "tower_layer_" #name, "gauge", help,                                 \
			offsetof(struct stats_layer_values, name));
#include "layers/counters.def"
#undef COUNTER
#undef GAUGE
}

#define LATENCY "tower_layer_latency_seconds"

static void print_latency(const struct page *page, const char *labels,
			  const struct latency_values *latency)
{
	char with_bound[96];

	for (unsigned power = BOUND_FIRST; power <= BOUND_LAST; power++) {
		uint64_t bound = UINT64_C(1) << power;

		snprintf(with_bound, sizeof(with_bound), "%s,le=\"%.9g\"", labels,
			 (double)bound / 1e9);
		print_number(page, LATENCY "_bucket", with_bound,
			     latency_count_below(latency, bound));
	}
	snprintf(with_bound, sizeof(with_bound), "%s,le=\"+Inf\"", labels);
	print_number(page, LATENCY "_bucket", with_bound, latency_count(latency));
	fputs(LATENCY "_sum", page->out);
	print_labels(page, labels);
	fprintf(page->out, " %.9f\n", (double)latency->sum_ns / 1e9);
	print_number(page, LATENCY "_count", labels, latency_count(latency));
}

static void print_latencies(const struct page *page)
{
	print_head(page, LATENCY, "histogram",
		   "how long the layer took, of operations chosen at random");
	for (unsigned i = 0; i < STATS_LAYERS_MAX * STATS_OPERATIONS; i++) {
		unsigned layer = i / STATS_OPERATIONS;
		unsigned operation = i % STATS_OPERATIONS;
		char labels[64];

		snprintf(labels, sizeof(labels), "layer=\"%s\",operation=\"%s\"",
			 stats_layer_names[layer], stats_operation_names[operation]);
		print_latency(page, labels, &page->snapshot->total.latencies[layer][operation]);
	}
}

static void print_named(const struct page *page, const char *name, const char *help,
			const char *label, const char names[][STATS_NAME_MAX],
			const uint64_t *counts, unsigned n)
{
	print_head(page, name, "counter", help);
	for (unsigned i = 0; i < n; i++) {
		char text[STATS_NAME_MAX + 1] = { 0 };
		char escaped[2 * STATS_NAME_MAX + 4];
		char labels[sizeof(escaped) + 16];

		memcpy(text, names[i], STATS_NAME_MAX);
		escape(escaped, sizeof(escaped), text);
		snprintf(labels, sizeof(labels), "%s=\"%s\"", label, escaped);
		print_number(page, name, labels, counts[i]);
	}
}

static void print_one(const struct page *page, const char *name, const char *type, const char *help,
		      uint64_t n)
{
	print_head(page, name, type, help);
	print_number(page, name, "", n);
}

static void print_switch(const struct page *page, unsigned off)
{
	const char *name = "tower_switched_off";

	print_head(page, name, "gauge", "1 where an operator has switched it off");
	print_number(page, name, "what=\"memory\"", (off & LAYER_PRIVATE) != 0);
	print_number(page, name, "what=\"redis\"", (off & LAYER_SHARED) != 0);
	print_number(page, name, "what=\"tower\"", (off & LAYER_AUTHORITY) != 0);
}

void metrics_print(const struct stats_snapshot *snapshot, unsigned off, FILE *out)
{
	const struct stats_values *total = &snapshot->total;
	struct rates_saved saved = rates_saved(total);
	struct page page = { .out = out, .snapshot = snapshot };

	if (strcmp(snapshot->domain, DEFAULT_DOMAIN) != 0) {
		char escaped[2 * STATS_DOMAIN_MAX];

		escape(escaped, sizeof(escaped), snapshot->domain);
		snprintf(page.domain, sizeof(page.domain), "domain=\"%s\"", escaped);
	}
	print_layers(&page);
	print_latencies(&page);
	print_named(&page, "tower_calls_total", "calls of the program, by function", "function",
		    snapshot->calls, total->calls, snapshot->n_calls);
	print_named(&page, "tower_passed_total",
		    "calls that went to memcached as they were, by reason", "reason",
		    snapshot->reasons, total->passed, snapshot->n_reasons);
	print_one(&page, "tower_saved_round_trips_total", "counter",
		  "requests that memcached was spared by memory", saved.round_trips);
	print_one(&page, "tower_saved_bytes_total", "counter",
		  "bytes of values that memcached was spared by memory", saved.bytes);
	print_one(&page, "tower_processes", "gauge", "processes that run under tower now",
		  snapshot->n_processes);
	print_one(&page, "tower_redis_breaker_open", "gauge",
		  "1 where Redis failed and is left alone for a while", snapshot->redis_open);
	print_one(&page, "tower_redis_unmarked_keys", "gauge", "keys that Redis has yet to hear of",
		  snapshot->redis_unmarked);
	print_one(&page, "tower_redis_several_domains", "gauge",
		  "1 where other domains write to the same memcached and Redis",
		  snapshot->redis_several);
	print_switch(&page, off);
	print_head(&page, "tower_info", "gauge", "what runs");
	print_number(&page, "tower_info", "version=\"" TOWER_VERSION "\"", 1);
}
