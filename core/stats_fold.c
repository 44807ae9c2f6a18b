/* Blocks and the total: see stats_file.h for why each count lands there once. */
#include "core/stats_file.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/lock.h"

/*
 * A claim in a full table waits so often, a millisecond each, for somebody
 * else's fold: that takes microseconds, but the folder may have lost its CPU.
 */
#define FULL_WAITS 20

/*
 * guards: folding and claiming by the threads of this process, which are all
 * the same in `folder`.  One for all files, as tests open several.
 */
static struct lock fold_lock = LOCK_INIT(LOCK_RANK_STATS);

void stats_fold_child(void)
{
	lock_reset(&fold_lock);
}

static const bool layer_count_adds[] = {
#define COUNTER(name, help) true,
#define GAUGE(name, help) false,
#include "layers/counters.def"
#undef COUNTER
#undef GAUGE
};

bool stats_count_adds(size_t i)
{
	const size_t n = sizeof(layer_count_adds) / sizeof(layer_count_adds[0]);

	return i >= STATS_LAYERS_MAX * n || layer_count_adds[i % n];
}

static bool become_folder(struct stats_file *file)
{
	_Atomic uint64_t *folder = &file->head->folder;
	uint64_t now = atomic_load_explicit(folder, memory_order_acquire);
	uint64_t own = process_pack(&file->self);

	if (file->self.space == 0) {
		return false;
	}
	if (now != 0 && process_word_alive(&file->self, now) != PROCESS_GONE) {
		return false;
	}
	return atomic_compare_exchange_strong_explicit(folder, &now, own, memory_order_acq_rel,
						       memory_order_relaxed);
}

static uint64_t n_stripes(const struct stats_block *block)
{
	uint64_t n = atomic_load_explicit(&block->n_stripes, memory_order_acquire);

	return n < STATS_STRIPES ? n : STATS_STRIPES;
}

uint64_t stats_block_count(struct stats_block *block, size_t i)
{
	uint64_t n = 0;

	if (i >= STATS_N_COUNTS) {
		return atomic_load_explicit(stats_latency_at(&block->latencies, i - STATS_N_COUNTS),
					    memory_order_acquire);
	}
	for (uint64_t stripe = 0; stripe < n_stripes(block); stripe++) {
		/* Acquire: whoever sees a zero of a later fold also sees that it took place. */
		n += atomic_load_explicit(stats_count_at(&block->stripes[stripe], i),
					  memory_order_acquire);
	}
	return n;
}

static void zero_counts(struct stats_block *block)
{
	for (uint64_t stripe = 0; stripe < n_stripes(block); stripe++) {
		for (size_t i = 0; i < STATS_N_COUNTS; i++) {
			/* Release: a reader that sees the zero sees the fold, too. */
			atomic_store_explicit(stats_count_at(&block->stripes[stripe], i), 0,
					      memory_order_release);
		}
	}
	for (size_t i = 0; i < STATS_N_LATENCIES; i++) {
		atomic_store_explicit(stats_latency_at(&block->latencies, i), 0,
				      memory_order_release);
	}
}

/* Its owner finds it zeroed; the release orders that before the word. */
static void free_block(struct stats_file *file, unsigned i)
{
	struct stats_head *head = file->head;
	struct stats_block *block = stats_block_at(&file->shm, i);

	if (atomic_load_explicit(&head->backed[i], memory_order_acquire)) {
		atomic_store_explicit(&block->n_command, 0, memory_order_release);
		zero_counts(block);
	}
	atomic_store_explicit(&head->owners[i], STATS_OWNER_FREE, memory_order_release);
}

/* Whether block i, of this owner word, is to be part of the next fold. */
static bool is_over(struct stats_file *file, unsigned i, uint64_t word, unsigned *n_looks)
{
	uint64_t process = stats_owner_rest(word);

	switch (stats_owner_kind(word)) {
	case STATS_OWNER_FREE:
		return false;
	case STATS_OWNER_ENDED:
	case STATS_OWNER_FOLDING:
		return true;
	case STATS_OWNER_OWNED:
		break;
	}
	if (*n_looks == 0 || process == process_pack(&file->self)) {
		return false;
	}
	atomic_store_explicit(&file->head->next_look, i + 1, memory_order_relaxed);
	if (process_word_alive(&file->self, process) == PROCESS_GONE) {
		return true; /* costs no look: the dead may have piled up */
	}
	--*n_looks;
	return false;
}

