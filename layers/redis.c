#include "layers/redis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "layers/envelope.h"
#include "layers/redis_answers.h"
#include "layers/redis_read.h"
#include "layers/redis_session.h"

/* A write is repeated where the generation changed, and where there was no room. */
#define TURNS_MAX 3

/* What is to be done about a write. */
struct settling {
	const struct layer_write *write;
	bool stores;	     /* else forgets */
	int64_t life_ms;     /* 0: for ever */
	uint64_t expires_ms; /* 0: never */
};

/*
 * Milliseconds that the value may live, 0 for ever, -1 where it is over.  Cut,
 * not rounded: Redis must not have it longer than memcached.
 */
static int64_t life_of(const struct layer *layer, const struct layer_write *write)
{
	int64_t now = clock_now_ns();
	int64_t left = CLOCK_NEVER;
	int64_t ttl_ns = layer->options.ttl_ns;

	if (write->deadline_ns <= now) {
		return -1;
	}
	if (write->deadline_ns != CLOCK_NEVER) {
		left = write->deadline_ns - now;
	}
	if (ttl_ns && ttl_ns < left) {
		left = ttl_ns;
	}
	if (left == CLOCK_NEVER) {
		return 0;
	}
	return left < CLOCK_NS_PER_MS ? -1 : left / CLOCK_NS_PER_MS;
}

static bool is_value(const struct layer_write *write)
{
	switch (write->verb) {
	case LAYER_SET:
	case LAYER_ADD:
	case LAYER_REPLACE:
	case LAYER_CAS:
		return write->outcome == LAYER_DONE && !write->key.private;
	default:
		return false;
	}
}

static struct settling settling_of(const struct layer *layer, const struct layer_write *write)
{
	const struct redis_options *options = &layer->options;
	struct settling settling = { .write = write };
	bool fits = write->n_value >= options->min_item_bytes &&
		    write->n_value <= options->max_item_bytes;

	if (!is_value(write)) {
		return settling;
	}
	if (!fits) {
		counter_add(&(*layer->counters)->rejected, 1);
		return settling;
	}
	settling.life_ms = life_of(layer, write);
	settling.stores = settling.life_ms >= 0;
	if (settling.life_ms > 0) {
		settling.expires_ms = (uint64_t)(clock_wall_ms() + settling.life_ms);
	}
	return settling;
}

static void build_settling(const struct redis_session *session, const struct settling *settling)
{
	struct redis_wire *wire = session->connection->wire;
	const struct layer_write *write = settling->write;
	const struct envelope envelope = {
		.flags = write->flags,
		.expires_ms = settling->expires_ms,
		.value = (const uint8_t *)write->value,
		.n_value = (uint32_t)write->n_value,
	};
	uint8_t header[ENVELOPE_HEADER_BYTES];
	char key[REDIS_KEY_MAX];
	size_t n_key = redis_session_key(session, &write->key, key);

	if (settling->stores) {
		envelope_encode(&envelope, key, n_key, header);
		redis_wire_command(wire, settling->life_ms ? 5 : 3);
		redis_wire_text(wire, "SET");
		redis_wire_arg(wire, key, n_key);
		redis_wire_arg_pair(wire, header, sizeof(header), write->value, write->n_value);
		if (settling->life_ms) {
			redis_wire_text(wire, "PX");
			redis_wire_number(wire, settling->life_ms);
		}
	} else {
		redis_wire_command(wire, 2);
		redis_wire_text(wire, "UNLINK");
		redis_wire_arg(wire, key, n_key);
	}
	redis_session_ask_generation(session);
}

static void count_settled(const struct layer *layer, const struct settling *settling,
			  const struct redis_answer *answer)
{
	struct layer_counters *counters = *layer->counters;

	if (settling->stores) {
		counter_add(&counters->fills, 1);
	} else if (answer->number > 0) {
		counter_add(&counters->invalidated, 1);
	}
}

/*
 * One attempt.  *ret_settled: the key holds the new value or nothing, in the
 * generation that is in force.
 */
static enum redis_wire_status settle_once(struct redis_session *session, struct settling *settling,
					  bool *ret_settled)
{
	struct redis_generation *generation = &session->layer->generation;
	struct redis_wire *wire = session->connection->wire;
	struct redis_answers answers = { .permits_oom = settling->stores };
	const struct redis_answer *done = &answers.list[0];
	int64_t number;
	enum redis_wire_status status;

	build_settling(session, settling);
	status = redis_wire_exchange(wire, redis_answers_take, &answers, session->deadline_ns);
	if (status != REDIS_WIRE_OK) {
		return status;
	}
	number = answers.list[1].number;
	if (number != session->generation) {
		redis_generation_note(generation, number);
		if (number == 0) {
			status = redis_generation_learn(generation, wire, session->deadline_ns,
							&number);
		}
		redis_session_assume(session, number);
		return status;
	}
	if (done->type == REDIS_WIRE_ERROR) {
		/* No room for the new value; forgetting the old one needs none. */
		counter_add(&(*session->layer->counters)->rejected, 1);
		settling->stores = false;
		return REDIS_WIRE_OK;
	}
	if (done->type != (settling->stores ? REDIS_WIRE_STATUS : REDIS_WIRE_INTEGER)) {
		return REDIS_WIRE_REFUSED;
	}
	count_settled(session->layer, settling, done);
	*ret_settled = true;
	return REDIS_WIRE_OK;
}

