/*
 * A plain program with libmemcached and a real data set: the text of files.
 *
 *	records SOCKET TIMES LIST
 *
 * 1. puts the files that LIST names into the cache;
 * 2. reads them as traffic does: a few often, most of them seldom;
 * 3. reads the smallest ones again and again, against the clock;
 * 4. reads each once.
 *
 * Every byte is compared with the file's.  A record that the cache has lost is
 * put there again, as any program would.  TIMES gets "gets nanoseconds lost":
 * gets of step 3, their time by the median round, records lost in all steps.
 * Exit status 1 where something is wrong.
 */
#include <errno.h>
#include <fcntl.h>
#include <libmemcached/memcached.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RECORDS_MAX 20000
#define RECORD_BYTES_MAX 100000
#define TOTAL_BYTES_MAX 32000000
#define TRAFFIC_GETS 20000
#define ROUND_RECORDS 100
#define ROUNDS 1001

struct record {
	char key[MEMCACHED_MAX_KEY];
	size_t n_key;
	char *text;
	size_t n_text;
};

static struct record records[RECORDS_MAX];
static size_t n_records;
static size_t n_bytes;
static memcached_st *cache;
static uint64_t n_read, n_read_bytes, n_lost;

static void __attribute__((noreturn)) stop(const char *what, const char *which)
{
	printf("records: %s: %s\n", what, which);
	exit(1);
}

static bool read_file(const char *path, struct record *record)
{
	static char text[RECORD_BYTES_MAX];
	int fd = open(path, O_RDONLY);
	ssize_t n;

	if (fd < 0) {
		return false;
	}
	n = read(fd, text, sizeof(text));
	close(fd);
	if (n <= 0) {
		return false;
	}
	record->text = malloc((size_t)n);
	if (record->text == NULL) {
		stop(path, strerror(errno));
	}
	memcpy(record->text, text, (size_t)n);
	record->n_text = (size_t)n;
	return true;
}

static void read_files(const char *list_path)
{
	FILE *list = fopen(list_path, "r");
	char path[4096];

	if (list == NULL) {
		stop(list_path, strerror(errno));
	}
	while (n_records < RECORDS_MAX && n_bytes < TOTAL_BYTES_MAX &&
	       fgets(path, sizeof(path), list) != NULL) {
		struct record *record = &records[n_records];
		size_t n = strcspn(path, "\n");

		path[n] = '\0';
		if (n >= sizeof(record->key) || strchr(path, ' ') != NULL ||
		    !read_file(path, record)) {
			continue;
		}
		memcpy(record->key, path, n + 1);
		record->n_key = n;
		n_bytes += record->n_text;
		n_records++;
	}
	fclose(list);
	if (n_records < ROUND_RECORDS) {
		stop("too few files", list_path);
	}
}

static void put(const struct record *record)
{
	memcached_return_t result = memcached_set(cache, record->key, record->n_key, record->text,
						  record->n_text, 0, 0);

	if (result != MEMCACHED_SUCCESS) {
		stop(record->key, memcached_strerror(cache, result));
	}
}

/* Takes the value; NULL is a record that the cache has lost. */
static void check(const struct record *record, char *value, size_t n_value)
{
	if (value == NULL) {
		n_lost++;
		put(record);
		n_value = record->n_text;
	} else if (n_value != record->n_text || memcmp(value, record->text, n_value) != 0) {
		stop("not what was put there", record->key);
	}
	free(value);
	n_read++;
	n_read_bytes += n_value;
}

static char *get(const struct record *record, size_t *ret_n_value)
{
	memcached_return_t result;
	uint32_t flags;
	char *value =
		memcached_get(cache, record->key, record->n_key, ret_n_value, &flags, &result);

	if (value == NULL && result != MEMCACHED_NOTFOUND) {
		stop(record->key, memcached_strerror(cache, result));
	}
	return value;
}

static void read_one(const struct record *record)
{
	size_t n_value;
	char *value = get(record, &n_value);

	check(record, value, n_value);
}

/* Numbers that look random and are the same in every run. */
static uint64_t next_number(void)
{
	static uint64_t state = 1;

	state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return state >> 33;
}

/* Zipf's law with exponent 1: the rank is exponential in an even number. */
static void read_like_traffic(void)
{
	size_t i;

	for (i = 0; i < TRAFFIC_GETS; i++) {
		double even = (double)next_number() / 2147483648.0;
		size_t rank = (size_t)pow((double)n_records, even) - 1;

		/* Neighbours in rank are no neighbours in the list. */
		read_one(&records[rank * 7919 % n_records]);
	}
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
	const struct record *one = *(const struct record *const *)a;
	const struct record *other = *(const struct record *const *)b;

	if (one->n_text != other->n_text) {
		return one->n_text < other->n_text ? -1 : 1;
	}
	return strcmp(one->key, other->key);
}

static int by_time(const void *a, const void *b)
{
	int64_t one = *(const int64_t *)a;
	int64_t other = *(const int64_t *)b;

	return (one > other) - (one < other);
}

/* The time of the median round; comparing is not part of it. */
static int64_t read_against_the_clock(void)
{
	static const struct record *smallest[RECORDS_MAX];
	static int64_t times[ROUNDS];
	static char *values[ROUND_RECORDS];
	static size_t lengths[ROUND_RECORDS];
	size_t round, i;

	for (i = 0; i < n_records; i++) {
		smallest[i] = &records[i];
	}
	qsort(smallest, n_records, sizeof(smallest[0]), by_size);
	for (round = 0; round < ROUNDS; round++) {
		int64_t begun = now_ns();

		for (i = 0; i < ROUND_RECORDS; i++) {
			values[i] = get(smallest[i], &lengths[i]);
		}
		times[round] = now_ns() - begun;
		for (i = 0; i < ROUND_RECORDS; i++) {
			check(smallest[i], values[i], lengths[i]);
		}
	}
	printf("against the clock: %d records of %zu to %zu bytes\n", ROUND_RECORDS,
	       smallest[0]->n_text, smallest[ROUND_RECORDS - 1]->n_text);
	qsort(times, ROUNDS, sizeof(times[0]), by_time);
	return times[ROUNDS / 2];
}

int main(int argc, char **argv)
{
	int64_t round_ns;
	FILE *times;
	size_t i;

	if (argc != 4) {
		stop("usage", "records SOCKET TIMES LIST");
	}
	read_files(argv[3]);
	cache = memcached_create(NULL);
	if (cache == NULL ||
	    memcached_server_add_unix_socket(cache, argv[1]) != MEMCACHED_SUCCESS) {
		stop(argv[1], "no handle");
	}
	for (i = 0; i < n_records; i++) {
		put(&records[i]);
	}
	read_like_traffic();
	round_ns = read_against_the_clock();
	for (i = 0; i < n_records; i++) {
		read_one(&records[i]);
	}
	memcached_free(cache);
	printf("%zu records, %zu bytes; %llu read, %llu bytes, all as they were put\n", n_records,
	       n_bytes, (unsigned long long)n_read, (unsigned long long)n_read_bytes);
	times = fopen(argv[2], "w");
	if (times == NULL) {
		stop(argv[2], strerror(errno));
	}
	fprintf(times, "%d %lld %llu\n", ROUNDS * ROUND_RECORDS, (long long)round_ns * ROUNDS,
		(unsigned long long)n_lost);
	fclose(times);
	return 0;
}
