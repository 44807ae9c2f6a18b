/*
 * ghost.h - fingerprints of values that went, for as long as a given number
 * of others went after them.
 *
 * A table of buckets of eight words; a word holds 15 bits of a hash and, in 16
 * bits, when it was put there, counted in fingerprints.  The oldest of a full
 * bucket gives way.  A key is mistaken for another once in some thousand
 * times, which only means that a policy errs.
 *
 * The table is made when the first fingerprint comes, of the size asked for
 * then, and made anew, empty, where that has grown; where memory is out
 * nothing is remembered.  One thread at a time.
 */
#ifndef TOWER_LAYERS_GHOST_H
#define TOWER_LAYERS_GHOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ghost {
	uint32_t *words; /* NULL: none yet */
	size_t n_buckets;
	size_t n_buckets_max; /* 0: remembers nothing */
	size_t next_clean;    /* bucket */
	uint64_t n_put;
};

void ghost_open(struct ghost *ghost, size_t bytes_max);
void ghost_close(struct ghost *ghost);

/* Bytes of the table. */
size_t ghost_bytes(const struct ghost *ghost);

/* The bound on ghost_bytes() from now on; a larger table is forgotten. */
void ghost_limit(struct ghost *ghost, size_t bytes_max);

/* Remembers the hash; about `window` hashes are to be remembered. */
void ghost_put(struct ghost *ghost, uint64_t hash, uint64_t window);

/* Whether the hash is one of the last `window` put; it is forgotten. */
bool ghost_take(struct ghost *ghost, uint64_t hash, uint64_t window);

void ghost_clear(struct ghost *ghost);

#endif
