/*
 * Slots that stay busy because a process died between enter and leave.
 * Whoever meets such a slot counts anew (slots_file.h says how that can be
 * right while others go on); nobody waits.
 */
#include "core/slots_file.h"

#include "base/clock.h"
#include "base/fault.h"

/* So long a slot is busy whenever it is met before it is suspected. */
#define SUSPECT_NS (200 * CLOCK_NS_PER_MS)

/* A slot that nobody met for so long begins anew. */
#define FORGET_NS (60 * CLOCK_NS_PER_S)

/* Between two repairs of one process. */
#define PAUSE_NS (20 * CLOCK_NS_PER_MS)

/*
 * What a killed process has sent may still lie in memcached's socket, and take
 * effect after its death; copies taken before that would be old afterwards.  So
 * long, from the moment that somebody saw it dead, its slots stay busy.
 */
#define GRACE_NS CLOCK_NS_PER_S

/* What a process's record says about a slot. */
struct holding {
	unsigned n;  /* writes that the word counts for certain */
	bool unsure; /* and one that it may or may not count */
};

static bool is_marked(const struct slots *slots, const struct slots_record *record, size_t slot)
{
	return atomic_load(&record->has_marks) &&
	       (atomic_load(&slots_marks(slots, record)[slot / 64]) >> (slot % 64) & 1);
}

/* Entries before marks: that order is part of the argument in slots_file.h. */
static struct holding holding_of(const struct slots *slots, const struct slots_record *record,
				 size_t slot)
{
	struct holding holding = { 0, false };

	for (size_t i = 0; i < SLOTS_ENTRIES; i++) {
		uint64_t entry = atomic_load(&record->entries[i]);

		if (slots_entry_state(entry) == SLOTS_FREE || slots_entry_slot(entry) != slot) {
			continue;
		}
		if (slots_entry_state(entry) == SLOTS_ENTERED) {
			holding.n++;
		} else {
			holding.unsure = true;
		}
	}
	if (is_marked(slots, record, slot)) {
		holding.n++;
	}
	return holding;
}

bool slots_is_gone(const struct slots *slots, const struct slots_record *record, uint64_t owner)
{
	owner &= ~SLOTS_CLEARING;
	if (slots->self.space == 0) {
		/* Who does not know who it is judges nobody: its word may be another one's, too. */
		return false;
	}
	if (owner == slots->self_word) {
		return !slots_is_own(slots, record);
	}
	return process_word_alive(&slots->self, owner) == PROCESS_GONE;
}

/* Whether the dead process was seen dead long enough ago; notes the first time. */
static bool grace_is_over(struct slots_record *record)
{
	int64_t now = clock_now_ns();
	int64_t found = 0;

	if (atomic_compare_exchange_strong(&record->found_gone_ns, &found, now)) {
		return false;
	}
	return now - found >= GRACE_NS;
}

/* What the dead may have written ends some time, and nobody else knows when. */
static void note_ends(struct slots *slots, const struct slots_record *record, size_t slot)
{
	for (size_t i = 0; i < SLOTS_ENTRIES; i++) {
		uint64_t entry = atomic_load(&record->entries[i]);

		if (slots_entry_state(entry) != SLOTS_FREE && slots_entry_slot(entry) == slot) {
			slots_note_any_end(slots, slot, slots_entry_second(entry));
		}
	}
}

static void forget_entries(struct slots *slots, struct slots_record *record, size_t slot)
{
	for (size_t i = 0; i < SLOTS_ENTRIES; i++) {
		uint64_t entry = atomic_load(&record->entries[i]);

		if (slots_entry_state(entry) != SLOTS_FREE && slots_entry_slot(entry) == slot) {
			atomic_compare_exchange_strong(&record->entries[i], &entry,
						       slots_entry_word(0, SLOTS_FREE));
		}
	}
	if (atomic_load(&record->has_marks)) {
		atomic_fetch_and(&slots_marks(slots, record)[slot / 64],
				 ~(UINT64_C(1) << (slot % 64)));
	}
}

static uint32_t records_used(const struct slots *slots)
{
	uint32_t used = atomic_load(&slots->head->records_used);

	return used < SLOTS_RECORDS ? used : SLOTS_RECORDS;
}

/*
 * Finds the dead that hold the slot: dead_owners[], by record, else 0.  False: the
 * slot cannot be judged now.  The grace of all of them begins with the first look.
 */
static bool count_anew(struct slots *slots, size_t slot, uint32_t used, unsigned *ret_living,
		       unsigned *ret_dead)
{
	bool can_judge = true;

	*ret_living = 0;
	*ret_dead = 0;
	for (uint32_t i = 0; i < used; i++) {
		struct slots_record *record = slots_record_at(slots, i);
		uint64_t owner = atomic_load(&record->owner);
		struct holding holding;

		slots->dead_owners[i] = 0;
		if (owner == 0) {
			continue;
		}
		holding = holding_of(slots, record, slot);
		if (holding.n == 0 && !holding.unsure) {
			continue;
		}
		if (!slots_is_gone(slots, record, owner)) {
			if (holding.unsure || (owner & SLOTS_CLEARING)) {
				can_judge = false;
			}
			*ret_living += holding.n;
		} else if (!grace_is_over(record)) {
			can_judge = false;
		} else {
			slots->dead_owners[i] = owner;
			++*ret_dead;
		}
		if (atomic_load(&record->owner) != owner) {
			/* The grace may have begun for the process that has it now. */
			atomic_store(&record->found_gone_ns, 0);
			can_judge = false;
		}
	}
	return can_judge;
}

