#include "tests/coherence/run.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/coherence/ask.h"

#define TICK_US 5000
#define START_NS (20 * BOARD_NS_PER_S)
#define END_NS (30 * BOARD_NS_PER_S) /* longer than the probe has patience */
#define N_IN_C 2
#define N_DOMAINS 2
#define NS_PER_MS UINT64_C(1000000)

static void log_path(const struct run *run, unsigned number, char *ret, size_t n)
{
	snprintf(ret, n, "%s.log.%u", run->board_path, number);
}

static bool store_counters(const struct run *run)
{
	for (unsigned key = 0; key < run->variant->n_keys; key++) {
		char name[32];

		snprintf(name, sizeof(name), "abc%02u", key);
		if (!ask_set(run->control, name, "0")) {
			return false;
		}
	}
	return true;
}

bool run_open(struct run *run, const struct variant *variant, const char *library)
{
	const char *parent = getenv("TMPDIR");

	*run = (struct run){ .variant = variant, .library = library, .control = -1 };
	snprintf(run->domain, sizeof(run->domain), "litmus-%d-%s", (int)getpid(), variant->name);
	snprintf(run->folder, sizeof(run->folder), "%s/litmus.XXXXXX", parent ? parent : "/tmp");
	if (mkdtemp(run->folder) == NULL) {
		perror(run->folder);
		return false;
	}
	snprintf(run->board_path, sizeof(run->board_path), "%s/board", run->folder);
	snprintf(run->end_path, sizeof(run->end_path), "%s/end", run->folder);
	run->board = board_map(run->board_path);
	run->server = server_start_memcached("-t 2 -m 64");
	if (run->server) {
		run->control = ask_open(server_socket(run->server));
	}
	if (run->board == NULL || run->control < 0 ||
	    ((variant->traits & VARIANT_DEEP) && !deep_open(&run->deep)) ||
	    ((variant->traits & VARIANT_COUNTERS) && !store_counters(run))) {
		fprintf(stderr, "litmus: cannot start: %s\n", strerror(errno));
		run_close(run);
		return false;
	}
	run->deep.mild = variant->traits & VARIANT_DOMAINS;
	atomic_store(&run->board->judges_split, run->deep.mild);
	return true;
}

static void remove_shared_files(const struct run *run)
{
	char pattern[128];
	glob_t found;

	snprintf(pattern, sizeof(pattern), "/dev/shm/tower*-%u-%s*", (unsigned)geteuid(),
		 run->domain);
	if (glob(pattern, 0, NULL, &found) == 0) {
		for (size_t i = 0; i < found.gl_pathc; i++) {
			unlink(found.gl_pathv[i]);
		}
		globfree(&found);
	}
}

static void end_by_force(pid_t pid)
{
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
}

void run_close(struct run *run)
{
	for (size_t i = 0; i < BOARD_WORKERS; i++) {
		if (run->workers[i] > 0) {
			kill(run->workers[i], SIGKILL);
			waitpid(run->workers[i], NULL, 0);
			run->workers[i] = 0;
		}
	}
	end_by_force(run->evictor);
	end_by_force(run->relay);
	if (run->control >= 0) {
		close(run->control);
	}
	deep_close(&run->deep);
	server_stop(&run->server);
	if (run->board) {
		munmap(run->board, sizeof(*run->board));
		run->board = NULL;
	}
	for (unsigned i = 0; i < run->variant->n_workers; i++) {
		char path[PATH_MAX + 64];

		log_path(run, i, path, sizeof(path));
		unlink(path);
	}
	unlink(run->end_path);
	unlink(run->board_path);
	rmdir(run->folder);
	remove_shared_files(run);
}

/* --- workers --- */

/* The first workers of the variant "languages" are in C, then one in PHP, others in Python. */
static void become_foreign(const struct run *run, unsigned number, const char *text)
{
	char log[PATH_MAX + 64];
	char keys[16];

	if (!(run->variant->traits & VARIANT_LANGUAGES) || number < N_IN_C) {
		return;
	}
	log_path(run, number, log, sizeof(log));
	snprintf(keys, sizeof(keys), "%u", run->variant->n_keys);
	if (number == N_IN_C) {
		execlp("php", "php", "tests/coherence/worker.php", server_socket(run->server), log,
		       text, keys, run->end_path, (char *)NULL);
	} else {
		execl("/usr/bin/python3", "python3", "tests/coherence/worker.py",
		      server_socket(run->server), log, text, keys, run->end_path, (char *)NULL);
	}
	_exit(EXIT_FAILURE);
}

