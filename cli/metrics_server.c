#include "cli/metrics_server.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "cli/cli.h"
#include "measure/number.h"

#define CONNECTIONS_MAX 16
#define TIMEOUT_S 10
#define HOST_MAX 256

/* The page loads nothing from elsewhere, is shown inside no other, and sends nothing away. */
#define POLICY                                                                                     \
	"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "              \
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

struct server {
	const struct metrics_page *pages;
	const void *owner;
};

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, char *text,
			      size_t n, enum MHD_ResponseMemoryMode mode, const char *type)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(n, text, mode);
	enum MHD_Result result;

	if (response == NULL) {
		if (mode == MHD_RESPMEM_MUST_FREE) {
			free(text);
		}
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	MHD_add_response_header(response, "Content-Security-Policy", POLICY);
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result answer_text(struct MHD_Connection *connection, unsigned status,
				   const char *text)
{
	/* Only read, though the type does not say so. */
	return answer(connection, status, (char *)(uintptr_t)text, strlen(text),
		      MHD_RESPMEM_PERSISTENT, "text/plain; charset=utf-8");
}

static const struct metrics_page *find_page(const struct server *server, const char *path)
{
	const struct metrics_page *page = server->pages;

	while (page->path && strcmp(page->path, path) != 0) {
		page++;
	}
	return page->path ? page : NULL;
}

static enum MHD_Result handle(void *owner, struct MHD_Connection *connection, const char *url,
			      const char *method, const char *version, const char *upload,
			      size_t *n_upload, void **request)
{
	const struct server *server = owner;
	const struct metrics_page *page;
	char *text;
	size_t n;

	(void)version;
	(void)upload;
	(void)n_upload;
	(void)request;
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
		return answer_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET\n");
	}
	page = find_page(server, url);
	if (page == NULL) {
		return answer_text(connection, MHD_HTTP_NOT_FOUND,
				   "there is only /metrics, and a page "
				   "for people at /\n");
	}
	text = page->make(server->owner, &n);
	if (text == NULL) {
		return answer_text(connection, MHD_HTTP_SERVICE_UNAVAILABLE,
				   "the statistics cannot be read\n");
	}
	return answer(connection, MHD_HTTP_OK, text, n, MHD_RESPMEM_MUST_FREE, page->type);
}

/* [ADDRESS:]PORT; only this machine can reach what names no address. */
struct place {
	char host[HOST_MAX];
	char port[8];
};

static bool parse(const char *text, struct place *ret)
{
	const char *colon = strrchr(text, ':');
	size_t n = colon ? (size_t)(colon - text) : 0;
	unsigned port;

	if (n >= sizeof(ret->host) || !number_port(colon ? colon + 1 : text, 0, &port)) {
		cli_error("metrics: --listen takes [ADDRESS:]PORT, like 127.0.0.1:9410, not '%s'",
			  text);
		return false;
	}
	snprintf(ret->host, sizeof(ret->host), "%.*s", n ? (int)n : 9, n ? text : "127.0.0.1");
	snprintf(ret->port, sizeof(ret->port), "%u", port);
	return true;
}

/* False where the address is none; what is wrong is then on stderr. */
static bool resolve(const struct place *place, struct addrinfo **ret)
{
	const struct addrinfo hints = {
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
		.ai_socktype = SOCK_STREAM,
	};
	size_t n = strlen(place->host);
	bool brackets = place->host[0] == '[' && place->host[n - 1] == ']';
	char host[HOST_MAX];
	int error;

	snprintf(host, sizeof(host), "%.*s", (int)(brackets ? n - 2 : n), place->host + brackets);
	error = getaddrinfo(host, place->port, &hints, ret);
	if (error) {
		cli_error("metrics: --listen %s: %s", place->host, gai_strerror(error));
	}
	return error == 0;
}

static struct MHD_Daemon *start(const struct addrinfo *address, struct server *server)
{
	unsigned flags =
		MHD_USE_AUTO_INTERNAL_THREAD | (address->ai_family == AF_INET6 ? MHD_USE_IPv6 : 0);

	return MHD_start_daemon(flags, 0, NULL, NULL, handle, server, MHD_OPTION_SOCK_ADDR,
				address->ai_addr, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
				MHD_OPTION_CONNECTION_TIMEOUT, TIMEOUT_S, MHD_OPTION_END);
}

int metrics_serve(const char *address, const struct metrics_page *pages, const void *owner)
{
	struct server server = { pages, owner };
	const union MHD_DaemonInfo *info;
	struct MHD_Daemon *daemon;
	struct addrinfo *found;
	struct place place;
	sigset_t ends;
	int ending;

	if (!parse(address, &place) || !resolve(&place, &found)) {
		return CLI_USAGE;
	}
	/* Before there is a second thread, which then has it so, too. */
	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	daemon = start(found, &server);
	freeaddrinfo(found);
	if (daemon == NULL) {
		cli_error("metrics: cannot listen on %s: %s", address, strerror(errno));
		return CLI_FAILED;
	}
	info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT);
	printf("http://%s:%u%s\n", place.host, info ? info->port : 0, pages[0].path);
	fflush(stdout);
	sigwait(&ends, &ending);
	MHD_stop_daemon(daemon);
	return CLI_OK;
}
