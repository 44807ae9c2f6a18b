/*
 * metrics_server.h - answers GET /metrics, with libmicrohttpd.
 */
#ifndef TOWER_CLI_METRICS_SERVER_H
#define TOWER_CLI_METRICS_SERVER_H

#include <stddef.h>

/* A page of *ret_n bytes from malloc(), or NULL where there is none now.  Any thread. */
typedef char *metrics_page_fn(const void *owner, size_t *ret_n);

/*
 * Serves on "address:port" ("[address]:port" for IPv6; port 0: any) until SIGINT or
 * SIGTERM comes, and says on stdout where.  Answers the program's exit status.
 */
int metrics_serve(const char *address, metrics_page_fn *page, const void *owner);

#endif
