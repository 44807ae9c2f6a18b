/*
 * redis_breaker.h - leaves a Redis that failed alone for a while.
 *
 * Closed: everybody may ask.  After a failure it is open: nobody asks until
 * `retry_ns` have passed, then one caller may, the probe; how that goes closes
 * it or keeps it open.  A probe nobody hears of again (a fork, a thread that
 * was cancelled) costs one more wait.
 *
 * Lock-free, no system call; any thread.
 */
#ifndef TOWER_LAYERS_REDIS_BREAKER_H
#define TOWER_LAYERS_REDIS_BREAKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct redis_breaker {
	_Atomic int64_t open_until_ns; /* 0: closed */
	int64_t retry_ns;
	int64_t probe_ns; /* the longest a probe takes */
};

enum redis_breaker_answer {
	REDIS_BREAKER_REST, /* do not ask */
	REDIS_BREAKER_ASK,
	REDIS_BREAKER_PROBE, /* ask, and say by close or open how it went */
};

/* Whether to ask now; claims nothing. */
bool redis_breaker_rests(struct redis_breaker *breaker);

/* Whether to ask now; of several callers one gets the probe. */
enum redis_breaker_answer redis_breaker_enter(struct redis_breaker *breaker);

/* True where it was closed (opened) before: a change of state. */
bool redis_breaker_open(struct redis_breaker *breaker);
bool redis_breaker_close(struct redis_breaker *breaker);

#endif
