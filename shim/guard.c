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

/* The innermost outer call of this thread. */
static __thread struct shim_frame *top;

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
		shim_bind();
		tower = shim_tower();
		if (tower == NULL) {
			return NULL;
		}
	}
	if (!is_known) {
		is_known = true;
		stats_thread(tower->stats);
	}
	frame->is_open = true;
	frame->outer = top;
	top = frame;
	shim_count(tower, call);
	return tower;
}

struct tower *shim_at_once(void)
{
	return top || !is_known ? NULL : atomic_load_explicit(&tower_now, memory_order_acquire);
}

struct tower *shim_begin(struct shim_frame *frame, enum shim_call call, const memcached_st *handle)
{
	frame->is_open = false;
	if (top) {
		return NULL;
	}
	frame->handle = handle;
	frame->key = NULL;
	frame->n_key = 0;
	return open_frame(frame, call);
}

struct tower *shim_begin_own(struct shim_frame *frame, enum shim_call call,
			     const memcached_st *handle)
{
	frame->is_open = false;
	if (top && top->handle == handle) {
		return NULL;
	}
	frame->handle = handle;
	frame->key = NULL;
	frame->n_key = 0;
	return open_frame(frame, call);
}

static bool is_same_write(const struct shim_frame *frame, const memcached_st *handle,
			  const char *key, size_t n_key)
{
	return frame->key && frame->handle == handle && frame->n_key == n_key &&
	       (frame->key == key || memcmp(frame->key, key, n_key) == 0);
}

struct tower *shim_begin_write(struct shim_frame *frame, enum shim_call call,
			       const memcached_st *handle, const char *key, size_t n_key)
{
	static const char no_key[1];

	frame->is_open = false;
	frame->handle = handle;
	frame->key = key ? key : no_key;
	frame->n_key = key ? n_key : 0;
	if (top && is_same_write(top, handle, frame->key, frame->n_key)) {
		return NULL;
	}
	return open_frame(frame, call);
}

void shim_end(struct shim_frame *frame)
{
	if (frame->is_open) {
		top = frame->outer;
	}
}

struct shim_frame *shim_pause(void)
{
	struct shim_frame *paused = top;

	top = NULL;
	return paused;
}

void shim_resume(struct shim_frame *frame)
{
	top = frame;
}

void shim_count_passed(struct tower *tower, enum shim_reason reason)
{
	counter_add(&tower->stats->counts->passed[reason], 1);
}
