/*
 * When keys end.  memcached does not tell a reader; but writers of the domain
 * say it here, so that a reader in another process does not keep a copy beyond
 * it.
 *
 * Two slots share a line of seven keys (a tag and the second in which each ends)
 * and one word for all that did not fit: the earliest and the latest second in
 * which one of those may end.  A key that the line does not name is one of them
 * as long as the latest has not passed.  Those that end soonest stay in the line,
 * so that the others matter as late as can be.  What is not exact only makes
 * copies end early.
 */
#include "core/slots_file.h"

#include "base/clock.h"
#include "base/likely.h"

#define SECOND_BITS 32

/*
 * memcached's clock ticks late under load, and an item lives until it ticks: so
 * long after its second a key is still taken for one that has just ended.
 */
#define LATE_S 5

#define SECOND ((UINT64_C(1) << SECOND_BITS) - 1)

/* The upper half of a word is a tag, or the earliest second; the lower a second, or the latest. */
static uint64_t upper(uint64_t word)
{
	return word >> SECOND_BITS;
}

static uint64_t lower(uint64_t word)
{
	return word & SECOND;
}

static uint64_t word_of(uint64_t above, uint64_t below)
{
	return above << SECOND_BITS | below;
}

/* Whether what ends in that second is over and forgotten. */
static bool is_over(uint64_t second, uint64_t now_s)
{
	return second + LATE_S < now_s;
}

/* What tells the keys of a line apart: the slot of the two, and the rest of the hash; not 0. */
static uint64_t tag_of(uint64_t hash)
{
	uint64_t tag = (upper(hash) * SLOTS_PER_ENDS + hash % SLOTS_PER_ENDS) & SECOND;

	return tag ? tag : 1;
}

static struct slots_ends *line_of(const struct slots *slots, size_t slot)
{
	return &slots->ends[slot / SLOTS_PER_ENDS];
}

static uint64_t now_second(void)
{
	return (uint64_t)(clock_now_ns() / CLOCK_NS_PER_S);
}

uint64_t slots_second(int64_t deadline_ns)
{
	if (deadline_ns == CLOCK_NEVER || deadline_ns / CLOCK_NS_PER_S > (int64_t)SECOND) {
		return 0;
	}
	return deadline_ns / CLOCK_NS_PER_S > 0 ? (uint64_t)(deadline_ns / CLOCK_NS_PER_S)
						: now_second();
}

static void add_to_others(struct slots_ends *line, uint64_t second, uint64_t now_s)
{
	uint64_t others = atomic_load(&line->others);
	uint64_t added;

	do {
		bool is_void = is_over(lower(others), now_s);
		uint64_t first = is_void || second < upper(others) ? second : upper(others);
		uint64_t last = is_void || second > lower(others) ? second : lower(others);

		added = word_of(first, last);
	} while (!atomic_compare_exchange_weak(&line->others, &others, added));
}

void slots_note_any_end(struct slots *slots, size_t slot, uint64_t second)
{
	if (second) {
		add_to_others(line_of(slots, slot), second, now_second());
	}
}

/* The key's own word, else one that is free, else that of the key that ends last. */
static _Atomic uint64_t *choose(struct slots_ends *line, uint64_t tag, uint64_t now_s,
				uint64_t *ret_word)
{
	_Atomic uint64_t *chosen = NULL;

	for (size_t i = 0; i < SLOTS_ENDS; i++) {
		uint64_t word = atomic_load(&line->keys[i]);

		if (upper(word) == tag) {
			*ret_word = word;
			return &line->keys[i];
		}
		if (chosen == NULL ||
		    (!is_over(lower(*ret_word), now_s) &&
		     (is_over(lower(word), now_s) || lower(word) > lower(*ret_word)))) {
			chosen = &line->keys[i];
			*ret_word = word;
		}
	}
	return chosen;
}

/* Most lines are: no key of their slots ever had an end. */
static bool is_empty(const struct slots_ends *line)
{
	uint64_t any = 0;

	for (size_t i = 0; i < SLOTS_ENDS; i++) {
		any |= atomic_load_explicit(&line->keys[i], memory_order_acquire);
	}
	return any == 0;
}

static int64_t end_of(uint64_t second)
{
	return second ? (int64_t)second * CLOCK_NS_PER_S : CLOCK_NEVER;
}

/* The key does not end any more.  The second in which it did, or 0. */
static uint64_t forget_end(struct slots_ends *line, uint64_t tag)
{
	uint64_t forgotten = 0;

	if (is_empty(line)) {
		return 0;
	}
	for (size_t i = 0; i < SLOTS_ENDS; i++) {
		uint64_t word = atomic_load_explicit(&line->keys[i], memory_order_acquire);

		while (unlikely(upper(word) == tag)) {
			if (atomic_compare_exchange_weak(&line->keys[i], &word, 0)) {
				forgotten = is_over(lower(word), now_second()) ? 0 : lower(word);
				break;
			}
		}
	}
	return forgotten;
}

int64_t slots_note_end(struct slots *slots, uint64_t hash, int64_t deadline_ns, bool also)
{
	struct slots_ends *line = line_of(slots, hash & slots->mask);
	uint64_t tag = tag_of(hash);
	uint64_t second = slots_second(deadline_ns);
	uint64_t now_s;

	if (second == 0) {
		return end_of(also ? 0 : forget_end(line, tag));
	}
	now_s = now_second();
	for (;;) {
		uint64_t before = 0;
		_Atomic uint64_t *at = choose(line, tag, now_s, &before);
		bool is_ours = upper(before) == tag;
		bool is_free = is_over(lower(before), now_s);
		uint64_t stays = second;

		if (also && (is_free || !is_ours)) {
			/* Its end so far may be among the others. */
			add_to_others(line, second, now_s);
			return CLOCK_NEVER;
		}
		if (also && lower(before) != second) {
			/* Either of them: the sooner one here, the other among the others. */
			stays = second < lower(before) ? second : lower(before);
			add_to_others(line, second + lower(before) - stays, now_s);
		} else if (!is_free && !is_ours) {
			if (second >= lower(before)) {
				add_to_others(line, second, now_s);
				return CLOCK_NEVER;
			}
			add_to_others(line, lower(before), now_s);
		}
		if (atomic_compare_exchange_strong(at, &before, word_of(tag, stays))) {
			return end_of(is_ours && !is_free && !also ? lower(before) : 0);
		}
	}
}

void slots_expect_end(const struct slots *slots, uint64_t hash)
{
	__builtin_prefetch(line_of(slots, hash & slots->mask));
}

int64_t slots_end(struct slots *slots, uint64_t hash)
{
	const struct slots_ends *line = line_of(slots, hash & slots->mask);
	uint64_t tag = tag_of(hash);
	uint64_t others;

	/* Most keys never end: the clock is asked only where there is something to compare. */
	for (size_t i = 0; i < SLOTS_ENDS; i++) {
		uint64_t word = atomic_load_explicit(&line->keys[i], memory_order_acquire);

		if (upper(word) == tag && !is_over(lower(word), now_second())) {
			return end_of(lower(word));
		}
	}
	others = atomic_load_explicit(&line->others, memory_order_acquire);
	if (others == 0 || is_over(lower(others), now_second())) {
		return CLOCK_NEVER;
	}
	return end_of(upper(others));
}
