#include "shim/shim.h"

#include <string.h>

static const char *const call_names[] = {
#define CALL(name, kind, does) #name,
#include "shim/api.def"
};

static const char *const reason_names[] = {
	"none",
#define REASON(name, kinds, help, why) #name,
#include "shim/reasons.def"
};

static const struct tower_plug plug = {
	.authority = &memcached_ops,
	.authority_open = memcached_open,
	.names = { call_names, SHIM_N_CALLS, reason_names, SHIM_N_REASONS },
};

_Static_assert(SHIM_N_CALLS <= STATS_CALLS_MAX, "core/stats.h has room for all functions");
_Static_assert(SHIM_N_REASONS <= STATS_REASONS_MAX, "core/stats.h has room for all reasons");

#define FRAMES_MAX 8

/* So far below a frame that was left its stack is looked at. */
#define NEAR_BYTES ((uintptr_t)256 << 10)

/* The outer calls of this thread that are open, one inside the other. */
static __thread struct {
	unsigned n;
	unsigned paused; /* so many do not count: a callback of the program runs */
	struct {
		const struct shim_frame *frame;
		const memcached_st *handle;
		const char *key; /* of a write; NULL in all other calls */
		size_t n_key;
	} open[FRAMES_MAX];
} calls;

/* This thread has called before. */
static __thread bool is_known;

void shim_count(struct tower *tower, enum shim_call call)
{
	counter_add(&tower->stats->counts->calls[call], 1);
}

struct tower *shim_tower(void)
{
	return tower_get(&plug);
}

static struct tower *open_frame(struct shim_frame *frame, enum shim_call call)
{
	struct tower *tower = atomic_load_explicit(&tower_now, memory_order_acquire);

	if (tower == NULL) {
		/* Where there is a tower the real functions are bound. */
		shim_load();
		shim_bind();
		tower = shim_tower();
		if (tower == NULL) {
			return NULL;
		}
	}
	if (!is_known) {
		is_known = true;
		tower_thread(tower);
	}
	shim_count(tower, call);
	if (calls.n < FRAMES_MAX) {
		frame->is_open = true;
		frame->living = frame;
		frame->depth = calls.n++;
		calls.open[frame->depth].frame = frame;
	}
	return tower;
}

struct tower *shim_at_once(void)
{
	return calls.n != calls.paused || !is_known
		       ? NULL
		       : atomic_load_explicit(&tower_now, memory_order_acquire);
}

/*
 * Whether the innermost call was left without an end: by siglongjmp() out of a
 * handler or a callback.  All that a call that goes on has called lies
 * below it on the stack; and where it is so, but the frame is not itself any
 * more, another call's variables are there.  A call left just now that is neither
 * is taken for one that goes on, until it is: that costs hits, and is never wrong.
 */
static bool is_left(const struct shim_frame *now)
{
	const struct shim_frame *frame = calls.open[calls.n - 1].frame;

	return (uintptr_t)frame <= (uintptr_t)now ||
	       ((uintptr_t)frame - (uintptr_t)now < NEAR_BYTES && frame->living != frame);
}

static __attribute__((noinline)) void end_those_left(const struct shim_frame *now)
{
	const void *left = NULL;

	while (calls.n && is_left(now)) {
		left = calls.open[--calls.n].frame;
	}
	if (calls.paused > calls.n) {
		calls.paused = calls.n;
	}
	if (left) {
		tower_abandoned((uintptr_t)left > (uintptr_t)now ? left : now);
	}
}

/* Whether the call is made inside another one.  Calls that were left end here. */
static inline bool is_inside(const struct shim_frame *now)
{
	const struct shim_frame *frame = calls.open[calls.n - 1].frame;

	/* Of all calls nearly all: libmemcached's own. */
	if ((uintptr_t)frame - (uintptr_t)now - 1 >= NEAR_BYTES || frame->living != frame) {
		end_those_left(now);
	}
	return calls.n > calls.paused;
}

static void close_frame(struct shim_frame *frame)
{
	frame->is_open = false;
	frame->hastened = NULL;
}

static void hasten(struct shim_frame *frame, memcached_st *handle)
{
	if (frame->is_open && handle && handle->flags.binary_protocol &&
	    !handle->flags.tcp_nodelay) {
		handle->flags.tcp_nodelay = true;
		frame->hastened = handle;
	}
}

static struct tower *open_outer(struct shim_frame *frame, enum shim_call call,
				const memcached_st *handle, const char *key, size_t n_key)
{
	struct tower *tower = open_frame(frame, call);

	if (frame->is_open) {
		calls.open[frame->depth].handle = handle;
		calls.open[frame->depth].key = key;
		calls.open[frame->depth].n_key = n_key;
	}
	return tower;
}

struct tower *shim_begin(struct shim_frame *frame, enum shim_call call, const memcached_st *handle)
{
	close_frame(frame);
	if (calls.n && is_inside(frame)) {
		return NULL;
	}
	return open_outer(frame, call, handle, NULL, 0);
}

struct tower *shim_begin_own(struct shim_frame *frame, enum shim_call call, memcached_st *handle)
{
	struct tower *tower;

	close_frame(frame);
	if (calls.n && is_inside(frame) && calls.open[calls.n - 1].handle == handle) {
		return NULL;
	}
	tower = open_outer(frame, call, handle, NULL, 0);
	hasten(frame, handle);
	return tower;
}

/* Libmemcached hands on the key that it was given. */
static bool is_same_write(const memcached_st *handle, const char *key, size_t n_key)
{
	unsigned top = calls.n - 1;

	return calls.open[top].key == key && calls.open[top].handle == handle &&
	       calls.open[top].n_key == n_key;
}

struct tower *shim_begin_write(struct shim_frame *frame, enum shim_call call, memcached_st *handle,
			       const char *key, size_t n_key)
{
	static const char no_key[1];
	struct tower *tower;

	key = key ? key : no_key;
	close_frame(frame);
	if (calls.n && is_inside(frame) && is_same_write(handle, key, n_key)) {
		return NULL;
	}
	tower = open_outer(frame, call, handle, key, n_key);
	hasten(frame, handle);
	return tower;
}

void shim_end(struct shim_frame *frame)
{
	if (frame->hastened) {
		frame->hastened->flags.tcp_nodelay = false;
	}
	if (frame->is_open) {
		frame->living = NULL;
		calls.n = frame->depth;
	}
}

unsigned shim_pause(void)
{
	unsigned paused = calls.paused;

	calls.paused = calls.n;
	return paused;
}

void shim_resume(unsigned paused)
{
	calls.paused = paused;
}
