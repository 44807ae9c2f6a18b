#include "cli/explain_print.h"

#include <inttypes.h>
#include <string.h>
#include <sys/wait.h>

#include "cli/numbers.h"
#include "cli/rates.h"
#include "cli/served.h"
#include "cli/switch.h"
#include "layers/layer.h"

#define WIDTH 100

/* What the names in the statistics mean, in words. */
struct words {
	const char *name;
	const char *what;
	const char *why;
};

static const struct words calls[] = {
#define CALL(name, kind, does) { #name, does, #kind },
#include "shim/api.def"
};

static const struct words reasons[] = {
#define REASON(name, kinds, what, why) { #name, what, why },
#include "shim/reasons.def"
};

static const struct words *find(const struct words *words, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (strncmp(words[i].name, name, STATS_NAME_MAX) == 0) {
			return &words[i];
		}
	}
	return NULL;
}

/* The text in lines of WIDTH that begin with `indent` blanks; the first is there already. */
static void print_wrapped(const char *text, unsigned indent, FILE *out)
{
	unsigned column = indent;

	while (*text) {
		unsigned n = (unsigned)strcspn(text, " ");

		if (column > indent && column + n > WIDTH) {
			fprintf(out, "\n%*s", (int)indent, "");
			column = indent;
		}
		fwrite(text, 1, n, out);
		column += n + 1;
		text += n;
		if (*text == ' ') {
			text++;
			if (column + strcspn(text, " ") <= WIDTH) {
				putc(' ', out);
			}
		}
	}
	putc('\n', out);
}

static void print_title(const char *title, FILE *out)
{
	fprintf(out, "\n%s\n", title);
}

static void print_run(const struct explain_run *run, FILE *out)
{
	fputs("tower explain:", out);
	for (char *const *word = run->command; *word; word++) {
		putc(' ', out);
		for (const char *c = *word; *c; c++) {
			putc(*c >= ' ' && *c <= '~' ? *c : '?', out);
		}
	}
	if (WIFSIGNALED(run->status)) {
		fprintf(out, "\nended by signal %d after %.2f s\n", WTERMSIG(run->status),
			run->seconds);
	} else {
		fprintf(out, "\nended with status %d after %.2f s\n", WEXITSTATUS(run->status),
			run->seconds);
	}
	if (run->off) {
		fprintf(out, "%s in this domain (tower disable)\n", switch_text(run->off));
	}
}

/* --- who answered --- */

static void print_answer(const char *name, uint64_t n, uint64_t reads,
			 const struct latency_values *gets, FILE *out)
{
	fprintf(out, "  %-10s %12" PRIu64 "  %5.1f%%", name, n,
		reads ? 100.0 * (double)n / (double)reads : 0.0);
	if (gets && latency_count(gets)) {
		char p50[NUMBERS_MAX];
		char p99[NUMBERS_MAX];

		numbers_ns(p50, latency_permille_ns(gets, 500));
		numbers_ns(p99, latency_permille_ns(gets, 990));
		fprintf(out, "   half of the gets within %s, 99 of 100 within %s", p50, p99);
	}
	putc('\n', out);
}

static uint64_t not_redis(const struct stats_values *values)
{
	uint64_t missed = values->layers[STATS_MEMCACHED].misses;
	uint64_t redis = values->layers[STATS_REDIS].hits;

	return missed > redis ? missed - redis : 0;
}

static bool has_redis(const struct config *config)
{
	return config->tower_layers & CONFIG_LAYER_REDIS;
}

static void print_answers(const struct stats_values *values, const struct config *config, FILE *out)
{
	uint64_t reads = rates_reads(values);

	print_title("Who answered the reads (keys, each once)", out);
	for (unsigned i = 0; i < STATS_LAYERS_MAX; i++) {
		if (i != STATS_REDIS || has_redis(config)) {
			print_answer(stats_layer_names[i], values->layers[i].hits, reads,
				     &values->latencies[i][STATS_GET], out);
		}
	}
	print_answer("nobody", not_redis(values), reads, NULL, out);
}

/* --- what that saved --- */

/* The mean of what was timed; 0 where nothing was. */
static double mean_ns(const struct stats_values *values, unsigned layer, unsigned operation)
{
	const struct latency_values *of = &values->latencies[layer][operation];
	uint64_t n = latency_count(of);

	return n ? (double)of->sum_ns / (double)n : 0;
}

/* By how much memory is faster than memcached; 0 where that is not known. */
static double gain_ns(const struct stats_values *values, unsigned operation)
{
	double there = mean_ns(values, STATS_MEMCACHED, operation);
	double gain = there - mean_ns(values, STATS_MEMORY, operation);

	return there > 0 && gain > 0 ? gain : 0;
}

