/* What files does the table of slots use, and how do processes and threads share one? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "core/peek.h"
#include "core/slots_file.h"
#include "layers/layer.h"

#define THREADS 200
#define NOBODY 65534
#define LAZY (3 * SLOTS_PAGE_BYTES)

static char folder[64];
static char path[80];

static int set_up(void **state)
{
	snprintf(folder, sizeof(folder), "/dev/shm/tower-test-XXXXXX");
	if (mkdtemp(folder) == NULL) {
		return -1;
	}
	snprintf(path, sizeof(path), "%s/table", folder);
	return 0;
}

static int tear_down(void **state)
{
	clock_fake(0, 0);
	unlink(path);
	return rmdir(folder);
}

static struct slots *open_table(size_t n, gid_t group)
{
	const struct slots_options options = { .path = path, .n = n, .group = group };
	const char *why;

	return slots_open(&options, &why);
}

static void assert_refused(void)
{
	const struct slots_options options = { .path = path, .n = 16, .group = SHM_NO_GROUP };
	const char *why = NULL;

	assert_null(slots_open(&options, &why));
	assert_non_null(why);
	assert_true(strlen(why) > 0);
}

static void make_table(void)
{
	struct slots *slots = open_table(16, SHM_NO_GROUP);

	assert_non_null(slots);
	slots_close(&slots);
}

/* --- files --- */

