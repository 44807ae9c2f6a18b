#include "core/slots_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/clock.h"
#include "base/fault.h"
#include "layers/layer.h"

/*
 * A token: flushes above, version below.  It repeats after 2^20 flushes or
 * 2^44 writes of one slot, long after any entry has ended.
 */

/* Between two looks at a slot that somebody owns: a fraction of a call to memcached. */
#define OWNER_PAUSE_NS 20000

static size_t page_up(size_t n)
{
	return (n + SLOTS_PAGE_BYTES - 1) / SLOTS_PAGE_BYTES * SLOTS_PAGE_BYTES;
}

static size_t power_of_two(size_t n)
{
	size_t size = SLOTS_MIN;

	while (size < n && size < SLOTS_MAX) {
		size *= 2;
	}
	return size;
}

static void fill_head(void *start, void *owner)
{
	struct slots_head *head = start;
	const struct slots *slots = owner;

	head->n_slots = slots->mask + 1;
}

void slots_lay_out(struct slots *slots, const struct slots_options *options, struct shm_kind *ret)
{
	size_t n = power_of_two(options->n);
	size_t ends_offset = SLOTS_PAGE_BYTES + page_up(n * sizeof(*slots->words));
	size_t n_ends = n / SLOTS_PER_ENDS;

	slots->mask = n - 1;
	slots->n_extra = options->n_extra;
	slots->n_lazy = options->n_lazy;
	slots->records_offset = ends_offset + page_up(n_ends * sizeof(*slots->ends));
	slots->marks_offset =
		slots->records_offset + page_up(SLOTS_RECORDS * sizeof(*slots->records));
	slots->marks_bytes = page_up((n + 63) / 64 * sizeof(uint64_t));
	slots->extra_offset = slots->marks_offset + SLOTS_RECORDS * slots->marks_bytes;
	slots->lazy_offset = slots->extra_offset + page_up(slots->n_extra);
	*ret = (struct shm_kind){
		.magic = "towerSL",
		.format = SLOTS_FORMAT,
		.n_bytes = slots->lazy_offset + page_up(slots->n_lazy),
		.n_backed = slots->records_offset,
		.group = options->group,
		.fill = fill_head,
		.owner = slots,
	};
}

static void point(struct slots *slots)
{
	char *start = slots->shm.start;
	size_t n = slots->mask + 1;

	slots->head = slots->shm.start;
	slots->words = (_Atomic uint64_t *)(start + SLOTS_PAGE_BYTES);
	slots->ends = (struct slots_ends *)(start + SLOTS_PAGE_BYTES +
					    page_up(n * sizeof(*slots->words)));
	slots->records = (struct slots_record *)(start + slots->records_offset);
}

static bool attach_private(struct slots *slots, size_t n_bytes)
{
	void *start = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (start == MAP_FAILED) {
		return false;
	}
	slots->shm.start = start;
	slots->shm.n_bytes = n_bytes;
	fill_head(start, slots);
	return true;
}

static bool attach(struct slots *slots, const struct slots_options *options, const char **ret_why)
{
	struct shm_kind kind;
	enum shm_status status;

	slots_lay_out(slots, options, &kind);
	slots->shared = options->path != NULL;
	if (!slots->shared) {
		*ret_why = "has no memory";
		return attach_private(slots, kind.n_bytes);
	}
	status = shm_attach(&slots->shm, options->path, &kind);
	if (status != SHM_OK) {
		*ret_why = shm_why(status);
		return false;
	}
	return true;
}

struct slots *slots_open(const struct slots_options *options, const char **ret_why)
{
	struct slots *slots = calloc(1, sizeof(*slots));

	*ret_why = "has no memory";
	if (slots == NULL || !attach(slots, options, ret_why)) {
		free(slots);
		return NULL;
	}
	point(slots);
	lock_init(&slots->doubts_lock, LOCK_RANK_DOUBTS);
	slots->doubts_until_ns = CLOCK_NEVER;
	slots_claim(slots);
	return slots;
}

void slots_close(struct slots **slots)
{
	struct slots *s = *slots;

	if (s == NULL) {
		return;
	}
	/* Nothing is in flight any more: the records may go to the next process. */
	for (uint32_t i = 0; i < s->n_own; i++) {
		atomic_store(&s->own[i]->owner, 0);
	}
	shm_detach(&s->shm);
	lock_done(&s->doubts_lock);
	free(s->doubt_counts);
	free(s);
	*slots = NULL;
}

