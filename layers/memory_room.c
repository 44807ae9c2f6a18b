/* Room, the budget, and what time asks for. */
#include "base/clock.h"
#include "layers/memory_store.h"

/* What one call moves at most (and POLICY_MOVES_MAX entries): then it evicts. */
#define MOVE_BYTES_MAX (UINT64_C(1) << 20)

/* Where so large a part of a log is dead, the living are moved over it to make room ... */
#define DEAD_PART 8

/* ... and so large a part, also where no room is needed, in such steps. */
#define DEAD_PART_TIDY 2
#define TIDY_ENTRIES 8
#define TIDY_BYTES (UINT64_C(64) << 10)

/* How many entries each change asks whether they have ended, where any may have. */
#define SWEEP_ENTRIES 4

/* A table so many times larger than wanted is exchanged for a smaller one. */
#define INDEX_SPARE 16

/* How many words of a table before are looked at with each change. */
#define MOVE_WORDS 64

/* An entry of such a part of the budget is large. */
#define LARGE_PART 8

/*
 * A table is doubled when three quarters are full: then one key of ten is not in its first
 * line, but what a hit looks at is half as large as in one that is half full, and stays in
 * the processor's cache (`bench/run get-100`: 57.5 and 53.6 ns).
 */
#define INDEX_FULL_QUARTERS 3

/* What may still be moved. */
struct moves {
	unsigned n_entries;
	uint64_t n_bytes;
};

/* Of several logs none does: each may have to grow at the others' cost. */
static bool turns(const struct layer *layer)
{
	return layer->policy.n_queues == 1;
}

/*
 * What all logs together keep of pages that are not in use; not counted in
 * budgets of a few pages.
 */
static uint64_t slack(const struct layer *layer)
{
	uint64_t all = memory_log_slack(&layer->logs[0], turns(layer)) * layer->policy.n_queues;

	return all > layer->max_bytes / MEMORY_SLACK_PART ? 0 : all;
}

/* What counts against the budget. */
static uint64_t charged_bytes(const struct layer *layer)
{
	return memory_held_locked(layer) + slack(layer);
}

/* What the budget has room for yet. */
static uint64_t spare_bytes(const struct layer *layer)
{
	uint64_t charged = charged_bytes(layer);

	return charged < layer->max_bytes ? layer->max_bytes - charged : 0;
}

static bool over_bytes(const struct layer *layer, uint64_t more)
{
	return charged_bytes(layer) + more > layer->max_bytes;
}

static bool over_items(const struct layer *layer, uint64_t more)
{
	return layer->options.max_items && layer->n_items + more > layer->options.max_items;
}

uint64_t memory_size_max(const struct layer *layer)
{
	uint64_t most = layer->max_bytes - layer->max_bytes / MEMORY_INDEX_PART -
			layer->max_bytes / MEMORY_GHOST_PART - slack(layer);

	/* A filler before it may take as much again. */
	return most / 2;
}

/* Whether there is no room for so many bytes at the tail of a log. */
static bool is_full(const struct layer *layer, const struct memory_log *log, uint64_t size)
{
	uint64_t needs = memory_log_needs(log, size);

	return over_bytes(layer, needs) || !memory_log_has_room(log, needs);
}

/*
 * Moves an entry that its log's head has passed to the tail of a queue.  What is
 * written lies in front of it.
 */
static bool move_locked(struct layer *layer, _Atomic uint64_t *at, uint64_t place, uint64_t size,
			const struct policy_value *as, int64_t deadline_ns)
{
	uint64_t word = atomic_load_explicit(at, memory_order_relaxed);
	unsigned from = memory_word_queue(word);
	struct memory_log *log = &layer->logs[as->queue];
	uint64_t to;

	if (is_full(layer, log, size)) {
		return false;
	}
	to = memory_log_put(log, size);
	/* The two may overlap. */
	racy_move(log->ring + (to & log->mask), memory_log_at(&layer->logs[from], place), size);
	atomic_store_explicit(at, memory_word(to, word & MEMORY_WORD_TAG, as->queue, as->uses),
			      memory_order_release);
	layer->n_living[from] -= size;
	layer->n_queued[from]--;
	layer->n_living[as->queue] += size;
	layer->n_queued[as->queue]++;
	memory_expect_end_locked(layer, as->queue, deadline_ns);
	return true;
}

