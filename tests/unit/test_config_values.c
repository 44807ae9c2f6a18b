/* Which values does config.h take, and how does it print them? */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static void assert_loads(const char *text)
{
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(pwrite(fd, text, strlen(text), 0), strlen(text));
	if (config_load(&config, path, why) != CONFIG_OK) {
		fail_msg("\"%s\": %s", text, why);
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

static void assert_option_refused(const char *option, const char *expected)
{
	memset(why, 0, sizeof(why));
	if (config_option(&config, option, why) == CONFIG_OK) {
		fail_msg("%s was accepted", option);
	}
	if (!strstr(why, expected) || !strstr(why, "allowed")) {
		fail_msg("%s: %s; expected: %s", option, why, expected);
	}
}

/* config_print() or config_print_example() as a text, which the caller frees. */
static char *printed(bool example)
{
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);

	assert_non_null(out);
	if (example) {
		config_print_example(out);
	} else {
		config_print(&config, out);
	}
	fclose(out);
	return text;
}

static const char *const defaults[] = {
#define KEY(section, key, type, def, min, max, allowed, help) #section "." #key "=" def,
#include "core/config.def"
#undef KEY
};

static void test_every_default__parses_and_is_formatted_as_it_stands(void **state)
{
	(void)state;
	for (unsigned i = 0; i < CONFIG_N_KEYS; i++) {
		char text[CONFIG_TEXT_MAX];

		assert_option(defaults[i]);
		assert_int_equal(config_find(defaults[i]), i);
		config_format(&config, (enum config_key)i, text, sizeof(text));
		assert_string_equal(text, strchr(defaults[i], '=') + 1);
	}
}

static void test_numbers__have_units(void **state)
{
	(void)state;
	assert_option("memory.ttl=250ms");
	assert_int_equal(config.memory_ttl, 250 * CLOCK_NS_PER_MS);
	assert_option("memory.ttl=90");
	assert_int_equal(config.memory_ttl, 90 * SECOND);
	assert_option("memory.ttl=2h");
	assert_int_equal(config.memory_ttl, 7200 * SECOND);
	assert_option("memory.ttl=0ms");
	assert_int_equal(config.memory_ttl, 0);
	assert_option("memory.max_bytes=4096");
	assert_int_equal(config.memory_max_bytes, 4096);
	assert_option("memory.max_bytes=3G");
	assert_int_equal(config.memory_max_bytes, INT64_C(3) << 30);
	assert_option("memory.max_items=10K");
	assert_int_equal(config.memory_max_items, 10240);
	assert_option("memory.max_items=9223372036854775807");
	assert_int_equal(config.memory_max_items, INT64_MAX);
	assert_option("memory.max_items=007");
	assert_int_equal(config.memory_max_items, 7);
}

static void test_numbers_wrong__are_refused(void **state)
{
	(void)state;
	assert_option_refused("memory.ttl=1.5s", "not a whole number");
	assert_option_refused("memory.ttl=1,5s", "not a whole number");
	assert_option_refused("memory.ttl=-1s", "not a time");
	assert_option_refused("memory.ttl=+1s", "not a time");
	assert_option_refused("memory.ttl=s", "not a time");
	assert_option_refused("memory.ttl=1 s", "not a time");
	assert_option_refused("memory.ttl= 1s", "not a time");
	assert_option_refused("memory.ttl=1S", "not a time");
	assert_option_refused("memory.ttl=1d", "not a time");
	assert_option_refused("memory.ttl=0x10", "not a time");
	assert_option_refused("memory.ttl=1e3", "not a time");
	assert_option_refused("memory.ttl=\xd9\xa1", "not a time");
	assert_option_refused("memory.ttl=9223372037", "too large");
	assert_option_refused("memory.ttl=99999999999999999999999ms", "too large");
	assert_option_refused("memory.max_items=9223372036854775808", "too large");
	assert_option_refused("memory.max_items=18446744073709551617", "too large");
	assert_option_refused("memory.max_bytes=8589934592G", "too large");
	assert_option_refused("memory.max_bytes=4095", "too small; allowed: a whole number, or "
						       "one with K, M or G, from 4K to 16384G");
	assert_option_refused("memory.max_bytes=16MB", "not a number");
	assert_option_refused("memory.max_bytes=16m", "not a number");
	assert_option_refused("memory.max_bytes=", "not a number");
	assert_option_refused("memory.ttl_jitter=101", "from 0 to 100");
	assert_option_refused("redis.timeout=0", "from 1ms to 1m");
	assert_option_refused("redis.timeout=61s", "too large");
	assert_option_refused("memcached.ttl=1500ms", "not whole seconds");
}

static void test_numbers__are_the_same_in_every_locale(void **state)
{
	static const char *const names[] = { "C.UTF-8", "de_DE.UTF-8", "ar_SA.UTF-8" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		setlocale(LC_ALL, names[i]);
		assert_loads("[memory]\nttl = 250ms\nmax_bytes = 2M\n");
		assert_int_equal(config.memory_ttl, 250 * CLOCK_NS_PER_MS);
		assert_option_refused("memory.ttl=1,5s", "not a whole number");
	}
	setlocale(LC_ALL, "C");
}

static void test_layers__in_the_order_of_the_walk(void **state)
{
	(void)state;
	assert_option("tower.layers=memcached");
	assert_int_equal(config.tower_layers, CONFIG_LAYER_MEMCACHED);
	assert_option("tower.layers=memory,memcached , redis");
	assert_int_equal(config.tower_layers,
			 CONFIG_LAYER_MEMORY | CONFIG_LAYER_MEMCACHED | CONFIG_LAYER_REDIS);
	assert_option("tower.layers=memcached, redis");
	assert_int_equal(config.tower_layers, CONFIG_LAYER_MEMCACHED | CONFIG_LAYER_REDIS);
}

static void test_layers_wrong__are_refused(void **state)
{
	(void)state;
	assert_option_refused("tower.layers=", "lacks the name");
	assert_option_refused("tower.layers=memory", "lacks memcached");
	assert_option_refused("tower.layers=memory, redis", "lacks memcached");
	assert_option_refused("tower.layers=memcached, memory", "not in the order");
	assert_option_refused("tower.layers=memory, redis, memcached", "not in the order");
	assert_option_refused("tower.layers=memcached, memcached", "twice");
	assert_option_refused("tower.layers=memory memcached", "lacks a comma");
	assert_option_refused("tower.layers=memory, disk, memcached", "a layer that there is not");
	assert_option_refused("tower.layers=Memory, memcached", "a layer that there is not");
	assert_option_refused("tower.layers=memory, memcached,", "lacks the name");
	assert_option_refused("tower.layers=,memcached", "lacks the name");
	assert_option_refused("tower.layers=memory|memcached", "a layer that there is not");
}

static void test_choices__are_exact(void **state)
{
	(void)state;
	assert_option("tower.log_level=debug");
	assert_int_equal(config.tower_log_level, 3);
	assert_option("stats.enabled=no");
	assert_int_equal(config.stats_enabled, 0);
	assert_option_refused("tower.log_level=Debug", "allowed: error, warn, info, debug");
	assert_option_refused("tower.log_level=war", "not one of the words");
	assert_option_refused("tower.log_level=warn|info", "not one of the words");
	assert_option_refused("tower.log_level=", "not one of the words");
	assert_option_refused("stats.enabled=1", "allowed: no, yes");
}

static void test_texts__have_their_rules(void **state)
{
	(void)state;
	assert_option("tower.name=shop-1.eu_x");
	assert_option("tower.name=...");
	assert_option_refused("tower.name=", "empty");
	assert_option_refused("tower.name=.", "not a name");
	assert_option_refused("tower.name=..", "not a name");
	assert_option_refused("tower.name=a/b", "another character");
	assert_option_refused("tower.name=\xc3\xa9", "another character");
	assert_option_refused("tower.name=12345678901234567890123456789012345678901234567890"
			      "123456789012345",
			      "too long");
	assert_option("tower.log=syslog");
	assert_option("tower.log=/var/log/with blank.log");
	assert_option_refused("tower.log=tower.log", "not a place for a log");
	assert_option_refused("tower.log=stdout", "stderr, syslog or an absolute path");
	assert_option_refused("tower.log=", "empty");
	assert_option("memcached.namespace=a:b");
	assert_option("memcached.namespace=");
	assert_option_refused("memcached.namespace=a b", "another character");
	assert_option_refused("memcached.namespace=a\nb", "control character");
	assert_option_refused("redis.namespace=\x7f", "control character");
	assert_option_refused("redis.namespace=\xff", "another character");
	assert_option("redis.password_file=");
	assert_option_refused("redis.password_file=secret", "not an absolute path");
	assert_option_refused("stats.path=./x", "not an absolute path");
	assert_option_refused("stats.path=/x ;y", "takes for a comment");
	assert_option_refused("redis.namespace=;y", "takes for a comment");
	assert_option_refused("stats.path=/x ", "ends with a blank");
	assert_option_refused("stats.path=/x\ny", "control character");
}

static void test_redis_url__is_checked(void **state)
{
	(void)state;
	assert_option("redis.url=redis://user:pass@host:6380/2");
	assert_option("redis.url=unix:///run/redis.sock?db=1");
	assert_option_refused("redis.url=http://host/", "allowed: redis://[user:password@]");
	assert_option_refused("redis.url=", "empty");
	assert_option_refused("redis.url=redis://:70000", "redis.url");
	assert_option("redis.replicas=redis://a, unix:///run/b.sock,redis://[::1]:6380");
	assert_option("redis.replicas=");
	assert_option_refused("redis.replicas=redis://a,redis://:secret@b", "redis.replicas");
	assert_option_refused("redis.replicas=redis://a/3", "redis.replicas");
	assert_option("redis.alias=");
	assert_option("redis.alias=localhost:11211=cache-a, /run/m.sock = cache-b");
	assert_option_refused("redis.alias=localhost=cache", "redis.alias");
	assert_option_refused("redis.alias=localhost:0=cache", "redis.alias");
	assert_option_refused("redis.alias=localhost:11211=", "redis.alias");
	assert_option_refused("redis.alias=localhost:11211", "redis.alias");
	assert_option_refused("redis.alias=localhost:11211=a}b", "redis.alias");
	assert_option("redis.writers=several");
	assert_option("redis.order=serial");
	assert_option_refused("redis.writers=one", "allowed: auto, several");
	assert_option_refused("redis.replicas=redis://a,here", "redis.replicas");
}

static void test_options__need_key_and_value(void **state)
{
	(void)state;
	assert_option_refused("memory.tll=1s", "-o memory.tll: no such key; allowed in [memory]");
	assert_option_refused("memory.ttl", "-o memory.ttl: no value");
	assert_option_refused("ttl=1s", "no such key");
	assert_option_refused("", "no such key");
	assert_option_refused("=", "no such key");
	assert_option_refused(".=", "no such key");
	assert_option_refused("memory.=1", "no such key");
	assert_option_refused("memory.ttl.x=1", "no such key");
	assert_option_refused("memory\n.ttl=1", "-o memory?.ttl: no such key");
	assert_int_equal(config_find("memory.ttl"), CONFIG_KEY_memory_ttl);
	assert_int_equal(config_find("memory"), CONFIG_N_KEYS);
	assert_int_equal(config_find(""), CONFIG_N_KEYS);
}

static void test_passwords__are_never_told(void **state)
{
	static const char *const urls[] = {
		"redis://user:SECRET@host:99999/0",
		"redis://SECRET@:x",
		"redis://:SECRET@",
		"http://u:SECRET@host",
		"user:SECRET@host",
		"redis://:SECRET/0",
		"redis:/user:SECRET@host",
		"redis://u:a@SECRET@host:x",
		"unix:///s?db=0&password=SECRET",
		"redis://host:SECRET",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		char option[128];

		snprintf(option, sizeof(option), "redis.url=%s", urls[i]);
		assert_int_equal(config_option(&config, option, why), CONFIG_BAD);
		assert_non_null(strstr(why, "***"));
		assert_null(strstr(why, "SECRET"));
	}
}

static void test_print__hides_the_password_only(void **state)
{
	char *text;

	(void)state;
	assert_loads("[redis]\nurl = redis://me:SECRET@host:1/2\n");
	assert_option("stats.path=/a:b@c");
	text = printed(false);
	assert_null(strstr(text, "SECRET"));
	assert_non_null(strstr(text, "\nurl = redis://me:***@host:1/2\n"));
	assert_non_null(strstr(text, "\npath = /a:b@c\n"));
	free(text);
}

static void test_print__can_be_loaded_again(void **state)
{
	struct config before;
	char *text;

	(void)state;
	assert_loads("[tower]\nlayers=memcached,redis\nlog=/var/log/a b.log\nlog_level=info\n"
		     "[memory]\nttl=90s\nmax_bytes=4097\nmax_items=2048\n"
		     "[redis]\nurl=unix:///run/r@x:y?db=3\nttl=1500ms\nmax_item_bytes=512M\n"
		     "namespace=\n[memcached]\nttl=61\n[stats]\nenabled=no\npath=/x;y\n");
	before = config;
	text = printed(false);
	assert_loads(text);
	memcpy(before.source, config.source, sizeof(before.source));
	memcpy(before.line, config.line, sizeof(before.line));
	assert_memory_equal(&config, &before, sizeof(config));
	free(text);
}

static void test_print__says_where_from_and_what_is_unknown(void **state)
{
	static const char *const variables[] = { "TOWER_NAME=x",     "TOWER_TYPO=1",
						 "TOWER_DISABLE=0",  "TOWER_LIBRARY=/l",
						 "TOWER_A\033[2J=1", NULL };
	char expected[128];
	char *text;

	(void)state;
	set_environment(variables);
	assert_loads("[memory]\nttl = 2s\n");
	assert_option("memory.max_items=5");
	text = printed(false);
	snprintf(expected, sizeof(expected), "# %s:2\nttl = 2s\n", path);
	assert_non_null(strstr(text, expected));
	assert_non_null(strstr(text, "# TOWER_NAME\nname = x\n"));
	assert_non_null(strstr(text, "# -o\nmax_items = 5\n"));
	assert_non_null(strstr(text, "# default\nlog = stderr\n"));
	assert_non_null(strstr(text, "# TOWER_TYPO: unknown, ignored\n"));
	assert_non_null(strstr(text, "# TOWER_A?[2J: unknown, ignored\n"));
	assert_null(strstr(text, "# TOWER_DISABLE:"));
	assert_null(strstr(text, "# TOWER_LIBRARY:"));
	free(text);
}

static void test_example__loads_with_and_without_its_comments(void **state)
{
	struct config before;
	char *text = printed(true);

	(void)state;
	assert_loads(text);
	before = config;
	for (char *c = text; (c = strstr(c, "\n#")) != NULL; c++) {
		if (c[2] != ' ') {
			c[1] = ' ';
		}
	}
	assert_loads(text);
	for (unsigned key = 0; key < CONFIG_N_KEYS; key++) {
		assert_int_equal(config.source[key], CONFIG_FROM_FILE);
	}
	memcpy(config.source, before.source, sizeof(before.source));
	memcpy(config.line, before.line, sizeof(before.line));
	assert_memory_equal(&config, &before, sizeof(config));
	free(text);
}

#define TEST(function) cmocka_unit_test_setup(function, clear)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_every_default__parses_and_is_formatted_as_it_stands),
		TEST(test_numbers__have_units),
		TEST(test_numbers_wrong__are_refused),
		TEST(test_numbers__are_the_same_in_every_locale),
		TEST(test_layers__in_the_order_of_the_walk),
		TEST(test_layers_wrong__are_refused),
		TEST(test_choices__are_exact),
		TEST(test_texts__have_their_rules),
		TEST(test_redis_url__is_checked),
		TEST(test_options__need_key_and_value),
		TEST(test_passwords__are_never_told),
		TEST(test_print__hides_the_password_only),
		TEST(test_print__can_be_loaded_again),
		TEST(test_print__says_where_from_and_what_is_unknown),
		TEST(test_example__loads_with_and_without_its_comments),
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
