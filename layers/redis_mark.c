/* The mark of a write, and what it finds. */
#include "base/clock.h"
#include "base/fault.h"
#include "layers/redis_filter.h"
#include "layers/redis_write.h"

/* A mark is repeated where the generation changed, and where there was no room. */
#define TURNS_MAX 3

static bool begin(struct layer *layer, struct layer_write *write)
{
	struct redis_write *at = redis_write_of(write);
	enum redis_wire_status status;

	if (redis_session_is_held(&at->session)) {
		return true;
	}
	if (!redis_session_begin(&at->session, layer, true)) {
		return false;
	}
	status = redis_session_number(&at->session, at->place, true, &at->number);
	if (status != REDIS_WIRE_OK) {
		redis_session_end(&at->session, status);
		return false;
	}
	at->several = atomic_load(&at->place->rule) != REDIS_RULE_ONE;
	write->stays_below = at->several;
	/* What failed before the slot was entered is known, or has been mended since. */
	at->trusted = (!redis_shared_is_unmarked(layer->shared, write->key.hash) &&
		       redis_server_unclean(at->place->server) == 0) ||
		      fault_planted(FAULT_failed_marks_forgotten);
	redis_place_key(at->place, at->number, write->key.wire, write->key.n_wire, &at->key);
	return true;
}

/* --- what is found --- */

/* The answers to a mark, or a look. */
struct finding {
	struct redis_write *at;
	enum redis_place_answer place;
	bool oom;
};

static bool take_finding(void *owner, const struct redis_wire_reply *reply)
{
	struct finding *finding = owner;
	struct redis_write *at = finding->at;

	if (reply->command == at->asked.place) {
		finding->place = redis_place_compare(at->place, at->session.connection, at->number,
						     reply, &at->generation);
		return finding->place != REDIS_PLACE_NONSENSE;
	}
	if (reply->command == at->asked.time) {
		return redis_clean_take_time(&at->clean, reply);
	}
	if (reply->is_element) {
		return false;
	}
	if (reply->command == at->asked.front) {
		redis_clean_take_front(at, reply);
		/* What may not be read is not nothing. */
		return reply->type != REDIS_WIRE_ERROR;
	}
	if (reply->type == REDIS_WIRE_ERROR) {
		finding->oom = redis_reply_is_oom(reply);
		return finding->oom;
	}
	redis_clean_take_record(at, reply);
	return true;
}

static bool is_over(const struct redis_record *record)
{
	uint64_t now = (uint64_t)clock_wall_ms();

	return (record->expires_ms && record->expires_ms <= now) ||
	       (record->ends_ms && record->ends_ms <= now);
}

/* A delete needs to know that it was there, not that nobody has changed it meanwhile. */
static bool counts(const struct redis_write *at, const struct layer_write *write)
{
	return at->trusted && !at->session.layer->options.outsider &&
	       (write->verb == LAYER_DELETE || redis_is_clean(at));
}

static enum layer_found found_of(const struct redis_write *at, const struct layer_write *write)
{
	if (!counts(at, write) || (at->pending && at->asked.front == REDIS_NOT_ASKED)) {
		return LAYER_FOUND_UNKNOWN;
	}
	return at->has_found && !is_over(&at->found) && !write->key.private ? LAYER_FOUND_VALUE
									    : LAYER_FOUND_NOTHING;
}

/* The mark that is found may be that of a value. */
static void ask_front(struct redis_write *at)
{
	struct redis_wire *wire = at->session.connection->wire;

	redis_wire_command(wire, 4);
	redis_wire_text(wire, "GETRANGE");
	redis_key_is(&at->key, 'b');
	redis_wire_arg(wire, at->key.bytes, at->key.n);
	redis_key_is(&at->key, 'r');
	redis_wire_number(wire, 0);
	redis_wire_number(wire, REDIS_RECORD_MAX - 1);
}

