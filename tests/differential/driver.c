/*
 * The differential test: the same long random sequence of libmemcached's
 * operations, by several processes that take turns, on two sides: plain, and
 * under the tower.  Everything that a program can see must be the same.
 *
 *	differential --library FILE --folder FOLDER [--seed N] [--steps N]
 *	             [--processes N] [--trace FILE] [--big]
 *
 * With --big the tower's memcached servers are so small that they evict all the
 * time, those of the plain side have room for everything, and Redis lies under
 * the tower: to a program that is one big memcached (big.c).
 *
 * One run has one seed, from which everything follows: the tower's
 * configuration, the sequence, the moves of the clock.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/differential/board.h"
#include "tests/differential/differential.h"
#include "tests/differential/random.h"
#include "tests/differential/report.h"
#include "tests/differential/side.h"
#include "tests/differential/timeline.h"

#define TURN_STEPS_MAX 24
#define TURN_MS 120000 /* of real time: then a worker hangs */
#define LOOK_MS 500
#define KEY_MAX 250
#define SETTINGS_MAX 24

/* -R: the barriers of the workers rest on answers in the order of the questions. */
static const char memcached_args[] = "-t 1 -R 1000000 -m 1024 -o no_lru_crawler,no_lru_maintainer";

/* The least that it can do with: a page for each of a few sizes of items. */
static const char small_memcached_args[] = "-t 1 -R 1000000 -m 2 -f 4 "
					   "-o no_lru_crawler,no_lru_maintainer";

struct options {
	const char *library;
	const char *folder;
	const char *trace;
	uint64_t seed;
	uint64_t steps;
	unsigned processes;
	bool is_big;
};

struct run {
	struct options options;
	struct random random;
	struct timeline timeline;
	struct board *board;
	struct side_plan plans[BOARD_SIDES];
	struct side sides[BOARD_SIDES];
	struct report report;
	const char *settings[SETTINGS_MAX]; /* the tower's: name, value, ..., NULL */
	size_t n_settings;
	char clock_library[PATH_MAX];
	char clock_path[PATH_MAX];
	char board_path[PATH_MAX];
	uint64_t step;
	uint32_t n_done;
};

static bool usage(void)
{
	fprintf(stderr, "usage: differential --library FILE --folder FOLDER [--seed N] [--steps N] "
			"[--processes N] [--trace FILE] [--big]\n");
	return false;
}

