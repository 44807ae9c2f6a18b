/*
 * number.h - numbers as people write them in options.
 *
 * Each returns false, *ret untouched, where the text is anything else.  Any thread.
 */
#ifndef TOWER_MEASURE_NUMBER_H
#define TOWER_MEASURE_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

/* Digits with K, M or G (powers of 1024) behind them; min and max included. */
bool number_count(const char *text, uint64_t min, uint64_t max, uint64_t *ret);

/* Digits alone: the number of a port, min to 65535. */
bool number_port(const char *text, unsigned min, unsigned *ret);

/* 1.5, .5, 2; neither signs nor exponents. */
bool number_real(const char *text, double min, double max, double *ret);

/* "5%": 0.05; "0.05", too.  0 to 1. */
bool number_share(const char *text, double *ret);

/* 2s, 1.5s, 200ms, 50us, 1m, 1h; without a unit: seconds. */
bool number_time_ns(const char *text, int64_t min_ns, int64_t max_ns, int64_t *ret);

#endif