static void test_new_table__is_private_to_the_user(void **state)
{
	struct stat st;

	make_table();
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void test_table_of_a_group__is_open_to_it(void **state)
{
	struct slots *slots = open_table(16, getegid());
	struct stat st;

	assert_non_null(slots);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	assert_int_equal(st.st_gid, getegid());
	slots_close(&slots);
	assert_refused();
}

static void test_second_opening__finds_the_same_table(void **state)
{
	struct slots *one = open_table(16, SHM_NO_GROUP);
	struct slots *two = open_table(16, SHM_NO_GROUP);
	struct slots_ticket ticket;

	slots_enter(one, 3, CLOCK_NEVER, &ticket);
	assert_true(slots_load(two, 3) == LAYER_SLOT_BUSY);
	slots_leave(one, &ticket);
	assert_true(slots_load(two, 3) == slots_load(one, 3));
	slots_close(&one);
	slots_close(&two);
}

/* --- the switch --- */

static unsigned switch_table(unsigned off, unsigned on)
{
	const struct slots_options options = { .path = path, .n = 16, .group = SHM_NO_GROUP };
	const char *why;
	unsigned now;

	assert_true(slots_switch(&options, off, on, &now, &why));
	assert_int_equal(slots_switched_off(&options), now);
	return now;
}

static void test_switch__is_seen_at_once_and_by_those_that_come(void **state)
{
	struct slots *one = open_table(16, SHM_NO_GROUP);
	struct slots *two;
	uint64_t token = slots_load(one, 3);

	assert_int_equal(slots_off(one), 0);
	assert_true(slots_peek(one, 3, 0) == token);
	assert_int_equal(switch_table(LAYER_PRIVATE, 0), LAYER_PRIVATE);
	assert_int_equal(switch_table(LAYER_SHARED, 0), LAYER_PRIVATE | LAYER_SHARED);
	two = open_table(16, SHM_NO_GROUP);
	assert_int_equal(slots_off(one), LAYER_PRIVATE | LAYER_SHARED);
	assert_int_equal(slots_off(two), LAYER_PRIVATE | LAYER_SHARED);
	assert_true(slots_peek(one, 3, 0) == LAYER_SLOT_BUSY);
	assert_true(slots_load(one, 3) == token);
	assert_int_equal(switch_table(0, LAYER_PRIVATE), LAYER_SHARED);
	assert_int_equal(switch_table(0, LAYER_SHARED), 0);
	assert_true(slots_peek(one, 3, 0) == token);
	slots_close(&one);
	slots_close(&two);
}

/* The flushes that are counted in the same word stay what they are. */
static void test_switch_between_flushes__loses_none(void **state)
{
	struct slots *slots = open_table(16, SHM_NO_GROUP);
	struct slots_ticket ticket;

	slots_flush(slots);
	slots_enter(slots, 3, CLOCK_NEVER, &ticket);
	switch_table(LAYER_PRIVATE | LAYER_SHARED | LAYER_AUTHORITY, 0);
	assert_int_equal(slots_flushes(slots), 1);
	assert_true(slots_leave(slots, &ticket) == slots_load(slots, 3));
	slots_flush(slots);
	assert_int_equal(slots_flushes(slots), 2);
	switch_table(0, LAYER_PRIVATE | LAYER_SHARED | LAYER_AUTHORITY);
	assert_true(slots_peek(slots, 3, 2) == slots_load(slots, 3));
	slots_close(&slots);
}

static void test_switch_before_any_process__makes_the_table(void **state)
{
	struct slots *slots;

	switch_table(LAYER_PRIVATE, 0);
	slots = open_table(16, SHM_NO_GROUP);
	assert_non_null(slots);
	assert_int_equal(slots_off(slots), LAYER_PRIVATE);
	slots_close(&slots);
}

static void test_switch_of_a_foreign_table__is_refused(void **state)
{
	const struct slots_options options = { .path = path, .n = 4096, .group = SHM_NO_GROUP };
	const char *why = NULL;
	unsigned now = 77;

	make_table();
	assert_false(slots_switch(&options, LAYER_PRIVATE, 0, &now, &why));
	assert_non_null(why);
	assert_int_equal(now, 77);
	assert_int_equal(slots_switched_off(&options), 0);
}

static void test_table_of_another_format__is_refused(void **state)
{
	uint32_t format = SLOTS_FORMAT + 1;
	int fd;

	make_table();
	fd = open(path, O_WRONLY);
	assert_int_equal(pwrite(fd, &format, sizeof(format), offsetof(struct shm_header, format)),
			 sizeof(format));
	close(fd);
	assert_refused();
}

static void test_table_of_another_size__is_refused(void **state)
{
	struct slots *slots = open_table(1024, SHM_NO_GROUP);

	slots_close(&slots);
	assert_refused();
}

static void test_truncated_table__is_refused(void **state)
{
	make_table();
	assert_int_equal(truncate(path, 5000), 0);
	assert_refused();
	assert_int_equal(truncate(path, 0), 0);
	assert_refused();
}

static void test_foreign_table__is_refused(void **state)
{
	make_table();
	assert_int_equal(chown(path, NOBODY, (gid_t)-1), 0);
	assert_refused();
}

static void test_table_open_to_others__is_refused(void **state)
{
	make_table();
	assert_int_equal(chmod(path, 0666), 0);
	assert_refused();
}

static void test_symlink_to_a_table__is_refused(void **state)
{
	char other[96];

	make_table();
	snprintf(other, sizeof(other), "%s.other", path);
	assert_int_equal(rename(path, other), 0);
	assert_int_equal(symlink(other, path), 0);
	assert_refused();
	assert_int_equal(unlink(other), 0);
}

static void test_folder_that_cannot_be_written__is_told(void **state)
{
	assert_int_equal(seteuid(NOBODY), 0);
	assert_refused();
	assert_int_equal(seteuid(0), 0);
}

static void test_folder_that_is_not_there__is_told(void **state)
{
	char kept[sizeof(path)];

	memcpy(kept, path, sizeof(path));
	snprintf(path, sizeof(path), "%s/none/table", folder);
	assert_refused();
	memcpy(path, kept, sizeof(path));
}

/* --- a private table and forks --- */

static void test_private_table_of_a_child__is_free_of_the_parents_writes(void **state)
{
	const struct slots_options options = { .n = 16, .group = SHM_NO_GROUP };
	const char *why;
	struct slots *slots = slots_open(&options, &why);
	struct slots_ticket entered;
	struct slots_ticket doubted;
	struct slots_doubts *doubts = NULL;
	int status;
	pid_t pid;

	slots_enter(slots, 3, CLOCK_NEVER, &entered);
	slots_enter(slots, 4, CLOCK_NEVER, &doubted);
	slots_doubt(slots, &doubted, &doubts);
	slots_prepare(slots);
	pid = fork();
	if (pid == 0) {
		bool well;

		slots_child(slots);
		slots_claim(slots);
		well = slots_load(slots, 3) != LAYER_SLOT_BUSY &&
		       slots_load(slots, 4) != LAYER_SLOT_BUSY;
		slots_enter(slots, 4, CLOCK_NEVER, &doubted);
		well = well && doubted.alone && slots_load(slots, 4) == LAYER_SLOT_BUSY;
		slots_leave(slots, &doubted);
		well = well && slots_load(slots, 4) != LAYER_SLOT_BUSY;
		_exit(well ? 0 : 1);
	}
	slots_parent(slots);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_true(slots_load(slots, 3) == LAYER_SLOT_BUSY);
	assert_true(slots_load(slots, 4) == LAYER_SLOT_BUSY);
	slots_leave(slots, &entered);
	slots_settle(slots, doubts);
	assert_true(slots_load(slots, 3) != LAYER_SLOT_BUSY);
	assert_true(slots_load(slots, 4) != LAYER_SLOT_BUSY);
	slots_abandon(slots, &doubts);
	slots_close(&slots);
}

/* --- many threads --- */

static struct slots *threads_table;
static pthread_barrier_t all_entered;
static pthread_barrier_t all_seen;

static void *write_together(void *arg)
{
	uint64_t hash = (uint64_t)(uintptr_t)arg;
	struct slots_ticket ticket;

	for (int i = 0; i < 5; i++) {
		slots_enter(threads_table, hash, CLOCK_NEVER, &ticket);
		pthread_barrier_wait(&all_entered);
		pthread_barrier_wait(&all_seen);
		slots_leave(threads_table, &ticket);
	}
	return NULL;
}

static void test_more_threads_than_a_record_holds__are_all_counted(void **state)
{
	pthread_t threads[THREADS];

	threads_table = open_table(64, SHM_NO_GROUP);
	pthread_barrier_init(&all_entered, NULL, THREADS + 1);
	pthread_barrier_init(&all_seen, NULL, THREADS + 1);
	for (uintptr_t i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, write_together, (void *)i), 0);
	}
	for (int round = 0; round < 5; round++) {
		pthread_barrier_wait(&all_entered);
		for (size_t i = 0; i < 64; i++) {
			assert_true(slots_load(threads_table, i) == LAYER_SLOT_BUSY);
		}
		pthread_barrier_wait(&all_seen);
	}
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
	}
	for (size_t i = 0; i < 64; i++) {
		assert_true(slots_load(threads_table, i) != LAYER_SLOT_BUSY);
	}
	assert_int_equal(threads_table->head->unrecorded, 0);
	assert_true(threads_table->n_own > 1);
	pthread_barrier_destroy(&all_entered);
	pthread_barrier_destroy(&all_seen);
	slots_close(&threads_table);
}