/* The role is "worker", "probe", "evict" or "relay". */
static pid_t start(const struct run *run, const char *role, unsigned number)
{
	char text[16];
	char domain[96];
	pid_t parent = getpid();
	pid_t pid = fork();

	if (pid != 0) {
		return pid;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent) {
		_exit(EXIT_FAILURE);
	}
	setenv("LD_PRELOAD", run->library, 1);
	setenv("TOWER_NAME", run->domain, 1);
	if (run->variant->traits & VARIANT_DEEP) {
		deep_environment(&run->deep);
	}
	if (run->variant->traits & VARIANT_DOMAINS) {
		snprintf(domain, sizeof(domain), "%s-%u", run->domain, number % N_DOMAINS);
		setenv("TOWER_NAME", domain, 1);
		deep_environment_of_several(run->board_path);
	}
	if (run->variant->ttl) {
		setenv("TOWER_MEMORY_TTL", run->variant->ttl, 1);
	}
	if (number == 0 && strcmp(role, "worker") == 0) {
		/* One whose memory holds next to nothing sees at once what memcached holds. */
		setenv("TOWER_MEMORY_MAX_ITEMS", "1", 1);
	}
	snprintf(text, sizeof(text), "%u", number);
	become_foreign(run, number, text);
	execl("/proc/self/exe", "litmus", role, run->variant->name, run->board_path,
	      server_socket(strcmp(role, "relay") == 0 ? run->deep.server : run->server), text,
	      (char *)NULL);
	_exit(EXIT_FAILURE);
}

static unsigned in_c(const struct variant *variant)
{
	return variant->traits & VARIANT_LANGUAGES ? N_IN_C : variant->n_workers;
}

/* Whether all are ready before the time is over. */
static bool await_ready(struct run *run, unsigned n)
{
	uint64_t give_up = board_now_ns() + START_NS;

	while (atomic_load(&run->board->n_ready) < n) {
		if (board_now_ns() > give_up) {
			fprintf(stderr, "litmus: workers do not start\n");
			return false;
		}
		usleep(TICK_US);
	}
	return true;
}

/* Whether the process ends in time, and well. */
static bool await_end(pid_t *pid)
{
	uint64_t give_up = board_now_ns() + END_NS;
	int status;

	while (waitpid(*pid, &status, WNOHANG) == 0) {
		if (board_now_ns() > give_up) {
			fprintf(stderr, "litmus: process %d does not end\n", (int)*pid);
			return false;
		}
		usleep(TICK_US);
	}
	*pid = 0;
	return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
}

static bool await_ends(struct run *run)
{
	bool well = true;

	for (unsigned i = 0; i < run->variant->n_workers; i++) {
		if (run->workers[i] > 0 && !await_end(&run->workers[i])) {
			fprintf(stderr, "litmus: worker %u failed\n", i);
			well = false;
		}
	}
	return well;
}

/* --- disturbances --- */

/* False: the last one is still at it. */
static bool switched(struct run *run, int options)
{
	int status;

	if (run->switching > 0) {
		if (waitpid(run->switching, &status, options) == 0) {
			return false;
		}
		if (status != 0) {
			fprintf(stderr, "litmus: `tower disable` or `enable` failed\n");
			run->broken++;
		}
		run->switching = 0;
	}
	return true;
}

/* One `tower disable` or `enable`, of a layer or everything, at a time. */
static void switch_something(struct run *run)
{
	const char *command = rand() % 2 ? "disable" : "enable";
	static const char *const layers[] = { NULL, "memory", "redis" };
	bool deep = run->variant->traits & VARIANT_DEEP;
	const char *layer = layers[rand() % (deep ? 3 : 2)];
	char tower[PATH_MAX];

	if (!switched(run, WNOHANG)) {
		return;
	}
	snprintf(tower, sizeof(tower), "%.*s/tower",
		 (int)(strrchr(run->library, '/') - run->library), run->library);
	run->switching = fork();
	if (run->switching == 0) {
		freopen("/dev/null", "w", stdout);
		setenv("TOWER_NAME", run->domain, 1);
		execl(tower, "tower", command, layer, (char *)NULL);
		_exit(EXIT_FAILURE);
	}
}

