#include "layers/redis_read.h"

#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "layers/envelope.h"
#include "layers/probes.h"
#include "layers/redis_absent.h"
#include "layers/redis_filter.h"
#include "layers/redis_session.h"

/* Items in one MGET, and in one pipeline, between which others have their turn. */
#define MGET_ITEMS 64
#define PIPELINE_ITEMS 512

/* Servers in one batch; items of others are not asked for. */
#define PLACES_MAX 32

struct asked_place {
	struct redis_place *place;
	uint64_t number; /* assumed; 0: nothing of it can be read */
	bool is_same;
	bool is_one;	 /* nobody outside of the domain writes */
	uint64_t origin; /* of what may go back into memcached */
};

/* A read while its replies come in. */
struct reading {
	struct redis_session session;
	bool is_replica;
	bool is_behind; /* the replica, or it has never heard of a place */
	struct layer_batch *batch;
	struct asked_place places[PLACES_MAX];
	size_t n_places;
	size_t first, end; /* items of this pipeline */
	size_t n_asked;	   /* of them */
	size_t n_answered;
	size_t at; /* the next item, or one before it that was not asked for */
	struct redis_record record;
	bool has_record;
	uint64_t pending;	 /* whose mark the record is; 0: none */
	const char *last_server; /* most items are of one: looked up once */
	struct asked_place *last;
};

static bool is_candidate(const struct layer_item *item)
{
	return item->answer == LAYER_MISS && item->slot != LAYER_SLOT_BUSY && !item->key.private &&
	       !item->spared;
}

static struct asked_place *find_place(struct reading *reading, const struct redis_place *place)
{
	for (size_t i = 0; place && i < reading->n_places; i++) {
		if (reading->places[i].place == place) {
			return &reading->places[i];
		}
	}
	return NULL;
}

static struct asked_place *place_of(struct reading *reading, const struct layer_item *item)
{
	if (item->key.server != reading->last_server) {
		reading->last_server = item->key.server;
		reading->last = find_place(
			reading, redis_session_place(reading->session.layer, item->key.server));
	}
	return reading->last;
}

static bool is_asked(struct reading *reading, const struct layer_item *item)
{
	struct asked_place *at = is_candidate(item) ? place_of(reading, item) : NULL;

	return at && at->number;
}

/*
 * Readable as far as this process knows; a failure before this moment has been
 * counted.
 */
static bool is_trusted(const struct redis_place *place)
{
	return redis_server_unclean(place->server) == 0 ||
	       fault_planted(FAULT_failed_marks_forgotten);
}

/* Where several domains write, a Redis that may let go of fresh marks has nothing to say. */
static bool can_have(const struct reading *reading, const struct redis_place *place)
{
	return atomic_load(&place->rule) == REDIS_RULE_ONE ||
	       redis_pool_keeps_marks(reading->session.pool, reading->session.connection);
}

static enum redis_wire_status add_place(struct reading *reading, struct redis_place *place)
{
	struct asked_place *added = &reading->places[reading->n_places];
	enum redis_wire_status status;

	*added = (struct asked_place){ .place = place };
	reading->n_places++;
	if (reading->is_replica) {
		added->number = atomic_load(&place->number);
		return REDIS_WIRE_OK;
	}
	status = redis_session_number(&reading->session, place, false, &added->number);
	if (status == REDIS_WIRE_OK && (!is_trusted(place) || !can_have(reading, place))) {
		added->number = 0;
	}
	return status;
}

static enum redis_wire_status collect_places(struct reading *reading)
{
	struct layer *layer = reading->session.layer;
	const struct redis_place *last = NULL;
	enum redis_wire_status status = REDIS_WIRE_OK;

	for (size_t i = 0; i < reading->batch->n_items && status == REDIS_WIRE_OK; i++) {
		const struct layer_item *item = &reading->batch->items[i];
		struct redis_place *place;

		if (!is_candidate(item)) {
			continue;
		}
		place = redis_session_place(layer, item->key.server);
		if (place && place != last && !find_place(reading, place) &&
		    reading->n_places < PLACES_MAX) {
			status = add_place(reading, place);
		}
		last = place;
	}
	return status;
}

/* The item whose replies come next.  Answered ones are behind `at`. */
static struct layer_item *next_item(struct reading *reading)
{
	struct layer_item *item = &reading->batch->items[reading->at++];

	while (!is_asked(reading, item)) {
		item = &reading->batch->items[reading->at++];
	}
	return item;
}

