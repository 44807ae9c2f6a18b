/* Does `tower top` show what happened between two looks, sorted, within any screen? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "core/slots.h"
#include "layers/layer.h"

/* Unit tests are linked without the command line tool. */
#include "cli/numbers.c"
#include "cli/rates.c"
#include "cli/top_model.c"
#include "cli/top_screen.c"

const char *switch_text(unsigned off)
{
	return off ? "something is off" : "everything is switched on";
}

static struct top *top;
static int64_t now_ns;

static int set_up(void **state)
{
	now_ns = CLOCK_NS_PER_S;
	top = top_new();
	return top == NULL;
}

static int tear_down(void **state)
{
	top_free(&top);
	return 0;
}

/* A process of which memory, memcached, Redis and nobody answered so many reads. */
struct counted {
	pid_t pid;
	const char *command;
	unsigned memory, memcached, redis, nobody;
};

static void count(struct stats_values *values, const struct counted *counted)
{
	values->layers[STATS_MEMORY].hits += counted->memory;
	values->layers[STATS_MEMCACHED].hits += counted->memcached;
	values->layers[STATS_MEMCACHED].misses += counted->redis + counted->nobody;
	values->layers[STATS_REDIS].hits += counted->redis;
	values->layers[STATS_REDIS].misses += counted->nobody;
}

/* Two seconds after the one before; `ended`: what processes that ended have counted. */
static void look(const struct counted *counted, unsigned n, const struct counted *ended)
{
	struct stats_snapshot *snapshot = calloc(1, sizeof(*snapshot));

	assert_non_null(snapshot);
	snapshot->processes = calloc(n + 1, sizeof(snapshot->processes[0]));
	assert_non_null(snapshot->processes);
	snapshot->taken_ns = now_ns += 2 * CLOCK_NS_PER_S;
	snapshot->n_processes = n;
	for (unsigned i = 0; i < n; i++) {
		struct stats_process *process = &snapshot->processes[i];

		process->pid = counted[i].pid;
		strncpy(process->command, counted[i].command, STATS_COMMAND_MAX - 1);
		count(&process->values, &counted[i]);
		count(&snapshot->total, &counted[i]);
		process->values.layers[STATS_MEMORY].bytes = 1000 * (uint64_t)counted[i].pid;
		snapshot->total.layers[STATS_MEMORY].bytes +=
			process->values.layers[STATS_MEMORY].bytes;
	}
	if (ended) {
		count(&snapshot->total, ended);
	}
	assert_true(top_take(top, snapshot));
}

static void assert_near(double is, double expected)
{
	if (is < expected - 1e-9 || is > expected + 1e-9) {
		fail_msg("%g, not %g", is, expected);
	}
}

static const struct counted before[] = { { 7, "php", 100, 10, 0, 0 },
					 { 8, "perl", 5, 5, 5, 5 },
					 { 9, "idle", 0, 0, 0, 0 } };
static const struct counted after[] = { { 7, "php", 160, 30, 8, 22 },
					{ 8, "perl", 305, 5, 5, 5 },
					{ 9, "idle", 0, 0, 0, 0 } };

static void test_first_look__has_processes_and_no_rates(void **state)
{
	look(before, 3, NULL);
	assert_false(top->has_rates);
	assert_int_equal(top->n_processes, 3);
	assert_int_equal(top->n_history, 0);
	assert_near(top->processes[0].reads.per_s, 0);
}

static void test_second_look__has_rates_and_shares(void **state)
{
	look(before, 3, NULL);
	look(after, 3, NULL);
	assert_true(top->has_rates);
	assert_near(top->reads.per_s, (60 + 20 + 8 + 22 + 300) / 2.0);
	assert_near(top->reads.shares[STATS_MEMORY], 360 / 410.0);
	assert_near(top->reads.shares[TOP_NOBODY], 22 / 410.0);
	assert_int_equal(top->n_history, 1);
	assert_near(top->history[STATS_REDIS][0], 4);
	/* Most reads first. */
	assert_int_equal(top->processes[0].pid, 8);
	assert_near(top->processes[0].reads.per_s, 150);
	assert_near(top->processes[1].reads.per_s, 55);
	assert_near(top->processes[1].reads.shares[STATS_MEMCACHED], 20 / 110.0);
	assert_near(top->processes[2].reads.per_s, 0);
}

static void test_process_that_ends__goes_and_its_counts_are_no_rate(void **state)
{
	look(after, 3, NULL);
	look(after, 1, &(struct counted){ 0, "", 305, 5, 5, 5 });
	assert_int_equal(top->n_processes, 1);
	assert_near(top->reads.per_s, 0);
	assert_near(top->reads.shares[STATS_MEMORY], 0);
}

