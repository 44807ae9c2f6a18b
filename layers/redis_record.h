/*
 * redis_record.h - what lies under a key's record in Redis: a line of text.
 *
 *	P<token>	pending: the token of the last writer that marked it.  If the body has a
 *			front of that token, the value is committed.
 *	V<token> <flags> <expires> <ends> <length> <segments> <sum>[ <committed>]
 *			a value; its bytes lie in the body under the same token
 *	C<until>	closed: there is no value, and one that was begun before then is none
 *
 * A body that was committed by itself, without a look at its record, begins with a front:
 * its own record (V…) and a newline.  A later mark has another token, so whoever reads
 * compares: what nobody compared when it was written.
 *
 * Tokens, flags and the sum are hexadecimal, the others decimal.  Times are
 * milliseconds since 1970, 0 never: `expires` is the program's expiry, `ends`
 * when Redis lets go of it.  The sum (XXH3) covers the line before it and the
 * record's key: what comes from Redis is believed only where it fits.  The last two
 * times are Redis' own, and only there where several domains write; Redis adds them.
 *
 * Any thread; nothing allocates.
 */
#ifndef TOWER_LAYERS_REDIS_RECORD_H
#define TOWER_LAYERS_REDIS_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REDIS_TOKEN_DIGITS 16
#define REDIS_RECORD_MAX 160 /* NUL included */

/* More appends than that and the value has no deep copy until it is stored anew. */
#define REDIS_SEGMENTS_MAX 4096

struct redis_record {
	uint64_t token;
	uint32_t flags;
	uint64_t expires_ms;
	uint64_t ends_ms;
	uint32_t length;
	uint32_t segments;
	uint64_t committed_ms; /* 0: it does not say */
	uint32_t front;	       /* bytes of the body before its segments */
};

/* The text of a mark, NUL behind; its length. */
size_t redis_record_pending(uint64_t token, char ret_text[REDIS_RECORD_MAX]);

/* The text of a value's record. */
size_t redis_record_value(const struct redis_record *record, const char *key, size_t n_key,
			  char ret_text[REDIS_RECORD_MAX]);

/* Whether the bytes are a value's record under this key. */
bool redis_record_parse(const char *bytes, size_t n, const char *key, size_t n_key,
			struct redis_record *ret_record);

/* Whether they are a mark; whose. */
bool redis_record_parse_pending(const char *bytes, size_t n, uint64_t *ret_token);

/* The front of a body. */
size_t redis_record_front(const struct redis_record *record, const char *key, size_t n_key,
			  char ret_text[REDIS_RECORD_MAX]);

/*
 * Whether a body that begins with these bytes (REDIS_RECORD_MAX of them do) has a front under
 * the record's key, and whether that is of the value that was marked with this token.
 */
bool redis_record_parse_front(const char *bytes, size_t n, const char *key, size_t n_key,
			      struct redis_record *ret_record);
bool redis_record_is_marked(const struct redis_record *record, uint64_t token);

/* Whether they are a closed record. */
bool redis_record_parse_closed(const char *bytes, size_t n, uint64_t *ret_until_ms);

/* A token that no other write has, of any process: 64 random bits.  Never 0. */
uint64_t redis_record_token(void);

/* In a child of fork: its tokens are its own. */
void redis_record_child(void);

#endif
