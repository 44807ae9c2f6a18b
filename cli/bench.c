/* tower bench: the command line. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/bench.h"
#include "cli/bench_stream.h"
#include "cli/cli.h"
#include "cli/installed.h"
#include "measure/given.h"
#include "measure/number.h"

#define TIME_MAX_NS (INT64_C(24 * 3600) * CLOCK_NS_PER_S)
#define MEMCACHED_BYTES_MIN (UINT64_C(2) << 20) /* less it does not take */

struct bench {
	struct workload workload;
	struct workload_stream stream;
	struct candidate candidates[CANDIDATES_MAX];
	struct session_options session;
	struct config config;
	const char *hierarchy_list;
	const char *variants[CANDIDATES_MAX];
	unsigned n_variants;
	const char *trace;
	const char *format;
	uint64_t trace_max;
	const char *html;
	bool json;
	bool fill_said;
	char library[PATH_MAX];
	char worker[PATH_MAX];
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	interrupted = number;
}

/* --- the command line --- */

static bool wrong(const char *name, const char *value, const char *why)
{
	cli_error("bench: --%s=%s %s; see `tower bench --help`", name, value, why);
	return false;
}

static bool set_count(const char *name, const char *value, uint64_t max, unsigned *ret)
{
	uint64_t n;

	if (!number_count(value, 1, max, &n)) {
		char why[64];

		snprintf(why, sizeof(why), "is not a number from 1 to %u", (unsigned)max);
		return wrong(name, value, why);
	}
	*ret = (unsigned)n;
	return true;
}

static bool set_time(const char *name, const char *value, int64_t min_ns, int64_t *ret)
{
	return number_time_ns(value, min_ns, TIME_MAX_NS, ret) ||
	       wrong(name, value, "is not a time (2s, 500ms, 1m) from 10ms to a day");
}

static bool set_bytes(const char *name, const char *value, uint64_t min, uint64_t *ret)
{
	char why[64];

	snprintf(why, sizeof(why), "is not a size (64M, 1G) from %uM", (unsigned)(min >> 20));
	return number_count(value, min, UINT64_C(1) << 44, ret) || wrong(name, value, why);
}

static bool set_format(struct bench *bench, const char *value)
{
	enum trace_format format;
	char why[256];

	if (!trace_format_find(value, &format)) {
		snprintf(why, sizeof(why), "is none of %s", trace_format_names());
		return wrong("format", value, why);
	}
	bench->format = value;
	return true;
}

static bool set_own(struct bench *bench, const char *name, const char *value, bool *ret_known)
{
	struct session_options *session = &bench->session;

	*ret_known = true;
	if (strcmp(name, "time") == 0) {
		return set_time(name, value, 10 * CLOCK_NS_PER_MS, &session->run_ns);
	}
	if (strcmp(name, "warm-up") == 0) {
		return set_time(name, value, 0, &session->warm_ns);
	}
	if (strcmp(name, "repeats") == 0) {
		return set_count(name, value, SESSION_REPEATS_MAX, &session->n_repeats);
	}
	if (strcmp(name, "processes") == 0) {
		return set_count(name, value, BOARD_THREADS_MAX, &session->n_processes);
	}
	if (strcmp(name, "threads") == 0) {
		return set_count(name, value, BOARD_THREADS_MAX, &session->n_threads);
	}
	if (strcmp(name, "memcached-memory") == 0) {
		return set_bytes(name, value, MEMCACHED_BYTES_MIN, &session->memcached_bytes);
	}
	if (strcmp(name, "redis-memory") == 0) {
		return set_bytes(name, value, 0, &session->redis_bytes);
	}
	if (strcmp(name, "trace-max") == 0) {
		return number_count(value, 1, UINT64_MAX, &bench->trace_max) ||
		       wrong(name, value, "is not a number of requests");
	}
	if (strcmp(name, "format") == 0) {
		return set_format(bench, value);
	}
	*ret_known = false;
	return true;
}

