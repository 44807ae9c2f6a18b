/* Processes and what they have entered: records, entries, doubts. */
#include "core/slots_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "layers/layer.h"

/* Records of the dead that one claim looks at where none is free nearby. */
#define CLAIM_LOOKS 8

/* --- claiming a record --- */

static bool back_record(const struct slots *slots, size_t i)
{
	return !slots->shared ||
	       shm_back(&slots->shm, slots->records_offset + i * sizeof(*slots->records),
			sizeof(*slots->records));
}

static void use_up_to(struct slots *slots, uint32_t n)
{
	uint32_t used = atomic_load(&slots->head->records_used);

	while (used < n && !atomic_compare_exchange_weak(&slots->head->records_used, &used, n)) {
	}
}

static bool take(struct slots *slots, size_t i, uint64_t before, uint64_t self)
{
	struct slots_record *record = slots_record_at(slots, i);

	if (!atomic_compare_exchange_strong(&record->owner, &before, self)) {
		return false;
	}
	/* The one before left it empty. */
	atomic_store(&record->found_gone_ns, 0);
	atomic_store(&slots->own[slots->n_own], record);
	atomic_fetch_add(&slots->n_own, 1);
	return true;
}

/* A record that was never used or was given back. */
static bool take_free(struct slots *slots, uint64_t self, size_t first)
{
	for (size_t n = 0; n < SLOTS_RECORDS; n++) {
		size_t i = (first + n) % SLOTS_RECORDS;

		if (i >= atomic_load(&slots->head->records_used)) {
			if (!back_record(slots, i)) {
				return false;
			}
			use_up_to(slots, (uint32_t)i + 1);
		}
		if (atomic_load(&slots_record_at(slots, i)->owner) == 0 &&
		    take(slots, i, 0, self)) {
			return true;
		}
	}
	return false;
}

/* A record whose process has ended with nothing in flight, or all of it taken back. */
static bool take_over(struct slots *slots, uint64_t self, size_t first, size_t looks)
{
	size_t used = atomic_load(&slots->head->records_used);

	for (size_t n = 0; n < used && looks; n++) {
		struct slots_record *record = slots_record_at(slots, (first + n) % used);
		uint64_t owner = atomic_load(&record->owner);

		/* Another thread of ours may be clearing it. */
		if (owner == 0 || owner == (self | SLOTS_CLEARING) || slots_is_own(slots, record)) {
			continue;
		}
		looks--;
		if (slots_is_gone(slots, record, owner) && slots_clear_record(slots, record) &&
		    take(slots, (size_t)(record - slots->records), owner, self)) {
			return true;
		}
	}
	return false;
}

static bool claim_one(struct slots *slots)
{
	size_t used = atomic_load(&slots->head->records_used);
	size_t first = used ? (size_t)slots->self.pid % used : 0;

	return slots->n_own < SLOTS_OWN_MAX &&
	       (take_over(slots, slots->self_word, first, CLAIM_LOOKS) ||
		take_free(slots, slots->self_word, 0) ||
		take_over(slots, slots->self_word, first, SLOTS_RECORDS));
}

bool slots_is_own(const struct slots *slots, const struct slots_record *record)
{
	for (uint32_t i = 0; i < slots->n_own; i++) {
		if (slots->own[i] == record) {
			return true;
		}
	}
	return false;
}

void slots_claim(struct slots *slots)
{
	process_self(&slots->self);
	slots->self_word = process_pack(&slots->self);
	if (!claim_one(slots)) {
		log_line(LOG_LEVEL_WARN,
			 "the table of slots has no room for one more process: a write that is "
			 "killed half-way will keep its keys out of memory");
	}
}

/* --- entries --- */

/* The first entry of a record is for settling doubts, one at a time under their lock. */
#define SETTLING 0
#define WRITING 1

/* Where this thread found a free entry last. */
static __thread unsigned last_entry;

