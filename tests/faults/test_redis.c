/* What does layer "redis" answer while its Redis lies, hangs, dies and comes back? */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "layers/redis_shared.h"
#include "layers/redis_write.h"
#include "tests/lib/servers.h"

/* Redis gets long where it shall answer, and short where it shall not. */
#define LONG_NS (10 * CLOCK_NS_PER_S)
#define SHORT_NS (500 * CLOCK_NS_PER_MS)
#define RETRY_NS (20 * CLOCK_NS_PER_MS)
#define PATIENCE_NS (20 * CLOCK_NS_PER_S)

static struct server *server;
static struct redis_shared shared;
static struct redis_seen seen;
static struct layer_counters counts;
static struct layer_counters *counters = &counts;
static char url[256];

static void *plain_alloc(void *owner, size_t n)
{
	return owner ? NULL : malloc(n);
}

static void plain_free(void *owner, void *bytes)
{
	free(bytes);
}

static int setup_empty(void **state)
{
	memset((void *)&shared, 0, sizeof(shared));
	memset(&seen, 0, sizeof(seen));
	memset(&counts, 0, sizeof(counts));
	return 0;
}

static int setup(void **state)
{
	server = server_start_redis(NULL);
	if (server) {
		snprintf(url, sizeof(url), "unix://%s", server_socket(server));
	}
	return server ? setup_empty(state) : -1;
}

static int teardown(void **state)
{
	server_stop(&server);
	return 0;
}

static struct redis_options options_of(int64_t timeout_ns)
{
	return (struct redis_options){
		.url = url,
		.name_space = "test:",
		.version = 1,
		.ttl_ns = 3600 * CLOCK_NS_PER_S,
		.connect_timeout_ns = timeout_ns,
		.timeout_ns = timeout_ns,
		.breaker_retry_ns = RETRY_NS,
		.max_connections = 4,
		.max_item_bytes = 1 << 20,
		.seen = &seen,
	};
}

static struct layer *layer_with(const struct redis_options *options)
{
	const char *why = "memory";
	struct layer *layer = redis_open(options, &shared, &counters, &why);

	if (layer == NULL) {
		fail_msg("%s", why);
	}
	return layer;
}

static struct layer *layer_open(int64_t timeout_ns)
{
	struct redis_options options = options_of(timeout_ns);

	return layer_with(&options);
}

static struct layer_key key_of(const char *wire)
{
	return (struct layer_key){
		.wire = wire,
		.n_wire = strlen(wire),
		.hash = hash_bytes(wire, strlen(wire)),
		.server = "cache:11211",
	};
}

static struct layer_write write_of(enum layer_verb verb, const char *key, const char *value)
{
	return (struct layer_write){
		.verb = verb,
		.key = key_of(key),
		.value = value,
		.n_value = value ? strlen(value) : 0,
		.flags = 0xdeadbeef,
		.deadline_ns = CLOCK_NEVER,
		.changes_expiry = true,
		.outcome = LAYER_DONE,
	};
}

/* As the core does it around a call that memcached answers like this. */
static void write_like(struct layer *layer, struct layer_write *write, bool alone)
{
	redis_ops.announce(layer, write);
	redis_ops.mark(layer, write);
	redis_ops.marked(layer, write);
	write->alone = alone;
	redis_ops.commit(layer, write);
}

static void wrote(struct layer *layer, enum layer_verb verb, const char *key, const char *value)
{
	struct layer_write write = write_of(verb, key, value);

	write_like(layer, &write, true);
}

static void set(struct layer *layer, const char *key, const char *value)
{
	wrote(layer, LAYER_SET, key, value);
}

static struct layer_batch batch_of(struct layer_item *items, size_t n)
{
	return (struct layer_batch){
		.items = items,
		.n_items = n,
		.allocator = { plain_alloc, plain_free, NULL },
	};
}

/* The answer; the value, where there is one, into a buffer of the caller's. */
static enum layer_answer get(struct layer *layer, const char *key, char ret_value[64])
{
	struct layer_item item = { .key = key_of(key), .answer = LAYER_MISS };
	struct layer_batch batch = batch_of(&item, 1);

	redis_ops.get(layer, &batch);
	ret_value[0] = '\0';
	if (item.answer == LAYER_HIT && item.n_value) {
		snprintf(ret_value, 64, "%s", item.value);
		free(item.value);
	}
	return item.answer;
}

static void flush(struct layer *layer)
{
	static const char *const servers[] = { "cache:11211" };

	redis_ops.flush_servers(layer, servers, 1);
}

/* A commit is not waited for: on another connection it comes a moment later. */
static enum layer_answer get_committed(struct layer *layer, const char *key, char ret_value[64])
{
	int64_t give_up = clock_now_ns() + PATIENCE_NS;
	enum layer_answer answer;

	while ((answer = get(layer, key, ret_value)) == LAYER_MISS && clock_now_ns() < give_up) {
		poll(NULL, 0, 1);
	}
	return answer;
}

static void expect_hit(struct layer *layer, const char *key, const char *value)
{
	char found[64];

	assert_int_equal(get_committed(layer, key, found), LAYER_HIT);
	assert_string_equal(found, value);
}

static void expect(struct layer *layer, const char *key, enum layer_answer answer)
{
	char found[64];

	assert_int_equal(get(layer, key, found), answer);
}

static unsigned n_unclean(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < REDIS_SERVERS_MAX; i++) {
		n += redis_server_unclean(&shared.servers[i]) != 0;
	}
	return n;
}

/* Nothing is unmarked, nobody unclean. */
static void expect_clean(bool clean)
{
	unsigned n = n_unclean() + redis_shared_n_unmarked(&shared);

	assert_int_equal(n == 0, clean);
	assert_int_equal(seen.unmarked, n);
}

/* Until the layer can be asked again: breakers and cleaning take their time. */
static enum layer_answer get_when_up(struct layer *layer, const char *key)
{
	int64_t give_up = clock_now_ns() + PATIENCE_NS;
	enum layer_answer answer;
	char found[64];

	while ((answer = get(layer, key, found)) == LAYER_DOWN && clock_now_ns() < give_up) {
		poll(NULL, 0, 1);
	}
	return answer;
}

