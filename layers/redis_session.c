#include "layers/redis_session.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

void redis_session_assume(struct redis_session *session, int64_t generation)
{
	const struct layer *layer = session->layer;

	session->generation = generation;
	session->n_prefix =
		(size_t)snprintf(session->prefix, sizeof(session->prefix), "%s%llu:%lld.%s:{",
				 layer->name_space, (unsigned long long)layer->options.version,
				 (long long)generation, session->connection->run);
}

/* A brace in the server's name could make two items' deep keys the same. */
bool redis_session_can_name(const struct layer_key *key)
{
	return strnlen(key->server, REDIS_SERVER_MAX) < REDIS_SERVER_MAX &&
	       !strchr(key->server, '}') && key->n_wire <= LAYER_KEY_MAX;
}

size_t redis_session_key(const struct redis_session *session, const struct layer_key *key,
			 char ret_key[REDIS_KEY_MAX])
{
	size_t n_server = strlen(key->server);
	char *at = ret_key;

	memcpy(at, session->prefix, session->n_prefix);
	at += session->n_prefix;
	memcpy(at, key->server, n_server);
	at += n_server;
	*at++ = '}';
	*at++ = ':';
	memcpy(at, key->wire, key->n_wire);
	return (size_t)(at - ret_key) + key->n_wire;
}

void redis_session_end(struct redis_session *session, enum redis_wire_status status)
{
	redis_pool_put(session->layer->pool, session->connection, status);
}

/* Learns the generation, and begins a new one where that is needed and due. */
static enum redis_wire_status catch_up(struct redis_session *session)
{
	struct redis_generation *generation = &session->layer->generation;
	struct redis_wire *wire = session->connection->wire;
	int64_t number = atomic_load(&generation->number);
	enum redis_wire_status status = REDIS_WIRE_OK;

	if (!redis_generation_is_clean(generation) && redis_generation_is_due(generation, true)) {
		status = redis_generation_renew(generation, wire, session->deadline_ns);
		number = atomic_load(&generation->number);
	}
	if (status == REDIS_WIRE_OK && number == 0) {
		status = redis_generation_learn(generation, wire, session->deadline_ns, &number);
	}
	redis_session_assume(session, number);
	return status;
}

bool redis_session_begin(struct redis_session *session, struct layer *layer, bool wait)
{
	enum redis_wire_status status;

	session->layer = layer;
	session->deadline_ns = clock_now_ns() + layer->options.timeout_ns;
	session->connection = redis_pool_take(layer->pool, wait, session->deadline_ns);
	if (session->connection == NULL) {
		return false;
	}
	status = catch_up(session);
	if (status != REDIS_WIRE_OK) {
		redis_session_end(session, status);
		return false;
	}
	return true;
}

void redis_session_ask_generation(const struct redis_session *session)
{
	struct redis_wire *wire = session->connection->wire;

	redis_wire_command(wire, 2);
	redis_wire_text(wire, "GET");
	redis_wire_text(wire, session->layer->generation.key);
}
