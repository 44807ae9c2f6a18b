/*
 * envelope.h - the bytes of one value in Redis: one segment or several.
 *
 * Everybody who can reach the Redis can write there: what comes back is
 * believed only where every byte is accounted for.  A segment's checksum covers
 * the deep key and the token of the value, so that a value under another's key,
 * or of another write, is refused.  It guards against accidents, not against a
 * forger, who can compute it.
 *
 * A value begins as one whole segment.  What is appended or prepended to it
 * later comes as a segment of its own behind, so that Redis need not read, and
 * nobody need fetch, what is there.
 *
 * A segment, little-endian on every host:
 *	 0  3  magic "TWR"
 *	 3  1  its kind
 *	 4  4  length of its bytes
 *	 8  8  XXH3 of bytes 0 to 7, the key, the token, the bytes (hash.h)
 *	16     the bytes
 *
 * Any thread; nothing allocates.
 */
#ifndef TOWER_LAYERS_ENVELOPE_H
#define TOWER_LAYERS_ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ENVELOPE_HEADER_BYTES 16

enum envelope_kind {
	ENVELOPE_WHOLE = '=',
	ENVELOPE_AFTER = '+',
	ENVELOPE_BEFORE = '-',
};

/* Whose value it is. */
struct envelope_name {
	const void *key;
	size_t n_key;
	uint64_t token;
};

enum envelope_status {
	ENVELOPE_OK,
	ENVELOPE_FOREIGN, /* not ours, or of another format */
	ENVELOPE_DAMAGED, /* wrong length or checksum, or made for another name */
};

/* The header that goes before the bytes. */
void envelope_encode(enum envelope_kind kind, const struct envelope_name *name, const void *bytes,
		     uint32_t n, uint8_t ret_header[ENVELOPE_HEADER_BYTES]);

/* Whether this is a value of `length` bytes in so many segments, all under this name. */
enum envelope_status envelope_check(const void *body, size_t n_body,
				    const struct envelope_name *name, uint32_t segments,
				    uint32_t length);

/* Whether these bytes are how a value begins. */
bool envelope_begins(const void *bytes, size_t n);

/* The value of a body that was checked: as many bytes as were checked for. */
void envelope_decode(const void *body, size_t n_body, char *ret_value);

#endif
