/*
 * redis_pool.h - the process's connections to one Redis, and when to use them.
 *
 * At most max_connections, made when first needed and kept.  Each belongs to
 * one thread between take and put.  A new one has said who it is (AUTH), is in
 * its database (SELECT) and knows which run of the server it talks to (INFO);
 * a connection cannot outlive its server, so that this never changes.
 *
 * The server's addresses are asked for once, by whoever connects first, and
 * kept: resolving a name has no deadline (use an address or a unix socket
 * where that matters), and a server that moves is found by a restart only.
 *
 * Failures are counted, logged when the state changes, and open the breaker.
 *
 * Any thread; no lock is held over the network.  The thread that uses a connection
 * is not cancelled meanwhile.
 */
#ifndef TOWER_LAYERS_REDIS_POOL_H
#define TOWER_LAYERS_REDIS_POOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "layers/redis.h"
#include "layers/redis_wire.h"

/* So much of a server's run id tells its runs apart; NUL included. */
#define REDIS_RUN_MAX 17

/* Redis takes no string above 512 MB. */
#define REDIS_ITEM_BYTES_MAX ((UINT64_C(512) << 20) - 4096)

struct redis_pool;

struct redis_connection {
	_Atomic(struct redis_wire *) wire; /* NULL: not connected; a forked child looks at it */
	char run[REDIS_RUN_MAX];
	bool in_use;
	bool is_probe;
	int cancel_state;	    /* of the thread that uses it, before */
	_Atomic(const void *) user; /* that thread; relaxed, it looks for itself */
};

/* NULL like redis_open(), which hands on its arguments. */
struct redis_pool *redis_pool_open(const struct redis_options *options,
				   struct layer_counters **counters, const char **ret_why);

/* No connection may be in use.  NULL in *pool afterwards. */
void redis_pool_close(struct redis_pool **pool);

/*
 * A connection ready for use, or NULL: the breaker is open, none is free (and
 * none became so until the deadline, where `wait`), or connecting failed.
 */
struct redis_connection *redis_pool_take(struct redis_pool *pool, bool wait, int64_t deadline_ns);

/* Gives it back; `status` is how it went: anything but REDIS_WIRE_OK closes it. */
void redis_pool_put(struct redis_pool *pool, struct redis_connection *connection,
		    enum redis_wire_status status);

/* As layer.h says: what the thread was using is closed and free again. */
void redis_pool_abandoned(struct redis_pool *pool);

/*
 * Around a fork, as layer.h says.  A child knows no connection any more: those
 * that were idle are freed, those in use only closed, because nobody knows in
 * what state the fork found them.
 */
void redis_pool_prepare(struct redis_pool *pool);
void redis_pool_parent(struct redis_pool *pool);
void redis_pool_child(struct redis_pool *pool);

#endif
