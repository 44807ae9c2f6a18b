#include "memory_model.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "layers/memory_store.h"

#define KEYS 1200
#define VALUE_MAX 70000
#define START_NS (1000 * CLOCK_NS_PER_S)
/* What memcached's clock may be early, and ours late (layers/memory_store.c). */
#define EARLY_NS (CLOCK_NS_PER_S + CLOCK_COARSE_LAG_NS)
#define BATCH 24

#define UNLESS(condition, what)                                                                    \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			return (what);                                                             \
		}                                                                                  \
	} while (0)

struct expected {
	bool on;
	bool has_cas;
	uint32_t version;
	size_t n_value;
	uint64_t slot;
	int64_t ends_from; /* before: there, if there is room for everything */
	int64_t ends_at;   /* from then on: not there */
};

struct model {
	const uint8_t *bytes;
	size_t n;
	struct memory_options options;
	uint64_t budget;
	bool ample; /* nothing need go for want of room */
	int64_t now;
	uint32_t version;
	struct layer *layer;
	struct layer_counters counted;
	struct layer_counters *counters;
	struct expected expected[KEYS];
	uint64_t slots[KEYS]; /* as they are now */
	char keys[KEYS][LAYER_KEY_MAX];
	size_t key_sizes[KEYS];
	char value[VALUE_MAX + 1];
	struct memory_model_seen seen;
};

static unsigned next(struct model *model)
{
	if (model->n == 0) {
		return 0;
	}
	model->n--;
	return *model->bytes++;
}

static unsigned next_of(struct model *model, unsigned n)
{
	return next(model) % n;
}

/* Half of the time one of a few. */
static unsigned next_key(struct model *model)
{
	unsigned low = next(model);
	unsigned high = next(model);

	return (high % 2 ? low % 32 : low + high * 256) % KEYS;
}

/* --- what is asked and stored --- */

static void make_keys(struct model *model)
{
	for (unsigned k = 0; k < KEYS; k++) {
		/* Pairs of the same bytes at different places. */
		unsigned text = k / 2;
		size_t n = 2 + (size_t)text * 7 % (LAYER_KEY_MAX - 1);

		memset(model->keys[k], 'a' + (int)(text % 26), n);
		model->keys[k][0] = (char)(text % 256);
		model->keys[k][1] = (char)(text / 256);
		model->key_sizes[k] = n;
		model->slots[k] = k;
	}
}

static struct layer_key key_of(const struct model *model, unsigned k)
{
	return (struct layer_key){
		.wire = model->keys[k],
		.n_wire = model->key_sizes[k],
		.hash = hash_bytes(model->keys[k], model->key_sizes[k]),
		.place = k % 2,
		.server = "server:1",
	};
}

static uint64_t value_word(unsigned k, uint32_t version, size_t i)
{
	return ((uint64_t)k << 32 | version) * UINT64_C(0x9e3779b97f4a7c15) + i;
}

static void make_value(char *value, unsigned k, uint32_t version, size_t n)
{
	for (size_t i = 0; i < n; i += sizeof(uint64_t)) {
		uint64_t word = value_word(k, version, i);

		memcpy(value + i, &word, n - i < sizeof(word) ? n - i : sizeof(word));
	}
}

static bool is_value(const char *value, unsigned k, uint32_t version, size_t n)
{
	for (size_t i = 0; i < n; i += sizeof(uint64_t)) {
		uint64_t word = value_word(k, version, i);

		if (memcmp(value + i, &word, n - i < sizeof(word) ? n - i : sizeof(word)) != 0) {
			return false;
		}
	}
	return value == NULL || value[n] == '\0';
}

static size_t next_size(struct model *model)
{
	switch (next_of(model, 8)) {
	case 0:
		return 0;
	case 1:
		return next(model) * 16;
	case 2:
		return (size_t)next(model) * (VALUE_MAX / 256);
	default:
		return next(model);
	}
}

static int64_t next_deadline(struct model *model)
{
	unsigned choice = next(model);

	return choice % 4 ? CLOCK_NEVER : model->now + choice * (CLOCK_NS_PER_S / 8);
}

