/* Requests come out of a file as they stand there; whatever else is in it is refused with its
 * place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "core/trace_file.h"
#include "sim/trace_reader.h"

#define S CLOCK_NS_PER_S

static char why[TRACE_WHY_MAX];

static int file_of(const void *bytes, size_t n)
{
	int fd = memfd_create("trace", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), (ssize_t)n);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static struct trace_reader *reader_of(enum trace_format format, const void *bytes, size_t n)
{
	struct trace_reader *reader = NULL;

	if (!trace_open_descriptor(&reader, file_of(bytes, n), "F", format, why)) {
		fail_msg("%s", why);
	}
	return reader;
}

/* "KEY OPERATION SIZE TIME TTL", a request a line; then "end", or why not. */
static const char *all_of(enum trace_format format, const void *bytes, size_t n)
{
	static char text[4096];
	struct trace_reader *reader = reader_of(format, bytes, n);
	struct trace_request request;
	enum trace_status status;
	size_t used = 0;

	while ((status = trace_next(reader, &request)) == TRACE_REQUEST) {
		static const char *const names[] = { "get", "set", "delete", "change" };

		if (request.name) {
			assert_int_equal(request.key, hash_bytes(request.name, request.n_name));
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%.*s",
						 (int)request.n_name, request.name);
		} else {
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%" PRIu64,
						 request.key);
		}
		used += (size_t)snprintf(text + used, sizeof(text) - used,
					 " %s %" PRId64 " %g %g\n", names[request.operation],
					 (int64_t)request.size, (double)request.time_ns / S,
					 (double)request.ttl_ns / S);
	}
	snprintf(text + used, sizeof(text) - used, "%s",
		 status == TRACE_END ? "end" : trace_why(reader));
	assert_int_equal(trace_next(reader, &request), status);
	trace_close(&reader);
	assert_null(reader);
	return text;
}

static const char *lines(enum trace_format format, const char *text)
{
	return all_of(format, text, strlen(text));
}

static void test_numbers__are_read_highest_byte_first(void **state)
{
	(void)state;
	assert_string_equal(all_of(TRACE_BE32, "\0\0\1\2\xff\xff\xff\xff", 8),
			    "258 get -1 0 0\n4294967295 get -1 0 0\nend");
	assert_string_equal(all_of(TRACE_BE64, "\1\0\0\0\0\0\0\2", 8),
			    "72057594037927938 get -1 0 0\nend");
}

static void test_cut_numbers__are_refused_with_their_place(void **state)
{
	(void)state;
	assert_string_equal(
		all_of(TRACE_BE32, "\0\0\0\1\0\0", 6),
		"1 get -1 0 0\nF, byte 4: the file ends in the middle of a key of 4 bytes");
	assert_string_equal(all_of(TRACE_BE64, "\0\0\0\1", 4),
			    "F, byte 0: the file ends in the middle of a key of 8 bytes");
}

static void test_many_numbers__are_all_read(void **state)
{
	enum { N = 100003 };
	unsigned char *bytes = malloc((size_t)N * 4);
	struct trace_reader *reader;
	struct trace_request request;

	(void)state;
	for (unsigned i = 0; i < N; i++) {
		const unsigned char key[4] = { 0, (unsigned char)(i >> 16), (unsigned char)(i >> 8),
					       (unsigned char)i };
		memcpy(bytes + (size_t)i * 4, key, 4);
	}
	reader = reader_of(TRACE_BE32, bytes, (size_t)N * 4);
	for (unsigned i = 0; i < N; i++) {
		assert_int_equal(trace_next(reader, &request), TRACE_REQUEST);
		assert_int_equal(request.key, i);
	}
	assert_int_equal(trace_next(reader, &request), TRACE_END);
	trace_close(&reader);
	free(bytes);
}

static void test_empty_file__has_no_requests(void **state)
{
	(void)state;
	for (enum trace_format format = 0; format < TRACE_TOWER; format++) {
		assert_string_equal(all_of(format, "", 0), "end");
	}
}

