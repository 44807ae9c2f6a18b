#include "layers/redis_place.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/digits.h"
#include "base/hash.h"
#include "base/quiet.h"
#include "layers/redis_record.h"

/* A number is milliseconds since 1970 above and this many random bits below. */
#define RANDOM_BITS 20

/* Renewals that another process was quicker with. */
#define TRIES_MAX 4

static struct redis_place *place_new(struct redis_places *places, struct redis_shared *shared,
				     const struct redis_store *store, const char *server,
				     uint64_t hash)
{
	size_t n_max = strlen(store->name_space) + strlen(server) + 32;
	struct redis_place *place = quiet_calloc(1, sizeof(*place) + n_max);

	if (place) {
		place->newest = places->newest;
		place->server = redis_shared_server(shared, store->hash, server);
		place->hash = hash;
		place->n_prefix = (size_t)snprintf(place->prefix, n_max,
						   "%s%" PRIu64 ":{%s}:", store->name_space,
						   store->version, server);
	}
	return place;
}

/* A brace could make the keys of two servers the same. */
bool redis_place_can_be(const char *server)
{
	return strnlen(server, REDIS_SERVER_MAX) < REDIS_SERVER_MAX && !strchr(server, '}');
}

struct redis_place *redis_place_of(struct redis_places *places, struct redis_shared *shared,
				   const struct redis_store *store, const char *server)
{
	size_t n = strnlen(server, REDIS_SERVER_MAX);
	uint64_t hash = hash_bytes(server, n);
	struct redis_place *made;

	if (!redis_place_can_be(server)) {
		return NULL;
	}
	for (unsigned i = 0; i < REDIS_PLACES; i++) {
		_Atomic(struct redis_place *) *at = &places->list[(hash + i) % REDIS_PLACES];
		struct redis_place *found = atomic_load_explicit(at, memory_order_acquire);

		if (found == NULL) {
			made = place_new(places, shared, store, server, hash);
			if (made == NULL || atomic_compare_exchange_strong(at, &found, made)) {
				return made;
			}
			quiet_free(made);
		}
		if (found->hash == hash) {
			return found;
		}
	}
	return NULL;
}

void redis_places_free(struct redis_places *places)
{
	for (unsigned i = 0; i < REDIS_PLACES; i++) {
		free(atomic_exchange(&places->list[i], NULL));
	}
}

void redis_place_key(const struct redis_place *place, uint64_t number, const char *wire,
		     size_t n_wire, struct redis_key *ret_key)
{
	// cppcheck-suppress ctuuninitvar ; it is filled here
	char *at = ret_key->bytes;

	memcpy(at, place->prefix, place->n_prefix);
	at += place->n_prefix;
	at = digits_hex(at, number, 1);
	*at++ = ':';
	ret_key->kind = (size_t)(at - ret_key->bytes);
	*at++ = 'r';
	*at++ = ':';
	memcpy(at, wire, n_wire);
	ret_key->n = (size_t)(at - ret_key->bytes) + n_wire;
}

/* --- the generation --- */

static void add_key(const struct redis_place *place, struct redis_wire *wire)
{
	redis_wire_arg_pair(wire, place->prefix, place->n_prefix, "generation", 10);
}

void redis_place_ask(const struct redis_place *place, struct redis_wire *wire)
{
	redis_wire_command(wire, 2);
	redis_wire_text(wire, "GET");
	add_key(place, wire);
}

static size_t text_of(uint64_t number, const struct redis_identity *identity,
		      char ret_text[REDIS_GENERATION_MAX])
{
	char *at = digits_hex(ret_text, number, 1);

	*at++ = ' ';
	at = stpcpy(at, identity->run);
	*at++ = '.';
	at = stpcpy(at, identity->replication);
	*at++ = '.';
	at = digits_decimal(at, identity->db);
	*at = '\0';
	return (size_t)(at - ret_text);
}

/* What stands in Redis, as a string. */
struct found {
	char text[REDIS_GENERATION_MAX]; /* empty: there is none */
	bool nonsense;
};

static bool take_text(void *owner, const struct redis_wire_reply *reply)
{
	struct found *found = owner;

	found->text[0] = '\0';
	if (reply->is_element ||
	    (reply->type != REDIS_WIRE_STRING && reply->type != REDIS_WIRE_NIL)) {
		return false;
	}
	found->nonsense = reply->type == REDIS_WIRE_STRING && reply->n >= sizeof(found->text);
	if (reply->type == REDIS_WIRE_STRING && !found->nonsense) {
		memcpy(found->text, reply->bytes, reply->n);
		found->text[reply->n] = '\0';
	}
	return true;
}

/* The number where the text is of this Redis and no older than any known; else 0. */
static uint64_t number_of(const struct redis_place *place, const struct found *found,
			  const struct redis_identity *identity)
{
	uint64_t number = strtoull(found->text, NULL, 16);
	char text[REDIS_GENERATION_MAX];

	text_of(number, identity, text);
	if (found->nonsense || strcmp(text, found->text) != 0 || place->server == NULL ||
	    number < atomic_load(&place->server->newest)) {
		return 0;
	}
	return number;
}

