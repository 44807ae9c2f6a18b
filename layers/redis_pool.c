#include "layers/redis_pool.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/quiet.h"
#include "layers/envelope.h"
#include "layers/probes.h"
#include "layers/redis_address.h"
#include "layers/redis_record.h"
#include "layers/redis_url.h"

/* Of what is no value: INFO is the longest. */
#define SMALL_REPLY_BYTES 65536

/* Its address tells threads apart. */
static __thread char self;

struct redis_pool {
	struct lock lock;     /* guards: in_use of every connection */
	bool taken_to_fork;   /* between prepare and parent of a fork */
	pthread_cond_t freed; /* a connection was put back */
	atomic_bool off;      /* by its operator */
	atomic_bool has_said_policy;
	struct redis_breaker breaker;
	struct redis_seen *seen; /* or NULL */
	struct layer_counters **counters;
	struct redis_url url;
	_Atomic(struct redis_addresses *) addresses; /* NULL: not asked for yet */
	/* Relaxed: the address that answered last, a hint where to begin. */
	_Atomic unsigned best;
	int64_t connect_timeout_ns;
	size_t max_reply_bytes;
	unsigned n_connections;
	struct redis_connection connections[];
};

static const char *parse_url(const struct redis_options *options, struct redis_url *ret_url)
{
	const char *why = redis_url_parse(options->url, ret_url);
	struct redis_url login;

	if (why == NULL && options->login_url) {
		why = redis_url_parse(options->login_url, &login);
		memcpy(ret_url->user, login.user, sizeof(login.user));
		memcpy(ret_url->password, login.password, sizeof(login.password));
		ret_url->db = login.db;
		explicit_bzero(&login, sizeof(login));
	}
	if (why == NULL && options->password_file && *options->password_file) {
		why = redis_url_read_password(options->password_file, ret_url);
	}
	if (why == NULL && *ret_url->user && !*ret_url->password) {
		why = "the url names a user, but there is no password";
	}
	return why;
}

static size_t max_reply_bytes(const struct redis_options *options)
{
	uint64_t item = options->max_item_bytes;

	if (item > REDIS_ITEM_BYTES_MAX) {
		item = REDIS_ITEM_BYTES_MAX;
	}
	return item + (size_t)REDIS_SEGMENTS_MAX * ENVELOPE_HEADER_BYTES + SMALL_REPLY_BYTES;
}

uint64_t redis_pool_hash(const struct redis_pool *pool)
{
	const struct redis_url *url = &pool->url;
	const char *where = url->is_unix ? url->path : url->host;

	return hash_mix(hash_mix(hash_bytes(where, strlen(where)),
				 hash_bytes(url->port, strlen(url->port))),
			url->db);
}

struct redis_pool *redis_pool_open(const struct redis_options *options, struct redis_shared *shared,
				   struct layer_counters **counters, const char **ret_why)
{
	unsigned n = options->max_connections ? options->max_connections : 1;
	struct redis_pool *pool = calloc(1, sizeof(*pool) + n * sizeof(struct redis_connection));
	const char *why;

	if (pool == NULL) {
		return NULL;
	}
	why = parse_url(options, &pool->url);
	if (why) {
		*ret_why = why;
		explicit_bzero(&pool->url, sizeof(pool->url));
		free(pool);
		return NULL;
	}
	lock_init(&pool->lock, LOCK_RANK_CONNECTIONS);
	pthread_cond_init(&pool->freed, NULL);
	pool->breaker = (struct redis_breaker){
		.state = redis_shared_breaker(shared, redis_pool_hash(pool)),
		.retry_ns = options->breaker_retry_ns,
		.probe_ns = options->timeout_ns,
		.patience_ns = options->timeout_ns,
	};
	pool->counters = counters;
	pool->seen = options->seen;
	pool->connect_timeout_ns = options->connect_timeout_ns;
	pool->max_reply_bytes = max_reply_bytes(options);
	pool->n_connections = n;
	return pool;
}

/* Forgotten before it is freed: see redis_pool_child(). */
static void disconnect(struct redis_connection *connection)
{
	struct redis_wire *wire = atomic_exchange(&connection->wire, NULL);

	redis_wire_close(&wire);
}

void redis_pool_close(struct redis_pool **pool)
{
	struct redis_pool *old = *pool;

	*pool = NULL;
	if (old == NULL) {
		return;
	}
	for (unsigned i = 0; i < old->n_connections; i++) {
		disconnect(&old->connections[i]);
	}
	free(atomic_load(&old->addresses));
	pthread_cond_destroy(&old->freed);
	lock_done(&old->lock);
	explicit_bzero(&old->url, sizeof(old->url));
	free(old);
}

/* One that is connected rather than one that is not. */
static struct redis_connection *find_free_locked(struct redis_pool *pool)
{
	struct redis_connection *found = NULL;

