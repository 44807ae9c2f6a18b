#include "layers/redis_filter.h"

#include <stddef.h>

#include "base/clock.h"
#include "base/fault.h"

/* What a key sets in its block. */
#define BITS 4
#define POSITION_BITS 9

_Static_assert(1 << POSITION_BITS == REDIS_FILTER_WORDS * 64, "a position in a block");

/* Of the hash: the lowest choose the block, the next the bits in it. */
#define BLOCK_BITS 14

_Static_assert(1 << BLOCK_BITS == REDIS_FILTER_BLOCKS, "a block of a part");

/* A commit may come some seconds after the key was noted. */
#define MARGIN_NS (60 * CLOCK_NS_PER_S)
/* Of two clocks that count the same time one may be slower by so much. */
#define DRIFT_PART 8

static uint64_t part_of(uint64_t turn)
{
	return turn % REDIS_FILTER_PARTS;
}

static uint64_t position(uint64_t hash, unsigned i)
{
	return hash >> (BLOCK_BITS + i * POSITION_BITS) & ((1U << POSITION_BITS) - 1);
}

static bool has(const _Atomic uint64_t *block, uint64_t hash)
{
	bool all = true;

	for (unsigned i = 0; i < BITS; i++) {
		uint64_t at = position(hash, i);

		all &= atomic_load_explicit(&block[at / 64], memory_order_acquire) >> (at % 64) & 1;
	}
	return all;
}

static void set(_Atomic uint64_t *block, uint64_t hash)
{
	for (unsigned i = 0; i < BITS; i++) {
		uint64_t at = position(hash, i);

		atomic_fetch_or(&block[at / 64], UINT64_C(1) << (at % 64));
	}
}

void redis_filter_may_live(struct redis_filter *filter, int64_t ttl_ns)
{
	const int64_t most_ns = CLOCK_NEVER / 2;
	int64_t longest_ns =
		ttl_ns && ttl_ns < most_ns ? ttl_ns + ttl_ns / DRIFT_PART + MARGIN_NS : CLOCK_NEVER;
	int64_t before;

	if (filter == NULL) {
		return;
	}
	before = atomic_load(&filter->longest_ns);
	while (before < longest_ns &&
	       !atomic_compare_exchange_weak(&filter->longest_ns, &before, longest_ns)) {
	}
}

static void empty(struct redis_filter *filter, uint64_t part)
{
	for (unsigned block = 0; block < REDIS_FILTER_BLOCKS; block++) {
		for (unsigned i = 0; i < REDIS_FILTER_WORDS; i++) {
			atomic_store_explicit(&filter->parts[part][block][i], 0,
					      memory_order_relaxed);
		}
	}
}

/* Begins the next turn when it is time. */
static void take_turns(struct redis_filter *filter)
{
	uint64_t turn = atomic_load(&filter->turn);
	/* Before the time: where the next part is empty, the time is that of this turn. */
	bool is_ready = atomic_load(&filter->emptied) == turn;
	int64_t began = atomic_load(&filter->began_ns);
	int64_t now = clock_boot_ns();

	if (began == 0) {
		atomic_compare_exchange_strong(&filter->began_ns, &began, now);
		return;
	}
	if (!is_ready || now - began < atomic_load(&filter->longest_ns) ||
	    !atomic_compare_exchange_strong(&filter->turn, &turn, turn + 1)) {
		return;
	}
	empty(filter, part_of(turn + 2));
	/* This process may have stood still since it asked. */
	atomic_store(&filter->began_ns, clock_boot_ns());
	atomic_store(&filter->emptied, turn + 1);
}

void redis_filter_note(struct redis_filter *filter, uint64_t hash)
{
	uint64_t turn;

	if (filter == NULL || fault_planted(FAULT_unnoted)) {
		return;
	}
	take_turns(filter);
	do {
		turn = atomic_load(&filter->turn);
		set(filter->parts[part_of(turn)][hash % REDIS_FILTER_BLOCKS], hash);
	} while (atomic_load(&filter->turn) != turn);
}

bool redis_filter_has(const struct redis_filter *filter, uint64_t hash)
{
	uint64_t block = hash % REDIS_FILTER_BLOCKS;
	uint64_t turn;

	if (filter == NULL) {
		return true;
	}
	turn = atomic_load(&filter->turn);
	return has(filter->parts[part_of(turn)][block], hash) ||
	       has(filter->parts[part_of(turn + REDIS_FILTER_PARTS - 1)][block], hash) ||
	       atomic_load(&filter->turn) != turn;
}
