#include "cli/numbers.h"

#include <inttypes.h>
#include <stdio.h>

void numbers_bytes(char *ret, uint64_t n)
{
	static const char units[] = " KMGTPE";
	double scaled = (double)n;
	unsigned unit = 0;

	while (scaled >= 1024 && units[unit + 1]) {
		scaled /= 1024;
		unit++;
	}
	if (unit == 0) {
		snprintf(ret, NUMBERS_MAX, "%" PRIu64, n);
	} else {
		snprintf(ret, NUMBERS_MAX, "%.1f%c", scaled, units[unit]);
	}
}

void numbers_ns(char *ret, uint64_t ns)
{
	if (ns < 1000) {
		snprintf(ret, NUMBERS_MAX, "%" PRIu64 "ns", ns);
	} else if (ns < 1000000) {
		snprintf(ret, NUMBERS_MAX, "%.1fus", (double)ns / 1e3);
	} else if (ns < 1000000000) {
		snprintf(ret, NUMBERS_MAX, "%.1fms", (double)ns / 1e6);
	} else {
		snprintf(ret, NUMBERS_MAX, "%.1fs", (double)ns / 1e9);
	}
}

void numbers_short(char *ret, double n)
{
	static const char units[] = " kMGTPE";
	unsigned unit = 0;

	while (n >= 999.5 && units[unit + 1]) {
		n /= 1000;
		unit++;
	}
	/* A count below a thousand is whole. */
	if (n >= 99.95 || (unit == 0 && n == (double)(uint64_t)n)) {
		snprintf(ret, NUMBERS_MAX, "%.0f%.*s", n, unit > 0, &units[unit]);
	} else {
		snprintf(ret, NUMBERS_MAX, "%.1f%.*s", n, unit > 0, &units[unit]);
	}
}
