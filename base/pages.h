/*
 * pages.h - memory straight from the kernel, for what goes back there in parts.
 *
 * Any thread may call anything here.
 */
#ifndef TOWER_BASE_PAGES_H
#define TOWER_BASE_PAGES_H

#include <stdint.h>

/*
 * Zeroed memory that costs nothing until it is written to, also in a program
 * that called mlockall(MCL_FUTURE).  NULL where there is none; munmap() frees it.
 */
void *pages_reserve(uint64_t n_bytes);

#endif