	for (unsigned i = 0; i < pool->n_connections; i++) {
		struct redis_connection *at = &pool->connections[i];

		if (!at->in_use && (found == NULL || at->wire)) {
			found = at;
			if (at->wire) {
				break;
			}
		}
	}
	return found;
}

static struct redis_connection *reserve(struct redis_pool *pool, bool wait, int64_t deadline_ns)
{
	const struct timespec until = { .tv_sec = deadline_ns / CLOCK_NS_PER_S,
					.tv_nsec = deadline_ns % CLOCK_NS_PER_S };
	struct redis_connection *found;

	lock_take(&pool->lock);
	found = find_free_locked(pool);
	while (found == NULL && wait && lock_wait(&pool->lock, &pool->freed, &until) == 0) {
		found = find_free_locked(pool);
	}
	if (found) {
		found->in_use = true;
		atomic_store_explicit(&found->user, &self, memory_order_relaxed);
		found->lease++;
	}
	lock_release(&pool->lock);
	return found;
}

static void release(struct redis_pool *pool, struct redis_connection *connection)
{
	int cancel_state = connection->cancel_state;

	lock_take(&pool->lock);
	connection->in_use = false;
	atomic_store_explicit(&connection->user, NULL, memory_order_relaxed);
	pthread_cond_signal(&pool->freed);
	lock_release(&pool->lock);
	pthread_setcancelstate(cancel_state, NULL);
}

static void log_failure(const struct redis_pool *pool, enum redis_wire_status status,
			const struct redis_wire *wire)
{
	const struct redis_url *url = &pool->url;
	const char *error = wire ? redis_wire_error(wire) : "";

	log_line(LOG_LEVEL_WARN, "redis: %s%s%s %s%s%s%s; asked again every %lld ms",
		 url->is_unix ? url->path : url->host, url->is_unix ? "" : ":", url->port,
		 redis_wire_status_text(status), *error ? " (" : "", error, *error ? ")" : "",
		 (long long)(pool->breaker.retry_ns / CLOCK_NS_PER_MS));
}

static void say_open(const struct redis_pool *pool, bool open)
{
	if (pool->seen) {
		gauge_set(&pool->seen->open, open);
	}
	probe_breaker(open);
}

static void failed(struct redis_pool *pool, enum redis_wire_status status,
		   const struct redis_wire *wire)
{
	counter_add(&(*pool->counters)->errors, 1);
	if (status == REDIS_WIRE_TIMEOUT) {
		counter_add(&(*pool->counters)->timeouts, 1);
	}
	if (redis_breaker_failed(&pool->breaker, status != REDIS_WIRE_TIMEOUT)) {
		say_open(pool, true);
		log_failure(pool, status, wire);
	}
}

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

static enum redis_wire_status greet(const struct redis_pool *pool,
				    struct redis_connection *connection, int64_t deadline_ns)
{
	const struct redis_url *url = &pool->url;
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

/* Whether a connection that was idle is what it was; seldom asks Redis itself. */
static bool is_what_it_was(struct redis_connection *connection, int64_t deadline_ns)
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

static struct redis_addresses *addresses_of(struct redis_pool *pool)
{
	struct redis_addresses *known = atomic_load(&pool->addresses);
	struct redis_addresses *found;

	if (known) {
		return known;
	}
	found = redis_address_resolve(&pool->url);
	/* Several threads may have asked: the first stays. */
	if (found && !atomic_compare_exchange_strong(&pool->addresses, &known, found)) {
		quiet_free(found);
		found = known;
	}
	return found;
}

static enum redis_wire_status reach(struct redis_pool *pool, struct redis_wire **ret_wire,
				    int64_t deadline_ns)
{
	const struct redis_addresses *addresses = addresses_of(pool);
	unsigned first = atomic_load_explicit(&pool->best, memory_order_relaxed);
	enum redis_wire_status status = REDIS_WIRE_UNREACHABLE;

	for (unsigned i = 0; addresses && i < addresses->n && status != REDIS_WIRE_OK; i++) {
		unsigned at = (first + i) % addresses->n;

		status = redis_wire_open(
			ret_wire, (const struct sockaddr *)&addresses->list[at].socket,
			addresses->list[at].n_socket, pool->max_reply_bytes, deadline_ns);
		if (status == REDIS_WIRE_OK) {
			atomic_store_explicit(&pool->best, at, memory_order_relaxed);
		}
	}
	return status;
}

static bool connection_make(struct redis_pool *pool, struct redis_connection *connection,
			    int64_t deadline_ns)
{
	int64_t connect_ns = clock_now_ns() + pool->connect_timeout_ns;
	struct redis_wire *wire = NULL;
	enum redis_wire_status status =
		reach(pool, &wire, connect_ns < deadline_ns ? connect_ns : deadline_ns);

	atomic_store(&connection->wire, wire);
	if (status == REDIS_WIRE_OK) {
		status = greet(pool, connection, deadline_ns);
	}
	if (status != REDIS_WIRE_OK) {
		failed(pool, status, wire);
		disconnect(connection);
	}
	return status == REDIS_WIRE_OK;
}

void redis_pool_set_off(struct redis_pool *pool, bool off)
{
	/* Looked at first: all threads have this in their cache. */
	if (atomic_load_explicit(&pool->off, memory_order_relaxed) != off) {
		atomic_store_explicit(&pool->off, off, memory_order_relaxed);
	}
}

struct redis_connection *redis_pool_take(struct redis_pool *pool, bool wait, int64_t deadline_ns)
{
	struct redis_connection *connection;
	enum redis_breaker_answer answer;
	int cancel_state;

