#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/hash.h"
#include "tests/faults/lib/deep.h"

struct server *deep_server;
struct redis_shared *deep_shared;
struct redis_filter *deep_filter;
struct redis_seen deep_seen;
struct layer_counters deep_counts;
struct layer_counters *deep_counters = &deep_counts;
char deep_url[256];

void *deep_alloc(void *owner, size_t n)
{
	return owner ? NULL : malloc(n);
}

void deep_free(void *owner, void *bytes)
{
	free(bytes);
}

static void *map_shared(size_t n)
{
	void *start = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return start == MAP_FAILED ? NULL : start;
}

int deep_setup_empty(void **state)
{
	if (deep_shared == NULL) {
		deep_shared = map_shared(sizeof(*deep_shared));
		deep_filter = map_shared(redis_filter_bytes());
		if (deep_shared == NULL || deep_filter == NULL) {
			return -1;
		}
	}
	memset((void *)deep_shared, 0, sizeof(*deep_shared));
	memset((void *)deep_filter, 0, redis_filter_bytes());
	/* Whatever it has forgotten, it is the same domain. */
	deep_shared->domain = 1;
	memset(&deep_seen, 0, sizeof(deep_seen));
	memset(&deep_counts, 0, sizeof(deep_counts));
	return 0;
}

int deep_setup(void **state)
{
	deep_server = server_start_redis(NULL);
	if (deep_server) {
		snprintf(deep_url, sizeof(deep_url), "unix://%s", server_socket(deep_server));
	}
	return deep_server ? deep_setup_empty(state) : -1;
}

int deep_teardown(void **state)
{
	server_stop(&deep_server);
	return 0;
}

struct redis_options deep_options(int64_t timeout_ns)
{
	return (struct redis_options){
		.url = deep_url,
		.name_space = "test:",
		.version = 1,
		.ttl_ns = 3600 * CLOCK_NS_PER_S,
		.connect_timeout_ns = timeout_ns,
		.timeout_ns = timeout_ns,
		.breaker_retry_ns = DEEP_RETRY_NS,
		.max_connections = 4,
		.max_item_bytes = 1 << 20,
		.seen = &deep_seen,
	};
}

struct layer *deep_with(const struct redis_options *options)
{
	const char *why = "memory";
	struct redis_options whole = *options;
	struct layer *layer;

	whole.filter = deep_filter;
	layer = redis_open(&whole, deep_shared, &deep_counters, &why);

	if (layer == NULL) {
		fail_msg("%s", why);
	}
	return layer;
}

static struct redis_shared *other_shared;

struct layer *deep_of_other(const struct redis_options *options)
{
	const char *why = "memory";
	struct layer *layer;

	free(other_shared);
	other_shared = aligned_alloc(64, sizeof(*other_shared));
	assert_non_null(other_shared);
	memset((void *)other_shared, 0, sizeof(*other_shared));
	layer = redis_open(options, other_shared, &deep_counters, &why);
	if (layer == NULL) {
		fail_msg("%s", why);
	}
	return layer;
}

struct layer *deep_open(int64_t timeout_ns)
{
	struct redis_options options = deep_options(timeout_ns);

	return deep_with(&options);
}

struct layer_key deep_key(const char *wire)
{
	return (struct layer_key){
		.wire = wire,
		.n_wire = strlen(wire),
		.hash = hash_bytes(wire, strlen(wire)),
		.server = "cache:11211",
	};
}

struct layer_write deep_write_of(enum layer_verb verb, const char *key, const char *value)
{
	return (struct layer_write){
		.verb = verb,
		.key = deep_key(key),
		.value = value,
		.n_value = value ? strlen(value) : 0,
		.flags = 0xdeadbeef,
		.deadline_ns = CLOCK_NEVER,
		.changes_expiry = true,
		.awaited = true,
		.outcome = LAYER_DONE,
	};
}

/* As the core does it around a call that memcached answers like this. */
void deep_write(struct layer *layer, struct layer_write *write, bool alone)
{
	redis_ops.announce(layer, write);
	redis_ops.mark(layer, write);
	redis_ops.marked(layer, write);
	write->alone = alone;
	redis_ops.commit(layer, write);
}

void deep_wrote(struct layer *layer, enum layer_verb verb, const char *key, const char *value)
{
	struct layer_write write = deep_write_of(verb, key, value);

	deep_write(layer, &write, true);
}

