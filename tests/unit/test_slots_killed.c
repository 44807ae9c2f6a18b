/* What do processes leave in the table of slots that end in the middle of a write? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "core/slots_file.h"
#include "layers/layer.h"

#define N_SLOTS 8
#define HELD 6 /* and above: what the killed do not write */
#define DOUBTED 7
#define KILLS 2000
#define KILLS_LEAST 200
#define KILLING_S 10 /* at most, when there were that many */
#define MANY 100
#define STORM 500
#define STORM_AT_ONCE 50

static char folder[64];
static char path[80];
static struct slots *slots;
static int64_t now_ns;

static struct slots *open_table(void)
{
	const struct slots_options options = { .path = path, .n = N_SLOTS, .group = SHM_NO_GROUP };
	const char *why;

	return slots_open(&options, &why);
}

static int set_up(void **state)
{
	snprintf(folder, sizeof(folder), "/dev/shm/tower-test-XXXXXX");
	if (mkdtemp(folder) == NULL) {
		return -1;
	}
	snprintf(path, sizeof(path), "%s/table", folder);
	now_ns = 1000 * CLOCK_NS_PER_S;
	clock_fake(now_ns, 1);
	slots = open_table();
	return slots ? 0 : -1;
}

static int tear_down(void **state)
{
	slots_close(&slots);
	clock_fake(0, 0);
	unlink(path);
	return rmdir(folder);
}

/* Whether the slot becomes free when time passes, which it does in steps of a grace. */
static bool becomes_free(struct slots *table, size_t slot, int steps)
{
	for (int i = 0; i < steps; i++) {
		if (slots_load(table, slot) != LAYER_SLOT_BUSY) {
			return true;
		}
		now_ns += 1100 * CLOCK_NS_PER_MS;
		clock_fake(now_ns, 1);
	}
	return false;
}

#define STEPS 12

static void assert_free_again(size_t slot)
{
	assert_true(becomes_free(slots, slot, STEPS));
	assert_int_equal(atomic_load(&slots->words[slot]) & SLOTS_IN_FLIGHT, 0);
}

/* How long it takes until the slot is free that is asked for all the time. */
static int64_t busy_for(size_t slot)
{
	int64_t begun = now_ns;

	while (slots_load(slots, slot) == LAYER_SLOT_BUSY) {
		now_ns += 50 * CLOCK_NS_PER_MS;
		clock_fake(now_ns, 1);
		assert_true(now_ns - begun < 5 * CLOCK_NS_PER_S);
	}
	return now_ns - begun;
}

static void assert_never_free(size_t slot)
{
	assert_false(becomes_free(slots, slot, STEPS));
}

/* --- children: each is one end of two pipes --- */

struct child {
	pid_t pid;
	int ask;    /* to it */
	int answer; /* from it */
};

/* In the child: the table as after a fork. */
static void be_a_process(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	slots_child(slots);
	slots_claim(slots);
}

/* In the child: says that it is there, waits until it is asked. */
static void say(int answer)
{
	if (write(answer, "x", 1) != 1) {
		_exit(2);
	}
}

static void wait_for(int ask)
{
	char c;

	if (read(ask, &c, 1) != 1) {
		_exit(2);
	}
}

static struct child start(void (*body)(int ask, int answer))
{
	struct child child;
	int ask[2];
	int answer[2];

	assert_int_equal(pipe2(ask, O_CLOEXEC), 0);
	assert_int_equal(pipe2(answer, O_CLOEXEC), 0);
	slots_prepare(slots);
	child.pid = fork();
	if (child.pid == 0) {
		close(ask[1]);
		close(answer[0]);
		body(ask[0], answer[1]);
		_exit(0);
	}
	slots_parent(slots);
	assert_true(child.pid > 0);
	close(ask[0]);
	close(answer[1]);
	child.ask = ask[1];
	child.answer = answer[0];
	return child;
}

static void await_answer(const struct child *child)
{
	char c;

	assert_int_equal(read(child->answer, &c, 1), 1);
}

static void tell(const struct child *child)
{
	assert_int_equal(write(child->ask, "x", 1), 1);
}

/* Its status. */
static int finish(struct child *child)
{
	int status;

	close(child->ask);
	close(child->answer);
	assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
	return status;
}

static void kill_child(struct child *child)
{
	kill(child->pid, SIGKILL);
	finish(child);
}

/* --- one that is killed --- */

static void enter_and_wait(int ask, int answer)
{
	struct slots_ticket ticket;

	be_a_process();
	slots_enter(slots, 3, CLOCK_NEVER, &ticket);
	say(answer);
	wait_for(ask);
	slots_leave(slots, &ticket);
	say(answer);
	wait_for(ask);
}