/* A command of redis-cli's kind; the first line of the answer. */
static const char *command(const char *text)
{
	static char answer[512];
	struct sockaddr_un local = { .sun_family = AF_UNIX };
	struct pollfd wait = { .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
			       .events = POLLIN };
	ssize_t n;

	strcpy(local.sun_path, server_socket(server));
	assert_int_equal(connect(wait.fd, (struct sockaddr *)&local, sizeof(local)), 0);
	dprintf(wait.fd, "%s\r\n", text);
	assert_int_equal(poll(&wait, 1, PATIENCE_NS / CLOCK_NS_PER_MS), 1);
	n = recv(wait.fd, answer, sizeof(answer) - 1, 0);
	assert_true(n > 0);
	answer[n] = '\0';
	close(wait.fd);
	return answer;
}

static void expect_command(const char *text, const char *answer)
{
	assert_string_equal(command(text), answer);
}

/* There is one store and one server in it. */
static struct redis_server *the_server(void)
{
	for (unsigned i = 0; i < REDIS_SERVERS_MAX; i++) {
		if (shared.servers[i].name) {
			return &shared.servers[i];
		}
	}
	fail();
	return NULL;
}

/* A failure that no list could hold. */
static void soil(void)
{
	redis_shared_soil(&shared, the_server());
}

#define GENERATION "test:1:{cache:11211}:generation"

/* The number that the bulk answer begins with. */
static unsigned long long generation(void)
{
	const char *answer = command("GET " GENERATION);

	assert_int_equal(*answer, '$');
	assert_non_null(strchr(answer, '\n'));
	return strtoull(strchr(answer, '\n') + 1, NULL, 16);
}

/* The one record (':r:') or body (':b:') there is. */
static const char *only(const char *pattern)
{
	static char keys[2][512];
	char *key = keys[pattern[12] == 'b'];
	char *at = strrchr((char *)command(pattern), '$');

	assert_non_null(at);
	at = strchr(at, '\n') + 1;
	snprintf(key, sizeof(keys[0]), "%.*s", (int)strcspn(at, "\r"), at);
	return key;
}

static const char *only_record(void)
{
	return only("KEYS test*:r:*");
}

static const char *only_body(void)
{
	return only("KEYS test*:b:*");
}

static void test_set__is_found_with_all_it_has(void **state)
{
	struct layer *layer = layer_open(LONG_NS);
	struct layer_item item = { .key = key_of("k"), .answer = LAYER_MISS, .has_cas = true };
	struct layer_batch batch = batch_of(&item, 1);
	struct layer_write write = write_of(LAYER_SET, "k", "a\0b");
	char text[600];

	expect(layer, "k", LAYER_MISS);
	write.n_value = 3;
	write_like(layer, &write, true);
	redis_ops.get(layer, &batch);
	assert_int_equal(item.answer, LAYER_HIT);
	assert_int_equal(batch.n_hits, 1);
	assert_int_equal(item.n_value, 3);
	assert_memory_equal(item.value, "a\0b", 4);
	assert_int_equal(item.flags, 0xdeadbeef);
	assert_false(item.has_cas);
	/* Its own expiry is never; Redis lets it go after redis.ttl. */
	assert_true(item.deadline_ns == CLOCK_NEVER);
	snprintf(text, sizeof(text), "PTTL %s", only_record());
	assert_in_range(atoll(command(text) + 1), 3500 * 1000, 3600 * 1000);
	snprintf(text, sizeof(text), "PTTL %s", only_body());
	assert_in_range(atoll(command(text) + 1), 3500 * 1000, 3600 * 1000);
	free(item.value);
	assert_int_equal(counts.hits, 1);
	assert_int_equal(counts.misses, 1);
	assert_int_equal(counts.fills, 1);
	assert_int_equal(counts.errors, 0);
	redis_ops.close(&layer);
	assert_null(layer);
	redis_ops.close(&layer);
}

static void test_empty_value__is_null(void **state)
{
	struct layer *layer = layer_open(LONG_NS);
	struct layer_item item = { .key = key_of("k"), .answer = LAYER_MISS, .value = url };
	struct layer_batch batch = batch_of(&item, 1);

	set(layer, "k", NULL);
	redis_ops.get(layer, &batch);
	assert_int_equal(item.answer, LAYER_HIT);
	assert_null(item.value);
	assert_int_equal(item.n_value, 0);
	redis_ops.close(&layer);
}

/* Who is asked for, and who is left as he is. */
static void test_only_clean_misses__are_asked(void **state)
{
	struct layer *layer = layer_open(LONG_NS);
	struct layer_item items[6] = { 0 };
	struct layer_batch batch = batch_of(items, 6);

	set(layer, "k", "v");
	for (int i = 0; i < 6; i++) {
		items[i].key = key_of("k");
		items[i].answer = LAYER_MISS;
	}
	items[0].answer = LAYER_DOWN;
	items[1].answer = LAYER_UNASKED;
	items[2].slot = LAYER_SLOT_BUSY;
	items[3].key.private = true;
	items[4].key.server = "cache}:11211";
	redis_ops.get(layer, &batch);
	assert_int_equal(batch.n_hits, 1);
	assert_int_equal(items[0].answer, LAYER_DOWN);
	assert_int_equal(items[1].answer, LAYER_UNASKED);
	assert_int_equal(items[2].answer, LAYER_MISS);
	assert_int_equal(items[3].answer, LAYER_MISS);
	assert_int_equal(items[4].answer, LAYER_MISS);
	assert_int_equal(items[5].answer, LAYER_HIT);
	free(items[5].value);
	redis_ops.close(&layer);
}

#define MANY 1000

static void test_large_batch__answers_each_item_with_its_own(void **state)
{
	struct layer *layer = layer_open(LONG_NS);
	static struct layer_item items[MANY];
	static char keys[MANY][16];
	struct layer_batch batch = batch_of(items, MANY);
	size_t n_hits = 0;

	for (int i = 0; i < MANY; i++) {
		snprintf(keys[i], sizeof(keys[i]), "key%d", i);
		items[i] = (struct layer_item){ .key = key_of(keys[i]), .answer = LAYER_MISS };
		if (i % 7 == 0) {
			items[i].answer = LAYER_DOWN;
		}
		if (i % 3 == 0) {
			set(layer, keys[i], keys[i]);
			n_hits += i % 7 != 0;
		}
	}
	redis_ops.get(layer, &batch);
	assert_int_equal(batch.n_hits, n_hits);
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(items[i].answer, i % 7 == 0   ? LAYER_DOWN
						  : i % 3 == 0 ? LAYER_HIT
							       : LAYER_MISS);
		if (items[i].answer == LAYER_HIT) {
			assert_string_equal(items[i].value, keys[i]);
			free(items[i].value);
		}
	}
	redis_ops.close(&layer);
}