static bool set_text(struct bench *bench, const char *name, const char *value)
{
	if (strcmp(name, "hierarchy") == 0) {
		bench->hierarchy_list = value;
	} else if (strcmp(name, "servers") == 0) {
		bench->session.servers = value;
	} else if (strcmp(name, "redis") == 0) {
		bench->session.redis = value;
	} else if (strcmp(name, "trace") == 0) {
		bench->trace = value;
	} else if (strcmp(name, "html") == 0) {
		bench->html = value;
	} else if (strcmp(name, "variant") == 0 && bench->n_variants < CANDIDATES_MAX) {
		bench->variants[bench->n_variants++] = value;
	} else {
		return false;
	}
	return true;
}

static bool set_option(struct bench *bench, const char *name, const char *value)
{
	char why[WORKLOAD_WHY_MAX];
	bool known;

	if (workload_has_option(name)) {
		bench->fill_said = bench->fill_said || strcmp(name, "fill") == 0;
		return workload_option(&bench->workload, name, value, why) ||
		       wrong(name, value, why);
	}
	if (!set_own(bench, name, value, &known)) {
		return false;
	}
	if (!known && !set_text(bench, name, value)) {
		cli_error("bench: \"--%s\" not understood; see `tower bench --help`", name);
		return false;
	}
	return true;
}

/* What no option can be wrong in by itself. */
static bool check(const struct bench *bench)
{
	const struct session_options *session = &bench->session;
	char why[GIVEN_WHY_MAX];

	if ((uint64_t)session->n_processes * session->n_threads > BOARD_THREADS_MAX) {
		cli_error("bench: more than %d threads in all processes", BOARD_THREADS_MAX);
		return false;
	}
	if (session->servers && !given_servers_are(session->servers, why)) {
		cli_error("bench: --servers: %s", why);
		return false;
	}
	if (session->redis && !given_redis_is(session->redis, why)) {
		cli_error("bench: --redis: %s", why);
		return false;
	}
	if ((bench->trace == NULL) != (bench->format == NULL)) {
		cli_error("bench: --trace and --format belong together");
		return false;
	}
	return true;
}

static bool parse(struct bench *bench, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		char name[64];
		const char *equals = strchr(argv[i], '=');
		const char *value = equals ? equals + 1 : NULL;

		if (strncmp(argv[i], "--", 2) != 0) {
			cli_error("bench: \"%s\" not understood; see `tower bench --help`",
				  argv[i]);
			return false;
		}
		if (strcmp(argv[i], "--json") == 0) {
			bench->json = true;
			continue;
		}
		if (strcmp(argv[i], "--binary") == 0) {
			bench->session.binary = true;
			continue;
		}
		snprintf(name, sizeof(name), "%.*s",
			 equals ? (int)(equals - argv[i] - 2) : (int)sizeof(name), argv[i] + 2);
		if (!value && i + 1 < argc) {
			value = argv[++i];
		}
		if (!value) {
			cli_error("bench: --%s needs a value; see `tower bench --help`", name);
			return false;
		}
		if (!set_option(bench, name, value)) {
			return false;
		}
	}
	return check(bench);
}

/* --- what is to be run --- */

/* The candidate was filled in behind those that there are.  False: there is one of its name. */
static bool add_candidate(struct bench *bench)
{
	const struct candidate *added = &bench->candidates[bench->session.n_candidates];

	for (unsigned i = 0; i < bench->session.n_candidates; i++) {
		if (strcmp(bench->candidates[i].name, added->name) == 0) {
			cli_error("bench: two hierarchies or variants are named %s", added->name);
			return false;
		}
	}
	bench->session.n_candidates++;
	return true;
}

static bool add_candidates(struct bench *bench)
{
	char list[1024];
	char *rest = NULL;

	snprintf(list, sizeof(list), "%s", bench->hierarchy_list);
	for (char *name = strtok_r(list, ", ", &rest); name; name = strtok_r(NULL, ", ", &rest)) {
		struct candidate *candidate = &bench->candidates[bench->session.n_candidates];

		if (bench->session.n_candidates == CANDIDATES_MAX ||
		    !candidate_named(name, &bench->config, candidate)) {
			cli_error("bench: --hierarchy=%s: there are %s, at most %d in all",
				  bench->hierarchy_list, candidate_names, CANDIDATES_MAX);
			return false;
		}
		if (!add_candidate(bench)) {
			return false;
		}
	}
	for (unsigned i = 0; i < bench->n_variants; i++) {
		char why[CANDIDATE_WHY_MAX] = "is one too many";

		if (bench->session.n_candidates == CANDIDATES_MAX ||
		    !candidate_variant(bench->variants[i], &bench->config,
				       &bench->candidates[bench->session.n_candidates], why)) {
			return wrong("variant", bench->variants[i], why);
		}
		if (!add_candidate(bench)) {
			return false;
		}
	}
	if (bench->session.n_candidates == 0) {
		cli_error("bench: no hierarchy");
		return false;
	}
	return true;
}

