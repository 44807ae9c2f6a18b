#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>

#define ALIGNMENT alignof(max_align_t)

struct arena_block {
	struct arena_block *older;
	size_t size;
	alignas(max_align_t) char bytes[];
};

void *arena_alloc(struct arena *arena, size_t n)
{
	struct arena_block *block = arena->newest;
	size_t need;
	void *result;

	if (n > SIZE_MAX / 2) {
		return NULL;
	}
	need = (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	if (block == NULL || need > block->size - arena->used) {
		size_t size = need > ARENA_KEEP_BYTES ? need : ARENA_KEEP_BYTES;

		block = malloc(sizeof(*block) + size);
		if (block == NULL) {
			return NULL;
		}
		block->older = arena->newest;
		block->size = size;
		arena->newest = block;
		arena->used = 0;
	}
	result = block->bytes + arena->used;
	arena->used += need;
	return result;
}

void arena_reset(struct arena *arena)
{
	struct arena_block *keep = NULL;

	while (arena->newest) {
		struct arena_block *block = arena->newest;

		arena->newest = block->older;
		if (keep == NULL && block->size == ARENA_KEEP_BYTES) {
			keep = block;
			keep->older = NULL;
		} else {
			free(block);
		}
	}
	arena->newest = keep;
	arena->used = 0;
}

void arena_done(struct arena *arena)
{
	arena_reset(arena);
	free(arena->newest);
	arena->newest = NULL;
}
