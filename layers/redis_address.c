#include "layers/redis_address.h"

#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/quiet.h"

static void resolve_unix(const struct redis_url *url, struct redis_addresses *addresses)
{
	struct sockaddr_un local = { .sun_family = AF_UNIX };

	memcpy(local.sun_path, url->path, sizeof(local.sun_path));
	memcpy(&addresses->list[0].socket, &local, sizeof(local));
	addresses->list[0].n_socket = sizeof(local);
	addresses->n = 1;
}

static void take_found(const struct addrinfo *found, struct redis_addresses *addresses)
{
	for (const struct addrinfo *at = found; at && addresses->n < REDIS_ADDRESSES_MAX;
	     at = at->ai_next) {
		if (at->ai_addrlen <= sizeof(addresses->list[0].socket)) {
			memcpy(&addresses->list[addresses->n].socket, at->ai_addr, at->ai_addrlen);
			addresses->list[addresses->n++].n_socket = at->ai_addrlen;
		}
	}
}

static void look_up(const struct redis_url *url, int flags, struct redis_addresses *addresses)
{
	const struct addrinfo wanted = { .ai_socktype = SOCK_STREAM,
					 .ai_flags = AI_NUMERICSERV | flags };
	struct addrinfo *found;

	if (getaddrinfo(url->host, url->port, &wanted, &found) == 0) {
		take_found(found, addresses);
		freeaddrinfo(found);
	}
}

/* Signals must not wait for a name server: only an address is read without them. */
static void resolve_tcp(const struct redis_url *url, struct redis_addresses *addresses)
{
	quiet_begin();
	look_up(url, AI_NUMERICHOST, addresses);
	quiet_end();
	if (addresses->n == 0) {
		look_up(url, 0, addresses);
	}
}

struct redis_addresses *redis_address_resolve(const struct redis_url *url)
{
	struct redis_addresses *addresses = quiet_calloc(1, sizeof(*addresses));

	if (addresses == NULL) {
		return NULL;
	}
	if (url->is_unix) {
		resolve_unix(url, addresses);
	} else {
		resolve_tcp(url, addresses);
	}
	if (addresses->n == 0) {
		quiet_free(addresses);
		return NULL;
	}
	return addresses;
}
