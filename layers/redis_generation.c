#include "layers/redis_generation.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "layers/redis_answers.h"

/* Below 2^53, so that every language reads it right, until the year 2242. */
#define START_SHIFT 20

void redis_generation_note(struct redis_generation *generation, int64_t number)
{
	atomic_store(&generation->number, number);
}

/*
 * Larger than any start a second ago, and than a million renewals of it.  The
 * low bits differ where the wall clock is set back.
 */
static int64_t start_number(void)
{
	uint64_t spread = hash_mix((uint64_t)clock_now_ns(), (uint64_t)getpid());

	return (int64_t)(((uint64_t)clock_wall_s() << START_SHIFT) |
			 (spread & ((1u << START_SHIFT) - 1)));
}

static void build_get(const struct redis_generation *generation, struct redis_wire *wire)
{
	redis_wire_command(wire, 2);
	redis_wire_text(wire, "GET");
	redis_wire_text(wire, generation->key);
}

static void build_start(const struct redis_generation *generation, struct redis_wire *wire)
{
	redis_wire_command(wire, 4);
	redis_wire_text(wire, "SET");
	redis_wire_text(wire, generation->key);
	redis_wire_number(wire, start_number());
	redis_wire_text(wire, "NX");
}

enum redis_wire_status redis_generation_learn(struct redis_generation *generation,
					      struct redis_wire *wire, int64_t deadline_ns,
					      int64_t *ret_number)
{
	struct redis_answers answers = { 0 };
	enum redis_wire_status status;
	size_t last = 0;

	/* Only reads at first: a Redis without room for a SET can still be read. */
	build_get(generation, wire);
	status = redis_wire_exchange(wire, redis_answers_take, &answers, deadline_ns);
	if (status == REDIS_WIRE_OK && answers.list[0].type == REDIS_WIRE_NIL) {
		build_start(generation, wire);
		build_get(generation, wire);
		status = redis_wire_exchange(wire, redis_answers_take, &answers, deadline_ns);
		last = 1;
	}
	if (status != REDIS_WIRE_OK) {
		return status;
	}
	if (answers.list[last].number <= 0) {
		return REDIS_WIRE_REFUSED;
	}
	*ret_number = answers.list[last].number;
	redis_generation_note(generation, *ret_number);
	return REDIS_WIRE_OK;
}

static void cleaned_up_to(struct redis_shared *shared, uint64_t soiled)
{
	uint64_t cleaned = atomic_load(&shared->cleaned);

	while (cleaned < soiled &&
	       !atomic_compare_exchange_weak(&shared->cleaned, &cleaned, soiled)) {
	}
}

enum redis_wire_status redis_generation_renew(struct redis_generation *generation,
					      struct redis_wire *wire, int64_t deadline_ns)
{
	uint64_t soiled = atomic_load(&generation->shared->unclean);
	struct redis_answers answers = { 0 };
	enum redis_wire_status status;

	/* INCR alone would begin at 1, which may have been before. */
	build_start(generation, wire);
	redis_wire_command(wire, 2);
	redis_wire_text(wire, "INCR");
	redis_wire_text(wire, generation->key);
	status = redis_wire_exchange(wire, redis_answers_take, &answers, deadline_ns);
	if (status != REDIS_WIRE_OK) {
		return status;
	}
	if (answers.list[1].type != REDIS_WIRE_INTEGER || answers.list[1].number <= 1) {
		return REDIS_WIRE_REFUSED;
	}
	redis_generation_note(generation, answers.list[1].number);
	cleaned_up_to(generation->shared, soiled);
	return REDIS_WIRE_OK;
}

void redis_generation_soil(struct redis_generation *generation)
{
	atomic_fetch_add(&generation->shared->unclean, 1);
}

bool redis_generation_is_clean(const struct redis_generation *generation)
{
	return redis_unclean(generation->shared) == 0;
}

bool redis_generation_is_due(struct redis_generation *generation, bool claim)
{
	int64_t at = atomic_load(&generation->renew_at_ns);
	int64_t now = clock_now_ns();

	if (now < at) {
		return false;
	}
	return !claim || atomic_compare_exchange_strong(&generation->renew_at_ns, &at,
							now + generation->renew_every_ns);
}
