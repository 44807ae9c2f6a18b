/*
 * redis_address.h - the socket addresses behind a url.
 *
 * A host name may have several (::1 and 127.0.0.1 behind "localhost"); they
 * are tried in the order the resolver gave them.
 */
#ifndef TOWER_LAYERS_REDIS_ADDRESS_H
#define TOWER_LAYERS_REDIS_ADDRESS_H

#include <sys/socket.h>

#include "layers/redis_url.h"

#define REDIS_ADDRESSES_MAX 4

struct redis_addresses {
	unsigned n;
	struct {
		struct sockaddr_storage socket;
		socklen_t n_socket;
	} list[REDIS_ADDRESSES_MAX];
};

/*
 * NULL where the name is unknown or memory is out.  The caller frees.  May
 * take as long as the resolver does, unless the host is an address.
 */
struct redis_addresses *redis_address_resolve(const struct redis_url *url);

#endif
