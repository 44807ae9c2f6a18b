/* What tower sim is asked. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/sim.h"
#include "measure/number.h"

#define VALUE_BYTES 100
#define KEY_BYTES 20
#define KEY_BYTES_MAX 250
#define DEFAULT_POLICIES "lru,fifo,s3fifo,opt"
#define DEFAULT_SIZES "0.1%,0.2%,0.5%,1%,2%,5%,10%,20%,50%,100%"

const char *const sim_places[SIM_PLACES] = { "memory", "memcached", "redis", "origin" };

/* Of a hit in memory, of a get over a socket of the machine, of Redis besides; a query. */
static const double default_latency_ns[SIM_PLACES] = { 100, 12e3, 15e3, 1e6 };

/* The next of words that commas separate; false: there is none.  *list is behind it then. */
static bool next_word(const char **list, const char **ret, size_t *ret_n)
{
	if (**list == '\0') {
		return false;
	}
	*ret = *list;
	*ret_n = strcspn(*list, ",");
	*list += *ret_n;
	*list += **list == ',';
	return true;
}

static bool parse_format(const char *text, struct sim_arguments *ret)
{
	if (trace_format_find(text, &ret->format)) {
		return true;
	}
	cli_error("sim: no format '%s': there are %s", text, trace_format_names());
	return false;
}

static bool parse_policies(const char *text, struct sim_arguments *ret)
{
	const char *word;
	size_t n;

	ret->curve.n_policies = 0;
	while (next_word(&text, &word, &n)) {
		const struct curve_policy *policy = curve_policy_find(word, n);

		if (policy == NULL || ret->curve.n_policies == CURVE_POLICIES_MAX) {
			cli_error(
				policy ? "sim: too many policies, from '%.*s' on"
				       : "sim: no policy '%.*s': there are lru, fifo, s3fifo, opt, "
					 "tower-lru, tower-s3fifo",
				(int)n, word);
			return false;
		}
		ret->curve.policies[ret->curve.n_policies++] = policy;
	}
	if (ret->curve.n_policies == 0) {
		cli_error("sim: --policy takes at least one");
	}
	return ret->curve.n_policies > 0;
}

static bool parse_sizes(const char *text, struct sim_arguments *ret)
{
	const char *word;
	size_t n;

	ret->curve.n_sizes = 0;
	while (next_word(&text, &word, &n)) {
		if (ret->curve.n_sizes == CURVE_SIZES_MAX) {
			cli_error("sim: more than %d sizes", CURVE_SIZES_MAX);
			return false;
		}
		if (!curve_size_parse(word, n, &ret->curve.sizes[ret->curve.n_sizes])) {
			cli_error(
				"sim: '%.*s' is no size: a percentage of the different keys up to "
				"100%%, a number of values (500i), or of bytes (64M)",
				(int)n, word);
			return false;
		}
		ret->curve.n_sizes++;
	}
	if (ret->curve.n_sizes == 0) {
		cli_error("sim: --size takes at least one");
	}
	return ret->curve.n_sizes > 0;
}

/* A number with one of these units (the last: NULL), all of it. */
static bool read_with_unit(const char *text, const char *const *units, const double *factors,
			   double *ret)
{
	/* strtod() would take signs, exponents and names. */
	size_t n = strspn(text, "0123456789.");
	char *end;
	double number = strtod(text, &end);

	if (n == 0 || end != text + n) {
		return false;
	}
	for (size_t i = 0; units[i]; i++) {
		if (strcmp(end, units[i]) == 0) {
			*ret = number * factors[i];
			return true;
		}
	}
	return false;
}

static bool read_time_ns(const char *text, double *ret)
{
	static const char *const units[] = { "", "ns", "us", "ms", "s", "m", "h", NULL };
	static const double factors[] = { 1e9, 1, 1e3, 1e6, 1e9, 60e9, 3600e9 };

	return read_with_unit(text, units, factors, ret) && *ret < 1e18;
}

