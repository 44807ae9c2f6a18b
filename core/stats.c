#include "core/stats.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "core/stats_file.h"
#include "core/stats_stripes.h"

const char *const stats_layer_names[STATS_LAYERS_MAX] = { "memory", "memcached", "redis" };
const char *const stats_operation_names[STATS_OPERATIONS] = { "get", "mget", "write" };

#define NO_BLOCK (-1)

/* struct stats as it is allocated. */
struct own {
	struct stats stats;
	struct stats_file file;
	_Atomic int block; /* in the file, or NO_BLOCK */
	/* In place before any fork, so that the child needs no memory. */
	struct stats_counts private_counts[STATS_STRIPES];
	struct stats_latencies private_latencies;
	struct redis_seen private_redis;
};

static struct own *own_of(struct stats *stats)
{
	return (struct own *)stats;
}

static void count_in(struct stats *stats, struct stats_counts *counts,
		     struct stats_latencies *latencies)
{
	stats->latencies = latencies;
	stats->counts = counts;
	for (unsigned i = 0; i < STATS_LAYERS_MAX; i++) {
		stats->layers[i] = &counts->layers[i];
	}
}

struct shm_kind stats_file_kind(void)
{
	return (struct shm_kind){
		.magic = "towerST",
		.format = STATS_FORMAT,
		.n_bytes = STATS_FILE_BYTES,
		.n_backed = STATS_HEAD_BYTES,
		.group = SHM_NO_GROUP,
	};
}

static void copy_name(char *to, const char *from, size_t n)
{
	strncpy(to, from, n - 1);
	to[n - 1] = '\0';
}

/* What a new file's header says, and any other's must say. */
struct wanted {
	const char *domain;
	const struct stats_names *names;
};

static void fill_head(void *start, void *owner)
{
	struct stats_head *head = start;
	const struct wanted *wanted = owner;
	const struct stats_names *names = wanted->names;

	copy_name(head->domain, wanted->domain, sizeof(head->domain));
	while (head->n_calls < names->n_calls && head->n_calls < STATS_CALLS_MAX) {
		copy_name(head->calls[head->n_calls], names->calls[head->n_calls], STATS_NAME_MAX);
		head->n_calls++;
	}
	while (head->n_reasons < names->n_reasons && head->n_reasons < STATS_REASONS_MAX) {
		copy_name(head->reasons[head->n_reasons], names->reasons[head->n_reasons],
			  STATS_NAME_MAX);
		head->n_reasons++;
	}
}

static bool same_names(char have[][STATS_NAME_MAX], unsigned n_have, const char *const *want,
		       unsigned n_want)
{
	if (n_have != n_want) {
		return false;
	}
	for (unsigned i = 0; i < n_have; i++) {
		if (strncmp(have[i], want[i], STATS_NAME_MAX - 1) != 0) {
			return false;
		}
	}
	return true;
}

static bool has_names(struct stats_head *head, const struct stats_names *names)
{
	return same_names(head->calls, head->n_calls, names->calls, names->n_calls) &&
	       same_names(head->reasons, head->n_reasons, names->reasons, names->n_reasons);
}

static void attach(struct own *own, const char *path, const char *domain,
		   const struct stats_names *names)
{
	struct wanted wanted = { domain, names };
	struct shm_kind kind = stats_file_kind();
	enum shm_status status;
	const char **why = &own->stats.why;

	kind.fill = fill_head;
	kind.owner = &wanted;
	status = shm_attach(&own->file.shm, path, &kind);
	if (status != SHM_OK) {
		*why = shm_why(status);
	} else {
		own->file.head = own->file.shm.start;
		if (!has_names(own->file.head, names)) {
			*why = shm_why(SHM_FORMAT);
		} else if (strncmp(own->file.head->domain, domain, STATS_DOMAIN_MAX - 1) != 0) {
			*why = "is that of another domain";
		}
	}
	if (*why) {
		shm_detach(&own->file.shm);
		return;
	}
	own->stats.file = &own->file;
	own->stats.redis = &own->file.head->redis;
}

static void move_one(_Atomic uint64_t *to, _Atomic uint64_t *from)
{
	/* Most are zero, and lie on pages that nobody has touched. */
	uint64_t n = atomic_load_explicit(from, memory_order_relaxed)
			     ? atomic_exchange_explicit(from, 0, memory_order_relaxed)
			     : 0;

	if (n) {
		atomic_fetch_add_explicit(to, n, memory_order_relaxed);
	}
}

/* Whatever was counted in private, also while the pointers were exchanged. */
static void move_private(struct own *own, struct stats_block *to)
{
	for (unsigned stripe = 0; stripe < stats_stripes_used(); stripe++) {
		for (size_t i = 0; i < STATS_N_COUNTS; i++) {
			move_one(stats_count_at(&to->stripes[0], i),
				 stats_count_at(&own->private_counts[stripe], i));
		}
	}
	for (size_t i = 0; i < STATS_N_LATENCIES; i++) {
		move_one(stats_latency_at(&to->latencies, i),
			 stats_latency_at(&own->private_latencies, i));
	}
}

