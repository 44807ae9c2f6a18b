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
#include "layers/redis_greeting.h"
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
	struct redis_breaker breaker; /* of all processes of the domain */
	/* Of new connections: what only this process has no more of is no failure of Redis. */
	struct redis_breaker own;
	struct redis_breaker_state own_state;
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

const char *redis_why_no_login(const struct redis_options *options)
{
	struct redis_url url;
	const char *why = parse_url(options, &url);

	explicit_bzero(&url, sizeof(url));
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
	pool->own = pool->breaker;
	pool->own.state = &pool->own_state;
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
		found->taken_ns = clock_boot_ns();
	}
	lock_release(&pool->lock);
	return found;
}

static void release(struct redis_pool *pool, struct redis_connection *connection)
{
	int cancel_state = connection->cancel_state;

	lock_take(&pool->lock);
	connection->is_cut = false;
	connection->in_use = false;
	atomic_store_explicit(&connection->user, NULL, memory_order_relaxed);
	pthread_cond_signal(&pool->freed);
	lock_release(&pool->lock);
	pthread_setcancelstate(cancel_state, NULL);
}

static void log_failure(const struct redis_pool *pool, enum redis_wire_status status,
			const char *error)
{
	const struct redis_url *url = &pool->url;

	log_line(LOG_LEVEL_WARN, "redis: %s%s%s %s%s%s%s; asked again every %lld ms",
		 url->is_unix ? url->path : url->host, url->is_unix ? "" : ":", url->port,
		 redis_wire_status_text(status), *error ? " (" : "", error, *error ? ")" : "",
		 (long long)(pool->breaker.retry_ns / CLOCK_NS_PER_MS));
}

static void say_open(const struct redis_pool *pool, const struct redis_breaker *breaker, bool open)
{
	if (pool->seen && breaker == &pool->breaker) {
		gauge_set(&pool->seen->open, open);
	}
	probe_breaker(open);
}

static bool is_own(enum redis_wire_status status)
{
	return status == REDIS_WIRE_NO_SOCKET || status == REDIS_WIRE_NO_MEMORY;
}

/* `error` says more, or is empty. */
static void failed(struct redis_pool *pool, enum redis_wire_status status, const char *error)
{
	struct redis_breaker *breaker = is_own(status) ? &pool->own : &pool->breaker;

	counter_add(&(*pool->counters)->errors, 1);
	if (status == REDIS_WIRE_TIMEOUT) {
		counter_add(&(*pool->counters)->timeouts, 1);
	}
	if (redis_breaker_failed(breaker, status != REDIS_WIRE_TIMEOUT)) {
		say_open(pool, breaker, true);
		log_failure(pool, status, error);
	}
}

static void answered(struct redis_pool *pool, struct redis_breaker *breaker, bool probe)
{
	if (redis_breaker_answered(breaker, probe)) {
		say_open(pool, breaker, false);
		log_line(LOG_LEVEL_WARN, "redis: answers again");
	}
}

static void end_badly(struct redis_pool *pool, struct redis_connection *connection,
		      enum redis_wire_status status, const char *error)
{
	if (!connection->is_cut) {
		failed(pool, status, error);
	}
	if (connection->is_probe && is_own(status)) {
		redis_breaker_pass_on(&pool->breaker);
	}
	disconnect(connection);
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

/* By errno. */
static bool says_why(enum redis_wire_status status)
{
	return status == REDIS_WIRE_UNREACHABLE || status == REDIS_WIRE_NO_SOCKET;
}

/* *ret_why says why nobody was reached, or is empty. */
static enum redis_wire_status reach(struct redis_pool *pool, struct redis_wire **ret_wire,
				    int64_t deadline_ns, const char **ret_why)
{
	const struct redis_addresses *addresses = addresses_of(pool);
	unsigned first = atomic_load_explicit(&pool->best, memory_order_relaxed);
	enum redis_wire_status status = REDIS_WIRE_UNREACHABLE;

	*ret_why = addresses ? "" : "its name has no address";
	for (unsigned i = 0; addresses && i < addresses->n && status != REDIS_WIRE_OK; i++) {
		unsigned at = (first + i) % addresses->n;

		status = redis_wire_open(
			ret_wire, (const struct sockaddr *)&addresses->list[at].socket,
			addresses->list[at].n_socket, pool->max_reply_bytes, deadline_ns);
		if (status == REDIS_WIRE_OK) {
			atomic_store_explicit(&pool->best, at, memory_order_relaxed);
		} else {
			const char *text = strerrordesc_np(errno);

			*ret_why = says_why(status) && text ? text : "";
		}
	}
	return status;
}

static bool connection_make(struct redis_pool *pool, struct redis_connection *connection,
			    int64_t deadline_ns)
{
	int64_t connect_ns = clock_now_ns() + pool->connect_timeout_ns;
	struct redis_wire *wire = NULL;
	const char *why;
	enum redis_wire_status status;

	if (redis_breaker_enter(&pool->own) == REDIS_BREAKER_REST) {
		if (connection->is_probe) {
			redis_breaker_pass_on(&pool->breaker);
		}
		return false;
	}
	status = reach(pool, &wire, connect_ns < deadline_ns ? connect_ns : deadline_ns, &why);
	atomic_store(&connection->wire, wire);
	if (connection->is_cut && wire) {
		/* While it was connected: it is the parent's. */
		redis_wire_drop(wire);
		status = REDIS_WIRE_CLOSED;
	}
	if (status == REDIS_WIRE_OK) {
		status = redis_greet(connection, &pool->url, deadline_ns);
	}
	if (status != REDIS_WIRE_OK) {
		end_badly(pool, connection, status, wire ? redis_wire_error(wire) : why);
		return false;
	}
	answered(pool, &pool->own, true);
	return true;
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
		if (connection->wire && !redis_is_what_it_was(connection, deadline_ns)) {
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
	if (status != REDIS_WIRE_OK || connection->is_cut) {
		end_badly(pool, connection, status, redis_wire_error(connection->wire));
	} else {
		if (strcmp(redis_wire_owed_error(connection->wire), "NOSCRIPT") == 0) {
			connection->knows_scripts = false;
		}
		answered(pool, &pool->breaker, connection->is_probe);
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
		struct redis_wire *wire = atomic_load(&connection->wire);

		if (atomic_load_explicit(&connection->user, memory_order_relaxed) == &self) {
			/* A handler forked inside our own call, which goes on behind it. */
			connection->is_cut = true;
			if (wire) {
				redis_wire_drop(wire);
			}
			continue;
		}
		if (connection->in_use) {
			forget(connection);
		}
		disconnect(connection);
		connection->in_use = false;
		atomic_store_explicit(&connection->user, NULL, memory_order_relaxed);
	}
}
