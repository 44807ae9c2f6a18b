/* tower key: where a key is now. */
#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/machine.h"
#include "base/shm.h"
#include "cli/cli.h"
#include "cli/switch.h"
#include "layers/redis.h"

#define NAME_MAX_BYTES 1280
#define ANSWER_MAX 512
#define WAIT_S 5
#define SHARED_ALIGNMENT 64

static const char server_default[] = "localhost:11211";

/* The program's memcached; port 0: `host` is the path of a socket. */
struct server {
	char host[1024];
	unsigned port;
};

static bool parse_server(const char *text, struct server *ret)
{
	const char *colon = strrchr(text, ':');
	char *end = NULL;
	long port = colon ? strtol(colon + 1, &end, 10) : 0;
	int n = (int)(colon ? colon - text : 0);

	if (text[0] == '/') {
		n = (int)strlen(text);
		port = 0;
	} else if (n == 0 || *end || port < 1 || port > 65535) {
		n = 0;
	}
	if (n == 0 || n >= (int)sizeof(ret->host)) {
		cli_error("key: --server takes HOST:PORT or the path of a socket, not '%s'", text);
		return false;
	}
	snprintf(ret->host, sizeof(ret->host), "%.*s", n, text);
	ret->port = (unsigned)port;
	return true;
}

/* --- memcached --- */

static int connect_unix(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		int saved = errno;

		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

static int connect_tcp(const struct server *server, const char **ret_why)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *found;
	char port[16];
	int fd = -1;
	int failure;

	snprintf(port, sizeof(port), "%u", server->port);
	failure = getaddrinfo(server->host, port, &hints, &found);
	if (failure != 0) {
		*ret_why = gai_strerror(failure);
		return -1;
	}
	for (const struct addrinfo *at = found; at && fd < 0; at = at->ai_next) {
		fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd >= 0 && connect(fd, at->ai_addr, at->ai_addrlen) != 0) {
			int saved = errno;

			close(fd);
			errno = saved;
			fd = -1;
		}
	}
	freeaddrinfo(found);
	return fd;
}

/* One line, without its end; false where none came. */
static bool ask(int fd, const char *question, char *ret_line)
{
	const struct timeval wait = { .tv_sec = WAIT_S };
	size_t n = strlen(question);
	size_t got = 0;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	if (send(fd, question, n, MSG_NOSIGNAL) != (ssize_t)n) {
		return false;
	}
	while (got < ANSWER_MAX - 1) {
		ssize_t more = recv(fd, ret_line + got, ANSWER_MAX - 1 - got, 0);

		if (more <= 0) {
			errno = more == 0 ? ECONNRESET : errno;
			return false;
		}
		got += (size_t)more;
		ret_line[got] = '\0';
		if (strstr(ret_line, "\r\n")) {
			*strstr(ret_line, "\r\n") = '\0';
			return true;
		}
	}
	return false;
}

static void print_left(int64_t seconds)
{
	if (seconds < 0) {
		printf("does not end by itself\n");
	} else {
		printf("ends in %" PRId64 " s\n", seconds);
	}
}

/* "HD s<bytes> t<seconds>", -1 seconds for never. */
static bool parse_answer(const char *line, uint64_t *ret_n, int64_t *ret_left)
{
	char *end;

	if (strncmp(line, "HD s", 4) != 0) {
		return false;
	}
	*ret_n = strtoull(line + 4, &end, 10);
	if (strncmp(end, " t", 2) != 0) {
		return false;
	}
	*ret_left = strtoll(end + 2, &end, 10);
	return *end == '\0';
}

/* A meta get changes nothing: it does not even count as a use. */
static bool print_memcached(const struct server *server, const char *key)
{
	const char *why = NULL;
	int fd = server->port ? connect_tcp(server, &why) : connect_unix(server->host);
	char question[ANSWER_MAX];
	char line[ANSWER_MAX];
	uint64_t n_bytes;
	int64_t left;
	bool answered;

	snprintf(question, sizeof(question), "mg %s s t\r\n", key);
	answered = fd >= 0 && ask(fd, question, line);
	if (!answered) {
		printf("memcached  does not answer: %s\n", why ? why : strerror(errno));
	} else if (parse_answer(line, &n_bytes, &left)) {
		printf("memcached  has it: %" PRIu64 " bytes, ", n_bytes);
		print_left(left);
	} else if (strcmp(line, "EN") == 0) {
		printf("memcached  does not have it\n");
	} else {
		printf("memcached  does not say (older than 1.6, or none): %s\n", line);
	}
	if (fd >= 0) {
		close(fd);
	}
	return answered;
}

/* --- redis --- */

static void *allocate(void *owner, size_t n)
{
	(void)owner;
	return malloc(n);
}

static void release(void *owner, void *bytes)
{
	(void)owner;
	free(bytes);
}

static void *align(void *bytes)
{
	return (void *)(((uintptr_t)bytes + SHARED_ALIGNMENT - 1) &
			~(uintptr_t)(SHARED_ALIGNMENT - 1));
}

