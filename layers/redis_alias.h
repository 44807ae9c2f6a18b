/*
 * redis_alias.h - memcached servers that hosts call differently: `name=server`,
 * separated by commas.  A name is what programs use ("host:port", or the path of a
 * socket), a server what it is called in Redis, the same on every host.
 *
 * Any thread; nothing allocates.
 */
#ifndef TOWER_LAYERS_REDIS_ALIAS_H
#define TOWER_LAYERS_REDIS_ALIAS_H

#include <stddef.h>

/* NUL included. */
#define REDIS_ALIAS_MAX 256

/* NULL, or a static sentence that says what is wrong with the list. */
const char *redis_alias_check(const char *list);

/*
 * What the server (as machine_name_server() has it) is called in Redis: `server`, or
 * ret_name, filled.
 */
const char *redis_alias_of(const char *list, const char *server, char ret_name[REDIS_ALIAS_MAX]);

#endif
