/*
 * slots_file.h - how the table of slots lies in memory, and who may change
 * what; for slots*.c and peek.h alone.
 *
 * A slot's word holds the version above, the number of writes in flight below.
 * Entering adds a version and a write, leaving adds a version and takes the
 * write back: one addition does each, and no value of the word comes twice.
 *
 * A process's record says which slots it has entered: an entry for a write in
 * flight, a mark for all its doubts of that slot, which together count as one
 * write.  A kill can come between any two stores, so an entry is UNSURE while
 * the word may or may not count it:
 *
 *	entering   entry UNSURE;  word += ENTER;    entry ENTERED
 *	leaving    entry UNSURE;  word += LEAVE;    entry FREE
 *	doubting   entry UNSURE;  word += VERSION;  mark set;      entry FREE
 *	settling   entry UNSURE;  word += VERSION;  mark cleared;  word += LEAVE;  entry FREE
 *
 * The repair of a slot counts anew: it reads the word, then of every process
 * that lives its entries, then its mark, and puts that count into the word if
 * the word is still the same.  An UNSURE entry of a living process makes it
 * give up; those of the dead count nothing.  Every step above that moves a
 * count from one place to another changes the word after the entry became
 * UNSURE and before the places change, so that a repair that saw the old place
 * first and the new one later, or neither, finds another word and fails.
 * (tests/model/repair.pml tries all orders.)
 *
 * An owner is a write in flight that found itself alone and set SLOTS_OWNED in
 * the same step.  Who enters waits until the flag is gone, for SLOTS_OWN_NS at
 * most, then takes it away; so does a repair, where nobody in the slot lives.
 *
 * All of this is sequentially consistent, but for the reader's fast path, looks at flushes
 * that the next look would find as well, and the stores of an entry's own thread, which only
 * release: UNSURE comes before the addition to the word, which is sequentially consistent,
 * ENTERED or FREE after it.  So whoever sees the word's new value sees the entry at least
 * UNSURE, and whoever sees the state that follows, the word's new value.
 */
#ifndef TOWER_CORE_SLOTS_FILE_H
#define TOWER_CORE_SLOTS_FILE_H

#include <stdalign.h>
#include <stdatomic.h>

#include "base/lock.h"
#include "base/process.h"
#include "core/slots.h"

#define SLOTS_FORMAT 4
#define SLOTS_PAGE_BYTES 4096
#define SLOTS_RECORDS 2048
#define SLOTS_ENTRIES 56
#define SLOTS_SUSPECTS 64
#define SLOTS_OWN_MAX 16 /* records of one process: for so many times SLOTS_ENTRIES threads */

#define SLOTS_IN_FLIGHT_BITS 16
#define SLOTS_IN_FLIGHT ((UINT64_C(1) << SLOTS_IN_FLIGHT_BITS) - 1)
/* One of the writes in flight owns the slot, others wait before they enter; above any version. */
#define SLOTS_OWNED (UINT64_C(1) << 63)
#define SLOTS_VERSION (UINT64_C(1) << SLOTS_IN_FLIGHT_BITS)
#define SLOTS_ENTER (SLOTS_VERSION + 1)
#define SLOTS_LEAVE (SLOTS_VERSION - 1)

/*
 * An entry: the second in which the write's value ends (0: never) above, the slot
 * in the middle, its state below.
 */
enum slots_entry { SLOTS_FREE, SLOTS_UNSURE, SLOTS_ENTERED };
#define SLOTS_ENTRY_BITS 2
#define SLOTS_SLOT_BITS 24

static inline uint64_t slots_entry_word(size_t slot, enum slots_entry state)
{
	return (uint64_t)slot << SLOTS_ENTRY_BITS | (uint64_t)state;
}

static inline uint64_t slots_entry_ending(uint64_t entry, uint64_t second)
{
	return entry | second << (SLOTS_ENTRY_BITS + SLOTS_SLOT_BITS);
}

static inline enum slots_entry slots_entry_state(uint64_t entry)
{
	return (enum slots_entry)(entry & ((1U << SLOTS_ENTRY_BITS) - 1));
}

static inline size_t slots_entry_slot(uint64_t entry)
{
	return (size_t)(entry >> SLOTS_ENTRY_BITS) & ((1U << SLOTS_SLOT_BITS) - 1);
}

static inline uint64_t slots_entry_second(uint64_t entry)
{
	return entry >> (SLOTS_ENTRY_BITS + SLOTS_SLOT_BITS);
}

/* What became of slots_lazy(). */
enum slots_lazy { SLOTS_LAZY_UNASKED, SLOTS_LAZY_BACKED, SLOTS_LAZY_NEVER };

struct slots_head {
	struct shm_header shm;
	uint64_t n_slots;
	_Atomic uint32_t records_used; /* those above have never been used */
	_Atomic uint32_t unrecorded;   /* writes were made without a record: nothing is repaired */
	/* How many there were; above SLOTS_OFF_SHIFT what is switched off (slots_off()). */
	alignas(64) _Atomic uint64_t flushes;
	_Atomic int64_t flush_from_ns; /* of an announced flush; 0: none */
	_Atomic int64_t flush_until_ns;
	_Atomic uint32_t lazy;		   /* enum slots_lazy */
	_Atomic uint32_t flushers;	   /* now; a killed one stays counted */
	_Atomic int64_t flushing_until_ns; /* but not beyond this */
};

