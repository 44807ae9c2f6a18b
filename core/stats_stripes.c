/* Which stripe a thread counts in. */
#include "core/stats_stripes.h"

#include <pthread.h>
#include <stdbool.h>

#include "layers/counters.h"

_Static_assert(STATS_STRIPES <= 32, "a bit for each");

static _Atomic uint32_t taken = 1; /* a bit per stripe; stripe 0 is everybody's */
static _Atomic unsigned used = 1;  /* stripes of this process that were ever counted in */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key; /* its destructor tells of a thread's end */
static bool has_key;	  /* written under `once` */

static void give_back(unsigned stripe)
{
	/* Release: whoever takes it next goes on from what was counted. */
	atomic_fetch_and_explicit(&taken, ~(UINT32_C(1) << stripe), memory_order_release);
}

static void thread_ends(void *value)
{
	unsigned stripe = (unsigned)(counter_stripe / sizeof(struct stats_counts));

	counter_stripe = 0;
	if (stripe) {
		give_back(stripe);
	}
}

static void make_key(void)
{
	has_key = pthread_key_create(&key, thread_ends) == 0;
}

static unsigned take(void)
{
	uint32_t now = atomic_load_explicit(&taken, memory_order_relaxed);
	unsigned stripe = 1;

	while (stripe < STATS_STRIPES) {
		uint32_t bit = UINT32_C(1) << stripe;

		if (now & bit) {
			stripe++;
		} else if (atomic_compare_exchange_weak_explicit(&taken, &now, now | bit,
								 memory_order_acquire,
								 memory_order_relaxed)) {
			return stripe;
		}
	}
	return 0;
}

static void use_up_to(unsigned n)
{
	unsigned now = atomic_load(&used);

	while (now < n && !atomic_compare_exchange_weak(&used, &now, n)) {
	}
}

void stats_stripe_take(bool (*back)(void *owner, unsigned n), void *owner)
{
	unsigned stripe;

	pthread_once(&once, make_key);
	if (!has_key || counter_stripe) {
		return;
	}
	stripe = take();
	if (stripe == 0) {
		return;
	}
	if (!back(owner, stripe + 1) || pthread_setspecific(key, &key) != 0) {
		give_back(stripe);
		return;
	}
	use_up_to(stripe + 1);
	counter_stripe = stripe * sizeof(struct stats_counts);
}

unsigned stats_stripes_used(void)
{
	return atomic_load(&used);
}

void stats_stripes_child(void)
{
	counter_stripe = 0;
	atomic_store(&taken, 1);
	atomic_store(&used, 1);
}
