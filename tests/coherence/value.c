#include "tests/coherence/value.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define N_DIGITS 40
#define N_CHECKED (N_DIGITS + 8)

/* Of zlib, PHP and Python. */
static uint32_t crc32_of(const char *bytes, size_t n)
{
	static uint32_t table[256];
	uint32_t crc = UINT32_MAX;

	if (table[1] == 0) {
		for (uint32_t i = 0; i < 256; i++) {
			uint32_t entry = i;

			for (int bit = 0; bit < 8; bit++) {
				entry = entry & 1 ? entry >> 1 ^ 0xEDB88320U : entry >> 1;
			}
			table[i] = entry;
		}
	}
	while (n--) {
		crc = table[(crc ^ (unsigned char)*bytes++) & 0xff] ^ crc >> 8;
	}
	return ~crc;
}

void value_write(char *bytes, const struct value *value)
{
	char text[N_CHECKED + 1];

	snprintf(text, sizeof(text), "%04x%04x%012" PRIx64 "%016" PRIx64 "%04x",
		 value->key & 0xffff, value->writer & 0xffff,
		 value->count & UINT64_C(0xffffffffffff), value->start_ns, value->exptime & 0xffff);
	snprintf(text + N_DIGITS, sizeof(text) - N_DIGITS, "%08" PRIx32, crc32_of(text, N_DIGITS));
	memset(bytes, '.', VALUE_BYTES);
	memcpy(bytes, text, N_CHECKED);
}

/* Digits above 15 leave bits that no checksum has. */
static uint64_t number(const char *digits, size_t n)
{
	uint64_t result = 0;

	while (n--) {
		unsigned char c = (unsigned char)*digits++;

		result = result << 4 | (uint64_t)(c >= 'a' ? c - 'a' + 10 : c - '0');
	}
	return result;
}

bool value_read(const char *bytes, size_t n, struct value *ret)
{
	if (n != VALUE_BYTES || number(bytes + N_DIGITS, 8) != crc32_of(bytes, N_DIGITS)) {
		return false;
	}
	ret->key = (unsigned)number(bytes, 4);
	ret->writer = (unsigned)number(bytes + 4, 4);
	ret->count = number(bytes + 8, 12);
	ret->start_ns = number(bytes + 20, 16);
	ret->exptime = (unsigned)number(bytes + 36, 4);
	return true;
}
