/*
 * likely.h - which way a condition mostly goes, and what is to be in line, where the compiler
 * would guess wrong and a hit in memory would pay for it.
 */
#ifndef TOWER_BASE_LIKELY_H
#define TOWER_BASE_LIKELY_H

#define likely(condition) __builtin_expect(!!(condition), 1)
#define unlikely(condition) __builtin_expect(!!(condition), 0)

/* A hit is a few hundred instructions, of which calls would be a tenth. */
#define INLINE __attribute__((always_inline))
#define COLD __attribute__((noinline, cold))

#endif
