#include "tests/coherence/board.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* What was not confirmed has happened after so long, or never will. */
#define UNKNOWN_NS (2 * BOARD_NS_PER_S)

/* The same for all that a killed worker may have sent, with its expiry. */
#define DEAD_NS (10 * BOARD_NS_PER_S)

/* A write of the key takes at least so long: so long a judgement may take. */
#define WRITE_NS_LEAST 4000

#define LINES_MAX 3 /* about violations, of one worker */

struct board *board_map(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct board *board = MAP_FAILED;

	if (fd < 0) {
		return NULL;
	}
	if (ftruncate(fd, sizeof(*board)) == 0) {
		board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	}
	close(fd);
	return board == MAP_FAILED ? NULL : board;
}

uint64_t board_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * BOARD_NS_PER_S + (uint64_t)now.tv_nsec;
}

static uint64_t most(const _Atomic uint64_t *cells)
{
	uint64_t result = 0;

	for (size_t i = 0; i < BOARD_WORKERS; i++) {
		uint64_t cell = atomic_load_explicit(&cells[i], memory_order_acquire);

		result = cell > result ? cell : result;
	}
	return result;
}

static void raise_to(_Atomic uint64_t *cell, uint64_t to)
{
	if (atomic_load_explicit(cell, memory_order_relaxed) < to) {
		atomic_store_explicit(cell, to, memory_order_release);
	}
}

/* --- writing --- */

/* From now on the key may go. */
static void may_go(struct board_key *at, unsigned worker)
{
	uint64_t now = atomic_load(&at->gone_until[worker]);

	if (now != UINT64_MAX) {
		atomic_store(&at->gone_kept[worker], now);
	}
	atomic_store(&at->gone_until[worker], UINT64_MAX);
}

static void may_go_until(struct board_key *at, unsigned worker, uint64_t until_ns)
{
	raise_to(&at->gone_kept[worker], until_ns);
	atomic_store(&at->gone_until[worker], atomic_load(&at->gone_kept[worker]));
}

static uint64_t n_begun(const struct board_key *at)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < BOARD_WORKERS; i++) {
		n += atomic_load(&at->begun[i]);
	}
	return n;
}

static void write_begins(struct board_key *at, unsigned worker)
{
	atomic_fetch_add(&at->begun[worker], 1);
}

static void write_ends(struct board_key *at, unsigned worker, bool known)
{
	if (!known) {
		raise_to(&at->doubtful, n_begun(at));
	}
	atomic_store(&at->ended[worker], atomic_load(&at->begun[worker]));
}

/* Those that have ended are loaded first: one that began meanwhile shows. */
static uint64_t calm(const struct board_key *at)
{
	uint64_t ended[BOARD_WORKERS];
	uint64_t n = 0;

	for (unsigned i = 0; i < BOARD_WORKERS; i++) {
		ended[i] = atomic_load(&at->ended[i]);
	}
	for (unsigned i = 0; i < BOARD_WORKERS; i++) {
		uint64_t begun = atomic_load(&at->begun[i]);

		if (begun != ended[i]) {
			return 0;
		}
		n += begun;
	}
	return n > atomic_load(&at->doubtful) ? n : 0;
}

uint64_t board_store_begin(struct board *board, unsigned worker, unsigned key, unsigned exptime)
{
	struct board_key *at = &board->keys[key];
	uint64_t count = atomic_load(&at->counts[worker]) + 1;
	struct board_ack *ack = &at->acks[worker][count % BOARD_ACKS];

	write_begins(at, worker);
	atomic_store(&at->counts[worker], count);
	atomic_store(&ack->ack_ns, 0);
	atomic_store(&ack->count, count);
	if (exptime) {
		may_go(at, worker);
	}
	return count;
}

void board_store_end(struct board *board, unsigned worker, const struct value *value,
		     enum board_outcome outcome)
{
	struct board_key *at = &board->keys[value->key];
	uint64_t now = board_now_ns();