static int64_t ends(const struct model *model, int64_t deadline_ns, unsigned jitter)
{
	int64_t end = deadline_ns == CLOCK_NEVER ? CLOCK_NEVER : deadline_ns - EARLY_NS;
	int64_t ttl = model->options.ttl_ns / 100 * (100 - jitter);

	/* Deadlines are kept a little rounded down. */
	return model->options.ttl_ns && ttl < end - model->now ? model->now + ttl : end;
}

/* The layer was offered version model->version of the key. */
static void expect(struct model *model, unsigned k, size_t n_value, int64_t deadline_ns,
		   bool has_cas)
{
	struct expected *expected = &model->expected[k];

	expected->version = model->version;
	expected->n_value = n_value;
	expected->has_cas = has_cas;
	expected->slot = model->slots[k];
	expected->ends_at = ends(model, deadline_ns, 0);
	expected->ends_from =
		ends(model, deadline_ns, model->options.ttl_jitter) - MEMORY_DEADLINE_STEP;
	expected->on = expected->ends_at > model->now &&
		       (model->options.max_item_bytes == 0 ||
			model->key_sizes[k] + n_value <= model->options.max_item_bytes);
}

/* --- operations --- */

static void *take_malloc(void *owner, size_t n)
{
	return malloc(n);
}

static void give_free(void *owner, void *bytes)
{
	free(bytes);
}

static const char *judge(struct model *model, unsigned k, const struct layer_item *item,
			 bool want_cas, bool probe)
{
	const struct expected *expected = &model->expected[k];

	if (item->answer != LAYER_HIT) {
		UNLESS(item->answer == LAYER_MISS, "neither hit nor miss");
		model->seen.n_misses++;
		UNLESS(!model->ample || !expected->on || expected->slot != item->slot ||
			       expected->ends_from <= model->now ||
			       (want_cas && !expected->has_cas),
		       "a miss, though there is room for everything");
		return NULL;
	}
	model->seen.n_hits++;
	UNLESS(expected->on, "a hit of a key that is not there");
	UNLESS(expected->slot == item->slot, "a hit under another slot");
	UNLESS(expected->ends_at > model->now, "a hit after its end");
	UNLESS(!want_cas || expected->has_cas, "a hit without CAS id");
	if (probe) {
		return NULL;
	}
	UNLESS(item->n_value == expected->n_value, "a value of another size");
	UNLESS(is_value(item->value, k, expected->version, item->n_value), "another value");
	UNLESS(item->flags == expected->version, "other flags");
	UNLESS(item->has_cas == expected->has_cas, "with CAS id or without");
	UNLESS(!item->has_cas || item->cas == expected->version, "another CAS id");
	return NULL;
}

static const char *get(struct model *model, unsigned n)
{
	struct layer_item items[BATCH] = { 0 };
	unsigned keys[BATCH];
	unsigned how = next(model);
	struct layer_batch batch = {
		.items = items,
		.n_items = n,
		.want_cas = how % 16 == 0,
		.probe = how % 16 == 1,
		.allocator = { take_malloc, give_free, NULL },
	};
	const char *why = NULL;
	size_t n_hits = 0;

	for (unsigned i = 0; i < n; i++) {
		keys[i] = next_key(model);
		items[i].key = key_of(model, keys[i]);
		items[i].slot = model->slots[keys[i]];
	}
	if (how % 4 == 2 && n == 1) {
		items[0].answer = memory_ops.peek(model->layer, &items[0].key, batch.want_cas,
						  &batch.allocator, &items[0]);
		batch.n_hits = items[0].answer == LAYER_HIT;
	}
	if (items[0].answer == LAYER_UNASKED) {
		memory_ops.get(model->layer, &batch);
	}
	for (unsigned i = 0; i < n; i++) {
		const char *bad = judge(model, keys[i], &items[i], batch.want_cas, batch.probe);

		n_hits += items[i].answer == LAYER_HIT;
		free(items[i].value);
		why = why ? why : bad;
	}
	UNLESS(why || n_hits == batch.n_hits, "hits are miscounted");
	return why;
}