/* False: there is no room. */
static bool claim(struct own *own)
{
	struct stats_block *block;

	if (own->stats.file == NULL || own->block != NO_BLOCK) {
		return true;
	}
	process_self(&own->file.self);
	own->block = stats_block_claim(&own->file);
	if (own->block == NO_BLOCK) {
		own->stats.file = NULL;
		return false;
	}
	block = stats_block_at(&own->file.shm, (unsigned)own->block);
	count_in(&own->stats, block->stripes, &block->latencies);
	move_private(own, block);
	stats_fold(&own->file, STATS_LOOKS);
	return true;
}

struct stats *stats_open(const char *path, const char *domain, const struct stats_names *names)
{
	int saved = errno;
	struct own *own = calloc(1, sizeof(*own));

	if (own) {
		own->block = NO_BLOCK;
		own->stats.redis = &own->private_redis;
		count_in(&own->stats, own->private_counts, &own->private_latencies);
		if (path) {
			attach(own, path, domain, names);
		}
		if (!claim(own)) {
			own->stats.why = "has no room for this process";
		}
	}
	errno = saved;
	return own ? &own->stats : NULL;
}

void stats_claim(struct stats *stats)
{
	int saved = errno;

	/* Children inherit it: one line, not one for each of them. */
	if (!claim(own_of(stats))) {
		log_line(LOG_LEVEL_WARN,
			 "no room for the statistics of this process: they are private");
	}
	errno = saved;
}

static bool back_stripes(void *owner, unsigned n)
{
	struct own *own = owner;
	int block = own->block;

	return block == NO_BLOCK || stats_block_back(&own->file, (unsigned)block, n);
}

void stats_thread(struct stats *stats)
{
	int saved = errno;

	stats_stripe_take(back_stripes, own_of(stats));
	errno = saved;
}

unsigned stats_processes(struct stats *stats)
{
	struct own *own = own_of(stats);
	int saved = errno;
	unsigned n = 0;

	if (own->block != NO_BLOCK) {
		stats_fold(&own->file, STATS_LOOKS);
		n = stats_blocks_owned(&own->file);
	}
	errno = saved;
	return n;
}

void stats_child(struct stats *stats)
{
	struct own *own = own_of(stats);

	/* Of the parent; a child of a child has inherited its parent's. */
	for (unsigned stripe = 0; stripe < stats_stripes_used(); stripe++) {
		for (size_t i = 0; i < STATS_N_COUNTS; i++) {
			atomic_store_explicit(stats_count_at(&own->private_counts[stripe], i), 0,
					      memory_order_relaxed);
		}
	}
	for (size_t i = 0; i < STATS_N_LATENCIES; i++) {
		_Atomic uint64_t *at = stats_latency_at(&own->private_latencies, i);

		/* Mostly a page of the parent's that nobody has to copy. */
		if (atomic_load_explicit(at, memory_order_relaxed)) {
			atomic_store_explicit(at, 0, memory_order_relaxed);
		}
	}
	stats_stripes_child();
	count_in(stats, own->private_counts, &own->private_latencies);
	own->block = NO_BLOCK;
	stats_fold_child();
}

/* In stripe 0, which is all that a child has before its first call. */
static bool counted_anything(struct stats_counts *counts)
{
	for (size_t i = 0; i < STATS_N_COUNTS; i++) {
		if (stats_count_adds(i) &&
		    atomic_load_explicit(stats_count_at(counts, i), memory_order_relaxed)) {
			return true;
		}
	}
	return false;
}

void stats_leave(struct stats *stats)
{
	struct own *own = own_of(stats);
	int saved = errno;

	if (counted_anything(own->private_counts)) {
		stats_claim(stats); /* a child that ends before its first call */
	}
	/* A child of a fork that we were not told of uses its parent's block. */
	if (own->block != NO_BLOCK && own->file.self.pid == getpid()) {
		move_private(own, stats_block_at(&own->file.shm, (unsigned)own->block));
		count_in(stats, own->private_counts, &own->private_latencies);
		stats_block_end(&own->file, (unsigned)own->block);
		own->block = NO_BLOCK;
		stats->file = NULL;
		stats_fold(&own->file, STATS_LOOKS);
	}
	errno = saved;
}

void stats_close(struct stats **stats)
{
	int saved = errno;

	if (*stats) {
		stats_leave(*stats);
		shm_detach(&own_of(*stats)->file.shm);
		free(own_of(*stats));
		*stats = NULL;
	}
	errno = saved;
}