static uint64_t dead_bytes(const struct layer *layer, unsigned queue)
{
	return memory_log_used(&layer->logs[queue]) - layer->n_living[queue];
}

/*
 * Passes the oldest entry of a queue: it is dead, or has ended, or is moved, or
 * evicted.  With `crowded` it is moved as it is, so that the room of the dead
 * is got before anything is evicted.
 */
static void pass_locked(struct layer *layer, unsigned queue, bool crowded, struct moves *moves,
			int64_t now)
{
	struct memory_log *log = &layer->logs[queue];
	uint64_t place = atomic_load_explicit(&log->head, memory_order_relaxed);
	struct memory_head head;
	uint64_t size = memory_log_head(log, place, &head);
	struct policy_value value = { .queue = queue };
	_Atomic uint64_t *at = NULL;
	bool may_move = moves->n_entries && moves->n_bytes >= size;

	if (memory_kind(&head) != MEMORY_FILLER) {
		value.hash = memory_entry_hash(&head, memory_log_at(log, place));
		at = memory_word_at(layer, value.hash, queue, place);
	}
	memory_log_pass(log, size);
	/* The next that is asked for. */
	__builtin_prefetch(memory_log_at(log, place + size));
	if (at == NULL) {
		return;
	}
	value.uses = memory_word_uses(atomic_load_explicit(at, memory_order_relaxed));
	if (memory_deadline(&head) <= now) {
		policy_lost(&layer->policy, &value, layer->n_items);
		memory_unlink_locked(layer, at, size);
		counter_add(&(*layer->counters)->expired, 1);
		return;
	}
	if ((crowded && may_move) ||
	    (policy_stays(&layer->policy, &value, layer->n_items) && may_move)) {
		moves->n_entries--;
		moves->n_bytes -= size;
		if (move_locked(layer, at, place, size, &value, memory_deadline(&head))) {
			return;
		}
	}
	memory_evict_locked(layer, at, size, value.hash, &head);
}

/* Which queue must give, as the policy wants it; one whose log is empty never. */
static unsigned victim_locked(const struct layer *layer)
{
	bool by_items = over_items(layer, 1);
	struct policy_load load = { .limit = layer->options.max_items, .per_item = 1 };
	uint64_t used = 0;
	unsigned victim;

	for (unsigned queue = 0; queue < layer->policy.n_queues; queue++) {
		uint64_t bytes = memory_log_used(&layer->logs[queue]);

		used += bytes;
		load.held[queue] = by_items ? layer->n_queued[queue] : bytes;
	}
	if (!by_items) {
		load.limit = layer->max_bytes - (memory_held_locked(layer) - used);
		load.per_item = layer->n_items ? used / layer->n_items : 0;
	}
	victim = policy_victim(&layer->policy, &load);
	return memory_log_used(&layer->logs[victim]) ? victim : !victim;
}

static bool is_empty(const struct layer *layer)
{
	return memory_log_used(&layer->logs[0]) == 0 && memory_log_used(&layer->logs[1]) == 0;
}

static void release_locked(struct layer *layer)
{
	uint64_t spare = turns(layer) ? spare_bytes(layer) : 0;

	for (unsigned queue = 0; queue < layer->policy.n_queues; queue++) {
		memory_log_release(&layer->logs[queue], spare);
	}
}

/* Of what goes so that there is room, the dead do first: by moving the living. */
static void evict_one_locked(struct layer *layer, struct moves *moves, int64_t now)
{
	unsigned victim = victim_locked(layer);
	const struct memory_log *log = &layer->logs[victim];
	bool crowded = !over_items(layer, 1) &&
		       dead_bytes(layer, victim) * DEAD_PART > memory_log_used(log);

	pass_locked(layer, victim, crowded, moves, now);
}

/*
 * Where it may become the ring that has no room, while the budget has, the head is brought around
 * in time; that moves MEMORY_GROW_PART times as much as is put.
 */
static void come_around_locked(struct layer *layer, unsigned queue, uint64_t size, int64_t now)
{
	struct memory_log *log = &layer->logs[queue];
	uint64_t needs = memory_log_needs(log, size);

	while (memory_log_must_hurry(log, needs) && !over_bytes(layer, needs)) {
		struct moves one = { 1, UINT64_MAX };

		pass_locked(layer, queue, true, &one, now);
		needs = memory_log_needs(log, size);
	}
}

