/* Is config.h right: what is read from where, and what is refused with which words? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/env.h"
#include "core/config.h"

#define SECOND CLOCK_NS_PER_S

static char path[] = "/tmp/tower-test-config-XXXXXX";
static int fd; /* of path */
static struct config config;
static char why[CONFIG_WHY_MAX];

static void write_file(const char *bytes, size_t n)
{
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(pwrite(fd, bytes, n, 0), n);
}

static enum config_status load_bytes(const char *bytes, size_t n)
{
	write_file(bytes, n);
	memset(why, 0, sizeof(why));
	return config_load(&config, path, why);
}

static enum config_status load(const char *text)
{
	return load_bytes(text, strlen(text));
}

static void assert_loads(const char *text)
{
	if (load(text) != CONFIG_OK) {
		fail_msg("\"%s\": %s", text, why);
	}
}

/* Refused, with an error that begins with the file's name and `expected`. */
static void assert_refused(const char *text, const char *expected)
{
	char full[CONFIG_WHY_MAX];

	if (load(text) == CONFIG_OK) {
		fail_msg("\"%s\" was accepted", text);
	}
	snprintf(full, sizeof(full), "%s:%s", path, expected);
	if (strncmp(why, full, strlen(full)) != 0) {
		fail_msg("\"%s\": %s; expected: %s", text, why, full);
	}
	if (!strstr(why, "allowed")) {
		fail_msg("\"%s\": %s; does not say what is allowed", text, why);
	}
}

static void set_environment(const char *const *variables)
{
	env_capture((char *const *)(uintptr_t)variables);
}

static int clear(void **state)
{
	(void)state;
	env_capture(NULL);
	memset(&config, 0, sizeof(config));
	return 0;
}

static void assert_option(const char *option)
{
	memset(why, 0, sizeof(why));
	if (config_option(&config, option, why) != CONFIG_OK) {
		fail_msg("%s: %s", option, why);
	}
}

static void test_empty_file__all_defaults(void **state)
{
	(void)state;
	assert_loads("");
	assert_int_equal(config.tower_layers, CONFIG_LAYER_MEMORY | CONFIG_LAYER_MEMCACHED);
	assert_string_equal(config.tower_name, "default");
	assert_string_equal(config.tower_log, "stderr");
	assert_int_equal(config.tower_log_level, 1);
	assert_int_equal(config.tower_rtld_deepbind, CONFIG_DEEPBIND_CLEAR);
	assert_int_equal(config.memory_max_bytes, 16 << 20);
	assert_int_equal(config.memory_ttl, SECOND);
	assert_int_equal(config.memory_ttl_jitter, 10);
	assert_string_equal(config.memcached_namespace, "");
	assert_int_equal(config.memcached_ttl, 0);
	assert_string_equal(config.redis_url, "redis://127.0.0.1:6379/0");
	assert_int_equal(config.redis_timeout, 50 * CLOCK_NS_PER_MS);
	assert_int_equal(config.redis_ttl, 3600 * SECOND);
	assert_int_equal(config.stats_enabled, 1);
	assert_false(config.disabled);
	for (unsigned key = 0; key < CONFIG_N_KEYS; key++) {
		assert_int_equal(config.source[key], CONFIG_FROM_DEFAULT);
	}
}

static void test_environment_names__are_different(void **state)
{
	char names[CONFIG_N_KEYS][64];

	(void)state;
	for (unsigned i = 0; i < CONFIG_N_KEYS; i++) {
		config_environment_name((enum config_key)i, names[i]);
		assert_string_not_equal(names[i], "TOWER_CONFIG");
		assert_string_not_equal(names[i], "TOWER_DISABLE");
		assert_string_not_equal(names[i], "TOWER_LIBRARY");
		for (unsigned j = 0; j < i; j++) {
			assert_string_not_equal(names[i], names[j]);
		}
	}
	assert_string_equal(names[CONFIG_KEY_memory_ttl], "TOWER_MEMORY_TTL");
	assert_string_equal(names[CONFIG_KEY_tower_log_level], "TOWER_LOG_LEVEL");
}