static struct layer *open_redis(const struct config *config, void *shared,
				struct layer_counters **counters, struct redis_seen *seen)
{
	const struct redis_options options = {
		.url = config->redis_url,
		.password_file = config->redis_password_file,
		.name_space = config->redis_namespace,
		.version = config->redis_version,
		.ttl_ns = config->redis_ttl,
		.connect_timeout_ns = config->redis_connect_timeout,
		.timeout_ns = config->redis_timeout,
		.breaker_retry_ns = config->redis_breaker_retry,
		.max_connections = 1,
		.looks_on = true,
		.seen = seen,
		.alias = config->redis_alias,
		.max_item_bytes = config->redis_max_item_bytes,
	};
	const char *why = "out of memory";
	struct layer *layer = redis_open(&options, shared, counters, &why);

	if (layer == NULL) {
		printf("redis      cannot be asked: %s\n", why);
	}
	return layer;
}

static void print_item(const struct layer_item *item)
{
	int64_t left = item->deadline_ns == CLOCK_NEVER ? -1 : item->deadline_ns - clock_now_ns();

	switch (item->answer) {
	case LAYER_HIT:
		printf("redis      has it: %zu bytes, ", item->n_value);
		print_left(left < 0 ? -1 : left / CLOCK_NS_PER_S);
		break;
	case LAYER_MISS:
		printf("redis      does not have it\n");
		break;
	case LAYER_UNASKED:
	case LAYER_DOWN:
		printf("redis      cannot say\n");
		break;
	}
}

static bool print_redis(const struct config *config, const struct server *server, const char *key)
{
	void *shared = calloc(1, redis_shared_bytes() + SHARED_ALIGNMENT);
	struct layer_counters own_counters = { 0 };
	struct layer_counters *counters = &own_counters;
	struct redis_seen seen = { .generation = 0 };
	struct layer *layer = shared ? open_redis(config, align(shared), &counters, &seen) : NULL;
	char name[NAME_MAX_BYTES];
	struct layer_item item = { .answer = LAYER_MISS };
	struct layer_batch batch = {
		.items = &item,
		.n_items = 1,
		.allocator = { allocate, release, NULL },
	};

	if (layer == NULL) {
		free(shared);
		return false;
	}
	machine_name_server(server->host, server->port, name, sizeof(name));
	item.key = (struct layer_key){
		.wire = key,
		.n_wire = strlen(key),
		.hash = hash_bytes(key, strlen(key)),
		.server = name,
	};
	redis_ops.get(layer, &batch);
	print_item(&item);
	if (seen.generation) {
		printf("writers    %s\n", seen.several ? "several domains: nothing goes back into "
							 "memcached"
						       : "one domain");
	}
	free(item.value);
	redis_ops.close(&layer);
	free(shared);
	return item.answer == LAYER_HIT || item.answer == LAYER_MISS;
}

/* --- the domain --- */

static bool print_slot(const struct config *config, const char *key)
{
	char path[CONFIG_TEXT_MAX];
	struct slots_options options;
	struct slots_view view = { 0 };
	enum shm_status status = SHM_NONE;
	bool is_known = true;

	if (switch_table(config, path, &options)) {
		status = slots_look(&options, hash_bytes(key, strlen(key)), &view);
	}
	if (status == SHM_OK) {
		printf("slot       %zu, %u writes in flight%s\n", view.slot, view.in_flight,
		       view.in_flight ? ": memory and redis do not answer for it" : "");
	} else if (status == SHM_NONE) {
		printf("slot       none: the domain has no table\n");
	} else {
		printf("slot       cannot be seen: %s %s\n", path, shm_why(status));
		is_known = false;
	}
	printf("memory     is every process's own and cannot be asked from outside; %s\n",
	       is_known ? switch_text(view.off) : "what is switched off cannot be seen");
	return is_known;
}

static int print_key(const struct config *config, const struct server *server, const char *key)
{
	bool well = print_slot(config, key);

	well = print_memcached(server, key) && well;
	if (config->tower_layers & CONFIG_LAYER_REDIS) {
		well = print_redis(config, server, key) && well;
	}
	return well ? CLI_OK : CLI_FAILED;
}

/* What memcached's protocol takes; anything else would be another command. */
static bool is_key(const char *text)
{
	size_t n = strlen(text);

	for (const char *c = text; *c; c++) {
		if ((unsigned char)*c <= ' ' || *c == 0x7f) {
			return false;
		}
	}
	return n > 0 && n <= LAYER_KEY_MAX;
}

int cli_key(const struct cli_options *options, int argc, char **argv)
{
	const char *address = server_default;
	const char *key = NULL;
	bool is_last = false; /* what follows is a key, whatever it looks like */
	struct config config;
	struct server server;

	for (int i = 1; i < argc; i++) {
		if (!is_last && strcmp(argv[i], "--") == 0) {
			is_last = true;
			continue;
		}
		if (!is_last && cli_takes_value(argc, argv, &i, "--server", &address)) {
			continue;
		}
		if (key || (!is_last && strncmp(argv[i], "--", 2) == 0)) {
			cli_error("key: \"%s\" not understood; see `tower key --help`", argv[i]);
			return CLI_USAGE;
		}
		key = argv[i];
	}
	if (!key || !is_key(key)) {
		cli_error("key: it takes one key of 1 to %d bytes without blanks", LAYER_KEY_MAX);
		return CLI_USAGE;
	}
	if (!parse_server(address, &server)) {
		return CLI_USAGE;
	}
	if (!cli_load_config(options, &config)) {
		return CLI_FAILED;
	}
	printf("server     %s%s\n", address,
	       address == server_default ? " (--server names another)" : "");
	return print_key(&config, &server, key);
}
