/*
 * May many threads use the memory layer at once?  Every value says which key and
 * version it is and carries a checksum; a version that was overwritten before a
 * read began must not be read.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "layers/memory_store.h"
#include "tests/unit/lib/memory_model.h"

enum { THREADS = 6, WRITERS = 4, OPERATIONS = 12000, KEYS = 200, VALUE_MAX = 6000, BATCH = 20 };
enum { SLOT = 5 };

struct value {
	uint64_t key;
	uint64_t version;
	uint64_t n; /* bytes behind */
	uint64_t sum;
};

struct run {
	struct layer *layer;
	struct layer_counters counted;
	struct layer_counters *counters;
	uint64_t max_bytes;
	_Atomic uint64_t written[KEYS]; /* the last version whose write has ended */
	_Atomic uint64_t oldest[KEYS];	/* versions below were overwritten or flushed */
	_Atomic uint64_t versions;
	_Atomic uint64_t n_hits;
	pthread_mutex_t writing[KEYS]; /* guards: the order of one key's writes */
};

struct thread {
	struct run *run;
	unsigned number;
	uint64_t random;
	char buffer[sizeof(struct value) + VALUE_MAX + 1];
};

static uint64_t next_random(uint64_t *state)
{
	/* xorshift64* (Vigna 2016) */
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return (*state * UINT64_C(0x2545f4914f6cdd1d)) >> 20;
}

static unsigned next_of(struct thread *thread, unsigned n)
{
	return (unsigned)(next_random(&thread->random) % n);
}

static void *take_malloc(void *owner, size_t n)
{
	return malloc(n);
}

static void give_free(void *owner, void *bytes)
{
	free(bytes);
}

struct text {
	char bytes[40];
	size_t n;
};

static struct layer_key key_of(unsigned k, struct text *text)
{
	text->n = 8 + k % 30;
	memset(text->bytes, 'k', sizeof(text->bytes));
	text->bytes[0] = (char)('0' + k % 10);
	text->bytes[1] = (char)('0' + k / 10 % 10);
	text->bytes[2] = (char)('0' + k / 100);
	return (struct layer_key){ .wire = text->bytes,
				   .n_wire = text->n,
				   .hash = hash_bytes(text->bytes, text->n),
				   .place = 1,
				   .server = "server:1" };
}

static size_t make_value(struct thread *thread, unsigned k, uint64_t version)
{
	size_t n = next_of(thread, 4) ? next_of(thread, 200) : next_of(thread, VALUE_MAX);
	struct value value = { .key = k, .version = version, .n = n };

	memset(thread->buffer + sizeof(value), (int)(version % 256), n);
	value.sum = hash_bytes(thread->buffer + sizeof(value), n);
	memcpy(thread->buffer, &value, sizeof(value));
	return sizeof(value) + n;
}

/* fail() is for the main thread. */
static void need(bool well, const char *what)
{
	if (!well) {
		fprintf(stderr, "not so: %s\n", what);
		abort();
	}
}

#define NEED(what) need(what, #what)

static void check_hit(struct run *run, unsigned k, uint64_t oldest, struct layer_item *item)
{
	struct value value;

	atomic_fetch_add_explicit(&run->n_hits, 1, memory_order_relaxed);
	NEED(item->n_value >= sizeof(value));
	memcpy(&value, item->value, sizeof(value));
	NEED(value.key == k);
	NEED(value.n == item->n_value - sizeof(value));
	NEED(value.sum == hash_bytes(item->value + sizeof(value), value.n));
	NEED(value.version >= oldest);
	NEED(!item->has_cas || item->cas == value.version);
	free(item->value);
}

static void read_some(struct thread *thread, unsigned n)
{
	struct layer_item items[BATCH] = { 0 };
	struct layer_batch batch = { .items = items,
				     .n_items = n,
				     .allocator = { take_malloc, give_free, NULL } };
	struct text texts[BATCH];
	unsigned keys[BATCH];
	uint64_t oldest[BATCH];

	for (unsigned i = 0; i < n; i++) {
		keys[i] = next_of(thread, next_of(thread, 2) ? KEYS : KEYS / 10);
		oldest[i] = atomic_load(&thread->run->oldest[keys[i]]);
		items[i].key = key_of(keys[i], &texts[i]);
		items[i].slot = SLOT;
	}
	if (n > 1) {
		memory_ops.get(thread->run->layer, &batch);
	} else {
		items[0].answer = memory_ops.peek(thread->run->layer, &items[0].key, false,
						  &batch.allocator, &items[0]);
		if (items[0].answer == LAYER_UNASKED) {
			memory_ops.get(thread->run->layer, &batch);
		}
	}
	for (unsigned i = 0; i < n; i++) {
		if (items[i].answer == LAYER_HIT) {
			check_hit(thread->run, keys[i], oldest[i], &items[i]);
		}
	}
}

static void fill(struct thread *thread, unsigned k, uint64_t version)
{
	struct text text;
	struct layer_item item = {
		.key = key_of(k, &text),
		.slot = SLOT,
		.answer = LAYER_HIT,
		.layer = 1,
		.value = thread->buffer,
		.n_value = make_value(thread, k, version),
		.cas = version,
		.has_cas = true,
		.deadline_ns = CLOCK_NEVER,
	};
	const struct layer_batch batch = { .items = &item, .n_items = 1 };

	memory_ops.fill(thread->run->layer, &batch, 0);
}

