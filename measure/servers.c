#include "measure/servers.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "measure/child.h"

#define START_NS (20 * CLOCK_NS_PER_S) /* patience with a loaded machine */
#define ANSWER_S 5
#define STEP_MS 5
#define ENVIRONMENT_MAX 512

bool servers_open(struct servers *servers)
{
	static const char name[] = "tower-bench-XXXXXX";
	const char *parent = getenv("TMPDIR");

	*servers = (struct servers){ 0 };
	if (!parent || *parent != '/' ||
	    strlen(parent) + sizeof(name) + 1 > sizeof(servers->folder)) {
		parent = "/tmp";
	}
	snprintf(servers->folder, sizeof(servers->folder), "%s/%s", parent, name);
	if (!mkdtemp(servers->folder)) {
		servers->folder[0] = '\0';
		return false;
	}
	return true;
}

static void log_path(const struct servers *servers, char *ret, size_t n)
{
	snprintf(ret, n, "%s/log", servers->folder);
}

/* The server's own last words. */
static void last_words(const struct servers *servers, char *ret, size_t n)
{
	char path[SERVERS_PATH_MAX];
	char line[256];
	FILE *log;

	ret[0] = '\0';
	log_path(servers, path, sizeof(path));
	log = fopen(path, "re");
	while (log && fgets(line, sizeof(line), log)) {
		line[strcspn(line, "\n")] = '\0';
		snprintf(ret, n, ": %s", line);
	}
	if (log) {
		fclose(log);
	}
}

struct server {
	const char *name;
	const char *const *words;
	const char *socket;
	const char *question;
	const char *expected; /* behind it is the version */
	pid_t *pid;
	char *version;
};

bool servers_ask(const struct sockaddr *address, socklen_t n_address, const char *question,
		 const char *expected, char *ret_rest)
{
	const struct timeval patience = { .tv_sec = ANSWER_S };
	char answer[512] = "";
	char *rest = NULL;
	ssize_t n = -1;
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int why;

	if (fd < 0) {
		return false;
	}
	/* That to send binds connect(), too. */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(fd, address, n_address) == 0 &&
	    send(fd, question, strlen(question), MSG_NOSIGNAL) > 0) {
		n = recv(fd, answer, sizeof(answer) - 1, 0);
		rest = n > 0 ? strstr(answer, expected) : NULL;
	}
	why = n >= 0 ? 0 : errno;
	close(fd);
	errno = why == EINPROGRESS || why == EAGAIN ? ETIMEDOUT : why;
	if (rest) {
		rest += strlen(expected);
		snprintf(ret_rest, SERVERS_VERSION_MAX, "%.*s", (int)strcspn(rest, "\r\n"), rest);
	}
	return rest != NULL;
}

static bool ask(const struct server *server)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", server->socket);
	return servers_ask((const struct sockaddr *)&address, sizeof(address), server->question,
			   server->expected, server->version);
}

/* Ours, without anything preloaded. */
static void server_environment(char **ret)
{
	size_t n = 0;

	for (char **from = environ; *from && n + 1 < ENVIRONMENT_MAX; from++) {
		if (strncmp(*from, "LD_PRELOAD=", 11) != 0) {
			ret[n++] = *from;
		}
	}
	ret[n] = NULL;
}

static bool start(const struct servers *servers, const struct server *server,
		  const volatile sig_atomic_t *interrupted, char *ret_why)
{
	char *environment[ENVIRONMENT_MAX];
	char path[SERVERS_PATH_MAX];
	char words[300];
	int64_t give_up = clock_now_ns() + START_NS;
	int status = 0;

	log_path(servers, path, sizeof(path));
	unlink(path);
	unlink(server->socket);
	server_environment(environment);
	*server->pid = child_start(&(struct child_options){ server->words, environment, path, -1 });
	if (!*server->pid) {
		snprintf(ret_why, SERVERS_WHY_MAX, "%s: %s", server->name, strerror(errno));
		return false;
	}
	while (clock_now_ns() < give_up && !*interrupted) {
		if (ask(server)) {
			return true;
		}
		if (child_ended(server->pid, &status)) {
			break;
		}
		poll(NULL, 0, STEP_MS);
	}
	last_words(servers, words, sizeof(words));
	snprintf(ret_why, SERVERS_WHY_MAX, "%s %s%s", server->name,
		 WIFEXITED(status) && WEXITSTATUS(status) == 127 ? "is not installed"
								 : "does not start",
		 words);
	return false;
}

static bool start_memcached(struct servers *servers, const struct servers_options *options,
			    char *ret_why)
{
	char megabytes[32];
	const char *words[] = {
		"memcached", "-s",	servers->memcached,	      "-U",   "0",
		"-m",	     megabytes, geteuid() == 0 ? "-u" : NULL, "root", NULL
	};

	snprintf(megabytes, sizeof(megabytes), "%" PRIu64,
		 options->memcached_bytes >> 20 ? options->memcached_bytes >> 20 : 1);
	return start(servers,
		     &(struct server){ "memcached", words, servers->memcached, "version\r\n",
				       "VERSION ", &servers->memcached_pid,
				       servers->memcached_version },
		     options->interrupted, ret_why);
}

static bool start_redis(struct servers *servers, const struct servers_options *options,
			char *ret_why)
{
	char bytes[32];
	const char *words[] = { "redis-server",
				"--port",
				"0",
				"--unixsocket",
				servers->redis,
				"--dir",
				servers->folder,
				"--save",
				"",
				"--appendonly",
				"no",
				"--daemonize",
				"no",
				"--maxmemory",
				bytes,
				"--maxmemory-policy",
				"allkeys-lru",
				NULL };

	snprintf(bytes, sizeof(bytes), "%" PRIu64, options->redis_bytes);
	return start(servers,
		     &(struct server){ "redis-server", words, servers->redis, "INFO server\r\n",
				       "redis_version:", &servers->redis_pid,
				       servers->redis_version },
		     options->interrupted, ret_why);
}

bool servers_start(struct servers *servers, const struct servers_options *options, char *ret_why)
{
	if (options->memcached) {
		snprintf(servers->memcached, sizeof(servers->memcached), "%s/memcached",
			 servers->folder);
		if (!start_memcached(servers, options, ret_why)) {
			return false;
		}
	}
	if (options->redis) {
		snprintf(servers->redis, sizeof(servers->redis), "%s/redis", servers->folder);
		return start_redis(servers, options, ret_why);
	}
	return true;
}

void servers_stop(struct servers *servers)
{
	child_end(&servers->memcached_pid);
	child_end(&servers->redis_pid);
}

static void remove_file(const struct servers *servers, const char *name)
{
	char path[SERVERS_PATH_MAX + 16];

	snprintf(path, sizeof(path), "%s/%s", servers->folder, name);
	unlink(path);
}

void servers_close(struct servers *servers)
{
	servers_stop(servers);
	if (servers->folder[0]) {
		remove_file(servers, "log");
		remove_file(servers, "memcached");
		remove_file(servers, "redis");
		remove_file(servers, "tower.ini");
		rmdir(servers->folder);
		servers->folder[0] = '\0';
	}
}