void deep_set(struct layer *layer, const char *key, const char *value)
{
	deep_wrote(layer, LAYER_SET, key, value);
}

struct layer_batch deep_batch(struct layer_item *items, size_t n)
{
	return (struct layer_batch){
		.items = items,
		.n_items = n,
		.allocator = { deep_alloc, deep_free, NULL },
	};
}

/* The answer; the value, where there is one, into a buffer of the caller's. */
enum layer_answer deep_get_in(struct layer *layer, const char *key, uint64_t slot,
			      char ret_value[64])
{
	struct layer_item item = { .key = deep_key(key), .slot = slot, .answer = LAYER_MISS };
	struct layer_batch batch = deep_batch(&item, 1);

	redis_ops.get(layer, &batch);
	ret_value[0] = '\0';
	if (item.answer == LAYER_HIT && item.n_value) {
		snprintf(ret_value, 64, "%s", item.value);
		free(item.value);
	}
	return item.answer;
}

uint64_t deep_slot(void)
{
	static _Atomic uint64_t slot = 1000; /* several threads ask */

	return atomic_fetch_add(&slot, 1);
}

enum layer_answer deep_get(struct layer *layer, const char *key, char ret_value[64])
{
	return deep_get_in(layer, key, deep_slot(), ret_value);
}

void deep_flush(struct layer *layer)
{
	static const char *const servers[] = { "cache:11211" };

	redis_ops.flush_servers(layer, servers, 1);
}

/* A commit is not waited for: on another connection it comes a moment later. */
enum layer_answer deep_get_committed(struct layer *layer, const char *key, char ret_value[64])
{
	int64_t give_up = clock_now_ns() + DEEP_PATIENCE_NS;
	enum layer_answer answer;

	while ((answer = deep_get(layer, key, ret_value)) == LAYER_MISS &&
	       clock_now_ns() < give_up) {
		poll(NULL, 0, 1);
	}
	return answer;
}

void deep_expect_hit(struct layer *layer, const char *key, const char *value)
{
	char found[64];

	assert_int_equal(deep_get_committed(layer, key, found), LAYER_HIT);
	assert_string_equal(found, value);
}

void deep_expect(struct layer *layer, const char *key, enum layer_answer answer)
{
	char found[64];

	assert_int_equal(deep_get(layer, key, found), answer);
}

unsigned deep_n_unclean(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < REDIS_SERVERS_MAX; i++) {
		n += redis_server_unclean(&deep_shared->servers[i]) != 0;
	}
	return n;
}

/* Nothing is unmarked, nobody unclean. */
void deep_expect_clean(bool clean)
{
	unsigned n = deep_n_unclean() + redis_shared_n_unmarked(deep_shared);

	assert_int_equal(n == 0, clean);
	assert_int_equal(deep_seen.unmarked, n);
}

/* Until the layer can be asked again: breakers and cleaning take their time. */
enum layer_answer deep_get_when_up(struct layer *layer, const char *key)
{
	int64_t give_up = clock_now_ns() + DEEP_PATIENCE_NS;
	enum layer_answer answer;
	char found[64];

	while ((answer = deep_get(layer, key, found)) == LAYER_DOWN && clock_now_ns() < give_up) {
		poll(NULL, 0, 1);
	}
	return answer;
}

/* A command of redis-cli's kind; the first line of the answer. */
int deep_connect(const struct server *server)
{
	struct sockaddr_un local = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(local.sun_path, server_socket(server));
	assert_int_equal(connect(fd, (struct sockaddr *)&local, sizeof(local)), 0);
	return fd;
}

const char *deep_ask(int fd, const char *text)
{
	static char answer[4096];
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	ssize_t n;

	dprintf(fd, "%s\r\n", text);
	assert_int_equal(poll(&wait, 1, DEEP_PATIENCE_NS / CLOCK_NS_PER_MS), 1);
	n = recv(fd, answer, sizeof(answer) - 1, 0);
	assert_true(n > 0);
	answer[n] = '\0';
	return answer;
}

const char *deep_command_to(const struct server *server, const char *text)
{
	int fd = deep_connect(server);
	const char *answer = deep_ask(fd, text);

	close(fd);
	return answer;
}

unsigned deep_n_reads(const struct server *server)
{
	const char *at =
		strstr(deep_command_to(server, "INFO commandstats"), "cmdstat_mget:calls=");

	return at ? (unsigned)strtoul(strchr(at, '=') + 1, NULL, 10) : 0;
}

