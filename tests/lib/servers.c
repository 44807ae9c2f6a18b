#include "tests/lib/servers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ARGS_MAX 64
#define ENVIRONMENT_MAX 512
#define START_MS 20000 /* patience with a loaded machine */
#define STEP_MS 5      /* between two looks */
#define PATH_MAX_UNIX (sizeof(((struct sockaddr_un *)NULL)->sun_path))

enum server_kind { SERVER_REDIS, SERVER_MEMCACHED };

struct server {
	enum server_kind kind;
	bool tcp;
	unsigned short port;
	pid_t pid;
	char folder[PATH_MAX_UNIX];
	char socket[PATH_MAX_UNIX];
	char *extra_args;
};

static const char *preload;

void servers_preload(const char *library)
{
	preload = library;
}

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void in_folder(const struct server *server, const char *name, char *ret_path, size_t n)
{
	snprintf(ret_path, n, "%s/%s", server->folder, name);
}

/* Keeps the socket's path within what a socket address holds. */
static bool folder_make(struct server *server)
{
	static const char name[] = "tower-XXXXXX";
	const char *parent = getenv("TMPDIR");

	if (parent == NULL || *parent != '/' ||
	    strlen(parent) + sizeof(name) + sizeof("/socket") >= PATH_MAX_UNIX) {
		parent = "/tmp";
	}
	snprintf(server->folder, sizeof(server->folder), "%s/%s", parent, name);
	if (mkdtemp(server->folder) == NULL) {
		fprintf(stderr, "servers: %s: %s\n", server->folder, strerror(errno));
		server->folder[0] = '\0';
		return false;
	}
	strcpy(server->socket, server->folder);
	strcat(server->socket, "/socket");
	return true;
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *place)
{
	(void)info;
	(void)type;
	(void)place;
	return remove(path);
}

static void folder_remove(const struct server *server)
{
	if (server->folder[0] != '\0') {
		nftw(server->folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	}
}

/* The server's own words, for whoever reads the failed test. */
static void show_log(const struct server *server)
{
	char path[PATH_MAX_UNIX + 16];
	char line[512];
	FILE *log;

	in_folder(server, "log", path, sizeof(path));
	log = fopen(path, "re");
	if (log == NULL) {
		return;
	}
	while (fgets(line, sizeof(line), log) != NULL) {
		fprintf(stderr, "servers: %s", line);
	}
	fclose(log);
}

struct command {
	char *args[ARGS_MAX];
	size_t n_args;
	char *environment[ENVIRONMENT_MAX];
	char words[4096]; /* where args that are not literals lie */
	size_t n_words;
	char preload[4096];
};

static void arg_add(struct command *command, const char *arg)
{
	size_t n = strlen(arg) + 1;

	if (command->n_args + 1 >= ARGS_MAX || command->n_words + n > sizeof(command->words)) {
		fprintf(stderr, "servers: too many arguments\n");
		abort();
	}
	memcpy(command->words + command->n_words, arg, n);
	command->args[command->n_args++] = command->words + command->n_words;
	command->n_words += n;
}

static void arg_add_number(struct command *command, int number)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", number);
	arg_add(command, text);
}

static const char *redis_program(void)
{
	const char *named = getenv("REDIS_SERVER");

	return named && *named ? named : "redis-server";
}

static void redis_args(const struct server *server, struct command *command)
{
	arg_add(command, redis_program());
	arg_add(command, "--port");
	arg_add(command, "0");
	arg_add(command, "--unixsocket");
	arg_add(command, server->socket);
	arg_add(command, "--dir");
	arg_add(command, server->folder);
	arg_add(command, "--save");
	arg_add(command, "");
	arg_add(command, "--appendonly");
	arg_add(command, "no");
	arg_add(command, "--daemonize");
	arg_add(command, "no");
}

