#include "layers/redis_record.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"

size_t redis_record_pending(uint64_t token, char ret_text[REDIS_RECORD_MAX])
{
	return (size_t)snprintf(ret_text, REDIS_RECORD_MAX, "P%016" PRIx64, token);
}

static uint64_t sum_of(const char *text, size_t n, const char *key, size_t n_key)
{
	return hash_more(hash_bytes(text, n), key, n_key);
}

size_t redis_record_value(const struct redis_record *record, const char *key, size_t n_key,
			  char ret_text[REDIS_RECORD_MAX])
{
	int n = snprintf(ret_text, REDIS_RECORD_MAX,
			 "V%016" PRIx64 " %" PRIx32 " %" PRIu64 " %" PRIu64 " %" PRIu32 " %" PRIu32,
			 record->token, record->flags, record->expires_ms, record->ends_ms,
			 record->length, record->segments);

	return (size_t)n + (size_t)snprintf(ret_text + n, REDIS_RECORD_MAX - (size_t)n,
					    " %016" PRIx64,
					    sum_of(ret_text, (size_t)n, key, n_key));
}

bool redis_record_parse(const char *bytes, size_t n, const char *key, size_t n_key,
			struct redis_record *ret_record)
{
	struct redis_record record = { 0 };
	char text[REDIS_RECORD_MAX];
	char again[REDIS_RECORD_MAX];

	if (n == 0 || n >= sizeof(text) || bytes[0] != 'V') {
		return false;
	}
	memcpy(text, bytes, n);
	text[n] = '\0';
	if (sscanf(text,
		   "V%16" SCNx64 " %8" SCNx32 " %20" SCNu64 " %20" SCNu64 " %10" SCNu32
		   " %10" SCNu32,
		   &record.token, &record.flags, &record.expires_ms, &record.ends_ms,
		   &record.length, &record.segments) != 6 ||
	    record.segments == 0 || record.segments > REDIS_SEGMENTS_MAX) {
		return false;
	}
	/* The sum with it: what was written is the only text that says the same. */
	if (redis_record_value(&record, key, n_key, again) != n || memcmp(text, again, n) != 0) {
		return false;
	}
	*ret_record = record;
	return true;
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
