/*
 * pages.h - anonymous memory of a process, by pages.
 *
 * Large mappings ask for huge pages, so that what lies in them costs fewer
 * misses of the processor's address cache (Linux, admin-guide/mm/transhuge).
 */
#ifndef TOWER_BASE_PAGES_H
#define TOWER_BASE_PAGES_H

#include <stdbool.h>
#include <stddef.h>

/* Mappings of so many bytes and more are aligned to it and may use pages of this size. */
#define PAGES_HUGE_BYTES ((size_t)2 << 20)

/*
 * n bytes of zeros, for which no swap is reserved; NULL where there are none.
 * `huge` asks for huge pages: memory then comes and goes PAGES_HUGE_BYTES at a
 * time.
 */
void *pages_map(size_t n, bool huge);

/* n is that of pages_map(). */
void pages_unmap(void *start, size_t n);

/*
 * Gives memory back; it reads as zeros from then on.  False where it does not go
 * (the program locked it, mlockall(2)): then it is as it was.
 */
bool pages_release(void *start, size_t n);

#endif
