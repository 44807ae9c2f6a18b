/*
 * open_writes.h - the slots that a thread has entered and not left yet.
 *
 * A call may never come back: a handler of the program jumps out of it, the thread is
 * cancelled, an exception passes.  The ticket of a write would be lost with the
 * stack, and its slot stay busy as long as the process lives.  So tickets are
 * kept here, too, one behind the other, and those that were left behind become
 * doubts.
 *
 * All of it is of the calling thread alone.
 */
#ifndef TOWER_CORE_OPEN_WRITES_H
#define TOWER_CORE_OPEN_WRITES_H

#include <stdbool.h>

#include "core/slots.h"

/* After slots_enter(); `ticket` lies on the stack until open_writes_close(). */
void open_writes_add(struct slots *slots, const struct slots_ticket *ticket);

/* Before leaving the slot.  False: it was taken for left behind, and must not be left. */
bool open_writes_close(const struct slots_ticket *ticket);

/* Tickets below `end` on the stack were left behind. */
void open_writes_abandon(const void *end);

/* In the child of a fork: what was open is the parent's. */
void open_writes_child(void);

#endif
