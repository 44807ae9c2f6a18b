#include "layers/redis_write.h"

#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "layers/redis_read.h"

/* A mark is repeated where the generation changed, and where there was no room. */
#define TURNS_MAX 3

/* Its address tells threads apart. */
static __thread char self;

static bool is_mine(const struct redis_write *at)
{
	return atomic_load_explicit(&at->user, memory_order_relaxed) == &self;
}

/* Free again; in this order, because the thread may jump out of here, too. */
static void give_back(struct redis_write *at)
{
	at->intent = NULL;
	at->bare = false;
	at->over = true;
	atomic_store(&at->user, NULL);
}

static struct redis_write *claim(struct layer *layer, const struct layer_write *write)
{
	for (unsigned i = 0; i < REDIS_WRITES_MAX; i++) {
		struct redis_write *at = &layer->writes[i];
		const void *nobody = NULL;

		if (atomic_load_explicit(&at->user, memory_order_relaxed) == NULL &&
		    atomic_compare_exchange_strong(&at->user, &nobody, &self)) {
			at->on_stack = write;
			memset(&at->place, 0,
			       offsetof(struct redis_write, found) -
				       offsetof(struct redis_write, place));
			return at;
		}
	}
	return NULL;
}

void redis_write_abandon(struct layer *layer, const void *end)
{
	bool any = false;

	for (unsigned i = 0; i < REDIS_WRITES_MAX; i++) {
		struct redis_write *at = &layer->writes[i];

		if (!is_mine(at) || (uintptr_t)at->on_stack >= (uintptr_t)end) {
			continue;
		}
		if ((at->intent || at->bare) && !at->over) {
			redis_intent_end(layer->shared, at->intent, false, at->place->server);
			any = true;
		}
		give_back(at);
	}
	if (any) {
		redis_say_unmarked(layer);
	}
}

void redis_write_child(struct layer *layer)
{
	for (unsigned i = 0; i < REDIS_WRITES_MAX; i++) {
		struct redis_write *at = &layer->writes[i];

		if (!is_mine(at)) {
			give_back(at);
		}
		/* The parent's. */
		at->intent = NULL;
	}
}

void redis_announce(struct layer *layer, struct layer_write *write)
{
	struct redis_place *place = redis_session_place(layer, write->key.server);
	struct redis_write *at = place ? claim(layer, write) : NULL;

	write->mark = (struct layer_mark *)(void *)at;
	if (at) {
		at->began_ns = clock_boot_ns();
		at->place = place;
		at->intent = redis_intent_begin(layer->shared, redis_process(layer),
						layer->store.hash, &write->key);
		at->bare = at->intent == NULL;
	}
}

void redis_write_done(struct layer_write *write)
{
	if (write->mark) {
		give_back(redis_write_of(write));
		write->mark = NULL;
	}
}

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

/* The answers to GET generation, TIME, and what asks for the record. */
struct finding {
	struct redis_write *at;
	enum redis_place_answer place;
	bool asks_time;
	bool oom;
};

