#include "layers/redis.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "layers/redis_absent.h"
#include "layers/redis_filter.h"
#include "layers/redis_read.h"
#include "layers/redis_session.h"
#include "layers/redis_url.h"
#include "layers/redis_write.h"

/*
 * Everything of these servers becomes unreachable: unclean first, so that it
 * is for this domain whatever becomes of Redis, then a new generation.
 */
static void renew(struct layer *layer, struct redis_session *session, bool *has_session,
		  const char *server)
{
	struct redis_place *place = redis_session_place(layer, server);
	enum redis_wire_status status;
	uint64_t number;

	if (place == NULL || place->server == NULL) {
		redis_shared_soil(layer->shared, redis_session_server(layer, server));
		redis_say_unmarked(layer);
		return;
	}
	redis_shared_soil(layer->shared, place->server);
	redis_say_unmarked(layer);
	if (*has_session) {
		status = redis_place_learn(place, session->connection, REDIS_LEARN_TO_RENEW,
					   session->deadline_ns, &number);
		if (status != REDIS_WIRE_OK) {
			redis_session_end(session, status);
			*has_session = false;
		}
		redis_say_unmarked(layer);
	}
}

static void redis_flush(struct layer *layer, const char *const *servers, size_t n)
{
	struct redis_session session;
	bool has_session;

	if (servers == NULL) {
		redis_shared_soil(layer->shared, NULL);
		redis_say_unmarked(layer);
		return;
	}
	has_session = redis_session_begin(&session, layer, true);
	for (size_t i = 0; i < n; i++) {
		renew(layer, &session, &has_session, servers[i]);
	}
	if (has_session) {
		redis_session_end(&session, REDIS_WIRE_OK);
	}
}

/* A flush was announced and takes effect now: whoever notices, for whom it concerns. */
static void redis_flush_due(struct layer *layer)
{
	for (unsigned i = 0; i < REDIS_SERVERS_MAX; i++) {
		struct redis_server *at = &layer->shared->servers[i];

		if (atomic_load(&at->flush_due)) {
			/* Soiled first: several processes may do so at once. */
			redis_shared_soil(layer->shared, at);
			atomic_store(&at->renew_at_ns, 0);
			atomic_store(&at->flush_due, 0);
		}
	}
}

static void redis_flush_later(struct layer *layer, const char *const *servers, size_t n)
{
	for (unsigned i = 0; servers == NULL && i < REDIS_SERVERS_MAX; i++) {
		atomic_store(&layer->shared->servers[i].flush_due, 1);
	}
	for (size_t i = 0; i < n; i++) {
		struct redis_server *at = redis_session_server(layer, servers[i]);

		if (at) {
			atomic_store(&at->flush_due, 1);
		}
	}
}

static void redis_close(struct layer **layer)
{
	struct layer *old = *layer;

	*layer = NULL;
	if (old) {
		redis_pool_close(&old->pool);
		for (unsigned i = 0; i < old->n_replicas; i++) {
			redis_pool_close(&old->replicas[i]);
		}
		redis_places_free(&old->places);
		free(old->writes);
		free(old->absent);
		free(old);
	}
}

static void of_all_pools(struct layer *layer, void (*operation)(struct redis_pool *))
{
	operation(layer->pool);
	for (unsigned i = 0; i < layer->n_replicas; i++) {
		operation(layer->replicas[i]);
	}
}

static void redis_prepare(struct layer *layer)
{
	of_all_pools(layer, redis_pool_prepare);
}

static void redis_parent(struct layer *layer)
{
	of_all_pools(layer, redis_pool_parent);
}

static void redis_abandoned(struct layer *layer, const void *end)
{
	of_all_pools(layer, redis_pool_abandoned);
	redis_write_abandon(layer, end);
}

static void redis_child(struct layer *layer)
{
	of_all_pools(layer, redis_pool_child);
	redis_record_child();
	redis_write_child(layer);
	atomic_store(&layer->process, 0);
}

