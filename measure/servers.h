/*
 * servers.h - a private memcached and a private Redis, on unix sockets in a temporary folder.
 *
 * They write nothing to disk but what they have to say, and end with us.  One thread.
 */
#ifndef TOWER_MEASURE_SERVERS_H
#define TOWER_MEASURE_SERVERS_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#define SERVERS_PATH_MAX 108 /* what a socket's address holds */
#define SERVERS_WHY_MAX 1024
#define SERVERS_VERSION_MAX 32

struct servers {
	char folder[SERVERS_PATH_MAX - 16];
	char memcached[SERVERS_PATH_MAX]; /* socket; empty: none */
	char redis[SERVERS_PATH_MAX];
	pid_t memcached_pid;
	pid_t redis_pid;
	char memcached_version[SERVERS_VERSION_MAX]; /* of what was started last */
	char redis_version[SERVERS_VERSION_MAX];
};

struct servers_options {
	bool memcached;
	bool redis;
	uint64_t memcached_bytes;
	uint64_t redis_bytes; /* 0: no limit; else what was not used for longest goes */
	/* Starting is given up where it becomes true; borrowed. */
	const volatile sig_atomic_t *interrupted;
};

/*
 * Asks the server at this address.  ret_rest (SERVERS_VERSION_MAX bytes) is what stands behind
 * `expected` in its answer, up to the end of the line.  False where it is not there, says something
 * else, or does not answer within some seconds; errno says which, 0 for something else.
 */
bool servers_ask(const struct sockaddr *address, socklen_t n_address, const char *question,
		 const char *expected, char *ret_rest);

/* Makes the folder.  False: errno says why. */
bool servers_open(struct servers *servers);

/* Starts new, empty ones.  False: ret_why (SERVERS_WHY_MAX bytes) says why. */
bool servers_start(struct servers *servers, const struct servers_options *options, char *ret_why);

void servers_stop(struct servers *servers);

/* Stops them and removes the folder. */
void servers_close(struct servers *servers);

#endif