/* --- doubts --- */

static void doubt(struct slots *slots, uint64_t hash, struct slots_doubts **doubts)
{
	struct slots_ticket ticket;

	slots_enter(slots, hash, CLOCK_NEVER, &ticket);
	slots_doubt(slots, &ticket, doubts);
}

static void assert_all_free(struct slots *slots)
{
	for (size_t i = 0; i <= slots->mask; i++) {
		assert_true(slots_load(slots, i) != LAYER_SLOT_BUSY);
		assert_int_equal(slots->words[i] & SLOTS_IN_FLIGHT, 0);
	}
}

static void test_many_doubts_of_one_handle__stay_bounded_and_settle(void **state)
{
	struct slots *slots = open_table(1024, SHM_NO_GROUP);
	struct slots_doubts *doubts = NULL;

	for (int i = 0; i < 100000; i++) {
		doubt(slots, (uint64_t)rand(), &doubts);
		assert_true(doubts->size <= 4096);
	}
	for (size_t i = 0; i < 1024; i++) {
		assert_int_equal(slots->words[i] & SLOTS_IN_FLIGHT, 1);
	}
	slots_settle(slots, doubts);
	assert_all_free(slots);
	slots_abandon(slots, &doubts);
	slots_close(&slots);
}

static void test_doubts_of_many_handles__all_count(void **state)
{
	struct slots *slots = open_table(16, SHM_NO_GROUP);
	struct slots_doubts *doubts[8] = { NULL };

	for (int i = 0; i < 20000; i++) {
		doubt(slots, (uint64_t)(i % 16), &doubts[i % 7]);
	}
	for (size_t handle = 0; handle < 7; handle++) {
		for (size_t i = 0; i < 16; i++) {
			assert_true(slots_load(slots, i) == LAYER_SLOT_BUSY);
		}
		slots_settle(slots, doubts[handle]);
		slots_abandon(slots, &doubts[handle]);
	}
	assert_all_free(slots);
	slots_close(&slots);
}

/* More than a slot's counter could hold: what cannot be remembered must not be lost. */
static void test_doubts_beyond_all_bounds__never_free_a_slot_early(void **state)
{
	struct slots *slots = open_table(2, SHM_NO_GROUP);
	struct slots_doubts *doubts[100] = { NULL };

	clock_fake(CLOCK_NS_PER_S, 1);
	for (int i = 0; i < 200000; i++) {
		doubt(slots, 1, &doubts[i % 100]);
	}
	assert_true(slots_load(slots, 1) == LAYER_SLOT_BUSY);
	for (size_t i = 0; i < 100; i++) {
		assert_true(slots_load(slots, 1) == LAYER_SLOT_BUSY);
		slots_settle(slots, doubts[i]);
		slots_abandon(slots, &doubts[i]);
	}
	assert_true(slots_load(slots, 0) != LAYER_SLOT_BUSY);
	slots_close(&slots);
}

