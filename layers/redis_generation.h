/*
 * redis_generation.h - the number in every deep key that lets all values be
 * forgotten at once.
 *
 * It lies in Redis under <namespace><version>:generation and only grows.  Who
 * reads or writes assumes the number it knows and asks for the present one in
 * the same breath: where they differ, what was read is a miss and what was
 * written is written again.  Where there is none (an empty Redis, or one that
 * evicted it) it starts at a number made of the time, so that no old one comes
 * again while values made under it may still be there.
 *
 * Unclean: a forgetting failed, so the present generation may hold a value
 * that should be gone.  Nothing is read until a later generation was begun.
 *
 * Any thread.
 */
#ifndef TOWER_LAYERS_REDIS_GENERATION_H
#define TOWER_LAYERS_REDIS_GENERATION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "layers/redis.h"
#include "layers/redis_wire.h"

#define REDIS_GENERATION_KEY_MAX 192

struct redis_generation {
	char key[REDIS_GENERATION_KEY_MAX];
	_Atomic int64_t number; /* as last seen; 0: not known */
	struct redis_shared *shared;
	_Atomic int64_t renew_at_ns; /* when this process may clean again */
	int64_t renew_every_ns;
};

/* Another number than the one we know was seen; 0: there is none. */
void redis_generation_note(struct redis_generation *generation, int64_t number);

/* The present number into *ret_number, made if there is none. */
enum redis_wire_status redis_generation_learn(struct redis_generation *generation,
					      struct redis_wire *wire, int64_t deadline_ns,
					      int64_t *ret_number);

/* Begins a new one; what was unclean before the call is clean after it. */
enum redis_wire_status redis_generation_renew(struct redis_generation *generation,
					      struct redis_wire *wire, int64_t deadline_ns);

/* A forgetting failed. */
void redis_generation_soil(struct redis_generation *generation);

bool redis_generation_is_clean(const struct redis_generation *generation);

/*
 * Unclean, and this process has not cleaned within renew_every_ns: failures in
 * a row must not empty Redis again and again.  `claim`: the caller does it now.
 */
bool redis_generation_is_due(struct redis_generation *generation, bool claim);

#endif
