/*
 * When keys end.  memcached does not tell a reader; but writers of the domain
 * say it here, so that a reader in another process does not keep a copy beyond
 * it.
 *
 * A slot remembers one key exactly (its tag and the second in which it ends).
 * Where several of its keys end, the others go into a mask of 32 bits: bit n
 * says that some key may end in a second that is n modulo 32.  A bit may stand
 * for nothing any more, which only makes copies end early; after the last of
 * all these seconds the mask is void, and the next key begins a new one.
 */
#include "core/slots_file.h"

#include "base/clock.h"

#define SECOND_BITS 32
#define SECOND ((UINT64_C(1) << SECOND_BITS) - 1)

static uint64_t tag_of(uint64_t hash)
{
	return hash >> SECOND_BITS;
}

/* The exact word: tag above, second below; second 0 is none. */
static uint64_t exact_word(uint64_t tag, uint64_t second)
{
	return tag << SECOND_BITS | second;
}

/* The word of the others: the last second above, the mask below. */
static uint64_t others_last(uint64_t others)
{
	return others >> SECOND_BITS;
}

static void add_to_others(struct slots_end *end, uint64_t second, uint64_t now_s)
{
	uint64_t others = atomic_load(&end->others);
	uint64_t added;

	do {
		uint64_t last = others_last(others);
		uint64_t mask = last < now_s ? 0 : others & SECOND;

		mask |= UINT64_C(1) << (second % SECOND_BITS);
		added = (last > second ? last : second) << SECOND_BITS | mask;
	} while (!atomic_compare_exchange_weak(&end->others, &others, added));
}

/* 0 is never; what has ended already ends now. */
static uint64_t second_of(int64_t deadline_ns, uint64_t now_s)
{
	if (deadline_ns == CLOCK_NEVER || deadline_ns / CLOCK_NS_PER_S > (int64_t)SECOND) {
		return 0;
	}
	if (deadline_ns / CLOCK_NS_PER_S <= 0) {
		return now_s;
	}
	return (uint64_t)(deadline_ns / CLOCK_NS_PER_S);
}

void slots_note_end(struct slots *slots, uint64_t hash, int64_t deadline_ns, bool also)
{
	struct slots_end *end = &slots->ends[hash & slots->mask];
	uint64_t tag = tag_of(hash);
	uint64_t exact = atomic_load(&end->exact);
	uint64_t now_s = (uint64_t)(clock_now_ns() / CLOCK_NS_PER_S);
	uint64_t second = second_of(deadline_ns, now_s);

	for (;;) {
		bool is_ours = (exact & SECOND) && exact >> SECOND_BITS == tag;
		bool is_free = (exact & SECOND) < now_s;

		if (second == 0 && (!is_ours || also)) {
			return;
		}
		if (also || (!is_ours && !is_free)) {
			add_to_others(end, second, now_s);
			return;
		}
		if (atomic_compare_exchange_weak(&end->exact, &exact, exact_word(tag, second))) {
			return;
		}
	}
}

int64_t slots_end(struct slots *slots, uint64_t hash)
{
	struct slots_end *end = &slots->ends[hash & slots->mask];
	uint64_t now_s = (uint64_t)(clock_now_ns() / CLOCK_NS_PER_S);
	uint64_t exact = atomic_load(&end->exact);
	uint64_t others = atomic_load(&end->others);
	int64_t result = CLOCK_NEVER;

	if ((exact & SECOND) && exact >> SECOND_BITS == tag_of(hash)) {
		result = (int64_t)(exact & SECOND) * CLOCK_NS_PER_S;
	}
	if ((others & SECOND) == 0 || others_last(others) < now_s) {
		return result;
	}
	for (uint64_t s = now_s; s < now_s + SECOND_BITS; s++) {
		if (others >> (s % SECOND_BITS) & 1) {
			int64_t at = (int64_t)s * CLOCK_NS_PER_S;

			return at < result ? at : result;
		}
	}
	return result;
}
