#include "measure/session.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "measure/child.h"
#include "measure/given.h"
#include "measure/run_domain.h"
#include "measure/servers.h"

#define LOOK_MS 2
#define START_AHEAD_NS (2 * CLOCK_NS_PER_MS)
#define PROCESSES_MAX BOARD_THREADS_MAX

/* One run while it is under way. */
struct run {
	const struct session_options *options;
	const struct candidate *candidate;
	unsigned number;
	int64_t session_begun_ns;
	int64_t phase_begun_ns;
	char servers[BOARD_SERVERS_MAX];
	char redis[CONFIG_TEXT_MAX];
	char prefix[BOARD_PREFIX_MAX]; /* of its keys on servers of somebody else's */
	struct run_domain domain;
	struct board *board;
	int board_fd;
	struct session *session;
	pid_t workers[PROCESSES_MAX];
	char *why;
};

static enum session_status __attribute__((format(printf, 2, 3)))
fail(struct run *run, const char *format, ...)
{
	va_list args;
	int n = snprintf(run->why, SESSION_WHY_MAX, "%s: ", run->candidate->name);

	va_start(args, format);
	vsnprintf(run->why + n, SESSION_WHY_MAX - (size_t)n, format, args);
	va_end(args);
	return SESSION_FAILED;
}

/* --- watching --- */

static uint64_t requests_so_far(const struct run *run)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < run->board->n_threads; i++) {
		n += atomic_load_explicit(&board_thread(run->board, i)->requests,
					  memory_order_relaxed);
	}
	return n;
}

static void report(const struct run *run)
{
	int64_t now = clock_now_ns();
	const struct session_options *options = run->options;
	struct session_progress progress = {
		.candidate = run->candidate,
		.run = run->number,
		.n_runs = options->n_candidates * options->n_repeats,
		.phase = (enum board_phase)atomic_load(&run->board->phase),
		.phase_ns = now - run->phase_begun_ns,
		.requests = requests_so_far(run),
		.session_ns = now - run->session_begun_ns,
	};

	if (options->progress) {
		options->progress(options->owner, &progress);
	}
}

static enum session_status describe_wrong(struct run *run)
{
	const struct board_wrong *wrong = &run->board->wrong;

	fail(run,
	     "a wrong value: %s answered key %s%010" PRIu32 " with %s (version %" PRIu64
	     " of %" PRIu64 ", nothing below %" PRIu64 " may be read)",
	     wrong->several ? "an mget" : "a get", run->board->prefix, wrong->key,
	     value_fault_names[wrong->fault], wrong->version, wrong->issued, wrong->floor);
	return SESSION_WRONG;
}

/* A worker that ended before it was to, or a wrong value. */
static enum session_status look(struct run *run)
{
	if (*run->options->interrupted) {
		return SESSION_INTERRUPTED;
	}
	if (atomic_load(&run->board->wrong.known)) {
		return describe_wrong(run);
	}
	for (unsigned i = 0; i < run->options->n_processes; i++) {
		int status;

		if (child_ended(&run->workers[i], &status)) {
			return atomic_load(&run->board->has_error)
				       ? fail(run, "a worker ended: %s", run->board->error)
			       : WIFSIGNALED(status)
				       ? fail(run, "a worker was ended by signal %d (%s)",
					      WTERMSIG(status), strsignal(WTERMSIG(status)))
				       : fail(run, "a worker ended with status %d",
					      WEXITSTATUS(status));
		}
	}
	return SESSION_OK;
}

static void begin_phase(struct run *run, enum board_phase phase)
{
	run->phase_begun_ns = clock_now_ns();
	atomic_store(&run->board->phase, (uint32_t)phase);
}

/* Until all have finished the phase, or until a time where that is not CLOCK_NEVER. */
static enum session_status await(struct run *run, enum board_phase phase, int64_t until_ns)
{
	enum session_status status = look(run);

	while (status == SESSION_OK && clock_now_ns() < until_ns &&
	       (until_ns != CLOCK_NEVER || !board_finished(run->board, phase))) {
		report(run);
		poll(NULL, 0, LOOK_MS);
		status = look(run);
	}
	return status;
}

/* --- one run --- */

static enum session_status start_servers(struct run *run, struct servers *servers)
{
	const struct session_options *options = run->options;
	struct servers_options wanted = {
		.memcached = !options->servers,
		.redis = !options->redis && candidate_has_redis(run->candidate),
		.memcached_bytes = options->memcached_bytes,
		.redis_bytes = options->redis_bytes,
		.interrupted = options->interrupted,
	};
	char why[SERVERS_WHY_MAX];