	if (atomic_load_explicit(&pool->off, memory_order_relaxed) ||
	    redis_breaker_rests(&pool->breaker)) {
		return NULL;
	}
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	connection = reserve(pool, wait, deadline_ns);
	if (connection == NULL) {
		pthread_setcancelstate(cancel_state, NULL);
		return NULL;
	}
	connection->cancel_state = cancel_state;
	answer = redis_breaker_enter(&pool->breaker);
	connection->is_probe = answer == REDIS_BREAKER_PROBE;
	if (answer != REDIS_BREAKER_REST) {
		if (connection->wire && !is_what_it_was(connection, deadline_ns)) {
			disconnect(connection);
		}
		if (connection->wire || connection_make(pool, connection, deadline_ns)) {
			return connection;
		}
	}
	release(pool, connection);
	return NULL;
}

void redis_pool_pause(struct redis_connection *connection)
{
	pthread_setcancelstate(connection->cancel_state, NULL);
}

void redis_pool_resume(struct redis_connection *connection)
{
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &connection->cancel_state);
}

bool redis_pool_keeps_marks(struct redis_pool *pool, const struct redis_connection *connection)
{
	if (!connection->keeps_marks && !atomic_exchange(&pool->has_said_policy, true)) {
		log_line(
			LOG_LEVEL_WARN,
			"redis: several domains write, and maxmemory-policy is none of noeviction, "
			"allkeys-lru, volatile-lru: nothing is read from Redis");
	}
	return connection->keeps_marks;
}

bool redis_pool_holds(const struct redis_connection *connection, uint64_t lease)
{
	/* In this order: the lease is the user's alone. */
	return atomic_load_explicit(&connection->user, memory_order_relaxed) == &self &&
	       connection->lease == lease;
}

void redis_pool_put(struct redis_pool *pool, struct redis_connection *connection,
		    enum redis_wire_status status)
{
	if (status != REDIS_WIRE_OK) {
		failed(pool, status, connection->wire);
		disconnect(connection);
	} else {
		if (strcmp(redis_wire_owed_error(connection->wire), "NOSCRIPT") == 0) {
			connection->knows_scripts = false;
		}
		if (redis_breaker_answered(&pool->breaker, connection->is_probe)) {
			say_open(pool, false);
			log_line(LOG_LEVEL_WARN, "redis: answers again");
		}
	}
	release(pool, connection);
}

/* Nobody knows in what state it is: it is closed, but its memory is not touched. */
static void forget(struct redis_connection *connection)
{
	struct redis_wire *wire = atomic_exchange(&connection->wire, NULL);

	if (wire) {
		redis_wire_drop(wire);
	}
}

void redis_pool_abandoned(struct redis_pool *pool)
{
	if (lock_is_mine(&pool->lock)) {
		lock_release(&pool->lock);
	}
	for (unsigned i = 0; i < pool->n_connections; i++) {
		struct redis_connection *connection = &pool->connections[i];

		if (atomic_load_explicit(&connection->user, memory_order_relaxed) == &self) {
			forget(connection);
			release(pool, connection);
		}
	}
}

/* The forking thread may have jumped away with the lock: it does not wait for itself. */
void redis_pool_prepare(struct redis_pool *pool)
{
	bool taken = lock_take_if_not_mine(&pool->lock);

	pool->taken_to_fork = taken;
}

void redis_pool_parent(struct redis_pool *pool)
{
	if (pool->taken_to_fork) {
		lock_release(&pool->lock);
	}
}

void redis_pool_child(struct redis_pool *pool)
{
	lock_reset(&pool->lock);
	pthread_cond_init(&pool->freed, NULL);
	for (unsigned i = 0; i < pool->n_connections; i++) {
		struct redis_connection *connection = &pool->connections[i];

		if (connection->in_use) {
			forget(connection);
		}
		disconnect(connection);
		connection->in_use = false;
		atomic_store_explicit(&connection->user, NULL, memory_order_relaxed);
	}
}
