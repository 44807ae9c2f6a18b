#include "tests/differential/worker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/differential/differential.h"

#define PERMILLE 1000
#define LONGEST_KEY 250

/*
 * Of a thousand steps.  Where the handle is set not to wait for replies,
 * libmemcached does not count those of some calls, and takes each for the answer
 * to the next question: these are left out there.
 */
static const struct {
	const char *name;
	worker_operation operate;
	unsigned weight;
	enum { ANYHOW, REPLIES, BINARY_REPLIES } needs;
} operations[] = {
	{ "get", operate_get, 443, ANYHOW },
	{ "mget", operate_mget, 190, ANYHOW },
	{ "store", operate_store, 130, ANYHOW },
	{ "count", operate_count, 45, BINARY_REPLIES },
	{ "delete", operate_delete, 30, BINARY_REPLIES },
	{ "touch", operate_touch, 25, REPLIES },
	{ "exist", operate_exist, 30, REPLIES },
	{ "namespace", operate_namespace, 15, ANYHOW },
	{ "behavior", operate_behavior, 25, ANYHOW },
	{ "fetch", operate_fetch, 10, ANYHOW },
	{ "quit", operate_quit, 12, ANYHOW },
	{ "flush-buffers", operate_flush_buffers, 8, ANYHOW },
	{ "talk", operate_talk, 12, REPLIES },
	{ "clone", operate_clone, 10, ANYHOW },
	{ "reopen", operate_reopen, 8, ANYHOW },
	{ "servers", operate_servers, 5, ANYHOW },
	{ "flush", operate_flush, 1, ANYHOW },
	{ "fork", operate_fork, 1, ANYHOW },
};

static bool is_sound(const struct handle *handle, size_t operation)
{
	return handle->st->flags.reply || operations[operation].needs == ANYHOW ||
	       (operations[operation].needs == BINARY_REPLIES &&
		!handle->st->flags.binary_protocol);
}

static worker_operation choose_operation(struct worker *worker, const struct handle *handle)
{
	uint32_t at = choose(worker, PERMILLE);
	size_t i = 0;

	while (at >= operations[i].weight) {
		at -= operations[i++].weight;
	}
	return is_sound(handle, i) ? operations[i].operate : operate_get;
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		fprintf(stderr, "worker: %s: %s\n", path, strerror(errno));
		_exit(EXIT_FAILURE);
	}
	return fd;
}

static void ask_version(int fd)
{
	static const char question[] = "version\r\n";
	char answer[128];

	if (send(fd, question, sizeof(question) - 1, MSG_NOSIGNAL) < 0 ||
	    recv(fd, answer, sizeof(answer), 0) <= 0) {
		fprintf(stderr, "worker: memcached does not answer: %s\n", strerror(errno));
		_exit(EXIT_FAILURE);
	}
}

/*
 * memcached takes up its connections in their order, and has one thread that
 * serves them in the order in which they spoke: when it has answered a new one,
 * and then an old one, it has read what was sent before.
 */
void worker_barrier(struct worker *worker)
{
	static const char *const servers[] = { DIFFERENTIAL_SERVER_1, DIFFERENTIAL_SERVER_2 };

	for (int i = 0; i < WORKER_SERVERS; i++) {
		int fd = connect_to(servers[i]);

		ask_version(fd);
		close(fd);
		ask_version(worker->barriers[i]);
	}
}

/*
 * Over the binary protocol libmemcached takes what is left of an mget for the
 * answer to the next question, and of several servers it drops the results of
 * the one that it asks next; such handles are brought to rest first.  So are
 * those that wait for no replies: what they write while answers lie unread
 * reaches memcached or not by the size of the answers.
 */
static bool must_rest(const struct handle *handle)
{
	const memcached_st *st = handle->st;

	return handle->has_results &&
	       (st->flags.binary_protocol || !st->flags.reply || handle->n_servers > 1);
}

static void rest(struct worker *worker, struct handle *handle)
{
	if (chance(worker, 70)) {
		record(worker, " rest");
		fetch_some(worker, handle, true);
	}
	if (handle->has_results) {
		memcached_quit(handle->st);
		handle->has_results = false;
		record(worker, " quit");
	}
}

void worker_step(struct worker *worker)
{
	/* Mostly one handle after the other is used for a while, as programs do. */
	struct handle *handle =
		&worker->handles[chance(worker, 60) ? worker->step / 64 % WORKER_HANDLES
						    : choose(worker, WORKER_HANDLES)];
	worker->n_texts = 0;
	record(worker, "%llu.%u h%d", (unsigned long long)worker->step, worker->number,
	       (int)(handle - worker->handles));
	if (handle->st == NULL) {
		operate_reopen(worker, handle);
	} else if (must_rest(handle) || (handle->has_results && chance(worker, 60))) {
		rest(worker, handle);
	} else {
		worker->is_stirred = handle->is_slow;
		choose_operation(worker, handle)(worker, handle);
	}
	if (worker->is_stirred || (handle->st && (handle->is_slow || handle->has_results))) {
		worker_barrier(worker);
		worker->is_stirred = false;
	}
	record_state(worker, handle);
	record(worker, "\n");
}

static void take_steps(struct worker *worker, void (*step)(struct worker *))
{
	struct board_seat *seat = worker->seat;

	worker->step = seat->first_step;
	for (uint32_t i = 0; i < seat->n_steps; i++) {
		step(worker);
		worker->step++;
	}
	if (seat->n_steps == 0) {
		for (int i = 0; i < WORKER_HANDLES; i++) {
			record(worker, "end.%u h%d", worker->number, i);
			handle_close(worker, &worker->handles[i]);
			record(worker, "\n");
		}
	}
}

/* Arguments: board, side, number, seed, longest key, which sequence. */
int worker_main(char **args)
{
	struct worker *worker = calloc(1, sizeof(*worker));
	struct board *board = board_map(args[0], false);
	void (*step)(struct worker *);
	uint32_t turn = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (worker == NULL || board == NULL) {
		perror(args[0]);
		return EXIT_FAILURE;
	}
	worker->number = (unsigned)strtoul(args[2], NULL, 10);
	worker->seat = &board->seats[strtoul(args[1], NULL, 10)][worker->number];
	worker->random.state = strtoull(args[3], NULL, 10) * 1000 + worker->number;
	worker->key_max = strtoul(args[4], NULL, 10);
	worker->has_expiries = strcmp(args[5], "expiries") == 0;
	step = strcmp(args[5], "big") == 0 ? big_step : worker_step;
	worker->has_namespace = worker->key_max < LONGEST_KEY;
	worker->value = malloc(WORKER_VALUE_MAX);
	if (worker->value == NULL) {
		return EXIT_FAILURE;
	}
	worker->barriers[0] = connect_to(DIFFERENTIAL_SERVER_1);
	worker->barriers[1] = connect_to(DIFFERENTIAL_SERVER_2);
	for (bool is_last = false; !is_last;) {
		turn = board_wait_turn(worker->seat, turn);
		/* Once it has done, the seat is the driver's. */
		is_last = worker->seat->n_steps == 0;
		take_steps(worker, step);
		board_done(board);
	}
	free(worker->value);
	free(worker);
	return EXIT_SUCCESS;
}