static void test_sources__the_later_wins_and_is_remembered(void **state)
{
	static const char *const variables[] = { "TOWER_MEMORY_TTL=3s", "TOWER_NAME=env",
						 "TOWER_MEMORY_MAX_ITEMS=9", NULL };

	(void)state;
	set_environment(variables);
	assert_loads("[memory]\nttl = 2s\nmax_bytes = 1M\n\n[tower]\nname = file\n");
	assert_option("tower.name=option");
	assert_string_equal(config.tower_name, "option");
	assert_int_equal(config.source[CONFIG_KEY_tower_name], CONFIG_FROM_OPTION);
	assert_int_equal(config.memory_ttl, 3 * SECOND);
	assert_int_equal(config.source[CONFIG_KEY_memory_ttl], CONFIG_FROM_ENVIRONMENT);
	assert_int_equal(config.memory_max_bytes, 1 << 20);
	assert_int_equal(config.source[CONFIG_KEY_memory_max_bytes], CONFIG_FROM_FILE);
	assert_int_equal(config.line[CONFIG_KEY_memory_max_bytes], 3);
	assert_int_equal(config.memory_max_items, 9);
	assert_int_equal(config.source[CONFIG_KEY_redis_ttl], CONFIG_FROM_DEFAULT);
	assert_string_equal(config.file, path);
}

static void test_tower_config__names_the_file(void **state)
{
	char variable[128];
	const char *variables[] = { variable, NULL };

	(void)state;
	snprintf(variable, sizeof(variable), "TOWER_CONFIG=%s", path);
	set_environment(variables);
	write_file("[tower]\nname=x\n", 15);
	assert_int_equal(config_load(&config, NULL, why), CONFIG_OK);
	assert_string_equal(config.tower_name, "x");
	assert_string_equal(config.file, path);
}

static void test_stats_path__is_made_of_user_and_name(void **state)
{
	char expected[128];
	char made[CONFIG_TEXT_MAX];

	(void)state;
	assert_loads("[tower]\nname = shop\n");
	snprintf(expected, sizeof(expected), "/dev/shm/tower-stats-%u-shop", (unsigned)geteuid());
	config_stats_path(&config, made, sizeof(made));
	assert_string_equal(made, expected);
	assert_option("stats.path=/run/s");
	config_stats_path(&config, made, sizeof(made));
	assert_string_equal(made, "/run/s");
}

static void test_disabled__nothing_else_is_read(void **state)
{
	static const char *const variables[] = { "TOWER_DISABLE=1", "TOWER_MEMORY_TTL=wrong",
						 "TOWER_CONFIG=/nowhere", NULL };

	(void)state;
	set_environment(variables);
	assert_int_equal(config_load(&config, NULL, why), CONFIG_OK);
	assert_true(config.disabled);
	assert_int_equal(config.memory_ttl, SECOND);
	assert_loads("[broken");
	assert_true(config.disabled);
}

static void test_not_disabled__zero_or_nothing(void **state)
{
	static const char *const zero[] = { "TOWER_DISABLE=0", NULL };
	static const char *const nothing[] = { "TOWER_DISABLE=", NULL };
	static const char *const yes[] = { "TOWER_DISABLE=yes", NULL };

	(void)state;
	set_environment(zero);
	assert_loads("");
	assert_false(config.disabled);
	set_environment(nothing);
	assert_loads("");
	assert_false(config.disabled);
	set_environment(yes);
	assert_int_equal(load(""), CONFIG_BAD);
	assert_string_equal(why, "TOWER_DISABLE = \"yes\": not a switch; "
				 "allowed: 1 (off), 0 or nothing");
}

