#include "layers/redis_shared.h"

#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/process.h"
#include "base/racy.h"
#include "layers/redis_record.h"

enum state { FREE, CLAIMED, INTENT, UNMARKED };
#define STATE_BITS 2

/* Between two looks for intents of processes that died. */
#define RECLAIM_EVERY_NS (100 * CLOCK_NS_PER_MS)

_Static_assert(PROCESS_WORD_BITS + STATE_BITS <= 64, "a process fits into an intent's word");

static uint64_t word_of(uint64_t who, enum state state)
{
	return who << STATE_BITS | (uint64_t)state;
}

static enum state state_of(uint64_t word)
{
	return (enum state)(word & ((1U << STATE_BITS) - 1));
}

static uint64_t who_of(uint64_t word)
{
	return word >> STATE_BITS;
}

uint64_t redis_shared_domain(struct redis_shared *shared)
{
	uint64_t known = atomic_load(&shared->domain);
	uint64_t made = redis_record_token();

	return known || !atomic_compare_exchange_strong(&shared->domain, &known, made) ? known
										       : made;
}

/* --- servers --- */

struct redis_server *redis_shared_server(struct redis_shared *shared, uint64_t store,
					 const char *name)
{
	uint64_t hash = hash_mix(store, hash_bytes(name, strlen(name))) | 1;

	for (unsigned n = 0; n < REDIS_SERVERS_MAX; n++) {
		struct redis_server *at = &shared->servers[(hash + n) % REDIS_SERVERS_MAX];
		uint64_t found = 0;

		if (atomic_load(&at->name) == hash ||
		    atomic_compare_exchange_strong(&at->name, &found, hash) || found == hash) {
			return at;
		}
	}
	return NULL;
}

struct redis_breaker_state *redis_shared_breaker(struct redis_shared *shared, uint64_t store)
{
	uint64_t name = store | 1;

	for (unsigned n = 0; n < REDIS_BREAKERS_MAX; n++) {
		struct redis_answering *at =
			&shared->answering[(name / 2 + n) % REDIS_BREAKERS_MAX];
		uint64_t found = 0;

		if (atomic_compare_exchange_strong(&at->store, &found, name) || found == name) {
			return &at->breaker;
		}
	}
	return &shared->answering[name / 2 % REDIS_BREAKERS_MAX].breaker;
}

void redis_shared_soil(struct redis_shared *shared, struct redis_server *server)
{
	if (server) {
		atomic_fetch_add(&server->unclean, 1);
		return;
	}
	for (unsigned i = 0; i < REDIS_SERVERS_MAX; i++) {
		atomic_fetch_add(&shared->servers[i].unclean, 1);
	}
}

uint64_t redis_server_unclean(const struct redis_server *server)
{
	uint64_t cleaned;

	if (server == NULL) {
		return 1;
	}
	cleaned = atomic_load(&server->cleaned);
	/* Loaded after the other: what fails in between is seen. */
	return atomic_load(&server->unclean) - cleaned;
}

void redis_server_cleaned(struct redis_server *server, uint64_t unclean)
{
	uint64_t cleaned = atomic_load(&server->cleaned);

	while (cleaned < unclean &&
	       !atomic_compare_exchange_weak(&server->cleaned, &cleaned, unclean)) {
	}
}

bool redis_server_may_renew(struct redis_server *server, int64_t every_ns)
{
	int64_t at = atomic_load(&server->renew_at_ns);
	int64_t now = clock_now_ns();

	return now >= at &&
	       atomic_compare_exchange_strong(&server->renew_at_ns, &at, now + every_ns);
}

/* --- the clock --- */

/* Adjusting a clock bit by bit takes a second for half of the first one. */
#define FOLLOWED_MS 1
#define STEPPED_MS 100

/* Between the two clocks nothing may have happened that took longer. */
#define CLOCKS_APART_NS (CLOCK_NS_PER_MS / 2)

bool redis_shared_watch_clock(struct redis_shared *shared)
{
	int64_t known = atomic_load_explicit(&shared->wall_ms, memory_order_relaxed);
	int64_t before = clock_now_ns();
	int64_t ahead = clock_wall_ms() - before / CLOCK_NS_PER_MS;
	int64_t moved = ahead > known ? ahead - known : known - ahead;

	if (moved <= FOLLOWED_MS || clock_now_ns() - before > CLOCKS_APART_NS ||
	    !atomic_compare_exchange_strong(&shared->wall_ms, &known, ahead)) {
		return false;
	}
	/* Forwards, what has an end has it too early. */
	if (known == 0 || known - ahead < STEPPED_MS) {
		return false;
	}
	redis_shared_soil(shared, NULL);
	return true;
}

