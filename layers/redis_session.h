/*
 * redis_session.h - one operation of layer "redis" on one connection: its
 * deadline, the generation it assumes and the keys that follow from it.
 *
 * A session belongs to its thread; what is shared is the layer.
 */
#ifndef TOWER_LAYERS_REDIS_SESSION_H
#define TOWER_LAYERS_REDIS_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layers/redis.h"
#include "layers/redis_generation.h"
#include "layers/redis_pool.h"

#define REDIS_NAMESPACE_MAX 128 /* NUL included */
#define REDIS_PREFIX_MAX 256
#define REDIS_SERVER_MAX 512 /* NUL included */
#define REDIS_KEY_MAX (REDIS_PREFIX_MAX + REDIS_SERVER_MAX + LAYER_KEY_MAX + 2)

struct layer {
	struct redis_options options; /* its strings are not kept */
	char name_space[REDIS_NAMESPACE_MAX];
	struct redis_generation generation;
	struct redis_pool *pool;
	struct layer_counters **counters;
};

struct redis_session {
	struct layer *layer;
	struct redis_connection *connection;
	int64_t deadline_ns;
	int64_t generation;	       /* assumed */
	char prefix[REDIS_PREFIX_MAX]; /* of every key of this generation */
	size_t n_prefix;
};

/*
 * Takes a connection, learns the generation, and begins a new one where that is
 * needed and due.  `wait`: until the deadline for a free connection.  False:
 * Redis cannot be asked now, and redis_session_end() must not follow.
 */
bool redis_session_begin(struct redis_session *session, struct layer *layer, bool wait);

/* `status` is how it went. */
void redis_session_end(struct redis_session *session, enum redis_wire_status status);

/* Another generation from here on. */
void redis_session_assume(struct redis_session *session, int64_t generation);

/* Adds GET <generation> to the next exchange. */
void redis_session_ask_generation(const struct redis_session *session);

/* Whether the item can have a deep key. */
bool redis_session_can_name(const struct layer_key *key);

/* The deep key of an item that can have one, and its length. */
size_t redis_session_key(const struct redis_session *session, const struct layer_key *key,
			 char ret_key[REDIS_KEY_MAX]);

#endif
