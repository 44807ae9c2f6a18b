/*
 * How much of a loop of repeated reads comes from memory: one line for every way
 * to read, protocol and kind of handle, "percent call protocol kind".
 *
 * The truth is memcached's own count of gets.  A combination that libmemcached
 * does not have is left out; a wrong value ends the program.
 *
 * usage: served SOCKET SOCKET
 */
#include <libmemcached/memcached.h>
#include <libmemcachedutil-1.0/util.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define N_KEYS 10
#define ROUNDS 100
#define MASTER "master"

static const char *sockets[2];

static void fail(const char *what)
{
	printf("%s\n", what);
	exit(1);
}

/* --- what memcached counted, asked without libmemcached --- */

static uint64_t gets_of(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char answer[16384];
	size_t n = 0;
	ssize_t got = 1;
	const char *found;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
	    write(fd, "stats\r\n", 7) != 7) {
		fail("no statistics");
	}
	answer[0] = '\0';
	while (got > 0 && !strstr(answer, "END\r\n") && n < sizeof(answer) - 1) {
		got = read(fd, answer + n, sizeof(answer) - 1 - n);
		n += got > 0 ? (size_t)got : 0;
		answer[n] = '\0';
	}
	close(fd);
	found = strstr(answer, "STAT cmd_get ");
	if (found == NULL) {
		fail("no count of gets");
	}
	return strtoull(found + strlen("STAT cmd_get "), NULL, 10);
}

static uint64_t gets_of_both(void)
{
	return gets_of(sockets[0]) + gets_of(sockets[1]);
}

/* --- kinds of handles: each has a handle for every round, and takes it back --- */

struct kind {
	const char *name;
	bool ketama;
	bool with_buckets; /* virtual ones, on both servers */
	bool with_prefix;
	bool by_key;
	bool with_cas;
	bool only_text; /* libmemcached refuses, or does not decode, with the other one */
	memcached_behavior_t behavior; /* to be switched on, where `value` is not 0 */
	uint64_t value;
	const char *encoding; /* key */
	size_t n_key;	      /* pads keys */
	memcached_st *(*take)(struct kind *kind);
	void (*give)(struct kind *kind, memcached_st *handle);
	bool binary;
	memcached_st *source;
	memcached_pool_st *pool;
};

static void spread_by_buckets(memcached_st *handle)
{
	const uint32_t map[] = { 0, 1, 0, 1 };

	memcached_server_add_unix_socket(handle, sockets[1]);
	if (memcached_bucket_set(handle, map, NULL, 4, 0) != MEMCACHED_SUCCESS) {
		fail("virtual buckets were refused");
	}
}

static memcached_st *take_by_options(struct kind *kind)
{
	char options[512];

	snprintf(options, sizeof(options), "--SOCKET=\"%s\" --NAMESPACE=\"options:\" %s",
		 sockets[0], kind->binary ? "--BINARY-PROTOCOL" : "--TCP-NODELAY");
	return memcached(options, strlen(options));
}

static memcached_st *new_handle(struct kind *kind)
{
	memcached_st *handle;

	if (kind->take == take_by_options) {
		return kind->take(kind);
	}
	handle = memcached_create(NULL);
	memcached_behavior_set(handle, MEMCACHED_BEHAVIOR_BINARY_PROTOCOL, kind->binary);
	if (kind->with_cas) {
		memcached_behavior_set(handle, MEMCACHED_BEHAVIOR_SUPPORT_CAS, 1);
	}
	if (kind->value &&
	    memcached_behavior_set(handle, kind->behavior, kind->value) != MEMCACHED_SUCCESS) {
		fail("a behavior was refused");
	}
	if (kind->encoding) {
		memcached_set_encoding_key(handle, kind->encoding, strlen(kind->encoding));
	}
	if (kind->with_prefix) {
		memcached_callback_set(handle, MEMCACHED_CALLBACK_NAMESPACE, "prefix:");
	}
	memcached_server_add_unix_socket(handle, sockets[0]);
	if (kind->ketama) {
		memcached_behavior_set(handle, MEMCACHED_BEHAVIOR_KETAMA, 1);
		memcached_server_add_unix_socket(handle, sockets[1]);
	}
	if (kind->with_buckets) {
		spread_by_buckets(handle);
	}
	return handle;
}

static memcached_st *take_source(struct kind *kind)
{
	return kind->source;
}

static void give_nothing(struct kind *kind, memcached_st *handle)
{
}

static memcached_st *take_new(struct kind *kind)
{
	return new_handle(kind);
}

static memcached_st *take_clone(struct kind *kind)
{
	return memcached_clone(NULL, kind->source);
}

static void give_up(struct kind *kind, memcached_st *handle)
{
	memcached_free(handle);
}

static memcached_st *take_pooled(struct kind *kind)
{
	memcached_return_t rc;

	return memcached_pool_fetch(kind->pool, NULL, &rc);
}

static void give_pooled(struct kind *kind, memcached_st *handle)
{
	memcached_pool_release(kind->pool, handle);
}

/* An own handle all the time. */
#define KEEP .take = take_source, .give = give_nothing
#define POOL .take = take_pooled, .give = give_pooled