static void test_file_forms__are_understood(void **state)
{
	(void)state;
	assert_loads("\xef\xbb\xbf[memory]\r\nttl = 5s\r\n");
	assert_int_equal(config.memory_ttl, 5 * SECOND);
	assert_loads("\xef\xbb\xbf ; x\n[memory]\nttl=7s");
	assert_int_equal(config.line[CONFIG_KEY_memory_ttl], 3);
	assert_loads("# c\n; c\n\n  [memory] ; c\n\tttl : 5m ; c\n  max_items=3\n");
	assert_int_equal(config.memory_ttl, 300 * SECOND);
	assert_int_equal(config.memory_max_items, 3);
	assert_loads("[redis]\nnamespace =\n[memory]\n[redis] # again\nversion = 2\n");
	assert_string_equal(config.redis_namespace, "");
	assert_int_equal(config.redis_version, 2);
	assert_loads("[redis]\nnamespace = a;b#c=d:e\n");
	assert_string_equal(config.redis_namespace, "a;b#c=d:e");
}

static void test_longest_text__is_whole(void **state)
{
	char text[700] = "[stats]\npath = /";
	size_t n = strlen(text);

	(void)state;
	memset(text + n, 'x', 510);
	assert_loads(text);
	assert_int_equal(strlen(config.stats_path), 511);
	memset(text + n, 'x', 511);
	assert_refused(text, "2: stats.path = \"/xxx");
	assert_non_null(strstr(why, "too long"));
}

static void test_long_line__is_refused_and_a_long_comment_is_not(void **state)
{
	char text[6000];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	memcpy(text, "[tower]\nname = ", 15);
	assert_refused(text, "2: a line of");
	memcpy(text, "[tower]\n#ame = ", 15);
	assert_loads(text);
}

