#include "layers/memory_log.h"

#include <string.h>
#include <unistd.h>

#include "base/pages.h"

/*
 * From such a limit on huge pages are asked for: a hit at a random place then waits for
 * one miss of the processor's less (362 ns and 289 ns with a million entries).  In a
 * smaller ring they would hold too much more than is in use, at both ends.
 */
#define HUGE_LIMIT_MIN (UINT64_C(256) << 20)

#define RING_MIN (UINT64_C(64) << 10)

/* Behind the ring one page may be read (MEMORY_RING_SPARE). */
static uint64_t mapped_bytes(uint64_t size)
{
	return size + (uint64_t)sysconf(_SC_PAGESIZE);
}

bool memory_log_open(struct memory_log *log, uint64_t limit)
{
	uint64_t size = RING_MIN;
	void *ring;

	if (limit > UINT64_MAX / 4) {
		return false;
	}
	while (size < limit) {
		size *= 2;
	}
	ring = pages_map(mapped_bytes(size), limit >= HUGE_LIMIT_MIN);
	if (ring == NULL) {
		return false;
	}
	log->ring = ring;
	log->mask = size - 1;
	log->page = limit >= HUGE_LIMIT_MIN ? PAGES_HUGE_BYTES : (uint64_t)sysconf(_SC_PAGESIZE);
	memory_log_limit(log, limit);
	/* Not 0: the word of place 0 would be that of no entry. */
	log->tail = size;
	log->released = size;
	atomic_store(&log->head, size);
	return true;
}

void memory_log_close(struct memory_log *log)
{
	if (log->ring) {
		pages_unmap(log->ring, mapped_bytes(log->mask + 1));
	}
}

uint64_t memory_log_head(const struct memory_log *log, uint64_t place, struct memory_head *ret)
{
	uint64_t left = log->mask + 1 - (place & log->mask);

	if (left >= sizeof(*ret)) {
		memcpy(ret, memory_log_at(log, place), sizeof(*ret));
	} else {
		/* Less than a head is left for a filler only. */
		memset(ret, 0, sizeof(*ret));
		memcpy(ret, memory_log_at(log, place), left);
	}
	return memory_kind(ret) == MEMORY_FILLER
		       ? memory_n_value(ret) * MEMORY_UNIT
		       : memory_log_size(memory_n_key(ret), memory_n_value(ret),
					 memory_kind(ret) == MEMORY_ENTRY_WITH_CAS);
}

void memory_log_void(struct memory_log *log, uint64_t place, uint64_t size)
{
	char *bytes = log->ring + (place & log->mask);
	struct memory_head head = { .what = racy_word(bytes) };

	/* The flags stay, for those who are reading. */
	head.what = memory_what(MEMORY_FILLER, size / MEMORY_UNIT, memory_flags(&head));
	racy_write_word(bytes, head.what);
}

/* What is left up to the ring's end. */
static uint64_t to_the_end(const struct memory_log *log)
{
	return log->mask + 1 - (log->tail & log->mask);
}

uint64_t memory_log_needs(const struct memory_log *log, uint64_t size)
{
	uint64_t left = to_the_end(log);

	return left < size ? left + size : size;
}

void memory_log_pass(struct memory_log *log, uint64_t size)
{
	uint64_t head = atomic_load_explicit(&log->head, memory_order_relaxed) + size;

	atomic_store_explicit(&log->head, head, memory_order_relaxed);
	/* Nothing that overwrites the entry is seen before the head that passed it. */
	atomic_thread_fence(memory_order_release);
}

void memory_log_pass_all(struct memory_log *log)
{
	memory_log_pass(log, log->tail - atomic_load_explicit(&log->head, memory_order_relaxed));
}

/* From one place to another, whole pages; they may lie on both sides of the ring's end. */
static void give_back(const struct memory_log *log, uint64_t from, uint64_t to)
{
	uint64_t left = log->mask + 1 - (from & log->mask);

	if (to - from > left) {
		pages_release(log->ring + (from & log->mask), left);
		from += left;
	}
	pages_release(log->ring + (from & log->mask), to - from);
}

static uint64_t round_down(uint64_t n, uint64_t unit)
{
	return n & ~(unit - 1);
}

