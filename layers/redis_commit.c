/* What the end of a write does to record and body: one table, a script or one command each. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "layers/envelope.h"
#include "layers/probes.h"
#include "layers/redis_write.h"

enum action {
	LEAVE,	/* the mark ends by itself, soon */
	END,	/* so it does, though it was to live as long as a value */
	REMOVE, /* nothing is there any more */
	CLOSE,	/* the same, and other domains see when it was */
	STORE,	/* a new value */
	KEEP,	/* the value that was found: as it was, longer, or with another expiry */
};

struct commit {
	enum action action;
	struct redis_record record;
	enum envelope_kind kind;
	const char *bytes; /* to store, or to add */
	uint32_t n;
	int64_t ahead_ms; /* closed for so long */
	char number[24];
};

/*
 * A larger one is committed by a script: beside it that costs little, and what gives it
 * another record copies it.
 */
#define PLAIN_MAX 16384

/*
 * When Redis lets go of a value; 0: never.  Cut, not rounded: Redis must not
 * have it longer than memcached.
 */
static uint64_t end_of(const struct layer *layer, uint64_t expires_ms)
{
	uint64_t ttl_ms = (uint64_t)(layer->options.ttl_ns / CLOCK_NS_PER_MS);
	uint64_t most;

	if (layer->options.ttl_ns == 0) {
		return expires_ms;
	}
	most = (uint64_t)clock_wall_ms() + ttl_ms;
	return expires_ms == 0 || most < expires_ms ? most : expires_ms;
}

/* The write's own expiry, since 1970; false where it is over. */
static bool expiry_of(const struct layer_write *write, uint64_t *ret_expires_ms)
{
	int64_t left_ns;

	if (write->deadline_ns == CLOCK_NEVER) {
		*ret_expires_ms = 0;
		return true;
	}
	left_ns = write->deadline_ns - clock_now_ns();
	if (left_ns < CLOCK_NS_PER_MS) {
		return false;
	}
	*ret_expires_ms = (uint64_t)(clock_wall_ms() + left_ns / CLOCK_NS_PER_MS);
	return true;
}

static bool fits(const struct layer *layer, uint64_t n)
{
	return n >= layer->options.min_item_bytes && n <= layer->options.max_item_bytes;
}

static void store(const struct layer *layer, struct commit *commit, const char *bytes, size_t n)
{
	if (!fits(layer, n)) {
		counter_add(&(*layer->counters)->rejected, 1);
		commit->action = REMOVE;
		return;
	}
	commit->action = STORE;
	commit->kind = ENVELOPE_WHOLE;
	commit->bytes = bytes;
	commit->n = (uint32_t)n;
	commit->record.length = (uint32_t)n;
	commit->record.segments = 1;
	commit->record.ends_ms = end_of(layer, commit->record.expires_ms);
}

static void store_given(const struct layer *layer, const struct layer_write *write,
			struct commit *commit)
{
	commit->record.flags = write->flags;
	if (expiry_of(write, &commit->record.expires_ms)) {
		store(layer, commit, write->value, write->n_value);
	}
}

/*
 * memcached writes a number into the place of the one before where it is no
 * longer, and blanks behind it.
 */
static void store_number(const struct layer *layer, const struct layer_write *write,
			 struct commit *commit)
{
	const struct redis_write *at = redis_write_of(write);
	int n = snprintf(commit->number, sizeof(commit->number), "%" PRIu64, write->number);

	if (write->found == LAYER_FOUND_VALUE) {
		commit->record.flags = at->found.flags;
		commit->record.expires_ms = at->found.expires_ms;
		if (at->found.length >= sizeof(commit->number)) {
			return;
		}
		while (n < (int)at->found.length) {
			commit->number[n++] = ' ';
		}
	} else if (!write->created || !expiry_of(write, &commit->record.expires_ms)) {
		return;
	}
	store(layer, commit, commit->number, (size_t)n);
}

static void keep(const struct layer_write *write, struct commit *commit)
{
	commit->action = KEEP;
	commit->record = redis_write_of(write)->found;
}

static void extend(const struct layer *layer, const struct layer_write *write,
		   struct commit *commit)
{
	const struct redis_record *found = &redis_write_of(write)->found;

	if (write->found != LAYER_FOUND_VALUE || found->segments >= REDIS_SEGMENTS_MAX ||
	    !fits(layer, (uint64_t)found->length + write->n_value)) {
		return;
	}
	keep(write, commit);
	commit->kind = write->verb == LAYER_APPEND ? ENVELOPE_AFTER : ENVELOPE_BEFORE;
	commit->bytes = write->value;
	commit->n = (uint32_t)write->n_value;
	commit->record.length += commit->n;
	commit->record.segments++;
}

static void touch(const struct layer *layer, const struct layer_write *write, struct commit *commit)
{
	uint64_t expires_ms;

	if (write->found == LAYER_FOUND_VALUE && expiry_of(write, &expires_ms)) {
		keep(write, commit);
		if (fault_planted(FAULT_deep_not_touched)) {
			return;
		}
		commit->record.expires_ms = expires_ms;
		commit->record.ends_ms = end_of(layer, expires_ms);
	}
}

