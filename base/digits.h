/*
 * digits.h - numbers as text, for what is written with every request, where
 * snprintf() would cost more than all the rest.
 *
 * Each writes at `at` without a NUL and returns where the text ends.  At most
 * DIGITS_MAX bytes.
 */
#ifndef TOWER_BASE_DIGITS_H
#define TOWER_BASE_DIGITS_H

#include <stdint.h>

#define DIGITS_MAX 20

/* Without leading zeros. */
static inline char *digits_decimal(char *at, uint64_t number)
{
	char reversed[DIGITS_MAX];
	unsigned n = 0;

	do {
		reversed[n++] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	while (n) {
		*at++ = reversed[--n];
	}
	return at;
}

/* Lower case; at least `n_min` digits (1 to 16). */
static inline char *digits_hex(char *at, uint64_t number, unsigned n_min)
{
	unsigned n = 16;

	while (n > n_min && number >> (4 * (n - 1)) == 0) {
		n--;
	}
	while (n) {
		*at++ = "0123456789abcdef"[number >> (4 * --n) & 15];
	}
	return at;
}

#endif
