/*
 * metrics_server.h - answers GET of a few pages, with libmicrohttpd.
 */
#ifndef TOWER_CLI_METRICS_SERVER_H
#define TOWER_CLI_METRICS_SERVER_H

#include <stddef.h>

/* A page of *ret_n bytes from malloc(), or NULL where there is none now.  Any thread. */
typedef char *metrics_page_fn(const void *owner, size_t *ret_n);

struct metrics_page {
	const char *path; /* "/metrics" */
	const char *type; /* of its content */
	metrics_page_fn *make;
};

/*
 * Serves `pages`, of which the last has no path, on "address:port" ("[address]:port" for
 * IPv6; "port" for this machine alone; port 0: any) until SIGINT or SIGTERM comes, and says
 * on stdout where the first is.  Answers the program's exit status.
 */
int metrics_serve(const char *address, const struct metrics_page *pages, const void *owner);

#endif
