/*
 * probes.h - places where bpftrace, SystemTap or perf may look on: USDT probes of
 * provider "tower".
 *
 * One nop each, and a note beside the program that says where its arguments are just
 * then (section .note.stapsdt).  Nothing is computed for a probe: an argument is what
 * is at hand.  Keys are as memcached sees them and end without a NUL.  Numbers are those
 * of the enums; docs/PROBES.md names them for users, tests/apps/probes.sh compares.
 *
 * Where there is no <sys/sdt.h> (Debian: systemtap-sdt-dev), or TOWER_NO_PROBES is
 * defined, they are nothing.
 */
#ifndef TOWER_LAYERS_PROBES_H
#define TOWER_LAYERS_PROBES_H

#include <stddef.h>

#include "layers/layer.h"

#if !defined(TOWER_NO_PROBES) && defined(__has_include)
#if __has_include(<sys/sdt.h>)
#include <sys/sdt.h>
#define TOWER_PROBES
#endif
#endif

#ifndef TOWER_PROBES
#define DTRACE_PROBE1(provider, probe, a) ((void)0)
#define DTRACE_PROBE3(provider, probe, a, b, c) ((void)0)
#define DTRACE_PROBE4(provider, probe, a, b, c, d) ((void)0)
#define DTRACE_PROBE5(provider, probe, a, b, c, d, e) ((void)0)
#endif

/* Which layer it is about. */
enum probe_layer { PROBE_MEMORY, PROBE_MEMCACHED, PROBE_REDIS };

#define PROBE_INLINE __attribute__((always_inline)) static inline

/* The layer answered a read with a value. */
PROBE_INLINE void probe_hit(enum probe_layer layer, const struct layer_key *key, size_t n_value)
{
	DTRACE_PROBE4(tower, hit, layer, key->wire, key->n_wire, n_value);
}

/* The layer was asked, is well, and does not have it. */
PROBE_INLINE void probe_miss(enum probe_layer layer, const struct layer_key *key)
{
	DTRACE_PROBE3(tower, miss, layer, key->wire, key->n_wire);
}

/* The layer took a value that a deeper one or a write had. */
PROBE_INLINE void probe_fill(enum probe_layer layer, const struct layer_key *key, size_t n_value)
{
	DTRACE_PROBE4(tower, fill, layer, key->wire, key->n_wire, n_value);
}

/* A write is over: memcached has answered, and its slot was left. */
PROBE_INLINE void probe_write(enum layer_verb verb, const struct layer_key *key, size_t n_value,
			      enum layer_outcome outcome)
{
	DTRACE_PROBE5(tower, write, verb, key->wire, key->n_wire, n_value, outcome);
}

/* The layer dropped its value because of a write. */
PROBE_INLINE void probe_invalidate(enum probe_layer layer, const struct layer_key *key)
{
	DTRACE_PROBE3(tower, invalidate, layer, key->wire, key->n_wire);
}

/* The layer dropped all it had because of a flush. */
PROBE_INLINE void probe_invalidate_all(enum probe_layer layer)
{
	DTRACE_PROBE3(tower, invalidate, layer, NULL, (size_t)0);
}

/* Redis is left alone from now on (1), or asked again (0). */
PROBE_INLINE void probe_breaker(int open)
{
	DTRACE_PROBE1(tower, breaker, open);
}

#undef PROBE_INLINE

#endif
