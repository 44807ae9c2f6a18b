/* Is `tower stat` right: its table, its JSON, its exit status? */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* Unit tests are linked without the command line tool. */
#include "cli/arguments.c"
#include "cli/json.c"
#include "cli/numbers.c"
#include "cli/rates.c"
#include "cli/served.c"
#include "cli/snapshot.c"
#include "cli/stat.c"
#include "cli/stat_json.c"
#include "cli/stat_print.c"
#include "cli/switch.c"

static const struct stat_filter everything;
static const struct cli_options no_options;

static char folder[64];
static char stats_file_path[96];
static unsigned n_errors;

/* In place of cli/main.c. */
void cli_error(const char *format, ...)
{
	n_errors++;
}

bool cli_load_config(const struct cli_options *options, struct config *ret)
{
	memset(ret, 0, sizeof(*ret));
	snprintf(ret->stats_path, sizeof(ret->stats_path), "%s", stats_file_path);
	snprintf(ret->tower_name, sizeof(ret->tower_name), "unit");
	return true;
}

static int set_up(void **state)
{
	n_errors = 0;
	strcpy(folder, "/dev/shm/tower-test-XXXXXX");
	if (!mkdtemp(folder)) {
		return -1;
	}
	snprintf(stats_file_path, sizeof(stats_file_path), "%s/stats", folder);
	return 0;
}

static int tear_down(void **state)
{
	unlink(stats_file_path);
	return rmdir(folder);
}

/* Two processes of which the second did nothing, and a total of more. */
static struct stats_snapshot *sample(void)
{
	static struct stats_process processes[2];
	static struct stats_snapshot snapshot;

	memset(processes, 0, sizeof(processes));
	memset(&snapshot, 0, sizeof(snapshot));
	strcpy(snapshot.domain, "unit");
	strcpy(snapshot.calls[0], "memcached_get");
	strcpy(snapshot.calls[1], "memcached_set");
	strcpy(snapshot.reasons[0], "too_long");
	snapshot.n_calls = 2;
	snapshot.n_reasons = 1;
	snapshot.n_processes = 2;
	snapshot.processes = processes;
	processes[0].pid = 17;
	strcpy(processes[0].command, "php-fpm");
	processes[0].values.layers[STATS_MEMORY].hits = 75;
	processes[0].values.layers[STATS_MEMORY].misses = 25;
	processes[0].values.layers[STATS_MEMORY].items = 3;
	processes[0].values.layers[STATS_MEMORY].bytes = 1536;
	processes[0].values.layers[STATS_MEMCACHED].hits = 20;
	processes[0].values.layers[STATS_MEMCACHED].misses = 5;
	processes[0].values.calls[0] = 100;
	processes[1].pid = 18;
	strcpy(processes[1].command, "idle");
	snapshot.total = processes[0].values;
	snapshot.total.layers[STATS_MEMORY].hits += 1000000000000;
	snapshot.total.calls[1] = 4;
	snapshot.total.passed[0] = 9;
	return &snapshot;
}

static char *table_of(const struct stats_snapshot *snapshot, const struct stat_filter *filter)
{
	static char text[16384];
	FILE *out = fmemopen(text, sizeof(text), "w");

	assert_non_null(out);
	stat_print_table(snapshot, filter, out);
	assert_int_equal(fclose(out), 0);
	return text;
}