static void doubt_and_wait(int ask, int answer)
{
	struct slots_doubts *doubts = NULL;
	struct slots_ticket ticket;

	be_a_process();
	slots_enter(slots, 3, CLOCK_NEVER, &ticket);
	slots_doubt(slots, &ticket, &doubts);
	say(answer);
	wait_for(ask);
	slots_settle(slots, doubts);
	say(answer);
	wait_for(ask);
}

static void test_writer_that_is_killed__frees_its_slot_after_a_while(void **state)
{
	struct child child = start(enter_and_wait);

	await_answer(&child);
	assert_true(slots_load(slots, 3) == LAYER_SLOT_BUSY);
	kill_child(&child);
	assert_true(slots_load(slots, 3) == LAYER_SLOT_BUSY);
	assert_free_again(3);
}

/* What it sent may still lie in memcached's socket. */
static void test_writer_that_is_killed__keeps_its_slot_for_a_grace(void **state)
{
	struct child child = start(enter_and_wait);

	await_answer(&child);
	kill_child(&child);
	assert_true(busy_for(3) >= CLOCK_NS_PER_S);
}

static void test_doubter_that_is_killed__frees_its_slot_after_a_while(void **state)
{
	struct child child = start(doubt_and_wait);

	await_answer(&child);
	kill_child(&child);
	assert_true(slots_load(slots, 3) == LAYER_SLOT_BUSY);
	assert_free_again(3);
}

static void test_writer_that_is_alive__keeps_its_slot(void **state)
{
	struct child child = start(enter_and_wait);

	await_answer(&child);
	assert_never_free(3);
	kill(child.pid, SIGSTOP);
	assert_never_free(3);
	kill(child.pid, SIGCONT);
	tell(&child);
	await_answer(&child);
	assert_true(slots_load(slots, 3) != LAYER_SLOT_BUSY);
	kill_child(&child);
}

static void test_writer_beside_a_killed_one__keeps_the_slot(void **state)
{
	struct child living = start(enter_and_wait);
	struct child killed = start(enter_and_wait);

	await_answer(&living);
	await_answer(&killed);
	kill_child(&killed);
	assert_never_free(3);
	assert_int_equal(atomic_load(&slots->words[3]) & SLOTS_IN_FLIGHT, 1);
	tell(&living);
	await_answer(&living);
	assert_true(slots_load(slots, 3) != LAYER_SLOT_BUSY);
	kill_child(&living);
}

static void test_two_that_doubt_a_slot__must_both_settle(void **state)
{
	struct child one = start(doubt_and_wait);
	struct child two = start(doubt_and_wait);

	await_answer(&one);
	await_answer(&two);
	tell(&one);
	await_answer(&one);
	assert_true(slots_load(slots, 3) == LAYER_SLOT_BUSY);
	tell(&two);
	await_answer(&two);
	assert_true(slots_load(slots, 3) != LAYER_SLOT_BUSY);
	kill_child(&one);
	kill_child(&two);
}

/* A slot that living writers enter and leave all the time must be repaired too. */
static void test_slot_that_others_write_on__is_repaired(void **state)
{
	struct child child = start(enter_and_wait);
	bool free_once = false;

	await_answer(&child);
	kill_child(&child);
	for (int i = 0; i < 200 && !free_once; i++) {
		struct slots_ticket ticket;

		slots_enter(slots, 3, CLOCK_NEVER, &ticket);
		slots_leave(slots, &ticket);
		free_once = slots_load(slots, 3) != LAYER_SLOT_BUSY;
		now_ns += 50 * CLOCK_NS_PER_MS;
		clock_fake(now_ns, 1);
	}
	assert_true(free_once);
}

/* Nobody meets the slot meanwhile; the grace of all of them must pass at once. */
static void test_slot_of_many_killed__is_free_after_one_grace(void **state)
{
	for (int i = 0; i < MANY; i++) {
		struct child child = start(i % 2 ? enter_and_wait : doubt_and_wait);

		await_answer(&child);
		kill_child(&child);
	}
	assert_true(busy_for(3) < 3 * CLOCK_NS_PER_S);
	assert_int_equal(atomic_load(&slots->words[3]) & SLOTS_IN_FLIGHT, 0);
}

/* --- many that are killed at random instants --- */

static uint32_t random_from(uint64_t *random, uint32_t below)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return (uint32_t)(*random >> 33) % below;
}

