/* A thread's life, phase by phase. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "measure/worker/worker.h"

#define LOOK_NS 200000	/* between two looks at the board while there is nothing to do */
#define WAKE_NS 30000	/* a sleep ends so much earlier, the rest is looking at the clock */
#define OWN_TRIES 20000 /* requests that are made up to see what that takes */

/* --- the handle --- */

static bool add_server(memcached_st *handle, const char *address)
{
	const char *colon = strrchr(address, ':');
	char host[256];

	if (address[0] == '/') {
		return memcached_server_add_unix_socket(handle, address) == MEMCACHED_SUCCESS;
	}
	if (!colon || (size_t)(colon - address) >= sizeof(host)) {
		return false;
	}
	memcpy(host, address, (size_t)(colon - address));
	host[colon - address] = '\0';
	return memcached_server_add(handle, host, (in_port_t)strtoul(colon + 1, NULL, 10)) ==
	       MEMCACHED_SUCCESS;
}

static bool add_servers(memcached_st *handle, const char *list)
{
	char text[BOARD_SERVERS_MAX];
	char *rest = NULL;
	char *word;

	memcpy(text, list, sizeof(text));
	for (word = strtok_r(text, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
		if (!add_server(handle, word)) {
			return false;
		}
	}
	return memcached_server_count(handle) > 0;
}

static memcached_st *open_handle(struct board *board)
{
	memcached_st *handle = memcached_create(NULL);

	if (handle && add_servers(handle, board->servers)) {
		memcached_behavior_set(handle, MEMCACHED_BEHAVIOR_TCP_NODELAY, 1);
		memcached_behavior_set(handle, MEMCACHED_BEHAVIOR_BINARY_PROTOCOL, board->binary);
		return handle;
	}
	memcached_free(handle);
	return NULL;
}

bool worker_open(struct worker *worker, struct board *board, unsigned number)
{
	*worker = (struct worker){
		.board = board,
		.thread = board_thread(board, number),
		.number = number,
		.keys = calloc(WORKLOAD_WIDTH_MAX, sizeof(*worker->keys)),
		.key_places = calloc(WORKLOAD_WIDTH_MAX, sizeof(*worker->key_places)),
		.key_lengths = calloc(WORKLOAD_WIDTH_MAX, sizeof(*worker->key_lengths)),
		.floors = calloc(WORKLOAD_WIDTH_MAX, sizeof(*worker->floors)),
		.found = calloc(WORKLOAD_WIDTH_MAX, sizeof(*worker->found)),
		.value = malloc(WORKLOAD_VALUE_MAX),
		.handle = open_handle(board),
		.stream = board_stream(board),
	};
	if (!worker->keys || !worker->key_places || !worker->key_lengths || !worker->floors ||
	    !worker->found || !worker->value || !worker->handle) {
		board_error(board, "a worker has no memory, or a server's address is wrong: %s",
			    board->servers);
		return false;
	}
	memcached_result_create(worker->handle, &worker->result);
	workload_open(&worker->generator, &board->workload, &worker->stream, number,
		      board->n_threads);
	return true;
}

void worker_close(struct worker *worker)
{
	if (worker->handle) {
		memcached_result_free(&worker->result);
		memcached_free(worker->handle);
	}
	free(worker->keys);
	free((void *)worker->key_places);
	free(worker->key_lengths);
	free(worker->floors);
	free(worker->found);
	free(worker->value);
}

/* --- phases --- */

static bool is_phase(const struct worker *worker, enum board_phase phase)
{
	return atomic_load_explicit(&worker->board->phase, memory_order_acquire) >= (uint32_t)phase;
}

static void await(const struct worker *worker, enum board_phase phase)
{
	const struct timespec look = { 0, LOOK_NS };

	while (!is_phase(worker, phase)) {
		clock_nanosleep(CLOCK_MONOTONIC, 0, &look, NULL);
	}
}

static void finish(struct worker *worker, enum board_phase phase)
{
	atomic_store(&worker->thread->finished, (uint32_t)phase);
}

static void await_time(int64_t due_ns)
{
	int64_t sleep_to = due_ns - WAKE_NS;

	if (worker_now_ns() < sleep_to) {
		const struct timespec at = { sleep_to / 1000000000, sleep_to % 1000000000 };

		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
	}
	while (worker_now_ns() < due_ns) {
	}
}

/* What the driver itself takes for a request, from a generator of its own. */
static double own_ns(const struct worker *worker)
{
	struct workload_generator generator = worker->generator;
	struct workload_request *request = malloc(sizeof(*request));
	int64_t begun = worker_now_ns();
	int64_t now = begun;

	for (unsigned i = 0; request && i < OWN_TRIES; i++) {
		int64_t before = worker_now_ns();

		workload_next(&generator, before - begun, request);
		now = worker_now_ns();
	}
	free(request);
	return (double)(now - begun) / OWN_TRIES;
}

static void for_own_keys(struct worker *worker, void (*call)(struct worker *, uint32_t))
{
	for (uint32_t key = worker->number; key < worker->board->workload.n_keys;
	     key += worker->board->n_threads) {
		if (is_phase(worker, BOARD_LEAVE)) {
			break;
		}
		call(worker, key);
	}
}

static void next_request(struct worker *worker, int64_t now_ns)
{
	workload_next(&worker->generator, now_ns - worker->begun_ns, &worker->request);
}

static void closed_loop(struct worker *worker, enum board_phase until)
{
	for (;;) {
		int64_t now = worker_now_ns();

		if ((worker->measured_to_ns && now >= worker->measured_to_ns) ||
		    is_phase(worker, until)) {
			break;
		}
		next_request(worker, now);
		worker_call(worker, 0);
	}
}

/*
 * Requests come when they are due, whether or not those before have been answered in time:
 * their latency counts from then, so that a slow answer cannot hide those that it delays.
 */
static void open_loop(struct worker *worker, int64_t from_ns, enum board_phase until)
{
	const struct board *board = worker->board;
	double mean_ns = 1e9 * board->n_threads / board->workload.rate;
	double due = (double)from_ns + mean_ns * worker->number / board->n_threads;

	while (true) {
		int64_t due_ns = (int64_t)due;

		due += workload_gap_ns(&worker->generator, mean_ns);
		if (worker->measured_to_ns && due_ns >= worker->measured_to_ns) {
			break;
		}
		await_time(due_ns);
		if (is_phase(worker, until)) {
			break;
		}
		/* Nobody can say how late what was never begun would have been. */
		if (worker->measured_to_ns && worker_now_ns() >= worker->measured_to_ns) {
			worker->thread->counts.unserved++;
			continue;
		}
		next_request(worker, due_ns);
		worker_call(worker, due_ns);
	}
}

static void run(struct worker *worker, int64_t from_ns, enum board_phase until)
{
	if (worker->board->workload.rate > 0) {
		open_loop(worker, from_ns, until);
	} else {
		closed_loop(worker, until);
	}
}

static void run_measured(struct worker *worker)
{
	int64_t from = atomic_load(&worker->board->begin_ns);

	worker->measured_from_ns = from;
	await_time(from);
	worker->measured_to_ns = from + worker->board->run_ns;
	run(worker, from, BOARD_CLEAR);
	worker->measured_to_ns = 0;
}

void *worker_live(void *arg)
{
	struct worker *worker = arg;

	await(worker, BOARD_FILL);
	if (worker->board->workload.fills) {
		for_own_keys(worker, worker_fill);
	}
	worker->thread->own_ns = own_ns(worker);
	finish(worker, BOARD_FILL);
	await(worker, BOARD_WARM);
	worker->begun_ns = worker_now_ns();
	run(worker, worker->begun_ns, BOARD_REST);
	finish(worker, BOARD_REST);
	await(worker, BOARD_RUN);
	if (!is_phase(worker, BOARD_LEAVE)) {
		run_measured(worker);
	}
	finish(worker, BOARD_RUN);
	await(worker, BOARD_CLEAR);
	if (worker->board->clears) {
		for_own_keys(worker, worker_clear);
	}
	finish(worker, BOARD_CLEAR);
	await(worker, BOARD_LEAVE);
	return NULL;
}