static void test_servers_and_keys__do_not_mix(void **state)
{
	struct layer *layer = layer_open(LONG_NS);
	struct layer_item item = { .key = key_of("k"), .answer = LAYER_MISS };
	struct layer_batch batch = batch_of(&item, 1);

	set(layer, "k", "v");
	item.key.server = "other:11211";
	redis_ops.get(layer, &batch);
	assert_int_equal(item.answer, LAYER_MISS);
	expect(layer, "K", LAYER_MISS);
	redis_ops.close(&layer);
}

/*
 * What each write leaves of "old" by its outcome: what a verb makes of "old" and
 * "new", "old" again, or nothing.
 */
static void test_every_verb_and_outcome__leaves_what_it_should(void **state)
{
	static const struct {
		enum layer_verb verb;
		const char *after[5]; /* by outcome */
	} rows[] = {
		{ LAYER_SET, { "new", "old", "", "", "old" } },
		{ LAYER_ADD, { "new", "old", "", "", "old" } },
		{ LAYER_REPLACE, { "new", "old", "", "", "old" } },
		{ LAYER_CAS, { "new", "old", "", "", "old" } },
		{ LAYER_APPEND, { "oldnew", "old", "", "", "old" } },
		{ LAYER_PREPEND, { "newold", "old", "", "", "old" } },
		{ LAYER_DELETE, { "", "", "", "", "old" } },
		{ LAYER_INCREMENT, { "42 ", "old", "", "", "old" } },
		{ LAYER_DECREMENT, { "42 ", "old", "", "", "old" } },
		{ LAYER_TOUCH, { "old", "old", "", "", "old" } },
	};
	static const enum layer_outcome outcomes[] = { LAYER_DONE, LAYER_REFUSED, LAYER_DROPPED,
						       LAYER_UNCERTAIN, LAYER_UNSENT };
	struct layer *layer = layer_open(LONG_NS);

	for (size_t row = 0; row < sizeof(rows) / sizeof(*rows); row++) {
		for (int i = 0; i < 5; i++) {
			struct layer_write write = write_of(rows[row].verb, "k", "new");
			char found[64];

			set(layer, "k", "old");
			write.outcome = outcomes[i];
			write.number = 42;
			write_like(layer, &write, true);
			assert_int_equal(write.found, LAYER_FOUND_VALUE);
			get(layer, "k", found);
			assert_string_equal(found, rows[row].after[i]);
			/* Not alone: what it is now nobody knows. */
			set(layer, "k", "old");
			write_like(layer, &write, false);
			expect(layer, "k", LAYER_MISS);
		}
	}
	expect_clean(true);
	redis_ops.close(&layer);
}

/* Where nothing is known of what was there, nothing can be said of what is there now. */
static void test_change_of_what_is_not_there__leaves_nothing(void **state)
{
	static const enum layer_verb verbs[] = { LAYER_APPEND, LAYER_PREPEND, LAYER_INCREMENT,
						 LAYER_DECREMENT, LAYER_TOUCH };
	struct layer *layer = layer_open(LONG_NS);

	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
		struct layer_write write = write_of(verbs[i], "k", "new");

		write_like(layer, &write, true);
		assert_int_equal(write.found, LAYER_FOUND_NOTHING);
		expect(layer, "k", LAYER_MISS);
	}
	assert_string_equal(command("KEYS *:r:*"), "*0\r\n");
	redis_ops.close(&layer);
}

static void test_counter_that_was_made__is_known(void **state)
{
	struct layer *layer = layer_open(LONG_NS);
	struct layer_write write = write_of(LAYER_INCREMENT, "k", NULL);

	write.number = 7;
	write.created = true;
	write_like(layer, &write, true);
	expect_hit(layer, "k", "7");
	redis_ops.close(&layer);
}

static void test_many_appends__are_all_found_in_order(void **state)
{
	struct layer *layer = layer_open(LONG_NS);
	char expected[64] = "m";

	set(layer, "k", "m");
	for (int i = 0; i < 20; i++) {
		char piece[2] = { (char)('a' + i), 0 };

		wrote(layer, i % 2 ? LAYER_PREPEND : LAYER_APPEND, "k", piece);
		if (i % 2) {
			memmove(expected + 1, expected, strlen(expected) + 1);
			expected[0] = piece[0];
		} else {
			strcat(expected, piece);
		}
		expect_hit(layer, "k", expected);
	}
	redis_ops.close(&layer);
}

/* The touch says when it ends now, flags and bytes stay. */
static void test_touch__moves_the_end(void **state)
{
	struct layer *layer = layer_open(LONG_NS);
	struct layer_item item = { .key = key_of("k"), .answer = LAYER_MISS };
	struct layer_batch batch = batch_of(&item, 1);
	struct layer_write write = write_of(LAYER_TOUCH, "k", NULL);
	char text[600];

	set(layer, "k", "v");
	write.deadline_ns = clock_now_ns() + 100 * CLOCK_NS_PER_S;
	write_like(layer, &write, true);
	redis_ops.get(layer, &batch);
	assert_int_equal(item.answer, LAYER_HIT);
	assert_int_equal(item.flags, 0xdeadbeef);
	assert_true(item.deadline_ns <= write.deadline_ns);
	assert_true(item.deadline_ns > write.deadline_ns - 5 * CLOCK_NS_PER_S);
	free(item.value);
	snprintf(text, sizeof(text), "PTTL %s", only_body());
	assert_in_range(atoll(command(text) + 1), 90 * 1000, 100 * 1000);
	redis_ops.close(&layer);
}