static bool parse_ttl(const char *text, struct sim_arguments *ret)
{
	double ns;

	if (!read_time_ns(text, &ns) || ns / 1e6 >= UINT32_MAX) {
		cli_error("sim: --ttl takes a time (500ms, 1s, 10m), not '%s'", text);
		return false;
	}
	ret->curve.ttl_ms = (uint32_t)(ns / 1e6);
	return true;
}

static bool parse_whole(const char *name, const char *text, uint64_t least, uint64_t most,
			uint64_t *ret)
{
	if (number_count(text, least, most, ret)) {
		return true;
	}
	cli_error("sim: %s takes a whole number from %" PRIu64 " to %" PRIu64 ", not '%s'", name,
		  least, most, text);
	return false;
}

static bool parse_rate(const char *text, struct sim_arguments *ret)
{
	if (!number_real(text, 1e-6, 1, &ret->sample.rate)) {
		cli_error("sim: --sample takes a number from 1e-06 to 1, not '%s'", text);
		return false;
	}
	ret->sampled = true;
	ret->sample.max_keys = UINT32_MAX - 1;
	ret->sample.max_requests = STREAM_REQUESTS_MAX;
	return true;
}

static bool parse_fill(const char *text, struct sim_arguments *ret)
{
	ret->curve.fill_by_writes = strcmp(text, "writes") == 0;
	if (ret->curve.fill_by_writes || strcmp(text, "gets") == 0) {
		return true;
	}
	cli_error("sim: --fill takes gets or writes, not '%s'", text);
	return false;
}

/* "NAME=TEXT" of one of the first n_places; the text goes to `ret` (64 bytes). */
static size_t find_place(const char *word, size_t n, size_t n_places, char *ret)
{
	for (size_t place = 0; place < n_places; place++) {
		size_t n_name = strlen(sim_places[place]);

		if (n > n_name && n - n_name < 64 && word[n_name] == '=' &&
		    memcmp(word, sim_places[place], n_name) == 0) {
			memcpy(ret, word + n_name + 1, n - n_name - 1);
			ret[n - n_name - 1] = '\0';
			return place;
		}
	}
	return n_places;
}

static bool parse_layers(const char *text, struct sim_arguments *ret)
{
	const char *word;
	char size_text[64];
	bool any = false;
	size_t n;

	memset(ret->layer_bytes, 0, sizeof(ret->layer_bytes));
	while (next_word(&text, &word, &n)) {
		struct curve_size size;
		size_t place = find_place(word, n, SIM_ORIGIN, size_text);

		if (place == SIM_ORIGIN || !curve_size_parse(size_text, strlen(size_text), &size) ||
		    size.unit != CURVE_BYTES) {
			cli_error("sim: '%.*s' is no layer with its size, as memory=16M, "
				  "memcached=1G, redis=8G",
				  (int)n, word);
			return false;
		}
		if (ret->layer_bytes[place]) {
			cli_error("sim: --layers has %s twice", sim_places[place]);
			return false;
		}
		ret->layer_bytes[place] = size.n;
		any = true;
	}
	if (!any) {
		cli_error("sim: --layers takes at least one");
	}
	return any;
}

static bool parse_latency(const char *text, struct sim_arguments *ret)
{
	const char *word;
	char time[64];
	bool any = false;
	size_t n;

	while (next_word(&text, &word, &n)) {
		size_t place = find_place(word, n, SIM_PLACES, time);

		if (place == SIM_PLACES || !read_time_ns(time, &ret->latency_ns[place])) {
			cli_error("sim: '%.*s' is no latency, as memory=100ns, memcached=12us, "
				  "redis=15us, origin=1ms",
				  (int)n, word);
			return false;
		}
		any = true;
	}
	if (!any) {
		cli_error("sim: --latency takes at least one");
	}
	return any;
}

static bool parse_trace(const char *text, struct sim_arguments *ret)
{
	ret->trace = text;
	return true;
}

static bool parse_key_bytes(const char *text, struct sim_arguments *ret)
{
	uint64_t n;

	if (!parse_whole("--key-bytes", text, 1, KEY_BYTES_MAX, &n)) {
		return false;
	}
	ret->curve.key_bytes = (uint32_t)n;
	return true;
}

