/*
 * When keys end.  memcached does not tell a reader; but writers of the domain
 * say it here, so that a reader in another process does not keep a copy beyond
 * it.
 *
 * A slot remembers one key exactly (its tag and the second in which it ends).
 * Where several of its keys end, the others go into a mask of 64 bits: bit n
 * says that some key may end in a second that is n modulo 64.  A bit may stand
 * for nothing any more, which only makes copies end early, at the latest after
 * `last_s` never again.
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
static uint64_t exact_word(uint64_t tag, int64_t second)
{
	return tag << SECOND_BITS | ((uint64_t)second & SECOND);
}

static void add_to_mask(struct slots_end *end, int64_t second)
{
	int64_t last = atomic_load(&end->last_s);

	/* Before the bit: a reader that sees the bit must not think it over. */
	while (last < second && !atomic_compare_exchange_weak(&end->last_s, &last, second)) {
	}
	atomic_fetch_or(&end->mask, UINT64_C(1) << ((uint64_t)second % 64));
}

void slots_note_end(struct slots *slots, uint64_t hash, int64_t deadline_ns, bool also)
{
	struct slots_end *end = &slots->ends[hash & slots->mask];
	uint64_t tag = tag_of(hash);
	uint64_t exact = atomic_load(&end->exact);
	int64_t now_s = clock_now_ns() / CLOCK_NS_PER_S;
	int64_t second = deadline_ns == CLOCK_NEVER ? 0 : deadline_ns / CLOCK_NS_PER_S;

	if (second > (int64_t)SECOND) {
		second = 0;
	}
	for (;;) {
		bool is_ours = (exact & SECOND) && exact >> SECOND_BITS == tag;
		bool is_free = (int64_t)(exact & SECOND) < now_s;

		if (second == 0 && (!is_ours || also)) {
			return;
		}
		if (also || (!is_ours && !is_free)) {
			add_to_mask(end, second);
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
	int64_t now_s = clock_now_ns() / CLOCK_NS_PER_S;
	uint64_t exact = atomic_load(&end->exact);
	uint64_t mask = atomic_load(&end->mask);
	int64_t result = CLOCK_NEVER;

	if ((exact & SECOND) && exact >> SECOND_BITS == tag_of(hash)) {
		result = (int64_t)(exact & SECOND) * CLOCK_NS_PER_S;
	}
	if (mask == 0 || atomic_load(&end->last_s) < now_s) {
		return result;
	}
	for (int64_t s = now_s; s < now_s + 64; s++) {
		if (mask >> ((uint64_t)s % 64) & 1) {
			return s * CLOCK_NS_PER_S < result ? s * CLOCK_NS_PER_S : result;
		}
	}
	return result;
}