static void test_lines_wrong__are_named(void **state)
{
	static const struct {
		const char *text;
		const char *expected;
	} wrong[] = {
		{ "\n\n[memroy]\n", "3: [memroy]: no such section; allowed: [tower], [memory]" },
		{ "[]\n", "1: []: no such section" },
		{ "[ memory ]\n", "1: [ memory ]: no such section" },
		{ "[Memory]\n", "1: [Memory]: no such section" },
		{ "[memory\n", "1: a section without its ]" },
		{ "[memory] ttl = 1s\n", "1: something behind the section" },
		{ "[memory]]\n", "1: something behind the section" },
		{ "ttl = 1s\n", "1: ttl: before any section" },
		{ "[memory]\ntll = 1s\n", "2: memory.tll: no such key; allowed in [memory]: max_" },
		{ "[memory]\nTTL = 1s\n", "2: memory.TTL: no such key" },
		{ "[tower]\nmemory.ttl = 1s\n", "2: tower.memory.ttl: no such key" },
		{ "[memory]\n= 1s\n", "2: memory.: no such key" },
		{ "[memory]\nttl\n", "2: not understood" },
		{ "[memory]\nttl 1s\n", "2: not understood" },
		{ "[memory]\nttl\n[what]\n", "2: not understood" },
		{ "[memory]\nttl = 1s\n   2s\n", "3: not understood" },
		{ "[memory]\nttl = 1s\n\nttl = 2s\n", "4: memory.ttl: set on line 2 already" },
		{ "[memory]\nttl = 1s\n[tower]\n[memory]\nttl = 1s\n", "5: memory.ttl: set on" },
		{ "[memory]\nttl =\n", "2: memory.ttl = \"\": not a time" },
		{ "[memory]\nttl = 5x\n", "2: memory.ttl = \"5x\": not a time; allowed: a whole" },
		{ "[memory]\nttl = 1s # c\n", "2: memory.ttl = \"1s # c\": not a time" },
		{ "[memory]\nttl = \"1s\"\n", "2: memory.ttl = \"\"1s\"\": not a time" },
		{ "[memory]\nttl = 1s\rttl = 2s\n", "2: memory.ttl = \"1s?ttl = 2s\": not a" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_refused(wrong[i].text, wrong[i].expected);
	}
}

static void test_nul_byte__is_refused(void **state)
{
	static const char text[] = "[tower]\nname = a\0b\n";

	(void)state;
	assert_int_equal(load_bytes(text, sizeof(text) - 1), CONFIG_BAD);
	assert_non_null(strstr(why, ":2: a NUL byte"));
}

static void test_files_that_cannot_be_read__are_refused(void **state)
{
	char fifo[64];
	char *long_path = malloc(5000);

	(void)state;
	assert_int_equal(config_load(&config, "/nowhere/tower.ini", why), CONFIG_BAD);
	assert_string_equal(why, "/nowhere/tower.ini: cannot be opened: No such file or directory");
	assert_int_equal(config_load(&config, "", why), CONFIG_BAD);
	assert_int_equal(config_load(&config, "/tmp", why), CONFIG_BAD);
	assert_string_equal(why, "/tmp: not a regular file");
	assert_int_equal(config_load(&config, "/dev/zero", why), CONFIG_BAD);

	snprintf(fifo, sizeof(fifo), "%s.fifo", path);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(config_load(&config, fifo, why), CONFIG_BAD);
	unlink(fifo);

	assert_non_null(long_path);
	memset(long_path, 'x', 4999);
	long_path[4999] = '\0';
	assert_int_equal(config_load(&config, long_path, why), CONFIG_BAD);
	assert_non_null(strstr(why, "too long"));
	free(long_path);
}

static void test_file_named_by_environment__must_be_there(void **state)
{
	static const char *const missing[] = { "TOWER_CONFIG=/nowhere/x.ini", NULL };
	static const char *const empty[] = { "TOWER_CONFIG=", NULL };

	(void)state;
	set_environment(missing);
	assert_int_equal(config_load(&config, NULL, why), CONFIG_BAD);
	assert_string_equal(why, "TOWER_CONFIG = \"/nowhere/x.ini\": cannot be opened: "
				 "No such file or directory");
	set_environment(empty);
	assert_int_equal(config_load(&config, NULL, why), CONFIG_BAD);
}

static void test_file_too_large__is_refused(void **state)
{
	char *text = malloc(CONFIG_FILE_MAX + 1);

	(void)state;
	assert_non_null(text);
	memset(text, '\n', CONFIG_FILE_MAX + 1);
	assert_int_equal(load_bytes(text, CONFIG_FILE_MAX), CONFIG_OK);
	assert_int_equal(load_bytes(text, CONFIG_FILE_MAX + 1), CONFIG_BAD);
	assert_non_null(strstr(why, "too large"));
	free(text);
}

static void test_wrong_file__leaves_the_configuration_alone(void **state)
{
	struct config before;

	(void)state;
	memset(&config, 0x5a, sizeof(config));
	before = config;
	assert_int_equal(load("[memory]\nttl = 9s\nttl = 9s\n"), CONFIG_BAD);
	assert_memory_equal(&config, &before, sizeof(config));
	assert_int_equal(config_option(&config, "memory.ttl=x", why), CONFIG_BAD);
	assert_memory_equal(&config, &before, sizeof(config));
}

static void test_environment_wrong__names_the_variable(void **state)
{
	static const char *const wrong[] = { "TOWER_MEMORY_TTL=5x", NULL };
	static const char *const empty[] = { "TOWER_MEMORY_TTL=", NULL };
	static const char *const empty_text[] = { "TOWER_REDIS_NAMESPACE=", NULL };
	static const char *const unknown[] = { "TOWER_MEMORY_TLL=5x", "TOWER_=", NULL };

	(void)state;
	set_environment(wrong);
	assert_int_equal(load(""), CONFIG_BAD);
	assert_string_equal(why, "TOWER_MEMORY_TTL = \"5x\": not a time; allowed: a whole number "
				 "of seconds, or one with ms, s, m or h, from 0");
	set_environment(empty);
	assert_int_equal(load(""), CONFIG_BAD);
	set_environment(empty_text);
	assert_loads("");
	assert_string_equal(config.redis_namespace, "");
	set_environment(unknown);
	assert_loads("");
}

static uint64_t random_state = 42;

static unsigned random_below(unsigned n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned)((random_state >> 11) % n);
}