static void test_value_found__can_be_recalled_and_is_in_force_again(void **state)
{
	static const struct layer_allocator plain = { plain_alloc, plain_free, NULL };
	struct layer *layer = layer_open(LONG_NS);
	struct layer_write write = write_of(LAYER_REPLACE, "k", "new");
	struct layer_item item = { .key = key_of("k") };

	set(layer, "k", "old");
	redis_ops.announce(layer, &write);
	redis_ops.look(layer, &write);
	assert_int_equal(write.found, LAYER_FOUND_VALUE);
	expect_hit(layer, "k", "old");
	redis_ops.mark(layer, &write);
	redis_ops.marked(layer, &write);
	expect(layer, "k", LAYER_MISS);
	assert_true(redis_ops.recall(layer, &write, &plain, &item));
	assert_string_equal(item.value, "old");
	assert_int_equal(item.flags, 0xdeadbeef);
	free(item.value);
	write.alone = true;
	write.outcome = LAYER_REFUSED;
	redis_ops.commit(layer, &write);
	expect_hit(layer, "k", "old");
	redis_ops.close(&layer);
}

/* Two marks: the commit of the first one finds another token. */
static void test_commit_of_an_earlier_mark__does_nothing(void **state)
{
	struct layer *layer = layer_open(LONG_NS);
	struct layer_write first = write_of(LAYER_SET, "k", "first");
	struct layer_write second = write_of(LAYER_SET, "k", "second");

	redis_ops.announce(layer, &first);
	redis_ops.mark(layer, &first);
	redis_ops.marked(layer, &first);
	redis_ops.announce(layer, &second);
	redis_ops.mark(layer, &second);
	redis_ops.marked(layer, &second);
	first.alone = second.alone = true;
	redis_ops.commit(layer, &first);
	expect(layer, "k", LAYER_MISS);
	redis_ops.commit(layer, &second);
	expect_hit(layer, "k", "second");
	redis_ops.close(&layer);
}

static void test_value_that_may_not_be_kept__is_forgotten(void **state)
{
	struct redis_options options = options_of(LONG_NS);
	struct layer *layer;
	struct layer_write write = write_of(LAYER_SET, "k", "secret");

	options.min_item_bytes = 3;
	options.max_item_bytes = 6;
	layer = layer_with(&options);
	set(layer, "k", "right");
	set(layer, "k", "toolong");
	expect(layer, "k", LAYER_MISS);
	set(layer, "k", "right");
	set(layer, "k", "no");
	expect(layer, "k", LAYER_MISS);
	assert_int_equal(counts.rejected, 2);
	set(layer, "k", "right");
	write.key.private = true;
	write_like(layer, &write, true);
	expect(layer, "k", LAYER_MISS);
	set(layer, "k", "right");
	write.key.private = false;
	write.deadline_ns = clock_now_ns();
	write_like(layer, &write, true);
	expect(layer, "k", LAYER_MISS);
	assert_int_equal(counts.invalidated, 4);
	redis_ops.close(&layer);
}

static void test_own_expiry__ends_it(void **state)
{
	struct layer *layer = layer_open(LONG_NS);
	struct layer_write write = write_of(LAYER_SET, "k", "v");
	int64_t give_up = clock_now_ns() + PATIENCE_NS;
	char found[64];

	write.deadline_ns = clock_now_ns() + 100 * CLOCK_NS_PER_MS;
	write_like(layer, &write, true);
	while (get(layer, "k", found) == LAYER_HIT) {
		assert_true(clock_now_ns() < give_up);
		poll(NULL, 0, 5);
	}
	assert_true(clock_now_ns() > write.deadline_ns - 20 * CLOCK_NS_PER_MS);
	expect(layer, "k", LAYER_MISS);
	redis_ops.close(&layer);
}

static void test_no_ttl__lives_as_long_as_the_program_says(void **state)
{
	struct redis_options options = options_of(LONG_NS);
	struct layer_item item = { .key = key_of("k"), .answer = LAYER_MISS };
	struct layer_batch batch = batch_of(&item, 1);
	struct layer *layer;
	char text[600];

	options.ttl_ns = 0;
	layer = layer_with(&options);
	set(layer, "k", "v");
	redis_ops.get(layer, &batch);
	assert_int_equal(item.answer, LAYER_HIT);
	assert_true(item.deadline_ns == CLOCK_NEVER);
	free(item.value);
	snprintf(text, sizeof(text), "PTTL %s", only_record());
	expect_command(text, ":-1\r\n");
	redis_ops.close(&layer);
}

static void test_no_memory_for_a_value__is_down(void **state)
{
	struct layer *layer = layer_open(LONG_NS);
	struct layer_item items[2] = { { .key = key_of("k"), .answer = LAYER_MISS },
				       { .key = key_of("l"), .answer = LAYER_MISS } };
	struct layer_batch batch = batch_of(items, 2);

	set(layer, "k", "v");
	batch.allocator.owner = &batch; /* makes plain_alloc fail */
	redis_ops.get(layer, &batch);
	assert_int_equal(items[0].answer, LAYER_DOWN);
	assert_int_equal(items[1].answer, LAYER_MISS);
	expect_hit(layer, "k", "v");
	redis_ops.close(&layer);
}

static void test_flush__forgets_everything(void **state)
{
	struct layer *layer = layer_open(LONG_NS);
	struct layer *other = layer_open(LONG_NS);
	uint64_t generation;

	set(layer, "k", "v");
	expect_hit(other, "k", "v");
	generation = seen.generation;
	assert_true(generation > 0);
	flush(layer);
	assert_true(seen.generation > generation);
	expect(other, "k", LAYER_MISS);
	expect(layer, "k", LAYER_MISS);
	set(layer, "k", "w");
	expect_hit(other, "k", "w");
	expect_clean(true);
	redis_ops.close(&layer);
	redis_ops.close(&other);
}

static void test_generation_of_others__is_followed(void **state)
{
	struct layer *layer = layer_open(LONG_NS);
	struct layer *other = layer_open(LONG_NS);

	set(layer, "k", "v");
	expect_hit(other, "k", "v");
	flush(other);
	/* A write that assumed the old one is marked again: its value can be found. */
	set(layer, "k", "w");
	assert_int_equal(counts.fills, 2);
	flush(other);
	set(layer, "k", "w");
	flush(layer);
	set(layer, "k", "w");
	expect(other, "k", LAYER_MISS);
	expect_hit(other, "k", "w");
	expect_hit(layer, "k", "w");
	expect_clean(true);
	redis_ops.close(&layer);
	redis_ops.close(&other);
}