static void write_at_random(int ask, int answer)
{
	struct slots_doubts *doubts[2] = { NULL };
	uint64_t random = (uint64_t)getpid() * 2654435761U | 1;

	be_a_process();
	say(answer);
	for (;;) {
		size_t slot = random_from(&random, HELD);
		struct slots_doubts **own = &doubts[random_from(&random, 2)];
		struct slots_ticket ticket;

		slots_enter(slots, slot, CLOCK_NEVER, &ticket);
		if (random_from(&random, 2)) {
			slots_leave(slots, &ticket);
		} else {
			slots_doubt(slots, &ticket, own);
		}
		if (random_from(&random, 4) == 0) {
			slots_settle(slots, *own);
		} else if (random_from(&random, 40) == 0) {
			slots_abandon(slots, own);
		}
	}
}

static void hold_two(int ask, int answer)
{
	struct slots_doubts *doubts = NULL;
	struct slots_ticket entered;
	struct slots_ticket doubted;

	be_a_process();
	slots_enter(slots, HELD, CLOCK_NEVER, &entered);
	slots_enter(slots, DOUBTED, CLOCK_NEVER, &doubted);
	slots_doubt(slots, &doubted, &doubts);
	say(answer);
	wait_for(ask);
	slots_leave(slots, &entered);
	slots_settle(slots, doubts);
	say(answer);
	wait_for(ask);
}

static int64_t wall_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void test_writers_killed_at_any_instruction__leave_nothing_behind(void **state)
{
	struct child holder = start(hold_two);
	int64_t end = wall_ms() + KILLING_S * 1000;
	int busy_seen = 0;
	int kills = 0;

	await_answer(&holder);
	for (; kills < KILLS && (kills < KILLS_LEAST || wall_ms() < end); kills++) {
		struct child child = start(write_at_random);

		if (kills == KILLS_LEAST / 2) {
			kill(holder.pid, SIGSTOP);
		}
		/* Half of them are killed while they write, however slow their start is. */
		if (kills % 2) {
			await_answer(&child);
		}
		usleep((useconds_t)rand() % 2000);
		kill_child(&child);
		for (size_t slot = 0; slot < HELD; slot++) {
			busy_seen += slots_load(slots, slot) == LAYER_SLOT_BUSY;
			assert_free_again(slot);
		}
		assert_true(slots_load(slots, HELD) == LAYER_SLOT_BUSY);
		assert_true(slots_load(slots, DOUBTED) == LAYER_SLOT_BUSY);
	}
	/* Else nothing was killed in the middle of anything. */
	assert_true(busy_seen > kills / 20);
	kill(holder.pid, SIGCONT);
	tell(&holder);
	await_answer(&holder);
	assert_true(slots_load(slots, HELD) != LAYER_SLOT_BUSY);
	assert_true(slots_load(slots, DOUBTED) != LAYER_SLOT_BUSY);
	kill_child(&holder);
	assert_int_equal(slots->head->unrecorded, 0);
	assert_true(slots->head->records_used < 64);
}

/* --- exec --- */

/* main() of the program that a writer has become. */
static int after_exec(const char *table)
{
	snprintf(path, sizeof(path), "%s", table);
	now_ns = 1000 * CLOCK_NS_PER_S;
	clock_fake(now_ns, 1);
	slots = open_table();
	return slots && slots_load(slots, 3) == LAYER_SLOT_BUSY && becomes_free(slots, 3, STEPS)
		       ? 0
		       : 1;
}

static void enter_and_exec(int ask, int answer)
{
	struct slots_ticket ticket;

	be_a_process();
	slots_enter(slots, 3, CLOCK_NEVER, &ticket);
	execl("/proc/self/exe", "test_slots_killed", "--after-exec", path, (char *)NULL);
	_exit(2);
}

static void enter_and_exec_another(int ask, int answer)
{
	struct slots_ticket ticket;

	be_a_process();
	slots_enter(slots, 3, CLOCK_NEVER, &ticket);
	say(answer);
	execlp("sleep", "sleep", "100", (char *)NULL);
	_exit(2);
}

static void test_program_after_exec__repairs_what_it_was_before(void **state)
{
	struct child child = start(enter_and_exec);

	assert_int_equal(finish(&child), 0);
}

static void test_exec_of_another_program__keeps_the_slot_until_it_ends(void **state)
{
	struct child child = start(enter_and_exec_another);

	await_answer(&child);
	assert_never_free(3);
	kill_child(&child);
	assert_free_again(3);
}

/* --- many processes --- */

static void write_once(int ask, int answer)
{
	struct slots_ticket ticket;

	be_a_process();
	slots_enter(slots, (uint64_t)getpid(), CLOCK_NEVER, &ticket);
	slots_leave(slots, &ticket);
}