	if (outcome == BOARD_DONE) {
		atomic_store(&at->acks[worker][value->count % BOARD_ACKS].ack_ns, now);
	}
	if (outcome == BOARD_REFUSED) {
		/* Nobody can ever read it: the next one may be of the same count. */
		atomic_store(&at->counts[worker], value->count - 1);
	}
	if (value->exptime) {
		may_go_until(at, worker, now + value->exptime * BOARD_NS_PER_S + UNKNOWN_NS);
	}
	if (outcome == BOARD_DONE) {
		raise_to(&at->stored[worker], value->start_ns);
	}
	write_ends(at, worker, outcome != BOARD_UNKNOWN);
	board_count(&board->workers[worker].writes, 1);
}

void board_remove_begin(struct board *board, unsigned worker, unsigned key)
{
	write_begins(&board->keys[key], worker);
	may_go(&board->keys[key], worker);
}

void board_remove_end(struct board *board, unsigned worker, unsigned key, uint64_t from_ns,
		      uint64_t until_ns, enum board_outcome outcome)
{
	struct board_key *at = &board->keys[key];

	if (outcome == BOARD_UNKNOWN) {
		until_ns += UNKNOWN_NS;
	} else {
		raise_to(&at->removed[worker], from_ns);
	}
	may_go_until(at, worker, until_ns);
	write_ends(at, worker, outcome != BOARD_UNKNOWN);
}

void board_worker_died(struct board *board, unsigned worker)
{
	for (size_t i = 0; i < BOARD_KEYS; i++) {
		struct board_key *at = &board->keys[i];

		if (atomic_load(&at->begun[worker]) != atomic_load(&at->ended[worker])) {
			write_ends(at, worker, false);
		}
		if (atomic_load(&board->keys[i].gone_until[worker]) == UINT64_MAX) {
			may_go_until(&board->keys[i], worker, board_now_ns() + DEAD_NS);
		}
	}
}

/* --- reading --- */

void board_look(const struct board *board, unsigned key, struct board_look *ret)
{
	const struct board_key *at = &board->keys[key];

	ret->stored = most(at->stored);
	ret->removed = most(at->removed);
	ret->returned = most(at->returned);
	ret->calm = atomic_load(&board->judges_split) ? calm(at) : 0;
	ret->begin_ns = board_now_ns();
}

/* When the version was acknowledged: UINT64_MAX if it was not, 0 if that was long ago. */
static uint64_t acknowledged(const struct board *board, const struct value *value)
{
	const struct board_ack *ack =
		&board->keys[value->key].acks[value->writer][value->count % BOARD_ACKS];
	uint64_t before = atomic_load(&ack->count);
	uint64_t at_ns = atomic_load(&ack->ack_ns);

	if (before != value->count || atomic_load(&ack->count) != value->count) {
		return 0;
	}
	return at_ns ? at_ns : UINT64_MAX;
}

static void violation(struct board *board, unsigned worker, const char *what,
		      _Atomic uint64_t *cell, const struct board_look *look,
		      const struct value *value, uint64_t ack_ns)
{
	board_count(cell, 1);
	if (atomic_load_explicit(cell, memory_order_relaxed) > LINES_MAX) {
		return;
	}
	fprintf(stderr,
		"litmus: %s: worker %u key %u version %u/%" PRIu64 " exptime %u, in us before the "
		"read began: start %" PRId64 " ack %" PRId64 " stored %" PRId64 " removed %" PRId64
		" returned %" PRId64 "\n",
		what, worker, value->key, value->writer, value->count, value->exptime,
		(int64_t)(look->begin_ns - value->start_ns) / 1000,
		ack_ns == UINT64_MAX ? INT64_C(-1) : (int64_t)(look->begin_ns - ack_ns) / 1000,
		(int64_t)(look->begin_ns - look->stored) / 1000,
		(int64_t)(look->begin_ns - look->removed) / 1000,
		(int64_t)(look->begin_ns - look->returned) / 1000);
}

