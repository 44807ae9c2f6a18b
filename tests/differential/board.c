#include "tests/differential/board.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void futex_wait(_Atomic uint32_t *word, uint32_t value, const struct timespec *timeout)
{
	syscall(SYS_futex, word, FUTEX_WAIT, value, timeout, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

struct board *board_map(const char *path, bool create)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | (create ? O_CREAT | O_EXCL : 0), 0600);
	void *mapped = MAP_FAILED;

	if (fd < 0) {
		return NULL;
	}
	if (!create || ftruncate(fd, sizeof(struct board)) == 0) {
		mapped =
			mmap(NULL, sizeof(struct board), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	}
	close(fd);
	return mapped != MAP_FAILED ? mapped : NULL;
}

void board_give(struct board_seat *seat)
{
	atomic_store(&seat->n_text, 0);
	atomic_fetch_add(&seat->turn, 1);
	futex_wake(&seat->turn);
}

bool board_wait_done(struct board *board, uint32_t n_done, int timeout_ms)
{
	const struct timespec timeout = { timeout_ms / 1000, timeout_ms % 1000 * 1000000L };
	uint32_t now = atomic_load(&board->n_done);

	for (int tries = 0; now != n_done && tries < BOARD_SIDES + 1; tries++) {
		futex_wait(&board->n_done, now, &timeout);
		now = atomic_load(&board->n_done);
	}
	return now == n_done;
}

uint32_t board_wait_turn(struct board_seat *seat, uint32_t last)
{
	uint32_t turn = atomic_load(&seat->turn);

	while (turn == last) {
		futex_wait(&seat->turn, last, NULL);
		turn = atomic_load(&seat->turn);
	}
	return turn;
}

void board_done(struct board *board)
{
	atomic_fetch_add(&board->n_done, 1);
	futex_wake(&board->n_done);
}
