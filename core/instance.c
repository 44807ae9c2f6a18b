/* The life of the one tower of this process: opened once, kept over forks. */
#include "core/tower.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/fork.h"
#include "base/lock.h"
#include "base/log.h"
#include "core/budget.h"
#include "core/domain.h"
#include "core/open_writes.h"
#include "core/timing.h"
#include "layers/memory.h"
#include "layers/redis.h"

enum config_state { CONFIG_UNREAD, CONFIG_READ, CONFIG_UNUSABLE };

static struct lock open_lock = LOCK_INIT(LOCK_RANK_TOWER); /* guards: everything below */
static struct config config;
static enum config_state config_state;
static struct tower tower;
static struct tower *inherited; /* in a child, until its first call */
static bool said_why_off;

_Atomic(struct tower *) tower_now;
static atomic_bool is_off; /* for good */

static void fork_prepare(void)
{
	lock_take(&open_lock);
	if (tower.slots) {
		slots_prepare(tower.slots);
	}
	for (uint8_t i = 0; i < tower.n_layers; i++) {
		if (tower.layers[i].ops->prepare) {
			tower.layers[i].ops->prepare(tower.layers[i].layer);
		}
	}
}

static void fork_parent(void)
{
	for (uint8_t i = tower.n_layers; i > 0; i--) {
		if (tower.layers[i - 1].ops->parent) {
			tower.layers[i - 1].ops->parent(tower.layers[i - 1].layer);
		}
	}
	if (tower.slots) {
		slots_parent(tower.slots);
	}
	lock_release(&open_lock);
}

static void fork_child(void)
{
	struct tower *now = atomic_load_explicit(&tower_now, memory_order_relaxed);

	lock_reset(&open_lock);
	if (tower.slots) {
		slots_child(tower.slots);
	}
	for (uint8_t i = 0; i < tower.n_layers; i++) {
		if (tower.layers[i].ops->child) {
			tower.layers[i].ops->child(tower.layers[i].layer);
		}
	}
	open_writes_child();
	if (tower.recorder) {
		recorder_child(tower.recorder);
	}
	if (now) {
		stats_child(now->stats);
		inherited = now;
		atomic_store_explicit(&tower_now, NULL, memory_order_relaxed);
	}
}

static const struct fork_handler fork_handler = { fork_prepare, fork_parent, fork_child };

