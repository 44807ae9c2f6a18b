/*
 * Whether a mark was clean: what a writer must know where other domains, which are not
 * in its table of slots, write the same key (docs/DEEP-TIER.md, tests/model/hosts.pml).
 *
 * Its mark found no other's; nothing that is newer than the beginning of its own call;
 * in a generation that is older than that by a mark's life, so that whoever had marked
 * before it began has returned.  What was there so long ago that it is gone matters only
 * to a call that is late, which marks again and keeps nothing (redis_leaving()).
 *
 * A value under its writer's mark (redis_record.h) was begun under the simple rule, before
 * "several" was set.  Does that lie back a mark's life, the writer has returned, or has
 * marked again.
 *
 * When the call began is told by Redis' clock: TIME beside the mark, less the time since
 * then by our own.  Two clocks that are being adjusted differ by an eighth at
 * most (chrony slews by a twelfth); MARGIN_MS covers the milliseconds that are cut and
 * the command before the mark.  A clock that is set forward during the call is not covered.
 */
#include "base/digits.h"
#include "base/fault.h"
#include "layers/redis_write.h"

#define MARGIN_MS 10
#define DRIFT_DIVISOR 8

static uint64_t number_of(const struct redis_wire_reply *reply)
{
	uint64_t number = 0;

	for (size_t i = 0; i < reply->n; i++) {
		if (reply->bytes[i] < '0' || reply->bytes[i] > '9') {
			return 0;
		}
		number = number * 10 + (uint64_t)(reply->bytes[i] - '0');
	}
	return number;
}

/* Seconds, then microseconds. */
bool redis_clean_take_time(struct redis_clean *clean, const struct redis_wire_reply *reply)
{
	if (!reply->is_element) {
		return reply->type == REDIS_WIRE_ARRAY && reply->n == 2;
	}
	if (reply->type != REDIS_WIRE_STRING || reply->n > DIGITS_MAX) {
		return false;
	}
	if (reply->element == 0) {
		clean->time_ms = number_of(reply) * 1000;
	} else {
		clean->time_ms += number_of(reply) / 1000;
	}
	return true;
}

void redis_clean_take_record(struct redis_write *at, const struct redis_wire_reply *reply)
{
	at->clean.open = false;
	at->clean.simple = false;
	at->clean.found_ms = 0;
	at->pending = 0;
	if (reply->type != REDIS_WIRE_STRING) {
		return;
	}
	at->has_found =
		redis_record_parse(reply->bytes, reply->n, at->key.bytes, at->key.n, &at->found);
	if (at->has_found) {
		at->clean.found_ms = at->found.committed_ms;
	} else if (!redis_record_parse_closed(reply->bytes, reply->n, &at->clean.found_ms)) {
		at->clean.open = true;
		redis_record_parse_pending(reply->bytes, reply->n, &at->pending);
	}
}

void redis_clean_take_front(struct redis_write *at, const struct redis_wire_reply *reply)
{
	if (at->pending && reply->type == REDIS_WIRE_STRING &&
	    redis_record_parse_front(reply->bytes, reply->n, at->key.bytes, at->key.n,
				     &at->found) &&
	    redis_record_is_marked(&at->found, at->pending)) {
		at->has_found = true;
		at->clean.open = false;
		at->clean.simple = true;
	}
}

void redis_clean_answered(struct redis_write *at)
{
	int64_t waited_ns = clock_boot_ns() - at->began_ns;
	uint64_t waited_ms;

	waited_ns += waited_ns / DRIFT_DIVISOR;
	waited_ms = (uint64_t)(waited_ns / CLOCK_NS_PER_MS) + MARGIN_MS;
	if (at->session.layer->options.serial) {
		/* memcached was not called before. */
		waited_ms = 0;
	}
	at->clean.since_ms = at->clean.time_ms > waited_ms ? at->clean.time_ms - waited_ms : 0;
}

bool redis_is_clean(const struct redis_write *at)
{
	const struct redis_clean *clean = &at->clean;

	if (!at->several) {
		return true;
	}
	return clean->time_ms && (!clean->open || fault_planted(FAULT_pending_ignored)) &&
	       (!clean->simple || at->generation.since_ms + REDIS_MARK_MS <= clean->since_ms) &&
	       at->generation.began_ms + REDIS_MARK_MS <= clean->since_ms &&
	       (clean->found_ms <= clean->since_ms || fault_planted(FAULT_no_since));
}
