/*
 * Servers by name.  A name once used is kept: the items of a call or of an mget
 * carry it, and what a program calls in between may change its servers.
 */
#include "shim/shim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fork.h"
#include "base/lock.h"
#include "base/machine.h"

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define NAMES_MAX 65536
#define NAME_BYTES_MAX 1280 /* a host name or path, and a port */

struct name {
	UT_hash_handle hh;
	char text[];
};

static struct lock names_lock = LOCK_INIT(LOCK_RANK_NAMES); /* guards: names */
static struct name *names;

static void fork_prepare(void)
{
	lock_take(&names_lock);
}

static void fork_parent(void)
{
	lock_release(&names_lock);
}

static void fork_child(void)
{
	lock_reset(&names_lock);
}

static const struct fork_handler fork_handler = { fork_prepare, fork_parent, fork_child };

static struct name *add_locked(const char *text, size_t n)
{
	struct name *added;

	if (HASH_COUNT(names) >= NAMES_MAX) {
		return NULL;
	}
	added = calloc(1, sizeof(*added) + n + 1);
	if (added == NULL) {
		return NULL;
	}
	memcpy(added->text, text, n + 1);
	HASH_ADD_KEYPTR(hh, names, added->text, n, added);
	if (added->hh.tbl == NULL) {
		free(added);
		return NULL;
	}
	return added;
}

static const char *keep(const char *text)
{
	struct name *found = NULL;
	size_t n = strlen(text);

	fork_register(&fork_handler);
	lock_take(&names_lock);
	HASH_FIND(hh, names, text, n, found);
	if (found == NULL) {
		found = add_locked(text, n);
	}
	lock_release(&names_lock);
	return found ? found->text : NULL;
}

const char *shim_server_name(const memcached_instance_st *server)
{
	char name[NAME_BYTES_MAX];
	const char *host = memcached_real.memcached_server_name(server);
	unsigned port = memcached_real.memcached_server_port(server);

	machine_name_server(host ? host : "", port, name, sizeof(name));
	return keep(name);
}
