/*
 * redis_socket.h - the socket of a connection to Redis: made, connected, waited for.
 *
 * Non-blocking and O_CLOEXEC.  Any thread.
 */
#ifndef TOWER_LAYERS_REDIS_SOCKET_H
#define TOWER_LAYERS_REDIS_SOCKET_H

#include <stdint.h>
#include <sys/socket.h>

#include "layers/redis_wire.h"

/* -1 where it cannot be had.  Never 0 to 2, on which a host may print after closing them. */
int redis_socket_open(int family);

enum redis_wire_status redis_socket_connect(int fd, const struct sockaddr *address,
					    socklen_t n_address, int64_t deadline_ns);

/*
 * For any of poll's events; those that came, where it is REDIS_WIRE_OK.  Up to a
 * millisecond late: poll() is what libmemcached waits with, so a filter of system calls
 * that lets the program use memcached lets it use Redis.
 */
enum redis_wire_status redis_socket_wait(int fd, short events, int64_t deadline_ns,
					 short *ret_ready);

#endif
