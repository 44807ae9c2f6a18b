#include "layers/redis_absent.h"

#include "base/hash.h"

/*
 * A word has of whom it is above (43 bits: of two that meet, one is missed), when it was
 * heard below, in units of 67 ms, which come again after 39 hours.
 */
#define TIME_BITS 21
#define TIME_MASK ((UINT64_C(1) << TIME_BITS) - 1)
#define UNIT_SHIFT 26

static uint64_t name_of(const struct layer_item *item)
{
	return hash_mix(hash_mix(item->key.hash, item->key.place), item->slot);
}

static uint64_t time_now(void)
{
	return ((uint64_t)clock_coarse_ns() >> UNIT_SHIFT) & TIME_MASK;
}

static bool is_fresh(uint64_t word, uint64_t now)
{
	return word != 0 && ((now - word) & TIME_MASK) <= (REDIS_ABSENT_NS >> UNIT_SHIFT);
}

void redis_absent_note(struct redis_absent *absent, const struct layer_item *item)
{
	uint64_t name = name_of(item);
	uint64_t now = time_now();
	_Atomic uint64_t *set = absent->words[name % REDIS_ABSENT_SETS];
	_Atomic uint64_t *at = &set[(name >> 32) % REDIS_ABSENT_WAYS];

	for (unsigned i = 0; i < REDIS_ABSENT_WAYS; i++) {
		uint64_t word = atomic_load_explicit(&set[i], memory_order_relaxed);

		if (!is_fresh(word, now) || (word & ~TIME_MASK) == (name & ~TIME_MASK)) {
			at = &set[i];
			break;
		}
	}
	atomic_store_explicit(at, (name & ~TIME_MASK) | now, memory_order_relaxed);
}

bool redis_absent_knows(const struct redis_absent *absent, const struct layer_item *item)
{
	uint64_t name = name_of(item);
	uint64_t now = time_now();
	const _Atomic uint64_t *set = absent->words[name % REDIS_ABSENT_SETS];

	for (unsigned i = 0; i < REDIS_ABSENT_WAYS; i++) {
		uint64_t word = atomic_load_explicit(&set[i], memory_order_relaxed);

		if ((word & ~TIME_MASK) == (name & ~TIME_MASK) && is_fresh(word, now)) {
			return true;
		}
	}
	return false;
}
