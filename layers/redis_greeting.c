#include "layers/redis_greeting.h"

#include <string.h>

/* What a new connection is told, and answers: first it names itself, then this. */
enum greeting_command { GREET_SERVER, GREET_REPLICATION, GREET_MEMORY, GREET_SCRIPTS };

struct greeting {
	size_t first; /* command of GREET_SERVER */
	struct redis_connection *connection;
};

/* The beginning of a field's value, an id in hexadecimal. */
static bool read_id(const struct redis_wire_reply *info, const char *field, char *ret_id)
{
	const char *at = memmem(info->bytes, info->n, field, strlen(field));
	const char *end = info->bytes + info->n;

	if (at == NULL || end - at < (ptrdiff_t)(strlen(field) + REDIS_ID_MAX - 1)) {
		return false;
	}
	at += strlen(field);
	for (unsigned i = 0; i + 1 < REDIS_ID_MAX; i++) {
		bool is_hex = (at[i] >= '0' && at[i] <= '9') || (at[i] >= 'a' && at[i] <= 'f');

		if (!is_hex) {
			return false;
		}
	}
	memcpy(ret_id, at, REDIS_ID_MAX - 1);
	ret_id[REDIS_ID_MAX - 1] = '\0';
	return true;
}

static void read_policy(struct redis_connection *connection, const struct redis_wire_reply *info)
{
	static const char field[] = "\nmaxmemory_policy:";
	static const char *const good[] = { "noeviction\r", "allkeys-lru\r", "volatile-lru\r" };
	const char *at = memmem(info->bytes, info->n, field, strlen(field));
	size_t n_left = at ? info->n - (size_t)(at - info->bytes) - strlen(field) : 0;

	connection->keeps_marks = false;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		connection->keeps_marks |=
			n_left >= strlen(good[i]) &&
			memcmp(at + strlen(field), good[i], strlen(good[i])) == 0;
	}
}

static bool take_greeting(void *owner, const struct redis_wire_reply *reply)
{
	struct greeting *greeting = owner;
	struct redis_connection *connection = greeting->connection;
	struct redis_identity *identity = &connection->identity;

	if (reply->command < greeting->first) {
		return reply->type == REDIS_WIRE_STATUS && !reply->is_element;
	}
	if (reply->command >= greeting->first + GREET_SCRIPTS) {
		size_t script = reply->command - greeting->first - GREET_SCRIPTS;

		return redis_scripts_take(&connection->scripts, (enum redis_script)script, reply);
	}
	if (reply->type != REDIS_WIRE_STRING || reply->is_element) {
		return false;
	}
	if (reply->command == greeting->first + GREET_MEMORY) {
		read_policy(connection, reply);
		return true;
	}
	return reply->command == greeting->first
		       ? read_id(reply, "\nrun_id:", identity->run)
		       : read_id(reply, "\nmaster_replid:", identity->replication);
}

static void ask_info(struct redis_wire *wire, const char *section)
{
	redis_wire_command(wire, 2);
	redis_wire_text(wire, "INFO");
	redis_wire_text(wire, section);
}

enum redis_wire_status redis_greet(struct redis_connection *connection, const struct redis_url *url,
				   int64_t deadline_ns)
{
	struct redis_wire *wire = connection->wire;
	struct greeting greeting = { .connection = connection };
	enum redis_wire_status status;

	if (*url->password) {
		redis_wire_command(wire, *url->user ? 3 : 2);
		redis_wire_text(wire, "AUTH");
		if (*url->user) {
			redis_wire_text(wire, url->user);
		}
		redis_wire_text(wire, url->password);
		greeting.first++;
	}
	if (url->db) {
		redis_wire_command(wire, 2);
		redis_wire_text(wire, "SELECT");
		redis_wire_number(wire, url->db);
		greeting.first++;
	}
	ask_info(wire, "server");
	ask_info(wire, "replication");
	ask_info(wire, "memory");
	redis_scripts_load(wire);
	status = redis_wire_exchange(wire, take_greeting, &greeting, deadline_ns);
	connection->identity.db = url->db;
	connection->knows_scripts = status == REDIS_WIRE_OK;
	connection->checked_ns = clock_now_ns();
	return status;
}

static bool take_scripts(void *owner, const struct redis_wire_reply *reply)
{
	struct redis_connection *connection = owner;

	return redis_scripts_take(&connection->scripts, (enum redis_script)reply->command, reply);
}

static bool take_check(void *owner, const struct redis_wire_reply *reply)
{
	struct redis_connection *connection = owner;
	char id[REDIS_ID_MAX];

	if (reply->command == 1 && reply->type == REDIS_WIRE_STRING && !reply->is_element) {
		read_policy(connection, reply);
		return true;
	}
	return reply->type == REDIS_WIRE_STRING && !reply->is_element &&
	       read_id(reply, "\nmaster_replid:", id) &&
	       strcmp(id, connection->identity.replication) == 0;
}

bool redis_is_what_it_was(struct redis_connection *connection, int64_t deadline_ns)
{
	struct redis_wire *wire = connection->wire;
	int64_t now = clock_now_ns();

	if (!redis_wire_is_usable(wire)) {
		return false;
	}
	if (!connection->knows_scripts) {
		redis_scripts_load(wire);
		if (redis_wire_exchange(wire, take_scripts, connection, deadline_ns) !=
		    REDIS_WIRE_OK) {
			return false;
		}
		connection->knows_scripts = true;
	}
	if (now - connection->checked_ns >= REDIS_CHECK_NS) {
		ask_info(wire, "replication");
		ask_info(wire, "memory");
		if (redis_wire_exchange(wire, take_check, connection, deadline_ns) !=
		    REDIS_WIRE_OK) {
			return false;
		}
		connection->checked_ns = now;
	}
	return true;
}