static _Atomic uint64_t *take_entry_of(struct slots_record *record, uint64_t unsure)
{
	for (unsigned n = 0; n < SLOTS_ENTRIES - WRITING; n++) {
		unsigned i = (last_entry + n) % (SLOTS_ENTRIES - WRITING);
		_Atomic uint64_t *entry = &record->entries[WRITING + i];
		uint64_t none = slots_entry_word(0, SLOTS_FREE);

		if (atomic_load_explicit(entry, memory_order_relaxed) == none &&
		    atomic_compare_exchange_strong(entry, &none, unsure)) {
			last_entry = i;
			return entry;
		}
	}
	return NULL;
}

static _Atomic uint64_t *take_entry(struct slots *slots, uint64_t unsure)
{
	uint32_t n_own = atomic_load(&slots->n_own);

	for (uint32_t i = 0; i < n_own; i++) {
		_Atomic uint64_t *entry = take_entry_of(slots->own[i], unsure);

		if (entry) {
			return entry;
		}
	}
	return NULL;
}

_Atomic uint64_t *slots_take_entry(struct slots *slots, uint64_t unsure)
{
	_Atomic uint64_t *entry = take_entry(slots, unsure);

	if (entry == NULL && atomic_load(&slots->n_own)) {
		/* More threads write at once than a record has entries. */
		lock_take(&slots->doubts_lock);
		entry = take_entry(slots, unsure);
		if (entry == NULL && claim_one(slots)) {
			entry = take_entry(slots, unsure);
		}
		lock_release(&slots->doubts_lock);
	}
	return entry;
}

/* --- doubts --- */

/* The mark of a slot, or NULL where its memory cannot be had. */
static _Atomic uint64_t *mark_word_locked(struct slots *slots, size_t slot)
{
	struct slots_record *record = slots->own[0];

	if (record == NULL) {
		return NULL;
	}
	if (!atomic_load(&record->has_marks)) {
		size_t at = slots->marks_offset +
			    (size_t)(record - slots->records) * slots->marks_bytes;

		if (slots->shared && !shm_back(&slots->shm, at, slots->marks_bytes)) {
			return NULL;
		}
		atomic_store(&record->has_marks, 1);
	}
	return &slots_marks(slots, record)[slot / 64];
}

static bool remember_locked(struct slots_doubts *doubts, size_t slot)
{
	if (doubts->n == doubts->size) {
		size_t size = doubts->size ? doubts->size * 2 : 16;
		uint32_t *grown = realloc(doubts->slots, size * sizeof(*grown));

		if (grown == NULL) {
			return false;
		}
		doubts->slots = grown;
		doubts->size = size;
	}
	doubts->slots[doubts->n++] = (uint32_t)slot;
	return true;
}

static void link_locked(struct slots *slots, struct slots_doubts *doubts)
{
	if (doubts->link) {
		return;
	}
	doubts->next = slots->doubts;
	if (doubts->next) {
		doubts->next->link = &doubts->next;
	}
	doubts->link = &slots->doubts;
	slots->doubts = doubts;
}

static void unlink_locked(struct slots_doubts *doubts)
{
	if (doubts->link) {
		*doubts->link = doubts->next;
		if (doubts->next) {
			doubts->next->link = doubts->link;
		}
		doubts->link = NULL;
	}
}

static void earliest_locked(struct slots *slots)
{
	int64_t earliest = CLOCK_NEVER;

	/* The analyser does not see that what was freed has been unlinked. */
	for (const struct slots_doubts *d = slots->doubts; d; d = d->next) {
		// NOLINTNEXTLINE(clang-analyzer-unix.Malloc)
		earliest = d->until_ns < earliest ? d->until_ns : earliest;
	}
	atomic_store(&slots->doubts_until_ns, earliest);
}

