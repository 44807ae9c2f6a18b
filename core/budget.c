#include "core/budget.h"

#include "base/clock.h"

/* A layer rounds smaller budgets up. */
uint64_t budget_share(uint64_t host_bytes, uint64_t own_bytes, unsigned n_processes)
{
	uint64_t share = host_bytes / (n_processes ? n_processes : STATS_BLOCKS_MAX);

	return share < own_bytes ? share : own_bytes;
}

void budget_reset(struct tower *tower)
{
	atomic_store_explicit(&tower->budget_next_ns, 0, memory_order_relaxed);
}

void budget_keep(struct tower *tower)
{
	const struct config *config = &tower->config;
	int64_t next;
	int64_t now;
	uint64_t share;

	if (config->memory_host_max_bytes == 0) {
		return;
	}
	now = clock_coarse_ns();
	next = atomic_load_explicit(&tower->budget_next_ns, memory_order_relaxed);
	/* One thread looks; the others go on with what they have. */
	if (now < next || !atomic_compare_exchange_strong_explicit(
				  &tower->budget_next_ns, &next, now + BUDGET_LOOK_NS,
				  memory_order_relaxed, memory_order_relaxed)) {
		return;
	}
	share = budget_share(config->memory_host_max_bytes, config->memory_max_bytes,
			     stats_processes(tower->stats));
	for (uint8_t i = 0; i < tower->n_layers; i++) {
		if (tower->layers[i].ops->set_budget) {
			tower->layers[i].ops->set_budget(tower->layers[i].layer, share);
		}
	}
}
