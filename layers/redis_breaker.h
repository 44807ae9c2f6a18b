/*
 * redis_breaker.h - leaves a Redis that failed alone for a while.
 *
 * Closed: everybody may ask.  It opens at once where a failure needs no patience,
 * and when others have gone on for `patience_ns` without a success in between: one
 * slow answer (a fork for a snapshot takes 60 ms) is none, because
 * every write that Redis does not hear of while it is open is a failed mark.
 * Open: nobody asks until `retry_ns` have passed, then one caller may, the
 * probe; how that goes closes it or keeps it open.  A probe nobody hears of
 * again (a fork, a thread that was cancelled) costs one more wait.
 *
 * Where the state lies in memory that all processes of a domain share, one deadline a
 * period is paid once for the host.
 *
 * Lock-free, no system call; any thread.
 */
#ifndef TOWER_LAYERS_REDIS_BREAKER_H
#define TOWER_LAYERS_REDIS_BREAKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Zero at first: closed. */
struct redis_breaker_state {
	_Atomic int64_t open_until_ns;	  /* 0: closed */
	_Atomic int64_t failing_since_ns; /* 0: the last that was heard was a success */
};

struct redis_breaker {
	struct redis_breaker_state *state;
	int64_t retry_ns;
	int64_t probe_ns; /* the longest a probe takes */
	int64_t patience_ns;
};

enum redis_breaker_answer {
	REDIS_BREAKER_REST, /* do not ask */
	REDIS_BREAKER_ASK,
	REDIS_BREAKER_PROBE, /* ask, and say how it went */
};

/* Whether to ask now; claims nothing. */
bool redis_breaker_rests(const struct redis_breaker *breaker);

/* Whether to ask now; of several callers one gets the probe. */
enum redis_breaker_answer redis_breaker_enter(struct redis_breaker *breaker);

/* It failed; `at_once`: in a way that needs no patience.  True where that opened it. */
bool redis_breaker_failed(struct redis_breaker *breaker, bool at_once);

/* The caller had the probe and could not ask: the next one gets it at once. */
void redis_breaker_pass_on(struct redis_breaker *breaker);

/* It answered; `probe`: the caller had it.  True where that closed it. */
bool redis_breaker_answered(struct redis_breaker *breaker, bool probe);

#endif
