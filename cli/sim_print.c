/* What tower sim says. */
#include <inttypes.h>
#include <string.h>

#include "cli/json.h"
#include "cli/sim.h"

/* --- JSON --- */

static void json_row(struct json *json, const char *key, const struct curve_row *row)
{
	json_object(json, key);
	json_text(json, "policy", row->policy->name);
	json_text(json, "size", row->size->text);
	json_number(json, "items", row->items);
	json_number(json, "bytes", row->bytes);
	json_real(json, "hit_ratio", row->hit_ratio);
	json_end(json);
}

static void json_hierarchy(struct json *json, const struct hierarchy *hierarchy)
{
	json_object(json, "hierarchy");
	json_array(json, "layers");
	for (size_t i = 0; i < hierarchy->n_layers; i++) {
		const struct hierarchy_layer *layer = &hierarchy->layers[i];

		json_object(json, NULL);
		json_text(json, "name", layer->name);
		json_number(json, "bytes", layer->max_bytes);
		json_real(json, "latency_ns", layer->latency_ns);
		json_real(json, "hit_share", layer->hit_share);
		json_end(json);
	}
	json_end(json);
	json_real(json, "origin_ns", hierarchy->origin_ns);
	json_real(json, "origin_share", hierarchy->origin_share);
	json_real(json, "mean_ns", hierarchy->mean_ns);
	json_end(json);
}

void sim_print_json(const struct sim_arguments *arguments, const struct sim_results *results,
		    FILE *out)
{
	const struct stream *stream = results->stream;
	struct json json = { .out = out };

	json_object(&json, NULL);
	json_number(&json, "version", 1);
	json_text(&json, "trace", arguments->trace);
	json_number(&json, "requests", stream->n_read);
	json_number(&json, "gets", stream->n_read_gets);
	json_real(&json, "keys", stream->n_keys / stream->share);
	json_real(&json, "share", stream->share);
	json_real(&json, "mean_value_bytes", stream->mean_bytes);
	json_array(&json, "rows");
	for (size_t i = 0; i < results->n_rows; i++) {
		json_row(&json, NULL, &results->rows[i]);
	}
	json_end(&json);
	if (results->recommended) {
		json_row(&json, "recommended", &results->recommended->row);
	}
	if (results->hierarchy->n_layers) {
		json_hierarchy(&json, results->hierarchy);
	}
	json_end(&json);
	putc('\n', out);
}

/* --- for people --- */

static const char *bytes_text(uint64_t n, char *ret, size_t n_ret)
{
	static const char *const units[] = { "", "K", "M", "G", "T" };
	double size = (double)n;
	size_t unit = 0;

	while (size >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		size /= 1024;
		unit++;
	}
	snprintf(ret, n_ret, size < 10 && unit ? "%.1f%s" : "%.0f%s", size, units[unit]);
	return ret;
}

static const char *time_text(double ns, char *ret, size_t n_ret)
{
	static const char *const units[] = { "ns", "us", "ms", "s" };
	size_t unit = 0;

	while (ns >= 1000 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		ns /= 1000;
		unit++;
	}
	snprintf(ret, n_ret, ns < 100 ? "%.1f %s" : "%.0f %s", ns, units[unit]);
	return ret;
}

static void print_head(const struct sim_arguments *arguments, const struct stream *stream,
		       FILE *out)
{
	fprintf(out, "%s: %" PRIu64 " requests, %" PRIu64 " gets, %.0f different keys",
		arguments->trace, stream->n_read, stream->n_read_gets,
		stream->n_keys / stream->share);
	if (stream->share < 1) {
		fprintf(out, " (from a sample of %.2f %% of them)", stream->share * 100);
	}
	fprintf(out,
		"\nvalues of %.0f bytes on average%s, keys of %u; sizes in bytes with all overhead "
		"of memory\n\n",
		stream->mean_bytes, stream->assumes ? " (not all known: --value-bytes)" : "",
		arguments->curve.key_bytes);
}

static const struct curve_row *row_at(const struct sim_arguments *arguments,
				      const struct sim_results *results, size_t policy, size_t size)
{
	return &results->rows[policy * arguments->curve.n_sizes + size];
}

