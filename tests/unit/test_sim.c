/* Do simulated caches what real ones do: naive ones, the memory layer, the one that knows all? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/hash.h"
#include "layers/memory.h"
#include "sim/cache.h"
#include "sim/curve.h"
#include "sim/hierarchy.h"
#include "sim/opt.h"

#define KEYS 40

static uint64_t seed = 1;

static uint32_t any(uint32_t n)
{
	seed = seed * UINT64_C(6364136223846793005) + 1;
	return (uint32_t)(seed >> 33) % n;
}

/* Small numbers more often. */
static uint32_t skewed(uint32_t n)
{
	return any(any(any(n) + 1) + 1);
}

/* A trace of lines of csv. */
static struct stream stream_of(const char *text, const struct stream_options *given)
{
	struct stream_options options = { .rate = 1,
					  .max_keys = UINT32_MAX,
					  .max_requests = STREAM_REQUESTS_MAX,
					  .assumed_bytes = 100 };
	char why[TRACE_WHY_MAX];
	struct trace_reader *reader = NULL;
	struct stream stream = { 0 };
	int fd = memfd_create("trace", MFD_CLOEXEC);

	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_true(trace_open_descriptor(&reader, fd, "F", TRACE_CSV, why));
	if (!stream_load(&stream, reader, given ? given : &options, why)) {
		fail_msg("%s", why);
	}
	trace_close(&reader);
	return stream;
}

/* --- one cache --- */

/* The newest first. */
struct naive {
	uint32_t keys[KEYS];
	size_t n;
};

static size_t naive_find(const struct naive *naive, uint32_t key)
{
	size_t at = 0;

	while (at < naive->n && naive->keys[at] != key) {
		at++;
	}
	return at;
}

static void naive_drop(struct naive *naive, size_t at)
{
	naive->n--;
	memmove(&naive->keys[at], &naive->keys[at + 1], (naive->n - at) * sizeof(uint32_t));
}

static void naive_put(struct naive *naive, uint32_t key, size_t max)
{
	if (naive->n == max) {
		naive->n--;
	}
	memmove(&naive->keys[1], naive->keys, naive->n * sizeof(uint32_t));
	naive->keys[0] = key;
	naive->n++;
}

static void expect_like_naive(enum policy_kind policy, size_t max)
{
	const struct cache_options options = {
		.policy = policy, .n_keys = KEYS, .max = max, .share = 1
	};
	struct cache *cache = cache_new(&options);
	struct naive naive = { 0 };

	for (unsigned i = 0; i < 20000; i++) {
		uint32_t key = skewed(KEYS);
		size_t at = naive_find(&naive, key);
		bool is_there = at < naive.n;

		if (any(20) == 0) {
			cache_drop(cache, key);
			if (is_there) {
				naive_drop(&naive, at);
			}
			continue;
		}
		assert_int_equal(cache_get(cache, key, 0), is_there);
		if (is_there && policy == POLICY_LRU) {
			naive_drop(&naive, at);
			naive_put(&naive, key, max);
		} else if (!is_there) {
			cache_put(cache, key, 1, CACHE_NEVER);
			naive_put(&naive, key, max);
		}
	}
	cache_free(&cache);
	assert_null(cache);
}

static void test_lru__is_exact(void **state)
{
	(void)state;
	for (size_t max = 1; max <= KEYS; max += 3) {
		expect_like_naive(POLICY_LRU, max);
	}
}

static void test_fifo__is_exact(void **state)
{
	(void)state;
	for (size_t max = 1; max <= KEYS; max += 3) {
		expect_like_naive(POLICY_FIFO, max);
	}
}

static void test_bytes__are_kept_to(void **state)
{
	const struct cache_options options = {
		.policy = POLICY_FIFO, .n_keys = 4, .by_bytes = true, .max = 100, .share = 1
	};
	struct cache *cache = cache_new(&options);

	(void)state;
	cache_put(cache, 0, 60, CACHE_NEVER);
	cache_put(cache, 1, 40, CACHE_NEVER);
	assert_true(cache_get(cache, 0, 0) && cache_get(cache, 1, 0));
	cache_put(cache, 2, 1, CACHE_NEVER);
	assert_false(cache_get(cache, 0, 0));
	assert_true(cache_get(cache, 1, 0) && cache_get(cache, 2, 0));
	/* What cannot fit is not held, nor what was there before. */
	cache_put(cache, 1, 101, CACHE_NEVER);
	assert_false(cache_get(cache, 1, 0));
	assert_true(cache_get(cache, 2, 0));
	cache_free(&cache);
}

