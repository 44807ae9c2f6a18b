/* tower top: a full-screen live view.  The model and the picture are elsewhere; here is the
 * terminal. */
#include <curses.h>
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/snapshot.h"
#include "cli/switch.h"
#include "cli/top_screen.h"

#define EVERY_NS CLOCK_NS_PER_S

static volatile sig_atomic_t ended;

static void end(int signal)
{
	(void)signal;
	ended = 1;
}

static bool parse(int argc, char **argv, int64_t *ret_every_ns)
{
	for (int i = 1; i < argc; i++) {
		const char *value;

		if (!cli_takes_value(argc, argv, &i, "--every", &value)) {
			cli_error("top: what is '%s'? It takes --every TIME", argv[i]);
			return false;
		}
		if (!cli_parse_time("top: --every", value, ret_every_ns)) {
			return false;
		}
	}
	return true;
}

/* --- the terminal --- */

/* Of who answered, in the order of enum top_answer. */
static const short colours[TOP_ANSWERS] = { COLOR_BLUE, COLOR_YELLOW, COLOR_MAGENTA, -1 };
#define PAIR_ALARM (TOP_ANSWERS + 1)

static bool begin_colours(void)
{
	const char *none = getenv("NO_COLOR");

	if ((none && *none) || !has_colors() || start_color() == ERR ||
	    use_default_colors() == ERR) {
		return false;
	}
	for (int i = 0; i < TOP_ANSWERS; i++) {
		init_pair((short)(i + 1), colours[i], -1);
	}
	init_pair(PAIR_ALARM, COLOR_RED, -1);
	return true;
}

static bool begin_terminal(SCREEN **ret, struct top_screen *screen)
{
	const struct sigaction ends = { .sa_handler = end };

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
		cli_error("top: it needs a terminal; `tower stat --watch 1s` does not");
		return false;
	}
	/* Only what characters are: numbers stay as they are. */
	setlocale(LC_CTYPE, "");
	/* Before curses, which leaves handlers alone. */
	sigaction(SIGINT, &ends, NULL);
	sigaction(SIGTERM, &ends, NULL);
	sigaction(SIGHUP, &ends, NULL);
	*ret = newterm(NULL, stdout, stdin);
	if (*ret == NULL) {
		cli_error("top: the terminal (TERM = \"%s\") is not known",
			  getenv("TERM") ? getenv("TERM") : "");
		return false;
	}
	if (tigetstr("cup") == NULL) {
		endwin();
		delscreen(*ret);
		cli_error("top: the terminal (TERM = \"%s\") cannot move its cursor; "
			  "`tower stat --watch 1s` needs none that can",
			  getenv("TERM") ? getenv("TERM") : "");
		return false;
	}
	cbreak();
	noecho();
	keypad(stdscr, true);
	curs_set(0);
	screen->ascii = strcmp(nl_langinfo(CODESET), "UTF-8") != 0;
	screen->colours = begin_colours();
	return true;
}

static attr_t attributes_of(unsigned look)
{
	switch (look) {
	case TOP_BOLD:
		return A_BOLD;
	case TOP_TITLE:
		return A_REVERSE;
	case TOP_ALARM:
		return A_BOLD;
	default:
		return A_NORMAL;
	}
}

static short pair_of(unsigned look)
{
	if (look == TOP_ALARM) {
		return PAIR_ALARM;
	}
	return look >= TOP_OF_ANSWER ? (short)(look - TOP_OF_ANSWER + 1) : 0;
}

static void draw(const struct top_screen *screen)
{
	for (unsigned y = 0; y < screen->height; y++) {
		for (unsigned x = 0; x < screen->width; x++) {
			const struct top_cell *cell = &screen->cells[(size_t)y * screen->width + x];
			const wchar_t text[2] = { cell->glyph, L'\0' };
			cchar_t glyph;

			setcchar(&glyph, text, attributes_of(cell->look),
				 screen->colours ? pair_of(cell->look) : 0, NULL);
			mvadd_wch((int)y, (int)x, &glyph);
		}
	}
	refresh();
}

/* --- the loop --- */

struct view {
	const struct config *config;
	struct top *top;
	struct top_screen screen;
	struct top_about about;
};