static struct kind kinds[] = {
	{ "persistent", KEEP },
	{ "new", .take = take_new, .give = give_up },
	{ "prefix", .with_prefix = true, KEEP },
	{ "master", .by_key = true, KEEP },
	{ "cas", .with_cas = true, KEEP },
	{ "options", .take = take_by_options, .give = give_up },
	{ "buckets", .with_buckets = true, KEEP },
	{ "clone", .take = take_clone, .give = give_up },
	{ "pool", POOL },
	{ "ketama", .ketama = true, KEEP },
	{ "ketama,prefix,master,cas,pool", .ketama = true, .with_prefix = true, .by_key = true,
	  .with_cas = true, POOL },
	{ "longest-keys", .n_key = MEMCACHED_MAX_KEY - 1, KEEP },
	{ "no-block", .behavior = MEMCACHED_BEHAVIOR_NO_BLOCK, .value = 1, KEEP },
	{ "verify-key", .only_text = true, .behavior = MEMCACHED_BEHAVIOR_VERIFY_KEY, .value = 1,
	  KEEP },
	{ "hash-with-prefix", .ketama = true, .with_prefix = true,
	  .behavior = MEMCACHED_BEHAVIOR_HASH_WITH_PREFIX_KEY, .value = 1, KEEP },
	{ "auto-eject", .ketama = true, .behavior = MEMCACHED_BEHAVIOR_REMOVE_FAILED_SERVERS,
	  .value = 1, KEEP },
	{ "replicas", .ketama = true, .behavior = MEMCACHED_BEHAVIOR_NUMBER_OF_REPLICAS, .value = 1,
	  KEEP },
	{ "buffered", .behavior = MEMCACHED_BEHAVIOR_BUFFER_REQUESTS, .value = 1, KEEP },
	{ "noreply", .behavior = MEMCACHED_BEHAVIOR_NOREPLY, .value = 1, KEEP },
	{ "encoding", .only_text = true, .encoding = "secret", KEEP },
};

/* --- ways to read all keys once --- */

struct keys {
	char text[N_KEYS][MEMCACHED_MAX_KEY];
	const char *of[N_KEYS];
	size_t lengths[N_KEYS];
};

static void check(const char *key, size_t n_key, const char *value, size_t n_value, uint32_t flags)
{
	if (n_value != n_key + 6 || memcmp(value, "value:", 6) != 0 ||
	    memcmp(value + 6, key, n_key) != 0 || flags != n_key) {
		fail("a wrong value");
	}
}

static void check_result(const memcached_result_st *result)
{
	check(memcached_result_key_value(result), memcached_result_key_length(result),
	      memcached_result_value(result), memcached_result_length(result),
	      memcached_result_flags(result));
}

static bool mget(const struct kind *kind, memcached_st *handle, const struct keys *keys)
{
	memcached_return_t rc = kind->by_key
					? memcached_mget_by_key(handle, MASTER, strlen(MASTER),
								keys->of, keys->lengths, N_KEYS)
					: memcached_mget(handle, keys->of, keys->lengths, N_KEYS);

	return rc == MEMCACHED_SUCCESS;
}

static unsigned read_get(const struct kind *kind, memcached_st *handle, const struct keys *keys)
{
	unsigned n_read = 0;

	for (size_t i = 0; i < N_KEYS; i++) {
		memcached_return_t rc;
		uint32_t flags;
		size_t n;
		const char *key = keys->of[i];
		size_t n_key = keys->lengths[i];
		char *value = kind->by_key ? memcached_get_by_key(handle, MASTER, strlen(MASTER),
								  key, n_key, &n, &flags, &rc)
					   : memcached_get(handle, key, n_key, &n, &flags, &rc);

		if (rc == MEMCACHED_SUCCESS) {
			check(key, n_key, value, n, flags);
			n_read++;
		}
		free(value);
	}
	return n_read;
}

static unsigned read_fetch(const struct kind *kind, memcached_st *handle, const struct keys *keys)
{
	char key[MEMCACHED_MAX_KEY];
	memcached_return_t rc;
	unsigned n_read = 0;
	uint32_t flags;
	size_t n_key;
	char *value;
	size_t n;

	if (!mget(kind, handle, keys)) {
		return 0;
	}
	while ((value = memcached_fetch(handle, key, &n_key, &n, &flags, &rc))) {
		check(key, n_key, value, n, flags);
		free(value);
		n_read++;
	}
	return n_read;
}

static unsigned fetch_results(memcached_st *handle, memcached_result_st *into)
{
	memcached_result_st *result;
	memcached_return_t rc;
	unsigned n_read = 0;

	while ((result = memcached_fetch_result(handle, into, &rc))) {
		check_result(result);
		n_read++;
		if (into == NULL) {
			memcached_result_free(result);
		}
	}
	return n_read;
}

static unsigned read_fetch_result(const struct kind *kind, memcached_st *handle,
				  const struct keys *keys)
{
	memcached_result_st result;
	unsigned n_read;

	if (!mget(kind, handle, keys) || !memcached_result_create(handle, &result)) {
		return 0;
	}
	n_read = fetch_results(handle, &result);
	memcached_result_free(&result);
	return n_read;
}