static void test_ends__are_misses(void **state)
{
	const struct cache_options options = {
		.policy = POLICY_LRU, .n_keys = 3, .max = 2, .share = 1
	};
	struct cache *cache = cache_new(&options);

	(void)state;
	cache_put(cache, 0, 1, CACHE_NEVER);
	cache_put(cache, 1, 1, 1000);
	assert_true(cache_get(cache, 1, 999));
	assert_false(cache_get(cache, 1, 1000));
	assert_true(cache_get(cache, 0, 1000));
	cache_free(&cache);
}

static void test_nothing__holds_nothing(void **state)
{
	const struct cache_options options = { .policy = POLICY_S3FIFO, .n_keys = 3, .share = 1 };
	struct cache *cache = cache_new(&options);

	(void)state;
	cache_put(cache, 0, 1, CACHE_NEVER);
	assert_false(cache_get(cache, 0, 0));
	cache_free(&cache);
}

/* --- the memory layer, asked the same --- */

enum { MANY = 3000, REQUESTS = 60000 };

static double layer_ratio(const uint32_t *keys, const uint32_t *sizes, const char *value,
			  enum policy_kind policy, uint64_t max_items, uint64_t max_bytes)
{
	static struct layer_counters counted;
	static struct layer_counters *counters = &counted;
	const struct memory_options options = { .policy = policy,
						.max_bytes = max_bytes,
						.max_items = max_items };
	struct layer *layer = memory_open(&options, &counters);
	size_t n_hits = 0;

	assert_non_null(layer);
	clock_fake(CLOCK_NS_PER_S, 1);
	for (size_t i = 0; i < REQUESTS; i++) {
		char key[21];
		struct layer_item item = { .key = { .wire = key, .n_wire = 20 } };
		struct layer_batch batch = { .items = &item, .n_items = 1, .probe = true };

		snprintf(key, sizeof(key), "%020u", keys[i]);
		item.key.hash = hash_bytes(key, 20);
		memory_ops.get(layer, &batch);
		if (item.answer == LAYER_HIT) {
			n_hits++;
			continue;
		}
		item.answer = LAYER_HIT;
		item.layer = 1;
		item.value = (char *)value;
		item.n_value = sizes[keys[i]];
		item.deadline_ns = CLOCK_NEVER;
		memory_ops.fill(layer, &batch, 0);
	}
	clock_fake(0, 0);
	memory_ops.close(&layer);
	return (double)n_hits / REQUESTS;
}

static void expect_like_layer(const char *policy_name, enum policy_kind kind, const char *size,
			      uint64_t max_items, uint64_t max_bytes)
{
	static uint32_t keys[REQUESTS];
	static uint32_t sizes[MANY];
	static uint32_t sizes_by_request[REQUESTS];
	static char value[2000];
	struct stream stream = {
		.keys = keys,
		.sizes = sizes_by_request,
		.n_requests = REQUESTS,
		.n_keys = MANY,
		.n_gets = REQUESTS,
		.share = 1,
		.rate = 1,
		.n_read = REQUESTS,
		.n_read_gets = REQUESTS,
		.mean_bytes = 500,
	};
	struct curve_options options = {
		.policies = { curve_policy_find(policy_name, strlen(policy_name)) },
		.n_policies = 1,
		.n_sizes = 1,
		.key_bytes = 20,
		.n_threads = 2,
	};
	struct curve_row row;
	double layer;

	for (uint32_t i = 0; i < MANY; i++) {
		sizes[i] = any(1000);
	}
	for (size_t i = 0; i < REQUESTS; i++) {
		keys[i] = skewed(MANY);
		sizes_by_request[i] = sizes[keys[i]];
	}
	assert_true(curve_size_parse(size, strlen(size), &options.sizes[0]));
	assert_true(curve_run(&stream, &options, &row));
	layer = layer_ratio(keys, sizes, value, kind, max_items, max_bytes);
	if (row.hit_ratio < layer - 0.01 || row.hit_ratio > layer + 0.01) {
		fail_msg("%s, %s: simulated %.4f, the layer has %.4f", policy_name, size,
			 row.hit_ratio, layer);
	}
}