/* Evicted, or FLUSHALL: values of before may still be there or not. */
static void test_lost_generation__never_comes_again(void **state)
{
	struct layer *layer = layer_open(LONG_NS);
	unsigned long long before;

	set(layer, "k", "v");
	before = generation();
	command("DEL " GENERATION);
	expect(layer, "k", LAYER_MISS);
	set(layer, "l", "w");
	expect_hit(layer, "l", "w");
	expect(layer, "k", LAYER_MISS);
	assert_true(generation() != before);
	command("DEL " GENERATION);
	/* By a write first, this time. */
	set(layer, "l", "x");
	expect_hit(layer, "l", "x");
	expect(layer, "k", LAYER_MISS);
	command("DEL " GENERATION);
	flush(layer);
	assert_true(generation() > 1000000);
	expect(layer, "l", LAYER_MISS);
	expect_clean(true);
	redis_ops.close(&layer);
}

/* Somebody's accident, or a SWAPDB: neither is believed, and neither stays. */
static void test_generation_that_is_not_ours__is_replaced(void **state)
{
	static const char *const texts[] = {
		"nonsense", "1", "ffffffffffffffff abc.def.0",
		"a.very.long.text.that.no.generation.ever.was.a.very.long.text.that.no.generation"
	};
	struct layer *layer = layer_open(LONG_NS);
	char text[600];

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		unsigned long long before;

		set(layer, "k", "v");
		expect_hit(layer, "k", "v");
		before = generation();
		snprintf(text, sizeof(text), "SET %s \"%s\"", GENERATION, texts[i]);
		expect_command(text, "+OK\r\n");
		expect(layer, "k", LAYER_MISS);
		set(layer, "k", "w");
		expect_hit(layer, "k", "w");
		assert_true(generation() > before);
		expect_clean(true);
	}
	redis_ops.close(&layer);
}

/* One that was in force before: a replica that was behind, a database that was swapped back. */
static void test_generation_of_before__never_comes_again(void **state)
{
	struct layer *layer = layer_open(LONG_NS);

	set(layer, "k", "old");
	expect_command("RENAME " GENERATION " kept", "+OK\r\n");
	expect(layer, "k", LAYER_MISS);
	set(layer, "k", "new");
	expect_hit(layer, "k", "new");
	command("RENAME kept " GENERATION);
	expect(layer, "k", LAYER_MISS);
	set(layer, "k", "newer");
	expect_hit(layer, "k", "newer");
	redis_ops.close(&layer);
}

static void test_damaged_value__is_a_miss_and_an_error(void **state)
{
	static const char *const damages[] = {
		"SETRANGE %b 17 X", "APPEND %b X", "SET %b text", "SETRANGE %r 3 0",
		"SET %r Vtext",	    "APPEND %r 0", "DEL %b",	  "SETRANGE %b 0 S",
	};
	struct layer *layer = layer_open(LONG_NS);
	char text[1200];

	for (size_t i = 0; i < sizeof(damages) / sizeof(*damages); i++) {
		const char *at = strchr(damages[i], '%');

		set(layer, "k", "value");
		expect_hit(layer, "k", "value");
		counts.errors = 0;
		snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - damages[i]), damages[i],
			 at[1] == 'b' ? only_body() : only_record(), at + 2);
		command(text);
		expect(layer, "k", LAYER_MISS);
		assert_int_equal(counts.errors, strstr(damages[i], "DEL") ? 0 : 1);
	}
	redis_ops.close(&layer);
}

static void test_value_of_another_key_or_kind__is_a_miss(void **state)
{
	struct layer *layer = layer_open(LONG_NS);
	char other[512];
	char text[1200];

	set(layer, "k", "value");
	strcpy(other, only_record());
	other[strlen(other) - 1] = 'l';
	snprintf(text, sizeof(text), "RENAME %s %s", only_record(), other);
	expect_command(text, "+OK\r\n");
	expect(layer, "l", LAYER_MISS);
	set(layer, "k", "value");
	snprintf(text, sizeof(text), "DEL %s", other);
	command(text);
	strcpy(other, only_body());
	snprintf(text, sizeof(text), "DEL %s", other);
	command(text);
	snprintf(text, sizeof(text), "RPUSH %s element", other);
	command(text);
	expect(layer, "k", LAYER_MISS);
	/* A mark does not mind, and a commit replaces it. */
	set(layer, "k", "value");
	expect_hit(layer, "k", "value");
	redis_ops.close(&layer);
}

static void test_absent_server__is_down_and_unclean(void **state)
{
	struct layer *layer;

	strcpy(url, "unix:///nonexistent/redis");
	layer = layer_open(SHORT_NS);
	expect(layer, "k", LAYER_DOWN);
	set(layer, "k", "v");
	expect_clean(false);
	flush(layer);
	/* The one key is known; the flush concerns all of the server. */
	assert_int_equal(redis_shared_n_unmarked(&shared), 1);
	assert_int_equal(n_unclean(), 1);
	assert_true(counts.errors >= 1);
	redis_ops.close(&layer);
}

static void test_open_breaker__asks_nobody(void **state)
{
	struct redis_options options = options_of(SHORT_NS);
	struct layer *layer;

	strcpy(url, "unix:///nonexistent/redis");
	options.breaker_retry_ns = 3600 * CLOCK_NS_PER_S;
	layer = layer_with(&options);
	for (int i = 0; i < 1000; i++) {
		expect(layer, "k", LAYER_DOWN);
		set(layer, "k", "v");
	}
	assert_int_equal(counts.errors, 1);
	assert_int_equal(redis_shared_n_unmarked(&shared), REDIS_UNMARKED_MAX);
	assert_int_equal(n_unclean(), 1);
	redis_ops.close(&layer);
}

static void test_server_killed_in_between__is_found_again(void **state)
{
	struct layer *layer = layer_open(LONG_NS);

	set(layer, "k", "v");
	expect_hit(layer, "k", "v");
	server_kill(server, SIGKILL);
	assert_true(server_wait_exit(server, PATIENCE_NS / CLOCK_NS_PER_MS));
	expect(layer, "k", LAYER_DOWN);
	expect_clean(true);
	assert_true(server_restart(server));
	assert_int_equal(get_when_up(layer, "k"), LAYER_MISS);
	set(layer, "k", "w");
	expect_hit(layer, "k", "w");
	redis_ops.close(&layer);
}

