#include "core/open_writes.h"

#include <stdint.h>

/* A write inside a callback of a write, and so on; those beyond are not kept. */
#define OPEN_MAX 8

static __thread struct {
	unsigned n;
	struct slots *slots;
	struct {
		const struct slots_ticket *at;
		struct slots_ticket ticket;
	} open[OPEN_MAX];
} writes;

void open_writes_add(struct slots *slots, const struct slots_ticket *ticket)
{
	if (writes.n < OPEN_MAX) {
		writes.slots = slots;
		writes.open[writes.n].ticket = *ticket;
		writes.open[writes.n].at = ticket;
		writes.n++;
	}
}

bool open_writes_close(const struct slots_ticket *ticket)
{
	unsigned i = writes.n;

	while (i > 0 && writes.open[i - 1].at != ticket) {
		i--;
	}
	if (i == 0) {
		/* Only where there was no room it was never here. */
		return writes.n == OPEN_MAX;
	}
	writes.n = i - 1;
	return true;
}

void open_writes_abandon(const void *end)
{
	while (writes.n && (uintptr_t)writes.open[writes.n - 1].at < (uintptr_t)end) {
		writes.n--;
		slots_orphan(writes.slots, &writes.open[writes.n].ticket);
	}
}

void open_writes_child(void)
{
	writes.n = 0;
}