static void test_adaptsize__is_time_key_size(void **state)
{
	(void)state;
	assert_string_equal(lines(TRACE_ADAPTSIZE, "5 0 68\n\n6.5\t7  7454 and more\r\n8 9 1"),
			    "0 get 68 0 0\n7 get 7454 1.5 0\n9 get 1 3 0\nend");
	assert_string_equal(lines(TRACE_ADAPTSIZE, "1 2\n"), "F:1: not \"time key size\"");
	assert_string_equal(lines(TRACE_ADAPTSIZE, "1 2 3\n1 x 3\n"),
			    "2 get 3 0 0\nF:2: \"x\" is no key: a number below 2^64");
	assert_string_equal(lines(TRACE_ADAPTSIZE, "1 18446744073709551616 3\n"),
			    "F:1: \"18446744073709551616\" is no key: a number below 2^64");
	assert_string_equal(lines(TRACE_ADAPTSIZE, "1 2 99999999999999999999999\n"),
			    "F:1: \"99999999999999999999999\" is no size in bytes");
	assert_string_equal(lines(TRACE_ADAPTSIZE, "-1 2 3\n"),
			    "F:1: \"-1\" is no time in seconds");
	assert_string_equal(all_of(TRACE_ADAPTSIZE, "1 2\0 3\n", 7), "F:1: not \"time key size\"");
}

static void test_csv__has_five_fields_of_which_two_must_be(void **state)
{
	(void)state;
	assert_string_equal(lines(TRACE_CSV, "time,key,size,operation,ttl\n"
					     "10,a,5,set,60\n"
					     "10.25,a,,get\n"
					     "11,\"b,\"\"c\"\"\"\n"
					     "12,a,,delete,,more,and,more\n"
					     "13,a,1,incr,\n"),
			    "a set 5 0 60\na get -1 0.25 0\nb,\"c\" get -1 1 0\n"
			    "a delete -1 2 0\na change 1 3 0\nend");
}

static void test_csv__says_what_is_wrong_and_where(void **state)
{
	(void)state;
	assert_string_equal(lines(TRACE_CSV, "1,a\nx,a\n"),
			    "a get -1 0 0\nF:2: \"x\" is no time in seconds");
	assert_string_equal(lines(TRACE_CSV, "1\n"), "F:1: no key");
	assert_string_equal(lines(TRACE_CSV, "1,a,-5\n"), "F:1: \"-5\" is no size in bytes");
	assert_string_equal(lines(TRACE_CSV, "1,a,5,get,1e9\n"),
			    "F:1: \"1e9\" is no time to live in seconds");
	assert_string_equal(lines(TRACE_CSV, "1,\"a\n"), "F:1: quotes do not match");
	assert_string_equal(lines(TRACE_CSV, "1,\"a\"b\n"), "F:1: quotes do not match");
	assert_string_equal(all_of(TRACE_CSV, "1,a\0b\n", 6), "F:1: a NUL in the line");
	assert_string_equal(lines(TRACE_CSV, "99999999999999999999,a\n"),
			    "F:1: \"99999999999999999999\" is no time in seconds");
	assert_non_null(strstr(lines(TRACE_CSV, "1,a,5,frobnicate\n"),
			       "F:1: \"frobnicate\" is no operation (get, set,"));
}

static void test_times__never_fall(void **state)
{
	(void)state;
	assert_string_equal(lines(TRACE_CSV, "10,a\n12,b\n11,c\n13,d\n"),
			    "a get -1 0 0\nb get -1 2 0\nc get -1 2 0\nd get -1 3 0\nend");
}

static void test_lines_too_long__are_refused(void **state)
{
	size_t n = TRACE_LINE_MAX + 10;
	char *line = malloc(n + 1);

	(void)state;
	memset(line, 'k', n);
	line[n] = '\0';
	assert_string_equal(lines(TRACE_KEYS, line), "F:1: a line of more than 65536 bytes");
	line[TRACE_LINE_MAX / 2] = '\n';
	memcpy(line, "1,", 2);
	assert_string_equal(lines(TRACE_MEMCACHED, line), "end");
	free(line);
}

static void test_keys__are_lines(void **state)
{
	(void)state;
	assert_string_equal(lines(TRACE_KEYS, "a\n\nb c\r\nlast"),
			    "a get -1 0 0\nb c get -1 0 0\nlast get -1 0 0\nend");
}

static void test_memcached__what_vv_prints(void **state)
{
	(void)state;
	assert_string_equal(lines(TRACE_MEMCACHED, "slab class   1: chunk size 96\n"
						   "<26 server listening (auto-negotiate)\n"
						   "<28 new auto-negotiating client connection\n"
						   "28: Client using the ascii protocol\n"
						   "<28 set a 0 60 5\n>28 STORED\n"
						   "<28 set n 0 0 7 noreply\n"
						   "<28 get a b  c\n>28 sending key a\n>28 END\n"
						   "<28 gat 10 d\n"
						   "<28 delete a\n<28 incr n 1\n<28 quit\n"
						   "<28 mg m v\n"
						   "<28 connection closed.\n"),
			    "a set 5 0 0\nn set 7 0 0\na get -1 0 0\nb get -1 0 0\nc get -1 0 0\n"
			    "d get -1 0 0\na delete -1 0 0\nn change -1 0 0\nm get -1 0 0\nend");
}

