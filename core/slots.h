/*
 * slots.h - the table of slots: what makes a copy in memory as true as
 * memcached itself, for all processes of a coherence domain
 * (docs/COHERENCE.md).
 *
 * A slot belongs to all keys whose hash on the wire falls into it, and holds a
 * version and the number of writes in flight.  A write enters before it
 * touches memcached and leaves before it returns; both change the version.  A
 * reader loads the slot's token before it fetches; what it stores is a hit
 * only while the token is the same.  While a write is in flight the token is
 * LAYER_SLOT_BUSY: no answer, no fill.
 *
 * So a value that comes out was in force at some moment after the read began:
 * every write that was acknowledged before had left, hence changed the token.
 *
 * A write whose outcome is not known keeps its slot entered as a doubt, until
 * the outcome is known or too old to matter.
 *
 * Every process has a record of the slots that it entered.  What a process
 * leaves behind that was killed is found by whoever meets the busy slot
 * (core/slots_repair.c), and nobody waits for anybody.
 *
 * The table lies in shared memory, or, private, in that of the process: then
 * it holds for its threads.  Lock-free but for doubts; any thread may call
 * anything.
 */
#ifndef TOWER_CORE_SLOTS_H
#define TOWER_CORE_SLOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/shm.h"

#define SLOTS_MIN 2
#define SLOTS_MAX ((size_t)1 << 24)

/* How long who enters waits for an owner before it goes on without. */
#define SLOTS_OWN_NS INT64_C(2000000000)

/* How long a doubt is kept where nothing tells its outcome. */
#define SLOTS_DOUBT_NS INT64_C(10000000000)
/* The same where it was sent for certain and only its effect was not seen. */
#define SLOTS_SENT_NS INT64_C(1000000000)

struct slots;

struct slots_options {
	const char *path; /* of the file; NULL: private */
	size_t n;	  /* rounded up to a power of two, SLOTS_MIN to SLOTS_MAX */
	size_t n_extra;	  /* bytes for slots_extra(), the same in all processes */
	size_t n_lazy;	  /* bytes for slots_lazy(), the same in all processes */
	gid_t group;	  /* whose members share the table, or SHM_NO_GROUP */
};

/* One write between enter and leave. */
struct slots_ticket {
	size_t slot;
	uint64_t entered;	 /* the slot's word after entering */
	uint64_t flushes;	 /* of the domain, before */
	bool alone;		 /* nothing was in flight when it entered */
	_Atomic uint64_t *entry; /* in a record of the process, or NULL */
};

/*
 * Doubts that end together: those of one handle.  Made by slots_doubt(), used by
 * one thread at a time, but for what slots.h does under its own lock.
 */
struct slots_doubts {
	uint32_t *slots;  /* each once per doubt, until they are compacted */
	_Atomic size_t n; /* may be read at any time */
	size_t size;
	int64_t until_ns;	   /* when they are too old to matter */
	bool abandoned;		   /* nobody else knows of it: freed when it is settled */
	struct slots_doubts *next; /* all of the process that are not empty */
	struct slots_doubts **link;
};

/* NULL where it cannot be had; *ret_why then is the end of a sentence. */
struct slots *slots_open(const struct slots_options *options, const char **ret_why);
void slots_close(struct slots **slots);

/* The token of a key's slot now, or LAYER_SLOT_BUSY.  May repair the slot. */
uint64_t slots_load(struct slots *slots, uint64_t hash);

/* slots_enter() and slots_note_end() of this key are to come. */
void slots_expect(const struct slots *slots, uint64_t hash);

/* A write whose value will end at deadline_ns, or CLOCK_NEVER. */
void slots_enter(struct slots *slots, uint64_t hash, int64_t deadline_ns,
		 struct slots_ticket *ret_ticket);

/* Whether no other write has overlapped this one so far. */
bool slots_alone(const struct slots *slots, const struct slots_ticket *ticket);

/* --- owning: for a value that goes back into memcached --- */

/* The writer owns its slot from here on, or is not alone: then false. */
bool slots_own(struct slots *slots, const struct slots_ticket *ticket);

/*
 * A reader that loaded this token enters the slot and owns it.  False: something
 * has happened there since, and nothing was entered.
 */
bool slots_enter_owning(struct slots *slots, uint64_t hash, uint64_t token,
			struct slots_ticket *ret_ticket);

/*
 * The owner lets others in, and is in the slot still.  False: somebody waited
 * too long and went on without it; what it put back may be old.
 */
bool slots_disown(struct slots *slots, const struct slots_ticket *ticket);

/* --- */

/*
 * The token under which the writer may keep its own value, or LAYER_SLOT_BUSY
 * where another write overlapped this one.
 */
uint64_t slots_leave(struct slots *slots, const struct slots_ticket *ticket);

/*
 * Instead of leaving: the outcome is not known.  *doubts is made where it is
 * NULL; the token is LAYER_SLOT_BUSY.
 */
void slots_doubt(struct slots *slots, const struct slots_ticket *ticket,
		 struct slots_doubts **doubts);