static bool parse_value_bytes(const char *text, struct sim_arguments *ret)
{
	uint64_t n;

	if (!parse_whole("--value-bytes", text, 0, 1073741824, &n)) {
		return false;
	}
	ret->sample.assumed_bytes = n;
	return true;
}

static bool parse_seed(const char *text, struct sim_arguments *ret)
{
	uint64_t n;

	if (!parse_whole("--seed", text, 0, UINT32_MAX, &n)) {
		return false;
	}
	ret->sample.seed = n;
	return true;
}

static bool parse_threads(const char *text, struct sim_arguments *ret)
{
	uint64_t n;

	if (!parse_whole("--threads", text, 1, 64, &n)) {
		return false;
	}
	ret->curve.n_threads = (unsigned)n;
	return true;
}

static const struct {
	const char *name;
	bool (*parse)(const char *text, struct sim_arguments *ret);
} options[] = {
	{ "--trace", parse_trace },
	{ "--format", parse_format },
	{ "--policy", parse_policies },
	{ "--size", parse_sizes },
	{ "--sample", parse_rate },
	{ "--seed", parse_seed },
	{ "--ttl", parse_ttl },
	{ "--fill", parse_fill },
	{ "--value-bytes", parse_value_bytes },
	{ "--key-bytes", parse_key_bytes },
	{ "--layers", parse_layers },
	{ "--latency", parse_latency },
	{ "--threads", parse_threads },
};

#define N_OPTIONS (sizeof(options) / sizeof(options[0]))

/* One option that has a value; false in *ret_known where this is none. */
static bool parse_option(int argc, char **argv, int *at, struct sim_arguments *ret, bool *ret_known)
{
	const char *value;

	for (size_t i = 0; i < N_OPTIONS; i++) {
		if (cli_takes_value(argc, argv, at, options[i].name, &value)) {
			*ret_known = true;
			return options[i].parse(value, ret);
		}
	}
	*ret_known = false;
	return true;
}

static bool parse_all(int argc, char **argv, struct sim_arguments *ret)
{
	for (int i = 1; i < argc; i++) {
		bool known;

		if (strcmp(argv[i], "--exact") == 0) {
			ret->exact = true;
		} else if (strcmp(argv[i], "--json") == 0) {
			ret->json = true;
		} else if (strcmp(argv[i], "--measured") == 0) {
			ret->measured = true;
		} else if (!parse_option(argc, argv, &i, ret, &known)) {
			return false;
		} else if (!known) {
			cli_error("sim: what is '%s'? See `tower sim --help`", argv[i]);
			return false;
		}
	}
	return true;
}

static unsigned processors(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : n > 64 ? 64 : (unsigned)n;
}

bool sim_parse(int argc, char **argv, struct sim_arguments *ret)
{
	*ret = (struct sim_arguments){
		.format = TRACE_N_FORMATS,
		.sample = { .rate = 1,
			    .max_keys = STREAM_SAMPLE_KEYS,
			    .max_requests = STREAM_SAMPLE_REQUESTS,
			    .assumed_bytes = VALUE_BYTES },
		.curve = { .key_bytes = KEY_BYTES, .n_threads = processors() },
	};
	memcpy(ret->latency_ns, default_latency_ns, sizeof(default_latency_ns));
	parse_policies(DEFAULT_POLICIES, ret);
	parse_sizes(DEFAULT_SIZES, ret);
	if (!parse_all(argc, argv, ret)) {
		return false;
	}
	if (ret->trace == NULL || ret->format == TRACE_N_FORMATS) {
		cli_error("sim: it needs --trace FILE and --format FORMAT (%s)",
			  trace_format_names());
		return false;
	}
	if (ret->exact && ret->sampled) {
		cli_error("sim: either --exact or --sample");
		return false;
	}
	if (ret->exact) {
		ret->sample.rate = 1;
		ret->sample.max_keys = UINT32_MAX - 1;
		ret->sample.max_requests = STREAM_REQUESTS_MAX;
	}
	return true;
}