static void test_memcached__what_watch_sends(void **state)
{
	(void)state;
	assert_string_equal(
		lines(TRACE_MEMCACHED,
		      "OK\n"
		      "ts=1700000000.5 gid=1 type=item_get key=foo status=not_found clsid=0\n"
		      "ts=1700000001.5 gid=2 type=item_store key=foo status=stored cmd=set ttl=60 "
		      "clsid=1 cfd=31 size=3\n"
		      "ts=1700000002.5 gid=3 type=conn_new key=x\n"
		      "ts=what gid=3 type=item_get key=x\n"
		      "ts=1700000003.5 gid=4 type=item_get key=foo status=found size=3\n"),
		"foo get -1 0 0\nfoo set 3 1 60\nfoo get 3 3 0\nend");
}

/* --- recordings --- */

struct recording {
	union {
		struct trace_file file;
		char bytes[TRACE_FILE_HEADER_BYTES];
	} head;
	struct trace_file_record records[2 * TRACE_FILE_RUN];
};

static struct recording recording(void)
{
	struct recording made = { .head.file = {
					  .header = { .magic = TRACE_FILE_MAGIC,
						      .format = TRACE_FILE_FORMAT,
						      .n_bytes = sizeof(struct recording) },
					  .n_places = (size_t)2 * TRACE_FILE_RUN,
					  .sample = UINT64_C(1) << 31,
					  .wall_ms = 1000,
				  } };

	return made;
}

static void put(struct recording *to, size_t at, uint64_t key, uint32_t time_ms,
		enum trace_file_operation operation, uint32_t size)
{
	to->records[at] =
		(struct trace_file_record){ key, time_ms,
					    (size << TRACE_FILE_SIZE_SHIFT) | (uint32_t)operation };
}

static void test_recording__runs_are_put_in_order_of_time(void **state)
{
	struct recording made = recording();
	struct trace_reader *reader;

	(void)state;
	made.head.file.n_taken = (size_t)2 * TRACE_FILE_RUN;
	put(&made, 0, 1, 10, TRACE_FILE_HIT, 100);
	put(&made, 1, 2, 3000, TRACE_FILE_MISS, 0);
	put(&made, TRACE_FILE_RUN, 3, 2010, TRACE_FILE_SET, 7);
	put(&made, TRACE_FILE_RUN + 1, 4, 2010, TRACE_FILE_DELETE, 0);
	put(&made, TRACE_FILE_RUN + 2, 5, 2010, TRACE_FILE_CHANGE, 0);
	assert_string_equal(all_of(TRACE_TOWER, &made, sizeof(made)),
			    "1 get 100 0 0\n3 set 7 2 0\n4 delete -1 2 0\n5 change -1 2 0\n"
			    "2 get -1 2.99 0\nend");
	reader = reader_of(TRACE_TOWER, &made, sizeof(made));
	assert_true(trace_share(reader) == 0.5);
	trace_close(&reader);
}

static void test_recording__that_went_round_has_the_newest(void **state)
{
	struct recording made = recording();
	const char *text;

	(void)state;
	/* The third run was written over the first. */
	made.head.file.n_taken = (size_t)3 * TRACE_FILE_RUN;
	put(&made, 0, 3, 10, TRACE_FILE_MISS, 0);
	put(&made, TRACE_FILE_RUN, 2, 10, TRACE_FILE_MISS, 0);
	text = all_of(TRACE_TOWER, &made, sizeof(made));
	assert_string_equal(text, "2 get -1 0 0\n3 get -1 0 0\nend");
}

static void expect_refused(const struct recording *made, size_t n, const char *expected)
{
	struct trace_reader *reader = NULL;

	assert_false(trace_open_descriptor(&reader, file_of(made, n), "F", TRACE_TOWER, why));
	assert_string_equal(why, expected);
	assert_null(reader);
}

static void test_recording__that_is_none_is_refused(void **state)
{
	struct recording made = recording();

	(void)state;
	expect_refused(&made, 100, "F: is no recording of tower: too short");
	expect_refused(&made, TRACE_FILE_HEADER_BYTES + 100, "F: is a damaged recording");
	made.head.file.sample = 0;
	expect_refused(&made, sizeof(made), "F: is a damaged recording");
	made = recording();
	made.head.file.n_places = UINT64_MAX / 16;
	expect_refused(&made, sizeof(made), "F: is a damaged recording");
	made = recording();
	made.head.file.header.format++;
	expect_refused(&made, sizeof(made), "F: is a recording of another version of tower");
	made.head.file.header.magic[0]++;
	expect_refused(&made, sizeof(made), "F: is no recording of tower");
}

