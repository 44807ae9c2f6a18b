/* Is everything recorded, once, by whoever does it, and the host never harmed? */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/hash.h"
#include "core/recorder.h"
#include "sim/trace_reader.h"

#define MANY_BYTES (UINT64_C(4) << 20)

static char folder[64];
static char path[96];

static int set_up(void **state)
{
	(void)state;
	strcpy(folder, "/dev/shm/tower-test-XXXXXX");
	if (!mkdtemp(folder)) {
		return -1;
	}
	snprintf(path, sizeof(path), "%s/trace", folder);
	return 0;
}

static int tear_down(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

static struct recorder *open_recorder(uint64_t one_of, uint64_t max_bytes)
{
	const struct recorder_options options = {
		.path = path, .one_of = one_of, .max_bytes = max_bytes, .max_files = 10
	};
	struct recorder *recorder = recorder_open(&options);

	assert_non_null(recorder);
	return recorder;
}

#define KEYS 100000

/* What was recorded under the path. */
struct seen {
	unsigned n;
	unsigned of_key[KEYS];
	unsigned of_operation[TRACE_N_OPERATIONS];
	uint64_t last_size;
	double share;
};

static struct seen seen;

static bool look(void)
{
	char why[TRACE_WHY_MAX];
	struct trace_reader *reader;
	struct trace_request request;
	enum trace_status status;

	memset(&seen, 0, sizeof(seen));
	if (!trace_open(&reader, path, TRACE_TOWER, why)) {
		print_message("%s\n", why);
		return false;
	}
	while ((status = trace_next(reader, &request)) == TRACE_REQUEST) {
		assert_in_range(request.key, 1, KEYS - 1);
		seen.n++;
		seen.of_key[request.key]++;
		seen.of_operation[request.operation]++;
		seen.last_size = request.size;
	}
	assert_int_equal(status, TRACE_END);
	seen.share = trace_share(reader);
	trace_close(&reader);
	return true;
}

static unsigned n_files(void)
{
	char command[256];
	FILE *counted;
	unsigned n = 0;

	snprintf(command, sizeof(command), "ls %s | wc -l", folder);
	counted = popen(command, "r");
	assert_int_equal(fscanf(counted, "%u", &n), 1);
	pclose(counted);
	return n;
}

static void test_records__are_read_back(void **state)
{
	struct recorder *recorder = open_recorder(1, MANY_BYTES);

	(void)state;
	recorder_record(recorder, TRACE_FILE_MISS, 7, 0);
	recorder_record(recorder, TRACE_FILE_SET, 7, 100);
	recorder_record(recorder, TRACE_FILE_HIT, 7, 100);
	recorder_record(recorder, TRACE_FILE_CHANGE, 7, 0);
	recorder_record(recorder, TRACE_FILE_DELETE, 0, 0);
	recorder_record(recorder, TRACE_FILE_SET, 9, UINT64_MAX);
	/* While it is written. */
	assert_true(look());
	assert_int_equal(seen.n, 6);
	assert_int_equal(seen.of_key[7], 4);
	assert_int_equal(seen.of_key[1], 1);
	assert_int_equal(seen.of_operation[TRACE_GET], 2);
	assert_int_equal(seen.of_operation[TRACE_SET], 2);
	assert_int_equal(seen.of_operation[TRACE_DELETE], 1);
	assert_int_equal(seen.of_operation[TRACE_CHANGE], 1);
	assert_int_equal(seen.last_size, TRACE_FILE_SIZE_MAX);
	assert_true(seen.share == 1);
	recorder_close(&recorder);
	assert_null(recorder);
	assert_true(look());
	assert_int_equal(seen.n, 6);
}

static void test_full_file__keeps_the_newest(void **state)
{
	struct recorder *recorder = open_recorder(1, 64 << 10);
	struct stat st;
	char command[256];

	(void)state;
	for (uint64_t i = 1; i < KEYS; i++) {
		recorder_record(recorder, TRACE_FILE_MISS, i, 0);
	}
	assert_true(look());
	/* 60 KiB of records. */
	assert_in_range(seen.n, 3840 - TRACE_FILE_RUN, 3840);
	for (uint64_t i = KEYS - 3840 + TRACE_FILE_RUN; i < KEYS; i++) {
		assert_int_equal(seen.of_key[i], 1);
	}
	snprintf(command, sizeof(command), "mv %s.* %s/one", path, folder);
	assert_int_equal(system(command), 0);
	snprintf(command, sizeof(command), "%s/one", folder);
	assert_int_equal(stat(command, &st), 0);
	assert_in_range(st.st_size, 60 << 10, 64 << 10);
	assert_int_equal(st.st_mode & ALLPERMS, 0600);
	recorder_close(&recorder);
}

static void test_sample__has_whole_keys(void **state)
{
	struct recorder *recorder = open_recorder(16, MANY_BYTES);
	unsigned n_keys = 0;

	(void)state;
	for (unsigned round = 0; round < 3; round++) {
		for (uint64_t i = 1; i < KEYS; i++) {
			recorder_record(recorder, TRACE_FILE_MISS, i, 0);
		}
	}
	assert_true(look());
	for (unsigned i = 0; i < KEYS; i++) {
		assert_true(seen.of_key[i] == 0 || seen.of_key[i] == 3);
		n_keys += seen.of_key[i] != 0;
	}
	assert_in_range(n_keys, KEYS / 16 - 500, KEYS / 16 + 500);
	assert_true(seen.share == 1.0 / 16);
	recorder_close(&recorder);
}

static void *record_some(void *arg)
{
	for (unsigned i = 0; i < 20000; i++) {
		recorder_record(arg, TRACE_FILE_MISS, i % 1000 + 1, 0);
	}
	return NULL;
}

static void test_threads__lose_nothing(void **state)
{
	struct recorder *recorder = open_recorder(1, MANY_BYTES);
	pthread_t threads[5];

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, record_some, recorder), 0);
	}
	for (unsigned i = 0; i < 5; i++) {
		pthread_join(threads[i], NULL);
	}
	assert_true(look());
	assert_int_equal(seen.n, 100000);
	for (unsigned i = 1; i <= 1000; i++) {
		assert_int_equal(seen.of_key[i], 100);
	}
	recorder_close(&recorder);
}