static void memcached_args(const struct server *server, struct command *command)
{
	arg_add(command, "memcached");
	if (server->tcp) {
		arg_add(command, "-l");
		arg_add(command, "127.0.0.1");
		arg_add(command, "-p");
		arg_add_number(command, server->port != 0 ? server->port : -1);
	} else {
		arg_add(command, "-s");
		arg_add(command, server->socket);
	}
	arg_add(command, "-m");
	arg_add(command, "64");
	arg_add(command, "-U");
	arg_add(command, "0");
	if (geteuid() == 0) {
		/* Another user could not make a socket in our folder. */
		arg_add(command, "-u");
		arg_add(command, "root");
	}
}

static void command_args(const struct server *server, struct command *command)
{
	char *rest, *word, *extra;

	if (server->kind == SERVER_REDIS) {
		redis_args(server, command);
	} else {
		memcached_args(server, command);
	}
	extra = strdup(server->extra_args);
	if (extra == NULL) {
		abort();
	}
	for (word = strtok_r(extra, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
		arg_add(command, word);
	}
	free(extra);
	command->args[command->n_args] = NULL;
}

/* The test's environment but for what is preloaded; memcached says its port by a file. */
static void command_environment(struct command *command, char *port_file)
{
	size_t n = 0;
	char **from;

	for (from = environ; *from != NULL && n + 3 < ENVIRONMENT_MAX; from++) {
		if (strncmp(*from, "LD_PRELOAD=", 11) != 0) {
			command->environment[n++] = *from;
		}
	}
	if (preload != NULL) {
		snprintf(command->preload, sizeof(command->preload), "LD_PRELOAD=%s", preload);
		command->environment[n++] = command->preload;
	}
	command->environment[n++] = port_file;
	command->environment[n] = NULL;
}

/* Between fork and exec: async-signal-safe calls only. */
static void __attribute__((noreturn))
become(const struct command *command, pid_t parent, const char *log_path)
{
	sigset_t none;
	int log, nothing;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent) {
		_exit(127);
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	nothing = open("/dev/null", O_RDONLY);
	log = open(log_path, O_WRONLY | O_CREAT | O_APPEND, 0600);
	if (nothing < 0 || log < 0) {
		_exit(127);
	}
	dup2(nothing, STDIN_FILENO);
	dup2(log, STDOUT_FILENO);
	dup2(log, STDERR_FILENO);
	close_range(3, ~0U, 0);
	execvpe(command->args[0], command->args, command->environment);
	_exit(127);
}

static int connect_to(const struct server *server)
{
	struct sockaddr_un local = { .sun_family = AF_UNIX };
	struct sockaddr_in loopback = { .sin_family = AF_INET, .sin_port = htons(server->port) };
	const struct sockaddr *address = (const struct sockaddr *)&local;
	socklen_t n = sizeof(local);
	int fd;

	strcpy(local.sun_path, server->socket);
	if (server->tcp) {
		loopback.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		address = (const struct sockaddr *)&loopback;
		n = sizeof(loopback);
	}
	fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, address, n) != 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* A Redis that still loads its snapshot accepts connections, too. */
static bool answers(const struct server *server)
{
	const char *question = server->kind == SERVER_REDIS ? "PING\r\n" : "version\r\n";
	const char *expected = server->kind == SERVER_REDIS ? "+PONG" : "VERSION";
	char answer[64] = "";
	struct pollfd wait = { .fd = connect_to(server), .events = POLLIN };
	bool well = false;

	if (wait.fd < 0) {
		return false;
	}
	if (send(wait.fd, question, strlen(question), MSG_NOSIGNAL) > 0 &&
	    poll(&wait, 1, 1000) == 1) {
		well = recv(wait.fd, answer, sizeof(answer) - 1, 0) > 0 &&
		       strncmp(answer, expected, strlen(expected)) == 0;
	}
	close(wait.fd);
	return well;
}

static bool port_known(struct server *server, const char *port_path)
{
	FILE *file;

	if (!server->tcp || server->port != 0) {
		return true;
	}
	file = fopen(port_path, "re");
	if (file != NULL) {
		if (fscanf(file, "TCP INET: %hu", &server->port) != 1) {
			server->port = 0;
		}
		fclose(file);
	}
	return server->port != 0;
}

static bool start(struct server *server)
{
	struct command *command = calloc(1, sizeof(*command));
	char log_path[PATH_MAX_UNIX + 16];
	char port_file[PATH_MAX_UNIX + 64];
	const char *port_path;
	pid_t parent = getpid();
	long give_up;

	if (command == NULL) {
		return false;
	}
	in_folder(server, "log", log_path, sizeof(log_path));
	snprintf(port_file, sizeof(port_file), "MEMCACHED_PORT_FILENAME=%s/port", server->folder);
	port_path = strchr(port_file, '=') + 1;
	command_args(server, command);
	command_environment(command, port_file);
	server->pid = fork();
	if (server->pid == 0) {
		become(command, parent, log_path);
	}
	free(command);
	if (server->pid < 0) {
		server->pid = 0;
		fprintf(stderr, "servers: fork: %s\n", strerror(errno));
		return false;
	}
	for (give_up = now_ms() + START_MS; now_ms() < give_up;) {
		if (port_known(server, port_path) && answers(server)) {
			return true;
		}
		if (server_wait_exit(server, STEP_MS)) {
			break;
		}
	}
	fprintf(stderr, "servers: %s does not start\n",
		server->kind == SERVER_REDIS ? redis_program() : "memcached");
	show_log(server);
	return false;
}

static struct server *server_new(enum server_kind kind, bool tcp, const char *extra_args)
{
	struct server *server = calloc(1, sizeof(*server));

	if (server == NULL) {
		return NULL;
	}
	server->kind = kind;
	server->tcp = tcp;
	server->extra_args = strdup(extra_args != NULL ? extra_args : "");
	if (server->extra_args == NULL || !folder_make(server) || !start(server)) {
		server_stop(&server);
	}
	return server;
}

struct server *server_start_redis(const char *extra_args)
{
	return server_new(SERVER_REDIS, false, extra_args);
}

struct server *server_start_memcached(const char *extra_args)
{
	return server_new(SERVER_MEMCACHED, false, extra_args);
}

struct server *server_start_memcached_tcp(const char *extra_args)
{
	return server_new(SERVER_MEMCACHED, true, extra_args);
}

const char *server_socket(const struct server *server)
{
	return server->tcp ? NULL : server->socket;
}

unsigned short server_port(const struct server *server)
{
	return server->port;
}

pid_t server_pid(const struct server *server)
{
	return server->pid;
}

void server_kill(struct server *server, int signal_number)
{
	if (server->pid > 0) {
		kill(server->pid, signal_number);
	}
}

bool server_wait_exit(struct server *server, int timeout_ms)
{
	long give_up = now_ms() + timeout_ms;

	while (server->pid > 0) {
		pid_t ended = waitpid(server->pid, NULL, WNOHANG);

		if (ended == server->pid || (ended < 0 && errno == ECHILD)) {
			server->pid = 0;
			break;
		}
		if (now_ms() >= give_up) {
			return false;
		}
		poll(NULL, 0, timeout_ms < STEP_MS ? timeout_ms : STEP_MS);
	}
	return true;
}

static void end(struct server *server)
{
	if (server->pid > 0) {
		kill(server->pid, SIGKILL);
		while (waitpid(server->pid, NULL, 0) < 0 && errno == EINTR) {
		}
		server->pid = 0;
	}
}

bool server_restart(struct server *server)
{
	end(server);
	return start(server);
}

void server_stop(struct server **server)
{
	if (*server == NULL) {
		return;
	}
	end(*server);
	folder_remove(*server);
	free((*server)->extra_args);
	free(*server);
	*server = NULL;
}