static void test_old_doubts__settle_by_themselves(void **state)
{
	struct slots *slots = open_table(16, SHM_NO_GROUP);
	struct slots_doubts *kept = NULL;
	struct slots_doubts *sent = NULL;
	struct slots_doubts *abandoned = NULL;

	clock_fake(CLOCK_NS_PER_S, 1);
	doubt(slots, 1, &kept);
	doubt(slots, 2, &sent);
	doubt(slots, 3, &abandoned);
	slots_sent(slots, sent);
	slots_abandon(slots, &abandoned);
	assert_null(abandoned);
	clock_fake(CLOCK_NS_PER_S + SLOTS_SENT_NS - 1, 1);
	slots_settle_old(slots);
	assert_true(slots_load(slots, 2) == LAYER_SLOT_BUSY);
	assert_true(slots_load(slots, 3) == LAYER_SLOT_BUSY);
	clock_fake(CLOCK_NS_PER_S + SLOTS_SENT_NS, 1);
	slots_settle_old(slots);
	assert_true(slots_load(slots, 1) == LAYER_SLOT_BUSY);
	assert_true(slots_load(slots, 2) != LAYER_SLOT_BUSY);
	assert_true(slots_load(slots, 3) != LAYER_SLOT_BUSY);
	clock_fake(CLOCK_NS_PER_S + SLOTS_DOUBT_NS, 1);
	slots_settle_old(slots);
	assert_all_free(slots);
	slots_abandon(slots, &kept);
	slots_abandon(slots, &sent);
	slots_close(&slots);
}

/* --- memory beside the table --- */

static struct slots *open_with_lazy(void)
{
	const struct slots_options options = {
		.path = path, .n = 16, .n_extra = 100, .n_lazy = LAZY, .group = SHM_NO_GROUP
	};
	const char *why;

	return slots_open(&options, &why);
}

static void test_lazy_memory__has_pages_when_the_first_asks(void **state)
{
	struct slots *one = open_with_lazy();
	struct slots *two = open_with_lazy();
	struct stat before;
	struct stat after;
	char *bytes;

	assert_non_null(slots_extra(one));
	assert_int_equal(stat(path, &before), 0);
	bytes = slots_lazy(one);
	assert_non_null(bytes);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal((after.st_blocks - before.st_blocks) * 512, LAZY);
	for (size_t i = 0; i < LAZY; i++) {
		assert_int_equal(bytes[i], 0);
	}
	bytes[LAZY - 1] = 'x';
	bytes = slots_lazy(two);
	assert_non_null(bytes);
	assert_int_equal(bytes[LAZY - 1], 'x');
	assert_ptr_equal(slots_extra(two), slots_extra(two));
	slots_close(&one);
	slots_close(&two);
}

/* Else those who have it would not know what those wrote who have not. */
static void test_lazy_memory_that_one_could_not_have__nobody_has(void **state)
{
	struct slots *one = open_with_lazy();
	struct slots *two = open_with_lazy();
	size_t offset = one->lazy_offset;
	struct stat before;
	struct stat after;

	/* Where no process has memory. */
	one->lazy_offset = (size_t)1 << 48;
	assert_null(slots_lazy(one));
	one->lazy_offset = offset;
	assert_int_equal(stat(path, &before), 0);
	assert_true(shm_back(&one->shm, offset, LAZY));
	shm_unback(&one->shm, offset, LAZY);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_blocks, after.st_blocks);
	assert_null(slots_lazy(one));
	assert_null(slots_lazy(two));
	slots_close(&one);
	slots_close(&two);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_new_table__is_private_to_the_user),
		TEST(test_table_of_a_group__is_open_to_it),
		TEST(test_second_opening__finds_the_same_table),
		TEST(test_switch__is_seen_at_once_and_by_those_that_come),
		TEST(test_switch_between_flushes__loses_none),
		TEST(test_switch_before_any_process__makes_the_table),
		TEST(test_switch_of_a_foreign_table__is_refused),
		TEST(test_table_of_another_format__is_refused),
		TEST(test_table_of_another_size__is_refused),
		TEST(test_truncated_table__is_refused),
		TEST(test_foreign_table__is_refused),
		TEST(test_table_open_to_others__is_refused),
		TEST(test_symlink_to_a_table__is_refused),
		TEST(test_folder_that_cannot_be_written__is_told),
		TEST(test_folder_that_is_not_there__is_told),
		TEST(test_private_table_of_a_child__is_free_of_the_parents_writes),
		TEST(test_more_threads_than_a_record_holds__are_all_counted),
		TEST(test_many_doubts_of_one_handle__stay_bounded_and_settle),
		TEST(test_doubts_of_many_handles__all_count),
		TEST(test_doubts_beyond_all_bounds__never_free_a_slot_early),
		TEST(test_old_doubts__settle_by_themselves),
		TEST(test_lazy_memory__has_pages_when_the_first_asks),
		TEST(test_lazy_memory_that_one_could_not_have__nobody_has),
	};

	return cmocka_run_group_tests_name("slots_shared", tests, NULL, NULL);
}
