/*
 * Does the memory layer keep to its budget by the kernel's accounting, give memory
 * back, and share it with children?
 */
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "layers/memory_store.h"

#define START_NS (1000 * CLOCK_NS_PER_S)
#define VALUE_MAX (200 << 10)

/* Sanitizers keep books of their own in memory: there only our own mappings are counted. */
#if defined(RACY_SANITIZED) || defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static struct layer_counters counted;
static struct layer_counters *counters = &counted;
static char bytes[VALUE_MAX];

static uint64_t random_state;

static uint64_t next_random(void)
{
	/* xorshift64* (Vigna 2016) */
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (random_state * UINT64_C(0x2545f4914f6cdd1d)) >> 20;
}

/* --- what the kernel says --- */

enum page { PAGE_PRESENT = 63, PAGE_EXCLUSIVE = 56 }; /* bits of /proc/PID/pagemap */

static uint64_t pages_of(const void *start, size_t n_bytes, enum page kind)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	static uint64_t words[4096];
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t first = (uintptr_t)start / page;
	uint64_t n_left = (n_bytes + page - 1) / page;
	uint64_t found = 0;

	assert_true(fd >= 0);
	while (n_left) {
		uint64_t n = n_left < 4096 ? n_left : 4096;

		assert_int_equal(pread(fd, words, n * 8, (off_t)(first * 8)), (ssize_t)(n * 8));
		for (uint64_t i = 0; i < n; i++) {
			found += words[i] >> kind & 1;
		}
		first += n;
		n_left -= n;
	}
	close(fd);
	return found * page;
}

/* Bytes of the layer's own mappings that are of this kind. */
static uint64_t own_bytes(const struct layer *layer, enum page kind)
{
	uint64_t found = 0;

	for (unsigned queue = 0; queue < layer->policy.n_queues; queue++) {
		found += pages_of(layer->logs[queue].ring, layer->logs[queue].mask + 1, kind);
	}
	for (unsigned i = 0; i < MEMORY_INDEX_TABLES; i++) {
		const struct memory_table *table = &layer->index.tables[i];

		if (table->words) {
			found += pages_of((const void *)table->words,
					  table->n_lines * MEMORY_INDEX_LINE * sizeof(uint64_t),
					  kind);
		}
	}
	if (layer->policy.ghost.words) {
		found += pages_of(layer->policy.ghost.words, policy_bytes(&layer->policy), kind);
	}
	return found;
}

/* A line of /proc/self/smaps, added up over all mappings, in bytes. */
static uint64_t smaps(const char *line)
{
	FILE *file = fopen("/proc/self/smaps", "re");
	char text[512];
	uint64_t sum = 0;

	assert_non_null(file);
	while (fgets(text, sizeof(text), file)) {
		if (strncmp(text, line, strlen(line)) == 0) {
			sum += strtoull(text + strlen(line), NULL, 10) << 10;
		}
	}
	fclose(file);
	return sum;
}

/* --- what is stored --- */

static struct layer *open_with(enum policy_kind policy, uint64_t max_bytes, int64_t ttl_ns)
{
	const struct memory_options options = { .policy = policy,
						.max_bytes = max_bytes,
						.ttl_ns = ttl_ns };
	struct layer *layer;

	memset(&counted, 0, sizeof(counted));
	memset(bytes, 'v', sizeof(bytes));
	random_state = 88172645463325252U;
	clock_fake(START_NS, 1700000000);
	layer = memory_open(&options, &counters);
	assert_non_null(layer);
	return layer;
}

static void done(struct layer *layer)
{
	memory_ops.close(&layer);
	clock_fake(0, 0);
}

static bool ask(struct layer *layer, unsigned k)
{
	char key[16];
	struct layer_item item = { .key = { .wire = key, .place = 1 } };
	struct layer_batch batch = { .items = &item, .n_items = 1, .probe = true };

	item.key.n_wire = (size_t)snprintf(key, sizeof(key), "key:%07u", k);
	item.key.hash = hash_bytes(key, item.key.n_wire);
	memory_ops.get(layer, &batch);
	return item.answer == LAYER_HIT;
}