static void print_saved(const struct stats_values *values, const struct explain_run *run, FILE *out)
{
	struct rates_saved saved = rates_saved(values);
	uint64_t batches = values->layers[STATS_MEMORY].batches;
	uint64_t single = saved.round_trips - batches;
	double get_ns = gain_ns(values, STATS_GET);
	double mget_ns = gain_ns(values, STATS_MGET);
	char bytes[NUMBERS_MAX];
	char time[NUMBERS_MAX];

	numbers_bytes(bytes, saved.bytes);
	print_title("What memory saved", out);
	fprintf(out, "  %" PRIu64 " round trips to memcached, %s%s of values\n", saved.round_trips,
		bytes, saved.bytes < 1024 ? " bytes" : "");
	if (saved.round_trips == 0) {
		return;
	}
	if ((single && get_ns <= 0) || (batches && mget_ns <= 0)) {
		fputs("  How long they would have taken is not known: too few others were timed.\n",
		      out);
		return;
	}
	numbers_ns(time, (uint64_t)((double)single * get_ns + (double)batches * mget_ns));
	fprintf(out, "  about %s of %.2f s, going by the mean times of those that were timed\n",
		time, run->seconds);
}

/* --- what would have been saved --- */

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void print_memory_bounds(const struct stats_values *values, const struct config *config,
				FILE *out)
{
	const struct stats_layer_values *memory = &values->layers[STATS_MEMORY];
	char budget[CONFIG_TEXT_MAX];
	char ttl[CONFIG_TEXT_MAX];

	config_describe(config, CONFIG_KEY_memory_max_bytes, budget, sizeof(budget));
	config_describe(config, CONFIG_KEY_memory_ttl, ttl, sizeof(ttl));
	if (memory->evictions == 0) {
		fprintf(out, "  More memory (%s): nothing. It dropped no value for want of room.\n",
			budget);
	} else {
		fprintf(out,
			"  Memory for everything (%s): about %" PRIu64 " reads, at most %" PRIu64
			".\n"
			"    It dropped %" PRIu64
			" values for want of room. So many reads found one deeper that had\n"
			"    neither ended nor been written meanwhile (of the last %" PRIu64
			" in each process).\n",
			budget, memory->ghost_hits, least(memory->evictions, memory->misses),
			memory->evictions, config->stats_remember_evicted);
	}
	if (memory->expired == 0) {
		fprintf(out, "  A longer stay in memory (%s): nothing. No value ended there.\n",
			ttl);
	} else {
		fprintf(out,
			"  A longer stay in memory (%s): at most %" PRIu64 " reads.\n"
			"    %" PRIu64 " values ended, by this or their own expiry. The price is "
			"how late it sees\n"
			"    what others write without tower, or on other hosts.\n",
			ttl, least(memory->expired, memory->misses), memory->expired);
	}
}

static void print_redis_bound(const struct stats_values *values, const struct config *config,
			      FILE *out)
{
	uint64_t missed = values->layers[STATS_MEMCACHED].misses;

	if (has_redis(config)) {
		fprintf(out,
			"  Redis beneath memcached answered %" PRIu64 " of %" PRIu64
			" reads that memcached missed,\n"
			"    and put %" PRIu64 " of its values back into memcached.\n",
			values->layers[STATS_REDIS].hits, missed,
			values->layers[STATS_REDIS].promotions);
	} else if (missed == 0) {
		fputs("  Redis beneath memcached: nothing. memcached had all that was asked.\n",
		      out);
	} else {
		fprintf(out,
			"  Redis beneath memcached: %" PRIu64 " to %" PRIu64 " reads.\n"
			"    Of all that memcached missed so many asked for a value that the same "
			"process had read or\n"
			"    written before, and that had neither ended nor been written since: "
			"memcached "
			"had evicted it.\n"
			"    What others had written is not known; what nobody has is missed with "
			"Redis, too.\n",
			values->layers[STATS_MEMCACHED].ghost_hits, missed);
	}
}

static void print_bounds(const struct stats_values *values, const struct config *config, FILE *out)
{
	print_title("What would have saved more", out);
	if (config->tower_layers & CONFIG_LAYER_MEMORY) {
		print_memory_bounds(values, config, out);
	}
	print_redis_bound(values, config, out);
}