void memory_make_room_locked(struct layer *layer, unsigned queue, uint64_t size, int64_t now)
{
	struct moves moves = { POLICY_MOVES_MAX, size > MOVE_BYTES_MAX ? size : MOVE_BYTES_MAX };
	struct memory_log *log = &layer->logs[queue];
	bool any = false;

	come_around_locked(layer, queue, size, now);
	while ((over_items(layer, 1) || is_full(layer, log, size)) && !is_empty(layer)) {
		evict_one_locked(layer, &moves, now);
		any = true;
	}
	if (any) {
		release_locked(layer);
	}
	if (turns(layer)) {
		memory_log_turn(log, size, spare_bytes(layer));
	}
}

/*
 * Looks at so many words of the table before and moves those that are taken; the
 * ones that find no way go.
 */
static void move_words_locked(struct layer *layer, size_t n_looks)
{
	_Atomic uint64_t *at;

	while ((at = memory_index_next_moved(&layer->index, &n_looks)) != NULL) {
		uint64_t word = atomic_load_explicit(at, memory_order_relaxed);
		const struct memory_log *log = &layer->logs[memory_word_queue(word)];
		uint64_t place =
			memory_log_place(memory_word_place(word),
					 atomic_load_explicit(&log->head, memory_order_relaxed));
		struct memory_head head;
		uint64_t size = memory_log_head(log, place, &head);
		uint64_t hash = memory_entry_hash(&head, memory_log_at(log, place));
		_Atomic uint64_t *to = memory_free_way_locked(layer, hash);

		if (to) {
			atomic_store_explicit(to, word, memory_order_release);
			atomic_store_explicit(at, 0, memory_order_release);
		} else {
			memory_evict_locked(layer, at, size, hash, &head);
		}
	}
}

/* The most words for which there is room in a budget. */
static size_t words_max(uint64_t max_bytes)
{
	size_t n = MEMORY_INDEX_WORDS_MIN;

	while (n * 2 * sizeof(uint64_t) <= max_bytes / MEMORY_INDEX_PART) {
		n *= 2;
	}
	return n;
}

bool memory_grow_index_locked(struct layer *layer)
{
	size_t n_words = memory_index_words(&layer->index);

	if (layer->n_items * 2 < n_words || n_words * 2 > words_max(layer->max_bytes)) {
		return false;
	}
	move_words_locked(layer, SIZE_MAX);
	return memory_index_exchange(&layer->index, n_words * 2);
}

void memory_fit_index_locked(struct layer *layer, uint64_t size)
{
	size_t n_words = memory_index_words(&layer->index);
	size_t n_fewer = n_words / 4;

	/* Two tables and a large entry might be more than the budget. */
	move_words_locked(layer, size > layer->max_bytes / LARGE_PART ? SIZE_MAX : MOVE_WORDS);
	if (memory_index_before(&layer->index)) {
		return;
	}
	if ((layer->n_items + 1) * 4 > n_words * INDEX_FULL_QUARTERS) {
		memory_grow_index_locked(layer);
	} else if (n_words > MEMORY_INDEX_WORDS_MIN && layer->n_items * INDEX_SPARE < n_words) {
		memory_index_exchange(&layer->index, n_fewer > MEMORY_INDEX_WORDS_MIN
							     ? n_fewer
							     : MEMORY_INDEX_WORDS_MIN);
	}
}

void memory_sweep_anew_locked(struct layer *layer)
{
	for (unsigned queue = 0; queue < POLICY_QUEUES; queue++) {
		layer->sweeps[queue] = (struct memory_sweep){
			.soonest_ns = CLOCK_NEVER,
			.next_ns = CLOCK_NEVER,
		};
	}
}

/* The entry at a place, if it is one, has ended. */
static void expire_locked(struct layer *layer, unsigned queue, uint64_t place,
			  const struct memory_head *head)
{
	struct memory_found found = { .log = &layer->logs[queue], .place = place, .head = *head };

	found.at = memory_word_at(layer, memory_entry_hash(head, memory_log_at(found.log, place)),
				  queue, place);
	if (found.at) {
		found.word = atomic_load_explicit(found.at, memory_order_relaxed);
		memory_drop_locked(layer, &found);
		counter_add(&(*layer->counters)->expired, 1);
	}
}

