/* Is a name that means another server elsewhere told apart? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <string.h>

#include "base/machine.h"

static void test_id__is_the_same_each_time(void **state)
{
	assert_true(strlen(machine_id()) > 3);
	assert_ptr_equal(machine_id(), machine_id());
	assert_null(strpbrk(machine_id(), " \t\n{}"));
}

static void test_loopback__is_here(void **state)
{
	static const char *const names[] = { "localhost", "LocalHost", "127.0.0.1", "127.1.2.3",
					     "::1" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_true(machine_is_here(names[i]));
	}
}

static void test_other_names__are_the_same_everywhere(void **state)
{
	static const char *const names[] = { "",    "localhost.example", "128.0.0.1", "cache1",
					     "::2", "1270.example" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_false(machine_is_here(names[i]));
	}
}

static void assert_name(const char *host, unsigned port, const char *expected)
{
	char name[256];
	char with_id[256];

	snprintf(with_id, sizeof(with_id), "%s%s", expected,
		 expected[strlen(expected) - 1] == '@' ? machine_id() : "");
	machine_name_server(host, port, name, sizeof(name));
	assert_string_equal(name, with_id);
}

static void test_server_here__is_named_by_the_machine(void **state)
{
	assert_name("cache1", 11211, "cache1:11211");
	assert_name("127.1.2.3", 11211, "127.1.2.3:11211@");
	assert_name("/run/memcached", 0, "/run/memcached:0@");
	assert_name("/run/memcached", 11211, "/run/memcached:0@");
	assert_name("memcached", 0, "memcached:0@");
}

static void test_names_of_the_loopback__are_one_server(void **state)
{
	static const char *const names[] = { "localhost", "LOCALHOST", "127.0.0.1", "::1",
					     "ip6-localhost" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_name(names[i], 11211, "localhost:11211@");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_id__is_the_same_each_time),
		cmocka_unit_test(test_loopback__is_here),
		cmocka_unit_test(test_other_names__are_the_same_everywhere),
		cmocka_unit_test(test_server_here__is_named_by_the_machine),
		cmocka_unit_test(test_names_of_the_loopback__are_one_server),
	};

	return cmocka_run_group_tests_name("machine", tests, NULL, NULL);
}