/* --- intents --- */

static unsigned place_of(const struct redis_shared *shared, const struct redis_intent *intent)
{
	return (unsigned)(intent - shared->intents);
}

static _Atomic uint64_t *bits_of(struct redis_shared *shared, unsigned i)
{
	return &shared->unmarked[i / 64];
}

static uint64_t bit_of(unsigned i)
{
	return UINT64_C(1) << (i % 64);
}

/*
 * From INTENT or CLAIMED, which nobody else changes but for a process that
 * died: then whoever takes it back first.  The bit before the state: a reader
 * looks at the bits alone where none is set.
 */
static void set_unmarked(struct redis_shared *shared, struct redis_intent *intent, uint64_t before)
{
	unsigned i = place_of(shared, intent);
	uint64_t number = atomic_fetch_add(&shared->sequence, 1) & (UINT64_MAX >> STATE_BITS);

	atomic_fetch_or(bits_of(shared, i), bit_of(i));
	atomic_compare_exchange_strong(&intent->word, &before, word_of(number, UNMARKED));
}

static void abandon_one(struct redis_shared *shared, struct redis_intent *intent, uint64_t word)
{
	if (state_of(word) == INTENT) {
		set_unmarked(shared, intent, word);
	} else if (state_of(word) == CLAIMED) {
		/* It had not entered its slot yet. */
		atomic_compare_exchange_strong(&intent->word, &word, word_of(0, FREE));
	}
}

void redis_shared_abandon(struct redis_shared *shared, uint64_t process)
{
	for (unsigned i = 0; i < REDIS_INTENTS_MAX; i++) {
		uint64_t word = atomic_load(&shared->intents[i].word);

		if (who_of(word) == process && state_of(word) != UNMARKED) {
			abandon_one(shared, &shared->intents[i], word);
		}
	}
	if (atomic_load(&shared->bare)) {
		redis_shared_soil(shared, NULL);
	}
}

/* No room: what the dead have left is taken back, seldom. */
static void reclaim(struct redis_shared *shared)
{
	int64_t at = atomic_load(&shared->reclaim_at_ns);
	int64_t now = clock_now_ns();
	struct process self;

	if (now < at ||
	    !atomic_compare_exchange_strong(&shared->reclaim_at_ns, &at, now + RECLAIM_EVERY_NS)) {
		return;
	}
	process_self(&self);
	for (unsigned i = 0; i < REDIS_INTENTS_MAX; i++) {
		uint64_t word = atomic_load(&shared->intents[i].word);

		if ((state_of(word) == INTENT || state_of(word) == CLAIMED) &&
		    process_word_alive(&self, who_of(word)) == PROCESS_GONE) {
			abandon_one(shared, &shared->intents[i], word);
		}
	}
}

/* Where this thread found a free one last. */
static __thread unsigned last_intent;

static struct redis_intent *claim(struct redis_shared *shared, uint64_t process)
{
	for (unsigned n = 0; n < REDIS_INTENTS_MAX; n++) {
		unsigned i = (last_intent + n) % REDIS_INTENTS_MAX;
		struct redis_intent *at = &shared->intents[i];
		uint64_t none = word_of(0, FREE);

		if (atomic_load_explicit(&at->word, memory_order_relaxed) == none &&
		    atomic_compare_exchange_strong(&at->word, &none, word_of(process, CLAIMED))) {
			last_intent = i;
			return at;
		}
	}
	return NULL;
}

struct redis_intent *redis_intent_begin(struct redis_shared *shared, uint64_t process,
					uint64_t store, const struct layer_key *key)
{
	size_t n_server = strlen(key->server);
	struct redis_intent *intent = NULL;

	if (last_intent == 0) {
		/* Processes begin at different places. */
		last_intent = (unsigned)(process * 7 % REDIS_INTENTS_MAX);
	}
	if (n_server + key->n_wire <= REDIS_INTENT_BYTES) {
		intent = claim(shared, process);
		if (intent == NULL) {
			reclaim(shared);
		}
	}
	if (intent == NULL) {
		atomic_fetch_add(&shared->bare, 1);
		return NULL;
	}
	intent->hash = key->hash;
	intent->store = store;
	intent->n_server = (uint16_t)n_server;
	intent->n_wire = (uint16_t)key->n_wire;
	racy_write(intent->bytes, key->server, n_server);
	racy_write(intent->bytes + n_server, key->wire, key->n_wire);
	atomic_store(&intent->word, word_of(process, INTENT));
	return intent;
}