static uint64_t round_up(uint64_t n, uint64_t unit)
{
	return round_down(n + unit - 1, unit);
}

/* What is in memory behind the hole's own head. */
static void give_hole_back(struct memory_log *log)
{
	uint64_t from = round_up((log->hole & log->mask) + MEMORY_UNIT, log->page);

	if (from < log->reach) {
		pages_release(log->ring + from, round_up(log->reach, log->page) - from);
		log->reach = from;
	}
}

/* What the last huge page holds beyond the tail goes back; more of them will not come. */
static void leave_huge_pages(struct memory_log *log, uint64_t page)
{
	uint64_t from = round_up(log->tail, page);
	uint64_t to = round_up(log->tail, PAGES_HUGE_BYTES);
	uint64_t end = round_down(atomic_load_explicit(&log->head, memory_order_relaxed), page) +
		       log->mask + 1;

	pages_no_huge(log->ring, log->mask + 1);
	log->page = page;
	to = to < end ? to : end;
	if (from < to) {
		give_back(log, from, to);
	}
	/* And of the one in which the hole begins, unless the tail has come there again. */
	if (log->hole_end && log->tail <= log->hole + log->mask + 1) {
		log->reach = log->mask + 1;
		give_hole_back(log);
	}
}

void memory_log_limit(struct memory_log *log, uint64_t limit)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	if (limit < HUGE_LIMIT_MIN && log->page > page) {
		leave_huge_pages(log, page);
	}
	log->piece = limit / MEMORY_RELEASE_PART;
	if (log->piece < log->page) {
		log->piece = log->page;
	}
}

/*
 * Where the budget is smaller than the address space the ring wanders through
 * all of it, and the pages behind the head must go.  Those a whole ring behind
 * the tail are in use again.
 */
void memory_log_release(struct memory_log *log, uint64_t spare)
{
	uint64_t head = atomic_load_explicit(&log->head, memory_order_relaxed);
	uint64_t to = round_down(head, log->page);
	uint64_t oldest = round_up(log->tail - (log->mask + 1), log->page);
	uint64_t soon = memory_log_used(log) / MEMORY_GROW_PART;
	uint64_t kept;

	if (log->released < oldest) {
		log->released = oldest;
	}
	if (log->released >= to) {
		return;
	}
	kept = to - log->released;
	if (log->released < log->hole_end && log->hole_end <= to) {
		kept -= log->hole_end - (log->hole < log->released ? log->released : log->hole);
	}
	if (kept >= log->piece + (soon < spare ? soon : spare)) {
		give_back(log, log->released, to);
		log->released = to;
	}
}

void memory_log_turn(struct memory_log *log, uint64_t size, uint64_t spare)
{
	uint64_t head = atomic_load_explicit(&log->head, memory_order_relaxed);
	uint64_t room = head & log->mask;
	uint64_t left = to_the_end(log);
	bool is_one_piece = ((head ^ log->tail) & ~log->mask) == 0;
	bool is_all = room >= spare;

	if (is_one_piece && room >= size && room >= log->piece / 2 &&
	    (is_all || room >= (log->tail - head) / MEMORY_GROW_PART) &&
	    left / MEMORY_UNIT < MEMORY_VALUE_LIMIT) {
		memory_log_void(log, log->tail, left);
		log->hole = log->tail;
		log->hole_end = log->tail + left;
		log->may_grow = !is_all;
		log->tail = log->hole_end;
		give_hole_back(log);
	}
}

uint64_t memory_log_put(struct memory_log *log, uint64_t size)
{
	uint64_t left = to_the_end(log);
	uint64_t place;

	if (left < size) {
		memory_log_void(log, log->tail, left);
		log->tail += left;
	}
	place = log->tail;
	log->tail += size;
	if (log->reach < (place & log->mask) + size) {
		log->reach = (place & log->mask) + size;
	}
	atomic_store_explicit(&log->next, log->tail, memory_order_relaxed);
	return place;
}

void memory_log_clear(struct memory_log *log)
{
	atomic_store_explicit(&log->head, log->tail, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	pages_release(log->ring, log->mask + 1);
	log->released = round_down(log->tail, log->page);
	log->hole = 0;
	log->hole_end = 0;
	log->reach = 0;
}
