/*
 * given.h - servers that the user names: `--servers` and `--redis`.
 *
 * Nothing is measured with one that does not answer: a hierarchy without its server looks
 * fast.  ret_why has GIVEN_WHY_MAX bytes and is set where the answer is false.  One thread.
 */
#ifndef TOWER_MEASURE_GIVEN_H
#define TOWER_MEASURE_GIVEN_H

#include <stdbool.h>

#include "core/config.h"

#define GIVEN_WHY_MAX 512

/* Whether it is a list of HOST:PORT and paths of sockets, separated by commas. */
bool given_servers_are(const char *list, char *ret_why);

/* Whether it is the url of a Redis. */
bool given_redis_is(const char *url, char *ret_why);

/*
 * Whether each of them, and the Redis, answers within some seconds.  Either may be NULL: none; both
 * are as the two above want them.
 */
bool given_answer(const char *list, const char *redis, char *ret_why);

/*
 * What a run leaves in a Redis after its keys were deleted: the generation of each memcached
 * server of the list under the configured namespace, which must be the run's own.  Where it
 * cannot be removed now, it stays.
 */
void given_forget(const struct config *config, const char *list);

#endif