static void fill(struct layer *layer, unsigned k, size_t n_value)
{
	char key[16];
	struct layer_item item = {
		.key = { .wire = key, .place = 1 },
		.answer = LAYER_HIT,
		.layer = 1,
		.value = bytes,
		.n_value = n_value,
		.deadline_ns = CLOCK_NEVER,
	};
	const struct layer_batch batch = { .items = &item, .n_items = 1 };

	item.key.n_wire = (size_t)snprintf(key, sizeof(key), "key:%07u", k);
	item.key.hash = hash_bytes(key, item.key.n_wire);
	memory_ops.fill(layer, &batch, 0);
}

/* 50 bytes to 200 KiB, most of them small. */
static size_t mixed_size(void)
{
	switch (next_random() % 10) {
	case 0:
		return 50 + next_random() % (VALUE_MAX - 50);
	case 1:
	case 2:
	case 3:
		return 1000 + next_random() % 20000;
	default:
		return 50 + next_random() % 500;
	}
}

/* --- the budget --- */

static void turn_over(enum policy_kind policy, uint64_t budget)
{
	uint64_t before = smaps("Rss:");
	struct layer *layer = open_with(policy, budget, 0);
	uint64_t most = budget + budget / 20;
	uint64_t n_put = 0;
	uint64_t n_checked = 0;
	uint64_t worst = 0;

	while (n_put < 10 * budget) {
		size_t n = mixed_size();

		fill(layer, (unsigned)(next_random() % 100000), n);
		ask(layer, (unsigned)(next_random() % 1000));
		n_put += n;
		if (n_put / (budget / 8) > n_checked) {
			uint64_t now = own_bytes(layer, PAGE_PRESENT);

			worst = now > worst ? now : worst;
			n_checked = n_put / (budget / 8);
			assert_true(counted.bytes <= budget);
			assert_true(now <= most);
			assert_true(SANITIZED || smaps("Rss:") <= before + most);
		}
	}
	assert_true(n_checked >= 80);
	assert_true(counted.bytes > budget - budget / 4);
	print_message("policy %u, budget %" PRIu64 ": %" PRIu64 " bytes at most\n", policy, budget,
		      worst);
	done(layer);
}

static void test_ten_turnovers_of_mixed_sizes__stay_within_the_budget(void **state)
{
	for (enum policy_kind policy = POLICY_LRU; policy <= POLICY_S3FIFO; policy++) {
		turn_over(policy, 16 << 20);
		turn_over(policy, 5000 * 1000);
	}
	if (!SANITIZED) {
		/* In huge pages, where the kernel gives them. */
		turn_over(POLICY_S3FIFO, 256 << 20);
	}
}

static long page_faults(void)
{
	struct rusage usage;

	assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
	return usage.ru_minflt;
}

/* Else every few fills ask the system for a page and give one back. */
static void test_full_memory__stays_in_the_pages_it_has(void **state)
{
	for (enum policy_kind policy = POLICY_LRU; policy <= POLICY_FIFO; policy++) {
		/* Most of the ring's address space is beyond the budget. */
		struct layer *layer = open_with(policy, 9 << 20, 0);
		unsigned n_round = (9 << 20) / 200;
		unsigned k = 0;
		long before;

		while (k < 4 * n_round) {
			fill(layer, k, 100 + k % 100);
			k++;
		}
		before = page_faults();
		while (k < 8 * n_round) {
			fill(layer, k, 100 + k % 100);
			k++;
		}
		/* Of 9 MiB, four times. */
		assert_true(SANITIZED || page_faults() - before < 200);
		done(layer);
	}
}

enum { KEYS = 8000, SMALL = 300 };

/* Overwrites until the ring begins anew: now its head is farthest from coming around. */
static void overwrite_until_it_turns(struct layer *layer)
{
	uint64_t hole = layer->logs[0].hole;

	for (unsigned i = 0; layer->logs[0].hole == hole; i++) {
		assert_true(i < 20 * KEYS);
		fill(layer, (unsigned)(next_random() % KEYS), SMALL);
	}
}