/* Several at once, of one value's bytes at a time: the layer copies. */
static void fill(struct model *model, unsigned n)
{
	struct layer_item items[BATCH] = { 0 };
	char *values[BATCH] = { NULL };
	struct layer_batch batch = { .items = items, .n_items = n };

	for (unsigned i = 0; i < n; i++) {
		unsigned k = next_key(model);
		size_t n_value = next_size(model);
		unsigned how = next(model);

		model->version++;
		values[i] = malloc(n_value + 1);
		if (values[i] == NULL) {
			batch.n_items = i;
			break;
		}
		make_value(values[i], k, model->version, n_value);
		items[i] = (struct layer_item){
			.key = key_of(model, k),
			.slot = how % 32 == 0 ? LAYER_SLOT_BUSY : model->slots[k],
			.answer = how % 32 == 1 ? LAYER_MISS : LAYER_HIT,
			.layer = how % 32 == 2 ? 0 : 1,
			.value = n_value ? values[i] : NULL,
			.n_value = n_value,
			.flags = model->version,
			.cas = model->version,
			.has_cas = how % 2,
			.deadline_ns = next_deadline(model),
		};
		if (how % 32 > 2) {
			expect(model, k, n_value, items[i].deadline_ns, items[i].has_cas);
		}
	}
	memory_ops.fill(model->layer, &batch, 0);
	for (unsigned i = 0; i < n; i++) {
		free(values[i]);
	}
}

static void write_one(struct model *model)
{
	unsigned k = next_key(model);
	size_t n_value = next_size(model);
	struct layer_write write = {
		.verb = (enum layer_verb)next_of(model, LAYER_TOUCH + 1),
		.key = key_of(model, k),
		.value = model->value,
		.n_value = n_value,
		.flags = ++model->version,
		.deadline_ns = next_deadline(model),
		.outcome = (enum layer_outcome)next_of(model, LAYER_UNSENT + 1),
	};
	bool stores = write.verb == LAYER_SET || write.verb == LAYER_ADD ||
		      write.verb == LAYER_REPLACE || write.verb == LAYER_CAS;

	make_value(model->value, k, model->version, n_value);
	if (write.outcome != LAYER_UNSENT) {
		model->slots[k] += KEYS;
		model->expected[k].on = false;
	}
	write.slot = next_of(model, 8) ? model->slots[k] : LAYER_SLOT_BUSY;
	memory_ops.written(model->layer, &write);
	if (write.outcome == LAYER_DONE && stores && write.slot != LAYER_SLOT_BUSY) {
		expect(model, k, n_value, write.deadline_ns, false);
	}
}

static void set_budget(struct model *model)
{
	model->budget = model->options.max_bytes >> next_of(model, 8);
	memory_ops.set_budget(model->layer, model->budget);
	model->budget = model->budget > MEMORY_BYTES_MIN ? model->budget : MEMORY_BYTES_MIN;
	model->ample = false;
}

static const char *step(struct model *model)
{
	unsigned what = next_of(model, 64);

	if (what < 28) {
		return get(model, 1);
	}
	if (what < 32) {
		return get(model, 1 + next_of(model, BATCH));
	}
	if (what < 48) {
		fill(model, 1);
	} else if (what < 52) {
		fill(model, 1 + next_of(model, BATCH));
	} else if (what < 58) {
		write_one(model);
	} else if (what < 60) {
		/* Another process has written. */
		model->slots[next_key(model)] += KEYS;
	} else if (what < 62) {
		model->now += next(model) * (CLOCK_NS_PER_S / 64);
		clock_fake(model->now, 1700000000);
	} else if (what == 62) {
		set_budget(model);
	} else if (next_of(model, 8) == 0) {
		memory_ops.flush(model->layer);
		for (unsigned k = 0; k < KEYS; k++) {
			model->expected[k].on = false;
		}
	}
	return NULL;
}

/* --- the layer's own books --- */

static const char *log_books(struct layer *layer, unsigned queue, uint64_t *n_entries)
{
	const struct memory_log *log = &layer->logs[queue];
	uint64_t place = atomic_load(&log->head);
	uint64_t used = 0;
	uint64_t n_living = 0;
	uint64_t n_queued = 0;

	UNLESS(log->tail - place <= log->mask + 1, "a log is overfull");
	while (place < log->tail) {
		struct memory_head head;
		uint64_t size = memory_log_head(log, place, &head);

		UNLESS(size > 0, "an entry without size");
		if (memory_kind(&head) != MEMORY_FILLER &&
		    memory_word_at(layer, memory_entry_hash(&head, memory_log_at(log, place)),
				   queue, place)) {
			n_living += size;
			n_queued++;
		}
		used += place == log->hole ? 0 : size;
		place += size;
	}
	UNLESS(place == log->tail, "entries do not end where the log ends");
	UNLESS(used == memory_log_used(log), "bytes in use are miscounted");
	UNLESS(n_living == layer->n_living[queue], "living bytes are miscounted");
	UNLESS(n_queued == layer->n_queued[queue], "a queue's items are miscounted");
	*n_entries += n_queued;
	return NULL;
}