static bool settle(struct layer *layer, struct settling *settling)
{
	struct redis_session session;
	enum redis_wire_status status = REDIS_WIRE_OK;
	bool settled = false;

	if (!redis_session_begin(&session, layer, true)) {
		return false;
	}
	for (int turn = 0; turn < TURNS_MAX && !settled && status == REDIS_WIRE_OK; turn++) {
		status = settle_once(&session, settling, &settled);
	}
	redis_session_end(&session, status);
	return settled;
}

/*
 * A write that memcached refused changed nothing there, so what Redis holds is
 * as right as it was: where memcached has the key it answers first, and where
 * it has lost it (replace, append, increment) the deep value is the last one
 * written.  A delete is different: NOTFOUND says that memcached had lost the
 * key, and the program's wish that it be gone must hold here too.
 */
static bool is_nothing(const struct layer_write *write)
{
	return write->outcome == LAYER_UNSENT ||
	       (write->outcome == LAYER_REFUSED && write->verb != LAYER_DELETE) ||
	       !redis_session_can_name(&write->key);
}

static void redis_written(struct layer *layer, const struct layer_write *write)
{
	struct settling settling;

	if (is_nothing(write)) {
		return;
	}
	settling = settling_of(layer, write);
	if (!settle(layer, &settling)) {
		redis_generation_soil(&layer->generation);
	}
}

static void redis_flush(struct layer *layer)
{
	struct redis_session session;
	enum redis_wire_status status;

	if (!redis_session_begin(&session, layer, true)) {
		redis_generation_soil(&layer->generation);
		return;
	}
	status = redis_generation_renew(&layer->generation, session.connection->wire,
					session.deadline_ns);
	redis_session_end(&session, status);
	if (status != REDIS_WIRE_OK) {
		redis_generation_soil(&layer->generation);
	}
}

static void redis_close(struct layer **layer)
{
	struct layer *old = *layer;

	*layer = NULL;
	if (old) {
		redis_pool_close(&old->pool);
		free(old);
	}
}

static void redis_prepare(struct layer *layer)
{
	redis_pool_prepare(layer->pool);
}

static void redis_parent(struct layer *layer)
{
	redis_pool_parent(layer->pool);
}

static void redis_abandoned(struct layer *layer)
{
	redis_pool_abandoned(layer->pool);
}

static void redis_child(struct layer *layer)
{
	redis_pool_child(layer->pool);
}

static void set_options(struct layer *layer, const struct redis_options *options)
{
	layer->options = *options;
	layer->options.url = NULL;
	layer->options.password_file = NULL;
	layer->options.name_space = NULL;
	if (layer->options.max_item_bytes > REDIS_ITEM_BYTES_MAX) {
		layer->options.max_item_bytes = REDIS_ITEM_BYTES_MAX;
	}
}

struct layer *redis_open(const struct redis_options *options, struct redis_shared *shared,
			 struct layer_counters **counters, const char **ret_why)
{
	struct layer *layer;

	if (strlen(options->name_space) >= REDIS_NAMESPACE_MAX) {
		*ret_why = "the namespace is too long";
		return NULL;
	}
	layer = calloc(1, sizeof(*layer));
	if (layer == NULL) {
		return NULL;
	}
	set_options(layer, options);
	memcpy(layer->name_space, options->name_space, strlen(options->name_space) + 1);
	snprintf(layer->generation.key, sizeof(layer->generation.key), "%s%llu:generation",
		 layer->name_space, (unsigned long long)options->version);
	layer->generation.shared = shared;
	layer->generation.renew_every_ns = options->breaker_retry_ns;
	layer->counters = counters;
	layer->pool = redis_pool_open(options, counters, ret_why);
	if (layer->pool == NULL) {
		redis_close(&layer);
	}
	return layer;
}

const struct layer_ops redis_ops = {
	.name = "redis",
	.capabilities = LAYER_SHARED | LAYER_DEEP,
	.get = redis_read,
	.written = redis_written,
	.flush = redis_flush,
	.close = redis_close,
	.abandoned = redis_abandoned,
	.prepare = redis_prepare,
	.parent = redis_parent,
	.child = redis_child,
};
