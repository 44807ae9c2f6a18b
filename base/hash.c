#include "base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/* "tower"; part of the slot table's format. */
#define SEED UINT64_C(0x746f776572)

uint64_t hash_bytes(const void *bytes, size_t n)
{
	return XXH3_64bits_withSeed(n ? bytes : "", n, SEED);
}

uint64_t hash_more(uint64_t before, const void *bytes, size_t n)
{
	return hash_mix(before, hash_bytes(bytes, n));
}
