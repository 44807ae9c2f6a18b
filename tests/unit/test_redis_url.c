/* Which urls are understood, and are the others refused with a reason? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "layers/redis.h"
#include "layers/redis_url.h"

static struct redis_url parsed(const char *text)
{
	struct redis_url url;
	const char *why = redis_url_parse(text, &url);

	if (why) {
		fail_msg("%s: %s", text, why);
	}
	return url;
}

static void test_host_alone__has_defaults(void **state)
{
	struct redis_url url = parsed("redis://cache.example");

	assert_false(url.is_unix);
	assert_string_equal(url.host, "cache.example");
	assert_string_equal(url.port, "6379");
	assert_string_equal(url.user, "");
	assert_string_equal(url.password, "");
	assert_int_equal(url.db, 0);
}

static void test_everything__is_understood(void **state)
{
	struct redis_url url = parsed("redis://me:s%40crets%3a%2F@10.0.0.1:7000/12");

	assert_string_equal(url.host, "10.0.0.1");
	assert_string_equal(url.port, "7000");
	assert_string_equal(url.user, "me");
	assert_string_equal(url.password, "s@crets:/");
	assert_int_equal(url.db, 12);
}

static void test_parts_left_out__are_empty(void **state)
{
	assert_string_equal(parsed("redis://:secret@host").password, "secret");
	assert_string_equal(parsed("redis://:secret@host").user, "");
	assert_string_equal(parsed("redis://me@host").user, "me");
	assert_string_equal(parsed("redis://me@host").password, "");
	assert_string_equal(parsed("redis://a:b:c@host").password, "b:c");
	assert_string_equal(parsed("redis://a:b@c@host").password, "b@c");
	assert_int_equal(parsed("redis://host/").db, 0);
}

static void test_ipv6__stands_in_brackets(void **state)
{
	assert_string_equal(parsed("redis://[::1]").host, "::1");
	assert_string_equal(parsed("redis://[::1]").port, "6379");
	assert_string_equal(parsed("redis://[fe80::1]:7/3").host, "fe80::1");
	assert_string_equal(parsed("redis://[fe80::1]:7/3").port, "7");
	assert_int_equal(parsed("redis://[fe80::1]:7/3").db, 3);
}

static void test_unix__has_path_and_db(void **state)
{
	struct redis_url url = parsed("unix:///run/re%20dis@1/socket?db=15");

	assert_true(url.is_unix);
	assert_string_equal(url.path, "/run/re dis@1/socket");
	assert_int_equal(url.db, 15);
	assert_string_equal(url.port, "");
	url = parsed("unix://me:secret@/s");
	assert_string_equal(url.path, "/s");
	assert_string_equal(url.user, "me");
	assert_string_equal(url.password, "secret");
	assert_int_equal(url.db, 0);
}

static void test_wrong_urls__are_refused_with_a_reason(void **state)
{
	static const char *const wrong[] = {
		"",
		"redis",
		"redis:/host",
		"http://host",
		"REDIS://host",
		"rediss://host",
		"redis://",
		"redis:///0",
		"redis://:6379",
		"redis://host:",
		"redis://host:0",
		"redis://host:65536",
		"redis://host:99999999999999999999",
		"redis://host:00000001",
		"redis://host:6379x",
		"redis://host:-1",
		"redis://host/x",
		"redis://host/-1",
		"redis://host/65536",
		"redis://host/1/2",
		"redis://host/1?db=2",
		"redis://host?x=1",
		"redis://[::1",
		"redis://[::1]x",
		"redis://[]:1",
		"redis://::1",
		"redis://a:%0@host",
		"redis://a:%zz@host",
		"redis://a:%00@host",
		"redis://a:%",
		"redis://ho%00st",
		"unix://",
		"unix://relative",
		"unix://host/path@/x?",
		"unix:///path?db=",
		"unix:///path?db=x",
		"unix:///path?db=1&x=2",
		"unix:///path?password=x",
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		const char *why = redis_url_check(wrong[i]);

		if (why == NULL || *why == '\0') {
			fail_msg("accepted: %s", wrong[i]);
		}
	}
}

static void test_long_parts__are_refused(void **state)
{
	char text[2048];

	snprintf(text, sizeof(text), "unix:///%0107d", 0);
	assert_non_null(redis_url_check(text));
	snprintf(text, sizeof(text), "unix:///%0106d", 0);
	assert_null(redis_url_check(text));
	snprintf(text, sizeof(text), "redis://%0256d", 0);
	assert_non_null(redis_url_check(text));
	snprintf(text, sizeof(text), "redis://%0255d", 0);
	assert_null(redis_url_check(text));
	snprintf(text, sizeof(text), "redis://a:%0512d@host", 0);
	assert_non_null(redis_url_check(text));
	snprintf(text, sizeof(text), "redis://a:%0511d@host", 0);
	assert_null(redis_url_check(text));
}

static const char *password_from(const char *content, size_t n, struct redis_url *url)
{
	char path[] = "/tmp/tower-password-XXXXXX";
	int fd = mkstemp(path);
	const char *why;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, n), n);
	close(fd);
	why = redis_url_read_password(path, url);
	unlink(path);
	return why;
}

static void test_password_file__gives_its_first_line(void **state)
{
	struct redis_url url = { .password = "of the url" };

	assert_null(password_from("secret\nmore\n", 12, &url));
	assert_string_equal(url.password, "secret");
	assert_null(password_from("secret", 6, &url));
	assert_string_equal(url.password, "secret");
	assert_null(password_from("se cret\r\n", 9, &url));
	assert_string_equal(url.password, "se cret");
}

static void test_bad_password_file__is_refused(void **state)
{
	struct redis_url url = { .password = "of the url" };
	char path[64];
	char large[1024];

	memset(large, 'x', sizeof(large));
	assert_non_null(password_from("", 0, &url));
	assert_non_null(password_from("\nsecret\n", 8, &url));
	assert_non_null(password_from("se\0cret\n", 8, &url));
	assert_non_null(password_from(large, sizeof(large), &url));
	assert_non_null(redis_url_read_password("/nonexistent/file", &url));
	assert_non_null(redis_url_read_password("/", &url));
	/* Nobody writes into it: opening it must not wait. */
	snprintf(path, sizeof(path), "/tmp/tower-fifo-%d", (int)getpid());
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_non_null(redis_url_read_password(path, &url));
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_host_alone__has_defaults),
		cmocka_unit_test(test_everything__is_understood),
		cmocka_unit_test(test_parts_left_out__are_empty),
		cmocka_unit_test(test_ipv6__stands_in_brackets),
		cmocka_unit_test(test_unix__has_path_and_db),
		cmocka_unit_test(test_wrong_urls__are_refused_with_a_reason),
		cmocka_unit_test(test_long_parts__are_refused),
		cmocka_unit_test(test_password_file__gives_its_first_line),
		cmocka_unit_test(test_bad_password_file__is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
