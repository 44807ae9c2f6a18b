/*
 * redis_way.h - when to give way to a Redis on our own processor.
 *
 * Where it runs beside us on one processor it answers while we give way to it
 * (sched_yield), and mostly while we send: going to sleep and being woken costs a tenth of
 * a get.  Elsewhere giving way brings nothing, and where others want the processor, they
 * would have it for milliseconds.  Both are noticed; then it is tried once a second.
 *
 * Of one connection; one thread at a time.
 */
#ifndef TOWER_LAYERS_REDIS_WAY_H
#define TOWER_LAYERS_REDIS_WAY_H

#include <stdbool.h>
#include <stdint.h>

/* Zero at first. */
struct redis_way {
	unsigned n_vain; /* up where it brought nothing, down again where it did */
	int64_t rests_until_ns;
};

/* Whether to give way now. */
bool redis_way_pays(const struct redis_way *way, int64_t now_ns);

/* It was given, and did the answer come? */
void redis_way_given(struct redis_way *way, bool answered, int64_t begun_ns, int64_t now_ns);

#endif