static uint64_t token(const struct slots *slots, uint64_t word)
{
	return slots_token(slots_flushes(slots), word);
}

/*
 * Acquire keeps everything that the reader does next behind the two loads.  That
 * the leave of an acknowledged write is seen needs no more: the addition was
 * complete before the writer returned, and whatever told this reader of the
 * acknowledgement orders the load after it.
 */
uint64_t slots_load(struct slots *slots, uint64_t hash)
{
	size_t slot = hash & slots->mask;
	uint64_t word = atomic_load_explicit(&slots->words[slot], memory_order_acquire);
	int64_t from = atomic_load_explicit(&slots->head->flush_from_ns, memory_order_acquire);

	if ((word & SLOTS_IN_FLIGHT) && !fault_planted(FAULT_no_in_flight_check)) {
		slots_met_busy(slots, slot);
		return LAYER_SLOT_BUSY;
	}
	if (from && clock_now_ns() >= from) {
		return LAYER_SLOT_BUSY;
	}
	return token(slots, word);
}

/* What a planted fault takes away from both. */
static uint64_t version_lost(const struct slots *slots)
{
	return fault_planted(FAULT_off_keeps_version) && slots_off(slots) ? SLOTS_VERSION : 0;
}

static uint64_t enter_adds(const struct slots *slots)
{
	if (fault_planted(FAULT_bump_before_only)) {
		return SLOTS_VERSION;
	}
	if (fault_planted(FAULT_lost_invalidation)) {
		return 0;
	}
	return fault_planted(FAULT_bump_after_only) ? 0 : SLOTS_ENTER - version_lost(slots);
}

static uint64_t leave_adds(const struct slots *slots)
{
	if (fault_planted(FAULT_bump_before_only) || fault_planted(FAULT_lost_invalidation)) {
		return 0;
	}
	return fault_planted(FAULT_bump_after_only) ? SLOTS_VERSION
						    : SLOTS_LEAVE - version_lost(slots);
}

/*
 * Waits until nobody owns the slot; `give_up_ns` is when it goes on without, as
 * the first wait decided (0: not yet).
 */
static void wait_for_owner(struct slots *slots, size_t slot, int64_t *give_up_ns)
{
	struct timespec pause = { .tv_nsec = OWNER_PAUSE_NS };
	int64_t now = clock_now_ns();

	*give_up_ns = *give_up_ns ? *give_up_ns : now + SLOTS_OWN_NS;
	while ((atomic_load(&slots->words[slot]) & SLOTS_OWNED) && now < *give_up_ns) {
		slots_met_busy(slots, slot);
		nanosleep(&pause, NULL);
		now = clock_now_ns();
	}
}

/* False: somebody owns the slot, and it is not yet time to take that from it. */
static bool add_write(struct slots *slots, size_t slot, int64_t give_up_ns, uint64_t *ret_before)
{
	uint64_t before = atomic_load(&slots->words[slot]);
	uint64_t after;

	do {
		if ((before & SLOTS_OWNED) && (!give_up_ns || clock_now_ns() < give_up_ns)) {
			return false;
		}
		after = (before & ~SLOTS_OWNED) + enter_adds(slots);
	} while (!atomic_compare_exchange_weak(&slots->words[slot], &before, after));
	*ret_before = before;
	return true;
}

/* Release is enough: slots_file.h. */
static void set_entry(_Atomic uint64_t *entry, uint64_t word)
{
	if (entry) {
		atomic_store_explicit(entry, word, memory_order_release);
	}
}

static void free_entry(_Atomic uint64_t *entry)
{
	set_entry(entry, slots_entry_word(0, SLOTS_FREE));
}

void slots_expect(const struct slots *slots, uint64_t hash)
{
	__builtin_prefetch((const void *)&slots->words[hash & slots->mask], 1);
	slots_expect_end(slots, hash);
}

void slots_enter(struct slots *slots, uint64_t hash, int64_t deadline_ns,
		 struct slots_ticket *ret_ticket)
{
	size_t slot = hash & slots->mask;
	uint64_t second = slots_second(deadline_ns);
	int64_t give_up_ns = 0;
	_Atomic uint64_t *entry;
	uint64_t before;

