/* The walk of a write: what every layer hears of it, and when. */
#include "core/tower_private.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/quiet.h"
#include "core/budget.h"
#include "core/expiry.h"
#include "core/open_writes.h"
#include "core/timing.h"
#include "layers/probes.h"

/*
 * Private layers, after the slot was left.  What one that is switched off holds
 * is void, because the slot has changed.
 */
static void tell(struct tower *tower, const struct layer_write *write)
{
	for (uint8_t i = 0; i < tower->n_layers; i++) {
		const struct tower_layer *layer = &tower->layers[i];
		int64_t began;

		if (!(layer->ops->capabilities & LAYER_PRIVATE) ||
		    tower_layer_is_off(tower, layer)) {
			continue;
		}
		began = write->timed ? clock_now_ns() : 0;
		layer->ops->written(layer->layer, write);
		if (write->timed && write->outcome == LAYER_DONE) {
			timing_record(tower->stats, layer->stats, STATS_WRITE,
				      clock_now_ns() - began);
		}
	}
}

/* --- beside a deeper layer --- */

static void *plain_alloc(void *owner, size_t n)
{
	(void)owner;
	return quiet_realloc(NULL, n);
}

static void plain_free(void *owner, void *bytes)
{
	(void)owner;
	quiet_free(bytes);
}

/* memcached has lost what the deeper layer still has: true where it is back. */
static bool bring_back(struct tower *tower, struct layer_write *write,
		       const struct slots_ticket *ticket)
{
	static const struct layer_allocator plain = { plain_alloc, plain_free, NULL };
	const struct tower_layer *deep = tower_deep(tower);
	struct layer_item item = { .key = write->key };
	bool done;

	if (fault_planted(FAULT_not_brought_back) || write->stays_below ||
	    write->found != LAYER_FOUND_VALUE || !slots_alone(tower->slots, ticket) ||
	    slots_flush_pending(tower->slots) ||
	    !deep->ops->recall(deep->layer, write, &plain, &item)) {
		return false;
	}
	done = tower_put_back(tower, write, ticket, &item);
	quiet_free(item.value);
	return done;
}

static void call(struct tower *tower, struct layer_write *write)
{
	const struct tower_layer *authority = &tower->layers[tower->authority];
	int64_t began = write->timed ? clock_now_ns() : 0;

	authority->ops->write(authority->layer, write);
	write->again = true;
	if (write->timed && write->outcome != LAYER_UNSENT) {
		timing_record(tower->stats, authority->stats, STATS_WRITE, clock_now_ns() - began);
	}
}

/* A step of the deeper layer. */
static void step(const struct tower_layer *deep,
		 void (*operation)(struct layer *, struct layer_write *), struct layer_write *write)
{
	int64_t began = write->timed ? clock_now_ns() : 0;

	operation(deep->layer, write);
	if (write->timed) {
		write->deep_ns += clock_now_ns() - began;
	}
}

static bool creates(const struct layer_write *write)
{
	return (write->verb == LAYER_INCREMENT || write->verb == LAYER_DECREMENT) &&
	       write->changes_expiry;
}

/*
 * An add of a key that memcached has lost and that cannot go back there: it is there
 * for the program, all the same.
 */
static bool is_refused_below(struct tower *tower, struct layer_write *write,
			     const struct slots_ticket *ticket)
{
	write->is_below = write->stays_below && write->awaited &&
			  write->found == LAYER_FOUND_VALUE && slots_alone(tower->slots, ticket);
	if (write->is_below) {
		write->outcome = LAYER_REFUSED;
	}
	return write->is_below;
}

/* The planted fault: Redis has the new value before memcached does. */
static void commit_early(const struct tower_layer *deep, struct layer_write *write)
{
	deep->ops->mark(deep->layer, write);
	deep->ops->marked(deep->layer, write);
	write->outcome = LAYER_DONE;
	write->alone = true;
	deep->ops->commit(deep->layer, write);
}

/*
 * The program's call beside the mark.  Where memcached has lost the key and the
 * deeper layer has it, the value goes back and the call is repeated: to the
 * program both are one memcached.
 */
static void call_beside(struct tower *tower, const struct tower_layer *deep,
			struct layer_write *write, const struct slots_ticket *ticket)
{
	if (write->verb == LAYER_ADD && deep->ops->look) {
		deep->ops->look(deep->layer, write);
		if (is_refused_below(tower, write, ticket)) {
			step(deep, deep->ops->marked, write);
			return;
		}
		bring_back(tower, write, ticket);
	}
	if (fault_planted(FAULT_value_before)) {
		commit_early(deep, write);
		call(tower, write);
		return;
	}
	step(deep, deep->ops->mark, write);
	write->no_create = creates(write) && !write->stays_below;
	call(tower, write);
	step(deep, deep->ops->marked, write);
	if (!write->absent) {
		return;
	}
	if (write->verb == LAYER_DELETE) {
		if (write->found == LAYER_FOUND_VALUE && slots_alone(tower->slots, ticket)) {
			write->outcome = LAYER_DONE;
		}
		return;
	}
	if (bring_back(tower, write, ticket)) {
		call(tower, write);
	}
	if (write->absent && write->no_create) {
		write->no_create = false;
		call(tower, write);
		write->created = true;
		write->found = LAYER_FOUND_NOTHING;
	}
}

/* --- the write --- */

/* Waiting for lines of the processor's cache would cost a write more than all the rest. */
static void expect(const struct tower *tower, const struct layer_key *key, bool again)
{
	const struct tower_layer *first = &tower->layers[0];

	if (!again) {
		slots_expect(tower->slots, key->hash);
	}
	if (first->ops->expect) {
		first->ops->expect(first->layer, key, again);
	}
}

