/*
 * What a hierarchy costs a program without any library: such requests as tower sends, over two
 * sockets, and nothing done with the answers.  It sleeps until an answer is there; tower gives way
 * to a server on its own processor first, and so may take less.
 *
 * usage: bare MEMCACHED REDIS WORKLOAD OPERATIONS
 *
 *   get   a key that is nowhere: memcached, then one MGET of Redis
 *   set   a mark in Redis and a set of memcached at once; then a commit that nobody waits for
 *
 * Prints nanoseconds per operation.
 */
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "side.h"

#define VALUE "%0100d"
#define KEY_TITLE                                                                                  \
	"tower:1:{memcached.socket:0@00000000-0000-0000-0000-000000000000}:0123456789abcdef:"

struct text {
	char bytes[1024];
	size_t n;
};

static int open_socket(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval most = { .tv_sec = 5 };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	check(strlen(path) < sizeof(address.sun_path), "the path is too long");
	strcpy(address.sun_path, path);
	check(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0,
	      "no connection");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most));
	return fd;
}

static void send_all(int fd, const struct text *text)
{
	check(send(fd, text->bytes, text->n, MSG_NOSIGNAL) == (ssize_t)text->n, "a send failed");
}

/* Until so many lines have come. */
static void receive(int fd, unsigned n_lines)
{
	char bytes[4096];

	while (n_lines) {
		ssize_t n = recv(fd, bytes, sizeof(bytes), 0);

		check(n > 0, "a receive failed");
		for (ssize_t i = 0; i < n; i++) {
			check(n_lines > 0 || bytes[i] == 0, "more came than was asked for");
			n_lines -= bytes[i] == '\n';
		}
	}
}

/* Keys are those of one run alone, so that how long the answers are is known. */
enum { KEYS = 10000 };

static void get(int memcached, int redis, unsigned run, size_t i)
{
	struct text line;
	struct text command;
	char key[32];
	int n_key = snprintf(key, sizeof(key), "%x:%08zx", run, i);

	line.n = (size_t)snprintf(line.bytes, sizeof(line.bytes), "get %s \r\n", key);
	command.n = (size_t)snprintf(command.bytes, sizeof(command.bytes),
				     "*4\r\n$4\r\nMGET\r\n$%zu\r\n" KEY_TITLE
				     "r:%s\r\n$%zu\r\n" KEY_TITLE "b:%s\r\n$10\r\ngeneration\r\n",
				     strlen(KEY_TITLE) + 2 + (size_t)n_key, key,
				     strlen(KEY_TITLE) + 2 + (size_t)n_key, key);
	send_all(memcached, &line);
	receive(memcached, 1);
	send_all(redis, &command);
	receive(redis, 5);
}

static void set(int memcached, int redis, unsigned run, size_t i)
{
	struct text line;
	struct text mark;
	struct text commit;
	char key[32];
	int n_key = snprintf(key, sizeof(key), "%x:%08zx", run, i % KEYS);
	size_t n_name = strlen(KEY_TITLE) + 2 + (size_t)n_key;

	line.n = (size_t)snprintf(line.bytes, sizeof(line.bytes), "set %s 0 0 100\r\n" VALUE "\r\n",
				  key, 0);
	mark.n = (size_t)snprintf(mark.bytes, sizeof(mark.bytes),
				  "*6\r\n$3\r\nSET\r\n$%zu\r\n" KEY_TITLE "r:%s\r\n$17\r\nP%016zx"
				  "\r\n$2\r\nPX\r\n$7\r\n3600000\r\n$3\r\nGET\r\n"
				  "*2\r\n$3\r\nGET\r\n$10\r\ngeneration\r\n",
				  n_name, key, i);
	commit.n = (size_t)snprintf(commit.bytes, sizeof(commit.bytes),
				    "*5\r\n$3\r\nSET\r\n$%zu\r\n" KEY_TITLE "b:%s\r\n$173\r\n"
				    "%073d" VALUE "\r\n$2\r\nPX\r\n$7\r\n3600000\r\n",
				    n_name, key, 0, 0);
	send_all(redis, &mark);
	send_all(memcached, &line);
	receive(memcached, 1);
	/* The commit's before, the mark's, the generation's. */
	receive(redis, (i > 0) + (i < KEYS ? 1 : 2) + 2);
	send_all(redis, &commit);
}

int main(int argc, char **argv)
{
	struct text generation;
	void (*ask)(int, int, unsigned, size_t);
	unsigned run = (unsigned)now_ns();
	size_t operations;
	uint64_t start;
	int memcached;
	int redis;

	if (argc != 5 || (strcmp(argv[3], "get") != 0 && strcmp(argv[3], "set") != 0)) {
		fprintf(stderr, "usage: bare MEMCACHED REDIS get|set OPERATIONS\n");
		return 2;
	}
	memcached = open_socket(argv[1]);
	redis = open_socket(argv[2]);
	ask = strcmp(argv[3], "get") == 0 ? get : set;
	operations = strtoul(argv[4], NULL, 10);
	check(operations > 0, "operations: a number above 0");
	/* As long as tower's. */
	generation.n =
		(size_t)snprintf(generation.bytes, sizeof(generation.bytes),
				 "*3\r\n$3\r\nSET\r\n$10\r\ngeneration\r\n$97\r\n%097d\r\n", 0);
	send_all(redis, &generation);
	receive(redis, 1);
	start = now_ns();
	for (size_t i = 0; i < operations; i++) {
		ask(memcached, redis, run, i);
	}
	printf("%.1f\n", (double)(now_ns() - start) / (double)operations);
	return 0;
}
