/*
 * redis_greeting.h - what a connection says first, and asks now and then.
 *
 * A new one says who it is (AUTH), goes to its database (SELECT), asks which server it
 * talks to and how that evicts (INFO), and loads the scripts.  A connection cannot outlive its
 * server, but the server can become a replica and a master again: that is looked at
 * when it was idle, once in REDIS_CHECK_NS.
 */
#ifndef TOWER_LAYERS_REDIS_GREETING_H
#define TOWER_LAYERS_REDIS_GREETING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "layers/redis_pool.h"
#include "layers/redis_url.h"

/* Longer than any that is meant for a program to be seen in. */
#define REDIS_CHECK_NS CLOCK_NS_PER_S

/* Of a connection whose wire was just opened; anything but REDIS_WIRE_OK: it is of no use. */
enum redis_wire_status redis_greet(struct redis_connection *connection, const struct redis_url *url,
				   int64_t deadline_ns);

/* Whether a connection that was idle is what it was; seldom asks Redis itself. */
bool redis_is_what_it_was(struct redis_connection *connection, int64_t deadline_ns);

#endif
