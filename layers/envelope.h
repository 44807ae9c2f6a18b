/*
 * envelope.h - the bytes of one value in Redis.
 *
 * Everybody who can reach the Redis can write there: what comes back is
 * believed only where every byte is accounted for.  The checksum covers the
 * deep key too, so that a value under another's key is refused.  It guards
 * against accidents and old formats, not against a forger, who can compute it.
 *
 * Layout, little-endian on every host:
 *	 0  4  magic "TOWR"
 *	 4  2  format, ENVELOPE_FORMAT
 *	 6  2  zero
 *	 8  4  flags
 *	12  4  length of the value
 *	16  8  when the value ends, milliseconds since 1970; 0: never
 *	24  8  XXH3 of bytes 0 to 23, the key, the value (hash.h)
 *	32     the value
 *
 * Any thread; nothing allocates.
 */
#ifndef TOWER_LAYERS_ENVELOPE_H
#define TOWER_LAYERS_ENVELOPE_H

#include <stddef.h>
#include <stdint.h>

#define ENVELOPE_FORMAT 1
#define ENVELOPE_HEADER_BYTES 32

struct envelope {
	uint32_t flags;
	uint64_t expires_ms;  /* since 1970; 0: never */
	const uint8_t *value; /* borrowed */
	uint32_t n_value;
};

enum envelope_status {
	ENVELOPE_OK,
	ENVELOPE_FOREIGN, /* not ours, or of another format */
	ENVELOPE_DAMAGED, /* wrong length or checksum, or made for another key */
};

/* The header that goes before the value. */
void envelope_encode(const struct envelope *envelope, const void *key, size_t n_key,
		     uint8_t ret_header[ENVELOPE_HEADER_BYTES]);

/* ret_envelope->value points into `bytes`. */
enum envelope_status envelope_decode(const void *bytes, size_t n, const void *key, size_t n_key,
				     struct envelope *ret_envelope);

#endif