static char *json_of(const struct stats_snapshot *snapshot, const struct stat_filter *filter)
{
	static char text[16384];
	FILE *out = fmemopen(text, sizeof(text), "w");

	assert_non_null(out);
	stat_print_json(snapshot, filter, out);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void assert_contains(const char *text, const char *part)
{
	if (!strstr(text, part)) {
		fail_msg("'%s' is not in:\n%s", part, text);
	}
}

static void assert_lacks(const char *text, const char *part)
{
	if (strstr(text, part)) {
		fail_msg("'%s' is in:\n%s", part, text);
	}
}

static void test_table__has_shares_of_all_reads_and_only_layers_in_use(void **state)
{
	const struct stat_filter filter = { .pid = 17 };

	assert_string_equal(
		table_of(sample(), &filter),
		"process 17  php-fpm\n"
		"  layer               hits   misses    share    fills  rejected  evicted  expired"
		"  invalidated   errors    items    bytes\n"
		"  memory                75       25    75.0%        0         0        0        0"
		"            0        0        3     1.5K\n"
		"  memcached             20        5    20.0%        0         0        0        0"
		"            0        0        0        0\n"
		"  memory saved 75 round trips to memcached, and 0 bytes of values\n"
		"  calls\n"
		"    memcached_get                                          100\n"
		"\n");
}

/* Process 17 had 15 hits two seconds ago; 18 was another one; 19 had not begun. */
static void test_rates__are_of_what_came_since(void **state)
{
	struct stats_snapshot *snapshot = sample();
	struct stats_process was[2] = { { .pid = 17 }, { .pid = 18 } };
	struct stats_snapshot before = { .n_processes = 2, .processes = was };
	const struct stat_filter filter = { .before = &before };
	struct stats_process *now = snapshot->processes;
	struct stats_values since;

	snapshot->taken_ns = 2 * CLOCK_NS_PER_S;
	was[0].values = now[0].values;
	was[0].values.layers[STATS_MEMORY].hits = 15;
	was[1].values.layers[STATS_MEMORY].hits = 1000;
	now[1].values.layers[STATS_MEMORY].hits = 500;
	assert_contains(table_of(snapshot, &filter),
			"  per second\n"
			"  memory              30.0        0   100.0%        0         0        0"
			"        0            0        0\n"
			"  memcached              0        0     0.0%        0         0        0"
			"        0            0        0\n");
	assert_contains(table_of(snapshot, &filter), "  memory               250        0 ");
	rates_difference(NULL, &now[0].values, &since);
	assert_int_equal(since.layers[STATS_MEMORY].hits, 75);
	rates_difference(&was[0].values, &now[0].values, &since);
	assert_int_equal(since.layers[STATS_MEMORY].bytes, 1536);
	before.taken_ns = snapshot->taken_ns;
	assert_lacks(table_of(snapshot, &filter), "per second");
}

static void test_table__ends_with_the_total(void **state)
{
	const char *text = table_of(sample(), &everything);

	assert_memory_equal(text, "domain unit, 2 processes, everything is switched on\n\n", 52);
	assert_contains(text, "process 18  idle\n");
	assert_contains(text, "total of domain unit, ended processes included\n");
	assert_contains(text, "1000000000075");
	assert_contains(text, "memcached_set                                            4\n");
	assert_contains(text, "because of\n    too_long ");
	assert_lacks(text, "redis");
}

static void test_process_without_reads__has_no_share(void **state)
{
	const struct stat_filter filter = { .pid = 18 };

	assert_contains(table_of(sample(), &filter),
			"  memcached              0        0        -");
}

static void test_unmarked_writes__are_said(void **state)
{
	struct stats_snapshot *snapshot = sample();

	assert_lacks(table_of(snapshot, &everything), "breaker");
	snapshot->redis_generation = 1;
	assert_contains(table_of(snapshot, &everything),
			"  redis breaker closed, it has heard of every write\n");
	snapshot->redis_generation = 0;
	snapshot->total.layers[STATS_REDIS].misses = 1;
	snapshot->redis_unmarked = 12;
	assert_contains(table_of(snapshot, &everything),
			"  redis breaker closed\n  keys that redis has yet to hear of  12\n");
	assert_contains(json_of(snapshot, &everything), "\"unmarked\":12,\"generation\":0,"
							"\"writers\":\"one\"}}\n");
}

static void test_other_domains__are_said(void **state)
{
	struct stats_snapshot *snapshot = sample();

	assert_null(strstr(table_of(snapshot, &everything), "other domains"));
	snapshot->redis_several = true;
	assert_contains(table_of(snapshot, &everything), "other domains write to the same");
	assert_contains(json_of(snapshot, &everything), "\"writers\":\"several\"}}\n");
}

static void test_latencies__are_said_in_units_that_fit(void **state)
{
	struct stats_snapshot *snapshot = sample();
	struct latency_values *gets = &snapshot->total.latencies[STATS_MEMORY][STATS_GET];

	gets->buckets[latency_bucket(60)] = 991;
	gets->buckets[latency_bucket(2000000)] = 9;
	snapshot->n_processes = 0;
	snapshot->total.latencies[STATS_REDIS][STATS_WRITE].buckets[latency_bucket(40000)] = 1;
	assert_contains(table_of(snapshot, &everything),
			"  latency                p50       p90       p99     p99.9\n"
			"  memory get            62ns      63ns      63ns     2.1ms\n"
			"  redis write         41.0us    41.0us    41.0us    41.0us\n");
	assert_contains(json_of(snapshot, &everything),
			"\"get_ns\":{\"timed\":1000,\"sum\":0,\"p50\":62,\"p90\":63,\"p99\":63,"
			"\"p99.9\":");
	assert_contains(json_of(snapshot, &everything), "\"histogram\":[[60,991],[1966080,9]]}");
}

static void test_saved__counts_a_batch_once(void **state)
{
	struct stats_snapshot *snapshot = sample();
	struct stats_layer_values *memory = &snapshot->total.layers[STATS_MEMORY];

	memory->hits = 1010;
	memory->batch_hits = 1000;
	memory->batches = 9;
	memory->hit_bytes = 3 << 20;
	assert_contains(table_of(snapshot, &everything),
			"memory saved 19 round trips to memcached, and 3.0M of values\n");
	assert_contains(json_of(snapshot, &everything),
			"\"saved\":{\"round_trips\":19,\"bytes\":3145728}");
}

static void test_state__is_said(void **state)
{
	struct stats_snapshot *snapshot = sample();
	struct stat_filter filter = { .off = LAYER_PRIVATE | LAYER_SHARED };
	struct config config;
	char why[CONFIG_WHY_MAX];

	assert_int_equal(config_load(&config, NULL, why), CONFIG_OK);
	assert_int_equal(config_option(&config, "tower.layers=memory,memcached,redis", why),
			 CONFIG_OK);
	assert_int_equal(config_option(&config, "redis.url=redis://:geheim@h:1/0", why), CONFIG_OK);
	filter.config = &config;
	snapshot->redis_open = true;
	assert_contains(table_of(snapshot, &filter), "memory and redis are switched off\n");
	assert_contains(table_of(snapshot, &filter),
			"redis failed and is left alone for a while (breaker open)\n");
	assert_contains(table_of(snapshot, &filter), "memory.max_bytes=16M  ");
	assert_contains(table_of(snapshot, &filter), "redis.url=redis://:***@h:1/0  ");
	assert_contains(json_of(snapshot, &filter), "\"off\":[\"memory\",\"redis\"]");
	assert_contains(json_of(snapshot, &filter), "\"redis\":{\"breaker\":\"open\",");
	filter.off = LAYER_PRIVATE | LAYER_SHARED | LAYER_AUTHORITY;
	assert_contains(table_of(snapshot, &filter), "2 processes, switched off\n");
	snapshot->n_processes = 1;
	assert_contains(table_of(snapshot, &filter), ", 1 process, switched off\n");
	assert_contains(json_of(snapshot, &filter), "\"off\":[\"memory\",\"tower\",\"redis\"]");
}

static void test_layer_filter__shows_that_layer_alone(void **state)
{
	const struct stat_filter filter = { .layer = "redis" };
	const char *text = table_of(sample(), &filter);

	assert_contains(text, "  redis ");
	assert_lacks(text, "  memory ");
	assert_lacks(text, "memcached_get");
	text = json_of(sample(), &filter);
	assert_contains(text, "\"layers\":[{\"name\":\"redis\",");
	assert_lacks(text, "\"name\":\"memory\"");
}

static void test_hostile_command__does_not_reach_the_terminal(void **state)
{
	struct stats_snapshot *snapshot = sample();

	strcpy(snapshot->processes[0].command, "a\033[2Jb\n\xc3\xa9");
	assert_contains(table_of(snapshot, &everything), "process 17  a?[2Jb???\n");
}

#define NO_TIME(more) "{\"timed\":0,\"sum\":0,\"p50\":0,\"p90\":0,\"p99\":0,\"p99.9\":0" more "}"
#define NOTHING_SAVED ",\"saved\":{\"round_trips\":0,\"bytes\":0}"
#define ZEROS(more)                                                                                \
	"\"hits\":0,\"misses\":0,\"hit_bytes\":0,\"batch_hits\":0,\"batches\":0,\"fills\":0,"      \
	"\"promotions\":0,\"rejected\":0,\"evictions\":0,\"ghost_hits\":0,\"expired\":0,"          \
	"\"invalidated\":0,\"errors\":0,\"timeouts\":0,\"items\":0,\"bytes\":0,"                   \
	"\"get_ns\":" NO_TIME(more) ",\"mget_ns\":" NO_TIME(more) ",\"write_ns\":" NO_TIME(        \
		more) "}"
#define ZERO_LAYERS(more)                                                                          \
	"\"layers\":[{\"name\":\"memory\"," ZEROS(more) ",{\"name\":\"memcached\"," ZEROS(         \
		more) ",{\"name\":\"redis\"," ZEROS(more) "]"

static void test_json__is_as_documented(void **state)
{
	struct stats_snapshot *snapshot = sample();
	const struct stat_filter filter = { .pid = 18 };

	memset(snapshot->total.layers, 0, sizeof(snapshot->total.layers));
	snapshot->redis_generation = 7;
	snapshot->taken_ns = 1500 * CLOCK_NS_PER_MS;
	assert_string_equal(
		json_of(snapshot, &filter),
		"{\"version\":1,\"domain\":\"unit\",\"taken_ms\":1500,\"off\":[],\"processes\":[{"
		"\"pid\":18,"
		"\"command\":\"idle\"," ZERO_LAYERS("") NOTHING_SAVED
		",\"calls\":{},\"served\":{},\"passed\":{}}],"
		"\"total\":{" ZERO_LAYERS(",\"histogram\":[]") NOTHING_SAVED
		",\"calls\":{\"memcached_get\":100,"
		"\"memcached_set\":4},\"served\":{\"memcached_get\":{\"keys\":100,\"memory\":100,"
		"\"memcached\":0,\"redis\":0,\"nowhere\":0,\"passed\":0,\"failed\":0,"
		"\"unknown\":0}},\"passed\":{\"too_long\":9}},"
		"\"redis\":{\"breaker\":\"closed\",\"unmarked\":0,\"generation\":7,"
		"\"writers\":\"one\"}}\n");
	assert_contains(json_of(sample(), &everything),
			"\"processes\":[{\"pid\":17,\"command\":\"php-fpm\",\"layers\":[{\"name\":"
			"\"memory\",\"hits\":75,\"misses\":25,");
	assert_contains(json_of(sample(), &everything), "},{\"pid\":18,");
}

static void test_json_numbers__are_whole_up_to_64_bits(void **state)
{
	struct stats_snapshot *snapshot = sample();

	snapshot->total.calls[0] = UINT64_MAX;
	assert_contains(json_of(snapshot, &everything), ":18446744073709551615");
}

static void test_json_text__is_always_valid(void **state)
{
	static const char *const texts[][2] = {
		{ "", "\"\"" },
		{ "a\"b\\c/", "\"a\\\"b\\\\c/\"" },
		{ "\n\t\x01\x1f\x7f", "\"\\u000a\\u0009\\u0001\\u001f\x7f\"" },
		{ "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
		  "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"" },
		{ "a\xffz", "\"a\\ufffdz\"" },
		{ "\x80", "\"\\ufffd\"" },			 /* continues nothing */
		{ "\xc3", "\"\\ufffd\"" },			 /* cut */
		{ "\xe2\x82", "\"\\ufffd\\ufffd\"" },		 /* cut */
		{ "\xe2\x82x", "\"\\ufffd\\ufffdx\"" },		 /* interrupted */
		{ "\xc0\x80", "\"\\ufffd\\ufffd\"" },		 /* overlong */
		{ "\xe0\x80\xaf", "\"\\ufffd\\ufffd\\ufffd\"" }, /* overlong */
		{ "\xf0\x80\x80\xaf", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"" },
		{ "\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\"" }, /* a surrogate */
		{ "\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"" },
		{ "\xf5", "\"\\ufffd\"" },
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		char text[64] = { 0 };
		FILE *out = fmemopen(text, sizeof(text), "w");
		struct json json = { .out = out };

		assert_non_null(out);
		json_text(&json, NULL, texts[i][0]);
		assert_int_equal(fclose(out), 0);
		assert_string_equal(text, texts[i][1]);
	}
}

/* The exit status of the command; what it prints is put into `ret_text`. */
static int run(char *ret_text, size_t n, int argc, const char *const *argv)
{
	char *arguments[8] = { 0 };
	FILE *printed = tmpfile();
	int before = dup(STDOUT_FILENO);
	int status;

	assert_non_null(printed);
	fflush(stdout);
	dup2(fileno(printed), STDOUT_FILENO);
	for (int i = 0; i < argc; i++) {
		arguments[i] = strdup(argv[i]);
	}
	status = cli_stat(&no_options, argc, arguments);
	dup2(before, STDOUT_FILENO);
	close(before);
	for (int i = 0; i < argc; i++) {
		free(arguments[i]);
	}
	rewind(printed);
	ret_text[fread(ret_text, 1, n - 1, printed)] = '\0';
	fclose(printed);
	return status;
}

#define RUN(text, ...)                                                                             \
	run((text), sizeof(text),                                                                  \
	    (int)(sizeof((const char *const[]){ "stat", __VA_ARGS__ }) / sizeof(char *)),          \
	    (const char *const[]){ "stat", __VA_ARGS__ })

static void test_wrong_arguments__are_usage_and_print_nothing(void **state)
{
	char text[64];

	assert_int_equal(RUN(text, "--jsonx"), CLI_USAGE);
	assert_int_equal(RUN(text, "extra"), CLI_USAGE);
	assert_int_equal(RUN(text, "--pid"), CLI_USAGE);
	assert_int_equal(RUN(text, "--pid", ""), CLI_USAGE);
	assert_int_equal(RUN(text, "--pid", "0"), CLI_USAGE);
	assert_int_equal(RUN(text, "--pid", "-1"), CLI_USAGE);
	assert_int_equal(RUN(text, "--pid", "12x"), CLI_USAGE);
	assert_int_equal(RUN(text, "--pid=99999999999999999999"), CLI_USAGE);
	assert_int_equal(RUN(text, "--layer"), CLI_USAGE);
	assert_int_equal(RUN(text, "--layer=disk"), CLI_USAGE);
	assert_int_equal(n_errors, 10);
	assert_string_equal(text, "");
}

static void test_no_file__nothing_has_run(void **state)
{
	char text[8192];

	assert_int_equal(RUN(text, "--layer", "memory"), CLI_OK);
	assert_string_equal(text,
			    "nothing has run in domain unit yet; everything is switched on\n");
	assert_int_equal(RUN(text, "--json"), CLI_OK);
	assert_string_equal(
		text,
		"{\"version\":1,\"domain\":\"unit\",\"taken_ms\":0,\"off\":[],\"processes\":[],"
		"\"total\":{" ZERO_LAYERS(",\"histogram\":[]") NOTHING_SAVED
		",\"calls\":{},\"served\":{},\"passed\":{}},"
		"\"redis\":{\"breaker\":\"closed\",\"unmarked\":0,\"generation\":0,"
		"\"writers\":\"one\"}}\n");
	assert_int_equal(access(stats_file_path, F_OK), -1);
	assert_int_equal(n_errors, 0);
	assert_int_equal(RUN(text, "--pid", "1"), CLI_FAILED);
}

static void test_own_process__is_found_by_pid(void **state)
{
	static const char *const calls[] = { "memcached_get" };
	static const struct stats_names names = { .calls = calls, .n_calls = 1 };
	struct stats *stats = stats_open(stats_file_path, "unit", &names);
	char text[8192];
	char pid[32];

	counter_add(&stats->counts->calls[0], 42);
	snprintf(pid, sizeof(pid), "--pid=%d", (int)getpid());
	assert_int_equal(RUN(text, pid, "--json"), CLI_OK);
	assert_contains(text, "\"calls\":{\"memcached_get\":42}");
	assert_int_equal(RUN(text, pid), CLI_OK);
	assert_lacks(text, "total");
	assert_int_equal(RUN(text, "--pid", "999999999"), CLI_FAILED);
	assert_string_equal(text, "");
	assert_int_equal(n_errors, 1);
	stats_close(&stats);
}

static void test_foreign_file__fails(void **state)
{
	char text[64];

	assert_int_equal(symlink("/etc/passwd", stats_file_path), 0);
	assert_int_equal(RUN(text, "--json"), CLI_FAILED);
	assert_string_equal(text, "");
	assert_int_equal(n_errors, 1);
}

static void test_full_output__fails(void **state)
{
	char *arguments[] = { strdup("stat"), strdup("--json"), NULL };
	int before = dup(STDOUT_FILENO);

	fflush(stdout);
	assert_non_null(freopen("/dev/full", "w", stdout));
	assert_int_equal(cli_stat(&no_options, 2, arguments), CLI_FAILED);
	assert_int_equal(n_errors, 1);
	clearerr(stdout);
	dup2(before, STDOUT_FILENO);
	close(before);
	free(arguments[0]);
	free(arguments[1]);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_table__has_shares_of_all_reads_and_only_layers_in_use),
		TEST(test_table__ends_with_the_total),
		TEST(test_rates__are_of_what_came_since),
		TEST(test_process_without_reads__has_no_share),
		TEST(test_unmarked_writes__are_said),
		TEST(test_other_domains__are_said),
		TEST(test_latencies__are_said_in_units_that_fit),
		TEST(test_saved__counts_a_batch_once),
		TEST(test_state__is_said),
		TEST(test_layer_filter__shows_that_layer_alone),
		TEST(test_hostile_command__does_not_reach_the_terminal),
		TEST(test_json__is_as_documented),
		TEST(test_json_numbers__are_whole_up_to_64_bits),
		TEST(test_json_text__is_always_valid),
		TEST(test_wrong_arguments__are_usage_and_print_nothing),
		TEST(test_no_file__nothing_has_run),
		TEST(test_own_process__is_found_by_pid),
		TEST(test_foreign_file__fails),
		TEST(test_full_output__fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