static bool read_stream(struct bench *bench)
{
	enum trace_format format;

	if (!bench->trace) {
		return true;
	}
	if (!bench->fill_said) {
		bench->workload.fills = false;
	}
	trace_format_find(bench->format, &format);
	if (!bench_stream_read(bench->trace, format, bench->trace_max, &bench->workload,
			       &bench->stream)) {
		return false;
	}
	bench->session.stream = &bench->stream;
	return true;
}

/* As a shell would take it. */
static void quote(char *text, size_t n, const char *word)
{
	size_t used = strlen(text);
	bool plain = *word && strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					   "0123456789-_=+.,:/%@") == strlen(word);

	if (plain) {
		snprintf(text + used, n - used, " %s", word);
		return;
	}
	used += (size_t)snprintf(text + used, n - used, " '");
	for (const char *c = word; *c && used + 8 < n; c++) {
		used += (size_t)snprintf(text + used, n - used, *c == '\'' ? "'\\''" : "%c", *c);
	}
	if (used + 2 < n) {
		snprintf(text + used, n - used, "'");
	}
}

static void write_command(const struct cli_options *options, int argc, char **argv, char *ret,
			  size_t n)
{
	snprintf(ret, n, "tower bench");
	if (options->file) {
		quote(ret, n, "-c");
		quote(ret, n, options->file);
	}
	for (size_t i = 0; i < options->n_options; i++) {
		quote(ret, n, "-o");
		quote(ret, n, options->options[i]);
	}
	for (int i = 1; i < argc; i++) {
		quote(ret, n, argv[i]);
	}
}

/* Known before anything is measured, not after. */
static bool can_write(const char *path)
{
	bool is_there = path && access(path, F_OK) == 0;
	int fd = path ? open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0666) : -1;

	if (fd >= 0) {
		close(fd);
		if (!is_there) {
			unlink(path);
		}
	} else if (path) {
		cli_error("bench: %s: %m", path);
		return false;
	}
	return true;
}

static bool servers_answer(const struct bench *bench)
{
	const char *redis = NULL;
	char why[GIVEN_WHY_MAX];

	for (unsigned h = 0; h < bench->session.n_candidates; h++) {
		if (candidate_has_redis(&bench->candidates[h])) {
			redis = bench->session.redis;
		}
	}
	if (!given_answer(bench->session.servers, redis, why)) {
		cli_error("bench: %s", why);
		return false;
	}
	return true;
}

/* --- what came out --- */

static bool write_html(const struct bench_report *report, const char *path)
{
	FILE *out = fopen(path, "we");
	bool well;

	if (!out) {
		cli_error("bench: %s: %m", path);
		return false;
	}
	bench_print_html(report, out);
	well = !ferror(out);
	if (fclose(out) != 0 || !well) {
		cli_error("bench: %s cannot be written", path);
		return false;
	}
	return true;
}

/* Values of which the file does not tell the size are as large as those that were written. */
static bool make_curves(const struct bench *bench, struct bench_curves *ret)
{
	const struct workload_numbers *values = &bench->workload.values;
	enum trace_format format;
	double bytes = 0;
	double before = 0;

	for (unsigned i = 0; i < values->n_ranges; i++) {
		const struct workload_range *range = &values->ranges[i];

		bytes += (range->until - before) * ((double)range->low + range->high) / 2;
		before = range->until;
	}
	*ret = (struct bench_curves){ 0 };
	for (unsigned h = bench->session.n_candidates; h > 0; h--) {
		const struct candidate *candidate = &bench->candidates[h - 1];

		if (!candidate->plain && (candidate->config.tower_layers & CONFIG_LAYER_MEMORY)) {
			ret->max_bytes = candidate->config.memory_max_bytes;
		}
	}
	return trace_format_find(bench->format, &format) &&
	       bench_curves_make(bench->trace, format, (uint64_t)bytes, ret);
}

