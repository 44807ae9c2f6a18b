#include "sim/cache.h"

#include <stdlib.h>

#include "base/fault.h"
#include "base/hash.h"

/* What a policy may remember of values that went. */
#define GHOST_BYTES_MAX ((size_t)1 << 30)

/* Bits of a node's state. */
#define HELD 1U
#define QUEUE 2U
#define QUEUE_SHIFT 1
#define USE 4U
#define USES (3U * USE)

struct node {
	uint32_t newer; /* a ring with the queue's own node: its `newer` is the oldest */
	uint32_t older;
	uint32_t n_bytes;
	uint32_t state;
};

struct cache {
	struct cache_options options;
	struct policy policy;
	bool moves_used;     /* exact lru */
	struct node *nodes;  /* those of keys, then one for each queue */
	uint32_t *deadlines; /* NULL as long as no value ends */
	uint64_t n_items;
	uint64_t n_bytes;
	uint64_t n_held[POLICY_QUEUES]; /* in what is counted */
};

struct cache *cache_new(const struct cache_options *options)
{
	struct cache *made = calloc(1, sizeof(*made));
	double few = POLICY_SMALL_ITEMS * options->share;

	if (made == NULL) {
		return NULL;
	}
	made->options = *options;
	policy_open(&made->policy, options->policy, GHOST_BYTES_MAX);
	made->policy.small_items = options->as_built ? (uint64_t)(few + 0.5) : 0;
	made->moves_used = options->policy == POLICY_LRU && !options->as_built;
	made->nodes = calloc((size_t)options->n_keys + POLICY_QUEUES, sizeof(*made->nodes));
	if (made->nodes == NULL) {
		cache_free(&made);
		return NULL;
	}
	for (uint32_t queue = 0; queue < POLICY_QUEUES; queue++) {
		uint32_t end = options->n_keys + queue;

		made->nodes[end].newer = end;
		made->nodes[end].older = end;
	}
	return made;
}

void cache_free(struct cache **cache)
{
	if (*cache) {
		policy_close(&(*cache)->policy);
		free((*cache)->nodes);
		free((*cache)->deadlines);
		free(*cache);
		*cache = NULL;
	}
}

static uint64_t hash_of(uint32_t key)
{
	return hash_mix(key, 1);
}

static unsigned queue_of(const struct node *node)
{
	return (node->state & QUEUE) >> QUEUE_SHIFT;
}

static uint64_t load_of(const struct cache *cache, const struct node *node)
{
	return cache->options.by_bytes ? node->n_bytes : 1;
}

static void unlink_node(struct cache *cache, uint32_t key)
{
	struct node *node = &cache->nodes[key];

	cache->nodes[node->newer].older = node->older;
	cache->nodes[node->older].newer = node->newer;
	cache->n_held[queue_of(node)] -= load_of(cache, node);
}

/* At the newest end of its queue. */
static void link_node(struct cache *cache, uint32_t key, unsigned queue, unsigned uses)
{
	struct node *node = &cache->nodes[key];
	uint32_t end = cache->options.n_keys + queue;

	node->state = HELD | queue << QUEUE_SHIFT | uses * USE;
	node->newer = end;
	node->older = cache->nodes[end].older;
	cache->nodes[node->older].newer = key;
	cache->nodes[end].older = key;
	cache->n_held[queue] += load_of(cache, node);
}

static void forget(struct cache *cache, uint32_t key)
{
	struct node *node = &cache->nodes[key];

	unlink_node(cache, key);
	cache->n_items--;
	cache->n_bytes -= node->n_bytes;
	node->state = 0;
}

static struct policy_value value_of(const struct cache *cache, uint32_t key)
{
	const struct node *node = &cache->nodes[key];

	return (struct policy_value){
		.hash = cache->policy.n_queues > 1 ? hash_of(key) : 0,
		.queue = queue_of(node),
		.uses = (node->state & USES) / USE,
	};
}

void cache_drop(struct cache *cache, uint32_t key)
{
	if (cache->nodes[key].state & HELD) {
		struct policy_value value = value_of(cache, key);

		policy_lost(&cache->policy, &value, cache->n_items);
		forget(cache, key);
	}
}

bool cache_get(struct cache *cache, uint32_t key, uint32_t now_ms)
{
	struct node *node = &cache->nodes[key];

	if (!(node->state & HELD)) {
		return false;
	}
	if (cache->deadlines && cache->deadlines[key] <= now_ms) {
		cache_drop(cache, key);
		return false;
	}
	if (cache->moves_used && !fault_planted(FAULT_sim_recency)) {
		unlink_node(cache, key);
		link_node(cache, key, queue_of(node), 0);
	} else if ((node->state & USES) < cache->policy.uses_max * USE) {
		node->state += USE;
	}
	return true;
}

/* The oldest of a queue stays or goes; false: it went. */
static bool pass_oldest(struct cache *cache, unsigned queue, bool may_stay)
{
	uint32_t key = cache->nodes[cache->options.n_keys + queue].newer;
	struct policy_value value = value_of(cache, key);

	if (policy_stays(&cache->policy, &value, cache->n_items) && may_stay) {
		unlink_node(cache, key);
		link_node(cache, key, value.queue, value.uses);
		return true;
	}
	forget(cache, key);
	return false;
}

static void make_room(struct cache *cache, uint64_t more)
{
	unsigned n_moves = 0;
	struct policy_load load = { .limit = cache->options.max, .per_item = 1 };

	for (;;) {
		uint64_t held = cache->n_held[0] + cache->n_held[1];

		if (held + more <= load.limit || cache->n_items == 0) {
			return;
		}
		for (unsigned queue = 0; queue < POLICY_QUEUES; queue++) {
			load.held[queue] = cache->n_held[queue];
		}
		if (cache->options.by_bytes) {
			load.per_item = held / cache->n_items;
		}
		n_moves += pass_oldest(cache, policy_victim(&cache->policy, &load),
				       !cache->options.as_built || n_moves < POLICY_MOVES_MAX);
	}
}

static bool set_deadline(struct cache *cache, uint32_t key, uint32_t deadline_ms)
{
	if (cache->deadlines == NULL && deadline_ms != CACHE_NEVER) {
		cache->deadlines = malloc(cache->options.n_keys * sizeof(*cache->deadlines));
		if (cache->deadlines == NULL) {
			return false;
		}
		for (uint32_t i = 0; i < cache->options.n_keys; i++) {
			cache->deadlines[i] = CACHE_NEVER;
		}
	}
	if (cache->deadlines) {
		cache->deadlines[key] = deadline_ms;
	}
	return true;
}

void cache_put(struct cache *cache, uint32_t key, uint32_t n_bytes, uint32_t deadline_ms)
{
	struct node *node = &cache->nodes[key];
	uint64_t more = cache->options.by_bytes ? n_bytes : 1;
	unsigned queue = 0;
	unsigned uses = 0;

	if (more > cache->options.max || !set_deadline(cache, key, deadline_ms)) {
		cache_drop(cache, key);
		return;
	}
	if (node->state & HELD) {
		queue = queue_of(node);
		uses = (node->state & USES) / USE;
		forget(cache, key);
	} else {
		queue = policy_queue(&cache->policy, hash_of(key), cache->n_items);
		if (fault_planted(FAULT_sim_ghost)) {
			queue = cache->policy.n_queues - 1;
		}
	}
	make_room(cache, more);
	node->n_bytes = n_bytes;
	cache->n_items++;
	cache->n_bytes += n_bytes;
	link_node(cache, key, queue, uses);
}