/* When a value ends that ends at `expires_ms`; in the past where that is now. */
static int64_t deadline_of(uint64_t expires_ms)
{
	const int64_t most_ms = INT64_MAX / CLOCK_NS_PER_MS;
	int64_t now = clock_now_ns();
	int64_t left_ms;

	if (expires_ms == 0) {
		return CLOCK_NEVER;
	}
	/* The clock shows a millisecond that has begun. */
	left_ms = expires_ms > (uint64_t)most_ms ? most_ms : (int64_t)expires_ms;
	left_ms -= clock_wall_ms() + 1;
	return left_ms > (CLOCK_NEVER - now) / CLOCK_NS_PER_MS ? CLOCK_NEVER
							       : now + left_ms * CLOCK_NS_PER_MS;
}

/* Whether a body has a front of its own, where the record says that it has none. */
static bool is_of_another(const struct redis_record *record, const struct redis_key *key,
			  const char *body, size_t n_body)
{
	struct redis_record front;

	return record->front == 0 &&
	       redis_record_parse_front(body, n_body, key->bytes, key->n, &front);
}

enum layer_answer redis_read_value(struct layer *layer, const struct redis_record *record,
				   const struct redis_key *key, const char *body, size_t n_body,
				   const struct layer_allocator *allocator, struct layer_item *item)
{
	struct layer_counters *counters = *layer->counters;
	const struct envelope_name name = { key->bytes, key->n, record->token };
	size_t front = record->front < n_body ? record->front : n_body;
	int64_t deadline_ns = deadline_of(record->expires_ms);
	char *value = NULL;

	if (deadline_ns <= clock_now_ns()) {
		counter_add(&counters->expired, 1);
		return LAYER_MISS;
	}
	if (envelope_check(body + front, n_body - front, &name, record->segments, record->length) !=
	    ENVELOPE_OK) {
		/* The late body of an earlier writer is nobody's fault. */
		counter_add(&counters->errors, !is_of_another(record, key, body, n_body));
		return LAYER_MISS;
	}
	if (record->length > 0) {
		value = allocator->alloc(allocator->owner, (size_t)record->length + 1);
		if (value == NULL) {
			return LAYER_DOWN;
		}
		envelope_decode(body + front, n_body - front, value);
		value[record->length] = '\0';
	}
	item->value = value;
	item->n_value = record->length;
	item->flags = fault_planted(FAULT_deep_without_flags) ? 0 : record->flags;
	item->has_cas = false;
	item->cas = 0;
	item->deadline_ns = deadline_ns;
	return LAYER_HIT;
}

static void take_record(struct reading *reading, const struct layer_item *item,
			const struct asked_place *at, const struct redis_wire_reply *reply)
{
	struct redis_key key;

	reading->has_record = false;
	reading->pending = 0;
	if (reply->type == REDIS_WIRE_STRING &&
	    !redis_record_parse_pending(reply->bytes, reply->n, &reading->pending)) {
		redis_place_key(at->place, at->number, item->key.wire, item->key.n_wire, &key);
		reading->has_record = redis_record_parse(reply->bytes, reply->n, key.bytes, key.n,
							 &reading->record);
		if (!reading->has_record && (reply->n == 0 || reply->bytes[0] != 'C')) {
			counter_add(&(*reading->session.layer->counters)->errors, 1);
		}
	}
}

/* Whether the body that lies under a mark is of the same writer: committed. */
static bool take_front(struct reading *reading, const struct redis_key *key,
		       const struct redis_wire_reply *reply)
{
	if (redis_record_parse_front(reply->bytes, reply->n, key->bytes, key->n,
				     &reading->record)) {
		return redis_record_is_marked(&reading->record, reading->pending);
	}
	if (!envelope_begins(reply->bytes, reply->n)) {
		counter_add(&(*reading->session.layer->counters)->errors, 1);
	}
	return false;
}

static enum layer_answer take_body(struct reading *reading, struct layer_item *item,
				   const struct asked_place *at,
				   const struct redis_wire_reply *reply)
{
	struct redis_key key;
	enum layer_answer answer;

	if ((!reading->has_record && !reading->pending) || reply->type != REDIS_WIRE_STRING) {
		return LAYER_MISS;
	}
	redis_place_key(at->place, at->number, item->key.wire, item->key.n_wire, &key);
	if (reading->pending && !take_front(reading, &key, reply)) {
		return LAYER_MISS;
	}
	answer = redis_read_value(reading->session.layer, &reading->record, &key, reply->bytes,
				  reply->n, &reading->batch->allocator, item);
	reading->batch->n_hits += answer == LAYER_HIT;
	item->stays_below = !at->is_one;
	item->origin = at->origin;
	return answer;
}

/* Every pipeline's first command begins with the generations that it assumes. */
static size_t mget_places(const struct reading *reading, size_t command)
{
	return command == 0 ? reading->n_places : 0;
}

