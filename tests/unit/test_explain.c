/* Does `tower explain` say what counts tell, and no more? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"

/* Unit tests are linked without the command line tool. */
#include "cli/explain_print.c"
#include "cli/numbers.c"
#include "cli/rates.c"
#include "cli/served.c"

const char *switch_text(unsigned off)
{
	return off ? "memory is switched off" : "everything is switched on";
}

static struct stats_snapshot snapshot;
static struct config config;
static struct explain_run run;
static char *command[] = { (char[]){ "php" }, (char[]){ "a\033b" }, NULL };

/* A program that was called a thousand times, and asked memory alone. */
static int set_up(void **state)
{
	char why[CONFIG_WHY_MAX];

	memset(&snapshot, 0, sizeof(snapshot));
	strcpy(snapshot.calls[0], "memcached_get_by_key");
	strcpy(snapshot.calls[1], "memcached_touch");
	strcpy(snapshot.reasons[0], "none");
	strcpy(snapshot.reasons[1], "udp");
	snapshot.n_calls = 2;
	snapshot.n_reasons = 2;
	snapshot.total.calls[0] = 1000;
	snapshot.total.layers[STATS_MEMORY].hits = 1000;
	run = (struct explain_run){ .command = command, .seconds = 1.5 };
	return config_load(&config, NULL, why) == CONFIG_OK ? 0 : -1;
}

static const char *text(void)
{
	static char page[16384];
	FILE *out = fmemopen(page, sizeof(page), "w");

	assert_non_null(out);
	explain_print(&snapshot, &config, &run, out);
	assert_int_equal(fclose(out), 0);
	return page;
}

static void assert_says(const char *part)
{
	const char *page = text();

	if (!strstr(page, part)) {
		fail_msg("'%s' is not in:\n%s", part, page);
	}
}

static void assert_silent(const char *part)
{
	if (strstr(text(), part)) {
		fail_msg("'%s' is in:\n%s", part, text());
	}
}

static void test_end_of_the_program__is_said(void **state)
{
	assert_says("tower explain: php a?b\nended with status 0 after 1.50 s\n");
	run.status = 3 << 8;
	assert_says("ended with status 3 after");
	run.status = 9;
	run.off = 1;
	assert_says("ended by signal 9 after 1.50 s\nmemory is switched off in this domain");
}

static void test_no_call__is_explained(void **state)
{
	snapshot.total.calls[0] = 0;
	assert_says("No call of libmemcached was seen.");
	assert_silent("Who answered");
}

static void test_answers__are_shares_of_all_reads(void **state)
{
	snapshot.total.layers[STATS_MEMCACHED].hits = 500;
	snapshot.total.layers[STATS_MEMCACHED].misses = 500;
	assert_says("  memory             1000   50.0%\n");
	assert_says("  memcached           500   25.0%\n");
	assert_says("  nobody              500   25.0%\n");
	assert_silent("  redis ");
	config.tower_layers |= CONFIG_LAYER_REDIS;
	snapshot.total.layers[STATS_REDIS].hits = 400;
	snapshot.total.layers[STATS_REDIS].promotions = 7;
	assert_says("  redis               400   20.0%\n");
}

static void test_time_saved__is_of_mean_times_or_not_known(void **state)
{
	struct latency_values *there = &snapshot.total.latencies[STATS_MEMCACHED][STATS_GET];
	struct latency_values *here = &snapshot.total.latencies[STATS_MEMORY][STATS_GET];

	assert_says("  1000 round trips to memcached, 0 bytes of values\n"
		    "  How long they would have taken is not known");
	there->buckets[latency_bucket(20000)] = 10;
	there->sum_ns = 10 * 20100;
	here->buckets[latency_bucket(100)] = 10;
	here->sum_ns = 10 * 100;
	assert_says("  about 20.0ms of 1.50 s");
	/* What came in batches is not known by single gets. */
	snapshot.total.layers[STATS_MEMORY].batches = 1;
	assert_says("is not known");
}

static void test_nothing_lost__nothing_would_have_been_saved(void **state)
{
	assert_says("More memory (memory.max_bytes=16M): nothing.");
	assert_says("A longer stay in memory (memory.ttl=1s): nothing.");
	assert_says("Redis beneath memcached: nothing.");
	assert_silent("at most");
	assert_silent("  (");
}

