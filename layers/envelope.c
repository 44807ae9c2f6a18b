#include "layers/envelope.h"

#include <string.h>

#include "base/hash.h"

static const uint8_t magic[4] = { 'T', 'O', 'W', 'R' };

enum offset {
	OFFSET_FORMAT = 4,
	OFFSET_ZERO = 6,
	OFFSET_FLAGS = 8,
	OFFSET_LENGTH = 12,
	OFFSET_EXPIRES = 16,
	OFFSET_CHECKSUM = 24,
};

static void put(uint8_t *at, uint64_t number, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		at[i] = (uint8_t)(number >> (8 * i));
	}
}

static uint64_t get(const uint8_t *at, unsigned n)
{
	uint64_t number = 0;

	for (unsigned i = 0; i < n; i++) {
		number |= (uint64_t)at[i] << (8 * i);
	}
	return number;
}

static uint64_t checksum(const uint8_t *header, const void *key, size_t n_key, const void *value,
			 size_t n_value)
{
	uint64_t hash = hash_bytes(header, OFFSET_CHECKSUM);

	hash = hash_more(hash, key, n_key);
	return hash_more(hash, value, n_value);
}

void envelope_encode(const struct envelope *envelope, const void *key, size_t n_key,
		     uint8_t ret_header[ENVELOPE_HEADER_BYTES])
{
	memcpy(ret_header, magic, sizeof(magic));
	put(ret_header + OFFSET_FORMAT, ENVELOPE_FORMAT, 2);
	put(ret_header + OFFSET_ZERO, 0, 2);
	put(ret_header + OFFSET_FLAGS, envelope->flags, 4);
	put(ret_header + OFFSET_LENGTH, envelope->n_value, 4);
	put(ret_header + OFFSET_EXPIRES, envelope->expires_ms, 8);
	put(ret_header + OFFSET_CHECKSUM,
	    checksum(ret_header, key, n_key, envelope->value, envelope->n_value), 8);
}

enum envelope_status envelope_decode(const void *bytes, size_t n, const void *key, size_t n_key,
				     struct envelope *ret_envelope)
{
	const uint8_t *header = bytes;
	size_t n_value;

	if (n < ENVELOPE_HEADER_BYTES || memcmp(header, magic, sizeof(magic)) != 0 ||
	    get(header + OFFSET_FORMAT, 2) != ENVELOPE_FORMAT ||
	    get(header + OFFSET_ZERO, 2) != 0) {
		return ENVELOPE_FOREIGN;
	}
	n_value = n - ENVELOPE_HEADER_BYTES;
	if (get(header + OFFSET_LENGTH, 4) != n_value ||
	    get(header + OFFSET_CHECKSUM, 8) !=
		    checksum(header, key, n_key, header + ENVELOPE_HEADER_BYTES, n_value)) {
		return ENVELOPE_DAMAGED;
	}
	ret_envelope->flags = (uint32_t)get(header + OFFSET_FLAGS, 4);
	ret_envelope->expires_ms = get(header + OFFSET_EXPIRES, 8);
	ret_envelope->value = header + ENVELOPE_HEADER_BYTES;
	ret_envelope->n_value = (uint32_t)n_value;
	return ENVELOPE_OK;
}