/* Done: what memcached has now; REMOVE where that is not known. */
static void decide_done(const struct layer *layer, const struct layer_write *write,
			struct commit *commit)
{
	commit->action = REMOVE;
	if (write->key.private || layer->options.marks_only) {
		return;
	}
	if (write->may_keep_expiry && write->changes_expiry && write->stays_below) {
		/* Whether the counter was made or changed, nobody knows. */
		return;
	}
	switch (write->verb) {
	case LAYER_SET:
	case LAYER_ADD:
	case LAYER_REPLACE:
	case LAYER_CAS:
		store_given(layer, write, commit);
		break;
	case LAYER_INCREMENT:
	case LAYER_DECREMENT:
		store_number(layer, write, commit);
		break;
	case LAYER_APPEND:
	case LAYER_PREPEND:
		extend(layer, write, commit);
		break;
	case LAYER_TOUCH:
		touch(layer, write, commit);
		break;
	case LAYER_DELETE:
		break;
	}
}

static void decide_alone(const struct layer *layer, const struct layer_write *write,
			 struct commit *commit)
{
	switch (write->outcome) {
	case LAYER_DONE:
		decide_done(layer, write, commit);
		break;
	case LAYER_REFUSED:
	case LAYER_UNSENT:
		/* Nothing was changed: what the mark found is in force again. */
		if (write->verb == LAYER_DELETE && write->outcome == LAYER_REFUSED) {
			commit->action = REMOVE;
		} else if (write->found == LAYER_FOUND_VALUE) {
			keep(write, commit);
		}
		break;
	case LAYER_DROPPED:
		commit->action = REMOVE;
		break;
	case LAYER_UNCERTAIN:
		break;
	}
}

/*
 * What is not known leaves no mark, which would bar the key to whoever writes next, but
 * the time until which somebody may still be at it.
 */
static void close_for_others(const struct layer_write *write, struct commit *commit)
{
	const struct redis_write *at = redis_write_of(write);

	commit->action = CLOSE;
	if (write->outcome == LAYER_UNCERTAIN) {
		commit->ahead_ms = REDIS_DOUBT_MS;
	} else if (at->clean.open || at->clean.simple) {
		commit->ahead_ms = REDIS_MARK_MS;
	}
}

static void decide(const struct layer *layer, const struct layer_write *write,
		   struct commit *commit)
{
	const struct redis_write *at = redis_write_of(write);
	bool alone = write->alone || fault_planted(FAULT_commit_not_alone);

	commit->action = LEAVE;
	if (!at->marked || !at->has_token) {
		return;
	}
	if (at->trusted && !layer->options.outsider && alone && !at->late && redis_is_clean(at) &&
	    (!at->several || redis_pool_keeps_marks(at->session.pool, at->session.connection))) {
		decide_alone(layer, write, commit);
	}
	if (at->several && (commit->action == LEAVE || commit->action == REMOVE)) {
		close_for_others(write, commit);
	}
	if (commit->action == LEAVE && at->stays) {
		commit->action = END;
	}
}

/* --- lives --- */

/* From now until a record's end; 0: for ever. */
static int64_t life_until(uint64_t ends_ms)
{
	int64_t now = clock_wall_ms();

	if (ends_ms == 0) {
		return 0;
	}
	return (int64_t)ends_ms > now ? (int64_t)ends_ms - now : 1;
}

/* Every record outlives a mark: whoever began before it came shall find it. */
static int64_t life_of_record(int64_t life)
{
	return life && life < REDIS_MARK_MS ? REDIS_MARK_MS : life;
}

int64_t redis_mark_life(const struct layer *layer, const struct layer_write *write, bool *ret_stays)
{
	uint64_t expires_ms;
	int64_t life;

	*ret_stays = false;
	if (!layer_stores(write->verb) || !write->awaited || write->key.private ||
	    layer->options.marks_only || layer->options.outsider || write->n_value > PLAIN_MAX ||
	    !fits(layer, write->n_value) || !expiry_of(write, &expires_ms)) {
		return REDIS_MARK_MS;
	}
	life = life_until(end_of(layer, expires_ms));
	*ret_stays = life != 0;
	return life ? life_of_record(life) : REDIS_MARK_MS;
}

/* --- saying it --- */

static void add_segment(struct redis_wire *wire, const struct redis_write *at,
			const struct commit *commit)
{
	const struct envelope_name name = { at->key.bytes, at->key.n, commit->record.token };
	uint8_t header[ENVELOPE_HEADER_BYTES];

	if (commit->bytes == NULL && commit->action == KEEP) {
		redis_wire_text(wire, "");
		return;
	}
	envelope_encode(commit->kind, &name, commit->bytes, commit->n, header);
	redis_wire_arg_pair(wire, header, sizeof(header), commit->bytes, commit->n);
}

