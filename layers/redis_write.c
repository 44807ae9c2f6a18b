#include "layers/redis_write.h"

#include <string.h>

#include "base/clock.h"
#include "layers/redis_read.h"

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
	redis_session_allow_time(&at->session);
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
	struct stay stay = { .generation.number = 0 };

	if (place == NULL || (session == &own && !redis_session_begin(&own, layer, true))) {
		return false;
	}
	redis_session_allow_time(session);
	stay.identity = &session->connection->identity;
	redis_place_ask(place, session->connection->wire);
	status = redis_wire_exchange(session->connection->wire, take_stay, &stay,
				     session->deadline_ns);
	if (status != REDIS_WIRE_OK || session == &own) {
		redis_session_end(session, status);
	}
	return status == REDIS_WIRE_OK && redis_origin(&stay.generation) == item->origin;
}
