#include "tests/differential/timeline.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BEGIN_S INT64_C(1000000)
#define WALL_S INT64_C(1800000000) /* at the beginning: early in 2027 */
#define TRIES 100000

bool timeline_open(struct timeline *timeline, const char *path, unsigned phase_ms)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	void *mapped = MAP_FAILED;

	if (fd >= 0 && ftruncate(fd, sizeof(*timeline->page)) == 0) {
		mapped = mmap(NULL, sizeof(*timeline->page), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			      0);
	}
	if (mapped == MAP_FAILED) {
		perror(path);
		return false;
	}
	close(fd);
	timeline->page = mapped;
	timeline->begin_ns = BEGIN_S * CLOCK_NS_PER_S + phase_ms * CLOCK_NS_PER_MS;
	timeline->tick_ns = timeline->begin_ns + CLOCK_NS_PER_S;
	timeline->page->wall_ns = (WALL_S - BEGIN_S) * CLOCK_NS_PER_S;
	atomic_store(&timeline->page->now_ns, timeline->begin_ns);
	return true;
}

/* The line "STAT time" of a connection that ends with it, or -1.  Connecting wakes the timers. */
static int64_t seconds_of(const char *socket_path)
{
	static const char question[] = "stats\r\n";
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char answer[16384];
	size_t n = 0;
	int64_t seconds = -1;
	const char *line;

	strncpy(address.sun_path, socket_path, sizeof(address.sun_path) - 1);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
	    send(fd, question, sizeof(question) - 1, MSG_NOSIGNAL) > 0) {
		ssize_t got;

		do {
			got = recv(fd, answer + n, sizeof(answer) - n - 1, 0);
			n += got > 0 ? (size_t)got : 0;
			answer[n] = '\0';
			line = strstr(answer, "STAT time ");
		} while (got > 0 && (line == NULL || strchr(line, '\n') == NULL));
		if (line) {
			seconds = strtoll(line + strlen("STAT time "), NULL, 10);
		}
	}
	if (fd >= 0) {
		close(fd);
	}
	return seconds;
}

static bool wait_for_tick(const struct timeline *timeline, const struct side *sides)
{
	int64_t expected = (timeline->tick_ns + timeline->page->wall_ns) / CLOCK_NS_PER_S;

	for (int i = 0; i < BOARD_SIDES * SIDE_SERVERS; i++) {
		const char *path = server_socket(sides[i / SIDE_SERVERS].servers[i % SIDE_SERVERS]);
		int tries = 0;

		while (seconds_of(path) != expected && ++tries < TRIES) {
		}
		if (tries == TRIES) {
			fprintf(stderr, "timeline: the clock of %s is %lld instead of %lld\n", path,
				(long long)seconds_of(path), (long long)expected);
			return false;
		}
	}
	return true;
}

bool timeline_move(struct timeline *timeline, const struct side *sides, unsigned ms)
{
	int64_t end = atomic_load(&timeline->page->now_ns) + ms * CLOCK_NS_PER_MS;

	/* First exactly to the next tick, then by whole seconds: the timers keep their phase. */
	while (end >= timeline->tick_ns) {
		atomic_store(&timeline->page->now_ns, timeline->tick_ns);
		if (!wait_for_tick(timeline, sides)) {
			return false;
		}
		timeline->tick_ns += CLOCK_NS_PER_S;
		if (end - timeline->tick_ns > CLOCK_NS_PER_S) {
			timeline->tick_ns +=
				(end - timeline->tick_ns) / CLOCK_NS_PER_S * CLOCK_NS_PER_S;
		}
	}
	atomic_store(&timeline->page->now_ns, end);
	return true;
}
