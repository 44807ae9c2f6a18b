/* Is one sum shared out over the processes of a domain as they come and go? */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "core/budget.h"

#define HOST_BYTES (UINT64_C(100) << 20)
#define OWN_BYTES (UINT64_C(40) << 20)
#define START_NS (1000 * CLOCK_NS_PER_S)

struct layer {
	uint64_t max_bytes;
	unsigned n_told;
};

static const struct stats_names names = { NULL, 0, NULL, 0 };
static char folder[64];
static char path[96];
static struct layer layer;
static struct tower tower;

static void set_budget(struct layer *told, uint64_t max_bytes)
{
	told->max_bytes = max_bytes;
	told->n_told++;
}

static const struct layer_ops with_budget = { .name = "memory", .set_budget = set_budget };
static const struct layer_ops without_budget = { .name = "memcached" };

static int set_up(void **state)
{
	strcpy(folder, "/dev/shm/tower-test-XXXXXX");
	if (!mkdtemp(folder)) {
		return -1;
	}
	snprintf(path, sizeof(path), "%s/stats", folder);
	memset(&tower, 0, sizeof(tower));
	memset(&layer, 0, sizeof(layer));
	tower.config.memory_host_max_bytes = HOST_BYTES;
	tower.config.memory_max_bytes = OWN_BYTES;
	tower.layers[0] = (struct tower_layer){ &with_budget, &layer, STATS_MEMORY };
	tower.layers[1] = (struct tower_layer){ &without_budget, NULL, STATS_MEMCACHED };
	tower.n_layers = 2;
	tower.stats = stats_open(path, "unit", &names);
	clock_fake(START_NS, 1700000000);
	return tower.stats && tower.stats->file ? 0 : -1;
}

static int tear_down(void **state)
{
	clock_fake(0, 0);
	stats_close(&tower.stats);
	unlink(path);
	return rmdir(folder);
}

/* A process that counts, until it is killed. */
static pid_t start_process(void)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		stats_child(tower.stats);
		stats_claim(tower.stats);
		if (write(ready[1], "", 1) == 1) {
			pause();
		}
		_exit(1);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static void kill_process(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void look_at(int64_t seconds)
{
	clock_fake(START_NS + seconds * CLOCK_NS_PER_S, 1700000000 + seconds);
	budget_keep(&tower);
}

static void test_share__is_even_and_no_more_than_ones_own(void **state)
{
	assert_int_equal(budget_share(100, 40, 1), 40);
	assert_int_equal(budget_share(100, 40, 2), 40);
	assert_int_equal(budget_share(100, 40, 3), 33);
	assert_int_equal(budget_share(100, 40, 100), 1);
	/* Not known: as many as there can be. */
	assert_int_equal(budget_share(10240, 40, 0), 10);
}

static void test_processes_come_and_go__shares_follow(void **state)
{
	pid_t pids[9];

	look_at(0);
	assert_int_equal(layer.max_bytes, OWN_BYTES);
	for (unsigned i = 0; i < 9; i++) {
		pids[i] = start_process();
	}
	look_at(1);
	assert_int_equal(layer.max_bytes, HOST_BYTES / 10);
	for (unsigned i = 0; i < 5; i++) {
		kill_process(pids[i]);
	}
	/* Each look asks a few of the living whether they live. */
	look_at(2);
	look_at(3);
	assert_int_equal(layer.max_bytes, HOST_BYTES / 5);
	for (unsigned i = 5; i < 9; i++) {
		kill_process(pids[i]);
	}
	look_at(4);
	assert_int_equal(layer.max_bytes, OWN_BYTES);
	assert_int_equal(layer.n_told, 5);
}

static void test_within_a_second__nobody_looks_again(void **state)
{
	pid_t pid;

	look_at(0);
	pid = start_process();
	kill_process(start_process());
	clock_fake(START_NS + CLOCK_NS_PER_S - 1, 1700000000);
	budget_keep(&tower);
	assert_int_equal(layer.n_told, 1);
	/* But what has become another process does. */
	budget_reset(&tower);
	budget_keep(&tower);
	assert_int_equal(layer.n_told, 2);
	assert_int_equal(layer.max_bytes, OWN_BYTES);
	kill_process(pid);
}

static void test_no_host_budget__nobody_is_told(void **state)
{
	tower.config.memory_host_max_bytes = 0;
	look_at(0);
	assert_int_equal(layer.n_told, 0);
}

static void test_unknown_number_of_processes__assumes_the_most(void **state)
{
	stats_leave(tower.stats);
	look_at(0);
	assert_int_equal(layer.max_bytes, HOST_BYTES / STATS_BLOCKS_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_share__is_even_and_no_more_than_ones_own),
		TEST(test_processes_come_and_go__shares_follow),
		TEST(test_within_a_second__nobody_looks_again),
		TEST(test_no_host_budget__nobody_is_told),
		TEST(test_unknown_number_of_processes__assumes_the_most),
	};

	return cmocka_run_group_tests_name("budget", tests, NULL, NULL);
}
