/*
 * tower-bench-worker: one worker of `tower bench`, which starts it, bare or under libtower,
 * with a board (measure/board.h) as descriptor 3.
 *
 * usage: tower-bench-worker FIRST THREADS    threads FIRST to FIRST + THREADS - 1
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "measure/number.h"
#include "measure/worker/worker.h"

/* Kept to the end: where not all threads could be started, the others still run then. */
static struct worker *workers;
static pthread_t *threads;

/* False: the board says why. */
static bool start(struct board *board, unsigned first, unsigned n)
{
	workers = calloc(n, sizeof(*workers));
	threads = calloc(n, sizeof(*threads));
	if (!workers || !threads) {
		board_error(board, "a worker has no memory");
		return false;
	}
	for (unsigned i = 0; i < n; i++) {
		if (!worker_open(&workers[i], board, first + i)) {
			return false;
		}
		if (pthread_create(&threads[i], NULL, worker_live, &workers[i]) != 0) {
			board_error(board, "a worker cannot start a thread");
			return false;
		}
	}
	return true;
}

static int live(struct board *board, unsigned first, unsigned n)
{
	if (!start(board, first, n)) {
		return 1;
	}
	for (unsigned i = 0; i < n; i++) {
		pthread_join(threads[i], NULL);
		worker_close(&workers[i]);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct board *board;
	uint64_t first;
	uint64_t n;
	int status;

	if (argc != 3 || !number_count(argv[1], 0, BOARD_THREADS_MAX, &first) ||
	    !number_count(argv[2], 1, BOARD_THREADS_MAX, &n)) {
		fprintf(stderr,
			"usage: tower-bench-worker FIRST THREADS; `tower bench` starts it\n");
		return 2;
	}
	board = board_open(BOARD_FD);
	if (!board || first + n > board->n_threads) {
		fprintf(stderr, "tower-bench-worker: there is no board; `tower bench` starts it\n");
		return 2;
	}
	/* Sleeps are to end when they are to end. */
	prctl(PR_SET_TIMERSLACK, 1UL);
	if (first == 0) {
		snprintf(board->library, sizeof(board->library), "%s", memcached_lib_version());
	}
	status = live(board, (unsigned)first, (unsigned)n);
	board_close(&board);
	return status;
}
