#include "layers/redis_session.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/process.h"
#include "layers/redis_alias.h"

uint64_t redis_process(struct layer *layer)
{
	uint64_t word = atomic_load_explicit(&layer->process, memory_order_relaxed);
	struct process self;

	if (word == 0) {
		process_self(&self);
		word = process_pack(&self);
		atomic_store_explicit(&layer->process, word, memory_order_relaxed);
	}
	return word;
}

void redis_say_unmarked(const struct layer *layer)
{
	uint64_t n = redis_shared_n_unmarked(layer->shared);

	if (layer->options.seen == NULL) {
		return;
	}
	for (unsigned i = 0; i < REDIS_SERVERS_MAX; i++) {
		n += redis_server_unclean(&layer->shared->servers[i]) != 0;
	}
	gauge_set(&layer->options.seen->unmarked, n);
}

struct redis_place *redis_session_place(struct layer *layer, const char *server)
{
	return redis_place_of(&layer->places, &layer->store, server);
}

struct redis_server *redis_session_server(struct layer *layer, const char *server)
{
	char alias[REDIS_ALIAS_MAX];

	return redis_shared_server(layer->shared, layer->store.hash,
				   redis_alias_of(layer->places.aliases, server, alias));
}

bool redis_session_is_held(struct redis_session *session)
{
	if (session->connection && !redis_pool_holds(session->connection, session->lease)) {
		session->connection = NULL;
	}
	return session->connection != NULL;
}

void redis_session_end(struct redis_session *session, enum redis_wire_status status)
{
	redis_pool_put(session->pool, session->connection, status);
	session->connection = NULL;
}

static bool is_foreign(const struct redis_place *place)
{
	return atomic_load(&place->rule) == REDIS_RULE_FOREIGN;
}

/* What was heard while the domain said that it is here may be another's name again. */
static enum redis_wire_status attend(struct redis_session *session, struct redis_place *place,
				     uint64_t *ret_number)
{
	enum redis_wire_status status =
		redis_place_attend(place, session->connection, session->deadline_ns);

	if (status == REDIS_WIRE_OK && is_foreign(place)) {
		status = redis_place_learn(place, session->connection, REDIS_LEARN_TO_WRITE,
					   session->deadline_ns, ret_number);
	}
	return status;
}

enum redis_wire_status redis_session_number(struct redis_session *session,
					    struct redis_place *place, bool writes,
					    uint64_t *ret_number)
{
	bool renew =
		place->server && redis_server_unclean(place->server) &&
		redis_server_may_renew(place->server, session->layer->options.breaker_retry_ns);
	uint64_t number = atomic_load(&place->number);
	enum redis_learning learning = writes ? REDIS_LEARN_TO_WRITE : REDIS_LEARN_TO_READ;
	enum redis_wire_status status = REDIS_WIRE_OK;

	if (number && !renew && !redis_place_is_forgotten(place) &&
	    !(writes && is_foreign(place))) {
		*ret_number = number;
	} else {
		status = redis_place_learn(place, session->connection,
					   renew ? REDIS_LEARN_TO_RENEW : learning,
					   session->deadline_ns, ret_number);
	}
	if (status == REDIS_WIRE_OK && writes && atomic_load(&place->rule) == REDIS_RULE_SEVERAL) {
		status = attend(session, place, ret_number);
	}
	if (renew) {
		redis_say_unmarked(session->layer);
	}
	return status;
}

void redis_session_allow_time(struct redis_session *session)
{
	int64_t deadline = clock_now_ns() + session->layer->options.timeout_ns;

	if (session->deadline_ns < deadline) {
		session->deadline_ns = deadline;
	}
}

void redis_session_mark(struct redis_wire *wire, const struct redis_key *key, uint64_t token,
			int64_t life_ms, bool found)
{
	char text[REDIS_RECORD_MAX];
	size_t n = redis_record_pending(token, text);

	redis_wire_command(wire, found ? 6 : 5);
	redis_wire_text(wire, "SET");
	redis_wire_arg(wire, key->bytes, key->n);
	redis_wire_arg(wire, text, n);
	redis_wire_text(wire, "PX");
	redis_wire_number(wire, life_ms);
	if (found) {
		redis_wire_text(wire, "GET");
	}
}

/* Full: what takes no room still works; but where others write, they must see that one does. */
void redis_session_press(struct redis_session *session, struct redis_key *key, bool several,
			 uint64_t token)
{
	struct redis_wire *wire = session->connection->wire;
	char text[REDIS_RECORD_MAX];

	if (several) {
		redis_scripts_load_one(wire, REDIS_SCRIPT_press);
		redis_scripts_call(wire, &session->connection->scripts, REDIS_SCRIPT_press, 2, 2);
	} else {
		redis_wire_command(wire, 3);
		redis_wire_text(wire, "UNLINK");
	}
	redis_key_add_both(wire, key);
	if (several) {
		redis_record_pending(token, text);
		redis_wire_text(wire, text);
		redis_wire_number(wire, REDIS_MARK_MS);
	}
}

