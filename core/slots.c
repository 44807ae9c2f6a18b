#include "core/slots.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "layers/layer.h"

/*
 * A slot's word: the version above, the number of writes in flight below.
 * Entering adds a version and a write, leaving adds a version and takes the
 * write back, so one addition does each.
 */
#define IN_FLIGHT_BITS 12
#define IN_FLIGHT ((UINT64_C(1) << IN_FLIGHT_BITS) - 1)
#define VERSION (UINT64_C(1) << IN_FLIGHT_BITS)
#define ENTER (VERSION + 1)
#define LEAVE (VERSION - 1)

/*
 * A token: flushes above, version below.  It repeats after 2^20 flushes or
 * 2^44 writes of one slot, long after any entry has ended.
 */
#define TOKEN_VERSION_BITS 44
#define TOKEN_VERSION ((UINT64_C(1) << TOKEN_VERSION_BITS) - 1)

struct slots {
	size_t mask;
	_Atomic uint64_t flushes;
	/* An announced flush; from_ns is 0 where there is none. */
	_Atomic int64_t from_ns;
	_Atomic int64_t until_ns;
	_Atomic uint64_t words[];
};

struct slots *slots_open(size_t n)
{
	size_t size = 2;
	struct slots *slots;

	while (size < n && size < ((size_t)1 << 24)) {
		size *= 2;
	}
	slots = calloc(1, sizeof(*slots) + size * sizeof(slots->words[0]));
	if (slots) {
		slots->mask = size - 1;
	}
	return slots;
}

void slots_close(struct slots **slots)
{
	free(*slots);
	*slots = NULL;
}

static uint64_t token(const struct slots *slots, uint64_t word)
{
	uint64_t flushes = atomic_load_explicit(&slots->flushes, memory_order_acquire);

	return flushes << TOKEN_VERSION_BITS | (word >> IN_FLIGHT_BITS & TOKEN_VERSION);
}

uint64_t slots_load(struct slots *slots, uint64_t hash)
{
	uint64_t word =
		atomic_load_explicit(&slots->words[hash & slots->mask], memory_order_acquire);
	int64_t from = atomic_load_explicit(&slots->from_ns, memory_order_acquire);

	if ((word & IN_FLIGHT) || (from && clock_now_ns() >= from)) {
		return LAYER_SLOT_BUSY;
	}
	return token(slots, word);
}

void slots_enter(struct slots *slots, uint64_t hash, struct slots_ticket *ret_ticket)
{
	size_t slot = hash & slots->mask;
	uint64_t before = atomic_fetch_add(&slots->words[slot], ENTER);

	ret_ticket->slot = slot;
	ret_ticket->alone = (before & IN_FLIGHT) == 0;
	ret_ticket->entered = before + ENTER;
}

uint64_t slots_leave(struct slots *slots, const struct slots_ticket *ticket)
{
	uint64_t before = atomic_fetch_add(&slots->words[ticket->slot], LEAVE);

	if (!ticket->alone || before != ticket->entered) {
		return LAYER_SLOT_BUSY;
	}
	return token(slots, before + LEAVE);
}

void slots_flush(struct slots *slots)
{
	atomic_fetch_add(&slots->flushes, 1);
}

void slots_flush_later(struct slots *slots, int64_t from_ns, int64_t until_ns)
{
	int64_t from = atomic_load(&slots->from_ns);
	int64_t until = atomic_load(&slots->until_ns);

	while (until < until_ns &&
	       !atomic_compare_exchange_weak(&slots->until_ns, &until, until_ns)) {
	}
	while ((from == 0 || from > from_ns) &&
	       !atomic_compare_exchange_weak(&slots->from_ns, &from, from_ns)) {
	}
}

bool slots_flush_pending(const struct slots *slots)
{
	return atomic_load_explicit(&slots->from_ns, memory_order_acquire) != 0;
}

bool slots_flush_due(struct slots *slots)
{
	int64_t from = atomic_load_explicit(&slots->from_ns, memory_order_acquire);

	if (from == 0 || clock_now_ns() < atomic_load(&slots->until_ns)) {
		return false;
	}
	/* Tokens change before the span ends, so that no reader slips between. */
	slots_flush(slots);
	return atomic_compare_exchange_strong(&slots->from_ns, &from, 0);
}
