#include "base/pages.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

void *pages_reserve(uint64_t n_bytes)
{
	int before = errno;
	/* What cannot be read the kernel does not fill with pages though it is to be locked. */
	void *start =
		mmap(NULL, n_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (start == MAP_FAILED) {
		start = NULL;
	} else {
		munlock(start, n_bytes);
		if (mprotect(start, n_bytes, PROT_READ | PROT_WRITE) != 0) {
			munmap(start, n_bytes);
			start = NULL;
		}
	}
	errno = before;
	return start;
}
