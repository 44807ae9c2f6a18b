/*
 * arena.h - many small allocations that end together.
 *
 * Memory comes in blocks from malloc and goes back at arena_reset(), which
 * keeps one block of ARENA_KEEP_BYTES for the next round.  Not thread-safe.
 */
#ifndef TOWER_BASE_ARENA_H
#define TOWER_BASE_ARENA_H

#include <stddef.h>

#define ARENA_KEEP_BYTES 16384

struct arena_block;

/* All zero is an empty arena. */
struct arena {
	struct arena_block *newest;
	size_t used; /* of the newest block */
};

/* n bytes, aligned for anything, or NULL where memory is out. */
void *arena_alloc(struct arena *arena, size_t n);

/* Everything given out is void; one block may be kept. */
void arena_reset(struct arena *arena);

/* As reset, and nothing is kept. */
void arena_done(struct arena *arena);

#endif