static void test_restarted_unnoticed__is_another_place(void **state)
{
	struct layer *layer = layer_open(LONG_NS);

	/* The delete reached Redis, but not its snapshot. */
	set(layer, "k", "old");
	expect_command("SAVE", "+OK\r\n");
	wrote(layer, LAYER_DELETE, "k", NULL);
	expect(layer, "k", LAYER_MISS);
	assert_true(server_restart(server));
	/* The old connection's end is seen before it is used: no failure. */
	expect(layer, "k", LAYER_MISS);
	assert_int_equal(counts.errors, 0);
	set(layer, "k", "new");
	expect_hit(layer, "k", "new");
	expect_clean(true);
	redis_ops.close(&layer);
}

static void test_restarted_with_old_data__shows_none_of_it(void **state)
{
	struct layer *layer = layer_open(SHORT_NS);
	unsigned long long before;

	set(layer, "k", "old");
	expect_command("SAVE", "+OK\r\n");
	before = generation();
	server_kill(server, SIGKILL);
	assert_true(server_wait_exit(server, PATIENCE_NS / CLOCK_NS_PER_MS));
	wrote(layer, LAYER_DELETE, "k", NULL);
	expect_clean(false);
	assert_true(server_restart(server));
	assert_int_equal(get_when_up(layer, "k"), LAYER_MISS);
	expect_clean(true);
	assert_true(generation() > before);
	redis_ops.close(&layer);
}

static void test_hung_server__costs_one_timeout_and_no_old_value(void **state)
{
	struct redis_options options = options_of(SHORT_NS);
	struct layer *layer;
	int64_t before = clock_now_ns();
	unsigned long long number;

	options.breaker_retry_ns = 2 * CLOCK_NS_PER_S;
	layer = layer_with(&options);
	set(layer, "k", "old");
	set(layer, "l", "kept");
	expect_hit(layer, "k", "old");
	number = generation();
	server_kill(server, SIGSTOP);
	before = clock_now_ns();
	wrote(layer, LAYER_DELETE, "k", NULL);
	assert_true(clock_now_ns() - before < 20 * SHORT_NS);
	expect_clean(false);
	assert_int_equal(counts.timeouts, 1);
	for (int i = 0; i < 1000; i++) {
		expect(layer, "k", LAYER_DOWN);
	}
	/* Once more it was asked: one slow answer may be a snapshot that begins. */
	assert_int_equal(counts.timeouts, 2);
	assert_int_equal(counts.errors, 2);
	server_kill(server, SIGCONT);
	assert_int_equal(get_when_up(layer, "k"), LAYER_MISS);
	expect_clean(true);
	/* The one key was marked, and nothing else forgotten. */
	assert_true(generation() == number);
	expect_hit(layer, "l", "kept");
	set(layer, "k", "new");
	expect_hit(layer, "k", "new");
	redis_ops.close(&layer);
}

/* Connecting to a hung server succeeds; only its silence tells. */
static void test_new_connection_to_a_hung_server__times_out(void **state)
{
	struct layer *layer = layer_open(SHORT_NS);
	int64_t before;

	server_kill(server, SIGSTOP);
	before = clock_now_ns();
	expect(layer, "k", LAYER_DOWN);
	assert_true(clock_now_ns() - before < 20 * SHORT_NS);
	assert_int_equal(counts.timeouts, 1);
	server_kill(server, SIGCONT);
	assert_int_equal(get_when_up(layer, "k"), LAYER_MISS);
	redis_ops.close(&layer);
}

/* The cleaning of one process is that of all; what fails meanwhile stays unclean. */
static void test_unclean__is_shared_and_cleaned_by_whoever_comes(void **state)
{
	struct layer *layer = layer_open(LONG_NS);
	struct layer *other = layer_open(LONG_NS);
	unsigned long long before;

	set(layer, "k", "v");
	expect_hit(other, "k", "v");
	before = generation();
	soil();
	soil();
	/* By a write; its value is of the new generation. */
	set(other, "k", "w");
	expect_clean(true);
	assert_true(generation() > before);
	before = generation();
	expect(layer, "k", LAYER_MISS);
	expect_hit(layer, "k", "w");
	poll(NULL, 0, 2 * RETRY_NS / CLOCK_NS_PER_MS);
	soil();
	/* By a read. */
	expect(layer, "k", LAYER_MISS);
	expect_clean(true);
	assert_true(generation() > before);
	redis_ops.close(&layer);
	redis_ops.close(&other);
}

static void test_cleaning__is_rare(void **state)
{
	struct redis_options options = options_of(LONG_NS);
	struct layer *layer;

	options.breaker_retry_ns = 3600 * CLOCK_NS_PER_S;
	layer = layer_with(&options);
	set(layer, "k", "v");
	soil();
	expect(layer, "k", LAYER_MISS);
	soil();
	for (int i = 0; i < 100; i++) {
		expect(layer, "k", LAYER_DOWN);
		set(layer, "k", "w");
	}
	assert_int_equal(n_unclean(), 1);
	assert_int_equal(counts.errors, 0);
	redis_ops.close(&layer);
}

static void test_without_password__is_down_until_it_is_given(void **state)
{
	struct redis_options options = options_of(LONG_NS);
	char path[] = "/tmp/tower-password-XXXXXX";
	struct layer *layer = layer_open(LONG_NS);
	int fd = mkstemp(path);

	set(layer, "k", "v");
	redis_ops.close(&layer);
	expect_command("CONFIG SET requirepass secret", "+OK\r\n");
	layer = layer_open(LONG_NS);
	expect(layer, "k", LAYER_DOWN);
	set(layer, "k", "w");
	expect_clean(false);
	redis_ops.close(&layer);

	snprintf(url, sizeof(url), "unix://:wrong@%s", server_socket(server));
	layer = layer_open(LONG_NS);
	expect(layer, "k", LAYER_DOWN);
	redis_ops.close(&layer);

	setup_empty(state);
	snprintf(url, sizeof(url), "unix://default:secret@%s?db=0", server_socket(server));
	layer = layer_open(LONG_NS);
	expect_hit(layer, "k", "v");
	redis_ops.close(&layer);

	snprintf(url, sizeof(url), "unix://%s", server_socket(server));
	assert_int_equal(write(fd, "secret\n", 7), 7);
	close(fd);
	options.password_file = path;
	layer = layer_with(&options);
	expect_hit(layer, "k", "v");
	redis_ops.close(&layer);
	unlink(path);
}

