/*
 * redis_shared.h - what the processes of a domain share about their Redis: which
 * values there can no longer be trusted, and whether it answers at all.
 *
 * Lies in memory that the core gives (zero at first, beside the table of
 * slots), and outlives processes: everything here may be found as a killed
 * process left it.
 *
 * Intents.  Before a write enters its slot it notes its key here, and takes
 * the note away when it is over.  Where its mark did not reach Redis the note
 * stays as *unmarked*: what Redis holds of that key may be old, so nobody reads
 * it, and nobody's commit counts, until whoever reaches Redis next has marked
 * it.  The intents of a process that was killed become unmarked too.
 *
 * Unclean.  Where there is no room for that, the memcached server whose key it
 * was is unclean: nothing is read of it until a new generation (redis_place.h)
 * was begun after the failure.
 *
 * Any thread, any process; lock-free.
 */
#ifndef TOWER_LAYERS_REDIS_SHARED_H
#define TOWER_LAYERS_REDIS_SHARED_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layers/layer.h"
#include "layers/redis_breaker.h"

#define REDIS_BREAKERS_MAX 16
#define REDIS_SERVERS_MAX 256
#define REDIS_INTENTS_MAX 512
/* So many of them may be unmarked; the others stay free for writes in flight. */
#define REDIS_UNMARKED_MAX 256
#define REDIS_INTENT_BYTES 472

/* A memcached server, as far as its values in Redis are concerned. */
struct redis_server {
	_Atomic uint64_t name;	     /* hash of its name and of where its values lie; 0: free */
	_Atomic uint64_t unclean;    /* failures, ever */
	_Atomic uint64_t cleaned;    /* so many of them were before the last new generation */
	_Atomic uint64_t newest;     /* generation ever seen */
	_Atomic int64_t renew_at_ns; /* when somebody may begin a new generation next */
	_Atomic uint64_t flush_due;  /* a flush was announced that concerns it */
	_Atomic uint64_t several;    /* other domains write there, as last seen */
	_Atomic int64_t attended_ns; /* clock_boot_ns() when this one last said so itself */
};

struct redis_intent {
	/* Above: the process, or for an unmarked one a number that comes once; below: its state. */
	_Atomic uint64_t word;
	uint64_t hash;	/* of the key on the wire */
	uint64_t store; /* where its value would lie */
	uint16_t n_server;
	uint16_t n_wire;
	char bytes[REDIS_INTENT_BYTES]; /* the server's name, then the key on the wire */
};

/* A Redis, as far as it answers. */
struct redis_answering {
	_Atomic uint64_t store; /* redis_pool_hash(); 0: free */
	struct redis_breaker_state breaker;
};

struct redis_shared {
	_Atomic uint64_t domain; /* redis_shared_domain(); 0: nobody has asked */
	struct redis_answering answering[REDIS_BREAKERS_MAX];
	alignas(64) _Atomic uint64_t unmarked[REDIS_INTENTS_MAX / 64]; /* a bit per intent; may be
									* set where none is */
	_Atomic uint64_t sequence;
	_Atomic uint64_t bare; /* writes now under way without an intent */
	_Atomic int64_t remark_at_ns;
	_Atomic int64_t wall_ms; /* what wall time is ahead of clock.h, as last seen; 0: never */
	_Atomic int64_t reclaim_at_ns;
	struct redis_server servers[REDIS_SERVERS_MAX];
	alignas(64) struct redis_intent intents[REDIS_INTENTS_MAX];
};

/*
 * Which domain this is, everywhere: a random number that is made with the memory, so that
 * containers with one machine's id, and what comes after a table was removed, are others.
 */
uint64_t redis_shared_domain(struct redis_shared *shared);

/* --- servers --- */

/*
 * The entry of the server with this name, made if need be; NULL where there is
 * no room.  `store` tells apart the places where values lie: processes of one
 * domain may have different ones (another Redis, database, namespace, version).
 */
struct redis_server *redis_shared_server(struct redis_shared *shared, uint64_t store,
					 const char *name);

/* The breaker of that Redis; of more than there is room for, some share one. */
struct redis_breaker_state *redis_shared_breaker(struct redis_shared *shared, uint64_t store);

/* A failure that no list can hold; `server` NULL: of any server. */
void redis_shared_soil(struct redis_shared *shared, struct redis_server *server);

/* Failures that no new generation has made harmless yet; NULL: always one. */
uint64_t redis_server_unclean(const struct redis_server *server);

/* A new generation was begun after `unclean` had been read. */
void redis_server_cleaned(struct redis_server *server, uint64_t unclean);

/* Whether the caller may begin a new generation now: one process each `every_ns`. */
bool redis_server_may_renew(struct redis_server *server, int64_t every_ns);

/*
 * Expiries in Redis are wall time.  Where that was set back everything is unclean,
 * because what has ended would live again; small differences are followed.
 * True where it just was.
 */
bool redis_shared_watch_clock(struct redis_shared *shared);

/* --- intents --- */

/*
 * Notes a write of this process (process_pack()) that is about to enter its
 * slot.  NULL where there is no room; then redis_intent_end() still follows.
 */
struct redis_intent *redis_intent_begin(struct redis_shared *shared, uint64_t process,
					uint64_t store, const struct layer_key *key);

/*
 * The write is over.  `marked`: its mark reached Redis; else, before the slot is
 * left, the key becomes unmarked or its server unclean.
 */
void redis_intent_end(struct redis_shared *shared, struct redis_intent *intent, bool marked,
		      struct redis_server *server);

/* Whether Redis may hold an old value of the key; after the slot was looked at. */
bool redis_shared_is_unmarked(const struct redis_shared *shared, uint64_t hash);

/* How many keys are, at most. */
unsigned redis_shared_n_unmarked(const struct redis_shared *shared);

/* The process has died in the middle of a write; before its slot is free. */
void redis_shared_abandon(struct redis_shared *shared, uint64_t process);

/* A copy of one that is unmarked. */
struct redis_unmarked {
	struct redis_intent *intent;
	uint64_t word;
	uint16_t n_wire;
	char server[REDIS_INTENT_BYTES + 1];
	char wire[LAYER_KEY_MAX];
};

/*
 * The next unmarked key of that store from *cursor (0 at first) on, which moves
 * behind it; false: there is none.
 */
bool redis_shared_next_unmarked(struct redis_shared *shared, uint64_t store, unsigned *cursor,
				struct redis_unmarked *ret);

/* It was marked, by this process (process_pack()), since it was copied. */
void redis_shared_remarked(struct redis_shared *shared, uint64_t process,
			   const struct redis_unmarked *unmarked);

/*
 * Whether the caller shall mark what is unmarked now, and say when it is done: one
 * at a time, until done or for so long.
 */
bool redis_shared_may_remark(struct redis_shared *shared, int64_t for_ns);
void redis_shared_remark_done(struct redis_shared *shared);

#endif