void redis_intent_end(struct redis_shared *shared, struct redis_intent *intent, bool marked,
		      struct redis_server *server)
{
	bool full = !marked && (redis_shared_n_unmarked(shared) >= REDIS_UNMARKED_MAX ||
				redis_server_unclean(server));

	if (!marked && (intent == NULL || full)) {
		redis_shared_soil(shared, server);
	}
	if (intent == NULL) {
		atomic_fetch_sub(&shared->bare, 1);
	} else if (marked || full) {
		atomic_store(&intent->word, word_of(0, FREE));
	} else {
		set_unmarked(shared, intent, atomic_load(&intent->word));
	}
}

/* --- what is unmarked --- */

bool redis_shared_is_unmarked(const struct redis_shared *shared, uint64_t hash)
{
	for (unsigned i = 0; i < REDIS_INTENTS_MAX; i++) {
		const struct redis_intent *at = &shared->intents[i];
		uint64_t bits = atomic_load(&shared->unmarked[i / 64]);

		if (bits == 0) {
			i |= 63;
			continue;
		}
		if ((bits & bit_of(i)) && state_of(atomic_load(&at->word)) == UNMARKED &&
		    racy_equal(&at->hash, &hash, sizeof(hash))) {
			return true;
		}
	}
	return false;
}

unsigned redis_shared_n_unmarked(const struct redis_shared *shared)
{
	unsigned n = 0;

	for (unsigned i = 0; i < REDIS_INTENTS_MAX / 64; i++) {
		n += (unsigned)__builtin_popcountll(atomic_load(&shared->unmarked[i]));
	}
	return n;
}

/* False where it is none, or no longer this one. */
static bool copy(struct redis_intent *intent, uint64_t store, struct redis_unmarked *ret)
{
	uint16_t n_server;

	ret->intent = intent;
	ret->word = atomic_load(&intent->word);
	if (state_of(ret->word) != UNMARKED || !racy_equal(&intent->store, &store, sizeof(store))) {
		return false;
	}
	racy_copy(&n_server, &intent->n_server, sizeof(n_server));
	racy_copy(&ret->n_wire, &intent->n_wire, sizeof(ret->n_wire));
	if (n_server > REDIS_INTENT_BYTES || ret->n_wire > LAYER_KEY_MAX ||
	    n_server + ret->n_wire > REDIS_INTENT_BYTES) {
		return false;
	}
	racy_copy(ret->server, intent->bytes, n_server);
	ret->server[n_server] = '\0';
	racy_copy(ret->wire, intent->bytes + n_server, ret->n_wire);
	racy_done();
	return atomic_load(&intent->word) == ret->word;
}

bool redis_shared_next_unmarked(struct redis_shared *shared, uint64_t store, unsigned *cursor,
				struct redis_unmarked *ret)
{
	while (*cursor < REDIS_INTENTS_MAX) {
		unsigned i = (*cursor)++;

		if ((atomic_load(bits_of(shared, i)) & bit_of(i)) &&
		    copy(&shared->intents[i], store, ret)) {
			return true;
		}
	}
	return false;
}

/*
 * Taken first, so that of two who marked it only one clears the bit: cleared
 * later, it could be that of the next key.
 */
void redis_shared_remarked(struct redis_shared *shared, uint64_t process,
			   const struct redis_unmarked *unmarked)
{
	unsigned i = place_of(shared, unmarked->intent);
	uint64_t word = unmarked->word;

	if (atomic_compare_exchange_strong(&unmarked->intent->word, &word,
					   word_of(process, CLAIMED))) {
		atomic_fetch_and(bits_of(shared, i), ~bit_of(i));
		atomic_store(&unmarked->intent->word, word_of(0, FREE));
	}
}

bool redis_shared_may_remark(struct redis_shared *shared, int64_t for_ns)
{
	int64_t at = atomic_load(&shared->remark_at_ns);
	int64_t now = clock_now_ns();
	bool any = false;

	for (unsigned i = 0; i < REDIS_INTENTS_MAX / 64; i++) {
		any = any || atomic_load_explicit(&shared->unmarked[i], memory_order_relaxed);
	}
	return any && now >= at &&
	       atomic_compare_exchange_strong(&shared->remark_at_ns, &at, now + for_ns);
}

void redis_shared_remark_done(struct redis_shared *shared)
{
	atomic_store(&shared->remark_at_ns, 0);
}
