#include "measure/given.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/machine.h"
#include "base/quiet.h"
#include "layers/redis_address.h"
#include "layers/redis_place.h"
#include "layers/redis_wire.h"
#include "measure/board.h"
#include "measure/number.h"
#include "measure/servers.h"

#define FORGET_S 5

static bool wrong(char *ret_why, const char *what, const char *why)
{
	snprintf(ret_why, GIVEN_WHY_MAX, "%s %s", what, why);
	return false;
}

/* Where a server of the list is; false where the word is no address. */
static bool parse(const char *word, struct redis_url *ret)
{
	const char *colon = strrchr(word, ':');
	unsigned port;

	*ret = (struct redis_url){ .is_unix = word[0] == '/' };
	if (ret->is_unix) {
		return (size_t)snprintf(ret->path, sizeof(ret->path), "%s", word) <
		       sizeof(ret->path);
	}
	if (!colon || colon == word || (size_t)(colon - word) >= sizeof(ret->host) ||
	    !number_port(colon + 1, 1, &port)) {
		return false;
	}
	snprintf(ret->host, sizeof(ret->host), "%.*s", (int)(colon - word), word);
	snprintf(ret->port, sizeof(ret->port), "%u", port);
	return true;
}

/* As tower names the server (shim/servers.c). */
static void name_of(const struct redis_url *at, char *ret, size_t n)
{
	machine_name_server(at->is_unix ? at->path : at->host,
			    at->is_unix ? 0 : (unsigned)strtoul(at->port, NULL, 10), ret, n);
}

/* Calls `each` for every server of the list until it says no. */
static bool for_each(const char *list, char *ret_why,
		     bool (*each)(const char *word, const struct redis_url *at, char *ret_why))
{
	char text[BOARD_SERVERS_MAX];
	char *rest = NULL;
	unsigned n = 0;

	if ((size_t)snprintf(text, sizeof(text), "%s", list) >= sizeof(text)) {
		return wrong(ret_why, "the list", "is too long");
	}
	for (char *word = strtok_r(text, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
		struct redis_url at;

		if (!parse(word, &at)) {
			return wrong(ret_why, word,
				     "is neither HOST:PORT nor the path of a socket");
		}
		if (each && !each(word, &at, ret_why)) {
			return false;
		}
		n++;
	}
	return n > 0 || wrong(ret_why, "the list", "is empty");
}

static bool answers(const char *word, const struct redis_url *at, const char *question,
		    const char *expected, char *ret_why)
{
	struct redis_addresses *addresses = redis_address_resolve(at);
	char version[SERVERS_VERSION_MAX];
	bool does = false;

	if (!addresses) {
		return wrong(ret_why, word, "is no host that is known");
	}
	errno = 0;
	for (unsigned i = 0; i < addresses->n && !does; i++) {
		does = servers_ask((const struct sockaddr *)&addresses->list[i].socket,
				   addresses->list[i].n_socket, question, expected, version);
	}
	if (!does) {
		snprintf(ret_why, GIVEN_WHY_MAX, "%s does not answer: %s", word,
			 errno ? strerror(errno) : "it says something else");
	}
	quiet_free(addresses);
	return does;
}

static bool memcached_answers(const char *word, const struct redis_url *at, char *ret_why)
{
	/* What every proxy answers, too. */
	return answers(word, at, "get tower-bench\r\n", "END", ret_why);
}

bool given_servers_are(const char *list, char *ret_why)
{
	return for_each(list, ret_why, NULL);
}

bool given_redis_is(const char *url, char *ret_why)
{
	struct redis_url at;
	const char *why = redis_url_parse(url, &at);

	return why == NULL || wrong(ret_why, url, why);
}

bool given_answer(const char *list, const char *redis, char *ret_why)
{
	struct redis_url at;

	if (list && !for_each(list, ret_why, memcached_answers)) {
		return false;
	}
	if (redis == NULL || redis_url_parse(redis, &at)) {
		return true;
	}
	/* A Redis that wants a password says so with an error: it is there. */
	return answers(at.is_unix ? at.path : at.host, &at, "PING\r\n", "", ret_why);
}

static bool any_reply(void *owner, const struct redis_wire_reply *reply)
{
	(void)owner;
	return reply->type != REDIS_WIRE_ARRAY;
}

static void say_who(struct redis_wire *wire, const struct redis_url *url)
{
	if (url->password[0]) {
		redis_wire_command(wire, url->user[0] ? 3 : 2);
		redis_wire_text(wire, "AUTH");
		if (url->user[0]) {
			redis_wire_text(wire, url->user);
		}
		redis_wire_text(wire, url->password);
	}
	redis_wire_command(wire, 2);
	redis_wire_text(wire, "SELECT");
	redis_wire_number(wire, url->db);
}

static void unlink_generations(struct redis_wire *wire, const struct config *config,
			       const char *list)
{
	char text[BOARD_SERVERS_MAX];
	char *rest = NULL;

	snprintf(text, sizeof(text), "%s", list);
	for (char *word = strtok_r(text, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
		char key[CONFIG_TEXT_MAX + REDIS_SERVER_MAX + 64];
		char name[REDIS_SERVER_MAX];
		struct redis_url at;

		if (parse(word, &at)) {
			name_of(&at, name, sizeof(name));
			snprintf(key, sizeof(key), "%s%" PRIu64 ":{%s}:generation",
				 config->redis_namespace, config->redis_version, name);
			redis_wire_command(wire, 2);
			redis_wire_text(wire, "UNLINK");
			redis_wire_text(wire, key);
		}
	}
}

void given_forget(const struct config *config, const char *list)
{
	int64_t deadline_ns = clock_now_ns() + FORGET_S * CLOCK_NS_PER_S;
	struct redis_addresses *addresses = NULL;
	struct redis_wire *wire = NULL;
	struct redis_url url;

	if (redis_url_parse(config->redis_url, &url) ||
	    (config->redis_password_file[0] &&
	     redis_url_read_password(config->redis_password_file, &url))) {
		return;
	}
	addresses = redis_address_resolve(&url);
	for (unsigned i = 0; addresses && i < addresses->n && !wire; i++) {
		redis_wire_open(&wire, (const struct sockaddr *)&addresses->list[i].socket,
				addresses->list[i].n_socket, 4096, deadline_ns);
	}
	quiet_free(addresses);
	if (wire) {
		say_who(wire, &url);
		unlink_generations(wire, config, list);
		redis_wire_exchange(wire, any_reply, NULL, deadline_ns);
		redis_wire_close(&wire);
	}
}