	for (;;) {
		entry = slots_take_entry(
			slots, slots_entry_ending(slots_entry_word(slot, SLOTS_UNSURE), second));
		if (entry == NULL) {
			/* Before the word: a repair that sees it must not count without us. */
			atomic_store(&slots->head->unrecorded, 1);
		}
		ret_ticket->flushes = slots_flushes(slots);
		if (add_write(slots, slot, give_up_ns, &before)) {
			break;
		}
		/* Not while waiting: an unsure entry keeps others from repairing. */
		free_entry(entry);
		wait_for_owner(slots, slot, &give_up_ns);
	}
	set_entry(entry, slots_entry_ending(slots_entry_word(slot, SLOTS_ENTERED), second));
	ret_ticket->slot = slot;
	ret_ticket->alone = (before & SLOTS_IN_FLIGHT) == 0;
	ret_ticket->entered = (before & ~SLOTS_OWNED) + enter_adds(slots);
	ret_ticket->entry = entry;
	if (!ret_ticket->alone) {
		slots_met_busy(slots, slot);
	}
}

/* --- owning --- */

/* Those that were killed meanwhile are waited for only so long. */
static bool is_flushing(const struct slots_head *head)
{
	return atomic_load(&head->flushers) != 0 &&
	       clock_now_ns() < atomic_load(&head->flushing_until_ns);
}

/*
 * Whether nobody flushes.  After the slot was owned: whoever flushes announces it
 * first and looks for owners then, so that one of the two sees the other.
 */
static bool may_own(const struct slots *slots, uint64_t flushes)
{
	return flushes == slots_flushes(slots) && !slots_flush_pending(slots) &&
	       !is_flushing(slots->head);
}

bool slots_own(struct slots *slots, const struct slots_ticket *ticket)
{
	uint64_t entered = ticket->entered;

	if (!ticket->alone || (entered & SLOTS_OWNED) ||
	    !atomic_compare_exchange_strong(&slots->words[ticket->slot], &entered,
					    entered | SLOTS_OWNED)) {
		return false;
	}
	if (!may_own(slots, ticket->flushes)) {
		slots_disown(slots, ticket);
		return false;
	}
	return true;
}

bool slots_disown(struct slots *slots, const struct slots_ticket *ticket)
{
	return atomic_fetch_and(&slots->words[ticket->slot], ~SLOTS_OWNED) & SLOTS_OWNED;
}

bool slots_enter_owning(struct slots *slots, uint64_t hash, uint64_t seen,
			struct slots_ticket *ret_ticket)
{
	size_t slot = hash & slots->mask;
	_Atomic uint64_t *entry = slots_take_entry(slots, slots_entry_word(slot, SLOTS_UNSURE));
	uint64_t before = atomic_load(&slots->words[slot]);
	bool is_ours;

	if (entry == NULL) {
		return false;
	}
	ret_ticket->flushes = slots_flushes(slots);
	ret_ticket->slot = slot;
	ret_ticket->entry = entry;
	ret_ticket->alone = true;
	ret_ticket->entered = before + SLOTS_ENTER;
	is_ours = (before & SLOTS_IN_FLIGHT) == 0 && token(slots, before) == seen &&
		  atomic_compare_exchange_strong(&slots->words[slot], &before,
						 ret_ticket->entered | SLOTS_OWNED);
	if (is_ours) {
		set_entry(entry, slots_entry_word(slot, SLOTS_ENTERED));
	} else {
		free_entry(entry);
	}
	if (is_ours && !may_own(slots, ret_ticket->flushes)) {
		slots_disown(slots, ret_ticket);
		slots_leave(slots, ret_ticket);
		return false;
	}
	return is_ours;
}

void slots_flush_begin(struct slots *slots)
{
	struct timespec pause = { .tv_nsec = OWNER_PAUSE_NS };
	int64_t give_up = clock_now_ns() + SLOTS_OWN_NS;
	int64_t until = atomic_load(&slots->head->flushing_until_ns);

	while (until < give_up + SLOTS_DOUBT_NS &&
	       !atomic_compare_exchange_weak(&slots->head->flushing_until_ns, &until,
					     give_up + SLOTS_DOUBT_NS)) {
	}
	atomic_fetch_add(&slots->head->flushers, 1);
	for (size_t i = 0; i <= slots->mask; i++) {
		while ((atomic_load(&slots->words[i]) & SLOTS_OWNED) && clock_now_ns() < give_up) {
			nanosleep(&pause, NULL);
		}
	}
}