static void print_table(const struct sim_arguments *arguments, const struct sim_results *results,
			FILE *out)
{
	const struct curve_options *curve = &arguments->curve;
	char text[32];

	fprintf(out, "%10s %12s %8s", "size", "values", "bytes");
	for (size_t policy = 0; policy < curve->n_policies; policy++) {
		fprintf(out, " %12s", curve->policies[policy]->name);
	}
	fputs("   hit ratio, %\n", out);
	for (size_t size = 0; size < curve->n_sizes; size++) {
		const struct curve_row *row = row_at(arguments, results, 0, size);

		fprintf(out, "%10s %12" PRIu64 " %8s", row->size->text, row->items,
			bytes_text(row->bytes, text, sizeof(text)));
		for (size_t policy = 0; policy < curve->n_policies; policy++) {
			fprintf(out, " %12.2f",
				row_at(arguments, results, policy, size)->hit_ratio * 100);
		}
		putc('\n', out);
	}
	putc('\n', out);
}

#define CHART_LINES 16
#define CHART_COLUMNS 6 /* of a size */

/* Misses of each policy: its letter, or * where several meet. */
static void print_chart(const struct sim_arguments *arguments, const struct sim_results *results,
			FILE *out)
{
	const struct curve_options *curve = &arguments->curve;
	static const char letters[] = "LFSOls";
	char lines[CHART_LINES + 1][CURVE_SIZES_MAX];

	memset(lines, ' ', sizeof(lines));
	for (size_t policy = 0; policy < curve->n_policies; policy++) {
		for (size_t size = 0; size < curve->n_sizes; size++) {
			double misses = 1 - row_at(arguments, results, policy, size)->hit_ratio;
			char *at = &lines[(size_t)(misses * CHART_LINES + 0.5)][size];
			size_t letter = 0;

			while (curve_policy_at(letter) != curve->policies[policy]) {
				letter++;
			}
			*at = *at == ' ' ? letters[letter] : '*';
		}
	}
	fputs("miss ratio, %:", out);
	for (size_t i = 0; curve_policy_at(i); i++) {
		for (size_t policy = 0; policy < curve->n_policies; policy++) {
			if (curve->policies[policy] == curve_policy_at(i)) {
				fprintf(out, "  %c %s", letters[i], curve_policy_at(i)->name);
			}
		}
	}
	fputs("  * several\n", out);
	for (size_t line = CHART_LINES + 1; line-- > 0;) {
		fprintf(out, "%5.0f |", 100.0 * (double)line / CHART_LINES);
		for (size_t size = 0; size < curve->n_sizes; size++) {
			fprintf(out, "%*c", CHART_COLUMNS, lines[line][size]);
		}
		putc('\n', out);
	}
	fputs("      +", out);
	for (size_t size = 0; size < curve->n_sizes; size++) {
		fputs("------", out);
	}
	fputs("\n       ", out);
	for (size_t size = 0; size < curve->n_sizes; size++) {
		fprintf(out, "%*s", CHART_COLUMNS, curve->sizes[size].text);
	}
	fputs("\n\n", out);
}

static void print_hierarchy(const struct hierarchy *hierarchy, FILE *out)
{
	char text[32];
	char other[32];

	fprintf(out, "%-10s %8s %12s %12s\n", "layer", "bytes", "asking it", "answers");
	for (size_t i = 0; i < hierarchy->n_layers; i++) {
		const struct hierarchy_layer *layer = &hierarchy->layers[i];

		fprintf(out, "%-10s %8s %12s %10.2f %%\n", layer->name,
			bytes_text(layer->max_bytes, text, sizeof(text)),
			time_text(layer->latency_ns, other, sizeof(other)), layer->hit_share * 100);
	}
	fprintf(out, "%-10s %8s %12s %10.2f %%\n", "origin", "",
		time_text(hierarchy->origin_ns, other, sizeof(other)),
		hierarchy->origin_share * 100);
	fprintf(out, "a get takes %s on average\n\n",
		time_text(hierarchy->mean_ns, text, sizeof(text)));
}

static void print_recommended(const struct curve_row *row, FILE *out)
{
	char text[32];

	fprintf(out,
		"recommended: %s with %s (%" PRIu64
		" values): %.2f %% hits, at least %.0f %% of those "
		"of the best cache above\n",
		row->policy->name, bytes_text(row->bytes, text, sizeof(text)), row->items,
		row->hit_ratio * 100, CURVE_GOOD_SHARE * 100);
}

void sim_print_text(const struct sim_arguments *arguments, const struct sim_results *results,
		    FILE *out)
{
	print_head(arguments, results->stream, out);
	print_table(arguments, results, out);
	if (arguments->curve.n_sizes > 1) {
		print_chart(arguments, results, out);
	}
	if (results->hierarchy->n_layers) {
		print_hierarchy(results->hierarchy, out);
	}
	if (results->recommended) {
		print_recommended(&results->recommended->row, out);
	}
}
