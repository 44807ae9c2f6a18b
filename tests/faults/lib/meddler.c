#include "tests/faults/lib/meddler.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LOOK_MS 20
#define CHUNK_BYTES 16384

const char *const meddler_babble[] = {
	"HTTP/1.1 400 Bad Request\r\n\r\n",
	"-ERR\r\n",
	"-LOADING Redis is loading the dataset in memory\r\n",
	"-MASTERDOWN Link with MASTER is down\r\n-MASTERDOWN\r\n",
	":1\r\n",
	":1\r\n:1\r\n:1\r\n:1\r\n",
	"$-1\r\n$-1\r\n",
	"$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n",
	"+OK\r\n+OK\r\n",
	"*-1\r\n*-1\r\n",
	"*0\r\n*0\r\n",
	"*2\r\n$1\r\na\r\n$1\r\nb\r\n",
	"*2\r\n*2\r\n*2\r\n:1\r\n:1\r\n:1\r\n:1\r\n",
	"*1000000000\r\n",
	"$1000000000\r\nx",
	"$-2\r\n",
	"$9999999999999999999999\r\n",
	"$5\r\nab\r\n\r\n$1\r\nx\r\n",
	"$1\r\nxyz\r\n",
	"\r\n\r\n\r\n",
	"$",
};
const unsigned meddler_n_babble = sizeof(meddler_babble) / sizeof(*meddler_babble);

struct meddler {
	int listener;
	unsigned short port;
	char redis[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	pthread_t thread;
	atomic_bool ends;
	_Atomic unsigned mode; /* enum meddler_mode below 16 bits of n */
	atomic_uint n_accepted;
	atomic_uint n_open;
};

struct relay {
	struct meddler *meddler;
	int client;
	int redis;
};

static bool pass_on(int to, const char *bytes, size_t n)
{
	while (n > 0) {
		ssize_t sent = send(to, bytes, n, MSG_NOSIGNAL);

		if (sent <= 0) {
			return false;
		}
		bytes += sent;
		n -= (size_t)sent;
	}
	return true;
}

/* Whatever is still to come is refused. */
static bool reset(int fd)
{
	const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	return false;
}

static bool flood(int fd)
{
	static const char head[] = "$1000000000\r\n";
	char bytes[CHUNK_BYTES];

	memset(bytes, 'x', sizeof(bytes));
	if (!pass_on(fd, head, sizeof(head) - 1)) {
		return false;
	}
	while (pass_on(fd, bytes, sizeof(bytes))) {
	}
	return false;
}

/* False: the connection ends. */
static bool answer(const struct relay *relay, const char *bytes, size_t n)
{
	unsigned word = atomic_load(&relay->meddler->mode);
	unsigned number = word & 0xffff;

	switch ((enum meddler_mode)(word >> 16)) {
	case MEDDLER_SWALLOWS:
		return true;
	case MEDDLER_RESETS:
		pass_on(relay->client, bytes, n < number ? n : number);
		/* Or what was sent would be lost with it. */
		poll(NULL, 0, 1);
		return reset(relay->client);
	case MEDDLER_BABBLES:
		return pass_on(relay->client, meddler_babble[number],
			       strlen(meddler_babble[number]));
	case MEDDLER_FLOODS:
		return flood(relay->client);
	case MEDDLER_DELAYS:
		poll(NULL, 0, (int)number);
		break;
	case MEDDLER_RELAYS:
		break;
	}
	return pass_on(relay->client, bytes, n);
}

static bool relay_some(const struct relay *relay, char *bytes)
{
	struct pollfd wait[] = { { .fd = relay->client, .events = POLLIN },
				 { .fd = relay->redis, .events = POLLIN } };
	unsigned mode;
	ssize_t n;

	poll(wait, 2, LOOK_MS);
	mode = atomic_load(&relay->meddler->mode) >> 16;
	if (wait[0].revents) {
		n = recv(relay->client, bytes, CHUNK_BYTES, 0);
		if (n <= 0 ||
		    (mode != MEDDLER_SWALLOWS && !pass_on(relay->redis, bytes, (size_t)n))) {
			return false;
		}
	}
	if (wait[1].revents) {
		n = recv(relay->redis, bytes, CHUNK_BYTES, 0);
		if (n <= 0 || !answer(relay, bytes, (size_t)n)) {
			return false;
		}
	}
	return !atomic_load(&relay->meddler->ends);
}

static void *run_relay(void *argument)
{
	struct relay *relay = argument;
	char bytes[CHUNK_BYTES];

	while (relay_some(relay, bytes)) {
	}
	close(relay->client);
	close(relay->redis);
	atomic_fetch_sub(&relay->meddler->n_open, 1);
	free(relay);
	return NULL;
}

static int connect_to(const char *path)
{
	struct sockaddr_un local = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(local.sun_path, path);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&local, sizeof(local)) != 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static void begin_relay(struct meddler *meddler, int client)
{
	struct relay *relay = calloc(1, sizeof(*relay));
	pthread_t thread;

	if (relay == NULL) {
		abort();
	}
	*relay = (struct relay){ meddler, client, connect_to(meddler->redis) };
	atomic_fetch_add(&meddler->n_open, 1);
	if (relay->redis < 0 || pthread_create(&thread, NULL, run_relay, relay) != 0) {
		close(client);
		close(relay->redis);
		atomic_fetch_sub(&meddler->n_open, 1);
		free(relay);
		return;
	}
	pthread_detach(thread);
}

static void *run(void *argument)
{
	struct meddler *meddler = argument;
	int client;

	while ((client = accept(meddler->listener, NULL, NULL)) >= 0) {
		atomic_fetch_add(&meddler->n_accepted, 1);
		begin_relay(meddler, client);
	}
	return NULL;
}

struct meddler *meddler_start(const struct server *redis)
{
	struct sockaddr_in loopback = { .sin_family = AF_INET };
	struct meddler *meddler = calloc(1, sizeof(*meddler));
	socklen_t n = sizeof(loopback);

	if (meddler == NULL) {
		return NULL;
	}
	strcpy(meddler->redis, server_socket(redis));
	loopback.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	meddler->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(meddler->listener, (struct sockaddr *)&loopback, n) != 0 ||
	    listen(meddler->listener, 64) != 0 ||
	    getsockname(meddler->listener, (struct sockaddr *)&loopback, &n) != 0 ||
	    pthread_create(&meddler->thread, NULL, run, meddler) != 0) {
		close(meddler->listener);
		free(meddler);
		return NULL;
	}
	meddler->port = ntohs(loopback.sin_port);
	return meddler;
}

unsigned short meddler_port(const struct meddler *meddler)
{
	return meddler->port;
}

void meddler_set(struct meddler *meddler, enum meddler_mode mode, unsigned n)
{
	atomic_store(&meddler->mode, (unsigned)mode << 16 | n);
}

unsigned meddler_n_accepted(const struct meddler *meddler)
{
	return atomic_load(&meddler->n_accepted);
}

void meddler_stop(struct meddler **meddler)
{
	struct meddler *old = *meddler;

	*meddler = NULL;
	if (old == NULL) {
		return;
	}
	atomic_store(&old->ends, true);
	shutdown(old->listener, SHUT_RDWR);
	pthread_join(old->thread, NULL);
	while (atomic_load(&old->n_open)) {
		poll(NULL, 0, 1);
	}
	close(old->listener);
	free(old);
}