static void test_as_built__hits_as_often_as_the_memory_layer(void **state)
{
	const uint64_t much = UINT64_C(1) << 28;

	(void)state;
	expect_like_layer("tower-lru", POLICY_LRU, "300i", 300, much);
	expect_like_layer("tower-s3fifo", POLICY_S3FIFO, "30i", 30, much);
	expect_like_layer("tower-s3fifo", POLICY_S3FIFO, "300i", 300, much);
	expect_like_layer("fifo", POLICY_FIFO, "300i", 300, much);
	expect_like_layer("tower-lru", POLICY_LRU, "512K", 0, 512 << 10);
	expect_like_layer("tower-s3fifo", POLICY_S3FIFO, "512K", 0, 512 << 10);
	expect_like_layer("fifo", POLICY_FIFO, "1M", 0, 1 << 20);
}

/* --- OPT --- */

/* Evicts what is asked for the farthest from now, looking through all that is to come. */
static uint64_t naive_opt(const uint32_t *keys, size_t n, size_t max)
{
	struct naive held = { 0 };
	uint64_t n_misses = 0;

	for (size_t i = 0; i < n; i++) {
		size_t farthest = 0;
		size_t farthest_at = 0;

		if (naive_find(&held, keys[i]) < held.n) {
			continue;
		}
		n_misses++;
		for (size_t k = 0; held.n == max && k < held.n; k++) {
			size_t next = i + 1;

			while (next < n && keys[next] != held.keys[k]) {
				next++;
			}
			if (next > farthest_at) {
				farthest_at = next;
				farthest = k;
			}
		}
		if (held.n == max) {
			naive_drop(&held, farthest);
		}
		naive_put(&held, keys[i], max);
	}
	return n_misses;
}

static uint32_t one(const struct stream *stream, size_t at, uint32_t key_bytes)
{
	(void)stream;
	(void)at;
	(void)key_bytes;
	return 1;
}

static void test_opt__knows_the_future(void **state)
{
	(void)state;
	for (size_t max = 1; max <= KEYS; max += 4) {
		uint32_t keys[3000];
		struct stream stream = { .keys = keys, .n_requests = 3000, .n_keys = KEYS };
		uint64_t n_misses = 0;
		uint32_t *next;

		for (size_t i = 0; i < 3000; i++) {
			keys[i] = skewed(KEYS);
		}
		next = opt_next(&stream);
		assert_true(opt_run(&stream, next, max, one, 0, &n_misses));
		assert_int_equal(n_misses, naive_opt(keys, 3000, max));
		free(next);
	}
}

static void test_opt__does_not_keep_what_is_written_before_it_is_read(void **state)
{
	/* With room for one, b is worth keeping: a is deleted before it is asked for. */
	struct stream stream = stream_of("1,a\n2,b\n3,a,,delete\n4,b\n5,a\n6,a,5,set\n7,a\n", NULL);
	uint32_t *next = opt_next(&stream);
	uint64_t n_misses = 0;

	(void)state;
	assert_true(opt_run(&stream, next, 1, one, 0, &n_misses));
	assert_int_equal(n_misses, 3);
	free(next);
	stream_free(&stream);
}

/* --- streams --- */

static void test_sample__has_all_requests_of_its_keys(void **state)
{
	const struct stream_options options = { .rate = 1,
						.max_keys = 100,
						.max_requests = STREAM_REQUESTS_MAX,
						.assumed_bytes = 100 };
	static char text[400000];
	unsigned counts[100] = { 0 };
	struct stream stream;
	size_t used = 0;

	(void)state;
	/* Each of 1000 keys comes seven times. */
	for (unsigned i = 0; i < 7000; i++) {
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%u,key%u,%u\n", i,
					 i * 7 % 1000, i * 7 % 1000);
	}
	stream = stream_of(text, &options);
	assert_int_equal(stream.n_read, 7000);
	assert_in_range(stream.n_keys, 50, 100);
	assert_int_equal(stream.n_requests, stream.n_keys * 7);
	assert_int_equal(stream.n_gets, stream.n_requests);
	assert_true(stream.share > 0.04 && stream.share < 0.15);
	for (size_t i = 0; i < stream.n_requests; i++) {
		counts[stream.keys[i]]++;
		/* Sizes stayed with their keys. */
		assert_int_equal(stream.sizes[i], stream.sizes[i % stream.n_keys]);
	}
	for (uint32_t i = 0; i < stream.n_keys; i++) {
		assert_int_equal(counts[i], 7);
	}
	/* Every key misses once: as the whole trace has it. */
	assert_true(stream_hit_ratio(&stream, stream.n_keys) > 0.8);
	stream_free(&stream);
}