static void test_fork_storm__uses_records_again(void **state)
{
	struct child children[STORM_AT_ONCE];

	for (int i = 0; i < STORM / STORM_AT_ONCE; i++) {
		for (int n = 0; n < STORM_AT_ONCE; n++) {
			children[n] = start(write_once);
		}
		for (int n = 0; n < STORM_AT_ONCE; n++) {
			assert_int_equal(finish(&children[n]), 0);
		}
	}
	for (size_t slot = 0; slot < N_SLOTS; slot++) {
		assert_true(slots_load(slots, slot) != LAYER_SLOT_BUSY);
	}
	assert_int_equal(slots->head->unrecorded, 0);
	assert_true(slots->head->records_used < 8 * STORM_AT_ONCE);
}

/* --- pid namespaces --- */

/* In the first process of a pid namespace: enters, judges the parent's slot 4 when asked. */
static void live_elsewhere(int ask, int answer)
{
	struct slots_ticket ticket;

	slots_child(slots);
	slots_claim(slots);
	slots_enter(slots, 3, CLOCK_NEVER, &ticket);
	say(answer);
	wait_for(ask);
	if (becomes_free(slots, 4, STEPS)) {
		_exit(3);
	}
	say(answer);
	wait_for(ask);
	slots_leave(slots, &ticket);
}

static void elsewhere(bool own_proc, int ask, int answer)
{
	int status;
	pid_t pid;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (unshare(CLONE_NEWPID | CLONE_NEWNS) != 0) {
		fprintf(stderr, "unshare: %s\n", strerror(errno));
		_exit(4);
	}
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* What we mount stays ours; in a chroot "/" is no mount point, but /proc is. */
		if (own_proc && ((mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 &&
				  mount(NULL, "/proc", NULL, MS_REC | MS_PRIVATE, NULL) != 0) ||
				 mount("proc", "/proc", "proc", 0, NULL) != 0)) {
			fprintf(stderr, "mount: %s\n", strerror(errno));
			_exit(5);
		}
		live_elsewhere(ask, answer);
		_exit(0);
	}
	close(answer);
	waitpid(pid, &status, 0);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 6);
}

static void elsewhere_with_proc(int ask, int answer)
{
	elsewhere(true, ask, answer);
}

static void elsewhere_without_proc(int ask, int answer)
{
	elsewhere(false, ask, answer);
}

static void nobody_is_taken_for_dead(void (*body)(int ask, int answer))
{
	struct child child = start(body);
	struct slots_ticket ticket;

	slots_enter(slots, 4, CLOCK_NEVER, &ticket);
	await_answer(&child);
	assert_never_free(3);
	tell(&child);
	await_answer(&child);
	assert_true(slots_load(slots, 4) == LAYER_SLOT_BUSY);
	slots_leave(slots, &ticket);
	assert_true(slots_load(slots, 4) != LAYER_SLOT_BUSY);
	tell(&child);
	assert_int_equal(finish(&child), 0);
	assert_true(slots_load(slots, 3) != LAYER_SLOT_BUSY);
}

static void test_process_of_another_pid_namespace__is_never_taken_for_dead(void **state)
{
	nobody_is_taken_for_dead(elsewhere_with_proc);
}

static void test_process_with_the_proc_of_others__neither_judges_nor_is_judged(void **state)
{
	nobody_is_taken_for_dead(elsewhere_without_proc);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_writer_that_is_killed__frees_its_slot_after_a_while),
		TEST(test_writer_that_is_killed__keeps_its_slot_for_a_grace),
		TEST(test_doubter_that_is_killed__frees_its_slot_after_a_while),
		TEST(test_writer_that_is_alive__keeps_its_slot),
		TEST(test_writer_beside_a_killed_one__keeps_the_slot),
		TEST(test_two_that_doubt_a_slot__must_both_settle),
		TEST(test_slot_that_others_write_on__is_repaired),
		TEST(test_slot_of_many_killed__is_free_after_one_grace),
		TEST(test_writers_killed_at_any_instruction__leave_nothing_behind),
		TEST(test_program_after_exec__repairs_what_it_was_before),
		TEST(test_exec_of_another_program__keeps_the_slot_until_it_ends),
		TEST(test_fork_storm__uses_records_again),
		TEST(test_process_of_another_pid_namespace__is_never_taken_for_dead),
		TEST(test_process_with_the_proc_of_others__neither_judges_nor_is_judged),
	};

	if (argc == 3 && strcmp(argv[1], "--after-exec") == 0) {
		return after_exec(argv[2]);
	}
	return cmocka_run_group_tests_name("slots_killed", tests, NULL, NULL);
}