static size_t mget_items(const struct reading *reading)
{
	size_t n_left = reading->n_asked - reading->n_answered;

	return n_left < MGET_ITEMS ? n_left : MGET_ITEMS;
}

static bool take_place(struct reading *reading, const struct redis_wire_reply *reply)
{
	struct asked_place *at = &reading->places[reply->element];
	struct redis_generation generation = { .number = 0 };
	enum redis_place_answer answer;

	if (reading->is_replica) {
		at->is_same = redis_place_is_number(reply, at->number);
		reading->is_behind |= !at->is_same;
		return true;
	}
	answer = redis_place_compare(at->place, reading->session.connection, at->number, reply,
				     &generation);
	at->is_one = redis_place_rule(at->place, &generation) == REDIS_RULE_ONE;
	at->origin = redis_origin(&generation);
	at->is_same = answer == REDIS_PLACE_SAME || fault_planted(FAULT_no_generation_check);
	return answer != REDIS_PLACE_NONSENSE;
}

static void count_miss(struct layer_counters *counters, const struct layer_item *item)
{
	probe_miss(PROBE_REDIS, &item->key);
	counter_add(&counters->misses, 1);
}

static bool take_reading(void *owner, const struct redis_wire_reply *reply)
{
	struct reading *reading = owner;
	struct layer_counters *counters = *reading->session.layer->counters;
	size_t n_places = mget_places(reading, reply->command);
	struct layer_item *item;
	const struct asked_place *at;

	if (!reply->is_element) {
		return reply->type == REDIS_WIRE_ARRAY &&
		       reply->n == n_places + 2 * mget_items(reading);
	}
	if (reply->type != REDIS_WIRE_STRING && reply->type != REDIS_WIRE_NIL) {
		return false;
	}
	if (reply->element < n_places) {
		return take_place(reading, reply);
	}
	item = next_item(reading);
	at = place_of(reading, item);
	if ((reply->element - n_places) % 2 == 0) {
		take_record(reading, item, at, reply);
		if (reply->type == REDIS_WIRE_NIL && at->is_same && !reading->is_replica) {
			redis_absent_note(reading->session.layer->absent, item);
		}
		reading->at--;
		return true;
	}
	reading->n_answered++;
	if (at->is_same) {
		item->answer = take_body(reading, item, at, reply);
		if (reading->is_replica && item->answer == LAYER_HIT) {
			item->slot = LAYER_SLOT_BUSY;
		}
	}
	if (item->answer == LAYER_HIT) {
		probe_hit(PROBE_REDIS, &item->key, item->n_value);
		counter_add(&counters->hits, 1);
	} else {
		count_miss(counters, item);
	}
	return true;
}

static void build_item(struct redis_wire *wire, const struct asked_place *at,
		       const struct layer_item *item)
{
	struct redis_key key;

	redis_place_key(at->place, at->number, item->key.wire, item->key.n_wire, &key);
	redis_wire_arg(wire, key.bytes, key.n);
	key.bytes[key.kind] = 'b';
	redis_wire_arg(wire, key.bytes, key.n);
}

static void build_mget(const struct reading *reading, size_t command, size_t n_left)
{
	struct redis_wire *wire = reading->session.connection->wire;
	size_t n_places = mget_places(reading, command);

	redis_wire_command(wire, 1 + n_places + 2 * (n_left < MGET_ITEMS ? n_left : MGET_ITEMS));
	redis_wire_text(wire, "MGET");
	for (size_t i = 0; i < n_places; i++) {
		redis_place_name(reading->places[i].place, wire);
	}
}

static void build_reading(struct reading *reading)
{
	struct redis_wire *wire = reading->session.connection->wire;
	size_t n = 0;

	for (size_t i = reading->first; i < reading->end; i++) {
		const struct layer_item *item = &reading->batch->items[i];

		if (!is_asked(reading, item)) {
			continue;
		}
		if (n % MGET_ITEMS == 0) {
			build_mget(reading, n / MGET_ITEMS, reading->n_asked - n);
		}
		build_item(wire, place_of(reading, item), item);
		n++;
	}
}

/* Where the next pipeline ends, and how much it asks for. */
static void bound_pipeline(struct reading *reading)
{
	reading->n_asked = 0;
	reading->n_answered = 0;
	reading->end = reading->first;
	while (reading->end < reading->batch->n_items && reading->n_asked < PIPELINE_ITEMS) {
		reading->n_asked += is_asked(reading, &reading->batch->items[reading->end++]);
	}
}

static enum redis_wire_status read_all(struct reading *reading)
{
	enum redis_wire_status status = collect_places(reading);

