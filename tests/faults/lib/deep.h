/*
 * deep.h - layer "redis" over a Redis of its own, as the core uses it, for tests.
 *
 * What the processes of a domain share lies in memory that children of fork()
 * share, too.  Every key is of the memcached server "cache:11211".  Values are C
 * strings.  Whatever is not as expected fails the test.
 */
#ifndef TOWER_TESTS_FAULTS_LIB_DEEP_H
#define TOWER_TESTS_FAULTS_LIB_DEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "layers/redis_filter.h"
#include "layers/redis_shared.h"
#include "layers/redis_write.h"
#include "tests/lib/servers.h"

/* Redis gets long where it shall answer, and short where it shall not. */
#define DEEP_LONG_NS (10 * CLOCK_NS_PER_S)
#define DEEP_SHORT_NS (500 * CLOCK_NS_PER_MS)
#define DEEP_RETRY_NS (20 * CLOCK_NS_PER_MS)
#define DEEP_PATIENCE_NS (20 * CLOCK_NS_PER_S)

#define DEEP_GENERATION "test:1:{cache:11211}:generation"

extern struct server *deep_server;
extern struct redis_shared *deep_shared;
extern struct redis_filter *deep_filter;
extern struct redis_seen deep_seen;
extern struct layer_counters deep_counts;
extern struct layer_counters *deep_counters;
extern char deep_url[256]; /* of deep_server, until a test changes it */

/* Of cmocka: with a Redis, and without. */
int deep_setup(void **state);
int deep_setup_empty(void **state);
int deep_teardown(void **state);

#define DEEP_TEST(name) cmocka_unit_test_setup_teardown(name, deep_setup, deep_teardown)
#define DEEP_TEST_ALONE(name) cmocka_unit_test_setup(name, deep_setup_empty)

/* Of a batch; with an owner there is no memory. */
void *deep_alloc(void *owner, size_t n);
void deep_free(void *owner, void *bytes);

/* At deep_url; breaker_retry is DEEP_RETRY_NS, there are 4 connections. */
struct redis_options deep_options(int64_t timeout_ns);
struct layer *deep_with(const struct redis_options *options);
struct layer *deep_open(int64_t timeout_ns);

/* Of another domain, which has forgotten everything since the last test. */
struct layer *deep_of_other(const struct redis_options *options);

struct layer_key deep_key(const char *wire);
struct layer_batch deep_batch(struct layer_item *items, size_t n);

/* That memcached has done; its deadline is never. */
struct layer_write deep_write_of(enum layer_verb verb, const char *key, const char *value);

/* As the core does it around a call that memcached answers like this. */
void deep_write(struct layer *layer, struct layer_write *write, bool alone);
void deep_wrote(struct layer *layer, enum layer_verb verb, const char *key, const char *value);
void deep_set(struct layer *layer, const char *key, const char *value);
void deep_flush(struct layer *layer);

/* Another one each time, as if somebody had written. */
uint64_t deep_slot(void);

/*
 * The answer; the value, where there is one, into a buffer of the caller's.  The slot is
 * deep_slot(), or as the test says.
 */
enum layer_answer deep_get_in(struct layer *layer, const char *key, uint64_t slot,
			      char ret_value[64]);
enum layer_answer deep_get(struct layer *layer, const char *key, char ret_value[64]);

/* A commit is not waited for: on another connection it comes a moment later. */
enum layer_answer deep_get_committed(struct layer *layer, const char *key, char ret_value[64]);

/* Until the layer can be asked again: breakers and cleaning take their time. */
enum layer_answer deep_get_when_up(struct layer *layer, const char *key);

void deep_expect_hit(struct layer *layer, const char *key, const char *value);
void deep_expect(struct layer *layer, const char *key, enum layer_answer answer);

/* Sets and gets keys that nobody else has; whether each get gave what was set, or DOWN. */
bool deep_own_keys_are_right(struct layer *layer, int who, int rounds);

/* Memcached servers of which nothing is read before a new generation. */
unsigned deep_n_unclean(void);

/* Nothing is unmarked, nobody unclean: or something is. */
void deep_expect_clean(bool clean);

/* A failure that no list could hold. */
void deep_soil(void);

/* A connection to it, and a command of redis-cli's kind there. */
int deep_connect(const struct server *server);
const char *deep_ask(int fd, const char *text);

/* The same at once; the first lines of the answer, until the next one. */
const char *deep_command_to(const struct server *server, const char *text);
const char *deep_command(const char *text);
void deep_expect_command(const char *text, const char *answer);

/* How many times a server was read. */
unsigned deep_n_reads(const struct server *server);

/* Makes it listen on a free port of 127.0.0.1, too, and says which. */
int deep_listen(const struct server *server);

/* Commands until one is answered so. */
void deep_wait_for(const struct server *server, const char *text, const char *part);

/* What stands there, and who writes: the last part of it but one. */
const char *deep_generation_text(void);
const char *deep_writers(void);

/* Both of its times are others by so much: when it began, and since when the writers are so. */
void deep_move_generation(long long began_by_ms, long long since_by_ms);

/* Makes it older than any mark, and who writes. */
void deep_age_generation(void);

/* The number that the generation in Redis begins with. */
unsigned long long deep_generation(void);

/* The one record or body there is; of each the same until the next call. */
const char *deep_only_record(void);
const char *deep_only_body(void);

#endif