int deep_listen(const struct server *server)
{
	char text[64];

	assert_string_equal(deep_command_to(server, "CONFIG SET bind 127.0.0.1"), "+OK\r\n");
	/* Redis takes a port while it runs; a free one is found by trying. */
	for (int port = 20000 + (int)(getpid() % 20000); port < 65000; port++) {
		snprintf(text, sizeof(text), "CONFIG SET port %d", port);
		if (strcmp(deep_command_to(server, text), "+OK\r\n") == 0) {
			return port;
		}
	}
	fail();
	return 0;
}

void deep_wait_for(const struct server *server, const char *text, const char *part)
{
	int64_t give_up = clock_now_ns() + DEEP_PATIENCE_NS;

	while (strstr(deep_command_to(server, text), part) == NULL) {
		assert_true(clock_now_ns() < give_up);
		poll(NULL, 0, 5);
	}
}

const char *deep_command(const char *text)
{
	return deep_command_to(deep_server, text);
}

void deep_expect_command(const char *text, const char *answer)
{
	assert_string_equal(deep_command(text), answer);
}

/* There is one store and one server in it. */
static struct redis_server *the_server(void)
{
	for (unsigned i = 0; i < REDIS_SERVERS_MAX; i++) {
		if (deep_shared->servers[i].name) {
			return &deep_shared->servers[i];
		}
	}
	fail();
	return NULL;
}

/* A failure that no list could hold. */
void deep_soil(void)
{
	redis_shared_soil(deep_shared, the_server());
}

/* The number that the bulk answer begins with. */
unsigned long long deep_generation(void)
{
	const char *answer = deep_command("GET " DEEP_GENERATION);

	assert_int_equal(*answer, '$');
	assert_non_null(strchr(answer, '\n'));
	return strtoull(strchr(answer, '\n') + 1, NULL, 16);
}

const char *deep_generation_text(void)
{
	static char text[256];
	const char *at = strchr(deep_command("GET " DEEP_GENERATION), '\n');

	assert_non_null(at);
	snprintf(text, sizeof(text), "%.*s", (int)strcspn(at + 1, "\r"), at + 1);
	return text;
}

const char *deep_writers(void)
{
	static char writers[64];

	assert_int_equal(sscanf(deep_generation_text(), "%*s %*s %*s %63s", writers), 1);
	return writers;
}

void deep_move_generation(long long began_by_ms, long long since_by_ms)
{
	char number[32], identity[64], writers[32], text[512];
	unsigned long long began, since;

	assert_int_equal(sscanf(deep_generation_text(), "%31s %63s %llu %31s %llu", number,
				identity, &began, writers, &since),
			 5);
	snprintf(text, sizeof(text), "SET " DEEP_GENERATION " \"%s %s %llu %s %llu\"", number,
		 identity, began + began_by_ms, writers, since + since_by_ms);
	deep_expect_command(text, "+OK\r\n");
}

void deep_age_generation(void)
{
	deep_move_generation(-2 * REDIS_MARK_MS, -2 * REDIS_MARK_MS);
}

/* The one record (':r:') or body (':b:') there is. */
static const char *only(const char *pattern)
{
	static char keys[2][512];
	char *key = keys[pattern[12] == 'b'];
	char *at = strrchr((char *)deep_command(pattern), '$');

	assert_non_null(at);
	at = strchr(at, '\n') + 1;
	snprintf(key, sizeof(keys[0]), "%.*s", (int)strcspn(at, "\r"), at);
	return key;
}

const char *deep_only_record(void)
{
	return only("KEYS test*:r:*");
}

const char *deep_only_body(void)
{
	return only("KEYS test*:b:*");
}

bool deep_own_keys_are_right(struct layer *layer, int who, int rounds)
{
	bool well = true;

	for (int i = 0; i < rounds; i++) {
		char key[32], value[32], found[64];
		enum layer_answer answer;

		snprintf(key, sizeof(key), "key-%d-%d", who, i % 16);
		snprintf(value, sizeof(value), "value-%d-%d", who, i);
		deep_set(layer, key, value);
		answer = deep_get_committed(layer, key, found);
		/* DOWN: all connections were in use. */
		well = well &&
		       (answer == LAYER_DOWN || (answer == LAYER_HIT && strcmp(found, value) == 0));
	}
	return well;
}
