/*
 * redis.h - layer "redis": a deeper and larger tier behind memcached.
 *
 * A value lies under
 *	<namespace><version>:<generation>:{<server>}:<key on the wire>
 * as an envelope (layers/envelope.h) with a time to live of its own.  This
 * first protocol is simple: a write has changed memcached before this layer
 * hears of it, and before it returns the key holds the new value (set, add,
 * replace, cas that were done) or nothing (all others, and every doubt).
 *
 * No failure of Redis reaches the program.  Every operation has one deadline
 * over connect, write and read together; after a failure the breaker is open
 * for breaker_retry_ns and operations fail at once, then one probe goes
 * through.  A write whose forgetting did not reach Redis makes the layer
 * unclean: it answers DOWN until a new generation has been begun there (one
 * INCR), so that no value from before can come back.  `unclean` lies in
 * memory that all processes of the domain share.
 *
 * Connections: at most max_connections per process, each used by one thread
 * at a time, never across a fork or after an error.  Own sockets with
 * MSG_NOSIGNAL and O_CLOEXEC; hiredis only formats and parses.
 */
#ifndef TOWER_LAYERS_REDIS_H
#define TOWER_LAYERS_REDIS_H

#include "layers/layer.h"

struct redis_options {
	const char *url;       /* redis://[user:password@]host:port/db, unix:///path?db=N */
	const char *password_file; /* NULL or empty: the url's; first line without its newline */
	const char *name_space;    /* put before every key */
	uint64_t version;
	int64_t ttl_ns; /* the most a value lives; 0: its own expiry only */
	int64_t connect_timeout_ns;
	int64_t timeout_ns;
	int64_t breaker_retry_ns;
	unsigned max_connections;
	uint64_t min_item_bytes; /* values outside are forgotten, not stored */
	uint64_t max_item_bytes;
};

/* In memory shared by the domain; zero at first. */
struct redis_shared {
	/* Forgettings that did not reach Redis and no new generation cured. */
	_Atomic uint64_t unclean;
};

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