/* False: there is no memory. */
static bool look(struct view *view)
{
	struct stats_snapshot *snapshot = NULL;
	char path[CONFIG_TEXT_MAX];

	config_stats_path(view->config, path, sizeof(path));
	view->about.off = switch_read(view->config);
	view->about.trouble = NULL;
	switch (stats_snapshot_take(path, &snapshot)) {
	case STATS_OK:
		return top_take(view->top, snapshot);
	case STATS_NONE:
		break;
	case STATS_FOREIGN:
		view->about.trouble = "the statistics are somebody else's, or of another version";
		break;
	case STATS_FAILED:
		view->about.trouble = "the statistics cannot be read";
		break;
	}
	return true;
}

static bool show(struct view *view)
{
	struct top_screen *screen = &view->screen;
	int height;
	int width;

	getmaxyx(stdscr, height, width);
	if ((unsigned)width != screen->width || (unsigned)height != screen->height) {
		if (!top_screen_resize(screen, (unsigned)width, (unsigned)height)) {
			return false;
		}
	}
	top_scroll(view->top, 0, top_screen_rows(screen));
	top_screen_show(screen, view->top, &view->about);
	draw(screen);
	return true;
}

static void sort_by(struct top *top, enum top_sort sort)
{
	top->sort = sort;
	top->scrolled = 0;
	top_sort(top);
}

/* False: the user wants to quit. */
static bool obey(struct view *view, int key)
{
	unsigned rows = top_screen_rows(&view->screen);
	struct top *top = view->top;

	switch (key) {
	case 'q':
		return false;
	case 'r':
		sort_by(top, TOP_BY_READS);
		break;
	case 'm':
		sort_by(top, TOP_BY_MEMORY);
		break;
	case 'b':
		sort_by(top, TOP_BY_BYTES);
		break;
	case 'p':
		sort_by(top, TOP_BY_PID);
		break;
	case 'c':
		sort_by(top, TOP_BY_COMMAND);
		break;
	case 'R':
		top->reversed = !top->reversed;
		sort_by(top, top->sort);
		break;
	case ' ':
		view->about.stopped = !view->about.stopped;
		break;
	case 'h':
	case '?':
		view->about.help = !view->about.help;
		break;
	case KEY_UP:
		top_scroll(top, -1, rows);
		break;
	case KEY_DOWN:
		top_scroll(top, 1, rows);
		break;
	case KEY_PPAGE:
		top_scroll(top, -(int)rows, rows);
		break;
	case KEY_NPAGE:
		top_scroll(top, (int)rows, rows);
		break;
	case KEY_HOME:
		top->scrolled = 0;
		break;
	default:
		break;
	}
	return true;
}

/* The key that was pressed until then, or ERR. */
static int key_until(int64_t ns)
{
	int64_t left = ns - clock_now_ns();

	timeout(left > 0 ? (int)(left / CLOCK_NS_PER_MS) + 1 : 0);
	return getch();
}

/* False: there is no memory. */
static bool run(struct view *view, int64_t every_ns)
{
	int64_t next_ns = clock_now_ns();
	bool well = true;
	bool on = true;

	while (well && on && !ended) {
		if (clock_now_ns() >= next_ns) {
			well = view->about.stopped || look(view);
			next_ns = clock_now_ns() + every_ns;
		}
		well = well && show(view);
		on = obey(view, key_until(next_ns));
	}
	return well;
}

int cli_top(const struct cli_options *options, int argc, char **argv)
{
	int64_t every_ns = EVERY_NS;
	struct config config;
	struct view view = { .config = &config, .about = { .domain = config.tower_name } };
	SCREEN *terminal;
	bool well;

	if (!parse(argc, argv, &every_ns)) {
		return CLI_USAGE;
	}
	if (!cli_load_config(options, &config) || !begin_terminal(&terminal, &view.screen)) {
		return CLI_FAILED;
	}
	view.about.every_s = (double)every_ns / CLOCK_NS_PER_S;
	view.top = top_new();
	well = view.top && run(&view, every_ns);
	/* A terminal without a second screen keeps the picture; what follows needs a line. */
	move(LINES - 1, 0);
	clrtoeol();
	refresh();
	endwin();
	delscreen(terminal);
	top_screen_free(&view.screen);
	top_free(&view.top);
	if (!well) {
		cli_error("top: out of memory");
		return CLI_FAILED;
	}
	return CLI_OK;
}
