#include "cli/top_screen.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/numbers.h"
#include "cli/switch.h"

/* Rows of the screen. */
enum {
	ROW_HEAD,
	ROW_REDIS,
	ROW_LAYERS,
	ROW_MEMORY = ROW_LAYERS + TOP_ANSWERS + 2,
	ROW_MORE,
	ROW_PROCESSES = ROW_MORE + 2,
};

/* Columns: of layers, then of processes. */
#define LAYER_BAR 24
#define LAYER_BAR_WIDTH 20
#define LAYER_TIMES 45
#define LAYER_HISTORY 63
#define PROCESS_BAR 35
#define PROCESS_BAR_WIDTH 20

/* Levels of a history, and what shares of bars look like without colours. */
static const wchar_t levels_ascii[] = L"_.:-=+*#";
static const wchar_t levels[] = L"▁▂▃▄▅▆▇█";
static const wchar_t fillings[TOP_ANSWERS + 1] = L"#=+.";
static const wchar_t block = L'█';
#define N_LEVELS 8

static const char *const answer_names[TOP_ANSWERS] = { "memory", "memcached", "redis", "nobody" };

bool top_screen_resize(struct top_screen *screen, unsigned width, unsigned height)
{
	struct top_cell *cells = calloc((size_t)width * height + 1, sizeof(*cells));

	if (cells == NULL) {
		return false;
	}
	free(screen->cells);
	screen->cells = cells;
	screen->width = width;
	screen->height = height;
	return true;
}

void top_screen_free(struct top_screen *screen)
{
	free(screen->cells);
	screen->cells = NULL;
}

static void put(struct top_screen *screen, unsigned y, unsigned x, wchar_t glyph, unsigned look)
{
	if (y < screen->height && x < screen->width) {
		screen->cells[(size_t)y * screen->width + x] =
			(struct top_cell){ glyph, (unsigned char)look };
	}
}

/* ASCII; answers the column behind it. */
__attribute__((format(printf, 5, 6))) static unsigned print(struct top_screen *screen, unsigned y,
							    unsigned x, unsigned look,
							    const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	for (const char *c = text; *c; c++) {
		put(screen, y, x++, (unsigned char)*c, look);
	}
	return x;
}

static void title(struct top_screen *screen, unsigned y)
{
	for (unsigned x = 0; x < screen->width; x++) {
		put(screen, y, x, L' ', TOP_TITLE);
	}
}

/* One after the other, as wide as their shares; what is left of `width` is nobody's. */
static void bar(struct top_screen *screen, unsigned y, unsigned x, unsigned width,
		const double *shares, unsigned first, unsigned n)
{
	double sum = 0;
	unsigned at = 0;

	for (unsigned i = first; i < first + n; i++) {
		unsigned end;

		sum += shares[i];
		end = (unsigned)(sum * width + 0.5);
		for (; at < end && at < width; at++) {
			bool solid = screen->colours && !screen->ascii && i != TOP_NOBODY;

			put(screen, y, x + at, solid ? block : fillings[i], TOP_OF_ANSWER + i);
		}
	}
	for (; at < width; at++) {
		put(screen, y, x + at, screen->ascii ? L' ' : L'·', TOP_FAINT);
	}
}

/* The last looks, the newest at the right end of the screen. */
static void history(struct top_screen *screen, unsigned y, unsigned x, const struct top *top,
		    unsigned answer)
{
	unsigned room = screen->width > x ? screen->width - x : 0;
	unsigned n = top->n_history < room ? top->n_history : room;
	const double *from = top->history[answer] + (top->n_history - n);
	double most = 0;

	for (unsigned i = 0; i < n; i++) {
		most = from[i] > most ? from[i] : most;
	}
	for (unsigned i = 0; i < n; i++) {
		unsigned level = most > 0 ? (unsigned)(from[i] / most * (N_LEVELS - 1) + 0.5) : 0;

		put(screen, y, x + (room - n) + i, (screen->ascii ? levels_ascii : levels)[level],
		    TOP_OF_ANSWER + answer);
	}
}