static void test_sizes__are_those_of_the_key_or_assumed(void **state)
{
	struct stream stream = stream_of("1,a\n2,a,5\n3,a\n4,b\n5,a,9,set\n6,a\n", NULL);

	(void)state;
	assert_int_equal(stream.sizes[0], 5);
	assert_int_equal(stream.sizes[2], 5);
	assert_int_equal(stream.sizes[3], 100);
	assert_int_equal(stream.sizes[5], 9);
	assert_true(stream.assumes);
	stream_free(&stream);
}

static struct curve_row row_of(const struct stream *stream, const char *size, bool by_writes,
			       uint32_t ttl_ms)
{
	struct curve_options options = {
		.policies = { curve_policy_find("lru", 3) },
		.n_policies = 1,
		.n_sizes = 1,
		.key_bytes = 20,
		.n_threads = 1,
		.fill_by_writes = by_writes,
		.ttl_ms = ttl_ms,
	};
	struct curve_row row;

	assert_true(curve_size_parse(size, strlen(size), &options.sizes[0]));
	assert_true(curve_run(stream, &options, &row));
	return row;
}

static void test_writes__are_stored_and_end(void **state)
{
	/* A hit at 2, ended at 12, filled there, a hit at 13, dropped, a miss at 15. */
	struct stream stream =
		stream_of("1,a,5,set,10\n2,a\n12,a\n13,a\n14,a,,delete\n15,a\n", NULL);

	(void)state;
	assert_true(row_of(&stream, "100%", false, 0).hit_ratio == 0.5);
	/* Where gets fill nothing the one at 13 misses, too. */
	assert_true(row_of(&stream, "100%", true, 0).hit_ratio == 0.25);
	/* Where nothing lives for a second, nothing hits. */
	assert_true(row_of(&stream, "100%", false, 900).hit_ratio == 0);
	stream_free(&stream);
}

/* --- sizes, recommendations --- */

static void test_sizes__are_shares_values_or_bytes(void **state)
{
	static const char *const wrong[] = { "",      "%",    "0%",  "101%", "-1",
					     "1e3",   "nan%", "5X",  "5Mi",  "K",
					     "1.2.3", "0x10", "inf", "1.5",  "1.5i" };
	struct curve_size size;

	(void)state;
	assert_true(curve_size_parse("0.5%,", 4, &size));
	assert_int_equal(size.unit, CURVE_PERCENT);
	assert_true(size.percent == 0.5);
	assert_string_equal(size.text, "0.5%");
	assert_true(curve_size_parse("500i", 4, &size));
	assert_int_equal(size.unit, CURVE_ITEMS);
	assert_int_equal(size.n, 500);
	assert_true(curve_size_parse("1.5M", 4, &size));
	assert_int_equal(size.unit, CURVE_BYTES);
	assert_int_equal(size.n, 3 << 19);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_false(curve_size_parse(wrong[i], strlen(wrong[i]), &size));
	}
}

/* 100 keys are asked for again and again in turn, and 10 of them twice as often. */
static void test_recommended__is_the_smallest_that_is_good_enough(void **state)
{
	enum { N = 100, ROUNDS = 300 };
	static uint32_t keys[ROUNDS * (N + 10)];
	struct stream stream = { .keys = keys,
				 .n_keys = N,
				 .share = 1,
				 .rate = 1,
				 .mean_bytes = 100,
				 .assumed_bytes = 100 };
	struct curve_options options = {
		.policies = { curve_policy_find("lru", 3), curve_policy_find("opt", 3) },
		.n_policies = 2,
		.n_sizes = 3,
		.key_bytes = 20,
		.n_threads = 1,
	};
	struct curve_row rows[6];
	struct curve_recommendation found;

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (uint32_t i = 0; i < N; i++) {
			keys[stream.n_requests++] = i;
			if (i < 10) {
				keys[stream.n_requests++] = i;
			}
		}
	}
	stream.n_gets = stream.n_read = stream.n_read_gets = stream.n_requests;
	assert_true(curve_size_parse("2%", 2, &options.sizes[0]));
	assert_true(curve_size_parse("50%", 3, &options.sizes[1]));
	assert_true(curve_size_parse("100%", 4, &options.sizes[2]));
	assert_true(curve_run(&stream, &options, rows));
	assert_true(curve_recommend(&stream, &options, rows, 6, &found));
	/* With lru anything smaller than all has hardly a hit; half of that is never enough. */
	assert_string_equal(found.row.policy->name, "lru");
	assert_in_range(found.row.items, 99, 100);
	/* Where the best that was tried is a bad one, the smallest that is as good. */
	assert_true(curve_recommend(&stream, &options, rows, 2, &found));
	assert_in_range(found.row.items, 1, 2);
	assert_ptr_equal(found.row.size, &found.size);
	/* Sizes in values and in bytes: the only one that is good enough is far too large. */
	assert_true(curve_size_parse("64M", 3, &options.sizes[2]));
	assert_true(curve_run(&stream, &options, rows));
	assert_true(curve_recommend(&stream, &options, rows, 3, &found));
	assert_in_range(found.row.items, 90, 120);
	/* What knows the future is no cache to be had. */
	assert_false(curve_recommend(&stream, &options, &rows[3], 3, &found));
}

