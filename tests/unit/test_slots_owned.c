/* Who may own a slot, who waits for it, and what if the owner does not come back? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "core/slots_file.h"
#include "layers/layer.h"

#define HASH 3

static struct slots *slots;
static char path[80];

static int setup(void **state)
{
	struct slots_options options = { .path = path, .n = 8, .group = SHM_NO_GROUP };
	char folder[] = "/dev/shm/tower-test-XXXXXX";
	const char *why;

	if (mkdtemp(folder) == NULL) {
		return -1;
	}
	snprintf(path, sizeof(path), "%s/table", folder);
	slots = slots_open(&options, &why);
	return slots ? 0 : -1;
}

static int teardown(void **state)
{
	slots_close(&slots);
	unlink(path);
	*strrchr(path, '/') = '\0';
	return rmdir(path);
}

static void test_writer_alone__owns_and_gives_back(void **state)
{
	struct slots_ticket ticket;

	slots_enter(slots, HASH, CLOCK_NEVER, &ticket);
	assert_true(slots_own(slots, &ticket));
	assert_false(slots_own(slots, &ticket));
	assert_true(slots_disown(slots, &ticket));
	/* Still alone: what it writes is its own. */
	assert_true(slots_alone(slots, &ticket));
	assert_true(slots_leave(slots, &ticket) == slots_load(slots, HASH));
}

static void test_writer_beside_another__does_not_own(void **state)
{
	struct slots_ticket first;
	struct slots_ticket second;

	slots_enter(slots, HASH, CLOCK_NEVER, &first);
	slots_enter(slots, HASH, CLOCK_NEVER, &second);
	assert_false(slots_own(slots, &first));
	assert_false(slots_own(slots, &second));
	slots_leave(slots, &first);
	assert_false(slots_own(slots, &second));
	slots_leave(slots, &second);
}

static void test_reader__owns_only_what_it_saw(void **state)
{
	struct slots_ticket ticket;
	struct slots_ticket other;
	uint64_t token = slots_load(slots, HASH);

	assert_true(slots_enter_owning(slots, HASH, token, &ticket));
	assert_true(slots_load(slots, HASH) == LAYER_SLOT_BUSY);
	assert_false(slots_enter_owning(slots, HASH, token, &other));
	assert_true(slots_disown(slots, &ticket));
	assert_true(slots_leave(slots, &ticket) == slots_load(slots, HASH));
	/* Something has happened since. */
	assert_false(slots_enter_owning(slots, HASH, token, &other));
	token = slots_load(slots, HASH);
	slots_flush(slots);
	assert_false(slots_enter_owning(slots, HASH, token, &other));
	token = slots_load(slots, HASH);
	slots_enter(slots, HASH, CLOCK_NEVER, &ticket);
	assert_false(slots_enter_owning(slots, HASH, token, &other));
	assert_false(slots_enter_owning(slots, HASH, LAYER_SLOT_BUSY, &other));
	slots_leave(slots, &ticket);
	assert_int_equal(atomic_load(&slots->words[HASH]) & (SLOTS_IN_FLIGHT | SLOTS_OWNED), 0);
}

static atomic_int n_entered;

static void *enter(void *ret_ticket)
{
	slots_enter(slots, HASH, CLOCK_NEVER, ret_ticket);
	atomic_fetch_add(&n_entered, 1);
	return NULL;
}

static void test_writers__wait_for_the_owner(void **state)
{
	struct slots_ticket owner;
	struct slots_ticket writer;
	struct slots_ticket elsewhere;
	pthread_t thread;

	n_entered = 0;
	slots_enter(slots, HASH, CLOCK_NEVER, &owner);
	assert_true(slots_own(slots, &owner));
	assert_int_equal(pthread_create(&thread, NULL, enter, &writer), 0);
	poll(NULL, 0, 50);
	assert_int_equal(n_entered, 0);
	/* Nor does anybody wait who has another slot. */
	slots_enter(slots, HASH + 1, CLOCK_NEVER, &elsewhere);
	slots_leave(slots, &elsewhere);
	assert_true(slots_disown(slots, &owner));
	pthread_join(thread, NULL);
	assert_int_equal(n_entered, 1);
	assert_false(slots_alone(slots, &owner));
	assert_false(slots_alone(slots, &writer));
	assert_true(slots_leave(slots, &owner) == LAYER_SLOT_BUSY);
	assert_true(slots_leave(slots, &writer) == LAYER_SLOT_BUSY);
	assert_true(slots_load(slots, HASH) != LAYER_SLOT_BUSY);
}

