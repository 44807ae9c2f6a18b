/* Calls of libmemcached: each timed, each result checked. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "measure/worker/worker.h"

int64_t worker_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static bool is_measured(const struct worker *worker)
{
	return worker->measured_to_ns != 0;
}

static void note(struct worker *worker, enum board_call call, int64_t begun_ns, int64_t due_ns,
		 int64_t ended_ns)
{
	int64_t from = due_ns ? due_ns : begun_ns;
	int64_t place = due_ns ? due_ns : ended_ns;
	int64_t length = worker->measured_to_ns - worker->measured_from_ns;
	struct latency_values *values = &worker->thread->latencies[call];
	uint64_t latency = ended_ns > from ? (uint64_t)(ended_ns - from) : 0;
	unsigned bucket = latency_bucket(latency);
	int64_t slice;

	if (!is_measured(worker)) {
		return;
	}
	values->sum_ns += latency;
	values->buckets[bucket]++;
	slice = (place - worker->measured_from_ns) / (length / BOARD_SLICES + 1);
	slice = slice < 0 ? 0 : slice >= BOARD_SLICES ? BOARD_SLICES - 1 : slice;
	worker->thread->slices[slice].buckets[bucket]++;
}

static void failed(struct worker *worker, const char *call, memcached_return_t rc)
{
	worker->thread->counts.errors += is_measured(worker);
	board_error(worker->board, "memcached_%s: %s", call,
		    memcached_strerror(worker->handle, rc));
}

static void name_key(struct worker *worker, uint32_t i, uint32_t key)
{
	int n = snprintf(worker->keys[i], WORKER_KEY_MAX, "%s%010" PRIu32, worker->board->prefix,
			 key);

	worker->key_places[i] = worker->keys[i];
	worker->key_lengths[i] = (size_t)n;
}

/* --- what a read brought --- */

static void wrong(struct worker *worker, uint32_t key, enum value_fault fault, uint64_t floor,
		  uint64_t version)
{
	struct board_wrong *wrong = &worker->board->wrong;

	if (atomic_exchange(&wrong->taken, true)) {
		return;
	}
	wrong->key = key;
	wrong->fault = fault;
	wrong->version = version;
	wrong->floor = floor;
	wrong->issued = atomic_load(&board_key(worker->board, key)->writes) >> 16;
	wrong->several = worker->request.n_keys > 1;
	atomic_store(&wrong->known, true);
}

static void check(struct worker *worker, uint32_t i, const char *bytes, size_t n, uint32_t flags)
{
	struct board *board = worker->board;
	uint32_t key = worker->request.keys[i];
	uint64_t floor = worker->floors[i];
	uint64_t version;
	enum value_fault fault = value_check(&board->workload, board_key(board, key), key, floor,
					     bytes, n, flags, &version);

	if (fault == VALUE_STALE && !board->stale_is_wrong) {
		worker->thread->counts.stale += is_measured(worker);
		/* All else of it has to be right. */
		fault = value_check(&board->workload, board_key(board, key), key, 0, bytes, n,
				    flags, &version);
	}
	if (fault != VALUE_RIGHT) {
		wrong(worker, key, fault, floor, version);
	}
}

/* --- writes --- */

static void set(struct worker *worker, uint32_t key, int64_t due_ns)
{
	struct board *board = worker->board;
	struct value_write write = value_begin(board_key(board, key));
	uint32_t n = value_size(&board->workload, key, write.version, worker->request.size);
	uint32_t flags = value_flags(key, write.version);
	memcached_return_t rc;
	int64_t begun;

	name_key(worker, 0, key);
	value_make(&board->workload, key, write.version, worker->value, n);
	begun = worker_now_ns();
	rc = memcached_set(worker->handle, worker->keys[0], worker->key_lengths[0], worker->value,
			   n, (time_t)worker->request.expiry, flags);
	note(worker, BOARD_SET, begun, due_ns, worker_now_ns());
	if (rc == MEMCACHED_SUCCESS) {
		value_end(&write);
	} else {
		failed(worker, "set", rc);
	}
}

static void delete (struct worker *worker, uint32_t key, int64_t due_ns)
{
	struct value_write write = value_begin(board_key(worker->board, key));
	memcached_return_t rc;
	int64_t begun;

	name_key(worker, 0, key);
	begun = worker_now_ns();
	rc = memcached_delete(worker->handle, worker->keys[0], worker->key_lengths[0], 0);
	note(worker, BOARD_DELETE, begun, due_ns, worker_now_ns());
	if (rc == MEMCACHED_SUCCESS || rc == MEMCACHED_NOTFOUND) {
		value_end(&write);
	} else {
		failed(worker, "delete", rc);
	}
}

/* What a program does that has to get what it missed from elsewhere: all keys of a read at once. */
static void get_elsewhere(const struct worker *worker)
{
	const struct workload *workload = &worker->board->workload;
	const struct timespec length = { workload->miss_ns / 1000000000,
					 workload->miss_ns % 1000000000 };

	if (workload->refills && workload->miss_ns) {
		clock_nanosleep(CLOCK_MONOTONIC, 0, &length, NULL);
	}
}

