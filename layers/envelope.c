#include "layers/envelope.h"

#include <string.h>

#include "base/hash.h"

static const uint8_t magic[3] = { 'T', 'W', 'R' };

enum offset {
	OFFSET_KIND = 3,
	OFFSET_LENGTH = 4,
	OFFSET_CHECKSUM = 8,
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

static uint64_t checksum(const uint8_t *header, const struct envelope_name *name, const void *bytes,
			 size_t n)
{
	uint64_t hash = hash_bytes(header, OFFSET_CHECKSUM);

	hash = hash_more(hash, name->key, name->n_key);
	return hash_more(hash_mix(hash, name->token), bytes, n);
}

void envelope_encode(enum envelope_kind kind, const struct envelope_name *name, const void *bytes,
		     uint32_t n, uint8_t ret_header[ENVELOPE_HEADER_BYTES])
{
	memcpy(ret_header, magic, sizeof(magic));
	ret_header[OFFSET_KIND] = (uint8_t)kind;
	put(ret_header + OFFSET_LENGTH, n, 4);
	put(ret_header + OFFSET_CHECKSUM, checksum(ret_header, name, bytes, n), 8);
}

bool envelope_begins(const void *bytes, size_t n)
{
	return n >= sizeof(magic) && memcmp(bytes, magic, sizeof(magic)) == 0;
}

static enum envelope_status check_one(const uint8_t *at, size_t n_left, bool is_first,
				      const struct envelope_name *name, size_t *ret_n)
{
	size_t n;

	if (n_left < ENVELOPE_HEADER_BYTES || !envelope_begins(at, n_left)) {
		return ENVELOPE_FOREIGN;
	}
	if (is_first ? at[OFFSET_KIND] != ENVELOPE_WHOLE
		     : at[OFFSET_KIND] != ENVELOPE_AFTER && at[OFFSET_KIND] != ENVELOPE_BEFORE) {
		return ENVELOPE_FOREIGN;
	}
	n = get(at + OFFSET_LENGTH, 4);
	if (n > n_left - ENVELOPE_HEADER_BYTES ||
	    get(at + OFFSET_CHECKSUM, 8) != checksum(at, name, at + ENVELOPE_HEADER_BYTES, n)) {
		return ENVELOPE_DAMAGED;
	}
	*ret_n = n;
	return ENVELOPE_OK;
}

enum envelope_status envelope_check(const void *body, size_t n_body,
				    const struct envelope_name *name, uint32_t segments,
				    uint32_t length)
{
	const uint8_t *at = body;
	const uint8_t *end = at + n_body;
	uint64_t sum = 0;

	for (uint32_t i = 0; i < segments; i++) {
		size_t n = 0;
		enum envelope_status status = check_one(at, (size_t)(end - at), i == 0, name, &n);

		if (status != ENVELOPE_OK) {
			return status;
		}
		sum += n;
		at += ENVELOPE_HEADER_BYTES + n;
	}
	return at == end && sum == length ? ENVELOPE_OK : ENVELOPE_DAMAGED;
}

void envelope_decode(const void *body, size_t n_body, char *ret_value)
{
	const uint8_t *begin = body;
	const uint8_t *end = begin + n_body;
	size_t before = 0;
	char *front;
	char *back;

	for (const uint8_t *at = begin; at < end;) {
		size_t n = get(at + OFFSET_LENGTH, 4);

		before += at[OFFSET_KIND] == ENVELOPE_BEFORE ? n : 0;
		at += ENVELOPE_HEADER_BYTES + n;
	}
	front = back = ret_value + before;
	for (const uint8_t *at = begin; at < end;) {
		size_t n = get(at + OFFSET_LENGTH, 4);

		if (at[OFFSET_KIND] == ENVELOPE_BEFORE) {
			front -= n;
			memcpy(front, at + ENVELOPE_HEADER_BYTES, n);
		} else {
			memcpy(back, at + ENVELOPE_HEADER_BYTES, n);
			back += n;
		}
		at += ENVELOPE_HEADER_BYTES + n;
	}
}