	if (!servers_start(servers, &wanted, why)) {
		return *options->interrupted ? SESSION_INTERRUPTED : fail(run, "%s", why);
	}
	snprintf(run->servers, sizeof(run->servers), "%s",
		 options->servers ? options->servers : servers->memcached);
	if (options->redis) {
		snprintf(run->redis, sizeof(run->redis), "%s", options->redis);
	} else {
		snprintf(run->redis, sizeof(run->redis), "unix://%s", servers->redis);
	}
	return SESSION_OK;
}

static bool make_board(struct run *run)
{
	const struct session_options *options = run->options;
	struct board_options wanted = { options->workload, options->stream,
					options->n_processes * options->n_threads };

	run->board = board_make(&wanted, &run->board_fd);
	if (!run->board) {
		return false;
	}
	snprintf(run->board->servers, sizeof(run->board->servers), "%s", run->servers);
	snprintf(run->board->prefix, sizeof(run->board->prefix), "%s",
		 options->servers ? run->prefix : "bench:");
	run->board->clears = options->servers != NULL;
	run->board->binary = options->binary;
	run->board->run_ns = options->run_ns;
	run->board->stale_is_wrong = run->candidate->plain ||
				     run->candidate->config.coherence_mode == CONFIG_COHERENCE_HOST;
	return true;
}

static enum session_status start_workers(struct run *run)
{
	const struct session_options *options = run->options;

	for (unsigned i = 0; i < options->n_processes; i++) {
		char first[16];
		char n[16];
		const char *words[] = { options->worker, first, n, NULL };

		snprintf(first, sizeof(first), "%u", i * options->n_threads);
		snprintf(n, sizeof(n), "%u", options->n_threads);
		run->workers[i] = child_start(&(struct child_options){
			words, run->domain.environment, NULL, run->board_fd });
		if (!run->workers[i]) {
			return fail(run, "%s: %s", options->worker, strerror(errno));
		}
	}
	return SESSION_OK;
}

static void subtract(struct stats_layer_values *layers, const struct stats_layer_values *before)
{
	for (unsigned i = 0; i < STATS_LAYERS_MAX; i++) {
#define COUNTER(name, help) layers[i].name -= before[i].name;
#define GAUGE(name, help)
#include "layers/counters.def"
#undef COUNTER
#undef GAUGE
	}
}

static void collect(struct run *run, struct session_run *ret)
{
	if (atomic_load(&run->board->has_error)) {
		memcpy(ret->error, run->board->error, sizeof(ret->error));
	}
	for (unsigned i = 0; i < run->board->n_threads; i++) {
		const struct board_thread *thread = board_thread(run->board, i);
		const uint64_t *from = (const uint64_t *)&thread->counts;
		uint64_t *to = (uint64_t *)&ret->counts;

		for (size_t j = 0; j < sizeof(ret->counts) / sizeof(*to); j++) {
			to[j] += from[j];
		}
		for (unsigned j = 0; j < BOARD_CALLS; j++) {
			latency_add(&ret->latencies[j], &thread->latencies[j]);
		}
		for (unsigned j = 0; j < BOARD_SLICES; j++) {
			for (unsigned k = 0; k < LATENCY_BUCKETS; k++) {
				ret->slices[j].buckets[k] += thread->slices[j].buckets[k];
			}
		}
		ret->own_ns += thread->own_ns / run->board->n_threads;
	}
}

static enum session_status measure(struct run *run, struct session_run *ret)
{
	struct stats_layer_values before[STATS_LAYERS_MAX];
	uint64_t calls = 0;
	enum session_status status;

	begin_phase(run, BOARD_FILL);
	status = await(run, BOARD_FILL, CLOCK_NEVER);
	if (status == SESSION_OK) {
		begin_phase(run, BOARD_WARM);
		status = await(run, BOARD_WARM, run->phase_begun_ns + run->options->warm_ns);
	}
	if (status == SESSION_OK) {
		begin_phase(run, BOARD_REST);
		status = await(run, BOARD_REST, CLOCK_NEVER);
	}
	if (status == SESSION_OK && !run_domain_read(&run->domain, before, &calls)) {
		return fail(run, "the statistics cannot be read: %s", strerror(errno));
	}
	if (status == SESSION_OK) {
		atomic_store(&run->board->begin_ns, clock_now_ns() + START_AHEAD_NS);
		begin_phase(run, BOARD_RUN);
		status = await(run, BOARD_RUN, CLOCK_NEVER);
	}
	if (status == SESSION_OK && !run_domain_read(&run->domain, ret->layers, &calls)) {
		return fail(run, "the statistics cannot be read: %s", strerror(errno));
	}
	if (status == SESSION_OK && !run->candidate->plain && calls == 0) {
		/* It would be plain against plain. */
		return fail(run, "no call reached libtower.so, %s", run->options->library);
	}
	if (status == SESSION_OK) {
		subtract(ret->layers, before);
		collect(run, ret);
		begin_phase(run, BOARD_CLEAR);
		status = await(run, BOARD_CLEAR, CLOCK_NEVER);
	}
	begin_phase(run, BOARD_LEAVE);
	return status;
}