/* The same for a write that nobody will say anything of any more. */
void slots_orphan(struct slots *slots, const struct slots_ticket *ticket);

/* The outcome of all these is known, or does not matter any more.  NULL is nothing. */
void slots_settle(struct slots *slots, struct slots_doubts *doubts);

/* They have been sent, and matter only for SLOTS_SENT_NS from now on.  NULL is nothing. */
void slots_sent(struct slots *slots, struct slots_doubts *doubts);

/* The same, and the caller lets go of them: *doubts is NULL afterwards. */
void slots_abandon(struct slots *slots, struct slots_doubts **doubts);

/* Settles what of this process has become too old to matter; cheap where nothing has. */
void slots_settle_old(struct slots *slots);

/* --- expiry, as far as writers of the domain said it (core/slots_ends.c) --- */

/*
 * Between enter and leave: the key now ends at deadline_ns (CLOCK_NEVER:
 * never).  `also`: or it has any end noted before.  Returns the end to come that
 * this took the place of, CLOCK_NEVER where there was none.
 */
int64_t slots_note_end(struct slots *slots, uint64_t hash, int64_t deadline_ns, bool also);

/* slots_end() or slots_note_end() of this key is to come: its line is fetched meanwhile. */
void slots_expect_end(const struct slots *slots, uint64_t hash);

/* The earliest moment at which the key may end, or CLOCK_NEVER. */
int64_t slots_end(struct slots *slots, uint64_t hash);

/* --- flushing --- */

/* Every token changes: nothing stored before is a hit any more. */
void slots_flush(struct slots *slots);

/*
 * Around a flush of memcached: nobody owns a slot meanwhile, so that what goes
 * back into it went before the flush, and no announced flush becomes due.  Waits for
 * owners, for SLOTS_OWN_NS at most.  Who dies between the two is forgotten after
 * SLOTS_DOUBT_NS more.
 */
void slots_flush_begin(struct slots *slots);
void slots_flush_end(struct slots *slots);

/* How many times slots_flush() was called in the domain. */
uint64_t slots_flushes(const struct slots *slots);

/*
 * A flush will take effect at memcached between two moments of clock.h; from
 * `from_ns` on every token is LAYER_SLOT_BUSY.  A later call replaces an
 * earlier one only by a wider span: both may still come.
 */
void slots_flush_later(struct slots *slots, int64_t from_ns, int64_t until_ns);

/* Whether a flush announced by slots_flush_later() is not done yet. */
bool slots_flush_pending(const struct slots *slots);

/*
 * Whether an announced flush has taken effect: whoever sees it flushes what
 * lies outside the table, calls slots_flush(), then slots_flush_done().
 * Several processes may do so at once.
 */
bool slots_flush_due(const struct slots *slots);
void slots_flush_done(struct slots *slots);

/*
 * Memory beside the table that shared layers use as they like, zero at first;
 * NULL where it cannot be had.
 */
void *slots_extra(struct slots *slots);

/*
 * The same for more of it, which has no memory before the first process asks.  Where that one
 * cannot have it nobody will: NULL for all, as long as the table is there.
 */
void *slots_lazy(struct slots *slots);

/* Whether other processes have the same table. */
bool slots_is_shared(const struct slots *slots);
/* --- the switch (core/slots_switch.c) --- */

/*
 * What the domain's operator has switched off, by capability (layers/layer.h):
 * LAYER_PRIVATE, LAYER_SHARED, and LAYER_AUTHORITY, which stands for the tower as a
 * whole.  Writes enter and leave their slots all the same, so that nothing older comes
 * out when it is switched on again.
 */
unsigned slots_off(const struct slots *slots);

/*
 * Switches `off` off and `on` on in the table at options->path, which is made where
 * there is none: every process that uses it obeys at its next call.  *ret_off is what is
 * off then.  False where the table cannot be had; *ret_why then is the end of a sentence.
 */
bool slots_switch(const struct slots_options *options, unsigned off, unsigned on, unsigned *ret_off,
		  const char **ret_why);

/* What is switched off there; nothing where there is no such table. */
unsigned slots_switched_off(const struct slots_options *options);

/* A slot as it is now, seen from outside. */
struct slots_view {
	size_t slot;
	unsigned in_flight; /* writes */
	unsigned off;	    /* as slots_off() has it */
};

/* Of the key with this hash; *ret is untouched where the answer is not SHM_OK. */
enum shm_status slots_look(const struct slots_options *options, uint64_t hash,
			   struct slots_view *ret);

/* --- processes --- */

/*
 * What must happen before the slot of a write that died half-way is free
 * again: whatever shared layers hold of it, for this process (process_pack()),
 * is forgotten.  Set once.
 */
void slots_on_repair(struct slots *slots, void (*forget)(void *owner, uint64_t process),
		     void *owner);

/* Around a fork, as base/fork.h; a child's doubts are all empty. */
void slots_prepare(struct slots *slots);
void slots_parent(struct slots *slots);
void slots_child(struct slots *slots);

/* At a child's first call: it is a process of its own now. */
void slots_claim(struct slots *slots);

#endif