static void raise_to(_Atomic uint64_t *newest, uint64_t number)
{
	uint64_t before = atomic_load(newest);

	while (before < number && !atomic_compare_exchange_weak(newest, &before, number)) {
	}
}

static void note(struct redis_place *place, uint64_t number)
{
	raise_to(&place->server->newest, number);
	if (place->newest) {
		raise_to(place->newest, number);
	}
	atomic_store(&place->number, number);
}

enum redis_place_answer redis_place_compare(struct redis_place *place,
					    const struct redis_identity *identity, uint64_t assumed,
					    const struct redis_wire_reply *reply)
{
	struct found found;
	uint64_t number;

	if (!take_text(&found, reply)) {
		return REDIS_PLACE_NONSENSE;
	}
	number = number_of(place, &found, identity);
	if (number == assumed && number) {
		return REDIS_PLACE_SAME;
	}
	if (number) {
		note(place, number);
	} else {
		atomic_store(&place->number, 0);
	}
	return REDIS_PLACE_OTHER;
}

bool redis_place_is_number(const struct redis_wire_reply *reply, uint64_t number)
{
	struct found found;
	char text[DIGITS_MAX + 2];
	char *end = digits_hex(text, number, 1);

	*end++ = ' ';
	return take_text(&found, reply) && !found.nonsense &&
	       strncmp(found.text, text, (size_t)(end - text)) == 0;
}

/* Higher than any that stood there or that the domain has seen, and than those made of before. */
static uint64_t next_number(const struct redis_place *place, const struct found *found)
{
	uint64_t random = redis_record_token() & ((1u << RANDOM_BITS) - 1);
	uint64_t next = (uint64_t)clock_wall_ms() << RANDOM_BITS | random;
	uint64_t stood = strtoull(found->text, NULL, 16);
	uint64_t newest = atomic_load(&place->server->newest);

	/* Somebody else's nonsense must not use up the numbers. */
	if (stood < newest || stood > next + (UINT64_C(1) << (RANDOM_BITS + 40))) {
		stood = newest;
	}
	return next > stood ? next : stood + 1;
}

static enum redis_wire_status renew(struct redis_place *place, struct redis_connection *connection,
				    struct found *found, int64_t deadline_ns, uint64_t *ret_number)
{
	struct redis_wire *wire = connection->wire;
	uint64_t number = next_number(place, found);
	char text[REDIS_GENERATION_MAX];
	size_t n = text_of(number, &connection->identity, text);
	enum redis_wire_status status;

	redis_scripts_call(wire, &connection->scripts, REDIS_SCRIPT_renew, 1, 2);
	add_key(place, wire);
	redis_wire_text(wire, found->text);
	redis_wire_arg(wire, text, n);
	status = redis_wire_exchange(wire, take_text, found, deadline_ns);
	*ret_number = status == REDIS_WIRE_OK && strcmp(found->text, text) == 0 ? number : 0;
	return status;
}

static bool take_any(void *owner, const struct redis_wire_reply *reply)
{
	return reply->type == REDIS_WIRE_INTEGER;
}

/* Text that nobody of us wrote cannot be compared: it goes. */
static enum redis_wire_status remove_nonsense(const struct redis_place *place,
					      struct redis_wire *wire, struct found *found,
					      int64_t deadline_ns)
{
	redis_wire_command(wire, 2);
	redis_wire_text(wire, "UNLINK");
	add_key(place, wire);
	found->text[0] = '\0';
	found->nonsense = false;
	return redis_wire_exchange(wire, take_any, NULL, deadline_ns);
}

enum redis_wire_status redis_place_learn(struct redis_place *place,
					 struct redis_connection *connection, bool renew_it,
					 int64_t deadline_ns, uint64_t *ret_number)
{
	struct redis_wire *wire = connection->wire;
	/* Before anything is asked: what fails from now on, a new generation may not cover. */
	uint64_t unclean = place->server ? atomic_load(&place->server->unclean) : 0;
	enum redis_wire_status status;
	struct found found = { .nonsense = false };
	uint64_t number;

	if (place->server == NULL) {
		return REDIS_WIRE_REFUSED;
	}
	redis_place_ask(place, wire);
	status = redis_wire_exchange(wire, take_text, &found, deadline_ns);
	for (int i = 0; i < TRIES_MAX && status == REDIS_WIRE_OK; i++) {
		number = number_of(place, &found, &connection->identity);
		if (number && !renew_it) {
			note(place, number);
			*ret_number = number;
			return REDIS_WIRE_OK;
		}
		if (found.nonsense) {
			status = remove_nonsense(place, wire, &found, deadline_ns);
		}
		if (status == REDIS_WIRE_OK) {
			status = renew(place, connection, &found, deadline_ns, &number);
		}
		if (status == REDIS_WIRE_OK && number) {
			note(place, number);
			redis_server_cleaned(place->server, unclean);
			*ret_number = number;
			return REDIS_WIRE_OK;
		}
	}
	return status == REDIS_WIRE_OK ? REDIS_WIRE_REFUSED : status;
}