	while (status == REDIS_WIRE_OK && reading->first < reading->batch->n_items) {
		bound_pipeline(reading);
		reading->at = reading->first;
		if (reading->n_asked) {
			build_reading(reading);
			status =
				redis_wire_exchange(reading->session.connection->wire, take_reading,
						    reading, reading->session.deadline_ns);
		}
		reading->first = status == REDIS_WIRE_OK ? reading->end : reading->at;
	}
	return status;
}

static void say_down(struct layer_batch *batch, size_t first)
{
	for (size_t i = first; i < batch->n_items; i++) {
		if (is_candidate(&batch->items[i])) {
			batch->items[i].answer = LAYER_DOWN;
		}
	}
}

/*
 * A key that Redis has not heard of may have an old value there.  How many are
 * left to be asked for.
 */
static size_t pass_over_unmarked(const struct layer *layer, struct layer_batch *batch)
{
	size_t n = 0;

	for (size_t i = 0; i < batch->n_items; i++) {
		struct layer_item *item = &batch->items[i];

		if (is_candidate(item) && redis_shared_is_unmarked(layer->shared, item->key.hash) &&
		    !fault_planted(FAULT_failed_marks_forgotten)) {
			item->answer = LAYER_DOWN;
		}
		n += is_candidate(item);
	}
	return n;
}

/* Whether nobody who may write there has ever marked it. */
static bool is_unwritten(struct layer *layer, const struct layer_item *item)
{
	const struct redis_place *place = redis_session_place(layer, item->key.server);

	return place && redis_place_is_ours(place) &&
	       !redis_filter_has(layer->options.filter, item->key.hash);
}

/* Those that are known to be nowhere need not be asked for.  How many are left. */
static size_t spare_absent(struct layer *layer, struct layer_batch *batch)
{
	size_t n = 0;

	for (size_t i = 0; i < batch->n_items; i++) {
		struct layer_item *item = &batch->items[i];

		item->spared = false;
		if (!is_candidate(item)) {
			continue;
		}
		item->spared = redis_absent_knows(layer->absent, item) || is_unwritten(layer, item);
		if (item->spared) {
			count_miss(*layer->counters, item);
		} else {
			n++;
		}
	}
	batch->spared = n == 0;
	return n;
}

/* Where nobody else has just begun a new generation, or nobody may yet: not now. */
static void say_untrusted_down(struct reading *reading)
{
	for (size_t i = 0; i < reading->batch->n_items; i++) {
		struct layer_item *item = &reading->batch->items[i];
		const struct asked_place *at = is_candidate(item) ? place_of(reading, item) : NULL;

		if (at && at->number == 0) {
			item->answer = LAYER_DOWN;
		}
	}
}

/* What a replica cannot know is asked of the leader: whether any of it is trusted at all. */
static bool suits_replica(struct layer *layer, const struct layer_batch *batch)
{
	for (size_t i = 0; i < batch->n_items; i++) {
		const struct layer_item *item = &batch->items[i];
		const struct redis_place *place =
			is_candidate(item) ? redis_session_place(layer, item->key.server) : NULL;

		if (place && (place->server == NULL || !is_trusted(place) ||
			      atomic_load(&place->number) != atomic_load(&place->server->newest) ||
			      atomic_load(&place->number) == 0)) {
			return false;
		}
	}
	return !batch->want_cas;
}

/* True where nothing is left to ask, or no time. */
static bool read_replica(struct layer *layer, struct layer_batch *batch)
{
	struct reading reading = { .batch = batch, .is_replica = true };
	enum redis_wire_status status;

	if (!suits_replica(layer, batch) || pass_over_unmarked(layer, batch) == 0 ||
	    !redis_session_begin_replica(&reading.session, layer)) {
		return false;
	}
	status = read_all(&reading);
	redis_session_end(&reading.session, status);
	if (status == REDIS_WIRE_TIMEOUT) {
		say_down(batch, reading.first);
	}
	return status == REDIS_WIRE_TIMEOUT || (status == REDIS_WIRE_OK && !reading.is_behind);
}

void redis_read(struct layer *layer, struct layer_batch *batch)
{
	struct reading reading = { .batch = batch };
	enum redis_wire_status status = REDIS_WIRE_OK;

	if (spare_absent(layer, batch) == 0) {
		return;
	}
	if (layer->options.outsider) {
		say_down(batch, 0);
		return;
	}
	if (layer->n_replicas && read_replica(layer, batch)) {
		return;
	}
	/* Beginning a session marks what is unmarked, if nobody else does. */
	if (!redis_session_begin(&reading.session, layer, false)) {
		say_down(batch, 0);
		return;
	}
	if (pass_over_unmarked(layer, batch)) {
		status = read_all(&reading);
		say_untrusted_down(&reading);
	}
	redis_session_end(&reading.session, status);
	if (status != REDIS_WIRE_OK) {
		say_down(batch, reading.first);
	}
}
