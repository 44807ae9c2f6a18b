#include "layers/redis_place.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/digits.h"
#include "base/hash.h"
#include "base/quiet.h"
#include "layers/redis_absent.h"
#include "layers/redis_alias.h"
#include "layers/redis_record.h"

/* A number is milliseconds since 1970 above and this many random bits below. */
#define RANDOM_BITS 20

/* Renewals that another process was quicker with. */
#define TRIES_MAX 4

static struct redis_place *place_new(const struct redis_places *places,
				     const struct redis_store *store, const char *server,
				     uint64_t hash)
{
	char alias[REDIS_ALIAS_MAX];
	const char *name = redis_alias_of(places->aliases, server, alias);
	size_t n_max = strlen(store->name_space) + strlen(name) + 32;
	struct redis_place *place = quiet_calloc(1, sizeof(*place) + n_max);

	if (place) {
		place->places = places;
		place->server = redis_shared_server(places->shared, store->hash, name);
		place->hash = hash;
		place->n_prefix = (size_t)snprintf(place->prefix, n_max,
						   "%s%" PRIu64 ":{%s}:", store->name_space,
						   store->version, name);
	}
	return place;
}

/* A brace could make the keys of two servers the same. */
bool redis_place_can_be(const char *server)
{
	return strnlen(server, REDIS_SERVER_MAX) < REDIS_SERVER_MAX && !strchr(server, '}');
}

struct redis_place *redis_place_of(struct redis_places *places, const struct redis_store *store,
				   const char *server)
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
			made = place_new(places, store, server, hash);
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
	free(places->aliases);
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

void redis_key_add_both(struct redis_wire *wire, struct redis_key *key)
{
	redis_wire_arg(wire, key->bytes, key->n);
	key->bytes[key->kind] = 'b';
	redis_wire_arg(wire, key->bytes, key->n);
	key->bytes[key->kind] = 'r';
}

/* --- the generation --- */

void redis_place_name(const struct redis_place *place, struct redis_wire *wire)
{
	redis_wire_arg_pair(wire, place->prefix, place->n_prefix, "generation", 10);
}

void redis_place_ask(const struct redis_place *place, struct redis_wire *wire)
{
	redis_wire_command(wire, 2);
	redis_wire_text(wire, "GET");
	redis_place_name(place, wire);
}

enum redis_rule redis_place_rule(const struct redis_place *place,
				 const struct redis_generation *generation)
{
	if (generation->domain == REDIS_SEVERAL) {
		return REDIS_RULE_SEVERAL;
	}
	return generation->domain == place->places->domain ? REDIS_RULE_ONE : REDIS_RULE_FOREIGN;
}

/* Of this Redis, and no older than any known. */
static bool is_in_force(const struct redis_place *place, const struct redis_generation *generation)
{
	return generation->number && place->server &&
	       generation->number >= atomic_load(&place->server->newest);
}

static void raise_to(_Atomic uint64_t *newest, uint64_t number)
{
	uint64_t before = atomic_load(newest);

	while (before < number && !atomic_compare_exchange_weak(newest, &before, number)) {
	}
}

/* Onlookers see it of all servers at once. */
static void say_several(const struct redis_place *place, bool several)
{
	const struct redis_shared *shared = place->places->shared;

	atomic_store(&place->server->several, several);
	for (unsigned i = 0; i < REDIS_SERVERS_MAX && !several; i++) {
		several = atomic_load(&shared->servers[i].several);
	}
	if (place->places->seen) {
		gauge_set(&place->places->seen->several, several);
	}
}

/* Who writes has not changed since the number began; a change of that has a later time. */
static bool is_ours_alone(const struct redis_place *place,
			  const struct redis_generation *generation)
{
	return redis_place_rule(place, generation) == REDIS_RULE_ONE &&
	       generation->since_ms == generation->began_ms;
}

/* Threads may come with their answers in another order than they were given. */
static void note_heard(struct redis_place *place, int64_t asked_ns, bool is_ours)
{
	raise_to(&place->heard, (uint64_t)asked_ns << 1 | is_ours);
}

static int64_t heard_ns(const struct redis_place *place)
{
	return (int64_t)(atomic_load(&place->heard) >> 1);
}

