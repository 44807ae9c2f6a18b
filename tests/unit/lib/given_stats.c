#include "tests/unit/lib/given_stats.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

char given_stats_folder[64];
char given_stats_path[96];

static const struct stats_names names = { .n_calls = 0 };

int given_stats_set_up(void **state)
{
	strcpy(given_stats_folder, "/dev/shm/tower-test-XXXXXX");
	if (!mkdtemp(given_stats_folder)) {
		return -1;
	}
	snprintf(given_stats_path, sizeof(given_stats_path), "%s/stats", given_stats_folder);
	return 0;
}

int given_stats_tear_down(void **state)
{
	unlink(given_stats_path);
	return rmdir(given_stats_folder);
}

struct stats *given_stats_try_open(void)
{
	return stats_open(given_stats_path, "unit", &names);
}

struct stats *given_stats_open(void)
{
	struct stats *stats = given_stats_try_open();

	assert_non_null(stats);
	return stats;
}

struct stats_snapshot *given_stats_snapshot(void)
{
	struct stats_snapshot *snapshot;

	assert_int_equal(stats_snapshot_take(given_stats_path, &snapshot), STATS_OK);
	return snapshot;
}

uint64_t given_stats_total_calls(void)
{
	struct stats_snapshot *snapshot = given_stats_snapshot();
	uint64_t n = snapshot->total.calls[0];

	stats_snapshot_free(&snapshot);
	return n;
}
