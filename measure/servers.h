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
#include <sys/types.h>

#define SERVERS_PATH_MAX 108 /* what a socket's address holds */
#define SERVERS_WHY_MAX 1024

struct servers {
	char folder[SERVERS_PATH_MAX - 16];
	char memcached[SERVERS_PATH_MAX]; /* socket; empty: none */
	char redis[SERVERS_PATH_MAX];
	pid_t memcached_pid;
	pid_t redis_pid;
	char memcached_version[32]; /* of what was started last */
	char redis_version[32];
};

struct servers_options {
	bool memcached;
	bool redis;
	uint64_t memcached_bytes;
	uint64_t redis_bytes; /* 0: no limit; else what was not used for longest goes */
	/* Starting is given up where it becomes true; borrowed. */
	const volatile sig_atomic_t *interrupted;
};

/* Makes the folder.  False: errno says why. */
bool servers_open(struct servers *servers);

/* Starts new, empty ones.  False: ret_why (SERVERS_WHY_MAX bytes) says why. */
bool servers_start(struct servers *servers, const struct servers_options *options, char *ret_why);

void servers_stop(struct servers *servers);

/* Stops them and removes the folder. */
void servers_close(struct servers *servers);

#endif
