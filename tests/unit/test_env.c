/* Is env.h right: what is copied, what stays out, and that the copy is ours? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/env.h"

static void capture(const char *const *variables)
{
	/* env_capture() has the type of environ, and does not write. */
	env_capture((char *const *)(uintptr_t)variables);
}

static void test_tower_variables__are_kept(void **state)
{
	static const char *const variables[] = { "HOME=/", "TOWER_LOG=syslog",
						 "TOWER_EMPTY=", "TOWER_URL=a=b", NULL };

	(void)state;
	capture(variables);
	assert_string_equal(env_get("LOG"), "syslog");
	assert_string_equal(env_get("EMPTY"), "");
	assert_string_equal(env_get("URL"), "a=b");
	assert_string_equal(env_at(0), "TOWER_LOG=syslog");
	assert_string_equal(env_at(2), "TOWER_URL=a=b");
	assert_null(env_at(3));
	assert_int_equal(env_dropped(), 0);
}

static void test_environment_cleared_later__copy_stays(void **state)
{
	char variable[] = "TOWER_LOG=syslog";
	char *variables[] = { variable, NULL };

	(void)state;
	env_capture(variables);
	memset(variable, 'x', sizeof(variable) - 1);
	variables[0] = NULL;
	assert_string_equal(env_get("LOG"), "syslog");
}

static void test_same_name_twice__first_counts_as_in_getenv(void **state)
{
	static const char *const variables[] = { "TOWER_LOG=one", "TOWER_LOG=two", NULL };

	(void)state;
	capture(variables);
	assert_string_equal(env_get("LOG"), "one");
}

static void test_second_capture__replaces_the_first(void **state)
{
	static const char *const one[] = { "TOWER_A=1", NULL };
	static const char *const two[] = { "TOWER_B=2", NULL };

	(void)state;
	capture(one);
	capture(two);
	assert_null(env_get("A"));
	assert_string_equal(env_get("B"), "2");
}

static void test_similar_names__are_not_found(void **state)
{
	static const char *const variables[] = { "TOWER_LOG_LEVEL=x", "TOWER=1",
						 "TOWERS_LOG=y",      "tower_log=z",
						 "XTOWER_LOG=w",      NULL };

	(void)state;
	capture(variables);
	assert_null(env_get("LOG"));
	assert_null(env_get("LOG_LEVEL_"));
	assert_null(env_get(""));
	assert_string_equal(env_at(0), "TOWER_LOG_LEVEL=x");
	assert_null(env_at(1));
}

static void test_entry_without_equals__is_left_out(void **state)
{
	static const char *const variables[] = { "TOWER_LOG", "TOWER_", NULL };

	(void)state;
	capture(variables);
	assert_null(env_at(0));
	assert_null(env_get("LOG"));
}

static void test_no_environment__is_empty(void **state)
{
	(void)state;
	env_capture(NULL);
	assert_null(env_at(0));
	assert_null(env_get("LOG"));
}

static void test_too_many_names__are_counted(void **state)
{
	static char names[ENV_NAMES_MAX + 3][32];
	const char *variables[ENV_NAMES_MAX + 4];

	(void)state;
	for (size_t i = 0; i < ENV_NAMES_MAX + 3; i++) {
		snprintf(names[i], sizeof(names[i]), "TOWER_N%zu=%zu", i, i);
		variables[i] = names[i];
	}
	variables[ENV_NAMES_MAX + 3] = NULL;
	capture(variables);
	assert_int_equal(env_dropped(), 3);
	assert_string_equal(env_get("N127"), "127");
	assert_null(env_get("N128"));
	assert_null(env_at(ENV_NAMES_MAX));
}

static void test_value_too_large__is_dropped_and_the_next_kept(void **state)
{
	static const char name[] = "TOWER_BIG=";
	char *big = malloc(ENV_BYTES_MAX + 1);
	const char *variables[] = { big, "TOWER_SMALL=1", NULL };

	(void)state;
	assert_non_null(big);
	memset(big, 'x', ENV_BYTES_MAX);
	memcpy(big, name, sizeof(name) - 1);
	big[ENV_BYTES_MAX] = '\0';
	capture(variables);
	assert_int_equal(env_dropped(), 1);
	assert_null(env_get("BIG"));
	assert_string_equal(env_get("SMALL"), "1");

	big[ENV_BYTES_MAX - 1] = '\0';
	variables[1] = NULL;
	capture(variables);
	assert_int_equal(env_dropped(), 0);
	assert_int_equal(strlen(env_get("BIG")), ENV_BYTES_MAX - sizeof(name));
	free(big);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tower_variables__are_kept),
		cmocka_unit_test(test_environment_cleared_later__copy_stays),
		cmocka_unit_test(test_same_name_twice__first_counts_as_in_getenv),
		cmocka_unit_test(test_second_capture__replaces_the_first),
		cmocka_unit_test(test_similar_names__are_not_found),
		cmocka_unit_test(test_entry_without_equals__is_left_out),
		cmocka_unit_test(test_no_environment__is_empty),
		cmocka_unit_test(test_too_many_names__are_counted),
		cmocka_unit_test(test_value_too_large__is_dropped_and_the_next_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
