/*
 * board.h - the memory that the driver shares with its workers.
 *
 * Every worker has a seat.  The driver gives a turn to one number, on all
 * sides at once; the workers of that number take so many steps, write what
 * they saw into their seats, and say that they have done.  Nobody else runs
 * meanwhile, so that the outcome depends on the seed alone.
 */
#ifndef TOWER_TESTS_DIFFERENTIAL_BOARD_H
#define TOWER_TESTS_DIFFERENTIAL_BOARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BOARD_SIDES 2
#define BOARD_WORKERS_MAX 16
#define BOARD_TEXT_MAX ((size_t)2 << 20)

struct board_seat {
	/* Written by the driver before `turn`. */
	uint64_t first_step;
	uint32_t n_steps; /* 0: close all handles and end */

	_Atomic uint32_t turn; /* futex: the worker's turn begins when it changes */

	/* Written by the worker before it has done. */
	_Atomic size_t n_text;
	char text[BOARD_TEXT_MAX]; /* a line per step */
};

struct board {
	_Atomic uint32_t n_done; /* futex: turns that workers have taken so far */
	struct board_seat seats[BOARD_SIDES][BOARD_WORKERS_MAX];
};

/* Maps a file of such a board; makes it if `create`.  NULL where it cannot be had. */
struct board *board_map(const char *path, bool create);

/* The driver: gives the turn to a seat whose steps are filled in. */
void board_give(struct board_seat *seat);

/* The driver: whether n_done reached `n_done` within `timeout_ms` of real time. */
bool board_wait_done(struct board *board, uint32_t n_done, int timeout_ms);

/* A worker: waits for a turn other than `last`; returns it. */
uint32_t board_wait_turn(struct board_seat *seat, uint32_t last);

/* A worker: its turn is over. */
void board_done(struct board *board);

#endif
