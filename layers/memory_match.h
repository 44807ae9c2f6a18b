/*
 * memory_match.h - which words of a line have a key's tag, without a branch for each:
 * what a processor guesses wrong costs as much as all the comparing.
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

/* Bit 4 * i + g of the result stands for word 4 * g + i of the line. */
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

static inline uint32_t memory_matches(const _Atomic uint64_t *line, uint64_t tag)
{
	const __m128i tags = _mm_set1_epi16((short)tag);

	return memory_match_group(line, tags) | memory_match_group(line + MEMORY_MATCH_GROUP, tags)
							<< 1;
}

#else

static inline uint32_t memory_matches(const _Atomic uint64_t *line, uint64_t tag)
{
	uint32_t matches = 0;

	for (unsigned i = 0; i < MEMORY_INDEX_LINE; i++) {
		uint64_t word = atomic_load_explicit(&line[i], memory_order_relaxed);
		unsigned bit = i % MEMORY_MATCH_GROUP * MEMORY_MATCH_GROUP + i / MEMORY_MATCH_GROUP;

		matches |= (uint32_t)((word & MEMORY_WORD_TAG) == tag) << bit;
	}
	return matches;
}

#endif

/* Takes one match, of at least one, away; its word in the line. */
static inline _Atomic uint64_t *memory_match_take(_Atomic uint64_t *line, uint32_t *matches)
{
	size_t bit = (size_t)__builtin_ctz(*matches);

	*matches &= *matches - 1;
	return line + bit % MEMORY_MATCH_GROUP * MEMORY_MATCH_GROUP + bit / MEMORY_MATCH_GROUP;
}

#endif