/* Nor do writes to the same keys again and again, in a memory that has room. */
static void test_memory_with_room__stays_in_the_pages_it_has(void **state)
{
	for (enum policy_kind policy = POLICY_LRU; policy <= POLICY_FIFO; policy++) {
		struct layer *layer = open_with(policy, 64 << 20, 0);
		uint64_t resident;
		long before;

		for (unsigned k = 0; k < 10 * KEYS; k++) {
			fill(layer, k % KEYS, SMALL);
		}
		resident = own_bytes(layer, PAGE_PRESENT);
		before = page_faults();
		for (unsigned k = 0; k < 20 * KEYS; k++) {
			fill(layer, (unsigned)(next_random() % KEYS), SMALL);
		}
		/* Of about 6 MB, ten times. */
		assert_true(SANITIZED || page_faults() - before < 2500);
		assert_true(own_bytes(layer, PAGE_PRESENT) < 2 * resident);
		done(layer);
	}
}

static void grow(enum policy_kind policy, unsigned n_new, size_t n_value)
{
	struct layer *layer = open_with(policy, 64 << 20, 0);
	unsigned n = KEYS;

	for (unsigned k = 0; k < KEYS; k++) {
		fill(layer, k, SMALL);
	}
	for (unsigned round = 0; round < 3; round++) {
		overwrite_until_it_turns(layer);
		for (unsigned i = 0; i < n_new; i++) {
			uint64_t tail = layer->logs[0].tail;
			uint64_t hole = layer->logs[0].hole;

			fill(layer, n++, n_value);
			/* None of them does the work of many; eight may be moved over dead ones. */
			assert_true(layer->logs[0].tail - tail <
					    6 * (n_value + 100) + (size_t)8 * (SMALL + 100) ||
				    layer->logs[0].hole != hole);
		}
	}
	assert_int_equal(counted.evictions, 0);
	assert_int_equal(counted.items, n);
	for (unsigned k = 0; k < n; k++) {
		assert_true(ask(layer, k));
	}
	done(layer);
}

/* The ring began anew before its end: its tail must not meet its head while there is room. */
static void test_memory_with_room__grows_without_loss(void **state)
{
	for (enum policy_kind policy = POLICY_LRU; policy <= POLICY_FIFO; policy++) {
		grow(policy, 2 * KEYS, SMALL);
		grow(policy, 50, sizeof(bytes));
	}
}

/* Where the ring began anew, it has less room than the budget until its oldest have gone. */
static void test_larger_budget_than_the_ring_began_anew_for__is_used_after_a_round(void **state)
{
	struct layer *layer = open_with(POLICY_LRU, 16 << 20, 0);
	uint64_t items;
	unsigned k = 0;

	memory_ops.set_budget(layer, 2 << 20);
	while (k < 50000) {
		fill(layer, k++, 100);
	}
	items = counted.items;
	memory_ops.set_budget(layer, 16 << 20);
	while (k < 50000 + 2 * items) {
		fill(layer, k++, 100);
		assert_true(counted.items >= items - items / 100);
	}
	counted.evictions = 0;
	while (k < 50000 + 6 * items) {
		fill(layer, k++, 100);
	}
	assert_int_equal(counted.evictions, 0);
	assert_true(counted.items >= 4 * items);
	/* And large ones find room among small ones. */
	fill(layer, k++, 200 << 10);
	assert_true(ask(layer, k - 1));
	done(layer);
}

static void become_smaller(uint64_t max_bytes)
{
	for (enum policy_kind policy = POLICY_LRU; policy <= POLICY_S3FIFO; policy++) {
		struct layer *layer = open_with(policy, max_bytes, 0);

		for (unsigned k = 0; k < 200000; k++) {
			fill(layer, k, 20);
		}
		assert_true(own_bytes(layer, PAGE_PRESENT) > 13 << 20);
		for (uint64_t budget = 8 << 20; budget >= 1 << 20; budget /= 2) {
			memory_ops.set_budget(layer, budget);
			assert_true(counted.bytes <= budget);
			assert_true(counted.bytes > budget / 2);
			assert_true(own_bytes(layer, PAGE_PRESENT) <= budget + budget / 10);
		}
		for (unsigned k = 0; k < 100000; k++) {
			fill(layer, k, 100);
		}
		assert_true(own_bytes(layer, PAGE_PRESENT) <= (1 << 20) + (1 << 20) / 10);
		memory_ops.set_budget(layer, 16 << 20);
		for (unsigned k = 0; k < 30000; k++) {
			fill(layer, k, 100);
		}
		assert_int_equal(counted.items >= 30000, 1);
		done(layer);
	}
}