static void show_head(struct top_screen *screen, const struct top *top,
		      const struct top_about *about)
{
	unsigned n = top->n_processes;
	unsigned x = print(screen, ROW_HEAD, 0, TOP_BOLD, "tower top");

	x = print(screen, ROW_HEAD, x + 2, TOP_PLAIN, "%.30s: %u process%s, ", about->domain, n,
		  n == 1 ? "" : "es");
	print(screen, ROW_HEAD, x, about->off ? TOP_ALARM : TOP_PLAIN, "%s",
	      switch_text(about->off));
	if (about->stopped) {
		print(screen, ROW_REDIS, 0, TOP_ALARM, "stopped; space goes on");
	} else if (top->last && top->last->redis_open) {
		print(screen, ROW_REDIS, 0, TOP_ALARM,
		      "redis failed and is left alone for a while");
	} else if (top->last && top->last->redis_unmarked) {
		print(screen, ROW_REDIS, 0, TOP_ALARM, "keys that redis has yet to hear of: %llu",
		      (unsigned long long)top->last->redis_unmarked);
	} else {
		print(screen, ROW_REDIS, 0, TOP_FAINT, "every %g s", about->every_s);
	}
}

static void show_layer(struct top_screen *screen, const struct top *top, unsigned answer)
{
	unsigned y = ROW_LAYERS + 1 + answer;
	double share = top->reads.shares[answer];
	char rate[NUMBERS_MAX];

	print(screen, y, 0, TOP_OF_ANSWER + answer, "%s", answer_names[answer]);
	if (!top->has_rates) {
		return;
	}
	numbers_short(rate, top->reads.per_s * share);
	print(screen, y, 10, TOP_PLAIN, "%7s", rate);
	if (top->reads.per_s > 0) {
		print(screen, y, 18, TOP_BOLD, "%4.0f%%", 100 * share);
	}
	bar(screen, y, LAYER_BAR, LAYER_BAR_WIDTH, top->reads.shares, answer, 1);
	if (answer != TOP_NOBODY && top->latencies[answer].n) {
		char p50[NUMBERS_MAX];
		char p99[NUMBERS_MAX];

		numbers_ns(p50, top->latencies[answer].p50_ns);
		numbers_ns(p99, top->latencies[answer].p99_ns);
		print(screen, y, LAYER_TIMES, TOP_PLAIN, "%8s %8s", p50, p99);
	}
	history(screen, y, LAYER_HISTORY, top, answer);
}

static void show_layers(struct top_screen *screen, const struct top *top)
{
	title(screen, ROW_LAYERS);
	print(screen, ROW_LAYERS, 0, TOP_TITLE, "%-10s%7s %5s %-*s %8s %8s", "answered", "reads/s",
	      "share", LAYER_BAR_WIDTH, "", "get p50", "p99");
	print(screen, ROW_LAYERS, LAYER_HISTORY, TOP_TITLE, "%s", "reads/s lately");
	for (unsigned i = 0; i < TOP_ANSWERS; i++) {
		show_layer(screen, top, i);
	}
}

static void show_memory(struct top_screen *screen, const struct top *top)
{
	const struct stats_layer_values *memory = &top->last->total.layers[STATS_MEMORY];
	const double numbers[] = {
		(double)memory->items,
		top->fills_per_s[STATS_MEMORY],
		top->evictions_per_s,
		top->invalidated_per_s,
		top->expired_per_s,
		top->saved_per_s,
		top->passed_per_s,
		top->errors_per_s[STATS_MEMCACHED] + top->errors_per_s[STATS_REDIS]
	};
	char texts[sizeof(numbers) / sizeof(numbers[0])][NUMBERS_MAX];
	char bytes[NUMBERS_MAX];

	for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		numbers_short(texts[i], numbers[i]);
	}
	numbers_bytes(bytes, memory->bytes);
	print(screen, ROW_MEMORY, 0, TOP_PLAIN,
	      "memory: %s values, %s; taken %s/s, evicted %s/s, invalidated %s/s", texts[0], bytes,
	      texts[1], texts[2], texts[3]);
	print(screen, ROW_MORE, 0, TOP_PLAIN,
	      "expired %s/s; saved %s/s round trips; passed on %s/s calls; errors %s/s", texts[4],
	      texts[5], texts[6], texts[7]);
}