/* --- a hierarchy --- */

static void test_hierarchy__the_first_that_has_it_answers(void **state)
{
	struct stream stream = stream_of("0,a,100\n0,b,100\n0,a,100\n0,b,100\n0,b,100\n", NULL);
	/* The first layer has room for one of them. */
	struct hierarchy hierarchy = {
		.layers = { { .name = "memory",
			      .max_bytes = 200,
			      .private = true,
			      .latency_ns = 1 },
			    { .name = "memcached", .max_bytes = 10000, .latency_ns = 10 } },
		.n_layers = 2,
		.origin_ns = 100,
	};

	(void)state;
	assert_true(hierarchy_run(&stream, 20, false, &hierarchy));
	/* a, b: origin; a, b: memcached, because each drives the other out; b: memory. */
	assert_true(hierarchy.layers[0].hit_share > 0.199 && hierarchy.layers[0].hit_share < 0.201);
	assert_true(hierarchy.layers[1].hit_share > 0.399 && hierarchy.layers[1].hit_share < 0.401);
	assert_true(hierarchy.origin_share > 0.399 && hierarchy.origin_share < 0.401);
	/* (2 * 111 + 2 * 11 + 1) / 5 */
	assert_true(hierarchy.mean_ns > 48.99 && hierarchy.mean_ns < 49.01);
	stream_free(&stream);
}

static void test_hierarchy__ends_bind_in_every_layer(void **state)
{
	/* 0.5: memory; 2: memory's ttl is over, memcached; 20: ended everywhere. */
	struct stream stream = stream_of("0,a,1,set,10\n0.5,a\n2,a\n20,a\n", NULL);
	struct hierarchy hierarchy = {
		.layers = { { .name = "memory", .max_bytes = 10000, .ttl_ms = 1000 },
			    { .name = "memcached", .max_bytes = 10000 } },
		.n_layers = 2,
	};

	(void)state;
	assert_true(hierarchy_run(&stream, 20, false, &hierarchy));
	for (unsigned i = 0; i < 2; i++) {
		assert_true(hierarchy.layers[i].hit_share > 0.33 &&
			    hierarchy.layers[i].hit_share < 0.34);
	}
	stream_free(&stream);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lru__is_exact),
		cmocka_unit_test(test_fifo__is_exact),
		cmocka_unit_test(test_bytes__are_kept_to),
		cmocka_unit_test(test_ends__are_misses),
		cmocka_unit_test(test_nothing__holds_nothing),
		cmocka_unit_test(test_as_built__hits_as_often_as_the_memory_layer),
		cmocka_unit_test(test_opt__knows_the_future),
		cmocka_unit_test(test_opt__does_not_keep_what_is_written_before_it_is_read),
		cmocka_unit_test(test_sample__has_all_requests_of_its_keys),
		cmocka_unit_test(test_sizes__are_those_of_the_key_or_assumed),
		cmocka_unit_test(test_writes__are_stored_and_end),
		cmocka_unit_test(test_sizes__are_shares_values_or_bytes),
		cmocka_unit_test(test_recommended__is_the_smallest_that_is_good_enough),
		cmocka_unit_test(test_hierarchy__the_first_that_has_it_answers),
		cmocka_unit_test(test_hierarchy__ends_bind_in_every_layer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
