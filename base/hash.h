/*
 * hash.h - XXH3 (https://xxhash.com), the one hash of tower.
 *
 * Hashes of keys are part of what processes of one host agree on (the slot
 * table), so the seed is fixed and the function must not change without a new
 * format version of that table.
 */
#ifndef TOWER_BASE_HASH_H
#define TOWER_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* 64 bits over n bytes; bytes may be NULL where n is 0. */
uint64_t hash_bytes(const void *bytes, size_t n);

/* Continues a fingerprint with more bytes; the order matters. */
uint64_t hash_more(uint64_t before, const void *bytes, size_t n);

/* Two hashes into one (order matters); cheap. */
static inline uint64_t hash_mix(uint64_t a, uint64_t b)
{
	uint64_t x = a ^ (b + UINT64_C(0x9e3779b97f4a7c15) + (a << 6) + (a >> 2));

	x ^= x >> 32;
	x *= UINT64_C(0xd6e8feb86659fd93);
	return x ^ (x >> 32);
}

#endif