/* Step 1; answers how many blocks now are FOLDING `number`. */
static unsigned mark(struct stats_file *file, uint64_t number, unsigned n_looks)
{
	struct stats_head *head = file->head;
	uint64_t first = atomic_load_explicit(&head->next_look, memory_order_relaxed);
	unsigned n = 0;

	for (unsigned j = 0; j < STATS_BLOCKS_MAX; j++) {
		unsigned i = (unsigned)((first + j) % STATS_BLOCKS_MAX);
		uint64_t word = atomic_load_explicit(&head->owners[i], memory_order_acquire);

		if (stats_owner_kind(word) == STATS_OWNER_FOLDING &&
		    stats_owner_rest(word) < number) {
			free_block(file, i); /* a folder died in its step 4 */
		} else if (is_over(file, i, word, &n_looks)) {
			atomic_store_explicit(&head->owners[i],
					      stats_owner_word(STATS_OWNER_FOLDING, number),
					      memory_order_release);
			n++;
		}
	}
	return n;
}

static void copy_total(struct stats_sums *to, struct stats_sums *from)
{
	for (size_t j = 0; j < STATS_N_NUMBERS; j++) {
		/* Release: a reader that sees it also sees that its own total is past. */
		atomic_store_explicit(
			stats_sum_at(to, j),
			atomic_load_explicit(stats_sum_at(from, j), memory_order_relaxed),
			memory_order_release);
	}
}

static void add_block(struct stats_sums *to, struct stats_block *from)
{
	for (size_t j = 0; j < STATS_N_NUMBERS; j++) {
		uint64_t n = stats_block_count(from, j);

		if (n && stats_count_adds(j)) {
			/* No other process writes here: the two steps need not be one. */
			n += atomic_load_explicit(stats_sum_at(to, j), memory_order_relaxed);
			atomic_store_explicit(stats_sum_at(to, j), n, memory_order_release);
		}
	}
}

/* Steps 2 to 4. */
static void add_and_free(struct stats_file *file, uint64_t number)
{
	struct stats_head *head = file->head;
	struct stats_sums *total = &head->totals[number % 2];
	uint64_t folding = stats_owner_word(STATS_OWNER_FOLDING, number);

	copy_total(total, &head->totals[(number + 1) % 2]);
	for (unsigned i = 0; i < STATS_BLOCKS_MAX; i++) {
		if (atomic_load_explicit(&head->owners[i], memory_order_relaxed) == folding &&
		    atomic_load_explicit(&head->backed[i], memory_order_acquire)) {
			add_block(total, stats_block_at(&file->shm, i));
		}
	}
	atomic_store_explicit(&head->folds, number, memory_order_release);
	for (unsigned i = 0; i < STATS_BLOCKS_MAX; i++) {
		if (atomic_load_explicit(&head->owners[i], memory_order_relaxed) == folding) {
			free_block(file, i);
		}
	}
}

enum fold_result { FOLD_BUSY, FOLD_NOTHING, FOLD_DONE };

static enum fold_result fold_locked(struct stats_file *file, unsigned n_looks)
{
	struct stats_head *head = file->head;
	enum fold_result result = FOLD_NOTHING;
	uint64_t number;

	if (!become_folder(file)) {
		return FOLD_BUSY;
	}
	number = atomic_load_explicit(&head->folds, memory_order_relaxed) + 1;
	if (mark(file, number, n_looks) > 0) {
		add_and_free(file, number);
		result = FOLD_DONE;
	}
	atomic_store_explicit(&head->folder, 0, memory_order_release);
	return result;
}

void stats_fold(struct stats_file *file, unsigned n_looks)
{
	lock_take(&fold_lock);
	fold_locked(file, n_looks);
	lock_release(&fold_lock);
}