static void test_process_that_came__counts_from_nothing(void **state)
{
	look(before, 1, NULL);
	look(before, 2, NULL);
	assert_int_equal(top->processes[0].pid, 8);
	assert_near(top->processes[0].reads.per_s, 10);
}

static void test_processes__are_sorted_as_told(void **state)
{
	static const struct {
		enum top_sort sort;
		bool reversed;
		pid_t first, last;
	} cases[] = {
		{ TOP_BY_READS, false, 8, 9 },	 { TOP_BY_READS, true, 9, 8 },
		{ TOP_BY_MEMORY, false, 8, 9 },	 { TOP_BY_BYTES, false, 9, 7 },
		{ TOP_BY_PID, false, 7, 9 },	 { TOP_BY_PID, true, 9, 7 },
		{ TOP_BY_COMMAND, false, 9, 7 },
	};

	look(before, 3, NULL);
	look(after, 3, NULL);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		top->sort = cases[i].sort;
		top->reversed = cases[i].reversed;
		top_sort(top);
		assert_int_equal(top->processes[0].pid, cases[i].first);
		assert_int_equal(top->processes[2].pid, cases[i].last);
	}
}

static void test_scrolling__ends_at_both_ends(void **state)
{
	look(before, 3, NULL);
	top_scroll(top, -5, 2);
	assert_int_equal(top->scrolled, 0);
	top_scroll(top, 5, 2);
	assert_int_equal(top->scrolled, 1);
	top_scroll(top, 0, 10);
	assert_int_equal(top->scrolled, 0);
}

static void test_history__forgets_the_oldest(void **state)
{
	struct counted one = { 7, "php", 0, 0, 0, 0 };

	for (unsigned i = 0; i <= TOP_HISTORY + 5; i++) {
		one.memory += 2 * i;
		look(&one, 1, NULL);
	}
	assert_int_equal(top->n_history, TOP_HISTORY);
	assert_near(top->history[STATS_MEMORY][TOP_HISTORY - 1], TOP_HISTORY + 5);
	assert_near(top->history[STATS_MEMORY][0], 6);
}

static void look_with_gets(uint64_t ns, unsigned n)
{
	static uint64_t gets[LATENCY_BUCKETS];
	struct stats_snapshot *snapshot = calloc(1, sizeof(*snapshot));

	assert_non_null(snapshot);
	gets[latency_bucket(ns)] += n;
	memcpy(snapshot->total.latencies[STATS_MEMORY][STATS_GET].buckets, gets, sizeof(gets));
	snapshot->taken_ns = now_ns += CLOCK_NS_PER_S;
	assert_true(top_take(top, snapshot));
}

static void test_latencies__are_of_the_last_looks(void **state)
{
	look_with_gets(1000000, 50);
	assert_int_equal(top->latencies[STATS_MEMORY].n, 0);
	look_with_gets(100, 10);
	assert_int_equal(top->latencies[STATS_MEMORY].n, 10);
	assert_in_range(top->latencies[STATS_MEMORY].p99_ns, 90, 112);
	for (unsigned i = 0; i < TOP_WINDOW; i++) {
		look_with_gets(5000, 1);
	}
	assert_int_equal(top->latencies[STATS_MEMORY].n, TOP_WINDOW);
	assert_in_range(top->latencies[STATS_MEMORY].p50_ns, 4500, 5600);
}

/* --- the screen --- */

/* A row as text; what is not ASCII as '?'. */
static const char *row_of(const struct top_screen *screen, unsigned y)
{
	static char text[512];
	unsigned n = 0;

	for (unsigned x = 0; x < screen->width; x++) {
		wchar_t glyph = screen->cells[(size_t)y * screen->width + x].glyph;

		text[x] = glyph < 127 ? (char)glyph : '?';
		n = glyph != L' ' ? x + 1 : n;
	}
	text[n] = '\0';
	return text;
}

static void test_screen__of_80_by_24(void **state)
{
	struct top_screen screen = { .ascii = true };
	const struct top_about about = { .domain = "unit", .every_s = 1 };

	look(before, 3, NULL);
	look(after, 3, NULL);
	assert_true(top_screen_resize(&screen, 80, 24));
	top_screen_show(&screen, top, &about);
	assert_string_equal(row_of(&screen, 0),
			    "tower top  unit: 3 processes, everything is switched on");
	assert_string_equal(row_of(&screen, 3), "memory        180   88% ##################"
						"                                     #");
	assert_string_equal(row_of(&screen, 6),
			    "nobody         11    5% ."
			    "                                                      #");
	assert_string_equal(row_of(&screen, 12),
			    "      8 perl                   150 ####################  100%"
			    "        0     7.8K");
	assert_string_equal(row_of(&screen, 13),
			    "      7 php                     55 ###########====+....   55%"
			    "        0     6.8K");
	assert_string_equal(row_of(&screen, 14),
			    "      9 idle                     0                           "
			    "        0     8.8K");
	assert_string_equal(row_of(&screen, 23), "by reads/s   q quits, h helps");
	top_screen_free(&screen);
}