const char *memory_model_books(struct layer *layer)
{
	const struct memory_table *table = atomic_load(&layer->index.now);
	uint64_t n_entries = 0;
	const struct memory_table *before = memory_index_before(&layer->index);
	uint64_t n_words = 0;

	for (unsigned queue = 0; queue < layer->policy.n_queues; queue++) {
		const char *why = log_books(layer, queue, &n_entries);

		UNLESS(why == NULL, why);
	}
	for (size_t i = 0; i < memory_index_words(&layer->index); i++) {
		n_words += atomic_load(&table->words[i]) != 0;
	}
	for (size_t i = 0; before && i < before->n_lines * MEMORY_INDEX_LINE; i++) {
		n_words += atomic_load(&before->words[i]) != 0;
	}
	UNLESS(n_entries == layer->n_items, "items are miscounted");
	UNLESS(n_words == n_entries, "words lead nowhere");
	return NULL;
}

static const char *limits(struct model *model)
{
	UNLESS(memory_held_locked(model->layer) <= model->budget, "over the budget");
	UNLESS(atomic_load(&model->counted.bytes) <= model->budget, "over the budget by the gauge");
	UNLESS(atomic_load(&model->counted.items) == model->layer->n_items, "the gauge is wrong");
	UNLESS(model->options.max_items == 0 || model->layer->n_items <= model->options.max_items,
	       "too many items");
	return NULL;
}

static bool open_model(struct model *model)
{
	static const uint64_t budgets[] = { 4096,  8192,    20000,	 65536,
					    70000, 1 << 20, 1500 * 1000, 64 << 20 };
	unsigned budget = next_of(model, 8);

	model->options = (struct memory_options){
		.policy = (enum policy_kind)next_of(model, 3),
		.max_bytes = budgets[budget],
		.max_items = next_of(model, 4) ? 0 : 1 + next(model),
		.max_item_bytes = next_of(model, 4) ? 0 : 1000,
		.ttl_ns = next_of(model, 2) ? 0 : (int64_t)next(model) * CLOCK_NS_PER_S / 16,
		.ttl_jitter = next_of(model, 101),
	};
	model->budget = model->options.max_bytes;
	model->ample = model->budget >= 64 << 20 && model->options.max_items == 0;
	model->counters = &model->counted;
	model->now = START_NS;
	clock_fake(model->now, 1700000000);
	make_keys(model);
	model->layer = memory_open(&model->options, &model->counters);
	return model->layer != NULL;
}

const char *memory_model_run(const uint8_t *bytes, size_t n, struct memory_model_seen *seen)
{
	struct model *model = calloc(1, sizeof(*model));
	const char *why = NULL;

	if (model == NULL) {
		return "out of memory";
	}
	model->bytes = bytes;
	model->n = n;
	if (!open_model(model)) {
		why = "the layer does not open";
	}
	while (why == NULL && model->n) {
		uint64_t hole = model->layer->logs[0].hole;

		why = step(model);
		why = why ? why : limits(model);
		model->seen.n_moving += memory_index_before(&model->layer->index) != NULL;
		model->seen.n_turned += model->layer->logs[0].hole != hole;
		if (why == NULL && (model->n == 0 || ++model->seen.n_operations % 64 == 0)) {
			why = memory_model_books(model->layer);
		}
	}
	seen->n_operations += model->seen.n_operations;
	seen->n_hits += model->seen.n_hits;
	seen->n_misses += model->seen.n_misses;
	seen->n_moving += model->seen.n_moving;
	seen->n_turned += model->seen.n_turned;
	seen->n_evictions += atomic_load(&model->counted.evictions);
	seen->n_expired += atomic_load(&model->counted.expired);
	memory_ops.close(&model->layer);
	clock_fake(0, 0);
	free(model);
	return why;
}
