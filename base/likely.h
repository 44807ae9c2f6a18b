/*
 * likely.h - which way a condition mostly goes, where the compiler would guess wrong and a
 * hit in memory would pay for it.
 */
#ifndef TOWER_BASE_LIKELY_H
#define TOWER_BASE_LIKELY_H

#define likely(condition) __builtin_expect(!!(condition), 1)
#define unlikely(condition) __builtin_expect(!!(condition), 0)

#endif
