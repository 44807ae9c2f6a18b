/*
 * redis.h - layer "redis": a deeper and larger tier behind memcached.
 *
 * A value lies under
 *	<namespace><version>:<generation>.<run>:{<server>}:<key on the wire>
 * as an envelope (layers/envelope.h) with a time to live of its own.  <run>
 * begins the run id of the Redis server: one that was restarted may have come
 * back with old values, and is another place.  This first protocol is simple:
 * a write has changed memcached before this layer hears of it, and before it
 * returns the key holds the new value (set, add, replace, cas that were done)
 * or nothing (all others, and every doubt).
 *
 * No failure of Redis reaches the program.  Every operation has one deadline
 * over waiting for a connection, connect, write and read together; after a
 * failure the breaker is open for breaker_retry_ns and operations fail at
 * once, then one probe goes through.  A write whose forgetting did not reach
 * Redis makes the layer unclean: it answers DOWN until a new generation has
 * been begun there (one INCR), so that no value from before can come back.
 * How unclean it is lies in memory that all processes of the domain share.
 *
 * What the simple protocol does not promise: two writes of one key at once may
 * reach Redis in another order than memcached; a writer killed between the two
 * leaves the old value; a master that was demoted and promoted again within
 * one run may hold old values.
 *
 * Connections: at most max_connections per process, each used by one thread
 * at a time, never across a fork or after an error.  Own sockets with
 * MSG_NOSIGNAL and O_CLOEXEC; hiredis only parses.
 *
 * Needs Redis 4 or later, and leave to use AUTH, SELECT, INFO, GET, MGET, SET,
 * UNLINK and INCR.  All programs on one Redis should agree in max_item_bytes: a
 * larger value than a program's own is a failure to it.
 */
#ifndef TOWER_LAYERS_REDIS_H
#define TOWER_LAYERS_REDIS_H

#include <stdatomic.h>
#include <stdint.h>

#include "layers/layer.h"

struct redis_options {
	const char *url;	   /* redis://[user:password@]host:port/db, unix:///path?db=N */
	const char *password_file; /* NULL or empty: the url's; first line without its newline */
	const char *name_space;	   /* put before every key */
	uint64_t version;
	int64_t ttl_ns; /* the most a value lives; 0: its own expiry only */
	int64_t connect_timeout_ns;
	int64_t timeout_ns;
	int64_t breaker_retry_ns;
	unsigned max_connections;
	uint64_t min_item_bytes; /* values outside are forgotten, not stored */
	uint64_t max_item_bytes;
};

/*
 * In memory shared by the domain; zero at first.  Both only grow, so that two
 * processes that clean at once can not take a third one's failure for cleaned.
 */
struct redis_shared {
	_Atomic uint64_t unclean; /* forgettings that did not reach Redis, ever */
	_Atomic uint64_t cleaned; /* so many of them were before the last new generation */
};

/* Forgettings that no new generation has made harmless yet; 0: the layer can be read. */
static inline uint64_t redis_unclean(const struct redis_shared *shared)
{
	uint64_t cleaned = atomic_load(&shared->cleaned);

	/* Loaded after the other: what fails in between is seen. */
	return atomic_load(&shared->unclean) - cleaned;
}

extern const struct layer_ops redis_ops;

/*
 * NULL where the url is unusable (then *ret_why is a static sentence that says
 * what is wrong) or memory is out.  Does not connect.  Options are copied;
 * `shared` and `counters` are borrowed for the layer's life; the pointer
 * that counters points at is exchanged after a fork.
 */
struct layer *redis_open(const struct redis_options *options, struct redis_shared *shared,
			 struct layer_counters **counters, const char **ret_why);

/* Whether the url can be used; NULL, or a static sentence that says what is wrong. */
const char *redis_url_check(const char *url);

#endif