static void enter(struct tower *tower, struct layer_write *write, int64_t deadline_ns,
		  struct slots_ticket *ret_ticket)
{
	const struct tower_layer *deep = tower_deep(tower);

	if (deep) {
		deep->ops->announce(deep->layer, write);
	}
	slots_enter(tower->slots, write->key.hash, deadline_ns, ret_ticket);
	open_writes_add(tower->slots, ret_ticket);
	expect(tower, &write->key, true);
}

/* Only a writer that is alone knows that its expiry is the one in force. */
static void note_end(struct tower *tower, const struct layer_write *write,
		     const struct slots_ticket *ticket)
{
	uint64_t hash = write->key.hash;
	bool also = write->outcome == LAYER_UNCERTAIN || write->may_keep_expiry ||
		    !slots_alone(tower->slots, ticket);
	int64_t before = slots_note_end(tower->slots, hash, write->deadline_ns, also);

	/* That may have been noted just now by one who came in between. */
	if (before != CLOCK_NEVER && !slots_alone(tower->slots, ticket)) {
		slots_note_end(tower->slots, hash, before, true);
	}
}

/* What is shared by many hears of the end after the slot was left, and only then. */
static void leave(struct tower *tower, struct layer_write *write, const struct slots_ticket *ticket,
		  struct slots_doubts **doubts)
{
	const struct tower_layer *deep = tower_deep(tower);
	enum layer_outcome outcome = write->outcome;

	if (write->changes_expiry && (outcome == LAYER_DONE || outcome == LAYER_UNCERTAIN)) {
		note_end(tower, write, ticket);
	}
	if (deep && deep->ops->leaving) {
		deep->ops->leaving(deep->layer, write);
	}
	write->slot = LAYER_SLOT_BUSY;
	if (!open_writes_close(ticket)) {
		write->slot = LAYER_SLOT_BUSY;
	} else if (outcome == LAYER_UNCERTAIN) {
		slots_doubt(tower->slots, ticket, doubts);
	} else {
		write->slot = slots_leave(tower->slots, ticket);
	}
	if (deep) {
		write->alone = write->slot != LAYER_SLOT_BUSY && !slots_flush_pending(tower->slots);
		step(deep, deep->ops->commit, write);
		if (write->timed && outcome == LAYER_DONE) {
			timing_record(tower->stats, deep->stats, STATS_WRITE, write->deep_ns);
		}
	}
	probe_write(write->verb, &write->key, write->n_value, outcome);
	budget_keep(tower);
	tell(tower, write);
	if (tower->held.n && outcome == LAYER_DONE && layer_stores(write->verb)) {
		tower_hold(tower, &write->key, write->slot, write->deadline_ns);
	}
}

/* What has happened, or will as far as anybody knows. */
static void record(struct tower *tower, const struct layer_write *write)
{
	enum trace_file_operation operation = TRACE_FILE_CHANGE;

	if (write->outcome != LAYER_DONE && write->outcome != LAYER_UNCERTAIN) {
		return;
	}
	if (write->verb == LAYER_DELETE) {
		operation = TRACE_FILE_DELETE;
	} else if (write->verb == LAYER_SET || write->verb == LAYER_ADD ||
		   write->verb == LAYER_REPLACE || write->verb == LAYER_CAS) {
		operation = TRACE_FILE_SET;
	}
	recorder_record(tower->recorder, operation, write->key.hash,
			operation == TRACE_FILE_SET ? write->n_value : 0);
}

void tower_write(struct tower *tower, struct layer_write *write, struct slots_doubts **doubts)
{
	const struct tower_layer *deep = tower_deep(tower);
	struct slots_ticket ticket;

	expect(tower, &write->key, false);
	tower_keep_up(tower);
	write->timed = timing_walk();
	if (write->changes_expiry) {
		int64_t exptime = expiry_cap(write->exptime, tower->config.memcached_ttl);

		write->capped = exptime != write->exptime;
		write->exptime = exptime;
	}
	/* Before the call: the value must not outlive memcached's, which counts from later on. */
	write->deadline_ns = expiry_deadline_ns(write->exptime);
	enter(tower, write, write->changes_expiry ? write->deadline_ns : CLOCK_NEVER, &ticket);
	if (deep) {
		call_beside(tower, deep, write, &ticket);
	} else {
		call(tower, write);
	}
	leave(tower, write, &ticket, doubts);
	if (tower->recorder) {
		record(tower, write);
	}
}

void tower_change(struct tower *tower, const struct layer_key *key, int64_t exptime,
		  enum layer_outcome (*change)(void *), void *arg, struct slots_doubts **doubts)
{
	const struct tower_layer *deep = tower_deep(tower);
	struct layer_write write = { .verb = LAYER_TOUCH, .key = *key };
	struct slots_ticket ticket;

	expect(tower, key, false);
	tower_keep_up(tower);
	write.deadline_ns = expiry_deadline_ns(exptime);
	enter(tower, &write, write.deadline_ns, &ticket);
	if (deep) {
		deep->ops->mark(deep->layer, &write);
	}
	write.outcome = change(arg);
	if (write.deadline_ns != CLOCK_NEVER && write.outcome != LAYER_UNSENT) {
		slots_note_end(tower->slots, key->hash, write.deadline_ns, true);
	}
	if (write.outcome != LAYER_UNCERTAIN && write.outcome != LAYER_UNSENT) {
		write.outcome = LAYER_DROPPED;
	}
	if (deep) {
		deep->ops->marked(deep->layer, &write);
	}
	leave(tower, &write, &ticket, doubts);
}