static unsigned read_fetch_result_new(const struct kind *kind, memcached_st *handle,
				      const struct keys *keys)
{
	return mget(kind, handle, keys) ? fetch_results(handle, NULL) : 0;
}

static memcached_return_t count_result(const memcached_st *handle, memcached_result_st *result,
				       void *n_read)
{
	check_result(result);
	++*(unsigned *)n_read;
	return MEMCACHED_SUCCESS;
}

static unsigned read_fetch_execute(const struct kind *kind, memcached_st *handle,
				   const struct keys *keys)
{
	memcached_execute_fn callbacks[] = { count_result };
	unsigned n_read = 0;

	if (mget(kind, handle, keys)) {
		memcached_fetch_execute(handle, callbacks, &n_read, 1);
	}
	return n_read;
}

static unsigned read_mget_execute(const struct kind *kind, memcached_st *handle,
				  const struct keys *keys)
{
	memcached_execute_fn callbacks[] = { count_result };
	unsigned n_read = 0;
	memcached_return_t rc =
		kind->by_key ? memcached_mget_execute_by_key(handle, MASTER, strlen(MASTER),
							     keys->of, keys->lengths, N_KEYS,
							     callbacks, &n_read, 1)
			     : memcached_mget_execute(handle, keys->of, keys->lengths, N_KEYS,
						      callbacks, &n_read, 1);

	if (rc == MEMCACHED_SUCCESS) {
		memcached_fetch_execute(handle, callbacks, &n_read, 1);
	}
	return n_read;
}

static const struct way {
	const char *name;
	unsigned (*read)(const struct kind *kind, memcached_st *handle, const struct keys *keys);
	bool only_binary;
} ways[] = {
	{ "get", read_get, false },
	{ "mget+fetch", read_fetch, false },
	{ "mget+fetch_result", read_fetch_result, false },
	{ "mget+fetch_result(NULL)", read_fetch_result_new, false },
	{ "mget+fetch_execute", read_fetch_execute, false },
	{ "mget_execute", read_mget_execute, true },
};

/* --- the table --- */

static const char *protocol(const struct kind *kind)
{
	return kind->binary ? "binary" : "text";
}

static void make_keys(struct keys *keys, const char *way, const struct kind *kind)
{
	for (size_t i = 0; i < N_KEYS; i++) {
		char *text = keys->text[i];

		snprintf(text, sizeof(keys->text[i]), "%zu-%s-%s-%s", i, way, protocol(kind),
			 kind->name);
		if (kind->n_key) {
			memset(text + strlen(text), 'x', kind->n_key - strlen(text));
			text[kind->n_key] = '\0';
		}
		keys->of[i] = text;
		keys->lengths[i] = strlen(text);
	}
}

static void store(const struct kind *kind, memcached_st *handle, const struct keys *keys)
{
	for (size_t i = 0; i < N_KEYS; i++) {
		size_t n_key = keys->lengths[i];
		const char *group = kind->by_key ? MASTER : keys->of[i];
		size_t n_group = kind->by_key ? strlen(MASTER) : n_key;
		char value[MEMCACHED_MAX_KEY + 6];
		memcached_return_t rc;

		snprintf(value, sizeof(value), "value:%s", keys->of[i]);
		rc = memcached_set_by_key(handle, group, n_group, keys->of[i], n_key, value,
					  strlen(value), 0, (uint32_t)n_key);
		if (rc != MEMCACHED_SUCCESS && rc != MEMCACHED_BUFFERED) {
			fail("a value was not stored");
		}
	}
}

static void measure(const struct way *way, struct kind *kind)
{
	const double n_reads = N_KEYS * ROUNDS;
	uint64_t before;
	uint64_t asked;
	struct keys keys;

	make_keys(&keys, way->name, kind);
	store(kind, kind->source, &keys);
	before = gets_of_both();
	for (int i = 0; i < ROUNDS; i++) {
		memcached_st *handle = kind->take(kind);

		if (handle == NULL || way->read(kind, handle, &keys) != N_KEYS) {
			fail("not all was read");
		}
		kind->give(kind, handle);
	}
	asked = gets_of_both() - before;
	printf("%5.1f %s %s %s\n", 100 * (1 - (double)asked / n_reads), way->name, protocol(kind),
	       kind->name);
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		return 2;
	}
	sockets[0] = argv[1];
	sockets[1] = argv[2];
	for (size_t k = 0; k < 2 * sizeof(kinds) / sizeof(kinds[0]); k++) {
		struct kind *kind = &kinds[k / 2];

		kind->binary = k % 2;
		if (kind->binary && kind->only_text) {
			continue;
		}
		kind->source = new_handle(kind);
		kind->pool = memcached_pool_create(kind->source, 1, 2);
		for (size_t w = 0; w < sizeof(ways) / sizeof(ways[0]); w++) {
			if (kind->binary || !ways[w].only_binary) {
				measure(&ways[w], kind);
			}
		}
		/* The source is the caller's again. */
		memcached_free(memcached_pool_destroy(kind->pool));
	}
	return 0;
}