void slots_flush_end(struct slots *slots)
{
	atomic_fetch_sub(&slots->head->flushers, 1);
}

bool slots_alone(const struct slots *slots, const struct slots_ticket *ticket)
{
	return ticket->alone && atomic_load(&slots->words[ticket->slot]) == ticket->entered;
}

uint64_t slots_leave(struct slots *slots, const struct slots_ticket *ticket)
{
	uint64_t adds = leave_adds(slots);
	uint64_t before;

	set_entry(ticket->entry, slots_entry_word(ticket->slot, SLOTS_UNSURE));
	before = atomic_fetch_add(&slots->words[ticket->slot], adds);
	free_entry(ticket->entry);
	/* What was written before a flush is gone, though nobody else entered the slot. */
	if (!ticket->alone || before != ticket->entered ||
	    ticket->flushes != slots_flushes(slots)) {
		return LAYER_SLOT_BUSY;
	}
	return token(slots, before + adds);
}

static bool back(const struct slots *slots, size_t offset, size_t n)
{
	return !slots->shared || shm_back(&slots->shm, offset, n);
}

void *slots_extra(struct slots *slots)
{
	void *known = atomic_load(&slots->extra);

	if (known == NULL && slots->n_extra && back(slots, slots->extra_offset, slots->n_extra)) {
		known = (char *)slots->shm.start + slots->extra_offset;
		atomic_store(&slots->extra, known);
	}
	return known;
}

void *slots_lazy(struct slots *slots)
{
	uint32_t before = atomic_load(&slots->head->lazy);
	uint32_t after;

	if (slots->n_lazy == 0) {
		return NULL;
	}
	if (before == SLOTS_LAZY_UNASKED) {
		after = back(slots, slots->lazy_offset, slots->n_lazy) ? SLOTS_LAZY_BACKED
								       : SLOTS_LAZY_NEVER;
		if (atomic_compare_exchange_strong(&slots->head->lazy, &before, after)) {
			before = after;
		}
		if (after == SLOTS_LAZY_NEVER && before == SLOTS_LAZY_NEVER) {
			/* Others may need what there was of it. */
			shm_unback(&slots->shm, slots->lazy_offset, slots->n_lazy);
		}
	}
	return before == SLOTS_LAZY_BACKED ? (char *)slots->shm.start + slots->lazy_offset : NULL;
}

bool slots_is_shared(const struct slots *slots)
{
	return slots->shared;
}

/* --- flushing --- */

void slots_flush(struct slots *slots)
{
	atomic_fetch_add(&slots->head->flushes, 1);
}

uint64_t slots_flushes(const struct slots *slots)
{
	return atomic_load_explicit(&slots->head->flushes, memory_order_acquire) & SLOTS_FLUSHES;
}

void slots_flush_later(struct slots *slots, int64_t from_ns, int64_t until_ns)
{
	struct slots_head *head = slots->head;
	int64_t from = atomic_load(&head->flush_from_ns);
	int64_t until = atomic_load(&head->flush_until_ns);

	while (until < until_ns &&
	       !atomic_compare_exchange_weak(&head->flush_until_ns, &until, until_ns)) {
	}
	while ((from == 0 || from > from_ns) &&
	       !atomic_compare_exchange_weak(&head->flush_from_ns, &from, from_ns)) {
	}
}

bool slots_flush_pending(const struct slots *slots)
{
	return atomic_load_explicit(&slots->head->flush_from_ns, memory_order_acquire) != 0;
}

bool slots_flush_due(const struct slots *slots)
{
	const struct slots_head *head = slots->head;

	return slots_flush_pending(slots) && clock_now_ns() >= atomic_load(&head->flush_until_ns) &&
	       !is_flushing(head);
}

void slots_flush_done(struct slots *slots)
{
	struct slots_head *head = slots->head;
	int64_t from = atomic_load(&head->flush_from_ns);
	int64_t until;

	if (from == 0 || !slots_flush_due(slots) ||
	    !atomic_compare_exchange_strong(&head->flush_from_ns, &from, 0)) {
		return;
	}
	/* One that was announced between the two is not done. */
	until = atomic_load(&head->flush_until_ns);
	if (until > clock_now_ns()) {
		slots_flush_later(slots, from, until);
	}
}
