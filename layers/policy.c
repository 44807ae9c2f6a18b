#include "layers/policy.h"

#include <string.h>

/* Queues; policies with one use the first. */
enum { SMALL, MAIN };

#define SMALL_PART 10

/* As many values are remembered as the main queue holds. */
static uint64_t ghost_window(uint64_t n_items)
{
	return n_items - n_items / SMALL_PART;
}

void policy_open(struct policy *policy, enum policy_kind kind, size_t ghost_bytes_max)
{
	static const unsigned uses_max[] = {
		[POLICY_LRU] = 1,
		[POLICY_FIFO] = 0,
		[POLICY_S3FIFO] = POLICY_USES_MAX,
	};

	memset(policy, 0, sizeof(*policy));
	policy->kind = kind;
	policy->n_queues = kind == POLICY_S3FIFO ? 2 : 1;
	policy->uses_max = uses_max[kind];
	policy->small_items = POLICY_SMALL_ITEMS;
	ghost_open(&policy->ghost, kind == POLICY_S3FIFO ? ghost_bytes_max : 0);
}

void policy_close(struct policy *policy)
{
	ghost_close(&policy->ghost);
}

void policy_limit(struct policy *policy, size_t ghost_bytes_max)
{
	ghost_limit(&policy->ghost, policy->kind == POLICY_S3FIFO ? ghost_bytes_max : 0);
}

unsigned policy_queue(struct policy *policy, uint64_t hash, uint64_t n_items)
{
	if (policy->kind == POLICY_S3FIFO &&
	    ghost_take(&policy->ghost, hash, ghost_window(n_items))) {
		return MAIN;
	}
	return SMALL;
}

static uint64_t small_limit(const struct policy *policy, const struct policy_load *load)
{
	uint64_t part = load->limit / SMALL_PART;
	uint64_t half = load->limit / 2;
	uint64_t few = load->per_item * policy->small_items;

	few = few < half ? few : half;
	return part > few ? part : few;
}

unsigned policy_victim(const struct policy *policy, const struct policy_load *load)
{
	if (policy->n_queues == 1 || load->held[MAIN] == 0) {
		return SMALL;
	}
	if (load->held[SMALL] == 0) {
		return MAIN;
	}
	return load->held[SMALL] >= small_limit(policy, load) ? SMALL : MAIN;
}

bool policy_stays(struct policy *policy, struct policy_value *value, uint64_t n_items)
{
	if (value->uses == 0) {
		if (policy->n_queues > 1 && value->queue == SMALL) {
			ghost_put(&policy->ghost, value->hash, ghost_window(n_items));
		}
		return false;
	}
	if (policy->n_queues > 1 && value->queue == SMALL) {
		value->queue = MAIN;
		value->uses = 0;
	} else {
		value->uses--;
	}
	return true;
}

void policy_lost(struct policy *policy, const struct policy_value *value, uint64_t n_items)
{
	if (value->queue == MAIN || (policy->n_queues > 1 && value->uses)) {
		ghost_put(&policy->ghost, value->hash, ghost_window(n_items));
	}
}

void policy_clear(struct policy *policy)
{
	ghost_clear(&policy->ghost);
}
