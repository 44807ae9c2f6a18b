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
	status = redis_session_number(&at->session, at->place, &at->number);
	if (status != REDIS_WIRE_OK) {
		redis_session_end(&at->session, status);
		return false;
	}
	/* What failed before the slot was entered is known, or has been mended since. */
	at->trusted = (!redis_shared_is_unmarked(layer->shared, write->key.hash) &&
		       redis_server_unclean(at->place->server) == 0) ||
		      fault_planted(FAULT_failed_marks_forgotten);
	redis_place_key(at->place, at->number, write->key.wire, write->key.n_wire, &at->key);
	return true;
}

/* --- what is found --- */

/* The answers to GET generation and to what asks for the record. */
struct finding {
	struct redis_write *at;
	enum redis_place_answer place;
	bool oom;
};

static bool take_finding(void *owner, const struct redis_wire_reply *reply)
{
	struct finding *finding = owner;
	struct redis_write *at = finding->at;

	if (reply->is_element) {
		return false;
	}
	if (reply->command == 0) {
		finding->place = redis_place_compare(at->place, &at->session.connection->identity,
						     at->number, reply);
		return finding->place != REDIS_PLACE_NONSENSE;
	}
	if (reply->type == REDIS_WIRE_ERROR) {
		finding->oom = redis_reply_is_oom(reply);
		return finding->oom;
	}
	if (reply->type == REDIS_WIRE_STRING) {
		at->has_found = redis_record_parse(reply->bytes, reply->n, at->key.bytes, at->key.n,
						   &at->found);
	}
	return true;
}

static bool is_over(const struct redis_record *record)
{
	uint64_t now = (uint64_t)clock_wall_ms();

	return (record->expires_ms && record->expires_ms <= now) ||
	       (record->ends_ms && record->ends_ms <= now);
}

static enum layer_found found_of(const struct redis_write *at, const struct layer_write *write)
{
	if (!at->trusted || at->session.layer->options.outsider) {
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
	write->found = found_of(at, write);
}

/* --- marking --- */

static void build_mark(struct redis_write *at, bool unlink)
{
	struct redis_wire *wire = at->session.connection->wire;

	redis_place_ask(at->place, wire);
	at->has_token = !unlink;
	if (unlink) {
		/* Full: what takes no room still works. */
		redis_wire_command(wire, 3);
		redis_wire_text(wire, "UNLINK");
		redis_wire_arg(wire, at->key.bytes, at->key.n);
		redis_key_is(&at->key, 'b');
		redis_wire_arg(wire, at->key.bytes, at->key.n);
		redis_key_is(&at->key, 'r');
	} else {
		at->token = redis_record_token();
		redis_session_mark(wire, &at->key, at->token, true);
	}
}

void redis_mark(struct layer *layer, struct layer_write *write)
{
	struct redis_write *at = redis_write_of(write);

	if (at && begin(layer, write)) {
		at->has_found = false;
		build_mark(at, false);
		redis_wire_send(at->session.connection->wire);
		at->sent = true;
		redis_pool_pause(at->session.connection);
	}
}

/* The generation that was assumed is not the one in force: the key is another. */
static enum redis_wire_status assume_anew(struct redis_write *at, const struct layer_write *write)
{
	enum redis_wire_status status = redis_session_number(&at->session, at->place, &at->number);

	at->has_found = false;
	if (status == REDIS_WIRE_OK) {
		redis_place_key(at->place, at->number, write->key.wire, write->key.n_wire,
				&at->key);
	}
	return status;
}

static enum redis_wire_status receive(struct redis_write *at, const struct layer_write *write)
{
	struct finding finding = { .at = at };
	enum redis_wire_status status = REDIS_WIRE_OK;

	for (int turn = 0; turn < TURNS_MAX && status == REDIS_WIRE_OK && !at->marked; turn++) {
		bool unlink = finding.oom;

		if (turn) {
			build_mark(at, unlink);
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
		} else {
			status = assume_anew(at, write);
		}
	}
	return status;
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
	enum redis_wire_status status;

	write->found = LAYER_FOUND_UNKNOWN;
	if (at == NULL) {
		/* No memory, or too many servers: others may have a place for it. */
		if (redis_place_can_be(write->key.server)) {
			redis_shared_soil(layer->shared,
					  redis_shared_server(layer->shared, layer->store.hash,
							      write->key.server));
		}
		return;
	}
	if (at->sent && !redis_session_is_held(&at->session)) {
		at->sent = false;
	}
	if (at->sent) {
		redis_pool_resume(at->session.connection);
		allow_time(&at->session);
		status = receive(at, write);
		if (status != REDIS_WIRE_OK) {
			at->marked = false;
			redis_session_end(&at->session, status);
		}
	}
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

	if (write->found != LAYER_FOUND_VALUE || !redis_session_is_held(&at->session)) {
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
	return status == REDIS_WIRE_OK && recall.answer == LAYER_HIT;
}