void redis_look(struct layer *layer, struct layer_write *write)
{
	struct redis_write *at = redis_write_of(write);
	struct finding finding = { .at = at };
	enum redis_wire_status status;
	struct redis_wire *wire;

	write->found = LAYER_FOUND_UNKNOWN;
	if (at == NULL || !begin(layer, write)) {
		return;
	}
	wire = at->session.connection->wire;
	at->asked = (struct redis_asked){ .place = 0, .time = REDIS_NOT_ASKED, .front = 2 };
	redis_place_ask(at->place, wire);
	redis_wire_command(wire, 2);
	redis_wire_text(wire, "GET");
	redis_wire_arg(wire, at->key.bytes, at->key.n);
	ask_front(at);
	status = redis_wire_exchange(wire, take_finding, &finding, at->session.deadline_ns);
	if (status != REDIS_WIRE_OK || finding.place != REDIS_PLACE_SAME) {
		redis_session_end(&at->session, status);
		return;
	}
	/* As a read: whoever writes at the same time is of no matter. */
	at->clean = (struct redis_clean){ .time_ms = UINT64_MAX, .since_ms = UINT64_MAX };
	write->found = found_of(at, write);
}

/* --- marking --- */

/* How many commands it has added. */
static uint8_t add_mark(struct redis_write *at, const struct layer_write *write, bool full)
{
	const struct layer *layer = at->session.layer;
	int64_t life = REDIS_MARK_MS;

	at->token = redis_record_token();
	at->has_token = !full || at->several;
	at->pending = 0;
	at->has_found = false;
	at->stays = false;
	at->clean = (struct redis_clean){ .time_ms = 0 };
	if (full) {
		redis_session_press(&at->session, &at->key, at->several, at->token);
		return at->several ? 2 : 1;
	}
	if (!at->several && !at->late) {
		life = redis_mark_life(layer, write, &at->stays);
	}
	redis_session_mark(at->session.connection->wire, &at->key, at->token, life, true);
	return 1;
}

/*
 * Under the simple rule who writes is asked last (redis_write.h); a strict one compares with
 * what was so before its mark.
 */
static void build_mark(struct redis_write *at, const struct layer_write *write, bool full)
{
	struct redis_wire *wire = at->session.connection->wire;
	struct redis_asked asked = { REDIS_NOT_ASKED, REDIS_NOT_ASKED, REDIS_NOT_ASKED };
	uint8_t n = 0;

	redis_filter_note(at->session.layer->options.filter, write->key.hash);
	if (at->several) {
		asked.place = n++;
		redis_place_ask(at->place, wire);
		asked.time = n++;
		redis_wire_command(wire, 1);
		redis_wire_text(wire, "TIME");
	}
	n += add_mark(at, write, full);
	if ((write->verb != LAYER_SET || at->several) && !full) {
		asked.front = n++;
		ask_front(at);
	}
	if (!at->several) {
		asked.place = n;
		redis_place_ask(at->place, wire);
	}
	at->asked = asked;
}

/* The generation that was assumed is not the one in force: the key is another. */
static enum redis_wire_status assume_anew(struct redis_write *at, const struct layer_write *write)
{
	enum redis_wire_status status =
		redis_session_number(&at->session, at->place, true, &at->number);

	at->has_found = false;
	at->several = at->several || atomic_load(&at->place->rule) != REDIS_RULE_ONE;
	if (status == REDIS_WIRE_OK) {
		redis_place_key(at->place, at->number, write->key.wire, write->key.n_wire,
				&at->key);
	}
	return status;
}

/* It is marked; but another domain may have begun to write since this one has heard. */
static enum redis_wire_status mind_rule(struct redis_write *at)
{
	enum redis_rule rule = redis_place_rule(at->place, &at->generation);
	uint64_t number;

	if (rule == REDIS_RULE_ONE) {
		return REDIS_WIRE_OK;
	}
	if (!at->several) {
		at->several = true;
		at->clean.open = true;
	}
	return rule == REDIS_RULE_FOREIGN
		       ? redis_session_number(&at->session, at->place, true, &number)
		       : REDIS_WIRE_OK;
}

static enum redis_wire_status receive(struct redis_write *at, const struct layer_write *write)
{
	struct finding finding = { .at = at };
	enum redis_wire_status status = REDIS_WIRE_OK;