/*
 * The switch shares a word with the flushes, so that slots_peek(), which compares the
 * word with the flushes that were followed, finds both out with one load.
 */
#define SLOTS_OFF_SHIFT 56
#define SLOTS_FLUSHES ((UINT64_C(1) << SLOTS_OFF_SHIFT) - 1)

/* A token (slots.h): the number of flushes above, the slot's version below. */
#define SLOTS_TOKEN_BITS 44

static inline uint64_t slots_token(uint64_t flushes, uint64_t word)
{
	return flushes << SLOTS_TOKEN_BITS |
	       (word >> SLOTS_IN_FLIGHT_BITS & ((UINT64_C(1) << SLOTS_TOKEN_BITS) - 1));
}

/* When keys of two slots end; core/slots_ends.c. */
#define SLOTS_ENDS 7
#define SLOTS_PER_ENDS 2

struct slots_ends {
	_Atomic uint64_t keys[SLOTS_ENDS];
	_Atomic uint64_t others;
};

/*
 * In an owner: that process is not the record's but takes back what a dead one
 * left there, and is the only one who may.
 */
#define SLOTS_CLEARING (UINT64_C(1) << 63)

struct slots_record {
	_Atomic uint64_t owner; /* a packed process, or 0 */
	_Atomic int64_t
		found_gone_ns; /* when somebody first saw that it is gone with writes in flight */
	_Atomic uint32_t has_marks; /* the marks were ever used */
	alignas(64) _Atomic uint64_t entries[SLOTS_ENTRIES];
};

_Static_assert(sizeof(struct slots_record) == 512, "a record is eight to a page");

/* A slot that this process met busy, since when, and when last. */
struct slots_suspect {
	_Atomic size_t slot;
	_Atomic int64_t since_ns;
	_Atomic int64_t last_ns;
};

struct slots {
	struct shm shm;
	bool shared;
	size_t mask;
	struct slots_head *head;
	_Atomic uint64_t *words;
	struct slots_ends *ends;
	struct slots_record *records;
	size_t records_offset; /* in the file */
	size_t marks_offset;
	size_t marks_bytes; /* of one process */
	size_t extra_offset;
	size_t n_extra;
	_Atomic(void *) extra; /* once it was backed */
	size_t lazy_offset;
	size_t n_lazy;

	struct process self;
	uint64_t self_word;
	/* This process's records, the first with its marks; own[n_own] and above are NULL. */
	_Atomic(struct slots_record *) own[SLOTS_OWN_MAX];
	_Atomic uint32_t n_own;

	struct lock doubts_lock; /* guards: the claim of more records, and the three below */
	uint16_t *doubt_counts;	 /* per slot; NULL until there was a doubt */
	struct slots_doubts *doubts;
	_Atomic int64_t doubts_until_ns; /* the earliest; CLOCK_NEVER where there are none */

	struct slots_suspect suspects[SLOTS_SUSPECTS];
	_Atomic int64_t next_repair_ns;
	_Atomic uint32_t repairing; /* one thread at a time, which has the next to itself */
	uint64_t dead_owners[SLOTS_RECORDS];
	void (*forget)(void *owner, uint64_t process);
	void *forget_owner;
};

static inline struct slots_record *slots_record_at(const struct slots *slots, size_t i)
{
	return &slots->records[i];
}

/* The doubts of the process with this record: a bit per slot. */
static inline _Atomic uint64_t *slots_marks(const struct slots *slots,
					    const struct slots_record *record)
{
	size_t at = (size_t)(record - slots->records);

	return (_Atomic uint64_t *)((char *)slots->shm.start + slots->marks_offset +
				    at * slots->marks_bytes);
}

/* Where everything lies, and what the file must be: the same in every process. */
void slots_lay_out(struct slots *slots, const struct slots_options *options, struct shm_kind *ret);

/* A free entry of the process, which becomes `unsure`; NULL where none is to be had. */
_Atomic uint64_t *slots_take_entry(struct slots *slots, uint64_t unsure);

/*
 * Whether the record's owner will never again write to anything; also what this
 * process was before it called exec().
 */
bool slots_is_gone(const struct slots *slots, const struct slots_record *record, uint64_t owner);

/* Whether it is one of this process. */
bool slots_is_own(const struct slots *slots, const struct slots_record *record);

/* A deadline as the second in which it falls; 0 is never. */
uint64_t slots_second(int64_t deadline_ns);

/* Some key of the slot may end in that second. */
void slots_note_any_end(struct slots *slots, size_t slot, uint64_t second);

/* Met a slot that is busy: repairs it if its writers are dead. */
void slots_met_busy(struct slots *slots, size_t slot);

/* Takes the record's writes back as far as its process is gone; true if it is empty now. */
bool slots_clear_record(struct slots *slots, struct slots_record *record);

#endif
