/* Are the workloads of `tower bench` what they say, its values checked, its intervals right? */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "measure/candidate.h"
#include "measure/interval.h"
#include "measure/number.h"
#include "measure/value.h"
#include "measure/workload.h"

#define N_DRAWS 200000

static void assert_close(double x, double expected, double tolerance)
{
	if (!(fabs(x - expected) <= tolerance)) {
		fail_msg("%.6g, not %.6g +- %.3g", x, expected, tolerance);
	}
}

/* --- Zipf --- */

/* Every rank among the first ones as often as its power says. */
static void check_zipf(uint32_t n, double exponent)
{
	struct random_stream random = random_open(7, 0);
	unsigned counts[8] = { 0 };
	struct zipf zipf;
	double sum = 0;

	zipf_init(&zipf, n, exponent);
	for (uint32_t k = 1; k <= n; k++) {
		sum += pow(k, -exponent);
	}
	for (unsigned i = 0; i < N_DRAWS; i++) {
		uint32_t rank = zipf_draw(&zipf, &random);

		assert_true(rank < n);
		if (rank < 8) {
			counts[rank]++;
		}
	}
	for (uint32_t k = 1; k <= 8 && k <= n; k++) {
		double chance = pow(k, -exponent) / sum;
		/* Five standard deviations, of a seed that does not change. */
		double slack = 5 * sqrt(chance * (1 - chance) / N_DRAWS);

		assert_close(counts[k - 1] / (double)N_DRAWS, chance, slack + 1e-9);
	}
}

static void test_zipf__any_exponent(void **state)
{
	static const double exponents[] = { 0, 0.5, 0.99, 1, 1.2, 2.5 };

	for (size_t i = 0; i < sizeof(exponents) / sizeof(exponents[0]); i++) {
		check_zipf(1, exponents[i]);
		check_zipf(2, exponents[i]);
		check_zipf(1000, exponents[i]);
	}
}

/* --- workloads --- */

static struct workload workload_of(const char *const *options)
{
	struct workload workload;
	char why[WORKLOAD_WHY_MAX];

	workload_default(&workload);
	for (; *options; options += 2) {
		if (!workload_option(&workload, options[0], options[1], why)) {
			fail_msg("--%s=%s %s", options[0], options[1], why);
		}
	}
	return workload;
}

#define WORKLOAD(...) workload_of((const char *const[]){ __VA_ARGS__, NULL })

static void test_same_seed__same_requests(void **state)
{
	struct workload workload = WORKLOAD("mix", "get=5,set=4,delete=1", "mget", "1-9", "scan",
					    "10%:20", "expiry", "0:1,5-9:1");
	struct workload_generator generators[2];
	struct workload_request *requests = test_calloc(2, sizeof(*requests));
	unsigned n_different = 0;

	workload_open(&generators[0], &workload, NULL, 3, 4);
	workload_open(&generators[1], &workload, NULL, 3, 4);
	for (unsigned i = 0; i < 5000; i++) {
		workload_next(&generators[0], 0, &requests[0]);
		workload_next(&generators[1], 0, &requests[1]);
		assert_int_equal(requests[0].operation, requests[1].operation);
		assert_int_equal(requests[0].n_keys, requests[1].n_keys);
		assert_int_equal(requests[0].expiry, requests[1].expiry);
		assert_memory_equal(requests[0].keys, requests[1].keys,
				    requests[0].n_keys * sizeof(requests[0].keys[0]));
	}
	workload_open(&generators[1], &workload, NULL, 2, 4);
	for (unsigned i = 0; i < 1000; i++) {
		workload_next(&generators[0], 0, &requests[0]);
		workload_next(&generators[1], 0, &requests[1]);
		n_different += requests[0].keys[0] != requests[1].keys[0];
	}
	assert_true(n_different > 500);
	test_free(requests);
}

static void test_requests__are_what_was_asked_for(void **state)
{
	struct workload workload =
		WORKLOAD("keys", "50", "mix", "get=70,set=20,delete=10", "mget", "1:3,20:1");
	struct workload_generator generator;
	struct workload_request *request = test_calloc(1, sizeof(*request));
	unsigned counts[WORKLOAD_OPERATIONS] = { 0 };
	unsigned n_wide = 0;

	workload_open(&generator, &workload, NULL, 0, 1);
	for (unsigned i = 0; i < 20000; i++) {
		workload_next(&generator, 0, request);
		counts[request->operation]++;
		assert_true(request->n_keys == 1 ||
			    (request->n_keys == 20 && request->operation == WORKLOAD_GET));
		n_wide += request->n_keys == 20;
		for (uint32_t j = 0; j < request->n_keys; j++) {
			assert_true(request->keys[j] < 50);
			for (uint32_t k = 0; k < j; k++) {
				assert_int_not_equal(request->keys[j], request->keys[k]);
			}
		}
	}
	assert_close(counts[WORKLOAD_GET] / 20000.0, 0.7, 0.02);
	assert_close(counts[WORKLOAD_SET] / 20000.0, 0.2, 0.02);
	assert_close(counts[WORKLOAD_DELETE] / 20000.0, 0.1, 0.02);
	assert_close(n_wide / (double)counts[WORKLOAD_GET], 0.25, 0.02);
	test_free(request);
}

