#include "cli/bench_curves.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

#define KEY_BYTES 16 /* as the worker names keys on its own servers */
#define SAMPLE_SEED 1

static const char *const policy_names[BENCH_CURVE_POLICIES] = { "lru", "fifo", "s3fifo", "opt" };

/* 0.1 % to 100 % of the keys, evenly on a logarithmic scale. */
static void choose(struct curve_options *options)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	*options = (struct curve_options){ .key_bytes = KEY_BYTES,
					   .n_threads = n > 0 ? (unsigned)n : 1 };
	for (; options->n_policies < BENCH_CURVE_POLICIES; options->n_policies++) {
		const char *name = policy_names[options->n_policies];

		options->policies[options->n_policies] = curve_policy_find(name, strlen(name));
	}
	for (; options->n_sizes < BENCH_CURVE_SIZES; options->n_sizes++) {
		char text[CURVE_SIZE_TEXT];
		double part = (double)options->n_sizes / (BENCH_CURVE_SIZES - 1);

		snprintf(text, sizeof(text), "%.4f%%", 0.1 * pow(1000, part));
		curve_size_parse(text, strlen(text), &options->sizes[options->n_sizes]);
	}
}

static bool simulate(const struct stream *stream, struct bench_curves *ret)
{
	struct curve_row rows[BENCH_CURVE_POLICIES * BENCH_CURVE_SIZES];
	struct curve_options options;

	choose(&options);
	if (!curve_run(stream, &options, rows)) {
		cli_error("bench: out of memory");
		return false;
	}
	for (unsigned i = 0; i < BENCH_CURVE_POLICIES; i++) {
		ret->policies[i] = options.policies[i];
		for (unsigned j = 0; j < BENCH_CURVE_SIZES; j++) {
			ret->bytes[i][j] = (double)rows[i * BENCH_CURVE_SIZES + j].bytes;
			ret->misses[i][j] = 1 - rows[i * BENCH_CURVE_SIZES + j].hit_ratio;
		}
	}
	ret->share = stream->rate;
	return true;
}

bool bench_curves_make(const char *path, enum trace_format format, uint64_t value_bytes,
		       struct bench_curves *ret)
{
	const struct stream_options sample = {
		.rate = 1,
		.max_keys = STREAM_SAMPLE_KEYS,
		.max_requests = STREAM_SAMPLE_REQUESTS,
		.seed = SAMPLE_SEED,
		.assumed_bytes = value_bytes,
	};
	char why[TRACE_WHY_MAX];
	struct trace_reader *reader;
	struct stream stream;
	bool well;

	if (!trace_open(&reader, path, format, why)) {
		cli_error("bench: %s", why);
		return false;
	}
	well = stream_load(&stream, reader, &sample, why);
	trace_close(&reader);
	if (!well) {
		cli_error("bench: %s", why);
		return false;
	}
	well = simulate(&stream, ret);
	stream_free(&stream);
	return well;
}