static void judge_end(struct board *board, unsigned worker, const struct board_look *look,
		      const struct value *value)
{
	uint64_t end = value->start_ns + value->exptime * BOARD_NS_PER_S + BOARD_LATE_NS;
	uint64_t ack;

	if (value->exptime == 0 || look->begin_ns <= end) {
		return;
	}
	ack = acknowledged(board, value);
	if (ack != 0 && ack != UINT64_MAX) {
		end += ack - value->start_ns;
	} else {
		end += UNKNOWN_NS;
	}
	if (look->begin_ns > end) {
		violation(board, worker, "late", &board->workers[worker].late, look, value, ack);
	}
}

static void judge_order(struct board *board, unsigned worker, const struct board_look *look,
			const struct value *value)
{
	struct board_worker *own = &board->workers[worker];
	uint64_t ack = acknowledged(board, value);

	if (ack == 0) {
		if (board_now_ns() - look->begin_ns > BOARD_ACKS * WRITE_NS_LEAST) {
			board_count(&own->lost, 1);
			return;
		}
		/* So many versions after it cannot all have begun since the read began. */
		ack = value->start_ns;
	}
	if (look->removed > ack) {
		violation(board, worker, "resurrected", &own->resurrected, look, value, ack);
	} else if (look->stored > ack) {
		violation(board, worker, "stale", &own->stale, look, value, ack);
	} else if (look->returned > ack) {
		violation(board, worker, "backwards", &own->backwards, look, value, ack);
	}
}

#define VERSION_BITS 36

/* Who is the first to read while it is calm says what the others must read. */
static void judge_split(struct board *board, unsigned worker, const struct board_look *look,
			const struct value *value)
{
	struct board_key *at = &board->keys[value->key];
	uint64_t version = (value->count * BOARD_WORKERS + value->writer) &
			   ((UINT64_C(1) << VERSION_BITS) - 1);
	uint64_t agreed = atomic_load(&at->agreed);

	if (look->calm == 0 || calm(at) != look->calm) {
		return;
	}
	while (agreed >> VERSION_BITS < look->calm) {
		if (atomic_compare_exchange_weak(&at->agreed, &agreed,
						 look->calm << VERSION_BITS | version)) {
			return;
		}
	}
	if (agreed >> VERSION_BITS == look->calm &&
	    agreed != (look->calm << VERSION_BITS | version)) {
		violation(board, worker, "split", &board->workers[worker].split, look, value,
			  acknowledged(board, value));
	}
}

void board_judge(struct board *board, unsigned worker, unsigned key, const struct board_look *look,
		 const struct value *value)
{
	uint64_t start = value->start_ns;

	if (value->key != key || value->writer >= BOARD_WORKERS) {
		board_count(&board->workers[worker].corrupt, 1);
		return;
	}
	/* What began after all that is of no doubt: nearly always. */
	if (start < look->stored || start < look->removed || start < look->returned) {
		judge_order(board, worker, look, value);
	}
	judge_end(board, worker, look, value);
	judge_split(board, worker, look, value);
	raise_to(&board->keys[key].returned[worker], start);
}

void board_judge_miss(struct board *board, unsigned worker, unsigned key,
		      const struct board_look *look)
{
	struct value none = { .key = key };

	if (look->stored > most(board->keys[key].gone_until)) {
		violation(board, worker, "unexplained miss", &board->workers[worker].unexplained,
			  look, &none, UINT64_MAX);
	}
}

/* --- counters --- */

void board_counted(struct board *board, unsigned worker, unsigned key, uint64_t number)
{
	raise_to(&board->keys[key].stored[worker], number);
	board_count(&board->workers[worker].writes, 1);
}

void board_judge_number(struct board *board, unsigned worker, unsigned key,
			const struct board_look *look, uint64_t number)
{
	if (number < look->stored) {
		board_count(&board->workers[worker].stale, 1);
	} else if (number < look->returned) {
		board_count(&board->workers[worker].backwards, 1);
	}
	raise_to(&board->keys[key].returned[worker], number);
}