static int compare_slots(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a;
	uint32_t y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* A list that would grow beyond the table holds slots more than once: once is enough. */
static void compact_locked(struct slots *slots, struct slots_doubts *doubts)
{
	size_t kept = 0;

	if (doubts->slots == NULL || doubts->n < doubts->size || doubts->n < 1024) {
		return;
	}
	qsort(doubts->slots, doubts->n, sizeof(*doubts->slots), compare_slots);
	for (size_t i = 0; i < doubts->n; i++) {
		if (kept && doubts->slots[kept - 1] == doubts->slots[i]) {
			slots->doubt_counts[doubts->slots[i]]--;
		} else {
			doubts->slots[kept++] = doubts->slots[i];
		}
	}
	doubts->n = kept;
}

/* The write in flight becomes the process's mark on the slot; false: it cannot. */
static bool move_to_mark_locked(struct slots *slots, const struct slots_ticket *ticket)
{
	_Atomic uint64_t *mark = mark_word_locked(slots, ticket->slot);

	if (mark == NULL || ticket->entry == NULL) {
		return false;
	}
	atomic_store(ticket->entry, slots_entry_word(ticket->slot, SLOTS_UNSURE));
	atomic_fetch_add(&slots->words[ticket->slot], SLOTS_VERSION);
	atomic_fetch_or(mark, UINT64_C(1) << (ticket->slot % 64));
	atomic_store(ticket->entry, slots_entry_word(0, SLOTS_FREE));
	return true;
}

static bool make_room_locked(struct slots *slots, struct slots_doubts **doubts)
{
	if (slots->doubt_counts == NULL) {
		slots->doubt_counts = calloc(slots->mask + 1, sizeof(*slots->doubt_counts));
	}
	if (*doubts == NULL) {
		*doubts = calloc(1, sizeof(**doubts));
	}
	if (slots->doubt_counts && *doubts) {
		compact_locked(slots, *doubts);
	}
	return slots->doubt_counts && *doubts;
}

void slots_doubt(struct slots *slots, const struct slots_ticket *ticket,
		 struct slots_doubts **doubts)
{
	bool another = false;

	lock_take(&slots->doubts_lock);
	/*
	 * Where there is no memory to remember it the slot stays entered for as
	 * long as this process lives, which is safe.
	 */
	if (make_room_locked(slots, doubts) && slots->doubt_counts[ticket->slot] < UINT16_MAX &&
	    remember_locked(*doubts, ticket->slot)) {
		another = slots->doubt_counts[ticket->slot] > 0;
		if (another || move_to_mark_locked(slots, ticket)) {
			slots->doubt_counts[ticket->slot]++;
		} else {
			(*doubts)->n--;
		}
		(*doubts)->until_ns = clock_now_ns() + SLOTS_DOUBT_NS;
		link_locked(slots, *doubts);
		earliest_locked(slots);
	}
	lock_release(&slots->doubts_lock);
	if (another) {
		slots_leave(slots, ticket);
	}
}

static void settle_one_locked(struct slots *slots, size_t slot)
{
	struct slots_record *record = slots->own[0];
	_Atomic uint64_t *mark = &slots_marks(slots, record)[slot / 64];

	if (--slots->doubt_counts[slot] > 0) {
		return;
	}
	atomic_store(&record->entries[SETTLING], slots_entry_word(slot, SLOTS_UNSURE));
	atomic_fetch_add(&slots->words[slot], SLOTS_VERSION);
	atomic_fetch_and(mark, ~(UINT64_C(1) << (slot % 64)));
	atomic_fetch_add(&slots->words[slot], SLOTS_LEAVE);
	atomic_store(&record->entries[SETTLING], slots_entry_word(0, SLOTS_FREE));
}

static void settle_locked(struct slots *slots, struct slots_doubts *doubts)
{
	for (size_t i = 0; i < doubts->n; i++) {
		settle_one_locked(slots, doubts->slots[i]);
	}
	unlink_locked(doubts);
	free(doubts->slots);
	doubts->slots = NULL;
	doubts->n = 0;
	doubts->size = 0;
	if (doubts->abandoned) {
		free(doubts);
	}
}

void slots_settle(struct slots *slots, struct slots_doubts *doubts)
{
	if (doubts == NULL || atomic_load_explicit(&doubts->n, memory_order_relaxed) == 0) {
		return;
	}
	lock_take(&slots->doubts_lock);
	settle_locked(slots, doubts);
	earliest_locked(slots);
	lock_release(&slots->doubts_lock);
}

static void shorten_locked(struct slots *slots, struct slots_doubts *doubts)
{
	int64_t until = clock_now_ns() + SLOTS_SENT_NS;

	if (doubts->n && doubts->until_ns > until) {
		doubts->until_ns = until;
		earliest_locked(slots);
	}
}

void slots_sent(struct slots *slots, struct slots_doubts *doubts)
{
	if (doubts == NULL || atomic_load_explicit(&doubts->n, memory_order_relaxed) == 0) {
		return;
	}
	lock_take(&slots->doubts_lock);
	shorten_locked(slots, doubts);
	lock_release(&slots->doubts_lock);
}

/* Whoever settles them frees them. */
static void let_go_locked(struct slots *slots, struct slots_doubts **doubts)
{
	(*doubts)->abandoned = true;
	if ((*doubts)->n == 0) {
		settle_locked(slots, *doubts);
	}
	/* The analyser does not see that what is not empty is linked. */
	*doubts = NULL;
} // NOLINT(clang-analyzer-unix.Malloc)

void slots_abandon(struct slots *slots, struct slots_doubts **doubts)
{
	if (*doubts == NULL) {
		return;
	}
	lock_take(&slots->doubts_lock);
	shorten_locked(slots, *doubts);
	let_go_locked(slots, doubts);
	lock_release(&slots->doubts_lock);
}

void slots_orphan(struct slots *slots, const struct slots_ticket *ticket)
{
	struct slots_doubts *doubts = NULL;

	slots_doubt(slots, ticket, &doubts);
	lock_take(&slots->doubts_lock);
	if (doubts) {
		let_go_locked(slots, &doubts);
	}
	lock_release(&slots->doubts_lock);
}

void slots_settle_old(struct slots *slots)
{
	int64_t now;
	struct slots_doubts *next;

	if (atomic_load_explicit(&slots->doubts_until_ns, memory_order_relaxed) == CLOCK_NEVER) {
		return;
	}
	now = clock_coarse_ns();
	if (atomic_load_explicit(&slots->doubts_until_ns, memory_order_relaxed) > now) {
		return;
	}
	lock_take(&slots->doubts_lock);
	for (struct slots_doubts *d = slots->doubts; d; d = next) {
		next = d->next;
		if (d->until_ns <= now) {
			settle_locked(slots, d);
		}
	}
	earliest_locked(slots);
	lock_release(&slots->doubts_lock);
}

/* --- forks --- */

void slots_prepare(struct slots *slots)
{
	lock_take(&slots->doubts_lock);
}

void slots_parent(struct slots *slots)
{
	lock_release(&slots->doubts_lock);
}

/* A private table was copied with the parent's writes in flight, which are not the child's. */
static void clear_private(struct slots *slots)
{
	for (uint32_t i = 0; i < slots->n_own; i++) {
		if (atomic_load(&slots->own[i]->has_marks)) {
			memset((void *)slots_marks(slots, slots->own[i]), 0, slots->marks_bytes);
		}
		memset((void *)slots->own[i], 0, sizeof(*slots->own[i]));
	}
	for (size_t i = 0; i <= slots->mask; i++) {
		if (slots->words[i] & SLOTS_IN_FLIGHT) {
			slots->words[i] = ((slots->words[i] & ~SLOTS_OWNED) | SLOTS_IN_FLIGHT) + 1;
		}
	}
}

/* The parent's doubts and entries are the parent's. */
void slots_child(struct slots *slots)
{
	struct slots_doubts *next;

	lock_reset(&slots->doubts_lock);
	atomic_store(&slots->repairing, 0);
	if (!slots->shared) {
		clear_private(slots);
	}
	for (uint32_t i = 0; i < slots->n_own; i++) {
		slots->own[i] = NULL;
	}
	slots->n_own = 0;
	for (struct slots_doubts *d = slots->doubts; d; d = next) {
		next = d->next;
		d->n = 0;
		unlink_locked(d);
		if (d->abandoned) {
			free(d->slots);
			free(d);
		}
	}
	atomic_store(&slots->doubts_until_ns, CLOCK_NEVER);
	if (slots->doubt_counts) {
		memset(slots->doubt_counts, 0, (slots->mask + 1) * sizeof(*slots->doubt_counts));
	}
}