static void build_value(struct redis_write *at, struct commit *commit)
{
	struct redis_wire *wire = at->session.connection->wire;
	char text[REDIS_RECORD_MAX];
	size_t n;

	if (commit->action == STORE) {
		commit->record.token = at->token;
	}
	n = redis_record_value(&commit->record, at->key.bytes, at->key.n, text);
	redis_wire_arg(wire, text, n);
	add_segment(wire, at, commit);
	redis_wire_number(wire, life_of_record(life_until(commit->record.ends_ms)));
	redis_wire_number(wire, life_until(commit->record.ends_ms));
	redis_wire_number(wire, at->several);
	if (commit->action == KEEP) {
		redis_wire_number(wire,
				  (int64_t)at->found.front + (int64_t)at->found.length +
					  (int64_t)at->found.segments * ENVELOPE_HEADER_BYTES);
		redis_wire_number(wire, at->found.front);
	}
}

/*
 * A new value without a script, which costs Redis several times as much: the body says whose
 * it is, and counts only under the mark of the same writer, which lives as long.
 */
static bool is_plain(const struct redis_write *at, const struct commit *commit)
{
	return commit->action == STORE && at->stays && !at->several;
}

static void build_plain(struct redis_write *at, struct commit *commit)
{
	struct redis_wire *wire = at->session.connection->wire;
	const struct envelope_name name = { at->key.bytes, at->key.n, at->token };
	char before[REDIS_RECORD_MAX + ENVELOPE_HEADER_BYTES];
	size_t n;

	commit->record.token = at->token;
	n = redis_record_front(&commit->record, at->key.bytes, at->key.n, before);
	envelope_encode(commit->kind, &name, commit->bytes, commit->n, (uint8_t *)before + n);
	redis_wire_command(wire, 5);
	redis_wire_text(wire, "SET");
	redis_key_is(&at->key, 'b');
	redis_wire_arg(wire, at->key.bytes, at->key.n);
	redis_key_is(&at->key, 'r');
	redis_wire_arg_pair(wire, before, n + ENVELOPE_HEADER_BYTES, commit->bytes, commit->n);
	redis_wire_text(wire, "PX");
	redis_wire_number(wire, life_until(commit->record.ends_ms));
}

static void build(struct redis_write *at, struct commit *commit)
{
	static const struct {
		enum redis_script script;
		unsigned n_args;
	} calls[] = {
		[END] = { REDIS_SCRIPT_end, 3 },     [REMOVE] = { REDIS_SCRIPT_remove, 2 },
		[CLOSE] = { REDIS_SCRIPT_close, 5 }, [STORE] = { REDIS_SCRIPT_store, 7 },
		[KEEP] = { REDIS_SCRIPT_keep, 9 },
	};
	struct redis_wire *wire = at->session.connection->wire;
	char text[REDIS_RECORD_MAX];
	size_t n;

	redis_scripts_call(wire, &at->session.connection->scripts, calls[commit->action].script, 3,
			   calls[commit->action].n_args);
	redis_key_add_both(wire, &at->key);
	redis_place_name(at->place, wire);
	n = redis_record_pending(at->token, text);
	redis_wire_arg(wire, text, n);
	redis_wire_arg(wire, at->generation.text, at->generation.n);
	if (commit->action == END) {
		redis_wire_number(wire, REDIS_MARK_MS);
	} else if (commit->action == CLOSE) {
		redis_wire_number(wire, (int64_t)at->clean.found_ms);
		redis_wire_number(wire, commit->ahead_ms);
		redis_wire_number(wire, REDIS_MARK_MS);
	} else if (commit->action != REMOVE) {
		build_value(at, commit);
	}
}

static void count(const struct layer *layer, const struct layer_write *write,
		  const struct commit *commit)
{
	switch (commit->action) {
	case LEAVE:
	case END:
		break;
	case REMOVE:
	case CLOSE:
		probe_invalidate(PROBE_REDIS, &write->key);
		counter_add(&(*layer->counters)->invalidated, 1);
		break;
	case STORE:
	case KEEP:
		probe_fill(PROBE_REDIS, &write->key, commit->record.length);
		counter_add(&(*layer->counters)->fills, 1);
		break;
	}
}

void redis_commit(struct layer *layer, struct layer_write *write)
{
	struct redis_write *at = redis_write_of(write);
	struct commit commit = { .action = LEAVE };
	enum redis_wire_status status = REDIS_WIRE_OK;

	if (at == NULL || !redis_session_is_held(&at->session)) {
		redis_write_done(write);
		return;
	}
	decide(layer, write, &commit);
	if (commit.action != LEAVE) {
		if (is_plain(at, &commit)) {
			build_plain(at, &commit);
		} else {
			build(at, &commit);
		}
		status = redis_wire_post(at->session.connection->wire, at->session.deadline_ns);
		count(layer, write, &commit);
	}
	redis_session_end(&at->session, status);
	redis_write_done(write);
}