/*
 * Asks the next entries of a queue whether they have ended, if any may have.  What is the
 * oldest, too, gives its room back at once.
 */
static void sweep_locked(struct layer *layer, unsigned queue, int64_t now)
{
	const struct memory_log *log = &layer->logs[queue];
	uint64_t oldest = atomic_load_explicit(&log->head, memory_order_relaxed);
	struct memory_sweep *sweep = &layer->sweeps[queue];

	if (now < sweep->soonest_ns) {
		return;
	}
	sweep->place = sweep->place < oldest ? oldest : sweep->place;
	for (unsigned i = 0; i < SWEEP_ENTRIES && sweep->place < log->tail; i++) {
		struct memory_head head;
		uint64_t size = memory_log_head(log, sweep->place, &head);
		bool is_filler = memory_kind(&head) == MEMORY_FILLER;
		int64_t deadline = is_filler ? CLOCK_NEVER : memory_deadline(&head);

		if (sweep->place == oldest && (is_filler || deadline <= now)) {
			struct moves none = { 0, 0 };

			pass_locked(layer, queue, false, &none, now);
			oldest += size;
		} else if (deadline <= now) {
			expire_locked(layer, queue, sweep->place, &head);
		} else if (deadline < sweep->next_ns) {
			sweep->next_ns = deadline;
		}
		sweep->place += size;
	}
	if (sweep->place >= log->tail) {
		*sweep = (struct memory_sweep){ oldest, sweep->next_ns, CLOCK_NEVER };
	}
	/* For the next sweep. */
	__builtin_prefetch(memory_log_at(log, sweep->place));
}

/* Room of the dead goes back where they are many, though nobody asks for it. */
static void compact_locked(struct layer *layer, unsigned queue, int64_t now)
{
	struct memory_log *log = &layer->logs[queue];
	uint64_t end = log->tail + TIDY_BYTES;

	if (layer->n_queued[queue] == 0 && memory_log_used(log)) {
		memory_log_pass_all(log);
	}
	for (unsigned i = 0; i < TIDY_ENTRIES && log->tail < end &&
			     dead_bytes(layer, queue) * DEAD_PART_TIDY > memory_log_used(log);
	     i++) {
		struct moves one = { 1, UINT64_MAX };

		pass_locked(layer, queue, true, &one, now);
	}
}

static void evict_down_locked(struct layer *layer, int64_t now)
{
	while (over_bytes(layer, 0) && !is_empty(layer)) {
		struct moves moves = { 1, UINT64_MAX };

		evict_one_locked(layer, &moves, now);
	}
}

void memory_tidy_locked(struct layer *layer, int64_t now)
{
	for (unsigned queue = 0; queue < layer->policy.n_queues; queue++) {
		sweep_locked(layer, queue, now);
		compact_locked(layer, queue, now);
	}
	/* The policy may have come to remember more. */
	evict_down_locked(layer, now);
	release_locked(layer);
	memory_gauges_locked(layer);
}

void memory_set_budget_locked(struct layer *layer, uint64_t max_bytes, int64_t now)
{
	size_t n_words = memory_index_words(&layer->index);
	size_t n_words_max = words_max(max_bytes);

	move_words_locked(layer, SIZE_MAX);
	policy_limit(&layer->policy, max_bytes / MEMORY_GHOST_PART);
	for (unsigned queue = 0; queue < layer->policy.n_queues; queue++) {
		memory_log_limit(&layer->logs[queue], max_bytes);
	}
	layer->max_bytes = max_bytes;
	if (n_words > n_words_max) {
		/* As if the table were smaller already; else too much would go. */
		layer->max_bytes += (n_words - n_words_max) * sizeof(uint64_t);
		evict_down_locked(layer, now);
		release_locked(layer);
		memory_index_exchange(&layer->index, n_words_max);
		move_words_locked(layer, SIZE_MAX);
		layer->max_bytes = max_bytes;
	}
	evict_down_locked(layer, now);
	release_locked(layer);
	memory_gauges_locked(layer);
}
