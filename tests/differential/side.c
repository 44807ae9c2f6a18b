#include "tests/differential/side.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/differential/differential.h"

#define END_STEPS 2000
#define STEP_MS 5

static const char *const names[SIDE_SERVERS] = { DIFFERENTIAL_SERVER_1, DIFFERENTIAL_SERVER_2 };

bool side_open(struct side *side, const struct side_plan *plan, unsigned number,
	       const char *clock_library, const char *folder)
{
	*side = (struct side){ .plan = plan, .number = number };
	snprintf(side->folder, sizeof(side->folder), "%s/%s", folder, plan->name);
	if (mkdir(side->folder, 0700) != 0) {
		perror(side->folder);
		return false;
	}
	servers_preload(clock_library);
	for (int i = 0; i < SIDE_SERVERS; i++) {
		char link_path[PATH_MAX + 8];

		side->servers[i] = server_start_memcached(plan->memcached_args);
		if (side->servers[i] == NULL) {
			return false;
		}
		snprintf(link_path, sizeof(link_path), "%s/%s", side->folder, names[i]);
		/* By the same name on both sides, because error messages contain it. */
		if (symlink(server_socket(side->servers[i]), link_path) != 0) {
			perror(link_path);
			return false;
		}
	}
	if (plan->has_redis) {
		side->redis = server_start_redis(NULL);
	}
	return !plan->has_redis || side->redis;
}

static void tell_of_redis(const struct side *side)
{
	char url[PATH_MAX];

	if (side->redis) {
		snprintf(url, sizeof(url), "unix://%s", server_socket(side->redis));
		setenv("TOWER_REDIS_URL", url, 1);
		/* An answer that a busy machine keeps back is a miss, and no difference. */
		setenv("TOWER_REDIS_TIMEOUT", "20s", 1);
		setenv("TOWER_REDIS_CONNECT_TIMEOUT", "20s", 1);
	}
}

static const char *sequence_of(const struct side_plan *plan)
{
	if (plan->is_big) {
		return "big";
	}
	return plan->has_expiries ? "expiries" : "servers";
}

static void __attribute__((noreturn))
become_worker(const struct side *side, unsigned number, const char *clock_library,
	      const char *board_path, uint64_t seed)
{
	const struct side_plan *plan = side->plan;
	char program[PATH_MAX] = "";
	char preload[2 * PATH_MAX], place[12], numeral[12], seed_text[24], key_max[24];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (readlink("/proc/self/exe", program, sizeof(program) - 1) < 0 ||
	    chdir(side->folder) != 0) {
		_exit(EXIT_FAILURE);
	}
	snprintf(preload, sizeof(preload), "%s%s%s", clock_library, plan->preload ? ":" : "",
		 plan->preload ? plan->preload : "");
	setenv("LD_PRELOAD", preload, 1);
	for (const char *const *pair = plan->environment; *pair; pair += 2) {
		setenv(pair[0], pair[1], 1);
	}
	tell_of_redis(side);
	snprintf(place, sizeof(place), "%u", side->number);
	snprintf(numeral, sizeof(numeral), "%u", number);
	snprintf(seed_text, sizeof(seed_text), "%llu", (unsigned long long)seed);
	snprintf(key_max, sizeof(key_max), "%zu", plan->key_max);
	execl(program, program, "worker", board_path, place, numeral, seed_text, key_max,
	      sequence_of(plan), (char *)NULL);
	_exit(EXIT_FAILURE);
}

bool side_start(struct side *side, const char *clock_library, const char *board_path,
		unsigned n_workers, uint64_t seed)
{
	for (unsigned i = 0; i < n_workers; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			become_worker(side, i, clock_library, board_path, seed);
		}
		if (pid < 0) {
			perror("fork");
			return false;
		}
		side->workers[i] = pid;
	}
	return true;
}

bool side_has_ended(struct side *side, unsigned worker, int *ret_status)
{
	int status;

	if (side->workers[worker] == 0 ||
	    waitpid(side->workers[worker], &status, WNOHANG) != side->workers[worker]) {
		return false;
	}
	side->workers[worker] = 0;
	*ret_status = status;
	return true;
}

bool side_finish(struct side *side)
{
	bool well = true;

	for (unsigned i = 0; i < BOARD_WORKERS_MAX; i++) {
		int status = 0;

		for (int n = 0; side->workers[i] != 0 && n < END_STEPS; n++) {
			if (!side_has_ended(side, i, &status)) {
				poll(NULL, 0, STEP_MS);
			}
		}
		if (side->workers[i] != 0 || status != 0) {
			fprintf(stderr, "%s: worker %u ends with status %#x\n", side->plan->name, i,
				(unsigned)status);
			well = false;
		}
	}
	return well;
}

void side_close(struct side *side)
{
	for (unsigned i = 0; i < BOARD_WORKERS_MAX; i++) {
		if (side->workers[i] > 0) {
			kill(side->workers[i], SIGKILL);
			waitpid(side->workers[i], NULL, 0);
		}
	}
	for (int i = 0; i < SIDE_SERVERS; i++) {
		server_stop(&side->servers[i]);
	}
	server_stop(&side->redis);
}
