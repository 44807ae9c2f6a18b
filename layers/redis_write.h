/*
 * redis_write.h - a write as layer "redis" takes part in it: announce, mark,
 * marked, recall, commit of layer.h, and look.
 *
 *	announce	notes the key among the intents (redis_shared.h)
 *	mark		SET record P<token> PX … GET, beside GET generation: sent
 *	marked		what was there is known, or the key is unmarked
 *	leaving		where the call took so long that the mark may be gone: marks again
 *	commit		sent and not waited for, only by a writer that was alone in its slot:
 *			a body that says whose it is, which counts only under this
 *			writer's mark; or a script, acting only while the record is
 *			that mark, and the generation what the mark saw
 *
 * That is the simple rule: whoever else writes is in the same table of slots.  Its mark
 * comes before the question who writes: where the answer is "this domain alone", every
 * mark of another domain comes later, and takes the body's record from it.
 *
 * Where several domains write (redis_place.h), a commit is a script, and also needs a mark
 * that was *clean*: redis_clean.c.
 *
 * What the commit does is decided in redis_commit.c alone.
 */
#ifndef TOWER_LAYERS_REDIS_WRITE_H
#define TOWER_LAYERS_REDIS_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "layers/layer.h"
#include "layers/redis_session.h"

/* What a mark tells of other domains' writes. */
struct redis_clean {
	uint64_t time_ms;  /* TIME beside the mark; 0: nobody asked */
	uint64_t since_ms; /* what is newer may have happened since the call began */
	uint64_t found_ms; /* when what it found was committed, or until when it is closed */
	bool open;	   /* it found another's mark, or what nobody of us wrote */
	bool simple;	   /* it found a value committed under the simple rule, when is not known */
};

/* Which command of a mark, or a look, asks what; REDIS_NOT_ASKED: none. */
struct redis_asked {
	uint8_t place;
	uint8_t time;
	uint8_t front; /* of the body under the mark that is found */
};

#define REDIS_NOT_ASKED UINT8_MAX

/*
 * One of the layer's: stacks of threads can be small, and a thread that jumps out
 * of a call must not jump out of malloc().
 */
struct redis_write {
	_Atomic(const void *) user; /* the thread, NULL: free; relaxed where it looks for itself */
	const struct layer_write *on_stack;
	struct redis_place *place;
	struct redis_intent *intent;
	struct redis_session session;
	uint64_t number; /* the generation assumed */
	uint64_t token;
	int64_t began_ns; /* the call, by clock_boot_ns() */
	bool several;	  /* domains write there, as the mark saw it */
	bool late;	  /* it was marked again, for having taken long */
	bool stays;	  /* its mark lives as long as the value */
	struct redis_asked asked;
	bool received; /* the answer to the mark, or that there is none */
	struct redis_clean clean;
	bool trusted; /* no earlier mark of the key had failed when the slot was entered */
	bool sent;
	bool over;	  /* the intent is */
	bool bare;	  /* there was no room for one */
	bool marked;	  /* the record is this writer's, or gone */
	bool has_token;	  /* the record is this writer's */
	uint64_t pending; /* whose mark was found there; 0: none */
	bool has_found;	  /* there was a value, with these words */
	struct redis_record found;
	struct redis_generation generation; /* as the mark saw it; where it is marked */
	struct redis_key key;
};

/* NULL: no value of this key can be in Redis, or too many writes are under way. */
static inline struct redis_write *redis_write_of(const struct layer_write *write)
{
	return (struct redis_write *)(void *)write->mark;
}

/* --- redis_clean.c --- */

/* A call that has taken longer finds its mark gone before it has ended. */
#define REDIS_LATE_NS (REDIS_MARK_MS * CLOCK_NS_PER_MS / 2)

/* The reply to TIME, and to what asks for the record before it is marked; false: it is no such. */
bool redis_clean_take_time(struct redis_clean *clean, const struct redis_wire_reply *reply);
void redis_clean_take_record(struct redis_write *at, const struct redis_wire_reply *reply);

/* The reply to what asks for the front of the body: is it of the mark that was found? */
void redis_clean_take_front(struct redis_write *at, const struct redis_wire_reply *reply);

/* The answers have come. */
void redis_clean_answered(struct redis_write *at);

/*
 * Whether nobody else's write can have overlapped this one unseen.  True where there is
 * nobody else.
 */
bool redis_is_clean(const struct redis_write *at);

/* --- redis_mark.c: as layer.h says --- */

void redis_look(struct layer *layer, struct layer_write *write);
void redis_mark(struct layer *layer, struct layer_write *write);
void redis_marked(struct layer *layer, struct layer_write *write);
void redis_leaving(struct layer *layer, struct layer_write *write);

/* --- redis_write.c: the same --- */

void redis_announce(struct layer *layer, struct layer_write *write);
bool redis_may_stay(struct layer *layer, const struct layer_write *write,
		    const struct layer_item *item);
bool redis_recall(struct layer *layer, struct layer_write *write,
		  const struct layer_allocator *allocator, struct layer_item *item);

/*
 * The thread has jumped out of the writes whose marks lie below `end` on its
 * stack: their keys are unmarked.
 */
void redis_write_abandon(struct layer *layer, const void *end);

/* In the child of a fork: what other threads were at is the parent's. */
void redis_write_child(struct layer *layer);

/* The end of it; what is held of Redis has been given back. */
void redis_write_done(struct layer_write *write);

/* The body's key from the record's, and back. */
static inline void redis_key_is(struct redis_key *key, char kind)
{
	key->bytes[key->kind] = kind;
}

/* --- redis_commit.c --- */

/*
 * How long, in milliseconds, the write's mark must live under the simple rule.  *ret_stays:
 * that is as long as a value that it stores, so that it need not be given another record.
 */
int64_t redis_mark_life(const struct layer *layer, const struct layer_write *write,
			bool *ret_stays);

void redis_commit(struct layer *layer, struct layer_write *write);

#endif
