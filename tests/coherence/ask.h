/* ask.h - memcached without libmemcached, hence without the shim. */
#ifndef TOWER_TESTS_COHERENCE_ASK_H
#define TOWER_TESTS_COHERENCE_ASK_H

#include <stdbool.h>
#include <stdint.h>

/* A connection to the unix socket, or -1. */
int ask_open(const char *socket);

/* One number of the command "stats"; false where it is not to be had. */
bool ask_stat(int fd, const char *name, uint64_t *ret);

/* Deletes a key, whether it is there or not. */
bool ask_delete(int fd, const char *key);

/* Stores a text for good. */
bool ask_set(int fd, const char *key, const char *text);

#endif