static void test_hot_set__gets_its_share_and_moves(void **state)
{
	struct workload workload = WORKLOAD("keys", "1000", "popularity", "hot:1%:90%:1s");
	struct workload_request *request = test_calloc(1, sizeof(*request));
	struct workload_generator generator;

	workload_open(&generator, &workload, NULL, 0, 1);
	for (uint32_t second = 0; second < 3; second++) {
		unsigned n_hot = 0;

		for (unsigned i = 0; i < 10000; i++) {
			workload_next(&generator, second * INT64_C(1000000000) + i, request);
			n_hot += request->keys[0] / 10 == second;
		}
		assert_close(n_hot / 10000.0, 0.901, 0.02);
	}
	test_free(request);
}

static void test_scans__are_whole_and_of_their_share(void **state)
{
	struct workload workload =
		WORKLOAD("keys", "100000", "popularity", "uniform", "scan", "30%:100");
	struct workload_request *request = test_calloc(1, sizeof(*request));
	struct workload_generator generator;
	uint32_t before = 0;
	unsigned n_next = 0;

	workload_open(&generator, &workload, NULL, 0, 1);
	for (unsigned i = 0; i < 200000; i++) {
		workload_next(&generator, 0, request);
		n_next += request->keys[0] == (before + 1) % 100000;
		before = request->keys[0];
	}
	assert_close(n_next / 200000.0, 0.3 * 0.99, 0.03);
	test_free(request);
}

static void test_streams__are_shared_out_and_begin_again(void **state)
{
	static const struct workload_record records[] = {
		{ 0, 0, 0, WORKLOAD_GET }, { 1, 77, 9, WORKLOAD_SET }, { 2, 0, 0, WORKLOAD_DELETE },
		{ 1, 0, 0, WORKLOAD_GET }, { 0, 0, 0, WORKLOAD_GET },
	};
	struct workload_stream stream = { 5, records };
	struct workload workload = WORKLOAD("keys", "3");
	struct workload_request *request = test_calloc(1, sizeof(*request));
	struct workload_generator generator;

	workload.popularity = WORKLOAD_STREAM;
	workload_open(&generator, &workload, &stream, 1, 2);
	for (unsigned i = 0; i < 20; i++) {
		const struct workload_record *expected = &records[(1 + 2 * i) % 5];

		workload_next(&generator, 0, request);
		assert_int_equal(request->keys[0], expected->key);
		assert_int_equal(request->operation, expected->operation);
		assert_int_equal(request->size, expected->size);
		assert_int_equal(request->expiry, expected->expiry);
	}
	test_free(request);
}

static void test_gaps__have_the_mean_asked_for(void **state)
{
	struct workload even = WORKLOAD("rate", "1000");
	struct workload random = WORKLOAD("rate", "1000", "arrivals", "poisson");
	struct workload_generator generator;
	double sum = 0;

	workload_open(&generator, &even, NULL, 0, 1);
	assert_close(workload_gap_ns(&generator, 1e6), 1e6, 0);
	workload_open(&generator, &random, NULL, 0, 1);
	for (unsigned i = 0; i < N_DRAWS; i++) {
		double gap = workload_gap_ns(&generator, 1e6);

		assert_true(gap >= 0);
		sum += gap;
	}
	assert_close(sum / N_DRAWS, 1e6, 2e4);
}