static void forget_half_made(const struct slots *slots, uint64_t owner)
{
	if (slots->forget) {
		slots->forget(slots->forget_owner, owner & ~SLOTS_CLEARING);
	}
}

/*
 * Frees the slot of writers that are dead.  Before it is free, whatever shared
 * layers hold of a write that was made half is forgotten.
 */
static void repair_alone(struct slots *slots, size_t slot)
{
	uint64_t word = atomic_load(&slots->words[slot]);
	/* After the word: who claims a record later changes the word before it matters. */
	uint32_t used = records_used(slots);
	unsigned living;
	unsigned dead;

	if (fault_planted(FAULT_no_repair) || atomic_load(&slots->head->unrecorded) ||
	    !count_anew(slots, slot, used, &living, &dead)) {
		return;
	}
	/* An owner that lives goes on undisturbed. */
	if (dead == 0 || (living && (word & SLOTS_OWNED))) {
		return;
	}
	for (uint32_t i = 0; i < used; i++) {
		if (slots->dead_owners[i]) {
			note_ends(slots, slots_record_at(slots, i), slot);
			forget_half_made(slots, slots->dead_owners[i]);
		}
	}
	if (!atomic_compare_exchange_strong(&slots->words[slot], &word,
					    (word & ~(SLOTS_IN_FLIGHT | SLOTS_OWNED)) +
						    SLOTS_VERSION + living)) {
		return;
	}
	for (uint32_t i = 0; i < used; i++) {
		struct slots_record *record = slots_record_at(slots, i);
		uint64_t owner = slots->dead_owners[i];

		/* Not while somebody else does, nor once a new process has the record. */
		if (owner && atomic_compare_exchange_strong(&record->owner, &owner,
							    slots->self_word | SLOTS_CLEARING)) {
			forget_entries(slots, record, slot);
			atomic_store(&record->owner, slots->dead_owners[i]);
		}
	}
}

/* One thread of a process at a time: "clearing" names a process. */
static void repair(struct slots *slots, size_t slot)
{
	uint32_t idle = 0;

	if (atomic_compare_exchange_strong(&slots->repairing, &idle, 1)) {
		repair_alone(slots, slot);
		atomic_store(&slots->repairing, 0);
	}
}

/*
 * Whether the slot was busy whenever it was met for SUSPECT_NS.  Relaxed: the
 * worst that a mix of two threads' notes does is a repair too early or late.
 */
static bool is_suspect(struct slots_suspect *suspect, size_t slot, int64_t now)
{
	int64_t since = atomic_load_explicit(&suspect->since_ns, memory_order_relaxed);
	int64_t last = atomic_load_explicit(&suspect->last_ns, memory_order_relaxed);

	if (atomic_load_explicit(&suspect->slot, memory_order_relaxed) == slot) {
		atomic_store_explicit(&suspect->last_ns, now, memory_order_relaxed);
		if (now - last < FORGET_NS) {
			return now - since >= SUSPECT_NS;
		}
	} else if (now - since < 2 * SUSPECT_NS) {
		/* One suspect at a time gets its turn. */
		return false;
	}
	atomic_store_explicit(&suspect->slot, slot, memory_order_relaxed);
	atomic_store_explicit(&suspect->since_ns, now, memory_order_relaxed);
	atomic_store_explicit(&suspect->last_ns, now, memory_order_relaxed);
	return false;
}

void slots_met_busy(struct slots *slots, size_t slot)
{
	int64_t now = clock_coarse_ns();

	if (is_suspect(&slots->suspects[slot % SLOTS_SUSPECTS], slot, now) &&
	    now >= atomic_load_explicit(&slots->next_repair_ns, memory_order_relaxed)) {
		atomic_store(&slots->next_repair_ns, now + PAUSE_NS);
		repair(slots, slot);
		atomic_store(&slots->next_repair_ns, clock_coarse_ns() + PAUSE_NS);
	}
}

static bool clear_marks(struct slots *slots, struct slots_record *record)
{
	if (!atomic_load(&record->has_marks)) {
		return true;
	}
	for (size_t slot = 0; slot <= slots->mask; slot++) {
		if (is_marked(slots, record, slot)) {
			repair(slots, slot);
			if (is_marked(slots, record, slot)) {
				return false;
			}
		}
	}
	return true;
}

bool slots_clear_record(struct slots *slots, struct slots_record *record)
{
	for (size_t i = 0; i < SLOTS_ENTRIES; i++) {
		uint64_t entry = atomic_load(&record->entries[i]);

		if (slots_entry_state(entry) != SLOTS_FREE) {
			repair(slots, slots_entry_slot(entry));
			if (slots_entry_state(atomic_load(&record->entries[i])) != SLOTS_FREE) {
				return false;
			}
		}
	}
	return clear_marks(slots, record);
}

void slots_on_repair(struct slots *slots, void (*forget)(void *owner, uint64_t process),
		     void *owner)
{
	slots->forget_owner = owner;
	slots->forget = forget;
}
