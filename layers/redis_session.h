/*
 * redis_session.h - one operation of layer "redis" on one connection: its
 * deadline, and the generations that it assumes.
 *
 * A session belongs to its thread; what is shared is the layer.
 */
#ifndef TOWER_LAYERS_REDIS_SESSION_H
#define TOWER_LAYERS_REDIS_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layers/redis.h"
#include "layers/redis_place.h"
#include "layers/redis_pool.h"
#include "layers/redis_record.h"
#include "layers/redis_shared.h"

/* A mark that brings no value is gone after so long (its writer killed: after that of a value);
 * every record lives longer. */
#define REDIS_MARK_MS 5000

/* What was sent and not answered may happen for so long: core/slots.h waits as long. */
#define REDIS_DOUBT_MS 10000

/* At once in one process; untouched ones cost no memory. */
#define REDIS_WRITES_MAX 256

#define REDIS_REPLICAS_MAX 16

struct redis_write;  /* redis_write.h */
struct redis_absent; /* redis_absent.h */

struct layer {
	struct redis_options options; /* its strings are not kept */
	struct redis_store store;
	struct redis_shared *shared;
	struct redis_places places;
	struct redis_pool *pool;
	struct redis_pool *replicas[REDIS_REPLICAS_MAX];
	unsigned n_replicas;
	struct layer_counters **counters;
	_Atomic uint64_t process;    /* process_pack(); 0: not asked for yet */
	struct redis_write *writes;  /* REDIS_WRITES_MAX of them; owned */
	struct redis_absent *absent; /* owned; untouched parts cost no memory */
};

struct redis_session {
	struct layer *layer;
	struct redis_pool *pool;	     /* whose connection it is */
	struct redis_connection *connection; /* NULL: none is held */
	int64_t deadline_ns;
	uint64_t lease; /* of the connection */
};

/*
 * Whether the session has its connection still: a callback of the program, called
 * in between, may have jumped out of another call, which ends all of the thread's.
 */
bool redis_session_is_held(struct redis_session *session);

/*
 * Takes a connection, and marks what is unmarked if nobody else does.  `wait`:
 * until the deadline for a free connection.  False: Redis cannot be asked now,
 * and redis_session_end() must not follow.
 */
bool redis_session_begin(struct redis_session *session, struct layer *layer, bool wait);

/* The same of a replica, any that can be asked; marks nothing. */
bool redis_session_begin_replica(struct redis_session *session, struct layer *layer);

/* `status` is how it went. */
void redis_session_end(struct redis_session *session, enum redis_wire_status status);

/* The time that memcached took does not count against Redis, whose answer may lie there. */
void redis_session_allow_time(struct redis_session *session);

/* Where values of the key's memcached server lie; NULL where they cannot. */
struct redis_place *redis_session_place(struct layer *layer, const char *server);

/* What the domain knows of it, by the name that it has in Redis; NULL where there is no room. */
struct redis_server *redis_session_server(struct layer *layer, const char *server);

/*
 * The generation to assume: as known, or learned; where the server is unclean, a
 * new one is begun, by one process of the host each breaker_retry.  `writes`: the
 * caller is about to, and place->rule is not REDIS_RULE_FOREIGN afterwards.
 */
enum redis_wire_status redis_session_number(struct redis_session *session,
					    struct redis_place *place, bool writes,
					    uint64_t *ret_number);

/*
 * Adds the mark of a record to the next exchange; `found`: that answers what was there.
 * It ends by itself after `life_ms`.
 */
void redis_session_mark(struct redis_wire *wire, const struct redis_key *key, uint64_t token,
			int64_t life_ms, bool found);

/* The same where Redis is full, which answers a number; among several domains it leaves a mark. */
void redis_session_press(struct redis_session *session, struct redis_key *key, bool several,
			 uint64_t token);

/* Whether an error reply says that Redis is full. */
bool redis_reply_is_oom(const struct redis_wire_reply *reply);

/* Tells onlookers how much Redis has yet to hear of: after that may have changed. */
void redis_say_unmarked(const struct layer *layer);

/* This process, as the intents know it. */
uint64_t redis_process(struct layer *layer);

#endif