static void test_wrong_options__are_refused_and_change_nothing(void **state)
{
	static const char *const wrong[][2] = {
		{ "keys", "0" },
		{ "keys", "65M" },
		{ "keys", "x" },
		{ "popularity", "zipf" },
		{ "popularity", "zipf:-1" },
		{ "popularity", "zipf:21" },
		{ "popularity", "hot:1%:90%" },
		{ "popularity", "hot:1%:190%:1s" },
		{ "popularity", "uniform:1" },
		{ "scan", "100%" },
		{ "scan", "5%:0" },
		{ "mix", "get" },
		{ "mix", "get=0" },
		{ "mix", "get=1,put=1" },
		{ "values", "15" },
		{ "values", "20-16" },
		{ "values", "16:0" },
		{ "values", "2M" },
		{ "values", "" },
		{ "mget", "1001" },
		{ "expiry", "2592001" },
		{ "rate", "-1" },
		{ "arrivals", "never" },
		{ "fill", "some" },
		{ "misses", "" },
		{ "seed", "1.5" },
		{ "no-such", "1" },
	};
	struct workload before;
	struct workload workload;

	workload_default(&before);
	workload = before;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char why[WORKLOAD_WHY_MAX] = "";

		if (workload_option(&workload, wrong[i][0], wrong[i][1], why)) {
			fail_msg("--%s=%s is taken", wrong[i][0], wrong[i][1]);
		}
		assert_true(why[0] != '\0');
		assert_memory_equal(&workload, &before, sizeof(before));
	}
}

static void test_numbers__by_weight(void **state)
{
	struct workload workload = WORKLOAD("values", "100:3,1K-2K:1");
	struct random_stream random = random_open(1, 1);
	unsigned n_small = 0;

	for (unsigned i = 0; i < 20000; i++) {
		uint32_t n = workload_number(&workload.values, random_next(&random));

		assert_true(n == 100 || (n >= 1024 && n <= 2048));
		n_small += n == 100;
	}
	assert_close(n_small / 20000.0, 0.75, 0.02);
}

static void test_times_and_shares__as_people_write_them(void **state)
{
	int64_t ns;
	double share;
	uint64_t n;

	assert_true(number_time_ns("1.5s", 0, INT64_MAX / 2, &ns) && ns == 1500000000);
	assert_true(number_time_ns("20ms", 0, INT64_MAX / 2, &ns) && ns == 20000000);
	assert_true(number_time_ns("2", 0, INT64_MAX / 2, &ns) && ns == 2000000000);
	assert_false(number_time_ns("2 s", 0, INT64_MAX / 2, &ns));
	assert_false(number_time_ns("1ms", 2000000, INT64_MAX / 2, &ns));
	assert_true(number_share("5%", &share) && share == 0.05);
	assert_false(number_share("1.01", &share));
	assert_true(number_count("16M", 0, UINT64_MAX, &n) && n == 16 << 20);
	assert_false(number_count("99999999999999999999", 0, UINT64_MAX, &n));
	assert_false(number_count("17179869184G", 0, UINT64_MAX, &n));
}

/* --- values --- */

static enum value_fault check(const struct workload *workload, struct value_key *slot,
			      uint64_t floor, const char *bytes, size_t n)
{
	uint64_t version;
	uint32_t flags = 0;

	if (n >= VALUE_BYTES_MIN) {
		memcpy(&version, bytes + 8, sizeof(version));
		flags = value_flags(5, version);
	}
	return value_check(workload, slot, 5, floor, bytes, n, flags, &version);
}

static void test_values__right_ones_pass_and_every_wrong_byte_is_seen(void **state)
{
	static const uint32_t sizes[] = { 16, 17, 23, 24, 100, 1000 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct workload workload;
		struct value_key slot = { 0 };
		uint32_t n = sizes[i];
		char bytes[1001] = "";

		workload_default(&workload);
		workload.values = (struct workload_numbers){ 1, { { n, n, 1 } } };
		value_begin(&slot);
		assert_int_equal(value_size(&workload, 5, 1, 0), n);
		value_make(&workload, 5, 1, bytes, n);
		assert_int_equal(check(&workload, &slot, 0, bytes, n), VALUE_RIGHT);
		assert_int_equal(check(&workload, &slot, 0, bytes, n - 1),
				 n == 16 ? VALUE_SHORT : VALUE_LENGTH);
		assert_int_equal(check(&workload, &slot, 0, bytes, n + 1), VALUE_LENGTH);
		for (uint32_t at = 0; at < n; at++) {
			bytes[at] ^= 4;
			assert_int_not_equal(check(&workload, &slot, 0, bytes, n), VALUE_RIGHT);
			bytes[at] ^= 4;
		}
	}
}