static void test_owner_that_does_not_come_back__is_overtaken_and_told(void **state)
{
	struct slots_ticket owner;
	struct slots_ticket writer;
	int64_t before = clock_now_ns();

	slots_enter(slots, HASH, CLOCK_NEVER, &owner);
	assert_true(slots_own(slots, &owner));
	slots_enter(slots, HASH, CLOCK_NEVER, &writer);
	assert_true(clock_now_ns() - before >= SLOTS_OWN_NS);
	assert_false(slots_alone(slots, &writer));
	slots_leave(slots, &writer);
	/* As long as it is there nothing is served from memory. */
	assert_true(slots_load(slots, HASH) == LAYER_SLOT_BUSY);
	assert_false(slots_disown(slots, &owner));
	assert_true(slots_leave(slots, &owner) == LAYER_SLOT_BUSY);
	assert_true(slots_load(slots, HASH) != LAYER_SLOT_BUSY);
}

/* Writers do not wait longer for it than for one that was stopped. */
static void test_killed_owner__gives_the_slot_back(void **state)
{
	struct slots_ticket ticket;
	int64_t give_up = clock_now_ns() + 20 * CLOCK_NS_PER_S;
	int status;
	pid_t pid;

	slots_prepare(slots);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		slots_child(slots);
		slots_claim(slots);
		slots_enter(slots, HASH, CLOCK_NEVER, &ticket);
		_exit(slots_own(slots, &ticket) ? 0 : 1);
	}
	slots_parent(slots);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	slots_enter(slots, HASH, CLOCK_NEVER, &ticket);
	slots_leave(slots, &ticket);
	while (slots_load(slots, HASH) == LAYER_SLOT_BUSY) {
		assert_true(clock_now_ns() < give_up);
		poll(NULL, 0, 10);
	}
	assert_int_equal(atomic_load(&slots->words[HASH]) & (SLOTS_IN_FLIGHT | SLOTS_OWNED), 0);
}

#define THREADS 4
#define ROUNDS 5000

static _Atomic int n_owners;

static void *own_often(void *unused)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct slots_ticket ticket;
		bool owns;

		if (i % 2) {
			slots_enter(slots, HASH, CLOCK_NEVER, &ticket);
			owns = slots_own(slots, &ticket);
		} else if (slots_enter_owning(slots, HASH, slots_load(slots, HASH), &ticket)) {
			owns = true;
		} else {
			continue;
		}
		if (owns) {
			if (atomic_fetch_add(&n_owners, 1) != 0) {
				return &n_owners;
			}
			atomic_fetch_sub(&n_owners, 1);
			if (!slots_disown(slots, &ticket)) {
				return &n_owners;
			}
		}
		slots_leave(slots, &ticket);
	}
	return unused;
}

static void test_many__own_one_at_a_time(void **state)
{
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, own_often, NULL), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		void *bad;

		pthread_join(threads[i], &bad);
		assert_null(bad);
	}
	assert_int_equal(atomic_load(&slots->words[HASH]) & (SLOTS_IN_FLIGHT | SLOTS_OWNED), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_writer_alone__owns_and_gives_back),
		TEST(test_writer_beside_another__does_not_own),
		TEST(test_reader__owns_only_what_it_saw),
		TEST(test_writers__wait_for_the_owner),
		TEST(test_owner_that_does_not_come_back__is_overtaken_and_told),
		TEST(test_killed_owner__gives_the_slot_back),
		TEST(test_many__own_one_at_a_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