static void set_options(struct layer *layer, const struct redis_options *options)
{
	layer->options = *options;
	layer->options.url = NULL;
	layer->options.password_file = NULL;
	layer->options.login_url = NULL;
	layer->options.replicas = NULL;
	layer->options.name_space = NULL;
	layer->options.alias = NULL;
	if (layer->options.max_item_bytes > REDIS_ITEM_BYTES_MAX) {
		layer->options.max_item_bytes = REDIS_ITEM_BYTES_MAX;
	}
}

static bool open_replicas(struct layer *layer, const struct redis_options *options,
			  const char **ret_why)
{
	struct redis_options of_replica = *options;
	const char *at = options->replicas ? options->replicas : "";
	char url[REDIS_URL_MAX];
	const char *why = redis_replicas_check(at);

	if (why) {
		*ret_why = why;
		return false;
	}
	of_replica.url = url;
	of_replica.login_url = options->url;
	of_replica.seen = NULL;
	while (layer->n_replicas < REDIS_REPLICAS_MAX && redis_url_next(&at, url)) {
		struct redis_pool *pool =
			redis_pool_open(&of_replica, layer->shared, layer->counters, ret_why);

		if (pool == NULL) {
			return false;
		}
		layer->replicas[layer->n_replicas++] = pool;
	}
	return true;
}

size_t redis_shared_bytes(void)
{
	return sizeof(struct redis_shared);
}

size_t redis_filter_bytes(void)
{
	return sizeof(struct redis_filter);
}

struct layer *redis_open(const struct redis_options *options, void *shared,
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
	memcpy(layer->store.name_space, options->name_space, strlen(options->name_space) + 1);
	layer->store.version = options->version;
	layer->shared = shared;
	redis_filter_may_live(options->filter, options->ttl_ns);
	layer->places.seen = options->seen;
	layer->places.shared = layer->shared;
	layer->places.domain =
		options->several ? REDIS_SEVERAL : redis_shared_domain(layer->shared);
	layer->places.heard_ms = options->heard_ms ? options->heard_ms : REDIS_HEARD_MS;
	layer->places.looks_on = options->looks_on;
	layer->places.aliases = strdup(options->alias ? options->alias : "");
	layer->counters = counters;
	layer->writes = calloc(REDIS_WRITES_MAX, sizeof(*layer->writes));
	layer->absent = calloc(1, sizeof(*layer->absent));
	if (layer->writes && layer->absent && layer->places.aliases) {
		layer->pool = redis_pool_open(options, layer->shared, counters, ret_why);
	}
	if (layer->pool == NULL || !open_replicas(layer, options, ret_why)) {
		redis_close(&layer);
		return NULL;
	}
	layer->store.hash = hash_mix(hash_mix(redis_pool_hash(layer->pool), options->version),
				     hash_bytes(options->name_space, strlen(options->name_space)));
	return layer;
}

void redis_abandon(void *shared, uint64_t process)
{
	redis_shared_abandon(shared, process);
}

static void redis_set_off(struct layer *layer, bool off)
{
	redis_pool_set_off(layer->pool, off);
	for (unsigned i = 0; i < layer->n_replicas; i++) {
		redis_pool_set_off(layer->replicas[i], off);
	}
}

const struct layer_ops redis_ops = {
	.name = "redis",
	.capabilities = LAYER_SHARED | LAYER_DEEP,
	.get = redis_read,
	.announce = redis_announce,
	.look = redis_look,
	.mark = redis_mark,
	.marked = redis_marked,
	.recall = redis_recall,
	.may_stay = redis_may_stay,
	.leaving = redis_leaving,
	.commit = redis_commit,
	.flush_servers = redis_flush,
	.flush_later = redis_flush_later,
	.flush_due = redis_flush_due,
	.set_off = redis_set_off,
	.close = redis_close,
	.abandoned = redis_abandoned,
	.prepare = redis_prepare,
	.parent = redis_parent,
	.child = redis_child,
};
