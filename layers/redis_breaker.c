#include "layers/redis_breaker.h"

#include "base/clock.h"

bool redis_breaker_rests(const struct redis_breaker *breaker)
{
	int64_t until = atomic_load(&breaker->state->open_until_ns);

	return until != 0 && clock_now_ns() < until;
}

enum redis_breaker_answer redis_breaker_enter(struct redis_breaker *breaker)
{
	struct redis_breaker_state *state = breaker->state;
	int64_t until = atomic_load(&state->open_until_ns);
	int64_t now;
	int64_t wait = breaker->retry_ns;

	if (until == 0) {
		return REDIS_BREAKER_ASK;
	}
	now = clock_now_ns();
	if (now < until) {
		return REDIS_BREAKER_REST;
	}
	/* Or a second probe could start while the first still waits. */
	if (wait < breaker->probe_ns) {
		wait = breaker->probe_ns;
	}
	return atomic_compare_exchange_strong(&state->open_until_ns, &until, now + wait)
		       ? REDIS_BREAKER_PROBE
		       : REDIS_BREAKER_REST;
}

void redis_breaker_pass_on(struct redis_breaker *breaker)
{
	atomic_store(&breaker->state->open_until_ns, clock_now_ns());
}

bool redis_breaker_failed(struct redis_breaker *breaker, bool at_once)
{
	struct redis_breaker_state *state = breaker->state;
	int64_t now = clock_now_ns();
	int64_t since = 0;
	bool first = atomic_compare_exchange_strong(&state->failing_since_ns, &since, now);

	if (!at_once && atomic_load(&state->open_until_ns) == 0 &&
	    (first || now - since < breaker->patience_ns)) {
		return false;
	}
	return atomic_exchange(&state->open_until_ns, now + breaker->retry_ns) == 0;
}

bool redis_breaker_answered(struct redis_breaker *breaker, bool probe)
{
	struct redis_breaker_state *state = breaker->state;

	/* Not written where nothing changes: every operation of the host comes here. */
	if (atomic_load_explicit(&state->failing_since_ns, memory_order_relaxed)) {
		atomic_store(&state->failing_since_ns, 0);
	}
	return probe && atomic_exchange(&state->open_until_ns, 0) != 0;
}