static void config_read_locked(void)
{
	char why[CONFIG_WHY_MAX];

	if (config_state != CONFIG_UNREAD) {
		return;
	}
	config_state = CONFIG_UNUSABLE;
	if (config_load(&config, NULL, why) != CONFIG_OK) {
		log_line(LOG_LEVEL_ERROR, "%s; tower is off in this process", why);
	} else if (!config.disabled) {
		static const enum log_level levels[] = { LOG_LEVEL_ERROR, LOG_LEVEL_WARN,
							 LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

		config_state = CONFIG_READ;
		if (!log_open(config.tower_log, levels[config.tower_log_level])) {
			log_line(LOG_LEVEL_WARN, "log %s cannot be opened; logging to stderr",
				 config.tower_log);
		}
	}
}

const struct config *tower_config(void)
{
	int before = errno;
	const struct config *result;
	int cancel;

	fork_register(&fork_handler);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	lock_take(&open_lock);
	config_read_locked();
	result = config_state == CONFIG_READ ? &config : NULL;
	lock_release(&open_lock);
	pthread_setcancelstate(cancel, NULL);
	errno = before;
	return result;
}

static struct layer *open_memory(void)
{
	const struct memory_options options = {
		.policy = (enum policy_kind)config.memory_policy,
		.max_bytes = config.memory_max_bytes,
		.max_items = config.memory_max_items,
		.max_item_bytes = config.memory_max_item_bytes,
		.ttl_ns = config.memory_ttl,
		.ttl_jitter = (unsigned)config.memory_ttl_jitter,
		.remember_evicted = config.stats_remember_evicted,
	};

	return memory_open(&options, &tower.stats->layers[STATS_MEMORY]);
}

static struct layer *open_redis(bool whole)
{
	struct redis_options options = {
		.url = config.redis_url,
		.password_file = config.redis_password_file,
		.replicas = config.redis_replicas,
		.name_space = config.redis_namespace,
		.version = config.redis_version,
		.ttl_ns = config.redis_ttl,
		.connect_timeout_ns = config.redis_connect_timeout,
		.timeout_ns = config.redis_timeout,
		.breaker_retry_ns = config.redis_breaker_retry,
		.max_connections = (unsigned)config.redis_connections,
		.min_item_bytes = config.redis_min_item_bytes,
		.max_item_bytes = config.redis_max_item_bytes,
		.seen = tower.stats->redis,
		.marks_only = config.redis_write == CONFIG_WRITE_MARK,
		.outsider = !whole,
		/* A table of its own is that of a forked child, too, but not the same one. */
		.several = config.redis_writers == CONFIG_WRITERS_SEVERAL || !whole ||
			   config.coherence_mode != CONFIG_COHERENCE_HOST,
		.serial = config.redis_order == CONFIG_ORDER_SERIAL,
		.alias = config.redis_alias,
	};
	const char *why = "out of memory";
	struct layer *layer = NULL;
	void *memory = slots_extra(tower.slots);

	if (memory && slots_is_shared(tower.slots)) {
		options.filter = slots_lazy(tower.slots);
	}
	if (memory == NULL) {
		/* The table is there, but /dev/shm is full by now. */
		options.outsider = true;
		options.several = true;
		memory = aligned_alloc(64, domain_extra_bytes());
		if (memory) {
			memset(memory, 0, domain_extra_bytes());
		}
	}
	if (memory) {
		tower.seen = (void *)((char *)memory + domain_seen_offset());
		layer = redis_open(&options, memory, &tower.stats->layers[STATS_REDIS], &why);
	}
	if (layer == NULL) {
		log_line(LOG_LEVEL_ERROR, "redis: %s; tower is off in this process", why);
		said_why_off = true;
	}
	return layer;
}

static bool add_layer(const struct layer_ops *ops, struct layer *layer, enum stats_layer stats)
{
	if (layer) {
		tower.layers[tower.n_layers++] = (struct tower_layer){ ops, layer, stats };
	}
	return layer != NULL;
}

/* `whole`: the domain's table is there. */
static bool open_layers(const struct tower_plug *plug, bool whole)
{
	bool memory_allowed = whole && (config.tower_layers & CONFIG_LAYER_MEMORY);

	if (memory_allowed && !add_layer(&memory_ops, open_memory(), STATS_MEMORY)) {
		return false;
	}
	tower.authority = tower.n_layers;
	if (!add_layer(plug->authority, plug->authority_open(&tower.stats->layers[STATS_MEMCACHED]),
		       STATS_MEMCACHED)) {
		return false;
	}
	return !(config.tower_layers & CONFIG_LAYER_REDIS) ||
	       add_layer(&redis_ops, open_redis(whole), STATS_REDIS);
}

/* Without memory for it, nothing is recorded. */
static void open_recorder(void)
{
	const struct recorder_options options = {
		.path = config.trace_path,
		.one_of = config.trace_one_of,
		.max_bytes = config.trace_max_bytes,
		.max_files = config.trace_max_files,
	};

	if (config.trace_path[0]) {
		tower.recorder = recorder_open(&options);
		timing_watch_hits();
	}
}

static void close_all(void)
{
	while (tower.n_layers) {
		struct tower_layer *last = &tower.layers[--tower.n_layers];

		last->ops->close(&last->layer);
	}
	remembered_close(&tower.held);
	slots_close(&tower.slots);
	stats_close(&tower.stats);
}

/*
 * The table of the domain, or a private one: with coherence.mode none, or where
 * there is no other.  In the last case *ret_why says why: a promise is kept
 * or not made, so memory serves nothing.
 */
static struct slots *open_slots(char *path, const char **ret_why)
{
	struct slots_options options;
	struct slots *slots = NULL;
	const char *unused;

	*ret_why = NULL;
	domain_table(&config, path, &options);
	if (options.path) {
		slots = slots_open(&options, ret_why);
		options.path = NULL;
	}
	if (slots) {
		*ret_why = NULL;
	}
	return slots ? slots : slots_open(&options, &unused);
}

/* One line, whatever cannot be shared. */
static void report_unshared(const char *slots_path, const char *slots_why, const char *stats_path,
			    const char *stats_why)
{
	if (slots_why) {
		log_line(LOG_LEVEL_WARN,
			 "%s: %s; memory serves nothing in this process, and others may read what "
			 "it writes up to memory.ttl late%s",
			 slots_path, slots_why, stats_why ? "; its statistics are private" : "");
	} else if (stats_why) {
		log_line(LOG_LEVEL_WARN, "%s: %s; statistics of this process are private%s",
			 stats_path, stats_why,
			 config.memory_host_max_bytes
				 ? ", and it takes a 1024th of memory.host_max_bytes"
				 : "");
	}
}

/*
 * A process died in the middle of a write.  Also where this one has no Redis
 * among its layers: that one may have had.
 */
static void abandon_redis(void *slots, uint64_t process)
{
	void *memory = slots_extra(slots);

	if (memory) {
		redis_abandon(memory, process);
	}
}

/* Also where nobody wants to read them, processes are counted there (core/budget.h). */
static bool wants_stats(void)
{
	return config.stats_enabled || config.memory_host_max_bytes;
}

static bool open_locked(const struct tower_plug *plug)
{
	char stats_path[CONFIG_TEXT_MAX];
	char slots_path[CONFIG_TEXT_MAX] = "";
	const char *why;

	config_read_locked();
	if (config_state != CONFIG_READ) {
		return false;
	}
	tower.config = config;
	config_stats_path(&config, stats_path, sizeof(stats_path));
	tower.stats =
		stats_open(wants_stats() ? stats_path : NULL, config.tower_name, &plug->names);
	tower.slots = open_slots(slots_path, &why);
	if (tower.stats && tower.slots &&
	    remembered_open(&tower.held, config.stats_remember_evicted) &&
	    open_layers(plug, !why)) {
		report_unshared(slots_path, why, stats_path, tower.stats->why);
		tower.flushes = slots_flushes(tower.slots);
		slots_on_repair(tower.slots, abandon_redis, tower.slots);
		open_recorder();
		return true;
	}
	close_all();
	if (!said_why_off) {
		log_line(LOG_LEVEL_ERROR,
			 "cannot start: out of memory; tower is off in this process");
	}
	return false;
}

static struct tower *take_up(const struct tower_plug *plug)
{
	int before = errno;
	struct tower *now;
	/* Before the lock, which a fork in another thread would else find taken. */
	bool fork_safe = fork_register(&fork_handler);
	int cancel;

	/* Files are opened below: a thread must not be cancelled with the lock taken. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	lock_take(&open_lock);
	now = atomic_load_explicit(&tower_now, memory_order_relaxed);
	if (now == NULL && !atomic_load(&is_off)) {
		if (inherited) {
			stats_claim(inherited->stats);
			slots_claim(inherited->slots);
			budget_reset(inherited);
			if (inherited->recorder) {
				recorder_claim(inherited->recorder);
			}
			now = inherited;
			inherited = NULL;
		} else if (fork_safe && open_locked(plug)) {
			now = &tower;
		} else {
			atomic_store(&is_off, true);
		}
		if (now) {
			tower_thread(now);
		}
		atomic_store_explicit(&tower_now, now, memory_order_release);
	}
	lock_release(&open_lock);
	pthread_setcancelstate(cancel, NULL);
	errno = before;
	return now;
}

struct tower *tower_open(const struct tower_plug *plug)
{
	return atomic_load_explicit(&is_off, memory_order_acquire) ? NULL : take_up(plug);
}

void tower_leave(void)
{
	struct tower *now = atomic_load_explicit(&tower_now, memory_order_acquire);

	if (now) {
		stats_leave(now->stats);
	}
}