static void kill_one(struct run *run)
{
	unsigned number = (unsigned)rand() % run->variant->n_workers;

	kill(run->workers[number], SIGKILL);
	waitpid(run->workers[number], NULL, 0);
	board_worker_died(run->board, number);
	run->stopped_until_ns[number] = 0;
	run->kills++;
	run->workers[number] = start(run, "worker", number);
}

/* Mostly for moments, now and then for longer than a repair waits. */
static void stop_one(struct run *run, uint64_t now)
{
	unsigned number = (unsigned)rand() % run->variant->n_workers;
	uint64_t for_ms = rand() % 40 ? (uint64_t)rand() % 60 : 1600;

	if ((run->variant->traits & VARIANT_DOMAINS) && rand() % 100 == 0) {
		/* Longer than a mark lives. */
		for_ms = 6000;
	}

	if (run->stopped_until_ns[number] == 0) {
		kill(run->workers[number], SIGSTOP);
		run->stopped_until_ns[number] = now + for_ms * NS_PER_MS;
	}
}

static void continue_stopped(struct run *run, uint64_t now)
{
	for (unsigned i = 0; i < run->variant->n_workers; i++) {
		if (run->stopped_until_ns[i] && run->stopped_until_ns[i] <= now) {
			kill(run->workers[i], SIGCONT);
			run->stopped_until_ns[i] = 0;
		}
	}
	if (run->server_stopped_until_ns && run->server_stopped_until_ns <= now) {
		server_kill(run->server, SIGCONT);
		run->server_stopped_until_ns = 0;
	}
}

static void disturb(struct run *run)
{
	uint64_t now = board_now_ns();
	unsigned traits = run->variant->traits;

	continue_stopped(run, now);
	if (traits & VARIANT_TROUBLES) {
		deep_disturb(&run->deep, now);
	}
	/* Where there are several domains, each may leave a key without deep copy for seconds. */
	if ((traits & VARIANT_KILLS) && rand() % (traits & VARIANT_DOMAINS ? 100 : 8) == 0) {
		kill_one(run);
	}
	if ((traits & VARIANT_STOPS) && (!(traits & VARIANT_DOMAINS) || rand() % 8 == 0)) {
		stop_one(run, now);
	}
	if ((traits & VARIANT_SWITCHES) && rand() % 4 == 0) {
		switch_something(run);
	}
	if ((traits & VARIANT_HANGS) && run->server_stopped_until_ns == 0 && rand() % 60 == 0) {
		server_kill(run->server, SIGSTOP);
		run->server_stopped_until_ns = now + (50 + (uint64_t)rand() % 100) * NS_PER_MS;
	}
}

/* A worker that ended by itself has failed, whatever it counted. */
static bool all_alive(struct run *run)
{
	for (unsigned i = 0; i < run->variant->n_workers; i++) {
		int status;

		if (waitpid(run->workers[i], &status, WNOHANG) > 0) {
			fprintf(stderr, "litmus: worker %u ended, status %#x\n", i, status);
			run->workers[i] = 0;
			run->broken++;
		}
	}
	return run->broken == 0;
}

/* --- the run --- */

static uint64_t sum(const struct run *run, size_t offset)
{
	uint64_t result = 0;

	for (size_t i = 0; i < BOARD_WORKERS; i++) {
		const char *worker = (const char *)&run->board->workers[i];

		result += atomic_load((const _Atomic uint64_t *)(worker + offset));
	}
	return result;
}

#define SUM(run, cell) sum((run), offsetof(struct board_worker, cell))

uint64_t run_violations(const struct run *run)
{
	uint64_t backwards = run->variant->traits & VARIANT_DOMAINS ? 0 : SUM(run, backwards);

	return SUM(run, stale) + SUM(run, resurrected) + backwards + SUM(run, unexplained) +
	       SUM(run, late) + SUM(run, split);
}

/*
 * The last ones were killed a moment ago.  Nobody starts or ends from now on
 * but one that looks whether every key is served from memory again, while the
 * others write on.
 */
static bool probe(struct run *run)
{
	pid_t pid;

	atomic_store(&run->board->phase, BOARD_CALM);
	pid = start(run, "probe", 0);
	return pid > 0 && await_end(&pid);
}