static void test_databases__are_apart(void **state)
{
	struct layer *layer = layer_open(LONG_NS);
	struct layer *other;

	snprintf(url, sizeof(url), "unix://%s?db=3", server_socket(server));
	other = layer_open(LONG_NS);
	set(layer, "k", "v");
	expect(other, "k", LAYER_MISS);
	set(other, "k", "w");
	expect_hit(layer, "k", "v");
	expect_hit(other, "k", "w");
	redis_ops.close(&other);
	/* There are 16. */
	snprintf(url, sizeof(url), "unix://%s?db=16", server_socket(server));
	other = layer_open(LONG_NS);
	expect(other, "k", LAYER_DOWN);
	redis_ops.close(&other);
	redis_ops.close(&layer);
}

static void test_no_room__forgets_and_can_still_be_read(void **state)
{
	struct layer *layer = layer_open(LONG_NS);

	set(layer, "k", "old");
	set(layer, "l", "v");
	expect_command("CONFIG SET maxmemory 1", "+OK\r\n");
	set(layer, "k", "new");
	expect_clean(true);
	expect(layer, "k", LAYER_MISS);
	expect_hit(layer, "l", "v");
	wrote(layer, LAYER_DELETE, "l", NULL);
	expect(layer, "l", LAYER_MISS);
	assert_int_equal(counts.rejected, 2);
	assert_int_equal(counts.errors, 0);
	/* A new generation needs room. */
	flush(layer);
	expect_clean(false);
	expect(layer, "l", LAYER_DOWN);
	expect_command("CONFIG SET maxmemory 0", "+OK\r\n");
	assert_int_equal(get_when_up(layer, "l"), LAYER_MISS);
	expect_clean(true);
	redis_ops.close(&layer);
}

static void test_read_only_replica__makes_a_write_unclean(void **state)
{
	struct layer *layer = layer_open(LONG_NS);

	set(layer, "k", "old");
	/* Of a master that is not there: it keeps what it has. */
	expect_command("REPLICAOF 127.0.0.1 1", "+OK\r\n");
	set(layer, "k", "new");
	expect_clean(false);
	for (int i = 0; i < 10; i++) {
		expect(layer, "k", LAYER_DOWN);
		poll(NULL, 0, RETRY_NS / CLOCK_NS_PER_MS);
	}
	expect_command("REPLICAOF NO ONE", "+OK\r\n");
	assert_int_equal(get_when_up(layer, "k"), LAYER_MISS);
	redis_ops.close(&layer);
}

/* Something else listens there: HTTP, or noise. */
static void *serve_noise(void *listener)
{
	int fd;

	while ((fd = accept(*(int *)listener, NULL, NULL)) >= 0) {
		char bytes[512];

		if (recv(fd, bytes, sizeof(bytes), 0) > 0) {
			dprintf(fd, "HTTP/1.1 400 Bad Request\r\n\r\n");
		}
		close(fd);
	}
	return NULL;
}

static void test_something_else_there__is_down(void **state)
{
	struct sockaddr_in loopback = { .sin_family = AF_INET };
	socklen_t n = sizeof(loopback);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct layer *layer;
	pthread_t thread;

	loopback.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(listener, (struct sockaddr *)&loopback, n), 0);
	assert_int_equal(listen(listener, 8), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&loopback, &n), 0);
	assert_int_equal(pthread_create(&thread, NULL, serve_noise, &listener), 0);
	snprintf(url, sizeof(url), "redis://localhost:%d", ntohs(loopback.sin_port));
	layer = layer_open(LONG_NS);
	for (int i = 0; i < 10; i++) {
		expect(layer, "k", LAYER_DOWN);
		set(layer, "k", "v");
	}
	assert_int_equal(redis_shared_n_unmarked(&shared), 10);
	redis_ops.close(&layer);
	shutdown(listener, SHUT_RDWR);
	pthread_join(thread, NULL);
	close(listener);
}

static void test_tcp_by_name__works(void **state)
{
	struct layer *layer;
	char text[64];

	expect_command("CONFIG SET bind 127.0.0.1", "+OK\r\n");
	/* Redis takes a port while it runs; a free one is found by trying. */
	for (int port = 20000 + (int)(getpid() % 20000); port < 65000; port++) {
		snprintf(text, sizeof(text), "CONFIG SET port %d", port);
		if (strcmp(command(text), "+OK\r\n") == 0) {
			snprintf(url, sizeof(url), "redis://localhost:%d/2", port);
			break;
		}
	}
	layer = layer_open(LONG_NS);
	set(layer, "k", "v");
	expect_hit(layer, "k", "v");
	redis_ops.close(&layer);
}

static void test_unknown_name__is_down(void **state)
{
	struct layer *layer;

	strcpy(url, "redis://[::zz]:6379");
	layer = layer_open(LONG_NS);
	expect(layer, "k", LAYER_DOWN);
	redis_ops.close(&layer);
}

static bool own_keys_are_right(struct layer *layer, int who, int rounds)
{
	bool well = true;

	for (int i = 0; i < rounds; i++) {
		char key[32], value[32], found[64];
		enum layer_answer answer;

		snprintf(key, sizeof(key), "key-%d-%d", who, i % 16);
		snprintf(value, sizeof(value), "value-%d-%d", who, i);
		set(layer, key, value);
		answer = get_committed(layer, key, found);
		/* DOWN: all connections were in use. */
		well = well &&
		       (answer == LAYER_DOWN || (answer == LAYER_HIT && strcmp(found, value) == 0));
	}
	return well;
}

static int count_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(folder);
	while (readdir(folder)) {
		n++;
	}
	closedir(folder);
	return n;
}

/* As the core does it. */
static pid_t fork_with(struct layer *layer)
{
	pid_t pid;

	redis_ops.prepare(layer);
	pid = fork();
	if (pid == 0) {
		redis_ops.child(layer);
	} else {
		redis_ops.parent(layer);
	}
	return pid;
}