bool redis_reply_is_oom(const struct redis_wire_reply *reply)
{
	static const char oom[] = "OOM ";

	return reply->type == REDIS_WIRE_ERROR && reply->n >= strlen(oom) &&
	       memcmp(reply->bytes, oom, strlen(oom)) == 0;
}

/* --- what is unmarked --- */

struct remark {
	struct redis_unmarked unmarked;
	struct redis_place *place;
	uint64_t number;
	struct redis_key key;
	struct redis_generation generation;
	bool same;
	bool done;
};

struct remarking {
	struct redis_session *session;
	struct remark *at; /* whose two replies come */
	bool oom;
};

static bool take_remark(void *owner, const struct redis_wire_reply *reply)
{
	struct remarking *remarking = owner;
	struct remark *at = remarking->at;
	enum redis_place_answer answer;

	if (reply->command == 0) {
		answer = redis_place_compare(at->place, remarking->session->connection, at->number,
					     reply, &at->generation);
		at->same = answer == REDIS_PLACE_SAME;
		return answer != REDIS_PLACE_NONSENSE;
	}
	if (reply->type == REDIS_WIRE_ERROR) {
		remarking->oom = redis_reply_is_oom(reply);
		return remarking->oom;
	}
	at->done = at->same;
	return true;
}

static enum redis_wire_status exchange_remark(struct remarking *remarking, bool unlink)
{
	struct redis_session *session = remarking->session;
	struct redis_wire *wire = session->connection->wire;
	struct remark *at = remarking->at;

	redis_place_ask(at->place, wire);
	if (unlink) {
		redis_session_press(session, &at->key, at->generation.domain == REDIS_SEVERAL,
				    redis_record_token());
	} else {
		redis_session_mark(wire, &at->key, redis_record_token(), REDIS_MARK_MS, false);
	}
	return redis_wire_exchange(wire, take_remark, remarking, session->deadline_ns);
}

/* A key whose server has no place has no deep value either. */
static enum redis_wire_status remark_one(struct redis_session *session, struct remark *at)
{
	struct remarking remarking = { .session = session, .at = at };
	enum redis_wire_status status;

	at->place = redis_session_place(session->layer, at->unmarked.server);
	at->done = at->place == NULL;
	if (at->done) {
		return REDIS_WIRE_OK;
	}
	status = redis_session_number(session, at->place, true, &at->number);
	if (status == REDIS_WIRE_OK) {
		redis_place_key(at->place, at->number, at->unmarked.wire, at->unmarked.n_wire,
				&at->key);
		status = exchange_remark(&remarking, false);
	}
	if (status == REDIS_WIRE_OK && remarking.oom) {
		status = exchange_remark(&remarking, true);
	}
	return status;
}

static enum redis_wire_status remark(struct redis_session *session)
{
	struct redis_shared *shared = session->layer->shared;
	enum redis_wire_status status = REDIS_WIRE_OK;
	unsigned cursor = 0;
	struct remark at;

	while (status == REDIS_WIRE_OK && clock_now_ns() < session->deadline_ns &&
	       redis_shared_next_unmarked(shared, session->layer->store.hash, &cursor,
					  &at.unmarked)) {
		at.done = false;
		at.generation.number = 0;
		status = remark_one(session, &at);
		if (status == REDIS_WIRE_OK && at.done) {
			redis_shared_remarked(shared, redis_process(session->layer), &at.unmarked);
		}
	}
	return status;
}

/* Whether what Redis has is no use any more. */
static bool clock_was_set_back(struct layer *layer)
{
	if (!redis_shared_watch_clock(layer->shared)) {
		return false;
	}
	log_line(LOG_LEVEL_WARN, "redis: the clock was set back: what is in Redis is forgotten");
	redis_say_unmarked(layer);
	return true;
}

bool redis_session_begin_replica(struct redis_session *session, struct layer *layer)
{
	uint64_t first = layer->n_replicas > 1 ? redis_record_token() : 0;

	session->layer = layer;
	session->deadline_ns = clock_now_ns() + layer->options.timeout_ns;
	session->connection = NULL;
	if (clock_was_set_back(layer)) {
		return false;
	}
	for (unsigned i = 0; i < layer->n_replicas && session->connection == NULL; i++) {
		session->pool = layer->replicas[(first + i) % layer->n_replicas];
		session->connection = redis_pool_take(session->pool, false, session->deadline_ns);
	}
	if (session->connection) {
		session->lease = session->connection->lease;
	}
	return session->connection != NULL;
}

bool redis_session_begin(struct redis_session *session, struct layer *layer, bool wait)
{
	enum redis_wire_status status;

	session->layer = layer;
	session->pool = layer->pool;
	session->deadline_ns = clock_now_ns() + layer->options.timeout_ns;
	session->connection = redis_pool_take(layer->pool, wait, session->deadline_ns);
	if (session->connection == NULL) {
		return false;
	}
	session->lease = session->connection->lease;
	clock_was_set_back(layer);
	if (redis_shared_may_remark(layer->shared, layer->options.timeout_ns)) {
		status = remark(session);
		redis_shared_remark_done(layer->shared);
		redis_say_unmarked(layer);
		if (status != REDIS_WIRE_OK) {
			redis_session_end(session, status);
			return false;
		}
	}
	return true;
}
