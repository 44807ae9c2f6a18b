#include "tests/coherence/relay.h"

#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/coherence/board.h"

#define PAIRS 64
#define CHUNK 65536
#define DELAYED_OF 4
#define DELAY_US 4000
#define NS_PER_US UINT64_C(1000)

/* A client and its connection to Redis; client -1: free. */
struct pair {
	int client, server;
	uint64_t due_ns; /* when what was kept back goes on; 0: there is nothing */
	ssize_t n;
	char kept[CHUNK];
};

void relay_path(const char *board_path, char *ret_path, size_t n)
{
	snprintf(ret_path, n, "%s.relay", board_path);
}

static struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	return address;
}

static void end(struct pair *pair)
{
	close(pair->client);
	if (pair->server >= 0) {
		close(pair->server);
	}
	pair->client = -1;
}

static void admit(struct pair *pairs, int listener, const char *redis_path)
{
	struct sockaddr_un redis = address_of(redis_path);
	int client = accept(listener, NULL, NULL);

	for (int i = 0; i < PAIRS && client >= 0; i++) {
		struct pair *pair = &pairs[i];

		if (pair->client >= 0) {
			continue;
		}
		pair->client = client;
		pair->server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		pair->due_ns = 0;
		if (connect(pair->server, (struct sockaddr *)&redis, sizeof(redis)) != 0) {
			end(pair);
		}
		return;
	}
	if (client >= 0) {
		close(client);
	}
}

static bool pass_on(int fd, const char *bytes, ssize_t n)
{
	while (n > 0) {
		ssize_t sent = send(fd, bytes, (size_t)n, MSG_NOSIGNAL);

		if (sent <= 0) {
			return false;
		}
		bytes += sent;
		n -= sent;
	}
	return true;
}

static bool from_client(struct pair *pair, uint64_t now)
{
	pair->n = recv(pair->client, pair->kept, sizeof(pair->kept), 0);
	pair->due_ns = now;
	if (rand() % DELAYED_OF == 0) {
		pair->due_ns += (uint64_t)(rand() % DELAY_US) * NS_PER_US;
	}
	return pair->n > 0;
}

static bool from_server(struct pair *pair)
{
	static char bytes[CHUNK];
	ssize_t n = recv(pair->server, bytes, sizeof(bytes), 0);

	return n > 0 && pass_on(pair->client, bytes, n);
}

/* Nothing is read of a client while something of it is kept back. */
static uint64_t look(const struct pair *pairs, struct pollfd *polls, uint64_t wait_ns, uint64_t now)
{
	for (int i = 0; i < PAIRS; i++) {
		const struct pair *pair = &pairs[i];

		polls[2 * i] = (struct pollfd){ pair->due_ns ? -1 : pair->client, POLLIN, 0 };
		polls[2 * i + 1] =
			(struct pollfd){ pair->client < 0 ? -1 : pair->server, POLLIN, 0 };
		if (pair->client >= 0 && pair->due_ns && pair->due_ns - now < wait_ns) {
			wait_ns = pair->due_ns > now ? pair->due_ns - now : 0;
		}
	}
	return wait_ns;
}

static void serve(struct pair *pair, const struct pollfd *polls, uint64_t now)
{
	bool well = true;

	if (pair->client < 0) {
		return;
	}
	if (polls[0].revents) {
		well = from_client(pair, now);
	}
	if (well && pair->due_ns && pair->due_ns <= now) {
		well = pass_on(pair->server, pair->kept, pair->n);
		pair->due_ns = 0;
	}
	if (well && polls[1].revents) {
		well = from_server(pair);
	}
	if (!well) {
		end(pair);
	}
}

int relay_run(const char *board_path, const char *redis_path)
{
	static struct pair pairs[PAIRS];
	static struct pollfd polls[2 * PAIRS + 1];
	struct board *board = board_map(board_path);
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address;
	char path[sizeof(address.sun_path)];

	relay_path(board_path, path, sizeof(path));
	address = address_of(path);
	if (board == NULL || bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
	    listen(listener, PAIRS) != 0) {
		perror(path);
		return EXIT_FAILURE;
	}
	for (int i = 0; i < PAIRS; i++) {
		pairs[i].client = -1;
	}
	polls[2 * PAIRS] = (struct pollfd){ listener, POLLIN, 0 };
	while (atomic_load(&board->phase) != BOARD_END) {
		uint64_t now = board_now_ns();
		uint64_t wait_ns = look(pairs, polls, BOARD_NS_PER_S / 20, now);
		struct timespec wait = { 0, (long)wait_ns };

		ppoll(polls, 2 * PAIRS + 1, &wait, NULL);
		now = board_now_ns();
		for (int i = 0; i < PAIRS; i++) {
			serve(&pairs[i], &polls[2 * i], now);
		}
		if (polls[2 * PAIRS].revents) {
			admit(pairs, listener, redis_path);
		}
	}
	unlink(path);
	return EXIT_SUCCESS;
}
