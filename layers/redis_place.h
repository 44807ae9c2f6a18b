/*
 * redis_place.h - the values of one memcached server in Redis, and the
 * generation that all of them belong to.
 *
 * Keys, with the server's name as the hash tag:
 *	<namespace><version>:{<server>}:generation
 *	<namespace><version>:{<server>}:domains			who writes, and when it last said so
 *	<namespace><version>:{<server>}:<generation>:r:<key on the wire>	record
 *	<namespace><version>:{<server>}:<generation>:b:<key on the wire>	body
 *
 * The generation is a number that only grows; another one makes every value of
 * before unreachable at once.  In Redis it stands with the identity of the
 * Redis that it was begun on (run id, replication id, database): one that was
 * restarted, or failed over, may have come back with old values, and begins a
 * new one.  So does whoever finds a number below the highest that the domain
 * has seen.
 *
 * Beside the number stands who writes (redis_generation.h): one domain, which may
 * use the simple rule, or several (redis_write.h).  A domain that is about to
 * write and finds another's name sets "several" first, and from then on says now
 * and then that it is there.  Where nobody else was for `heard_ms`, a domain sets
 * its own name again.  So nothing that was learned longer ago than half of that
 * is assumed.
 *
 * Who reads or marks assumes a number and asks for the present one in the same
 * pipeline: where they differ, what was read is a miss and what was marked is
 * marked again.
 *
 * A place is found or made once, and kept until the layer is closed.  Any
 * thread.
 */
#ifndef TOWER_LAYERS_REDIS_PLACE_H
#define TOWER_LAYERS_REDIS_PLACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layers/layer.h"
#include "layers/redis_generation.h"
#include "layers/redis_pool.h"
#include "layers/redis_shared.h"

#define REDIS_NAMESPACE_MAX 128 /* NUL included */
#define REDIS_SERVER_MAX 512	/* NUL included */
#define REDIS_KEY_MAX (REDIS_NAMESPACE_MAX + REDIS_SERVER_MAX + LAYER_KEY_MAX + 64)
#define REDIS_PLACES 256

/* For so long a domain that was not heard of counts, by default. */
#define REDIS_HEARD_MS 300000

/* A number that no generation has: nothing is found under it. */
#define REDIS_NO_GENERATION UINT64_MAX

/* How this domain may write there. */
enum redis_rule {
	REDIS_RULE_ONE,	    /* it is the only one */
	REDIS_RULE_SEVERAL, /* one of several */
	REDIS_RULE_FOREIGN, /* another is the only one: first, that must be changed */
};

struct redis_place {
	const struct redis_places *places;
	struct redis_server *server; /* NULL: the domain has no room for it; never readable */
	_Atomic uint64_t number;     /* the generation as last seen; 0: not known */
	_Atomic uint32_t rule;	     /* with it, as last seen: enum redis_rule */
	/* When it was asked for, by clock_boot_ns(), and in the lowest bit whether no other domain
	 * had ever written under that number.  Only grows. */
	_Atomic uint64_t heard;
	uint64_t hash;
	size_t n_prefix;
	char prefix[]; /* <namespace><version>:{<server>}: */
};

/* Where all values of a process lie. */
struct redis_store {
	char name_space[REDIS_NAMESPACE_MAX];
	uint64_t version;
	uint64_t hash; /* of these two, of which Redis it is, and of the database */
};

struct redis_places {
	struct redis_seen *seen; /* kept up to date; borrowed, or NULL */
	struct redis_shared *shared;
	uint64_t domain; /* this one; REDIS_SEVERAL: it is to be one of several */
	uint64_t heard_ms;
	bool looks_on; /* begins and changes no generation */
	char *aliases; /* owned; NULL: none.  redis_alias.h */
	_Atomic(struct redis_place *) list[REDIS_PLACES];
};

/* Whether a server of this name can have one. */
bool redis_place_can_be(const char *server);

/* NULL where there is no memory or no room, or the name cannot be one. */
struct redis_place *redis_place_of(struct redis_places *places, const struct redis_store *store,
				   const char *server);

void redis_places_free(struct redis_places *places);

/* A deep key of a generation; the body's differs from the record's in one byte. */
struct redis_key {
	size_t n;
	size_t kind; /* where that byte is: 'r' or 'b' */
	char bytes[REDIS_KEY_MAX];
};

void redis_place_key(const struct redis_place *place, uint64_t number, const char *wire,
		     size_t n_wire, struct redis_key *ret_key);

/* Adds the names of record and body to a command. */
void redis_key_add_both(struct redis_wire *wire, struct redis_key *key);

/* Adds the name of the generation. */
void redis_place_name(const struct redis_place *place, struct redis_wire *wire);

/* Adds GET <generation> to the next exchange. */
void redis_place_ask(const struct redis_place *place, struct redis_wire *wire);

/* What its answer says. */
enum redis_place_answer {
	REDIS_PLACE_SAME,
	REDIS_PLACE_OTHER, /* another number, now assumed, or one that must be renewed (assumed: 0)
			    */
	REDIS_PLACE_NONSENSE,
};

/* `assumed` is the number that the pipeline was built with; *ret is what stands there. */
enum redis_place_answer redis_place_compare(struct redis_place *place,
					    struct redis_connection *connection, uint64_t assumed,
					    const struct redis_wire_reply *reply,
					    struct redis_generation *ret);

enum redis_rule redis_place_rule(const struct redis_place *place,
				 const struct redis_generation *generation);

/* Whether that answer, of a replica, names this number. */
bool redis_place_is_number(const struct redis_wire_reply *reply, uint64_t number);

/*
 * Whether everything that lies there now was written by this domain: as it was heard no longer ago
 * than what others write may go unnoticed (REDIS_ABSENT_NS).
 */
bool redis_place_is_ours(const struct redis_place *place);

/* Whether what is known of the generation is too old to be assumed. */
bool redis_place_is_forgotten(const struct redis_place *place);

enum redis_learning {
	REDIS_LEARN_TO_READ,
	REDIS_LEARN_TO_WRITE, /* no other domain may be the only one afterwards */
	REDIS_LEARN_TO_RENEW, /* the same, and it is to be a new one */
};

/*
 * Asks for the generation on this connection and says its number; a new one is
 * begun where there is none, where this is not the Redis that it was, or to
 * renew.  What was unclean before is clean after a new one.
 */
enum redis_wire_status redis_place_learn(struct redis_place *place,
					 struct redis_connection *connection,
					 enum redis_learning learning, int64_t deadline_ns,
					 uint64_t *ret_number);

/*
 * Before a write where several domains do: says that this one is here, unless it did
 * so lately; where none else was, it becomes the only one.
 */
enum redis_wire_status redis_place_attend(struct redis_place *place,
					  struct redis_connection *connection, int64_t deadline_ns);

#endif