static void test_fork__both_go_on_with_their_own(void **state)
{
	struct layer *layer = layer_open(LONG_NS);
	int without = count_descriptors();
	int status;
	pid_t pid;

	set(layer, "k", "v");
	assert_int_equal(count_descriptors(), without + 1);
	pid = fork_with(layer);
	if (pid == 0) {
		bool well = count_descriptors() == without;

		well = own_keys_are_right(layer, 1, 500) && well;
		_exit(well && n_unclean() == 0 && redis_shared_n_unmarked(&shared) == 0 &&
				      counts.errors == 0
			      ? 0
			      : 1);
	}
	assert_true(own_keys_are_right(layer, 2, 500));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	expect_hit(layer, "k", "v");
	assert_int_equal(counts.errors, 0);
	redis_ops.close(&layer);
}

#define THREADS 8
#define THREAD_ROUNDS 300

struct worker {
	struct layer *layer;
	int who;
	bool well;
	pthread_t thread;
};

static void *work(void *argument)
{
	struct worker *worker = argument;

	worker->well = own_keys_are_right(worker->layer, worker->who, THREAD_ROUNDS);
	return NULL;
}

static void start_workers(struct worker workers[THREADS], struct layer *layer)
{
	for (int i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ .layer = layer, .who = i };
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
}

static void join_workers(struct worker workers[THREADS])
{
	for (int i = 0; i < THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		assert_true(workers[i].well);
	}
}

static void test_threads__share_few_connections(void **state)
{
	struct worker workers[THREADS];
	struct layer *layer = layer_open(LONG_NS);
	int without = count_descriptors();

	start_workers(workers, layer);
	join_workers(workers);
	assert_in_range(count_descriptors(), without + 1, without + 4);
	assert_int_equal(counts.errors, 0);
	assert_int_equal(counts.fills, THREADS * THREAD_ROUNDS);
	expect_clean(true);
	redis_ops.close(&layer);
	assert_int_equal(count_descriptors(), without);
}

static void test_fork_among_threads__gives_a_working_child(void **state)
{
	struct worker workers[THREADS];
	struct layer *layer = layer_open(LONG_NS);
	int status;

	start_workers(workers, layer);
	for (int i = 0; i < 10; i++) {
		pid_t pid = fork_with(layer);

		if (pid == 0) {
			_exit(own_keys_are_right(layer, 100 + i, 50) ? 0 : 1);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
	join_workers(workers);
	assert_int_equal(counts.errors, 0);
	redis_ops.close(&layer);
}

/* The second to come finds none free: a read gives up, a write waits no longer than that. */
static void test_one_connection_to_a_hung_server__delays_each_by_one_timeout(void **state)
{
	struct redis_options options = options_of(4 * SHORT_NS);
	struct worker worker = { .who = 1 };
	struct layer *layer;
	int64_t before;

	options.max_connections = 1;
	options.breaker_retry_ns = 3600 * CLOCK_NS_PER_S;
	layer = layer_with(&options);
	set(layer, "k", "v");
	server_kill(server, SIGSTOP);
	worker.layer = layer;
	assert_int_equal(pthread_create(&worker.thread, NULL, work, &worker), 0);
	before = clock_now_ns();
	expect(layer, "k", LAYER_DOWN);
	set(layer, "k", "w");
	assert_true(clock_now_ns() - before < 20 * options.timeout_ns);
	pthread_join(worker.thread, NULL);
	assert_in_range(counts.timeouts, 1, 2);
	expect_clean(false);
	server_kill(server, SIGCONT);
	redis_ops.close(&layer);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_ALONE(name) cmocka_unit_test_setup(name, setup_empty)
	const struct CMUnitTest tests[] = {
		TEST(test_set__is_found_with_all_it_has),
		TEST(test_empty_value__is_null),
		TEST(test_only_clean_misses__are_asked),
		TEST(test_large_batch__answers_each_item_with_its_own),
		TEST(test_servers_and_keys__do_not_mix),
		TEST(test_every_verb_and_outcome__leaves_what_it_should),
		TEST(test_value_that_may_not_be_kept__is_forgotten),
		TEST(test_own_expiry__ends_it),
		TEST(test_no_ttl__lives_as_long_as_the_program_says),
		TEST(test_no_memory_for_a_value__is_down),
		TEST(test_flush__forgets_everything),
		TEST(test_generation_of_others__is_followed),
		TEST(test_lost_generation__never_comes_again),
		TEST(test_change_of_what_is_not_there__leaves_nothing),
		TEST(test_counter_that_was_made__is_known),
		TEST(test_many_appends__are_all_found_in_order),
		TEST(test_touch__moves_the_end),
		TEST(test_value_found__can_be_recalled_and_is_in_force_again),
		TEST(test_commit_of_an_earlier_mark__does_nothing),
		TEST(test_generation_that_is_not_ours__is_replaced),
		TEST(test_generation_of_before__never_comes_again),
		TEST(test_value_of_another_key_or_kind__is_a_miss),
		TEST(test_damaged_value__is_a_miss_and_an_error),
		TEST_ALONE(test_absent_server__is_down_and_unclean),
		TEST_ALONE(test_open_breaker__asks_nobody),
		TEST(test_server_killed_in_between__is_found_again),
		TEST(test_restarted_unnoticed__is_another_place),
		TEST(test_restarted_with_old_data__shows_none_of_it),
		TEST(test_hung_server__costs_one_timeout_and_no_old_value),
		TEST(test_new_connection_to_a_hung_server__times_out),
		TEST(test_unclean__is_shared_and_cleaned_by_whoever_comes),
		TEST(test_cleaning__is_rare),
		TEST(test_without_password__is_down_until_it_is_given),
		TEST(test_databases__are_apart),
		TEST(test_no_room__forgets_and_can_still_be_read),
		TEST(test_read_only_replica__makes_a_write_unclean),
		TEST_ALONE(test_something_else_there__is_down),
		TEST(test_tcp_by_name__works),
		TEST_ALONE(test_unknown_name__is_down),
		TEST(test_fork__both_go_on_with_their_own),
		TEST(test_threads__share_few_connections),
		TEST(test_fork_among_threads__gives_a_working_child),
		TEST(test_one_connection_to_a_hung_server__delays_each_by_one_timeout),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
