#include "measure/workload.h"

#include <math.h>
#include <string.h>

const char *const workload_operation_names[WORKLOAD_OPERATIONS] = { "get", "set", "delete" };

static struct workload_numbers always(uint32_t number)
{
	return (struct workload_numbers){ 1, { { number, number, 1 } } };
}

void workload_default(struct workload *ret)
{
	*ret = (struct workload){
		.seed = 1,
		.n_keys = 10000,
		.popularity = WORKLOAD_ZIPF,
		.exponent = 0.99,
		.scan_length = 1000,
		.until = { 0.9, 1, 1 },
		.values = always(100),
		.widths = always(1),
		.expiries = always(0),
		.fills = true,
		.refills = true,
	};
}

uint32_t workload_number(const struct workload_numbers *numbers, uint64_t hash)
{
	double at = (double)(hash >> 40) * 0x1p-24;
	const struct workload_range *range = numbers->ranges;

	while (range < numbers->ranges + numbers->n_ranges - 1 && at >= range->until) {
		range++;
	}
	return range->low +
	       (uint32_t)((hash & 0xffffffff) * ((uint64_t)range->high - range->low + 1) >> 32);
}

void workload_open(struct workload_generator *generator, const struct workload *workload,
		   const struct workload_stream *stream, unsigned number, unsigned n)
{
	*generator = (struct workload_generator){
		.workload = workload,
		.stream = stream,
		.random = random_open(workload->seed, number),
		.at = number,
		.step = n,
	};
	if (workload->popularity == WORKLOAD_ZIPF) {
		zipf_init(&generator->zipf, workload->n_keys, workload->exponent);
	}
}

static uint32_t hot_key(struct workload_generator *generator, int64_t now_ns)
{
	const struct workload *workload = generator->workload;
	uint32_t n_hot = (uint32_t)ceil(workload->hot_keys * workload->n_keys);
	uint64_t moves = (uint64_t)(now_ns / workload->hot_every_ns);

	n_hot = n_hot ? n_hot : 1;
	if (random_unit(&generator->random) >= workload->hot_requests) {
		return random_below(&generator->random, workload->n_keys);
	}
	return (uint32_t)((moves * n_hot + random_below(&generator->random, n_hot)) %
			  workload->n_keys);
}

/* Scans are whole: how often one begins is such that their keys are the share asked for. */
static bool scans_on(struct workload_generator *generator, uint32_t *ret_key)
{
	const struct workload *workload = generator->workload;

	if (generator->scan_left == 0) {
		double begins = workload->scans /
				(workload->scans + (1 - workload->scans) * workload->scan_length);

		if (random_unit(&generator->random) >= begins) {
			return false;
		}
		generator->scan_key = random_below(&generator->random, workload->n_keys);
		generator->scan_left = workload->scan_length;
	}
	generator->scan_left--;
	*ret_key = generator->scan_key;
	generator->scan_key = (generator->scan_key + 1) % workload->n_keys;
	return true;
}

static uint32_t next_key(struct workload_generator *generator, int64_t now_ns)
{
	const struct workload *workload = generator->workload;
	uint32_t key;

	if (workload->scans > 0 && scans_on(generator, &key)) {
		return key;
	}
	switch (workload->popularity) {
	case WORKLOAD_ZIPF:
		return zipf_draw(&generator->zipf, &generator->random);
	case WORKLOAD_HOT:
		return hot_key(generator, now_ns);
	default:
		return random_below(&generator->random, workload->n_keys);
	}
}

static const struct workload_record *next_record(struct workload_generator *generator)
{
	const struct workload_stream *stream = generator->stream;
	const struct workload_record *record = &stream->records[generator->at % stream->n_records];

	generator->at += generator->step;
	return record;
}

static bool is_in(const struct workload_request *request, uint32_t key)
{
	for (uint32_t i = 0; i < request->n_keys; i++) {
		if (request->keys[i] == key) {
			return true;
		}
	}
	return false;
}

/* A key that popularity brings again makes way for its neighbour. */
static void add_keys(struct workload_generator *generator, int64_t now_ns, uint32_t n,
		     struct workload_request *request)
{
	uint32_t n_keys = generator->workload->n_keys;

	n = n < n_keys ? n : n_keys;
	while (request->n_keys < n) {
		uint32_t key = generator->workload->popularity == WORKLOAD_STREAM
				       ? next_record(generator)->key
				       : next_key(generator, now_ns);

		while (is_in(request, key)) {
			key = (key + 1) % n_keys;
		}
		request->keys[request->n_keys++] = key;
	}
}

static void replay(struct workload_generator *generator, int64_t now_ns,
		   struct workload_request *ret)
{
	const struct workload *workload = generator->workload;
	const struct workload_record *record = next_record(generator);

	ret->operation = record->operation;
	ret->n_keys = 1;
	ret->keys[0] = record->key;
	ret->size = record->size;
	ret->expiry = record->expiry;
	if (record->operation == WORKLOAD_GET) {
		add_keys(generator, now_ns,
			 workload_number(&workload->widths, random_next(&generator->random)), ret);
	}
}

void workload_next(struct workload_generator *generator, int64_t now_ns,
		   struct workload_request *ret)
{
	const struct workload *workload = generator->workload;
	double at;

	if (workload->popularity == WORKLOAD_STREAM) {
		replay(generator, now_ns, ret);
		return;
	}
	at = random_unit(&generator->random);
	ret->operation = at < workload->until[WORKLOAD_GET]   ? WORKLOAD_GET
			 : at < workload->until[WORKLOAD_SET] ? WORKLOAD_SET
							      : WORKLOAD_DELETE;
	ret->n_keys = 0;
	ret->size = 0;
	ret->expiry = workload_number(&workload->expiries, random_next(&generator->random));
	add_keys(generator, now_ns,
		 ret->operation == WORKLOAD_GET
			 ? workload_number(&workload->widths, random_next(&generator->random))
			 : 1,
		 ret);
}

double workload_gap_ns(struct workload_generator *generator, double mean_ns)
{
	if (!generator->workload->poisson) {
		return mean_ns;
	}
	return -mean_ns * log1p(-random_unit(&generator->random));
}