static enum session_status run_once(struct run *run, struct servers *servers,
				    struct session_run *ret)
{
	enum session_status status = start_servers(run, servers);
	struct run_domain_options domain = {
		.candidate = run->candidate,
		.number = run->number,
		.redis = candidate_has_redis(run->candidate) ? run->redis : NULL,
		.redis_namespace = run->options->redis ? run->prefix : NULL,
		.folder = servers->folder,
		.library = run->options->library,
	};

	if (status == SESSION_OK && !run_domain_open(&run->domain, &domain)) {
		status = fail(run, "%s", strerror(errno));
	}
	if (status == SESSION_OK && !make_board(run)) {
		status = fail(run, "no memory to share with workers: %s", strerror(errno));
	}
	if (status == SESSION_OK) {
		status = start_workers(run);
	}
	if (status == SESSION_OK) {
		status = measure(run, ret);
	}
	for (unsigned i = 0; i < run->options->n_processes; i++) {
		child_end(&run->workers[i]);
	}
	if (run->board) {
		memcpy(run->session->libmemcached, run->board->library,
		       sizeof(run->session->libmemcached));
		board_close(&run->board);
		close(run->board_fd);
	}
	if (run->options->redis && candidate_has_redis(run->candidate)) {
		given_forget(&run->domain.config, run->servers);
	}
	run_domain_close(&run->domain);
	servers_stop(servers);
	return status;
}

/* --- all of them --- */

static void shuffle(unsigned *order, unsigned n, struct random_stream *random)
{
	for (unsigned i = 0; i < n; i++) {
		order[i] = i;
	}
	for (unsigned i = n; i > 1; i--) {
		unsigned j = random_below(random, i);
		unsigned kept = order[i - 1];

		order[i - 1] = order[j];
		order[j] = kept;
	}
}

static enum session_status run_all(const struct session_options *options, struct servers *servers,
				   struct session *session, char *ret_why)
{
	struct random_stream random = random_open(options->workload->seed, UINT64_MAX);
	struct run *run = malloc(sizeof(*run));
	enum session_status status = run ? SESSION_OK : SESSION_FAILED;
	int64_t begun = clock_now_ns();
	unsigned number = 0;

	for (unsigned r = 0; r < options->n_repeats && status == SESSION_OK; r++) {
		unsigned order[CANDIDATES_MAX] = { 0 };

		shuffle(order, options->n_candidates, &random);
		for (unsigned i = 0; i < options->n_candidates && status == SESSION_OK; i++) {
			unsigned h = order[i];

			*run = (struct run){
				.options = options,
				.candidate = &options->candidates[h],
				.number = number,
				.session_begun_ns = begun,
				.domain.plain = true,
				.session = session,
				.why = ret_why,
			};
			/* Nothing of another run, or of anybody else, is to be found under it. */
			snprintf(run->prefix, sizeof(run->prefix),
				 "tower-bench-%" PRIx64 "-%lx-%u:", (uint64_t)clock_wall_ms(),
				 (long)getpid(), number);
			number++;
			status = run_once(run, servers, &session->runs[h * options->n_repeats + r]);
		}
	}
	free(run);
	return status;
}

enum session_status session_run(const struct session_options *options, struct session *ret,
				char *ret_why)
{
	struct session session = {
		.n_candidates = options->n_candidates,
		.n_repeats = options->n_repeats,
		.runs = calloc((size_t)options->n_candidates * options->n_repeats,
			       sizeof(*session.runs)),
	};
	struct servers servers;
	enum session_status status;

	snprintf(ret_why, SESSION_WHY_MAX, "%s", strerror(ENOMEM));
	if (!session.runs) {
		return SESSION_FAILED;
	}
	if (!servers_open(&servers)) {
		snprintf(ret_why, SESSION_WHY_MAX, "no temporary folder: %s", strerror(errno));
		session_free(&session);
		return SESSION_FAILED;
	}
	status = run_all(options, &servers, &session, ret_why);
	memcpy(session.memcached, servers.memcached_version, sizeof(session.memcached));
	memcpy(session.redis, servers.redis_version, sizeof(session.redis));
	servers_close(&servers);
	if (status != SESSION_OK) {
		session_free(&session);
		return status;
	}
	*ret = session;
	return SESSION_OK;
}

void session_free(struct session *session)
{
	free(session->runs);
	session->runs = NULL;
}
