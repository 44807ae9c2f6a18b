#include "layers/redis_pool.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "layers/envelope.h"
#include "layers/redis_address.h"
#include "layers/redis_breaker.h"
#include "layers/redis_url.h"

/* Of what is no value: INFO is the longest. */
#define SMALL_REPLY_BYTES 65536

/* Its address tells threads apart. */
static __thread char self;

struct redis_pool {
	struct lock lock;     /* guards: in_use of every connection */
	bool taken_to_fork;   /* between prepare and parent of a fork */
	pthread_cond_t freed; /* a connection was put back */
	struct redis_breaker breaker;
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
	return item + ENVELOPE_HEADER_BYTES + SMALL_REPLY_BYTES;
}

struct redis_pool *redis_pool_open(const struct redis_options *options,
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
	pool->breaker.retry_ns = options->breaker_retry_ns;
	pool->breaker.probe_ns = options->timeout_ns;
	pool->counters = counters;
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

static void failed(struct redis_pool *pool, enum redis_wire_status status,
		   const struct redis_wire *wire)
{
	counter_add(&(*pool->counters)->errors, 1);
	if (status == REDIS_WIRE_TIMEOUT) {
		counter_add(&(*pool->counters)->timeouts, 1);
	}
	if (redis_breaker_open(&pool->breaker)) {
		gauge_set(&(*pool->counters)->breaker, 1);
		log_failure(pool, status, wire);
	}
}

/* What a new connection is told, and answers. */
struct greeting {
	size_t info; /* which command asks for the run id */
	char *run;
};

static bool read_run(const char *info, size_t n, char *ret_run)
{
	static const char field[] = "\nrun_id:";
	const char *at = memmem(info, n, field, strlen(field));
	const char *end = info + n;

	if (at == NULL || end - at < (ptrdiff_t)(strlen(field) + REDIS_RUN_MAX - 1)) {
		return false;
	}
	at += strlen(field);
	for (unsigned i = 0; i + 1 < REDIS_RUN_MAX; i++) {
		bool is_hex = (at[i] >= '0' && at[i] <= '9') || (at[i] >= 'a' && at[i] <= 'f');

		if (!is_hex) {
			return false;
		}
	}
	memcpy(ret_run, at, REDIS_RUN_MAX - 1);
	ret_run[REDIS_RUN_MAX - 1] = '\0';
	return true;
}

static bool take_greeting(void *owner, const struct redis_wire_reply *reply)
{
	struct greeting *greeting = owner;

	if (reply->command == greeting->info) {
		return reply->type == REDIS_WIRE_STRING && !reply->is_element &&
		       read_run(reply->bytes, reply->n, greeting->run);
	}
	return reply->type == REDIS_WIRE_STATUS && !reply->is_element;
}

static enum redis_wire_status greet(const struct redis_pool *pool, struct redis_wire *wire,
				    char *ret_run, int64_t deadline_ns)
{
	const struct redis_url *url = &pool->url;
	struct greeting greeting = { .run = ret_run };

	if (*url->password) {
		redis_wire_command(wire, *url->user ? 3 : 2);
		redis_wire_text(wire, "AUTH");
		if (*url->user) {
			redis_wire_text(wire, url->user);
		}
		redis_wire_text(wire, url->password);
		greeting.info++;
	}
	if (url->db) {
		redis_wire_command(wire, 2);
		redis_wire_text(wire, "SELECT");
		redis_wire_number(wire, url->db);
		greeting.info++;
	}
	redis_wire_command(wire, 2);
	redis_wire_text(wire, "INFO");
	redis_wire_text(wire, "server");
	return redis_wire_exchange(wire, take_greeting, &greeting, deadline_ns);
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
		free(found);
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
		status = greet(pool, wire, connection->run, deadline_ns);
	}
	if (status != REDIS_WIRE_OK) {
		failed(pool, status, wire);
		disconnect(connection);
	}
	return status == REDIS_WIRE_OK;
}

struct redis_connection *redis_pool_take(struct redis_pool *pool, bool wait, int64_t deadline_ns)
{
	struct redis_connection *connection;
	enum redis_breaker_answer answer;
	int cancel_state;

	if (redis_breaker_rests(&pool->breaker)) {
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
		if (connection->wire && !redis_wire_is_usable(connection->wire)) {
			disconnect(connection);
		}
		if (connection->wire || connection_make(pool, connection, deadline_ns)) {
			return connection;
		}
	}
	release(pool, connection);
	return NULL;
}

void redis_pool_put(struct redis_pool *pool, struct redis_connection *connection,
		    enum redis_wire_status status)
{
	if (status != REDIS_WIRE_OK) {
		failed(pool, status, connection->wire);
		disconnect(connection);
	} else if (connection->is_probe && redis_breaker_close(&pool->breaker)) {
		gauge_set(&(*pool->counters)->breaker, 0);
		log_line(LOG_LEVEL_WARN, "redis: answers again");
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