static void test_screen__of_any_size_is_filled_and_not_passed(void **state)
{
	struct top_screen screen = { .ascii = false };
	struct top_about about = { .domain = "a domain with quite a long name, longer than most",
				   .off = 1 };

	look(before, 3, NULL);
	look(after, 3, NULL);
	for (unsigned width = 1; width < 140; width += 23) {
		for (unsigned height = 1; height < 40; height += 5) {
			about.help = !about.help;
			assert_true(top_screen_resize(&screen, width, height));
			top_scroll(top, 1, top_screen_rows(&screen));
			/* Sanitizers and valgrind see what is written beside it. */
			top_screen_show(&screen, top, &about);
			for (unsigned i = 0; i < width * height; i++) {
				assert_int_not_equal(screen.cells[i].glyph, L'\0');
			}
		}
	}
	top_screen_free(&screen);
}

static void test_bars__are_told_apart_without_colours(void **state)
{
	struct top_screen screen = { .colours = false };
	const struct top_about about = { .domain = "unit" };

	look(before, 3, NULL);
	look(after, 3, NULL);
	assert_true(top_screen_resize(&screen, 80, 24));
	top_screen_show(&screen, top, &about);
	assert_non_null(strstr(row_of(&screen, 13), " ###########====+.... "));
	screen.colours = true;
	top_screen_show(&screen, top, &about);
	assert_non_null(strstr(row_of(&screen, 13), " ????????????????.... "));
	assert_int_equal(screen.cells[13 * 80 + 35].look, TOP_OF_ANSWER + STATS_MEMORY);
	assert_int_equal(screen.cells[13 * 80 + 46].look, TOP_OF_ANSWER + STATS_MEMCACHED);
	top_screen_free(&screen);
}

static void test_state__is_said(void **state)
{
	struct top_screen screen = { .ascii = true };
	struct top_about about = { .domain = "unit" };

	assert_true(top_screen_resize(&screen, 80, 24));
	top_screen_show(&screen, top, &about);
	assert_string_equal(row_of(&screen, 2), "nothing has run in this domain yet");
	about.trouble = "it is broken";
	top_screen_show(&screen, top, &about);
	assert_string_equal(row_of(&screen, 2), "it is broken");
	look(before, 1, NULL);
	top->last->redis_open = true;
	about.off = 1;
	top_screen_show(&screen, top, &about);
	assert_string_equal(row_of(&screen, 0), "tower top  unit: 1 process, something is off");
	assert_string_equal(row_of(&screen, 1), "redis failed and is left alone for a while");
	top_screen_free(&screen);
}

static void test_hostile_command__is_made_printable(void **state)
{
	const struct counted hostile = { 7, "a\033[2J\n\xc3\xa9", 0, 0, 0, 0 };

	look(&hostile, 1, NULL);
	assert_string_equal(top->processes[0].command, "a?[2J???");
}

static void test_numbers__are_short(void **state)
{
	static const struct {
		double n;
		const char *text;
	} cases[] = {
		{ 0, "0" },
		{ 0.44, "0.4" },
		{ 7, "7" },
		{ 98.34, "98.3" },
		{ 512.4, "512" },
		{ 999.4, "999" },
		{ 999.6, "1.0k" },
		{ 12345, "12.3k" },
		{ 4e6, "4.0M" },
		{ 123456789, "123M" },
		{ 1e30, "1000000000000E" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[NUMBERS_MAX];

		numbers_short(text, cases[i].n);
		assert_string_equal(text, cases[i].text);
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_first_look__has_processes_and_no_rates),
		TEST(test_second_look__has_rates_and_shares),
		TEST(test_process_that_ends__goes_and_its_counts_are_no_rate),
		TEST(test_process_that_came__counts_from_nothing),
		TEST(test_processes__are_sorted_as_told),
		TEST(test_scrolling__ends_at_both_ends),
		TEST(test_history__forgets_the_oldest),
		TEST(test_latencies__are_of_the_last_looks),
		TEST(test_screen__of_80_by_24),
		TEST(test_screen__of_any_size_is_filled_and_not_passed),
		TEST(test_bars__are_told_apart_without_colours),
		TEST(test_state__is_said),
		TEST(test_hostile_command__is_made_printable),
		TEST(test_numbers__are_short),
	};

	return cmocka_run_group_tests_name("top", tests, NULL, NULL);
}
