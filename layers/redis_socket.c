#include "layers/redis_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

#include "base/clock.h"

enum redis_wire_status redis_socket_wait(int fd, short events, int64_t deadline_ns,
					 short *ret_ready)
{
	struct pollfd wanted = { .fd = fd, .events = events };

	for (;;) {
		int64_t left = deadline_ns - clock_now_ns();
		int n;

		if (left <= 0) {
			return REDIS_WIRE_TIMEOUT;
		}
		n = poll(&wanted, 1, (int)((left + CLOCK_NS_PER_MS - 1) / CLOCK_NS_PER_MS));
		if (n > 0) {
			*ret_ready = wanted.revents;
			return REDIS_WIRE_OK;
		}
		if (n < 0 && errno != EINTR) {
			return REDIS_WIRE_CLOSED;
		}
	}
}

int redis_socket_open(int family)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int moved, on = 1;

	if (fd >= 0 && fd <= STDERR_FILENO) {
		moved = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
		close(fd);
		fd = moved;
	}
	if (fd >= 0 && family != AF_UNIX) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	}
	return fd;
}

enum redis_wire_status redis_socket_connect(int fd, const struct sockaddr *address,
					    socklen_t n_address, int64_t deadline_ns)
{
	enum redis_wire_status status;
	int error = 0;
	socklen_t n = sizeof(error);
	short ready;

	if (connect(fd, address, n_address) == 0) {
		return REDIS_WIRE_OK;
	}
	/* Interrupted, it goes on by itself.  EAGAIN: a unix socket's queue is full. */
	if (errno != EINPROGRESS && errno != EINTR) {
		return REDIS_WIRE_UNREACHABLE;
	}
	status = redis_socket_wait(fd, POLLOUT, deadline_ns, &ready);
	if (status != REDIS_WIRE_OK) {
		return status;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0) {
		return REDIS_WIRE_UNREACHABLE;
	}
	if (error != 0) {
		errno = error;
		return REDIS_WIRE_UNREACHABLE;
	}
	return REDIS_WIRE_OK;
}
