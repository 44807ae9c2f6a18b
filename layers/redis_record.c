#include "layers/redis_record.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digits.h"
#include "base/fault.h"
#include "base/hash.h"

/* Milliseconds since 1970, for a long time. */
#define REDIS_TIME_DIGITS 14

size_t redis_record_pending(uint64_t token, char ret_text[REDIS_RECORD_MAX])
{
	char *at = ret_text;

	*at++ = 'P';
	at = digits_hex(at, token, REDIS_TOKEN_DIGITS);
	*at = '\0';
	return (size_t)(at - ret_text);
}

static uint64_t sum_of(const char *text, size_t n, const char *key, size_t n_key)
{
	return hash_more(hash_bytes(text, n), key, n_key);
}

size_t redis_record_value(const struct redis_record *record, const char *key, size_t n_key,
			  char ret_text[REDIS_RECORD_MAX])
{
	const uint64_t decimals[] = { record->expires_ms, record->ends_ms, record->length,
				      record->segments };
	char *at = ret_text;
	uint64_t sum;

	*at++ = 'V';
	at = digits_hex(at, record->token, REDIS_TOKEN_DIGITS);
	*at++ = ' ';
	at = digits_hex(at, record->flags, 1);
	for (size_t i = 0; i < sizeof(decimals) / sizeof(*decimals); i++) {
		*at++ = ' ';
		at = digits_decimal(at, decimals[i]);
	}
	sum = sum_of(ret_text, (size_t)(at - ret_text), key, n_key);
	*at++ = ' ';
	at = digits_hex(at, sum, REDIS_TOKEN_DIGITS);
	*at = '\0';
	return (size_t)(at - ret_text);
}

/* A number up to the blank behind it; *at moves behind that.  False where there is none. */
static bool read_number(const char **at, const char *end, unsigned base, uint64_t *ret)
{
	uint64_t number = 0;
	const char *p = *at;

	for (; p < end && *p != ' '; p++) {
		unsigned digit = (unsigned)(unsigned char)*p - '0';

		if (digit > 9) {
			digit = (unsigned)(unsigned char)*p - 'a' + 10;
			if (digit < 10 || digit >= base) {
				return false;
			}
		}
		number = number * base + digit;
	}
	if (p == *at || p == end) {
		return false;
	}
	*at = p + 1;
	*ret = number;
	return true;
}

bool redis_record_parse_pending(const char *bytes, size_t n, uint64_t *ret_token)
{
	char digits[REDIS_TOKEN_DIGITS + 1];
	const char *at = digits;
	uint64_t token;

	if (n != 1 + REDIS_TOKEN_DIGITS || bytes[0] != 'P') {
		return false;
	}
	memcpy(digits, bytes + 1, REDIS_TOKEN_DIGITS);
	digits[REDIS_TOKEN_DIGITS] = ' ';
	if (!read_number(&at, digits + sizeof(digits), 16, &token) ||
	    at != digits + sizeof(digits)) {
		return false;
	}
	*ret_token = token;
	return true;
}

static bool read_time(const char *at, const char *end, uint64_t *ret_ms)
{
	uint64_t number = 0;

	if (at == end || end - at > REDIS_TIME_DIGITS) {
		return false;
	}
	for (; at < end; at++) {
		if (*at < '0' || *at > '9') {
			return false;
		}
		number = number * 10 + (uint64_t)(*at - '0');
	}
	*ret_ms = number;
	return true;
}

bool redis_record_parse_closed(const char *bytes, size_t n, uint64_t *ret_until_ms)
{
	return n > 0 && bytes[0] == 'C' && read_time(bytes + 1, bytes + n, ret_until_ms);
}

/* What Redis has added behind the sum; how many bytes are before that. */
static size_t take_committed(const char *bytes, size_t n, uint64_t *ret_ms)
{
	const char *blank = memrchr(bytes, ' ', n);

	/* A sum has more digits than any time. */
	return blank && read_time(blank + 1, bytes + n, ret_ms) ? (size_t)(blank - bytes) : n;
}

bool redis_record_parse(const char *bytes, size_t n, const char *key, size_t n_key,
			struct redis_record *ret_record)
{
	static const unsigned bases[] = { 16, 16, 10, 10, 10, 10 };
	uint64_t numbers[sizeof(bases) / sizeof(*bases)];
	const char *at = bytes + 1;
	char again[REDIS_RECORD_MAX];
	uint64_t committed_ms = 0;
	struct redis_record record;

	if (n == 0 || n >= REDIS_RECORD_MAX || bytes[0] != 'V') {
		return false;
	}
	n = take_committed(bytes, n, &committed_ms);
	for (size_t i = 0; i < sizeof(bases) / sizeof(*bases); i++) {
		if (!read_number(&at, bytes + n, bases[i], &numbers[i])) {
			return false;
		}
	}
	record = (struct redis_record){ .token = numbers[0],
					.flags = (uint32_t)numbers[1],
					.expires_ms = numbers[2],
					.ends_ms = numbers[3],
					.length = (uint32_t)numbers[4],
					.segments = (uint32_t)numbers[5],
					.committed_ms = committed_ms };
	if (record.segments == 0 || record.segments > REDIS_SEGMENTS_MAX) {
		return false;
	}
	/* The sum with it: what was written is the only text that says the same. */
	if (redis_record_value(&record, key, n_key, again) != n || memcmp(bytes, again, n) != 0) {
		return false;
	}
	*ret_record = record;
	return true;
}

size_t redis_record_front(const struct redis_record *record, const char *key, size_t n_key,
			  char ret_text[REDIS_RECORD_MAX])
{
	size_t n = redis_record_value(record, key, n_key, ret_text);

	ret_text[n++] = '\n';
	ret_text[n] = '\0';
	return n;
}

bool redis_record_parse_front(const char *bytes, size_t n, const char *key, size_t n_key,
			      struct redis_record *ret_record)
{
	const char *end = memchr(bytes, '\n', n < REDIS_RECORD_MAX ? n : REDIS_RECORD_MAX);

	if (end == NULL ||
	    !redis_record_parse(bytes, (size_t)(end - bytes), key, n_key, ret_record)) {
		return false;
	}
	ret_record->front = (uint32_t)(end - bytes) + 1;
	return true;
}

bool redis_record_is_marked(const struct redis_record *record, uint64_t token)
{
	return record->token == token || fault_planted(FAULT_body_of_another);
}

/* --- tokens --- */

static _Atomic uint64_t seed; /* 0: not chosen yet in this process */
static _Atomic uint64_t n_tokens;

static uint64_t choose_seed(void)
{
	uint64_t chosen = 0;
	uint64_t none = 0;

	if (getrandom(&chosen, sizeof(chosen), GRND_NONBLOCK) != (ssize_t)sizeof(chosen)) {
		chosen = hash_mix((uint64_t)clock_now_ns(), (uint64_t)getpid());
	}
	chosen |= 1;
	return atomic_compare_exchange_strong(&seed, &none, chosen) ? chosen : none;
}

uint64_t redis_record_token(void)
{
	uint64_t from = atomic_load_explicit(&seed, memory_order_relaxed);
	uint64_t token;

	if (from == 0) {
		from = choose_seed();
	}
	/* Relaxed: only that no number comes twice matters. */
	token = hash_mix(from, atomic_fetch_add_explicit(&n_tokens, 1, memory_order_relaxed));
	return token ? token : 1;
}

void redis_record_child(void)
{
	atomic_store(&seed, 0);
}
