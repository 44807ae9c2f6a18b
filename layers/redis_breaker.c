#include "layers/redis_breaker.h"

#include "base/clock.h"

bool redis_breaker_rests(struct redis_breaker *breaker)
{
	int64_t until = atomic_load(&breaker->open_until_ns);

	return until != 0 && clock_now_ns() < until;
}

enum redis_breaker_answer redis_breaker_enter(struct redis_breaker *breaker)
{
	int64_t until = atomic_load(&breaker->open_until_ns);
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
	return atomic_compare_exchange_strong(&breaker->open_until_ns, &until, now + wait)
		       ? REDIS_BREAKER_PROBE
		       : REDIS_BREAKER_REST;
}

bool redis_breaker_open(struct redis_breaker *breaker)
{
	return atomic_exchange(&breaker->open_until_ns, clock_now_ns() + breaker->retry_ns) == 0;
}

bool redis_breaker_close(struct redis_breaker *breaker)
{
	return atomic_exchange(&breaker->open_until_ns, 0) != 0;
}
