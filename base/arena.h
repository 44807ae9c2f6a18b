/*
 * arena.h - many small allocations that end together.
 *
 * Memory comes in blocks from malloc and goes back at arena_reset(), which
 * keeps one block of ARENA_KEEP_BYTES for the next round.  Not thread-safe.
 */
#ifndef TOWER_BASE_ARENA_H
#define TOWER_BASE_ARENA_H

#include <stdalign.h>
#include <stddef.h>

#define ARENA_KEEP_BYTES 16384

#define ARENA_ALIGNMENT alignof(max_align_t)

struct arena_block;

/* All zero is an empty arena. */
struct arena {
	struct arena_block *newest;
	char *next;  /* what of the newest block is free */
	size_t left; /* so many bytes */
};

/* The same, from a new block; for arena_alloc() alone. */
void *arena_alloc_more(struct arena *arena, size_t n);

/* n bytes, aligned for anything, or NULL where memory is out. */
static inline void *arena_alloc(struct arena *arena, size_t n)
{
	/* Where this wraps around it is less than n. */
	size_t need = (n + ARENA_ALIGNMENT - 1) / ARENA_ALIGNMENT * ARENA_ALIGNMENT;
	char *result = arena->next;

	if (need < n || need > arena->left) {
		return arena_alloc_more(arena, n);
	}
	arena->next += need;
	arena->left -= need;
	return result;
}

/* Everything given out is void; one block may be kept. */
void arena_reset(struct arena *arena);

/* As reset, and nothing is kept. */
void arena_done(struct arena *arena);

#endif
