/*
 * numbers.h - numbers as people like to read them: short, with a unit.
 *
 * Each writes at most NUMBERS_MAX bytes, NUL included, in ASCII.  Pure functions.
 */
#ifndef TOWER_CLI_NUMBERS_H
#define TOWER_CLI_NUMBERS_H

#include <stdint.h>

#define NUMBERS_MAX 24 /* holds any number */

/* "1536" is "1.5K": powers of 1024. */
void numbers_bytes(char *ret, uint64_t n);

/* "62ns", "1.2us", "4.0ms", "1.5s" */
void numbers_ns(char *ret, uint64_t ns);

/* "0", "0.4", "98.3", "512", "12.3k", "4.0M": powers of 1000, for what need not be exact. */
void numbers_short(char *ret, double n);

#endif
