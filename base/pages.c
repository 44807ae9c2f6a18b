#include "base/pages.h"

#include <stdint.h>
#include <sys/mman.h>

static void *map(size_t n)
{
	void *start = mmap(NULL, n, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return start == MAP_FAILED ? NULL : start;
}

static void *map_aligned(size_t n)
{
	char *start = n <= SIZE_MAX - PAGES_HUGE_BYTES ? map(n + PAGES_HUGE_BYTES) : NULL;
	size_t before;

	if (start == NULL) {
		return NULL;
	}
	before = -(uintptr_t)start % PAGES_HUGE_BYTES;
	if (before) {
		munmap(start, before);
	}
	munmap(start + before + n, PAGES_HUGE_BYTES - before);
	return start + before;
}

void *pages_map(size_t n, bool huge)
{
	void *start;

	if (!huge || n < PAGES_HUGE_BYTES) {
		return map(n);
	}
	start = map_aligned(n);
	if (start) {
		/* Where the system has none, ordinary pages do. */
		madvise(start, n, MADV_HUGEPAGE);
	}
	return start;
}

void pages_unmap(void *start, size_t n)
{
	munmap(start, n);
}

bool pages_release(void *start, size_t n)
{
	return madvise(start, n, MADV_DONTNEED) == 0;
}