static void end_phase(struct run *run)
{
	int fd = open(run->end_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd >= 0) {
		close(fd);
	}
	atomic_store(&run->board->phase, BOARD_END);
}

static void count(const struct run *run, uint64_t asked, struct figures *ret)
{
	ret->gets = SUM(run, gets);
	ret->memory_hits = asked < ret->gets ? ret->gets - asked : 0;
	ret->writes = SUM(run, writes);
	ret->stale = SUM(run, stale);
	ret->resurrected = SUM(run, resurrected);
	ret->backwards = SUM(run, backwards);
	ret->unexplained = SUM(run, unexplained);
	ret->late = SUM(run, late);
	ret->split = SUM(run, split);
	ret->corrupt = SUM(run, corrupt);
	ret->failed = SUM(run, failed);
	ret->lost = SUM(run, lost);
	ret->unserved = atomic_load(&run->board->unserved);
}

/* The workers in all languages, by their logs. */
static bool check_logs(const struct run *run, uint64_t asked, struct figures *ret)
{
	char command[BOARD_WORKERS * (PATH_MAX + 64)];
	size_t n = (size_t)snprintf(command, sizeof(command),
				    "/usr/bin/python3 tests/coherence/check.py");
	FILE *check;
	int found;

	for (unsigned i = 0; i < run->variant->n_workers; i++) {
		command[n++] = ' ';
		log_path(run, i, command + n, sizeof(command) - n);
		n += strlen(command + n);
	}
	check = popen(command, "re");
	if (check == NULL) {
		return false;
	}
	found = fscanf(check,
		       "%" SCNu64 "%" SCNu64 "%" SCNu64 "%" SCNu64 "%" SCNu64 "%" SCNu64 "%" SCNu64,
		       &ret->gets, &ret->writes, &ret->stale, &ret->resurrected, &ret->backwards,
		       &ret->unexplained, &ret->corrupt);
	ret->memory_hits = asked < ret->gets ? ret->gets - asked : 0;
	return pclose(check) == 0 && found == 7;
}

/* Disturbs until the time is over, or the first violation. */
static bool go_on(struct run *run)
{
	uint64_t end = board_now_ns() + (uint64_t)(run->seconds * 1e9);

	atomic_store(&run->board->phase, BOARD_RUN);
	while (board_now_ns() < end && !(run->until_red && run_violations(run))) {
		usleep(TICK_US);
		if (!all_alive(run)) {
			return false;
		}
		disturb(run);
	}
	continue_stopped(run, UINT64_MAX);
	deep_calm(&run->deep);
	switched(run, 0);
	return true;
}

bool run_perform(struct run *run, struct figures *ret)
{
	uint64_t asked = 0;
	uint64_t evictions = 0;
	bool well;

	if (run->variant->traits & VARIANT_DOMAINS) {
		run->relay = start(run, "relay", 0);
	}
	for (unsigned i = 0; i < run->variant->n_workers; i++) {
		run->workers[i] = start(run, "worker", i);
	}
	if (run->variant->traits & VARIANT_DEEP) {
		run->evictor = start(run, "evict", 0);
	}
	if (!await_ready(run, in_c(run->variant)) || !go_on(run)) {
		return false;
	}
	if ((run->variant->traits & VARIANT_KILLS) && !(run->variant->traits & VARIANT_DEEP)) {
		well = ask_stat(run->control, "cmd_get", &asked) && probe(run);
		end_phase(run);
		well = await_ends(run) && well;
	} else {
		end_phase(run);
		well = await_ends(run) && ask_stat(run->control, "cmd_get", &asked);
	}
	well = ask_stat(run->control, "evictions", &evictions) && well;
	if (evictions) {
		fprintf(stderr, "litmus: memcached evicted, misses mean nothing\n");
	}
	if (run->variant->traits & VARIANT_LANGUAGES) {
		return check_logs(run, asked, ret) && well && evictions == 0;
	}
	if (run->variant->traits & VARIANT_DEEP) {
		ret->deep_hits = deep_hits(&run->deep);
		well = await_end(&run->evictor) && well;
	}
	if (run->relay > 0) {
		well = await_end(&run->relay) && well;
	}
	count(run, asked, ret);
	return well && evictions == 0;
}
