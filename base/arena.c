#include "base/arena.h"

#include <stdint.h>
#include <stdlib.h>

struct arena_block {
	struct arena_block *older;
	size_t size;
	alignas(max_align_t) char bytes[];
};

static void use(struct arena *arena, struct arena_block *block)
{
	arena->newest = block;
	arena->next = block ? block->bytes : NULL;
	arena->left = block ? block->size : 0;
}

void *arena_alloc_more(struct arena *arena, size_t n)
{
	struct arena_block *block;
	size_t size;

	if (n > SIZE_MAX / 2) {
		return NULL;
	}
	size = (n + ARENA_ALIGNMENT - 1) / ARENA_ALIGNMENT * ARENA_ALIGNMENT;
	size = size > ARENA_KEEP_BYTES ? size : ARENA_KEEP_BYTES;
	block = malloc(sizeof(*block) + size);
	if (block == NULL) {
		return NULL;
	}
	block->older = arena->newest;
	block->size = size;
	use(arena, block);
	return arena_alloc(arena, n);
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
	use(arena, keep);
}

void arena_done(struct arena *arena)
{
	arena_reset(arena);
	free(arena->newest);
	use(arena, NULL);
}