/* Changes a few bytes or lines; `text` has room for n + 64 bytes. Returns the new length. */
static size_t mutate(char *text, size_t n)
{
	static const char *const pieces[] = { "\n",
					      "[",
					      "]",
					      "=",
					      ";",
					      " ;",
					      "\n ",
					      "\r\n",
					      "ttl=",
					      "[redis]\n",
					      "99999999999999999999",
					      "\xef\xbb\xbf",
					      "redis://",
					      "h",
					      "K",
					      "memory," };

	for (unsigned times = 1 + random_below(4); times > 0; times--) {
		size_t at = random_below((unsigned)n + 1);
		const char *piece = pieces[random_below(sizeof(pieces) / sizeof(pieces[0]))];
		size_t n_piece = strlen(piece);
		size_t n_gone = random_below(8);

		switch (random_below(3)) {
		case 0:
			text[at < n ? at : 0] = (char)random_below(256);
			break;
		case 1:
			n_gone = n_gone < n - at ? n_gone : n - at;
			memmove(text + at, text + at + n_gone, n - at - n_gone);
			n -= n_gone;
			break;
		default:
			memmove(text + at + n_piece, text + at, n - at);
			memcpy(text + at, piece, n_piece);
			n += n_piece;
		}
	}
	return n;
}

static void test_random_files__load_or_say_why(void **state)
{
	static const char base[] = "# x\n[tower]\nlayers = memory, memcached, redis\nname = a\n"
				   "log = /var/log/t.log\n[memory]\nmax_bytes = 16M\nttl = 5s ; c\n"
				   "\n[redis]\nurl = redis://u:p@h:1/0\nversion: 2\n[stats]\n"
				   "enabled = no\n";
	struct timespec start, here;
	unsigned n_good = 0;
	unsigned rounds = 0;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (; rounds < 20000; rounds++) {
		char text[sizeof(base) + 128];
		size_t n = sizeof(base) - 1;

		memcpy(text, base, n);
		n = mutate(text, n);
		if (load_bytes(text, n) == CONFIG_OK) {
			n_good++;
		} else if (why[0] == '\0' || !memchr(why, '\0', sizeof(why))) {
			fail_msg("round %u: no error text", rounds);
		}
		clock_gettime(CLOCK_MONOTONIC, &here);
		if (here.tv_sec - start.tv_sec >= 5) {
			break;
		}
	}
	/* Both ways were taken. */
	assert_in_range(n_good, 1, rounds - 1);
}

static const char *const defaults[] = {
#define KEY(section, key, type, def, min, max, allowed, help) #section "." #key "=" def,
#include "core/config.def"
#undef KEY
};

static void test_random_options__are_taken_or_say_why(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		char text[256];
		size_t n;

		snprintf(text, sizeof(text) - 128, "%s", defaults[round % CONFIG_N_KEYS]);
		n = mutate(text, strlen(text));
		text[n] = '\0';
		memset(why, 0, sizeof(why));
		if (config_option(&config, text, why) != CONFIG_OK) {
			assert_int_not_equal(why[0], '\0');
		}
	}
}

#define TEST(function) cmocka_unit_test_setup(function, clear)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_empty_file__all_defaults),
		TEST(test_environment_names__are_different),
		TEST(test_sources__the_later_wins_and_is_remembered),
		TEST(test_tower_config__names_the_file),
		TEST(test_stats_path__is_made_of_user_and_name),
		TEST(test_disabled__nothing_else_is_read),
		TEST(test_not_disabled__zero_or_nothing),
		TEST(test_file_forms__are_understood),
		TEST(test_longest_text__is_whole),
		TEST(test_long_line__is_refused_and_a_long_comment_is_not),
		TEST(test_lines_wrong__are_named),
		TEST(test_nul_byte__is_refused),
		TEST(test_files_that_cannot_be_read__are_refused),
		TEST(test_file_named_by_environment__must_be_there),
		TEST(test_file_too_large__is_refused),
		TEST(test_wrong_file__leaves_the_configuration_alone),
		TEST(test_environment_wrong__names_the_variable),
		TEST(test_random_files__load_or_say_why),
		TEST(test_random_options__are_taken_or_say_why),
	};
	int failed;

	fd = mkstemp(path);
	if (fd < 0) {
		return 1;
	}
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	return failed;
}