static void test_recording__whatever_it_counts_is_bounded_by_the_file(void **state)
{
	struct recording made = recording();

	(void)state;
	made.head.file.n_taken = UINT64_MAX;
	memset(made.records, 0xff, sizeof(made.records));
	assert_string_equal(all_of(TRACE_TOWER, &made, sizeof(made)), "end");
}

/* --- files --- */

static void test_files__that_are_not_there_are_refused(void **state)
{
	struct trace_reader *reader = NULL;

	(void)state;
	for (enum trace_format format = 0; format < TRACE_N_FORMATS; format++) {
		assert_false(trace_open(&reader, "/nonexistent/trace", format, why));
		assert_non_null(strstr(why, "/nonexistent/trace: "));
		assert_null(reader);
	}
}

static void expect_packed(const char *path, const char *command, const char *expected)
{
	struct trace_reader *reader = NULL;
	struct trace_request request;
	unsigned n = 0;
	enum trace_status status;

	assert_int_equal(system(command), 0);
	assert_true(trace_open(&reader, path, TRACE_KEYS, why));
	while ((status = trace_next(reader, &request)) == TRACE_REQUEST) {
		n++;
	}
	if (expected) {
		assert_int_equal(status, TRACE_BAD);
		assert_non_null(strstr(trace_why(reader), expected));
	} else {
		assert_int_equal(status, TRACE_END);
		assert_int_equal(n, 20000);
	}
	trace_close(&reader);
	/* One that nobody reads to its end ends, too. */
	assert_true(trace_open(&reader, path, TRACE_KEYS, why));
	trace_close(&reader);
	unlink(path);
}

static void test_packed_files__are_unpacked_and_cut_ones_noticed(void **state)
{
	char path[128];
	char command[512];
	int stderr_before;

	(void)state;
	snprintf(path, sizeof(path), "/tmp/test_trace_reader.%d.gz", (int)getpid());
	snprintf(command, sizeof(command), "seq 20000 | gzip >%s", path);
	expect_packed(path, command, NULL);
	snprintf(command, sizeof(command), "seq 20000 | gzip | head -c 1000 >%s", path);
	/* What gzip says of it is for people. */
	stderr_before = dup(STDERR_FILENO);
	assert_non_null(freopen("/dev/null", "w", stderr));
	expect_packed(path, command, "cannot be decompressed");
	assert_int_equal(dup2(stderr_before, STDERR_FILENO), STDERR_FILENO);
	close(stderr_before);
}

static void test_names__are_keys_for_memcached(void **state)
{
	char name[TRACE_NAME_MAX];
	char long_name[300];
	struct trace_request request = { .key = 0xabc, .name = "user:1", .n_name = 6 };

	(void)state;
	assert_int_equal(trace_name(&request, name), 6);
	assert_string_equal(name, "user:1");
	request.name = "user 1";
	assert_int_equal(trace_name(&request, name), 16);
	assert_string_equal(name, "0000000000000abc");
	memset(long_name, 'x', sizeof(long_name));
	request.name = long_name;
	request.n_name = 250;
	assert_int_equal(trace_name(&request, name), 250);
	request.n_name = 251;
	assert_int_equal(trace_name(&request, name), 16);
	request.name = NULL;
	assert_int_equal(trace_name(&request, name), 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers__are_read_highest_byte_first),
		cmocka_unit_test(test_cut_numbers__are_refused_with_their_place),
		cmocka_unit_test(test_many_numbers__are_all_read),
		cmocka_unit_test(test_empty_file__has_no_requests),
		cmocka_unit_test(test_adaptsize__is_time_key_size),
		cmocka_unit_test(test_csv__has_five_fields_of_which_two_must_be),
		cmocka_unit_test(test_csv__says_what_is_wrong_and_where),
		cmocka_unit_test(test_times__never_fall),
		cmocka_unit_test(test_lines_too_long__are_refused),
		cmocka_unit_test(test_keys__are_lines),
		cmocka_unit_test(test_memcached__what_vv_prints),
		cmocka_unit_test(test_memcached__what_watch_sends),
		cmocka_unit_test(test_recording__runs_are_put_in_order_of_time),
		cmocka_unit_test(test_recording__that_went_round_has_the_newest),
		cmocka_unit_test(test_recording__that_is_none_is_refused),
		cmocka_unit_test(test_recording__whatever_it_counts_is_bounded_by_the_file),
		cmocka_unit_test(test_files__that_are_not_there_are_refused),
		cmocka_unit_test(test_packed_files__are_unpacked_and_cut_ones_noticed),
		cmocka_unit_test(test_names__are_keys_for_memcached),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