static bool read_options(struct options *options, int n_args, char **args)
{
	static const struct option names[] = {
		{ "library", required_argument, NULL, 'l' },
		{ "folder", required_argument, NULL, 'f' },
		{ "seed", required_argument, NULL, 's' },
		{ "steps", required_argument, NULL, 'n' },
		{ "processes", required_argument, NULL, 'p' },
		{ "trace", required_argument, NULL, 't' },
		{ "big", no_argument, NULL, 'b' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	*options = (struct options){ .seed = 1, .steps = 10000, .processes = 3 };
	while ((option = getopt_long(n_args, args, "", names, NULL)) != -1) {
		switch (option) {
		case 'l':
			options->library = optarg;
			break;
		case 'f':
			options->folder = optarg;
			break;
		case 's':
			options->seed = strtoull(optarg, NULL, 10);
			break;
		case 'n':
			options->steps = strtoull(optarg, NULL, 10);
			break;
		case 'p':
			options->processes = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 't':
			options->trace = optarg;
			break;
		case 'b':
			options->is_big = true;
			break;
		default:
			return usage();
		}
	}
	if (optind != n_args || !options->library || !options->folder || options->processes == 0 ||
	    options->processes > BOARD_WORKERS_MAX) {
		return usage();
	}
	return true;
}

/* --- the tower's configuration --- */

static void add_setting(struct run *run, const char *name, const char *value)
{
	run->settings[run->n_settings++] = name;
	run->settings[run->n_settings++] = value;
	printf(" %s=%s", name, value);
}

static const char *one_of(struct run *run, const char *const *values, uint32_t n)
{
	return values[random_below(&run->random, n)];
}

/* All that a value can come through on its way, and back. */
static void choose_big_settings(struct run *run)
{
	static const char *const layers[] = { "memcached, redis", "memory, memcached, redis" };
	/* None ends in a round; for ever takes scripts. */
	static const char *const ends[] = { "0", "10000h" };
	static const char *const promotions[] = { "again", "always", "never" };
	static const char *const lives[] = { "1s", "0" };
	static const char *const connections[] = { "1", "4" };

	printf("seed %llu: one big memcached", (unsigned long long)run->options.seed);
	add_setting(run, "TOWER_LAYERS", one_of(run, layers, 2));
	add_setting(run, "TOWER_MEMORY_TTL", one_of(run, lives, 2));
	add_setting(run, "TOWER_MEMORY_MAX_BYTES", "64K");
	add_setting(run, "TOWER_REDIS_PROMOTE", one_of(run, promotions, 3));
	add_setting(run, "TOWER_REDIS_CONNECTIONS", one_of(run, connections, 2));
	add_setting(run, "TOWER_REDIS_TTL", one_of(run, ends, 2));
	printf("\n");
	fflush(stdout);
}

/* Half of the runs are as most programs will be; the others go to the edges. */
static void choose_settings(struct run *run)
{
	static const char *const policies[] = { "lru", "fifo", "s3fifo" };
	static const char *const lives[] = { "1s", "10s", "0", "1m" };
	static const char *const sizes[] = { "16M", "16M", "64K", "512K" };
	static const char *const slots[] = { "64K", "64K", "1K" };
	static const char *const prefixes[] = { "tower:", "ns1:", "t" };

	bool has_expiries = random_percent(&run->random, 50);

	run->plans[0].has_expiries = has_expiries;
	run->plans[1].has_expiries = has_expiries;
	printf("seed %llu: %s", (unsigned long long)run->options.seed,
	       has_expiries ? "expiries" : "several servers");
	if (random_percent(&run->random, 50)) {
		add_setting(run, "TOWER_MEMORY_TTL", one_of(run, lives, 4));
	}
	if (random_percent(&run->random, 50)) {
		add_setting(run, "TOWER_MEMORY_POLICY", one_of(run, policies, 3));
		add_setting(run, "TOWER_MEMORY_MAX_BYTES", one_of(run, sizes, 4));
		add_setting(run, "TOWER_COHERENCE_SLOTS", one_of(run, slots, 3));
	}
	if (random_percent(&run->random, 35)) {
		const char *prefix = one_of(run, prefixes, 3);

		add_setting(run, "TOWER_MEMCACHED_NAMESPACE", prefix);
		/* The configured namespace takes from the limit of 250 bytes. */
		run->plans[0].key_max -= strlen(prefix);
		run->plans[1].key_max -= strlen(prefix);
	}
	printf("\n");
	fflush(stdout);
}

/* --- begin and end --- */

static bool in_build(char *ret_path, const char *name)
{
	char program[PATH_MAX] = "";

	if (readlink("/proc/self/exe", program, sizeof(program) - 1) < 0) {
		return false;
	}
	*strrchr(program, '/') = '\0';
	snprintf(ret_path, PATH_MAX, "%s/%s", program, name);
	return true;
}

static bool open_run(struct run *run)
{
	struct options *options = &run->options;

	run->random.state = options->seed;
	for (int i = 0; i < BOARD_SIDES; i++) {
		run->plans[i] = (struct side_plan){
			.name = i == 0 ? "plain" : "tower",
			.preload = i == 0 ? NULL : options->library,
			.environment = i == 0 ? run->settings + SETTINGS_MAX - 1 : run->settings,
			.memcached_args =
				options->is_big && i == 1 ? small_memcached_args : memcached_args,
			.key_max = KEY_MAX,
			.is_big = options->is_big,
			.has_redis = options->is_big && i == 1,
		};
	}
	(options->is_big ? choose_big_settings : choose_settings)(run);
	snprintf(run->clock_path, PATH_MAX, "%s/clock", options->folder);
	snprintf(run->board_path, PATH_MAX, "%s/board", options->folder);
	if (!in_build(run->clock_library, "clock.so") ||
	    !timeline_open(&run->timeline, run->clock_path, random_below(&run->random, 1000)) ||
	    !report_open(&run->report, options->trace)) {
		return false;
	}
	setenv(CLOCK_FILE_VARIABLE, run->clock_path, 1);
	run->board = board_map(run->board_path, true);
	if (run->board == NULL) {
		perror(run->board_path);
		return false;
	}
	for (unsigned i = 0; i < BOARD_SIDES; i++) {
		if (!side_open(&run->sides[i], &run->plans[i], i, run->clock_library,
			       options->folder) ||
		    !side_start(&run->sides[i], run->clock_library, run->board_path,
				options->processes, options->seed)) {
			return false;
		}
	}
	return true;
}

static void close_run(struct run *run)
{
	for (int i = 0; i < BOARD_SIDES; i++) {
		side_close(&run->sides[i]);
	}
	report_close(&run->report);
}

/* --- turns --- */

static void say_ended(const struct run *run, unsigned worker, unsigned side, int status)
{
	const struct board_seat *seat = &run->board->seats[side][worker];
	size_t n = atomic_load(&seat->n_text);
	size_t line = n;

	printf("%s: worker %u ended with status %#x in\n", run->plans[side].name, worker,
	       (unsigned)status);
	while (line > 0 && seat->text[line - 1] != '\n') {
		line--;
	}
	printf("  %.*s\n", (int)(n - line), seat->text + line);
}

/* Waits for both sides; a worker that ends or hangs meanwhile is an outcome, too. */
static bool wait_for_turn(struct run *run, unsigned worker)
{
	for (int waited = 0; waited < TURN_MS; waited += LOOK_MS) {
		if (board_wait_done(run->board, run->n_done, LOOK_MS)) {
			return true;
		}
		for (unsigned side = 0; side < BOARD_SIDES; side++) {
			int status;

			/* A worker ends well only after its last turn. */
			if (side_has_ended(&run->sides[side], worker, &status) && status != 0) {
				say_ended(run, worker, side, status);
				return false;
			}
		}
	}
	printf("worker %u hangs\n", worker);
	for (unsigned side = 0; side < BOARD_SIDES; side++) {
		say_ended(run, worker, side, 0);
	}
	return false;
}

static void say_difference(struct run *run, unsigned worker)
{
	const struct board_seat *plain = &run->board->seats[0][worker];
	const struct board_seat *tower = &run->board->seats[1][worker];
	const char *const names[] = { run->plans[0].name, run->plans[1].name };
	const char *const texts[] = { plain->text, tower->text };
	const size_t lengths[] = { atomic_load(&plain->n_text), atomic_load(&tower->n_text) };

	report_difference(&run->report, names, texts, lengths);
}

/* `n_steps` of 0: the worker's last turn. */
static bool take_turn(struct run *run, unsigned worker, uint32_t n_steps)
{
	struct board_seat *plain = &run->board->seats[0][worker];
	struct board_seat *tower = &run->board->seats[1][worker];
	size_t n;

	run->n_done += BOARD_SIDES;
	for (int side = 0; side < BOARD_SIDES; side++) {
		struct board_seat *seat = &run->board->seats[side][worker];

		seat->first_step = run->step;
		seat->n_steps = n_steps;
		board_give(seat);
	}
	if (!wait_for_turn(run, worker)) {
		say_difference(run, worker);
		return false;
	}
	n = atomic_load(&plain->n_text);
	if (n != atomic_load(&tower->n_text) || memcmp(plain->text, tower->text, n) != 0) {
		say_difference(run, worker);
		return false;
	}
	report_add(&run->report, plain->text, n);
	return true;
}

/* Mostly it stands still; sometimes long enough that everything has ended. */
static bool move_clock(struct run *run)
{
	uint32_t kind = random_below(&run->random, 1000);
	uint32_t ms = kind < 60	  ? random_below(&run->random, 400)
		      : kind < 70 ? random_below(&run->random, 3000)
		      : kind < 37 ? random_below(&run->random, 20000)
				  : 0;

	if (run->options.is_big) {
		ms = kind < 60 ? BIG_SECOND * (1 + kind % 4) * 1000 : 0;
	}
	return timeline_move(&run->timeline, run->sides, ms);
}

static bool take_turns(struct run *run)
{
	while (run->step < run->options.steps) {
		unsigned worker = random_below(&run->random, run->options.processes);
		uint64_t left = run->options.steps - run->step;
		uint32_t n_steps = 1 + random_below(&run->random, TURN_STEPS_MAX);

		n_steps = n_steps < left ? n_steps : (uint32_t)left;
		if (!move_clock(run) || !take_turn(run, worker, n_steps)) {
			return false;
		}
		run->step += n_steps;
	}
	for (unsigned worker = 0; worker < run->options.processes; worker++) {
		if (!take_turn(run, worker, 0)) {
			return false;
		}
	}
	return side_finish(&run->sides[0]) && side_finish(&run->sides[1]);
}

int main(int n_args, char **args)
{
	static struct run run;
	bool well;

	if (n_args == 8 && strcmp(args[1], "worker") == 0) {
		return worker_main(args + 2);
	}
	if (!read_options(&run.options, n_args, args)) {
		return 2;
	}
	well = open_run(&run) && take_turns(&run);
	close_run(&run);
	printf("seed %llu: %llu steps, %u processes, %s\n", (unsigned long long)run.options.seed,
	       (unsigned long long)run.step, run.options.processes,
	       well ? "0 differences" : "DIFFERENT");
	return well ? EXIT_SUCCESS : EXIT_FAILURE;
}
