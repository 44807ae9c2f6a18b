#include "layers/redis_way.h"

#include "base/clock.h"

/* What takes longer was given to somebody else than Redis. */
#define LONG_NS (CLOCK_NS_PER_MS / 2)

#define VAIN_STEP 2
#define VAIN_MAX 16
#define REST_NS CLOCK_NS_PER_S

bool redis_way_pays(const struct redis_way *way, int64_t now_ns)
{
	return now_ns >= way->rests_until_ns;
}

void redis_way_given(struct redis_way *way, bool answered, int64_t begun_ns, int64_t now_ns)
{
	if (now_ns - begun_ns > LONG_NS) {
		way->n_vain = VAIN_MAX;
	} else if (!answered) {
		way->n_vain += VAIN_STEP;
	} else if (way->n_vain > 0) {
		way->n_vain--;
	}
	if (way->n_vain >= VAIN_MAX) {
		/* One more in vain, and it rests again. */
		way->n_vain = VAIN_MAX - VAIN_STEP;
		way->rests_until_ns = now_ns + REST_NS;
	}
}
