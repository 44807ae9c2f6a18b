/* What an operator sees of a table, and switches there, without being a process of its domain. */
#include "core/slots_file.h"

unsigned slots_off(const struct slots *slots)
{
	return (unsigned)(atomic_load_explicit(&slots->head->flushes, memory_order_acquire) >>
			  SLOTS_OFF_SHIFT);
}

bool slots_switch(const struct slots_options *options, unsigned off, unsigned on, unsigned *ret_off,
		  const char **ret_why)
{
	struct slots layout = { 0 };
	struct slots_head *head;
	struct shm_kind kind;
	enum shm_status status;

	slots_lay_out(&layout, options, &kind);
	status = shm_attach(&layout.shm, options->path, &kind);
	if (status != SHM_OK) {
		*ret_why = shm_why(status);
		return false;
	}
	head = layout.shm.start;
	atomic_fetch_or(&head->flushes, (uint64_t)off << SLOTS_OFF_SHIFT);
	atomic_fetch_and(&head->flushes, ~((uint64_t)on << SLOTS_OFF_SHIFT));
	*ret_off = (unsigned)(atomic_load(&head->flushes) >> SLOTS_OFF_SHIFT);
	shm_detach(&layout.shm);
	return true;
}

unsigned slots_switched_off(const struct slots_options *options)
{
	struct slots layout = { 0 };
	struct shm_kind kind;
	unsigned off = 0;

	slots_lay_out(&layout, options, &kind);
	if (shm_attach_readonly(&layout.shm, options->path, &kind) == SHM_OK) {
		const struct slots_head *head = layout.shm.start;

		off = (unsigned)(atomic_load(&head->flushes) >> SLOTS_OFF_SHIFT);
		shm_detach(&layout.shm);
	}
	return off;
}

enum shm_status slots_look(const struct slots_options *options, uint64_t hash,
			   struct slots_view *ret)
{
	struct slots layout = { 0 };
	struct shm_kind kind;
	const struct slots_head *head;
	const _Atomic uint64_t *words;
	enum shm_status status;

	slots_lay_out(&layout, options, &kind);
	status = shm_attach_readonly(&layout.shm, options->path, &kind);
	if (status != SHM_OK) {
		return status;
	}
	head = layout.shm.start;
	words = (const _Atomic uint64_t *)((const char *)layout.shm.start + SLOTS_PAGE_BYTES);
	ret->slot = hash & layout.mask;
	ret->in_flight = (unsigned)(atomic_load(&words[ret->slot]) & SLOTS_IN_FLIGHT);
	ret->off = (unsigned)(atomic_load(&head->flushes) >> SLOTS_OFF_SHIFT);
	shm_detach(&layout.shm);
	return SHM_OK;
}
