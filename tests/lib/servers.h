/*
 * servers.h - private servers for tests.
 *
 * Every server has a temporary folder of its own under $TMPDIR (or /tmp where
 * that is too long for a unix socket), listens on a unix socket there or on a
 * free loopback port, and dies with the thread that started it.  Whoever
 * starts one stops it by server_stop(); what a killed test leaves behind is
 * one folder under $TMPDIR, which tests/run removes.
 *
 * A started server has answered a request.  Functions that fail say why on
 * stderr.  One thread at a time per server.
 */
#ifndef TOWER_TESTS_LIB_SERVERS_H
#define TOWER_TESTS_LIB_SERVERS_H

#include <stdbool.h>
#include <sys/types.h>

struct server;

/*
 * What servers that are started from now on have preloaded; NULL: nothing.
 * Borrowed.
 */
void servers_preload(const char *library);

/*
 * NULL where it cannot be had.  `extra_args` (NULL: none) are separated by
 * blanks, without quoting, and come last, so that they overrule the defaults:
 * Redis writes nothing to disk, memcached has 64 MB.
 */
struct server *server_start_redis(const char *extra_args);
struct server *server_start_memcached(const char *extra_args);

/* On 127.0.0.1 and a free port, which server_restart() keeps. */
struct server *server_start_memcached_tcp(const char *extra_args);

/* The unix socket's path, or NULL for a server on a port.  Borrowed; outlives restarts. */
const char *server_socket(const struct server *server);

/* 0 for a server on a unix socket. */
unsigned short server_port(const struct server *server);

/* 0 while none runs. */
pid_t server_pid(const struct server *server);

/* SIGSTOP, SIGCONT, SIGKILL, ...; does not wait. */
void server_kill(struct server *server, int signal_number);

/* Whether it ended within so many milliseconds; true where none runs. */
bool server_wait_exit(struct server *server, int timeout_ms);

/*
 * The same command in the same folder, on the same socket or port; a server
 * that still runs is killed first.  Redis loads what it saved (SAVE, BGSAVE),
 * memcached is empty.
 */
bool server_restart(struct server *server);

/* Kills it, even a stopped one, waits for its end and removes its folder. */
void server_stop(struct server **server);

#endif