static void test_smaller_budget__gives_memory_back_at_once(void **state)
{
	become_smaller(16 << 20);
	/* From one with huge pages. */
	become_smaller(256 << 20);
}

static void test_ended_entries__give_memory_back_by_and_by(void **state)
{
	for (enum policy_kind policy = POLICY_LRU; policy <= POLICY_S3FIFO; policy++) {
		struct layer *layer = open_with(policy, 16 << 20, CLOCK_NS_PER_S);

		for (unsigned k = 0; k < 20000; k++) {
			fill(layer, k, 500);
		}
		assert_true(own_bytes(layer, PAGE_PRESENT) > 10 << 20);
		clock_fake(START_NS + 2 * CLOCK_NS_PER_S, 1700000002);
		for (unsigned k = 0; k < 8000; k++) {
			fill(layer, 50000 + k % 10, 500);
		}
		assert_int_equal(counted.items, 10);
		assert_int_equal(counted.expired, 20000);
		assert_int_equal(counted.evictions, 0);
		assert_true(counted.bytes < 64 << 10);
		assert_true(own_bytes(layer, PAGE_PRESENT) < 1 << 20);
		done(layer);
	}
}

/* The design's number: at most 64 bytes beside key and value, all counted. */
static void test_overhead_per_small_entry__is_bounded(void **state)
{
	unsigned n = SANITIZED ? 100000 : 1000000;

	for (enum policy_kind policy = POLICY_LRU; policy <= POLICY_S3FIFO; policy++) {
		struct layer *layer = open_with(policy, UINT64_C(1) << 30, 0);
		uint64_t overhead;

		for (unsigned k = 0; k < n; k++) {
			fill(layer, k, 100);
		}
		/* Where the lines around a key's own are full of others, one of them goes. */
		assert_in_range(counted.items, n - n / 100000, n);
		if (policy == POLICY_S3FIFO) {
			/* What is remembered of those that went counts as well. */
			memory_ops.set_budget(layer, counted.bytes + counted.bytes / 16);
			for (unsigned k = n; k < 2 * n; k++) {
				fill(layer, k, 100);
			}
			assert_true(counted.evictions > n / 2);
			assert_true(policy_bytes(&layer->policy) > n);
		}
		overhead = own_bytes(layer, PAGE_PRESENT) / counted.items - 100 - 11;
		print_message("policy %u: %" PRIu64 " bytes of overhead\n", policy, overhead);
		assert_true(overhead <= 64);
		done(layer);
	}
}

static void test_program_that_locks_its_memory__has_no_more_than_is_in_use(void **state)
{
	struct layer *layer;
	struct rlimit may;

	assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &may), 0);
	/* Sanitizers map more than can be locked; so may a user who is not root. */
	if (!SANITIZED && (geteuid() == 0 || may.rlim_cur == RLIM_INFINITY)) {
		assert_int_equal(mlockall(MCL_FUTURE), 0);
	}
	layer = open_with(POLICY_S3FIFO, 16 << 20, 0);
	assert_true(own_bytes(layer, PAGE_PRESENT) < 1 << 20);
	for (unsigned k = 0; k < 200000; k++) {
		fill(layer, k, 100);
	}
	assert_true(own_bytes(layer, PAGE_PRESENT) <= 16 << 20);
	munlockall();
	done(layer);
}

/* --- children --- */

