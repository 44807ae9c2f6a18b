#include "base/pages.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>

static void *map(size_t n)
{
	/* What cannot be read is not filled with pages though it is to be locked. */
	void *start = mmap(NULL, n, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (start == MAP_FAILED) {
		return NULL;
	}
	munlock(start, n);
	if (mprotect(start, n, PROT_READ | PROT_WRITE) != 0) {
		munmap(start, n);
		return NULL;
	}
	return start;
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
	int saved = errno;
	void *start = huge && n >= PAGES_HUGE_BYTES ? map_aligned(n) : map(n);

	if (start) {
		/* Where the system has none, ordinary pages do. */
		madvise(start, n, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	}
	errno = saved;
	return start;
}

void pages_no_huge(void *start, size_t n)
{
	int saved = errno;

	madvise(start, n, MADV_NOHUGEPAGE);
	errno = saved;
}

void pages_unmap(void *start, size_t n)
{
	munmap(start, n);
}

bool pages_release(void *start, size_t n)
{
	int saved = errno;
	bool gone = madvise(start, n, MADV_DONTNEED) == 0;

	errno = saved;
	return gone;
}
