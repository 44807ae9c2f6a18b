/* What is not served, in the counters and in the log. */
#include "shim/shim.h"

#include "base/log.h"

static const char *const call_names[] = {
#define CALL(name, kind, does) #name,
#include "shim/api.def"
};

static const struct {
	const char *name, *what, *why;
} reasons[] = {
	{ "none", "", "" },
#define REASON(name, kinds, what, why) { #name, what, why },
#include "shim/reasons.def"
};

/* The last bit: that the values are private. */
#define BIT_PRIVATE 63
_Static_assert(SHIM_N_REASONS <= BIT_PRIVATE, "a bit for each reason");

/* Handles that there is no room to keep track of have no bits of their own. */
static _Atomic uint64_t told_of_all;

/* Whether the log is to have it: for the first time. */
static bool is_news(struct shim_state *state, unsigned bit)
{
	uint64_t mask = UINT64_C(1) << bit;
	bool told;

	if (!log_wants(LOG_LEVEL_DEBUG)) {
		return false;
	}
	if (state == NULL) {
		return (atomic_fetch_or_explicit(&told_of_all, mask, memory_order_relaxed) &
			mask) == 0;
	}
	told = state->told & mask;
	state->told |= mask;
	return !told;
}

static const char *first_server(const struct shim_state *state)
{
	return state && state->n_servers ? state->servers[0].name : "no server";
}

void shim_passed(struct tower *tower, enum shim_call call, const memcached_st *handle,
		 struct shim_state *state, enum shim_reason reason)
{
	counter_add(&tower->stats->counts->passed[reason], 1);
	if (is_news(state, reason)) {
		log_line(LOG_LEVEL_DEBUG,
			 "handle %p (%s): %s goes to memcached as it is (%s): %s: %s",
			 (const void *)handle, first_server(state), call_names[call],
			 reasons[reason].name, reasons[reason].what, reasons[reason].why);
	}
}

void shim_kept_private(const memcached_st *handle, struct shim_state *state)
{
	if (is_news(state, BIT_PRIVATE)) {
		log_line(
			LOG_LEVEL_DEBUG,
			"handle %p (%s): its values stay in this process, Redis never has them: it "
			"has an encoding key or a login, or ejects servers",
			(const void *)handle, first_server(state));
	}
}
