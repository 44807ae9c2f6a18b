/*
 * redis_pool.h - the process's connections to one Redis, and when to use them.
 *
 * At most max_connections, made when first needed and kept.  Each belongs to
 * one thread between take and put, and is then greeted and looked at (redis_greeting.h).
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

#include "base/clock.h"
#include "layers/redis.h"
#include "layers/redis_breaker.h"
#include "layers/redis_generation.h"
#include "layers/redis_scripts.h"
#include "layers/redis_shared.h"
#include "layers/redis_wire.h"

/* Redis takes no string above 512 MB. */
#define REDIS_ITEM_BYTES_MAX ((UINT64_C(512) << 20) - 4096)

struct redis_pool;

struct redis_connection {
	_Atomic(struct redis_wire *) wire; /* NULL: not connected; a forked child looks at it */
	struct redis_identity identity;
	struct redis_generation heard; /* on it, the last time: mostly it is the same again */
	struct redis_scripts scripts;
	int64_t taken_ns;   /* by its user, by clock_boot_ns(): before anything was asked */
	int64_t checked_ns; /* when the identity was last known to be right */
	bool knows_scripts;
	bool keeps_marks; /* by its eviction policy */
	bool in_use;
	bool is_probe;
	bool is_cut;	  /* by a fork inside its user's call: that it ends says nothing of Redis */
	int cancel_state; /* of the thread that uses it, before */
	uint64_t lease;	  /* changes whenever it is taken; of its user */
	_Atomic(const void *) user; /* that thread; relaxed, it looks for itself */
};

/* NULL like redis_open(), which hands on its arguments; `shared` is borrowed. */
struct redis_pool *redis_pool_open(const struct redis_options *options, struct redis_shared *shared,
				   struct layer_counters **counters, const char **ret_why);

/* Of which Redis and database it is: the same in all processes. */
uint64_t redis_pool_hash(const struct redis_pool *pool);

/* No connection may be in use.  NULL in *pool afterwards. */
void redis_pool_close(struct redis_pool **pool);

/* Switched off, it gives no connection; every call says so, or not. */
void redis_pool_set_off(struct redis_pool *pool, bool off);

/*
 * A connection ready for use, or NULL: it is off, the breaker is open, none is free (and
 * none became so until the deadline, where `wait`), or connecting failed.
 */
struct redis_connection *redis_pool_take(struct redis_pool *pool, bool wait, int64_t deadline_ns);

/*
 * Whether the server's eviction policy, as last seen on the connection, lets go of what is
 * oldest first, or of nothing: else a mark may be gone a moment after it was made.  Where
 * it is not, one line of the log says so.
 */
bool redis_pool_keeps_marks(struct redis_pool *pool, const struct redis_connection *connection);

/* Whether this thread has the connection as it was taken with this lease. */
bool redis_pool_holds(const struct redis_connection *connection, uint64_t lease);

/*
 * While it waits for somebody else than Redis the thread can be cancelled as the
 * program wants it, and then begins to use the connection again.
 */
void redis_pool_pause(struct redis_connection *connection);
void redis_pool_resume(struct redis_connection *connection);

/* Gives it back; `status` is how it went: anything but REDIS_WIRE_OK closes it. */
void redis_pool_put(struct redis_pool *pool, struct redis_connection *connection,
		    enum redis_wire_status status);

/* As layer.h says: what the thread was using is closed and free again. */
void redis_pool_abandoned(struct redis_pool *pool);

/*
 * Around a fork, as layer.h says.  A child knows no connection any more: those that were
 * idle are freed, those of other threads only closed, because nobody knows in what state the
 * fork found them.  One that the forking thread itself uses, in a call that a handler has
 * interrupted, is closed, and given back by that call.
 */
void redis_pool_prepare(struct redis_pool *pool);
void redis_pool_parent(struct redis_pool *pool);
void redis_pool_child(struct redis_pool *pool);

#endif