static void test_bounds__are_no_more_than_what_was_missed(void **state)
{
	struct stats_layer_values *memory = &snapshot.total.layers[STATS_MEMORY];

	memory->evictions = 70;
	memory->expired = 30;
	memory->misses = 50;
	memory->ghost_hits = 40;
	snapshot.total.layers[STATS_MEMCACHED].misses = 20;
	snapshot.total.layers[STATS_MEMCACHED].ghost_hits = 12;
	assert_says(
		"Memory for everything (memory.max_bytes=16M): about 40 reads, at most 50.\n    It "
		"dropped 70");
	assert_says("(memory.ttl=1s): at most 30 reads.\n    30 values");
	assert_says("Redis beneath memcached: 12 to 20 reads.\n");
	config.tower_layers |= CONFIG_LAYER_REDIS;
	snapshot.total.layers[STATS_REDIS].hits = 15;
	snapshot.total.layers[STATS_REDIS].promotions = 4;
	assert_says("answered 15 of 20 reads that memcached missed,\n    and put 4 of its values");
	config.tower_layers = CONFIG_LAYER_MEMCACHED;
	assert_silent("More memory");
}

static void test_reasons_and_functions__are_in_words(void **state)
{
	assert_says("What went to memcached as it was\n  nothing\n");
	snapshot.total.passed[1] = 12;
	assert_says("  udp                            12  everything of a handle in UDP mode\n"
		    "                                     why: libmemcached cannot read");
	assert_says("memcached_get_by_key                                 1000  memory, memcached, "
		    "Redis: the first that has the key answers; the server is that of the group");
	assert_silent("memcached_touch");
	for (const char *line = text(); line; line = strchr(line + 1, '\n')) {
		assert_true(strcspn(line + 1, "\n") <= WIDTH || strstr(line, "memcached_get"));
	}
}

static void test_keys__are_told_by_function_and_place(void **state)
{
	uint64_t(*reads)[STATS_READ_COUNTS] = snapshot.total.reads;

	assert_says("Redis: the first that has the key answers; the server is that of the group "
		    "key\n    1000 keys: memory 1000, memcached 0, nowhere 0, passed on 0\n");
	/* What asked further says where that was found; the others were hits at once. */
	reads[0][STATS_READ_ASKED] = 212;
	reads[0][STATS_READ_LAYERS + STATS_MEMCACHED] = 200;
	reads[0][STATS_READ_LAYERS + STATS_REDIS] = 3;
	reads[0][STATS_READ_NOWHERE] = 7;
	reads[0][STATS_READ_FAILED] = 2;
	assert_says("    1000 keys: memory 788, memcached 200, redis 3, nowhere 7, passed on 0, "
		    "failed 2\n");
	/* A request for several keys is no key, and says where memory answered. */
	strcpy(snapshot.calls[2], "memcached_mget");
	snapshot.n_calls = 3;
	snapshot.total.calls[2] = 4;
	reads[2][STATS_READ_ASKED] = 400;
	reads[2][STATS_READ_LAYERS + STATS_MEMORY] = 90;
	reads[2][STATS_READ_PASSED] = 300;
	assert_says("    400 keys: memory 90, memcached 0, nowhere 0, passed on 300, not fetched "
		    "10\n");
	/* Read while they are counted: never below nothing. */
	reads[2][STATS_READ_ASKED] = 300;
	reads[0][STATS_READ_ASKED] = 2000;
	assert_says("    390 keys: memory 90, memcached 0, nowhere 0, passed on 300\n");
	assert_says("    2000 keys: memory 0, ");
	/* A write has no such line. */
	snapshot.total.calls[1] = 5;
	assert_says("copies are forgotten\n");
}

static void test_losses__are_said(void **state)
{
	snapshot.total.layers[STATS_MEMORY].invalidated = 5;
	snapshot.total.layers[STATS_MEMORY].rejected = 6;
	snapshot.total.layers[STATS_REDIS].errors = 7;
	snapshot.total.layers[STATS_REDIS].timeouts = 2;
	assert_says("(5 values left memory because they were written");
	assert_says("(6 values were not kept in memory");
	assert_says("(7 operations on redis failed, 2 of them by their time limit.)");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup(f, set_up)
	const struct CMUnitTest tests[] = {
		TEST(test_end_of_the_program__is_said),
		TEST(test_no_call__is_explained),
		TEST(test_answers__are_shares_of_all_reads),
		TEST(test_time_saved__is_of_mean_times_or_not_known),
		TEST(test_nothing_lost__nothing_would_have_been_saved),
		TEST(test_bounds__are_no_more_than_what_was_missed),
		TEST(test_reasons_and_functions__are_in_words),
		TEST(test_keys__are_told_by_function_and_place),
		TEST(test_losses__are_said),
	};

	return cmocka_run_group_tests_name("explain", tests, NULL, NULL);
}
