#include "core/stats_snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "core/stats_file.h"

/* Each try is lost only to a fold that ended while the blocks were copied. */
#define TRIES_MAX 1000

_Static_assert(sizeof(struct stats_values) == STATS_N_NUMBERS * sizeof(uint64_t), "all of them");

/* A block as found. */
struct found {
	uint64_t owner;
	struct stats_process process;
};

/* Acquire: whoever sees a number of a later fold also sees that it took place. */
static uint64_t load(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_acquire);
}

static uint64_t *value_at(struct stats_values *values, size_t i)
{
	return (uint64_t *)values + i;
}

static void copy_total(struct stats_values *to, struct stats_sums *from)
{
	for (size_t i = 0; i < STATS_N_NUMBERS; i++) {
		*value_at(to, i) = load(stats_sum_at(from, i));
	}
}

static void copy_counts(struct stats_values *to, struct stats_block *from)
{
	for (size_t i = 0; i < STATS_N_NUMBERS; i++) {
		*value_at(to, i) = stats_block_count(from, i);
	}
}

static void copy_command(char *to, const struct stats_block *block)
{
	uint64_t words[STATS_COMMAND_MAX / sizeof(uint64_t)];
	uint64_t n = load(&block->n_command);

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		words[i] = load(&block->command[i]);
	}
	if (n >= STATS_COMMAND_MAX) {
		n = STATS_COMMAND_MAX - 1;
	}
	memcpy(to, words, n);
	to[n] = '\0';
}

static bool is_in_total(uint64_t owner, uint64_t folds)
{
	return stats_owner_kind(owner) == STATS_OWNER_FOLDING && stats_owner_rest(owner) <= folds;
}

/* False where a fold came between: the copies belong to no one moment. */
static bool copy_blocks(const struct shm *shm, struct stats_values *total, struct found *found,
			unsigned *ret_n)
{
	struct stats_head *head = shm->start;
	uint64_t folds = load(&head->folds);
	unsigned n = 0;

	copy_total(total, &head->totals[folds % 2]);
	for (unsigned i = 0; i < STATS_BLOCKS_MAX; i++) {
		uint64_t owner = load(&head->owners[i]);

		if (stats_owner_kind(owner) == STATS_OWNER_FREE || is_in_total(owner, folds) ||
		    !atomic_load_explicit(&head->backed[i], memory_order_acquire)) {
			continue;
		}
		found[n].owner = owner;
		copy_command(found[n].process.command, stats_block_at(shm, i));
		copy_counts(&found[n].process.values, stats_block_at(shm, i));
		n++;
	}
	*ret_n = n;
	return load(&head->folds) == folds;
}

static void add_values(struct stats_values *to, struct stats_values *from, bool gauges)
{
	for (size_t i = 0; i < STATS_N_NUMBERS; i++) {
		if (gauges || stats_count_adds(i)) {
			*value_at(to, i) += *value_at(from, i);
		}
	}
}

static int compare_pids(const void *a, const void *b)
{
	const struct stats_process *x = a;
	const struct stats_process *y = b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

/* Processes that ended but were not folded yet are part of the total only. */
static void sort_out(struct stats_snapshot *snapshot, struct found *found, unsigned n)
{
	struct process self;

	process_self(&self);
	for (unsigned i = 0; i < n; i++) {
		uint64_t process = stats_owner_rest(found[i].owner);
		bool lives = stats_owner_kind(found[i].owner) == STATS_OWNER_OWNED &&
			     process_word_alive(&self, process) != PROCESS_GONE;

		add_values(&snapshot->total, &found[i].process.values, lives);
		if (lives) {
			found[i].process.pid = process_word_pid(process);
			snapshot->processes[snapshot->n_processes++] = found[i].process;
		}
	}
	if (snapshot->n_processes > 0) {
		qsort(snapshot->processes, snapshot->n_processes, sizeof(snapshot->processes[0]),
		      compare_pids);
	}
}

static void copy_head(struct stats_snapshot *snapshot, const struct stats_head *head)
{
	memcpy(snapshot->domain, head->domain, sizeof(snapshot->domain));
	memcpy(snapshot->calls, head->calls, sizeof(snapshot->calls));
	memcpy(snapshot->reasons, head->reasons, sizeof(snapshot->reasons));
	snapshot->n_calls = head->n_calls < STATS_CALLS_MAX ? head->n_calls : STATS_CALLS_MAX;
	snapshot->n_reasons =
		head->n_reasons < STATS_REASONS_MAX ? head->n_reasons : STATS_REASONS_MAX;
	snapshot->redis_unmarked = load(&head->redis.unmarked);
	snapshot->redis_open = load(&head->redis.open) != 0;
	snapshot->redis_several = load(&head->redis.several) != 0;
	snapshot->redis_generation = load(&head->redis.generation);
	snapshot->taken_ns = clock_now_ns();
}

static enum stats_status take(const struct shm *shm, struct found *found,
			      struct stats_snapshot *snapshot)
{
	unsigned n = 0;
	unsigned tries = 0;

	while (!copy_blocks(shm, &snapshot->total, found, &n)) {
		if (++tries == TRIES_MAX) {
			errno = EAGAIN;
			return STATS_FAILED;
		}
	}
	snapshot->processes = calloc(n ? n : 1, sizeof(snapshot->processes[0]));
	if (!snapshot->processes) {
		return STATS_FAILED;
	}
	copy_head(snapshot, shm->start);
	sort_out(snapshot, found, n);
	return STATS_OK;
}

static enum stats_status take_attached(const struct shm *shm, struct stats_snapshot **ret)
{
	struct found *found = malloc(STATS_BLOCKS_MAX * sizeof(*found));
	struct stats_snapshot *snapshot = calloc(1, sizeof(*snapshot));
	enum stats_status status = STATS_FAILED;

	if (found && snapshot) {
		status = take(shm, found, snapshot);
	}
	free(found);
	if (status == STATS_OK) {
		*ret = snapshot;
	} else {
		int saved = errno;

		stats_snapshot_free(&snapshot);
		errno = saved;
	}
	return status;
}

enum stats_status stats_snapshot_take(const char *path, struct stats_snapshot **ret)
{
	struct shm_kind kind = stats_file_kind();
	struct shm shm;
	enum stats_status status;

	switch (shm_attach_readonly(&shm, path, &kind)) {
	case SHM_OK:
		status = take_attached(&shm, ret);
		shm_detach(&shm);
		return status;
	case SHM_NONE:
		return STATS_NONE;
	case SHM_FOREIGN:
	case SHM_FORMAT:
		return STATS_FOREIGN;
	case SHM_FAILED:
		break;
	}
	return STATS_FAILED;
}

void stats_snapshot_free(struct stats_snapshot **snapshot)
{
	if (*snapshot) {
		free((*snapshot)->processes);
		free(*snapshot);
		*snapshot = NULL;
	}
}
