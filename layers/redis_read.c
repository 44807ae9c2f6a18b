#include "layers/redis_read.h"

#include <string.h>

#include "base/clock.h"
#include "layers/envelope.h"
#include "layers/redis_answers.h"
#include "layers/redis_session.h"

#define MGET_KEYS 128

/* A read while its replies come in. */
struct reading {
	struct redis_session session;
	struct layer_batch *batch;
	size_t n_asked;
	size_t n_answered;
	size_t at;   /* the next item, or one before it that was not asked for */
	bool is_old; /* the generation is another: nothing counts */
};

static bool is_asked(const struct layer_item *item)
{
	return item->answer == LAYER_MISS && item->slot != LAYER_SLOT_BUSY && !item->key.private &&
	       redis_session_can_name(&item->key);
}

static size_t count_asked(const struct layer_batch *batch)
{
	size_t n = 0;

	for (size_t i = 0; i < batch->n_items; i++) {
		n += is_asked(&batch->items[i]);
	}
	return n;
}

/* The item whose reply comes next.  Answered ones are behind `at`. */
static struct layer_item *next_item(struct reading *reading)
{
	struct layer_item *item = &reading->batch->items[reading->at++];

	while (!is_asked(item)) {
		item = &reading->batch->items[reading->at++];
	}
	return item;
}

/* When a value ends that ends at `expires_ms`; in the past where that is now. */
static int64_t deadline_of(const struct layer *layer, uint64_t expires_ms)
{
	const int64_t most_ms = INT64_MAX / CLOCK_NS_PER_MS;
	int64_t now = clock_now_ns();
	int64_t ttl_ms = layer->options.ttl_ns / CLOCK_NS_PER_MS;
	int64_t left_ms;

	if (expires_ms == 0) {
		return CLOCK_NEVER;
	}
	/* The clock shows a millisecond that has begun. */
	left_ms = expires_ms > (uint64_t)most_ms ? most_ms : (int64_t)expires_ms;
	left_ms -= clock_wall_ms() + 1;
	/* The writer's clock may be ahead of ours. */
	if (ttl_ms && left_ms > ttl_ms) {
		left_ms = ttl_ms;
	}
	return left_ms > (CLOCK_NEVER - now) / CLOCK_NS_PER_MS ? CLOCK_NEVER
							       : now + left_ms * CLOCK_NS_PER_MS;
}

static enum layer_answer hand_over(struct layer_batch *batch, struct layer_item *item,
				   const struct envelope *envelope, int64_t deadline_ns)
{
	struct layer_allocator *allocator = &batch->allocator;
	char *value = NULL;

	if (envelope->n_value > 0) {
		value = allocator->alloc(allocator->owner, (size_t)envelope->n_value + 1);
		if (value == NULL) {
			return LAYER_DOWN;
		}
		memcpy(value, envelope->value, envelope->n_value);
		value[envelope->n_value] = '\0';
	}
	item->value = value;
	item->n_value = envelope->n_value;
	item->flags = envelope->flags;
	item->has_cas = false;
	item->cas = 0;
	item->deadline_ns = deadline_ns;
	batch->n_hits++;
	return LAYER_HIT;
}

static enum layer_answer take_value(struct reading *reading, struct layer_item *item,
				    const struct redis_wire_reply *reply)
{
	struct layer *layer = reading->session.layer;
	struct layer_counters *counters = *layer->counters;
	struct envelope envelope;
	char key[REDIS_KEY_MAX];
	size_t n_key = redis_session_key(&reading->session, &item->key, key);
	int64_t deadline_ns;

	if (reply->type != REDIS_WIRE_STRING) {
		return LAYER_MISS;
	}
	if (envelope_decode(reply->bytes, reply->n, key, n_key, &envelope) != ENVELOPE_OK) {
		counter_add(&counters->errors, 1);
		return LAYER_MISS;
	}
	deadline_ns = deadline_of(layer, envelope.expires_ms);
	if (deadline_ns <= clock_now_ns()) {
		counter_add(&counters->expired, 1);
		return LAYER_MISS;
	}
	return hand_over(reading->batch, item, &envelope, deadline_ns);
}

/* Remembers another generation; false where what came is none. */
static bool compare_generation(const struct redis_session *session,
			       const struct redis_wire_reply *reply, bool *ret_is_old)
{
	int64_t number =
		reply->type == REDIS_WIRE_STRING ? redis_answers_number(reply->bytes, reply->n) : 0;

	if (reply->is_element || (number == 0 && reply->type != REDIS_WIRE_NIL)) {
		return false;
	}
	*ret_is_old = number != session->generation;
	if (*ret_is_old) {
		redis_generation_note(&session->layer->generation, number);
	}
	return true;
}

static size_t mget_keys(size_t n_left)
{
	return n_left < MGET_KEYS ? n_left : MGET_KEYS;
}

static bool take_reading(void *owner, const struct redis_wire_reply *reply)
{
	struct reading *reading = owner;
	struct layer_counters *counters = *reading->session.layer->counters;
	struct layer_item *item;

	if (reply->command == 0) {
		return compare_generation(&reading->session, reply, &reading->is_old);
	}
	if (!reply->is_element) {
		return reply->type == REDIS_WIRE_ARRAY &&
		       reply->n == mget_keys(reading->n_asked - reading->n_answered);
	}
	if (reply->type != REDIS_WIRE_STRING && reply->type != REDIS_WIRE_NIL) {
		return false;
	}
	item = next_item(reading);
	reading->n_answered++;
	if (!reading->is_old) {
		item->answer = take_value(reading, item, reply);
	}
	counter_add(item->answer == LAYER_HIT ? &counters->hits : &counters->misses, 1);
	return true;
}

static void build_reading(struct reading *reading)
{
	struct redis_wire *wire = reading->session.connection->wire;
	const struct layer_item *item = reading->batch->items;
	char key[REDIS_KEY_MAX];

	redis_session_ask_generation(&reading->session);
	for (size_t i = 0; i < reading->n_asked; item++) {
		if (!is_asked(item)) {
			continue;
		}
		if (i % MGET_KEYS == 0) {
			redis_wire_command(wire, 1 + mget_keys(reading->n_asked - i));
			redis_wire_text(wire, "MGET");
		}
		redis_wire_arg(wire, key, redis_session_key(&reading->session, &item->key, key));
		i++;
	}
}

static void read_asked(struct reading *reading)
{
	enum redis_wire_status status;

	/* Where somebody else has just cleaned, or nobody may yet: not now. */
	if (!redis_generation_is_clean(&reading->session.layer->generation)) {
		redis_session_end(&reading->session, REDIS_WIRE_OK);
		return;
	}
	build_reading(reading);
	status = redis_wire_exchange(reading->session.connection->wire, take_reading, reading,
				     reading->session.deadline_ns);
	redis_session_end(&reading->session, status);
}

void redis_read(struct layer *layer, struct layer_batch *batch)
{
	struct reading reading = { .batch = batch };

	/* An answer of Redis never has the server's CAS id. */
	reading.n_asked = batch->want_cas ? 0 : count_asked(batch);
	if (reading.n_asked == 0) {
		return;
	}
	if ((redis_generation_is_clean(&layer->generation) ||
	     redis_generation_is_due(&layer->generation, false)) &&
	    redis_session_begin(&reading.session, layer, false)) {
		read_asked(&reading);
	}
	while (reading.n_answered < reading.n_asked) {
		next_item(&reading)->answer = LAYER_DOWN;
		reading.n_answered++;
	}
}