static void write_one(struct thread *thread, unsigned k, uint64_t version, enum layer_verb verb)
{
	struct text text;
	const struct layer_write write = {
		.verb = verb,
		.key = key_of(k, &text),
		.slot = SLOT,
		.value = thread->buffer,
		.n_value = make_value(thread, k, version),
		.deadline_ns = CLOCK_NEVER,
		.outcome = LAYER_DONE,
	};

	memory_ops.written(thread->run->layer, &write);
}

/* Somebody else may have set it higher: a flush. */
static void raise_to(_Atomic uint64_t *oldest, uint64_t version)
{
	uint64_t now = atomic_load(oldest);

	while (now < version && !atomic_compare_exchange_weak(oldest, &now, version)) {
	}
}

static void change(struct thread *thread)
{
	struct run *run = thread->run;
	unsigned k = next_of(thread, KEYS);
	uint64_t version;

	pthread_mutex_lock(&run->writing[k]);
	version = atomic_fetch_add(&run->versions, 1);
	switch (next_of(thread, 8)) {
	case 0:
		write_one(thread, k, version, LAYER_DELETE);
		break;
	case 1:
	case 2:
		write_one(thread, k, version, LAYER_SET);
		break;
	default:
		fill(thread, k, version);
		break;
	}
	atomic_store(&run->written[k], version);
	raise_to(&run->oldest[k], version);
	pthread_mutex_unlock(&run->writing[k]);
}

/* What had been written when it began is void. */
static void flush(struct thread *thread)
{
	struct run *run = thread->run;
	uint64_t before[KEYS];

	for (unsigned k = 0; k < KEYS; k++) {
		before[k] = atomic_load(&run->written[k]);
	}
	memory_ops.flush(run->layer);
	for (unsigned k = 0; k < KEYS; k++) {
		raise_to(&run->oldest[k], before[k] + 1);
	}
}

/* Under another slot: the reader drops it. */
static void invalidate(struct thread *thread)
{
	struct text text;
	struct layer_item item = { .key = key_of(next_of(thread, KEYS), &text), .slot = SLOT + 1 };
	struct layer_batch batch = { .items = &item,
				     .n_items = 1,
				     .allocator = { take_malloc, give_free, NULL } };

	memory_ops.get(thread->run->layer, &batch);
	NEED(item.answer == LAYER_MISS);
}

static void *work(void *arg)
{
	struct thread *thread = arg;

	for (unsigned i = 0; i < OPERATIONS; i++) {
		unsigned what = next_of(thread, 1000);

		if (thread->number >= WRITERS || what < 600) {
			read_some(thread, what % 4 ? 1 : 1 + what % BATCH);
		} else if (what < 950) {
			change(thread);
		} else if (what < 990) {
			invalidate(thread);
		} else if (what < 998) {
			memory_ops.set_budget(thread->run->layer,
					      thread->run->max_bytes >> next_of(thread, 4));
		} else {
			flush(thread);
		}
	}
	return NULL;
}

static struct run *open_run(enum policy_kind policy, uint64_t max_bytes)
{
	const struct memory_options options = { .policy = policy, .max_bytes = max_bytes };
	struct run *run = calloc(1, sizeof(*run));

	assert_non_null(run);
	run->max_bytes = max_bytes;
	run->counters = &run->counted;
	run->versions = 1;
	run->layer = memory_open(&options, &run->counters);
	assert_non_null(run->layer);
	for (unsigned k = 0; k < KEYS; k++) {
		pthread_mutex_init(&run->writing[k], NULL);
	}
	return run;
}

static void stress(enum policy_kind policy, uint64_t max_bytes)
{
	struct run *run = open_run(policy, max_bytes);
	struct thread *threads = calloc(THREADS, sizeof(*threads));
	pthread_t ids[THREADS];

	assert_non_null(threads);
	for (unsigned i = 0; i < THREADS; i++) {
		threads[i].run = run;
		threads[i].number = i;
		threads[i].random = i + 88172645463325252U;
		assert_int_equal(pthread_create(&ids[i], NULL, work, &threads[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(ids[i], NULL), 0);
	}
	assert_null(memory_model_books(run->layer));
	assert_true(run->n_hits > 1000);
	assert_true(run->counted.evictions > 1000);
	memory_ops.close(&run->layer);
	free(threads);
	free(run);
}

static void test_threads_under_lru__read_whole_values_none_overwritten(void **state)
{
	stress(POLICY_LRU, 8192);
	stress(POLICY_LRU, 70000);
}

static void test_threads_under_fifo__read_whole_values_none_overwritten(void **state)
{
	stress(POLICY_FIFO, 20000);
	stress(POLICY_FIFO, 65536);
}

static void test_threads_under_s3fifo__read_whole_values_none_overwritten(void **state)
{
	stress(POLICY_S3FIFO, 8192);
	stress(POLICY_S3FIFO, 70000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads_under_lru__read_whole_values_none_overwritten),
		cmocka_unit_test(test_threads_under_fifo__read_whole_values_none_overwritten),
		cmocka_unit_test(test_threads_under_s3fifo__read_whole_values_none_overwritten),
	};

	return cmocka_run_group_tests_name("memory_stress", tests, NULL, NULL);
}