	for (int turn = 0; turn < TURNS_MAX && status == REDIS_WIRE_OK && !at->marked; turn++) {
		bool full = finding.oom;

		if (turn) {
			build_mark(at, write, full);
		}
		finding.oom = false;
		status = redis_wire_receive(at->session.connection->wire, take_finding, &finding,
					    at->session.deadline_ns);
		if (status == REDIS_WIRE_OK && finding.oom) {
			counter_add(&(*at->session.layer->counters)->rejected, 1);
		}
		if (status != REDIS_WIRE_OK || finding.oom) {
			continue;
		}
		if (finding.place == REDIS_PLACE_SAME || fault_planted(FAULT_no_generation_check)) {
			at->marked = true;
			redis_clean_answered(at);
			/* What it found is gone with it. */
			at->clean.open = at->clean.open || full;
			status = mind_rule(at);
		} else {
			status = assume_anew(at, write);
		}
	}
	at->received = true;
	if (status != REDIS_WIRE_OK) {
		at->marked = false;
		redis_session_end(&at->session, status);
	}
	return status;
}

void redis_mark(struct layer *layer, struct layer_write *write)
{
	struct redis_write *at = redis_write_of(write);

	if (at && begin(layer, write)) {
		build_mark(at, write, false);
		redis_wire_send(at->session.connection->wire);
		at->sent = true;
		if (layer->options.serial) {
			receive(at, write);
		}
		if (at->session.connection) {
			redis_pool_pause(at->session.connection);
		}
	}
}

/* A set need not know what was there, unless that is there still. */
static bool wants_front(const struct redis_write *at, const struct layer_write *write)
{
	return at->marked && at->pending && at->asked.front == REDIS_NOT_ASKED &&
	       (write->outcome == LAYER_REFUSED || write->outcome == LAYER_UNSENT);
}

static bool take_front(void *owner, const struct redis_wire_reply *reply)
{
	redis_clean_take_front(owner, reply);
	return !reply->is_element && reply->type != REDIS_WIRE_ARRAY;
}

static void find_front(struct redis_write *at)
{
	enum redis_wire_status status;

	ask_front(at);
	at->asked.front = 0;
	status = redis_wire_exchange(at->session.connection->wire, take_front, at,
				     at->session.deadline_ns);
	if (status != REDIS_WIRE_OK) {
		redis_session_end(&at->session, status);
	}
}

void redis_marked(struct layer *layer, struct layer_write *write)
{
	struct redis_write *at = redis_write_of(write);

	write->found = LAYER_FOUND_UNKNOWN;
	if (at == NULL) {
		/* No memory, or too many servers: others may have a place for it. */
		if (redis_place_can_be(write->key.server)) {
			redis_shared_soil(layer->shared,
					  redis_session_server(layer, write->key.server));
		}
		return;
	}
	if (at->sent && redis_session_is_held(&at->session)) {
		redis_pool_resume(at->session.connection);
		redis_session_allow_time(&at->session);
		if (!at->received) {
			receive(at, write);
		}
		if (wants_front(at, write)) {
			find_front(at);
		}
	}
	write->stays_below = at->several;
	/* Nothing was changed, nor will be. */
	at->marked = at->marked || write->is_below;
	if (at->marked) {
		write->found = found_of(at, write);
	}
	if (at->intent || at->bare) {
		redis_intent_end(layer->shared, at->intent, at->marked, at->place->server);
	} else if (!at->marked) {
		/* Begun before a fork. */
		redis_shared_soil(layer->shared, at->place->server);
	}
	at->over = true;
	if (!at->marked) {
		redis_say_unmarked(layer);
	}
}

/* --- late --- */

/* The list of what Redis has to hear of yet, though the intent is over. */
static void unmark(struct redis_write *at, const struct layer_write *write)
{
	struct layer *layer = at->session.layer;
	struct redis_intent *intent = redis_intent_begin(layer->shared, redis_process(layer),
							 layer->store.hash, &write->key);

	redis_intent_end(layer->shared, intent, false, at->place->server);
	redis_say_unmarked(layer);
	at->marked = false;
}

void redis_leaving(struct layer *layer, struct layer_write *write)
{
	struct redis_write *at = redis_write_of(write);
	int tries = 0;

	while (at && at->marked && !write->is_below &&
	       clock_boot_ns() - at->began_ns > REDIS_LATE_NS) {
		bool held = tries < TURNS_MAX && begin(layer, write);

		at->marked = false;
		at->received = false;
		at->late = true;
		at->began_ns = clock_boot_ns();
		if (held) {
			redis_session_allow_time(&at->session);
			build_mark(at, write, false);
			receive(at, write);
		}
		if (!at->marked) {
			unmark(at, write);
		}
		at->clean.open = true;
		tries++;
	}
}