/* What stands there, asked for at asked_ns or later. */
static void note(struct redis_place *place, const struct redis_generation *generation,
		 int64_t asked_ns)
{
	enum redis_rule rule = redis_place_rule(place, generation);
	/* Who looks on is another domain than it looks at. */
	bool several = place->places->looks_on ? generation->domain == REDIS_SEVERAL
					       : rule != REDIS_RULE_ONE;

	note_heard(place, asked_ns, is_ours_alone(place, generation));
	if (atomic_load_explicit(&place->number, memory_order_relaxed) == generation->number &&
	    atomic_load_explicit(&place->rule, memory_order_relaxed) == rule) {
		return;
	}
	raise_to(&place->server->newest, generation->number);
	if (place->places->seen) {
		raise_to(&place->places->seen->generation, generation->number);
	}
	if (atomic_load(&place->server->several) != several) {
		say_several(place, several);
	}
	atomic_store(&place->rule, rule);
	atomic_store(&place->number, generation->number);
}

enum redis_place_answer redis_place_compare(struct redis_place *place,
					    struct redis_connection *connection, uint64_t assumed,
					    const struct redis_wire_reply *reply,
					    struct redis_generation *ret)
{
	bool is_one = redis_generation_take(&connection->heard, reply, &connection->identity);

	*ret = connection->heard;
	if (!is_one) {
		return REDIS_PLACE_NONSENSE;
	}
	if (is_in_force(place, ret)) {
		note(place, ret, connection->taken_ns);
		return ret->number == assumed ? REDIS_PLACE_SAME : REDIS_PLACE_OTHER;
	}
	note_heard(place, connection->taken_ns, false);
	atomic_store(&place->number, 0);
	return REDIS_PLACE_OTHER;
}

bool redis_place_is_number(const struct redis_wire_reply *reply, uint64_t number)
{
	char text[DIGITS_MAX + 2];
	char *end = digits_hex(text, number, 1);

	*end++ = ' ';
	return reply->type == REDIS_WIRE_STRING && reply->n >= (size_t)(end - text) &&
	       memcmp(reply->bytes, text, (size_t)(end - text)) == 0;
}

bool redis_place_is_ours(const struct redis_place *place)
{
	uint64_t heard = atomic_load(&place->heard);

	return (heard & 1) && clock_boot_ns() - (int64_t)(heard >> 1) <= REDIS_ABSENT_NS;
}

bool redis_place_is_forgotten(const struct redis_place *place)
{
	int64_t most_ns = (int64_t)place->places->heard_ms * (CLOCK_NS_PER_MS / 2);

	return clock_boot_ns() - heard_ns(place) > most_ns;
}

/* --- changing it --- */

/* Higher than any that stood there or that the domain has seen, and than those made of before. */
static uint64_t next_number(const struct redis_place *place, const struct redis_generation *found)
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

/*
 * Whose a new number is.  What was there before may be lost, and with it that somebody
 * else writes: then what this domain remembers counts.
 */
static uint64_t next_domain(const struct redis_place *place, const struct redis_generation *found)
{
	bool several = atomic_load(&place->server->several) ||
		       (found->is_whole && redis_place_rule(place, found) != REDIS_RULE_ONE);

	return several ? REDIS_SEVERAL : place->places->domain;
}

struct change {
	struct redis_generation found;
	const struct redis_identity *identity;
};

static bool take_change(void *owner, const struct redis_wire_reply *reply)
{
	struct change *change = owner;

	return redis_generation_take(&change->found, reply, change->identity);
}

/* A new number, or (`renew` false) the present one for several; what stands there then. */
static enum redis_wire_status set_anew(const struct redis_place *place,
				       struct redis_connection *connection, struct change *change,
				       bool renew, int64_t deadline_ns)
{
	struct redis_wire *wire = connection->wire;
	const struct redis_generation *found = &change->found;
	char text[REDIS_GENERATION_MAX];
	size_t n = renew ? redis_generation_text(next_number(place, found), change->identity, 0,
						 next_domain(place, found), text)
			 : redis_generation_text(found->number, change->identity, found->began_ms,
						 REDIS_SEVERAL, text);

	redis_scripts_call(wire, &connection->scripts, REDIS_SCRIPT_renew, 1, 2);
	redis_place_name(place, wire);
	redis_wire_arg(wire, found->text, found->n);
	redis_wire_arg(wire, text, n);
	return redis_wire_exchange(wire, take_change, change, deadline_ns);
}

static bool take_any(void *owner, const struct redis_wire_reply *reply)
{
	return reply->type == REDIS_WIRE_INTEGER;
}

/* Text that nobody of us wrote cannot be compared: it goes. */
static enum redis_wire_status remove_foreign(const struct redis_place *place,
					     struct redis_wire *wire,
					     struct redis_generation *found, int64_t deadline_ns)
{
	redis_wire_command(wire, 2);
	redis_wire_text(wire, "UNLINK");
	redis_place_name(place, wire);
	*found = (struct redis_generation){ .n = 0 };
	return redis_wire_exchange(wire, take_any, NULL, deadline_ns);
}