static void child_reads_then_writes(struct layer *layer, unsigned n, uint64_t budget)
{
	uint64_t exclusive = own_bytes(layer, PAGE_EXCLUSIVE);
	uint64_t dirty = smaps("Private_Dirty:");
	unsigned n_hits = 0;

	assert_true(exclusive < budget / 16);
	for (unsigned k = 0; k < n; k++) {
		n_hits += ask(layer, k);
	}
	/* No more than the table of words, where uses are counted. */
	assert_true(n_hits > n / 2);
	assert_true(own_bytes(layer, PAGE_EXCLUSIVE) - exclusive <=
		    memory_index_bytes(&layer->index) + (64 << 10));
	assert_true(SANITIZED || smaps("Private_Dirty:") - dirty <
					 memory_index_bytes(&layer->index) + (256 << 10));
	for (unsigned k = 0; k < n; k++) {
		fill(layer, n + k, 400);
	}
	assert_true(own_bytes(layer, PAGE_PRESENT) <= budget + budget / 20);
	memory_ops.flush(layer);
	assert_true(own_bytes(layer, PAGE_PRESENT) < budget / 16);
}

static void test_child__shares_what_it_only_reads_and_harms_nothing(void **state)
{
	for (enum policy_kind policy = POLICY_LRU; policy <= POLICY_S3FIFO; policy++) {
		struct layer *layer = open_with(policy, 16 << 20, 0);
		unsigned n = 20000;
		int status;
		pid_t pid;

		for (unsigned k = 0; k < n; k++) {
			fill(layer, k, 600);
		}
		memory_ops.prepare(layer);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			memory_ops.child(layer);
			child_reads_then_writes(layer, n, 16 << 20);
			/* Without the parent's exit handlers; a failed assertion does not come
			 * here. */
			_exit(42);
		}
		memory_ops.parent(layer);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 42);
		for (unsigned k = 0; k < n; k++) {
			assert_true(ask(layer, k));
		}
		done(layer);
	}
}

/* --- without memory --- */

/* No address space is left: the table cannot grow, and nothing is remembered. */
static void test_no_memory_for_a_larger_table__forgets_and_goes_on(void **state)
{
	for (enum policy_kind policy = POLICY_LRU; policy <= POLICY_S3FIFO; policy++) {
		struct layer *layer = open_with(policy, 16 << 20, 0);
		struct rlimit before;
		struct rlimit none;
		unsigned n_hits = 0;

		assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
		none = before;
		none.rlim_cur = 0;
		if (!SANITIZED) {
			assert_int_equal(setrlimit(RLIMIT_AS, &none), 0);
		}
		for (unsigned k = 0; k < 10000; k++) {
			fill(layer, k, 100);
			n_hits += ask(layer, k);
		}
		memory_ops.set_budget(layer, 1 << 20);
		assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
		assert_int_equal(n_hits, 10000);
		assert_true(SANITIZED ||
			    memory_index_words(&layer->index) == MEMORY_INDEX_WORDS_MIN);
		assert_true(SANITIZED || counted.items <= MEMORY_INDEX_WORDS_MIN);
		assert_true(counted.items > 10);
		done(layer);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ten_turnovers_of_mixed_sizes__stay_within_the_budget),
		cmocka_unit_test(test_full_memory__stays_in_the_pages_it_has),
		cmocka_unit_test(test_memory_with_room__stays_in_the_pages_it_has),
		cmocka_unit_test(test_memory_with_room__grows_without_loss),
		cmocka_unit_test(
			test_larger_budget_than_the_ring_began_anew_for__is_used_after_a_round),
		cmocka_unit_test(test_smaller_budget__gives_memory_back_at_once),
		cmocka_unit_test(test_ended_entries__give_memory_back_by_and_by),
		cmocka_unit_test(test_overhead_per_small_entry__is_bounded),
		cmocka_unit_test(test_program_that_locks_its_memory__has_no_more_than_is_in_use),
		cmocka_unit_test(test_child__shares_what_it_only_reads_and_harms_nothing),
		cmocka_unit_test(test_no_memory_for_a_larger_table__forgets_and_goes_on),
	};

	return cmocka_run_group_tests_name("memory_resident", tests, NULL, NULL);
}
