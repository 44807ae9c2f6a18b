/*
 * value.h - values that say what they are: key, writer, how many versions of
 * the key that writer had begun, when it began this one, and its expiry.
 *
 * Text, so that PHP and Python write the same: 40 hexadecimal digits, 8 of
 * their CRC-32, and dots up to VALUE_BYTES.
 */
#ifndef TOWER_TESTS_COHERENCE_VALUE_H
#define TOWER_TESTS_COHERENCE_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VALUE_BYTES 100

struct value {
	unsigned key;
	unsigned writer;
	uint64_t count;
	uint64_t start_ns;
	unsigned exptime; /* seconds, 0: none */
};

void value_write(char *bytes, const struct value *value);

/* False for anything that is not a whole value. */
bool value_read(const char *bytes, size_t n, struct value *ret);

#endif
