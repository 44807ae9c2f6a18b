#include "tests/coherence/deep.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/coherence/ask.h"
#include "tests/coherence/board.h"
#include "tests/coherence/relay.h"

#define NS_PER_MS UINT64_C(1000000)
#define PATIENCE_MS 2000
#define EVICT_US 100

bool deep_open(struct deep *deep)
{
	*deep = (struct deep){ .server = server_start_redis(NULL) };
	return deep->server != NULL;
}

void deep_close(struct deep *deep)
{
	server_stop(&deep->server);
}

void deep_environment(const struct deep *deep)
{
	char url[256];

	snprintf(url, sizeof(url), "unix://%s", server_socket(deep->server));
	setenv("TOWER_LAYERS", "memory, memcached, redis", 1);
	setenv("TOWER_REDIS_URL", url, 1);
	setenv("TOWER_REDIS_PROMOTE", "always", 1);
	setenv("TOWER_REDIS_BREAKER_RETRY", "100ms", 1);
	setenv("TOWER_LOG_LEVEL", "error", 1);
}

void deep_environment_of_several(const char *board_path)
{
	char path[200], url[256];

	relay_path(board_path, path, sizeof(path));
	snprintf(url, sizeof(url), "unix://%s", path);
	setenv("TOWER_REDIS_URL", url, 1);
	setenv("TOWER_LAYERS", "memcached, redis", 1);
	/* However busy this machine is, marks arrive. */
	setenv("TOWER_REDIS_TIMEOUT", "5s", 1);
	setenv("TOWER_REDIS_CONNECT_TIMEOUT", "5s", 1);
}

/* Sends it and waits for whatever comes, which may be nothing. */
static bool command(const struct deep *deep, const char *text, char *ret, size_t n)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct pollfd wait = { .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
			       .events = POLLIN };
	bool well = false;
	ssize_t got;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", server_socket(deep->server));
	if (wait.fd >= 0 && connect(wait.fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
	    dprintf(wait.fd, "%s\r\n", text) > 0 && poll(&wait, 1, PATIENCE_MS) == 1) {
		got = recv(wait.fd, ret, n - 1, 0);
		well = got > 0;
		ret[well ? got : 0] = '\0';
	}
	if (wait.fd >= 0) {
		close(wait.fd);
	}
	return well;
}

static void tell(const struct deep *deep, const char *text)
{
	char answer[256];

	command(deep, text, answer, sizeof(answer));
}

uint64_t deep_hits(const struct deep *deep)
{
	char answer[8192];
	const char *at;

	if (!command(deep, "INFO stats", answer, sizeof(answer))) {
		return deep->hits;
	}
	at = strstr(answer, "\nkeyspace_hits:");
	return deep->hits + (at ? strtoull(strchr(at, ':') + 1, NULL, 10) : 0);
}

enum trouble {
	KILLED,
	SAVED,
	FULL,
	READ_ONLY,
	SCRIPTS_LOST,
	EMPTIED,
	STOPPED,
	STOPPED_AGAIN,
	STOPPED_MOSTLY,
	TROUBLES
};

static enum trouble choose_trouble(const struct deep *deep)
{
	static const enum trouble mild[] = { SAVED, FULL, FULL, SCRIPTS_LOST };

	if (!deep->mild) {
		return (enum trouble)(rand() % TROUBLES);
	}
	/* After a new generation nothing is kept for some seconds. */
	if (rand() % 40 == 0) {
		return rand() % 2 ? KILLED : EMPTIED;
	}
	return mild[rand() % 4];
}

static void begin_trouble(struct deep *deep, uint64_t now)
{
	uint64_t lasts_ms = 5 + (uint64_t)rand() % 300;

	deep->n_troubles++;
	deep->undo = NULL;
	switch (choose_trouble(deep)) {
	case KILLED:
		/* Back with an older snapshot, and maybe no write in between. */
		deep->hits = deep_hits(deep);
		server_kill(deep->server, SIGKILL);
		server_restart(deep->server);
		lasts_ms = 0;
		break;
	case SAVED:
		tell(deep, "SAVE");
		lasts_ms = 0;
		break;
	case FULL:
		deep->undo = "CONFIG SET maxmemory 0";
		tell(deep, "CONFIG SET maxmemory 1");
		break;
	case READ_ONLY:
		/* Of a leader that is not there: read-only, and another history afterwards. */
		deep->undo = "REPLICAOF NO ONE";
		tell(deep, "REPLICAOF 127.0.0.1 1");
		break;
	case SCRIPTS_LOST:
		tell(deep, "SCRIPT FLUSH");
		lasts_ms = 0;
		break;
	case EMPTIED:
		tell(deep, "FLUSHALL");
		lasts_ms = 0;
		break;
	default:
		server_kill(deep->server, SIGSTOP);
		break;
	}
	deep->until_ns = lasts_ms ? now + lasts_ms * NS_PER_MS : 0;
}

static void end_trouble(struct deep *deep)
{
	if (deep->undo) {
		tell(deep, deep->undo);
	} else {
		server_kill(deep->server, SIGCONT);
	}
	deep->until_ns = 0;
}

void deep_disturb(struct deep *deep, uint64_t now)
{
	if (deep->until_ns) {
		if (now >= deep->until_ns) {
			end_trouble(deep);
			deep->next_ns = now + (uint64_t)(rand() % 400) * NS_PER_MS;
		}
	} else if (now >= deep->next_ns) {
		begin_trouble(deep, now);
		deep->next_ns = now + (uint64_t)(rand() % 400) * NS_PER_MS;
	}
}

void deep_calm(struct deep *deep)
{
	if (deep->until_ns) {
		end_trouble(deep);
	}
}

int deep_evict(const struct worker_job *job)
{
	struct board *board = board_map(job->board_path);
	int fd = ask_open(job->socket);

	if (board == NULL || fd < 0) {
		return EXIT_FAILURE;
	}
	while (atomic_load(&board->phase) != BOARD_END) {
		char name[16];

		snprintf(name, sizeof(name), "abc%02u", (unsigned)rand() % job->variant->n_keys);
		if (!ask_delete(fd, name)) {
			return EXIT_FAILURE;
		}
		usleep(EVICT_US);
	}
	close(fd);
	return EXIT_SUCCESS;
}
