#include "measure/summary.h"

#include <string.h>

const char *const summary_share_names[SUMMARY_SHARES] = { "memory", "memcached", "redis",
							  "missed" };

const struct summary_percentile summary_percentiles[SUMMARY_PERCENTILES] = {
	{ "p50", 500000 },   { "p90", 900000 },	   { "p99", 990000 },
	{ "p99.9", 999000 }, { "p99.99", 999900 }, { "max", 1000000 },
};

/* Plain programs have one layer, and it counts nothing. */
static void shares_of(const struct session_run *run, double *ret)
{
	uint64_t asked = run->counts.asked;
	bool is_plain = true;

	for (unsigned i = 0; i < STATS_LAYERS_MAX; i++) {
		is_plain = is_plain && run->layers[i].hits + run->layers[i].misses == 0;
	}
	for (unsigned i = 0; i < STATS_LAYERS_MAX; i++) {
		uint64_t hits = is_plain ? i == STATS_MEMCACHED ? run->counts.hits : 0
					 : run->layers[i].hits;

		ret[i] = asked ? (double)hits / (double)asked : 0;
	}
	ret[SUMMARY_MISSED] = asked ? (double)run->counts.misses / (double)asked : 0;
}

static void add_counts(struct board_counts *counts, const struct board_counts *more)
{
	const uint64_t *from = (const uint64_t *)more;
	uint64_t *to = (uint64_t *)counts;

	for (size_t i = 0; i < sizeof(*counts) / sizeof(*to); i++) {
		to[i] += from[i];
	}
}

static void make_call(const struct session *session, unsigned candidate, enum board_call call,
		      struct summary_call *ret)
{
	for (unsigned r = 0; r < session->n_repeats; r++) {
		latency_add(&ret->all, &session_run_of(session, candidate, r)->latencies[call]);
	}
	ret->n = latency_count(&ret->all);
	for (unsigned p = 0; p < SUMMARY_PERCENTILES && ret->n; p++) {
		double ns[SESSION_REPEATS_MAX];

		for (unsigned r = 0; r < session->n_repeats; r++) {
			ns[r] = (double)latency_ppm_ns(
				&session_run_of(session, candidate, r)->latencies[call],
				summary_percentiles[p].ppm);
		}
		ret->ns[p] = interval_of(ns, session->n_repeats);
	}
}

void summary_make(const struct session *session, unsigned candidate, int64_t run_ns,
		  struct summary *ret)
{
	double rates[SESSION_REPEATS_MAX];
	double first[SESSION_REPEATS_MAX];
	double shares[SUMMARY_SHARES][SESSION_REPEATS_MAX];

	memset(ret, 0, sizeof(*ret));
	for (unsigned r = 0; r < session->n_repeats; r++) {
		const struct session_run *run = session_run_of(session, candidate, r);
		double of_run[SUMMARY_SHARES];

		rates[r] = (double)run->counts.requests * 1e9 / (double)run_ns;
		first[r] = (double)session_run_of(session, 0, r)->counts.requests * 1e9 /
			   (double)run_ns;
		shares_of(run, of_run);
		for (unsigned i = 0; i < SUMMARY_SHARES; i++) {
			shares[i][r] = of_run[i];
		}
		add_counts(&ret->counts, &run->counts);
		if (!ret->error && run->counts.errors && run->error[0]) {
			ret->error = run->error;
		}
		ret->own_ns += run->own_ns / session->n_repeats;
		for (unsigned i = 0; i < BOARD_SLICES; i++) {
			latency_add(&ret->slices[i], &run->slices[i]);
		}
	}
	ret->rate = interval_of(rates, session->n_repeats);
	ret->ratio = interval_of_ratio(first, rates, session->n_repeats);
	for (unsigned i = 0; i < SUMMARY_SHARES; i++) {
		ret->shares[i] = interval_of(shares[i], session->n_repeats);
	}
	for (unsigned i = 0; i < BOARD_CALLS; i++) {
		make_call(session, candidate, (enum board_call)i, &ret->calls[i]);
	}
}

enum board_call summary_main_call(const struct summary *summary)
{
	unsigned call = 0;

	while (call + 1 < BOARD_CALLS && summary->calls[call].n == 0) {
		call++;
	}
	return (enum board_call)call;
}