/* What a child finds wrong is its status. */
static void in_child(int (*what)(struct recorder *), struct recorder *recorder)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		_exit(what(recorder));
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static int record_in_child(struct recorder *recorder)
{
	recorder_child(recorder);
	recorder_record(recorder, TRACE_FILE_MISS, 1, 0);
	recorder_claim(recorder);
	recorder_record(recorder, TRACE_FILE_MISS, 2, 0);
	return 0;
}

static void test_children__have_files_of_their_own(void **state)
{
	struct recorder *recorder = open_recorder(1, MANY_BYTES);

	(void)state;
	recorder_record(recorder, TRACE_FILE_MISS, 3, 0);
	in_child(record_in_child, recorder);
	recorder_record(recorder, TRACE_FILE_MISS, 4, 0);
	assert_int_equal(n_files(), 2);
	assert_true(look());
	assert_int_equal(seen.n, 3);
	assert_int_equal(seen.of_key[1], 0);
	assert_int_equal(seen.of_key[2] + seen.of_key[3] + seen.of_key[4], 3);
	recorder_close(&recorder);
}

static int open_limited(struct recorder *unused)
{
	struct rlimit limit = { 32 << 10, 32 << 10 };
	struct recorder *recorder;

	(void)unused;
	if (setrlimit(RLIMIT_FSIZE, &limit) != 0) {
		return 2;
	}
	recorder = open_recorder(1, MANY_BYTES);
	for (uint64_t i = 1; i < KEYS; i++) {
		recorder_record(recorder, TRACE_FILE_MISS, i, 0);
	}
	return 0;
}

static void test_limit_of_files__is_kept_to(void **state)
{
	(void)state;
	in_child(open_limited, NULL);
	assert_true(look());
	assert_in_range(seen.n, 1792 - TRACE_FILE_RUN, 1792);
}

static void test_path_that_cannot_be_had__records_nothing(void **state)
{
	struct recorder *recorder;

	(void)state;
	strcpy(path, "/nonexistent/trace");
	errno = 0;
	recorder = open_recorder(1, MANY_BYTES);
	recorder_record(recorder, TRACE_FILE_MISS, 1, 0);
	recorder_child(recorder);
	recorder_claim(recorder);
	recorder_record(recorder, TRACE_FILE_MISS, 1, 0);
	recorder_close(&recorder);
	/* A folder where everybody may exchange files. */
	assert_int_equal(chmod(folder, 0777), 0);
	snprintf(path, sizeof(path), "%s/trace", folder);
	recorder = open_recorder(1, MANY_BYTES);
	recorder_record(recorder, TRACE_FILE_MISS, 1, 0);
	recorder_close(&recorder);
	assert_int_equal(n_files(), 0);
	assert_false(look());
}

static void test_errno__is_kept(void **state)
{
	struct recorder *recorder = open_recorder(1, MANY_BYTES);

	(void)state;
	errno = EXDEV;
	for (uint64_t i = 1; i < KEYS; i++) {
		recorder_record(recorder, TRACE_FILE_MISS, i, 0);
	}
	assert_int_equal(errno, EXDEV);
	recorder_close(&recorder);
}

static void test_files__are_bounded_in_number(void **state)
{
	char other[512];

	(void)state;
	/* Not ours, whatever they are called like. */
	snprintf(other, sizeof(other), "touch %s.1 %s.1.x %s.x.1 %s", path, path, path, path);
	assert_int_equal(system(other), 0);
	for (unsigned i = 0; i < 14; i++) {
		struct recorder *recorder = open_recorder(1, 64 << 10);

		recorder_close(&recorder);
		usleep(2000); /* names are of milliseconds */
	}
	assert_int_equal(n_files(), 10 + 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_records__are_read_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_full_file__keeps_the_newest, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_sample__has_whole_keys, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_threads__lose_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_children__have_files_of_their_own, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_limit_of_files__is_kept_to, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_path_that_cannot_be_had__records_nothing,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_errno__is_kept, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_files__are_bounded_in_number, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