static void show_process(struct top_screen *screen, unsigned y, const struct top *top,
			 const struct top_process *process)
{
	char rate[NUMBERS_MAX];
	char bytes[NUMBERS_MAX];
	char items[NUMBERS_MAX];

	numbers_short(rate, process->reads.per_s);
	numbers_bytes(bytes, process->bytes);
	numbers_short(items, (double)process->items);
	print(screen, y, 0, TOP_PLAIN, "%7d %-17.17s", (int)process->pid, process->command);
	if (top->has_rates) {
		print(screen, y, 26, TOP_PLAIN, "%8s", rate);
	}
	if (process->reads.per_s > 0) {
		bar(screen, y, PROCESS_BAR, PROCESS_BAR_WIDTH, process->reads.shares, 0,
		    TOP_ANSWERS);
		print(screen, y, PROCESS_BAR + PROCESS_BAR_WIDTH, TOP_BOLD, " %4.0f%%",
		      100 * process->reads.shares[STATS_MEMORY]);
	}
	print(screen, y, 62, TOP_PLAIN, "%8s %8s", items, bytes);
}

unsigned top_screen_rows(const struct top_screen *screen)
{
	/* The titles above, the keys below. */
	return screen->height > ROW_PROCESSES + 2 ? screen->height - ROW_PROCESSES - 2 : 0;
}

static void show_processes(struct top_screen *screen, const struct top *top)
{
	static const char *const by[TOP_SORTS] = {
		[TOP_BY_READS] = "reads/s",   [TOP_BY_MEMORY] = "memory's share",
		[TOP_BY_BYTES] = "bytes",     [TOP_BY_PID] = "pid",
		[TOP_BY_COMMAND] = "command",
	};
	unsigned rows = top_screen_rows(screen);

	title(screen, ROW_PROCESSES);
	print(screen, ROW_PROCESSES, 0, TOP_TITLE, "%7s %-17s %8s %-*s %5s %8s %8s", "pid",
	      "command", "reads/s", PROCESS_BAR_WIDTH, "answered by", "mem.", "values", "bytes");
	for (unsigned i = 0; i < rows && top->scrolled + i < top->n_processes; i++) {
		show_process(screen, ROW_PROCESSES + 1 + i, top,
			     &top->processes[top->scrolled + i]);
	}
	/* On a low terminal it stands over something. */
	for (unsigned x = 0; x < screen->width; x++) {
		put(screen, screen->height - 1, x, L' ', TOP_PLAIN);
	}
	print(screen, screen->height - 1, 0, TOP_FAINT, "by %s%s   q quits, h helps", by[top->sort],
	      top->reversed ? ", reversed" : "");
}

static void show_help(struct top_screen *screen)
{
	static const char *const lines[] = {
		"Rates are of the time since the look before, latencies of the last ten looks.",
		"",
		"  r      sort by reads per second",
		"  m      sort by the share of reads that memory answers",
		"  b      sort by bytes in memory",
		"  p      sort by pid",
		"  c      sort by command",
		"  R      the other way round",
		"  up, down, page up, page down, home: other processes",
		"  space  stop, go on",
		"  h      this help, and back",
		"  q      quit",
		"",
		"In bars: # memory, = memcached, + redis, . nobody; or colours.",
	};

	for (unsigned i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		print(screen, ROW_LAYERS + i, 0, TOP_PLAIN, "%s", lines[i]);
	}
}

void top_screen_show(struct top_screen *screen, const struct top *top,
		     const struct top_about *about)
{
	for (size_t i = 0; i < (size_t)screen->width * screen->height; i++) {
		screen->cells[i] = (struct top_cell){ L' ', TOP_PLAIN };
	}
	show_head(screen, top, about);
	if (about->help) {
		show_help(screen);
	} else if (about->trouble || top->last == NULL) {
		print(screen, ROW_LAYERS, 0, TOP_PLAIN, "%s",
		      about->trouble ? about->trouble : "nothing has run in this domain yet");
	} else {
		show_layers(screen, top);
		show_memory(screen, top);
		show_processes(screen, top);
	}
}