/* Blocks that have memory already come first: they cost nothing more. */
static int take_free(struct stats_file *file, bool backed)
{
	struct stats_head *head = file->head;
	uint64_t own = stats_owner_word(STATS_OWNER_OWNED, process_pack(&file->self));

	for (unsigned i = 0; i < STATS_BLOCKS_MAX; i++) {
		uint64_t free_word = STATS_OWNER_FREE;

		if (backed && !atomic_load_explicit(&head->backed[i], memory_order_acquire)) {
			continue;
		}
		if (atomic_load_explicit(&head->owners[i], memory_order_relaxed) == free_word &&
		    atomic_compare_exchange_strong_explicit(&head->owners[i], &free_word, own,
							    memory_order_acq_rel,
							    memory_order_relaxed)) {
			return (int)i;
		}
	}
	return -1;
}

bool stats_block_back(struct stats_file *file, unsigned block, unsigned n)
{
	struct stats_block *at = stats_block_at(&file->shm, block);
	size_t offset = STATS_HEAD_BYTES + (size_t)block * STATS_BLOCK_BYTES;
	size_t n_bytes = offsetof(struct stats_block, stripes) + n * sizeof(at->stripes[0]);
	uint64_t before = 0;

	if (!shm_back(&file->shm, offset, n_bytes)) {
		return false;
	}
	while (before < n && !atomic_compare_exchange_weak(&at->n_stripes, &before, n)) {
	}
	return true;
}

static bool back_block(struct stats_file *file, unsigned i)
{
	struct stats_head *head = file->head;

	if (atomic_load_explicit(&head->backed[i], memory_order_acquire)) {
		return true;
	}
	if (!stats_block_back(file, i, STATS_STRIPES_MIN)) {
		atomic_store_explicit(&head->owners[i], STATS_OWNER_FREE, memory_order_release);
		return false;
	}
	atomic_store_explicit(&head->backed[i], 1, memory_order_release);
	return true;
}

static void write_command(struct stats_block *block, const struct process *self)
{
	uint64_t words[STATS_COMMAND_MAX / sizeof(uint64_t)] = { 0 };
	size_t n = strnlen(self->command, sizeof(self->command));

	memcpy(words, self->command, n);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		atomic_store_explicit(&block->command[i], words[i], memory_order_relaxed);
	}
	atomic_store_explicit(&block->n_command, n, memory_order_release);
}

static int take_any(struct stats_file *file)
{
	int i = take_free(file, true);

	return i >= 0 ? i : take_free(file, false);
}

static int claim_locked(struct stats_file *file)
{
	struct stats_block *block;
	int i = take_any(file);

	for (unsigned waits = 0; i < 0 && waits < FULL_WAITS; waits++) {
		const struct timespec wait = { .tv_nsec = 1000000 };
		enum fold_result result = fold_locked(file, STATS_BLOCKS_MAX);

		i = take_any(file);
		if (result == FOLD_NOTHING) {
			break;
		}
		if (i < 0) {
			nanosleep(&wait, NULL);
		}
	}
	if (i < 0 || !back_block(file, (unsigned)i)) {
		return -1;
	}
	block = stats_block_at(&file->shm, (unsigned)i);
	/* A thread of the process before may have ended an addition after it was folded. */
	zero_counts(block);
	write_command(block, &file->self);
	return i;
}

int stats_block_claim(struct stats_file *file)
{
	int i;

	lock_take(&fold_lock);
	i = claim_locked(file);
	lock_release(&fold_lock);
	if (i < 0) {
		errno = ENOSPC;
	}
	return i;
}

unsigned stats_blocks_owned(struct stats_file *file)
{
	unsigned n = 0;

	for (unsigned i = 0; i < STATS_BLOCKS_MAX; i++) {
		uint64_t word = atomic_load_explicit(&file->head->owners[i], memory_order_relaxed);

		n += stats_owner_kind(word) == STATS_OWNER_OWNED;
	}
	return n;
}

void stats_block_end(struct stats_file *file, unsigned block)
{
	/* Release: whoever folds it sees all that was counted. */
	atomic_store_explicit(&file->head->owners[block], STATS_OWNER_ENDED, memory_order_release);
}