static bool take_finding(void *owner, const struct redis_wire_reply *reply)
{
	struct finding *finding = owner;
	struct redis_write *at = finding->at;

	if (reply->command == 0) {
		finding->place = redis_place_compare(at->place, &at->session.connection->identity,
						     at->number, reply, &at->generation);
		return finding->place != REDIS_PLACE_NONSENSE;
	}
	if (finding->asks_time && reply->command == 1) {
		return redis_clean_take_time(&at->clean, reply);
	}
	if (reply->is_element) {
		return false;
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
	if (!counts(at, write)) {
		return LAYER_FOUND_UNKNOWN;
	}
	return at->has_found && !is_over(&at->found) && !write->key.private ? LAYER_FOUND_VALUE
									    : LAYER_FOUND_NOTHING;
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
	redis_place_ask(at->place, wire);
	redis_wire_command(wire, 2);
	redis_wire_text(wire, "GET");
	redis_wire_arg(wire, at->key.bytes, at->key.n);
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

static void build_mark(struct redis_write *at, bool full)
{
	struct redis_wire *wire = at->session.connection->wire;

	redis_place_ask(at->place, wire);
	if (at->several) {
		redis_wire_command(wire, 1);
		redis_wire_text(wire, "TIME");
	}
	at->token = redis_record_token();
	at->has_token = !full || at->several;
	at->has_found = false;
	at->clean = (struct redis_clean){ .time_ms = 0 };
	if (full) {
		redis_session_press(&at->session, &at->key, at->several, at->token);
	} else {
		redis_session_mark(wire, &at->key, at->token, true);
	}
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
	struct finding finding = { .at = at, .asks_time = at->several };
	enum redis_wire_status status = REDIS_WIRE_OK;

	for (int turn = 0; turn < TURNS_MAX && status == REDIS_WIRE_OK && !at->marked; turn++) {
		bool full = finding.oom;

		if (turn) {
			build_mark(at, full);
			finding.asks_time = at->several;
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
		build_mark(at, false);
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

/* The time that memcached took does not count against Redis, whose answer may lie there. */
static void allow_time(struct redis_session *session)
{
	int64_t deadline = clock_now_ns() + session->layer->options.timeout_ns;

	if (session->deadline_ns < deadline) {
		session->deadline_ns = deadline;
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
		allow_time(&at->session);
		if (!at->received) {
			receive(at, write);
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

/* --- putting back --- */

struct stay {
	const struct redis_identity *identity;
	struct redis_generation generation;
};

struct recall {
	struct layer *layer;
	const struct redis_write *at;
	const struct layer_allocator *allocator;
	struct layer_item *item;
	enum layer_answer answer;
};

static bool take_body(void *owner, const struct redis_wire_reply *reply)
{
	struct recall *recall = owner;

	if (reply->is_element ||
	    (reply->type != REDIS_WIRE_STRING && reply->type != REDIS_WIRE_NIL)) {
		return false;
	}
	recall->answer = LAYER_MISS;
	if (reply->type == REDIS_WIRE_STRING) {
		recall->answer =
			redis_read_value(recall->layer, &recall->at->found, &recall->at->key,
					 reply->bytes, reply->n, recall->allocator, recall->item);
	}
	return true;
}

bool redis_recall(struct layer *layer, struct layer_write *write,
		  const struct layer_allocator *allocator, struct layer_item *item)
{
	struct redis_write *at = redis_write_of(write);
	struct recall recall = { layer, at, allocator, item, LAYER_MISS };
	enum redis_wire_status status;
	struct redis_wire *wire;

	if (write->found != LAYER_FOUND_VALUE || at->several ||
	    !redis_session_is_held(&at->session)) {
		return false;
	}
	wire = at->session.connection->wire;
	redis_wire_command(wire, 2);
	redis_wire_text(wire, "GET");
	redis_key_is(&at->key, 'b');
	redis_wire_arg(wire, at->key.bytes, at->key.n);
	redis_key_is(&at->key, 'r');
	allow_time(&at->session);
	status = redis_wire_exchange(wire, take_body, &recall, at->session.deadline_ns);
	if (status != REDIS_WIRE_OK) {
		redis_session_end(&at->session, status);
	}
	item->origin = redis_origin(&at->generation);
	return status == REDIS_WIRE_OK && recall.answer == LAYER_HIT;
}

static bool take_stay(void *owner, const struct redis_wire_reply *reply)
{
	struct stay *stay = owner;

	return redis_generation_take(&stay->generation, reply, stay->identity);
}

bool redis_may_stay(struct layer *layer, const struct layer_write *write,
		    const struct layer_item *item)
{
	struct redis_place *place = redis_session_place(layer, item->key.server);
	struct redis_write *at = write ? redis_write_of(write) : NULL;
	struct redis_session own = { .connection = NULL };
	struct redis_session *session =
		at && redis_session_is_held(&at->session) ? &at->session : &own;
	enum redis_wire_status status;
	struct stay stay;

	if (place == NULL || (session == &own && !redis_session_begin(&own, layer, true))) {
		return false;
	}
	allow_time(session);
	stay.identity = &session->connection->identity;
	redis_place_ask(place, session->connection->wire);
	status = redis_wire_exchange(session->connection->wire, take_stay, &stay,
				     session->deadline_ns);
	if (status != REDIS_WIRE_OK || session == &own) {
		redis_session_end(session, status);
	}
	return status == REDIS_WIRE_OK && redis_origin(&stay.generation) == item->origin;
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
			allow_time(&at->session);
			build_mark(at, false);
			receive(at, write);
		}
		if (!at->marked) {
			unmark(at, write);
		}
		at->clean.open = true;
		tries++;
	}
}