/* Whether what stands there serves the purpose; what was found before may be renewed. */
static bool suits(const struct redis_place *place, const struct redis_generation *found,
		  enum redis_learning learning, uint64_t to_renew)
{
	return is_in_force(place, found) &&
	       (learning != REDIS_LEARN_TO_RENEW || found->number > to_renew) &&
	       (learning == REDIS_LEARN_TO_READ ||
		redis_place_rule(place, found) != REDIS_RULE_FOREIGN);
}

enum redis_wire_status redis_place_learn(struct redis_place *place,
					 struct redis_connection *connection,
					 enum redis_learning learning, int64_t deadline_ns,
					 uint64_t *ret_number)
{
	struct redis_wire *wire = connection->wire;
	/* Before anything is asked: what fails from now on, a new generation may not cover. */
	uint64_t unclean = place->server ? atomic_load(&place->server->unclean) : 0;
	struct change change = { .identity = &connection->identity };
	uint64_t before;
	enum redis_wire_status status;

	if (place->server == NULL) {
		return REDIS_WIRE_REFUSED;
	}
	redis_place_ask(place, wire);
	status = redis_wire_exchange(wire, take_change, &change, deadline_ns);
	before = change.found.number;
	for (int i = 0; i < TRIES_MAX && status == REDIS_WIRE_OK; i++) {
		bool renew = !is_in_force(place, &change.found) ||
			     (learning == REDIS_LEARN_TO_RENEW && change.found.number <= before);

		if (suits(place, &change.found, learning, before)) {
			note(place, &change.found, connection->taken_ns);
			if (change.found.number > before) {
				redis_server_cleaned(place->server, unclean);
			}
			*ret_number = change.found.number;
			return REDIS_WIRE_OK;
		}
		if (place->places->looks_on) {
			*ret_number = REDIS_NO_GENERATION;
			return REDIS_WIRE_OK;
		}
		if (change.found.is_foreign) {
			status = remove_foreign(place, wire, &change.found, deadline_ns);
		}
		if (status == REDIS_WIRE_OK) {
			status = set_anew(place, connection, &change, renew, deadline_ns);
		}
	}
	return status == REDIS_WIRE_OK ? REDIS_WIRE_REFUSED : status;
}

/* --- several domains --- */

/* So often in the time for which it is remembered a domain says that it is there. */
#define ATTENDANCES 10

static void build_attendance(const struct redis_place *place, struct redis_connection *connection,
			     const struct redis_generation *found)
{
	const struct redis_places *places = place->places;
	struct redis_wire *wire = connection->wire;
	char text[REDIS_GENERATION_MAX] = "";
	char id[DIGITS_MAX + 1];

	*digits_hex(id, redis_shared_domain(places->shared), 16) = '\0';
	if (places->domain != REDIS_SEVERAL) {
		redis_generation_text(found->number, &connection->identity, found->began_ms,
				      places->domain, text);
	}
	redis_scripts_call(wire, &connection->scripts, REDIS_SCRIPT_attend, 2, 5);
	redis_place_name(place, wire);
	redis_wire_arg_pair(wire, place->prefix, place->n_prefix, "domains", 7);
	redis_wire_arg(wire, found->text, found->n);
	redis_wire_text(wire, id);
	redis_wire_number(wire, (int64_t)places->heard_ms);
	redis_wire_text(wire, text);
	redis_wire_number(wire, (int64_t)found->since_ms);
}

enum redis_wire_status redis_place_attend(struct redis_place *place,
					  struct redis_connection *connection, int64_t deadline_ns)
{
	int64_t every_ns = (int64_t)place->places->heard_ms * CLOCK_NS_PER_MS / ATTENDANCES;
	int64_t before = atomic_load(&place->server->attended_ns);
	int64_t now = clock_boot_ns();
	struct change change = { .identity = &connection->identity };
	enum redis_wire_status status;

	if (before && now - before < every_ns) {
		return REDIS_WIRE_OK;
	}
	redis_place_ask(place, connection->wire);
	status = redis_wire_exchange(connection->wire, take_change, &change, deadline_ns);
	if (status != REDIS_WIRE_OK) {
		return status;
	}
	build_attendance(place, connection, &change.found);
	status = redis_wire_exchange(connection->wire, take_change, &change, deadline_ns);
	if (status == REDIS_WIRE_OK && is_in_force(place, &change.found)) {
		note(place, &change.found, connection->taken_ns);
		atomic_store(&place->server->attended_ns, now);
	}
	return status;
}
