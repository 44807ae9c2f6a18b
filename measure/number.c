#include "measure/number.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct unit {
	const char *name;
	double factor;
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The number at the beginning; *ret_rest is what is behind it. */
static bool leading_real(const char *text, double *ret, const char **ret_rest)
{
	double number = 0;
	double place = 1;
	const char *c = text;
	unsigned n_digits = 0;

	for (; is_digit(*c); c++, n_digits++) {
		number = 10 * number + (*c - '0');
	}
	if (*c == '.') {
		for (c++; is_digit(*c); c++, n_digits++) {
			place /= 10;
			number += place * (*c - '0');
		}
	}
	*ret = number;
	*ret_rest = c;
	return n_digits > 0;
}

bool number_real(const char *text, double min, double max, double *ret)
{
	const char *rest;
	double number;

	if (!leading_real(text, &number, &rest) || *rest || number < min || number > max) {
		return false;
	}
	*ret = number;
	return true;
}

bool number_share(const char *text, double *ret)
{
	const char *rest;
	double number;

	if (!leading_real(text, &number, &rest) || (*rest && strcmp(rest, "%") != 0)) {
		return false;
	}
	number /= *rest ? 100 : 1;
	if (number > 1) {
		return false;
	}
	*ret = number;
	return true;
}

bool number_count(const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
	static const char units[] = "KMG";
	uint64_t number = 0;
	const char *c = text;

	for (; is_digit(*c); c++) {
		if (__builtin_mul_overflow(number, 10, &number) ||
		    __builtin_add_overflow(number, (uint64_t)(*c - '0'), &number)) {
			return false;
		}
	}
	if (c == text) {
		return false;
	}
	if (*c) {
		const char *unit = strchr(units, *c);

		if (!unit || c[1] ||
		    __builtin_mul_overflow(number, UINT64_C(1) << (10 * (unit - units + 1)),
					   &number)) {
			return false;
		}
	}
	if (number < min || number > max) {
		return false;
	}
	*ret = number;
	return true;
}

bool number_port(const char *text, unsigned min, unsigned *ret)
{
	uint64_t port;

	if (strspn(text, "0123456789") != strlen(text) ||
	    !number_count(text, min, UINT16_MAX, &port)) {
		return false;
	}
	*ret = (unsigned)port;
	return true;
}

bool number_time_ns(const char *text, int64_t min_ns, int64_t max_ns, int64_t *ret)
{
	static const struct unit units[] = {
		{ "", 1e9 },   { "s", 1e9 },  { "ms", 1e6 },
		{ "us", 1e3 }, { "m", 6e10 }, { "h", 3.6e12 },
	};
	const char *rest;
	double number;

	if (!leading_real(text, &number, &rest)) {
		return false;
	}
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(units[i].name, rest) == 0) {
			number *= units[i].factor;
			if (number < (double)min_ns || number > (double)max_ns) {
				return false;
			}
			*ret = (int64_t)number;
			return true;
		}
	}
	return false;
}
