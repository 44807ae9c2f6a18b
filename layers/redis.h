/*
 * redis.h - layer "redis": a deeper and larger tier behind memcached
 * (docs/DEEP-TIER.md).
 *
 * Per item Redis has a record and, beside it, a body (redis_place.h has the keys,
 * redis_record.h and envelope.h what lies under them).  A write *marks* the
 * record beside the call to memcached, which makes the value unreadable, and
 * *commits* after it has left its slot, without waiting (redis_write.h): only a
 * writer that was alone does, and the commit acts only while the record is
 * still its own mark, or counts only under it.  So the deep layer follows
 * memcached's order of writes although nothing tells it that order.
 *
 * With replicas, reads ask one of them at random, and the server itself where that
 * does not answer or is of another generation.  What a replica has may be as old as
 * replication is slow: such a hit is nobody's to keep (its slot is BUSY).
 *
 * No failure of Redis reaches the program.  Every operation has one deadline
 * over waiting for a connection, connect, write and read together; past it the
 * breaker opens (redis_breaker.h), for all processes of the domain.  A mark that
 * did not reach Redis leaves its key unmarked, or its server unclean
 * (redis_shared.h); nothing of those is read.  Everything of before is
 * unreachable once a new generation was begun (redis_place.h).
 *
 * Connections: at most max_connections per process, each used by one thread
 * at a time, never across a fork or after an error.  Own sockets with
 * MSG_NOSIGNAL and O_CLOEXEC; hiredis only parses.
 *
 * Needs Redis 6.2 or later, and leave to use AUTH, SELECT, INFO, GET, MGET, GETRANGE,
 * SET, UNLINK, TIME, SCRIPT LOAD, EVALSHA and, in scripts, APPEND, STRLEN, PEXPIRE, PERSIST,
 * HSET, HSETNX, HGETALL, HDEL.
 * All programs on one Redis should agree in max_item_bytes: a larger value than
 * a program's own is a failure to it.
 */
#ifndef TOWER_LAYERS_REDIS_H
#define TOWER_LAYERS_REDIS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layers/layer.h"

struct redis_shared; /* redis_shared.h */
struct redis_filter; /* redis_filter.h */

/* The Redis of a domain, for onlookers. */
struct redis_seen {
	_Atomic uint64_t
		unmarked;      /* keys that it has yet to hear of, and servers that are unclean */
	_Atomic uint64_t open; /* the breaker is: 1, or 0 */
	_Atomic uint64_t generation; /* the newest known of any server (redis_place.h); 0: none */
	_Atomic uint64_t several;    /* other domains write to the values of some server: 1, or 0 */
};

struct redis_options {
	const char *url;	   /* redis://[user:password@]host:port/db, unix:///path?db=N */
	const char *password_file; /* NULL or empty: the url's; first line without its newline */
	const char *login_url;	   /* whose user, password and database count; NULL: url's */
	const char *replicas;	   /* NULL or urls that reads may use, separated by commas */
	const char *name_space;	   /* put before every key */
	uint64_t version;
	int64_t ttl_ns; /* the most a value lives; 0: its own expiry only */
	int64_t connect_timeout_ns;
	int64_t timeout_ns;
	int64_t breaker_retry_ns;
	unsigned max_connections;
	uint64_t min_item_bytes; /* values outside are marked, not stored */
	uint64_t max_item_bytes;
	struct redis_seen *seen; /* kept up to date; NULL: nobody looks */
	bool marks_only;	 /* commits store nothing */
	bool several;		 /* other domains may write at any time */
	bool serial;		 /* a mark is waited for before memcached is called */
	bool looks_on;		 /* begins and changes no generation; for reading only */
	uint64_t heard_ms;	 /* how long a domain that says nothing is minded; 0: the default */
	const char *alias;	 /* redis_alias.h; NULL: none */
	struct redis_filter *filter; /* redis_filter_bytes() of the domain, zero at first; borrowed;
				      * NULL: none of its processes has it */
	bool outsider; /* not in the domain's table: reads and stores nothing, only marks */
};

extern const struct layer_ops redis_ops;

/* So many bytes that all processes of the domain share, zero at first. */
size_t redis_shared_bytes(void);

/* So many more, which need no memory before they are used. */
size_t redis_filter_bytes(void);

/* NULL, or why redis_open() would refuse the url or what it logs in with: a static sentence. */
const char *redis_why_no_login(const struct redis_options *options);

/*
 * NULL where the url is unusable (then *ret_why is a static sentence that says
 * what is wrong) or memory is out.  Does not connect.  Options are copied;
 * `shared` (redis_shared_bytes() of them, aligned to 64) and `counters` are
 * borrowed for the layer's life; the pointer that counters points at is
 * exchanged after a fork.
 */
struct layer *redis_open(const struct redis_options *options, void *shared,
			 struct layer_counters **counters, const char **ret_why);

/* A process (process_pack()) was found dead in the middle of a write; before its slot is free. */
void redis_abandon(void *shared, uint64_t process);

/* The same of a list of replicas: without users, passwords and databases, which are the url's. */
const char *redis_replicas_check(const char *urls);

/* Whether the url can be used; NULL, or a static sentence that says what is wrong. */
const char *redis_url_check(const char *url);

#endif
