/*
 * memory_match.h - which of a key's sixteen words have its tag, without a branch
 * for each: what a processor guesses wrong costs as much as all the comparing.
 *
 * The words are read without order: a match is a hint, and whoever follows it
 * loads the word as it should be.  A word that is missed because it is just being
 * changed is one that a reader could have come too early for.
 */
#ifndef TOWER_LAYERS_MEMORY_MATCH_H
#define TOWER_LAYERS_MEMORY_MATCH_H

#include <stdint.h>

#include "base/racy.h"
#include "layers/memory_index.h"

/* Bit 4 * i + g of the result stands for word 4 * g + i of the ways. */
#define MEMORY_MATCH_GROUP 4

#if defined(__SSE2__) && !defined(RACY_SANITIZED)

#include <emmintrin.h>

/* Four words, two to a register; of the eight lanes of two bytes the tag is in every fourth. */
static inline uint32_t memory_match_group(const _Atomic uint64_t *words, __m128i tag)
{
	const __m128i *pairs = (const __m128i *)(const void *)words;
	__m128i low = _mm_cmpeq_epi16(_mm_load_si128(pairs), tag);
	__m128i high = _mm_cmpeq_epi16(_mm_load_si128(pairs + 1), tag);

	return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(low, high)) & 0x1111;
}

static inline uint32_t memory_matches(const struct memory_ways *ways)
{
	const __m128i tag = _mm_set1_epi16((short)ways->tag);
	const unsigned half = MEMORY_MATCH_GROUP;

	return memory_match_group(ways->lines[0], tag) |
	       memory_match_group(ways->lines[0] + half, tag) << 1 |
	       memory_match_group(ways->lines[1], tag) << 2 |
	       memory_match_group(ways->lines[1] + half, tag) << 3;
}

#else

static inline uint32_t memory_matches(const struct memory_ways *ways)
{
	uint32_t matches = 0;

	for (unsigned i = 0; i < MEMORY_INDEX_WAYS; i++) {
		uint64_t word =
			atomic_load_explicit(memory_index_way(ways, i), memory_order_relaxed);
		unsigned bit = i % MEMORY_MATCH_GROUP * MEMORY_MATCH_GROUP + i / MEMORY_MATCH_GROUP;

		matches |= (uint32_t)((word & MEMORY_WORD_TAG) == ways->tag) << bit;
	}
	return matches;
}

#endif

/* Takes one match, of at least one, away; its word. */
static inline _Atomic uint64_t *memory_match_take(const struct memory_ways *ways, uint32_t *matches)
{
	size_t bit = (size_t)__builtin_ctz(*matches);
	size_t group = bit % MEMORY_MATCH_GROUP;

	*matches &= *matches - 1;
	return (group & 2 ? ways->lines[1] : ways->lines[0]) + group % 2 * MEMORY_MATCH_GROUP +
	       bit / MEMORY_MATCH_GROUP;
}

#endif