static void print_losses(const struct stats_values *values, FILE *out)
{
	const struct stats_layer_values *memory = &values->layers[STATS_MEMORY];

	if (memory->invalidated) {
		fprintf(out,
			"  (%" PRIu64 " values left memory because they were written or flushed: "
			"nothing helps against that.)\n",
			memory->invalidated);
	}
	if (memory->rejected) {
		fprintf(out,
			"  (%" PRIu64 " values were not kept in memory: too large "
			"(memory.max_item_bytes), ended within a second,\n"
			"  or written while they were read.)\n",
			memory->rejected);
	}
	for (unsigned i = STATS_MEMCACHED; i < STATS_LAYERS_MAX; i++) {
		if (values->layers[i].errors) {
			fprintf(out,
				"  (%" PRIu64 " operations on %s failed, %" PRIu64
				" of them by their time limit.)\n",
				values->layers[i].errors, stats_layer_names[i],
				values->layers[i].timeouts);
		}
	}
}

/* --- what was called --- */

static void print_reasons(const struct stats_snapshot *snapshot, FILE *out)
{
	bool any = false;

	print_title("What went to memcached as it was", out);
	for (unsigned i = 0; i < snapshot->n_reasons; i++) {
		char name[STATS_NAME_MAX + 1] = { 0 };
		const struct words *words;

		if (snapshot->total.passed[i] == 0) {
			continue;
		}
		memcpy(name, snapshot->reasons[i], STATS_NAME_MAX);
		words = find(reasons, sizeof(reasons) / sizeof(reasons[0]), name);
		fprintf(out, "  %-20s %12" PRIu64 "  ", name, snapshot->total.passed[i]);
		if (words) {
			print_wrapped(words->what, 37, out);
			fprintf(out, "%37swhy: ", "");
			print_wrapped(words->why, 42, out);
		} else {
			putc('\n', out);
		}
		any = true;
	}
	if (!any) {
		fputs("  nothing\n", out);
	}
}

/* Behind the function's own line: its keys, by who answered. */
static void print_served(const struct served *served, const struct config *config, FILE *out)
{
	static const unsigned bits[] = { CONFIG_LAYER_MEMORY, CONFIG_LAYER_MEMCACHED,
					 CONFIG_LAYER_REDIS };

	fprintf(out, "    %" PRIu64 " keys:", served->keys);
	for (unsigned i = 0; i < STATS_LAYERS_MAX; i++) {
		if (served->layers[i] || (config->tower_layers & bits[i])) {
			fprintf(out, " %s %" PRIu64 ",", stats_layer_names[i], served->layers[i]);
		}
	}
	fprintf(out, " nowhere %" PRIu64 ", passed on %" PRIu64, served->nowhere, served->passed);
	if (served->failed) {
		fprintf(out, ", failed %" PRIu64, served->failed);
	}
	if (served->unknown) {
		fprintf(out, ", not fetched %" PRIu64, served->unknown);
	}
	putc('\n', out);
}

static void print_calls(const struct stats_snapshot *snapshot, const struct config *config,
			FILE *out)
{
	static const char same[] = "the same";
	const char *before = "";

	print_title("Functions called, what tower does there, and where their keys were found",
		    out);
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		bool is_same = strncmp(calls[i].what, same, strlen(same)) == 0;

		before = is_same ? before : calls[i].what;
		for (unsigned j = 0; j < snapshot->n_calls; j++) {
			struct served served;

			if (snapshot->total.calls[j] == 0 ||
			    strncmp(calls[i].name, snapshot->calls[j], STATS_NAME_MAX) != 0) {
				continue;
			}
			fprintf(out, "  %-44s %12" PRIu64 "  %s%s\n", calls[i].name,
				snapshot->total.calls[j], before,
				is_same ? calls[i].what + strlen(same) : "");
			if (served_of(snapshot, &snapshot->total, j, &served)) {
				print_served(&served, config, out);
			}
		}
	}
}

static bool saw_calls(const struct stats_snapshot *snapshot)
{
	for (unsigned i = 0; i < snapshot->n_calls; i++) {
		if (snapshot->total.calls[i]) {
			return true;
		}
	}
	return false;
}

void explain_print(const struct stats_snapshot *snapshot, const struct config *config,
		   const struct explain_run *run, FILE *out)
{
	const struct stats_values *total = &snapshot->total;

	print_run(run, out);
	if (!saw_calls(snapshot)) {
		fputs("\nNo call of libmemcached was seen. Either there was none, or tower is not "
		      "in "
		      "the program\n"
		      "(a static copy of libmemcached, a privileged program, one that clears "
		      "LD_PRELOAD),\n"
		      "or it is off there, which is said on its stderr, or it runs as another "
		      "user.\n",
		      out);
		return;
	}
	if (snapshot->n_processes) {
		fprintf(out, "%u of its processes still %s: this is what was done so far\n",
			snapshot->n_processes, snapshot->n_processes == 1 ? "runs" : "run");
	}
	print_answers(total, config, out);
	print_saved(total, run, out);
	print_bounds(total, config, out);
	print_losses(total, out);
	print_reasons(snapshot, out);
	print_calls(snapshot, config, out);
}