static int show(const struct bench *bench, const struct session *session,
		const struct bench_place *place)
{
	struct bench_report report = { &bench->session, session, NULL, NULL, *place };
	struct bench_curves curves;
	struct summary *summaries = calloc(session->n_candidates, sizeof(*summaries));
	bool well = true;

	if (!summaries) {
		cli_error("bench: %m");
		return CLI_FAILED;
	}
	for (unsigned h = 0; h < session->n_candidates; h++) {
		summary_make(session, h, bench->session.run_ns, &summaries[h]);
	}
	report.summaries = summaries;
	if (bench->json) {
		bench_print_json(&report, stdout);
	} else {
		bench_print_table(&report, stdout);
	}
	if (bench->html && bench->trace) {
		well = make_curves(bench, &curves);
		report.curves = &curves;
	}
	if (bench->html && well) {
		well = write_html(&report, bench->html);
	}
	free(summaries);
	return well ? CLI_OK : CLI_FAILED;
}

/* --- running it --- */

static int run(struct bench *bench, struct bench_place *place)
{
	struct session session;
	char why[SESSION_WHY_MAX];
	enum session_status status;
	int exit_status = CLI_FAILED;

	bench_place_begin(place);
	status = session_run(&bench->session, &session, why);
	bench_progress_end();
	bench_place_end(place);
	if (status == SESSION_OK) {
		snprintf(place->memcached, sizeof(place->memcached), "%s", session.memcached);
		snprintf(place->redis, sizeof(place->redis), "%s", session.redis);
		snprintf(place->libmemcached, sizeof(place->libmemcached), "%s",
			 session.libmemcached);
		exit_status = show(bench, &session, place);
		session_free(&session);
	} else if (status != SESSION_INTERRUPTED) {
		cli_error("bench: %s", why);
	}
	return exit_status;
}

static void catch_signals(void)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction action = { .sa_handler = on_signal };

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		sigaction(numbers[i], &action, NULL);
	}
}

/* Ends as the signal would have ended us, now that nothing is left behind. */
static void end_by_signal(void)
{
	struct sigaction action = { .sa_handler = SIG_DFL };

	sigaction(interrupted, &action, NULL);
	raise(interrupted);
}

static void defaults(struct bench *bench)
{
	workload_default(&bench->workload);
	bench->hierarchy_list = "plain,memory+memcached,memory+memcached+redis,memcached+redis";
	bench->session = (struct session_options){
		.workload = &bench->workload,
		.candidates = bench->candidates,
		.n_repeats = 5,
		.n_processes = 1,
		.n_threads = 1,
		.warm_ns = CLOCK_NS_PER_S,
		.run_ns = 2 * CLOCK_NS_PER_S,
		.memcached_bytes = UINT64_C(64) << 20,
		.library = bench->library,
		.worker = bench->worker,
		.interrupted = &interrupted,
		.progress = bench_progress,
	};
}

static int prepare_and_run(struct bench *bench, const struct cli_options *options, int argc,
			   char **argv)
{
	struct bench_place place = { 0 };

	defaults(bench);
	if (!parse(bench, argc, argv)) {
		return CLI_USAGE;
	}
	if (!cli_load_config(options, &bench->config)) {
		return CLI_FAILED;
	}
	if (bench->config.disabled) {
		cli_error("bench: TOWER_DISABLE=1 is set: there would be no tower to measure");
		return CLI_FAILED;
	}
	if (!add_candidates(bench)) {
		return CLI_USAGE;
	}
	if (!installed_library(bench->library, sizeof(bench->library)) ||
	    !installed_worker(bench->worker, sizeof(bench->worker)) || !can_write(bench->html) ||
	    !servers_answer(bench) || !read_stream(bench)) {
		return CLI_FAILED;
	}
	write_command(options, argc, argv, place.command, sizeof(place.command));
	catch_signals();
	return run(bench, &place);
}

int cli_bench(const struct cli_options *options, int argc, char **argv)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	int status;

	if (!bench) {
		cli_error("bench: %m");
		return CLI_FAILED;
	}
	status = prepare_and_run(bench, options, argc, argv);
	free((void *)bench->stream.records);
	free(bench);
	if (interrupted) {
		end_by_signal();
	}
	return status;
}