static void refill(struct worker *worker, uint32_t key)
{
	if (worker->board->workload.refills) {
		worker->thread->counts.refills += is_measured(worker);
		set(worker, key, 0);
	}
}

/* --- reads --- */

static void count_read(struct worker *worker, uint32_t asked, uint32_t hits)
{
	if (is_measured(worker)) {
		worker->thread->counts.asked += asked;
		worker->thread->counts.hits += hits;
		worker->thread->counts.misses += asked - hits;
	}
}

static void get(struct worker *worker, int64_t due_ns)
{
	uint32_t key = worker->request.keys[0];
	memcached_return_t rc;
	uint32_t flags = 0;
	size_t n = 0;
	int64_t begun;
	char *value;

	name_key(worker, 0, key);
	worker->floors[0] = value_floor(board_key(worker->board, key));
	begun = worker_now_ns();
	value = memcached_get(worker->handle, worker->keys[0], worker->key_lengths[0], &n, &flags,
			      &rc);
	note(worker, BOARD_GET, begun, due_ns, worker_now_ns());
	if (rc == MEMCACHED_SUCCESS) {
		count_read(worker, 1, 1);
		check(worker, 0, value, n, flags);
		free(value);
	} else if (rc == MEMCACHED_NOTFOUND) {
		count_read(worker, 1, 0);
		get_elsewhere(worker);
		refill(worker, key);
	} else {
		failed(worker, "get", rc);
	}
}

/* Which key of the request a result is of, or how many there are. */
static uint32_t place_of(const struct worker *worker, const memcached_result_st *result)
{
	const char *key = memcached_result_key_value(result);
	size_t n = memcached_result_key_length(result);
	uint32_t i = 0;

	while (i < worker->request.n_keys &&
	       (n != worker->key_lengths[i] || memcmp(key, worker->keys[i], n) != 0)) {
		i++;
	}
	return i;
}

static memcached_return_t fetch_all(struct worker *worker, uint32_t *ret_hits)
{
	memcached_return_t rc = MEMCACHED_SUCCESS;
	uint32_t n = worker->request.n_keys;
	uint32_t next = 0;

	while (memcached_fetch_result(worker->handle, &worker->result, &rc)) {
		const memcached_result_st *result = &worker->result;
		uint32_t i = next;

		/* Results come in the order of the request, mostly. */
		if (i == n || memcached_result_key_length(result) != worker->key_lengths[i] ||
		    memcmp(memcached_result_key_value(result), worker->keys[i],
			   worker->key_lengths[i]) != 0) {
			i = place_of(worker, result);
		}
		if (i == n || worker->found[i]) {
			wrong(worker, worker->request.keys[0], VALUE_OF_OTHER, 0, 0);
			continue;
		}
		worker->found[i] = true;
		next = i + 1;
		++*ret_hits;
		check(worker, i, memcached_result_value(result), memcached_result_length(result),
		      memcached_result_flags(result));
	}
	return rc;
}

static void mget(struct worker *worker, int64_t due_ns)
{
	uint32_t n = worker->request.n_keys;
	uint32_t hits = 0;
	memcached_return_t rc;
	int64_t begun;

	for (uint32_t i = 0; i < n; i++) {
		name_key(worker, i, worker->request.keys[i]);
		worker->floors[i] = value_floor(board_key(worker->board, worker->request.keys[i]));
		worker->found[i] = false;
	}
	begun = worker_now_ns();
	rc = memcached_mget(worker->handle, worker->key_places, worker->key_lengths, n);
	if (rc == MEMCACHED_SUCCESS) {
		rc = fetch_all(worker, &hits);
	}
	note(worker, BOARD_MGET, begun, due_ns, worker_now_ns());
	if (rc != MEMCACHED_SUCCESS && rc != MEMCACHED_END && rc != MEMCACHED_NOTFOUND) {
		failed(worker, "mget", rc);
		return;
	}
	count_read(worker, n, hits);
	if (hits < n) {
		get_elsewhere(worker);
	}
	for (uint32_t i = 0; i < n; i++) {
		if (!worker->found[i]) {
			refill(worker, worker->request.keys[i]);
		}
	}
}

/* --- from outside --- */

void worker_call(struct worker *worker, int64_t due_ns)
{
	const struct workload_request *request = &worker->request;

	if (request->operation == WORKLOAD_SET) {
		set(worker, request->keys[0], due_ns);
	} else if (request->operation == WORKLOAD_DELETE) {
		delete (worker, request->keys[0], due_ns);
	} else if (request->n_keys > 1) {
		mget(worker, due_ns);
	} else {
		get(worker, due_ns);
	}
	if (is_measured(worker)) {
		worker->thread->counts.requests++;
		atomic_store_explicit(&worker->thread->requests, worker->thread->counts.requests,
				      memory_order_relaxed);
	}
}

void worker_fill(struct worker *worker, uint32_t key)
{
	uint64_t at = random_scramble(worker->board->workload.seed + key);

	worker->request.size = 0;
	worker->request.expiry = workload_number(&worker->board->workload.expiries, at);
	set(worker, key, 0);
}

void worker_clear(struct worker *worker, uint32_t key)
{
	delete (worker, key, 0);
}