static void test_versions__old_and_unborn_ones_are_seen(void **state)
{
	struct workload workload;
	struct value_key slot = { 0 };
	struct value_write writes[3];
	char bytes[100];

	workload_default(&workload);
	writes[0] = value_begin(&slot);
	value_end(&writes[0]);
	writes[1] = value_begin(&slot);
	value_end(&writes[1]);
	assert_int_equal(value_floor(&slot), 2);
	value_make(&workload, 5, 1, bytes, 100);
	assert_int_equal(check(&workload, &slot, value_floor(&slot), bytes, 100), VALUE_STALE);
	value_make(&workload, 5, 3, bytes, 100);
	assert_int_equal(check(&workload, &slot, value_floor(&slot), bytes, 100), VALUE_UNBORN);
	writes[2] = value_begin(&slot);
	assert_int_equal(check(&workload, &slot, value_floor(&slot), bytes, 100), VALUE_RIGHT);
}

static void test_writes_that_overlap__raise_nothing(void **state)
{
	struct value_key slot = { 0 };
	struct value_write first = value_begin(&slot);
	struct value_write second = value_begin(&slot);

	/* memcached may have done either one last. */
	value_end(&first);
	assert_int_equal(value_floor(&slot), 0);
	value_end(&second);
	assert_int_equal(value_floor(&slot), 0);
	first = value_begin(&slot);
	value_end(&first);
	assert_int_equal(value_floor(&slot), 3);
	/* One that never ends leaves all after it uncertain. */
	first = value_begin(&slot);
	second = value_begin(&slot);
	value_end(&second);
	assert_int_equal(value_floor(&slot), 3);
}

/* --- intervals --- */

static void test_intervals__of_known_numbers(void **state)
{
	static const double values[] = { 9, 10, 11, 12, 8 };
	static const double doubled[] = { 18, 20, 22, 24, 16 };
	struct interval interval = interval_of(values, 5);
	struct interval ratio = interval_of_ratio(values, doubled, 5);

	assert_close(interval.mean, 10, 1e-9);
	/* 2.776 * sqrt(2.5 / 5) */
	assert_close(interval.high - 10, 1.963, 0.001);
	assert_close(10 - interval.low, 1.963, 0.001);
	assert_close(ratio.mean, 2, 1e-9);
	assert_close(ratio.high, 2, 1e-9);
	assert_true(interval.known && ratio.known);
	assert_false(interval_of(values, 1).known);
	assert_close(interval_of(values, 1).mean, 9, 0);
	assert_close(interval_student(4), 2.776, 0.001);
	assert_close(interval_student(31), 2.040, 0.001);
	assert_close(interval_student(1000), 1.962, 0.001);
}

/* --- hierarchies --- */

static void test_variants__settings_with_commas(void **state)
{
	struct config config;
	struct candidate candidate;
	char why[CANDIDATE_WHY_MAX];
	char text[1024];

	assert_int_equal(config_load(&config, NULL, why), CONFIG_OK);
	assert_true(candidate_variant("deep:tower.layers=memory,memcached,redis,memory.ttl=5s",
				      &config, &candidate, why));
	assert_string_equal(candidate.name, "deep");
	assert_true(candidate_has_redis(&candidate));
	assert_int_equal(candidate.config.memory_ttl, INT64_C(5000000000));
	candidate_describe(&candidate, text, sizeof(text));
	assert_non_null(strstr(text, "memory.ttl=5s"));
	assert_false(candidate_variant("a", &config, &candidate, why));
	assert_false(candidate_variant("a:", &config, &candidate, why));
	assert_false(candidate_variant("a b:memory.ttl=1s", &config, &candidate, why));
	assert_false(candidate_variant("a:memory.tll=1s", &config, &candidate, why));
	assert_non_null(strstr(why, "memory.tll"));
	assert_true(candidate_named("plain", &config, &candidate));
	assert_true(candidate.plain);
	assert_false(candidate_named("redis", &config, &candidate));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_zipf__any_exponent),
		cmocka_unit_test(test_same_seed__same_requests),
		cmocka_unit_test(test_requests__are_what_was_asked_for),
		cmocka_unit_test(test_hot_set__gets_its_share_and_moves),
		cmocka_unit_test(test_scans__are_whole_and_of_their_share),
		cmocka_unit_test(test_streams__are_shared_out_and_begin_again),
		cmocka_unit_test(test_gaps__have_the_mean_asked_for),
		cmocka_unit_test(test_wrong_options__are_refused_and_change_nothing),
		cmocka_unit_test(test_numbers__by_weight),
		cmocka_unit_test(test_times_and_shares__as_people_write_them),
		cmocka_unit_test(test_values__right_ones_pass_and_every_wrong_byte_is_seen),
		cmocka_unit_test(test_versions__old_and_unborn_ones_are_seen),
		cmocka_unit_test(test_writes_that_overlap__raise_nothing),
		cmocka_unit_test(test_intervals__of_known_numbers),
		cmocka_unit_test(test_variants__settings_with_commas),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
