#include "layers/memory_log.h"

#include <unistd.h>

#include "base/pages.h"

/* Pages behind the head go back in so large a part of the ring, at least a page. */
#define RELEASE_PART 32

#define RING_MIN (UINT64_C(64) << 10)

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
	/* What is not yet or not any more in use of a page counts little in a large ring. */
	ring = pages_map(size, size / RELEASE_PART >= PAGES_HUGE_BYTES);
	if (ring == NULL) {
		return false;
	}
	log->ring = ring;
	log->mask = size - 1;
	/* madvise() rounds lengths up to whole pages, which are not 4 KiB everywhere. */
	log->piece = size / RELEASE_PART;
	if (log->piece < (uint64_t)sysconf(_SC_PAGESIZE)) {
		log->piece = (uint64_t)sysconf(_SC_PAGESIZE);
	}
	/* Not 0: the word of place 0 would be that of no entry. */
	log->tail = size;
	log->released = size;
	atomic_store(&log->head, size);
	return true;
}

void memory_log_close(struct memory_log *log)
{
	pages_unmap(log->ring, log->mask + 1);
}

uint64_t memory_log_size(size_t n_key, size_t n_value, bool has_cas)
{
	uint64_t size = sizeof(struct memory_head) + (has_cas ? sizeof(uint64_t) : 0) + n_key +
			(uint64_t)n_value;

	return (size + MEMORY_UNIT - 1) / MEMORY_UNIT * MEMORY_UNIT;
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

/*
 * Where the budget is smaller than the address space the ring wanders through
 * all of it, and the pages behind the head must go.  Those a whole ring behind
 * the tail are in use again.
 */
void memory_log_release(struct memory_log *log)
{
	uint64_t head = atomic_load_explicit(&log->head, memory_order_relaxed);
	uint64_t ring = log->mask + 1;
	uint64_t piece = log->piece;
	uint64_t oldest = (log->tail - ring + piece - 1) / piece * piece;

	if (log->released < oldest) {
		log->released = oldest;
	}
	while (log->released + piece <= head) {
		pages_release(log->ring + (log->released & log->mask), piece);
		log->released += piece;
	}
}

uint64_t memory_log_put(struct memory_log *log, uint64_t size)
{
	uint64_t left = to_the_end(log);
	uint64_t place;

	if (left < size) {
		const struct memory_head filler = {
			.n_units = (uint32_t)(left / MEMORY_UNIT),
			.kind = MEMORY_FILLER,
		};
		/* Less than a head may be left: then its beginning says all that is needed. */
		size_t n = left < sizeof(filler) ? left : sizeof(filler);

		racy_write(log->ring + (log->tail & log->mask), &filler, n);
		log->tail += left;
	}
	place = log->tail;
	log->tail += size;
	return place;
}

void memory_log_clear(struct memory_log *log)
{
	atomic_store_explicit(&log->head, log->tail, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	pages_release(log->ring, log->mask + 1);
}
