/*
 * The errors that a handle keeps for memcached_last_error() and its like.  What
 * the real calls leave there stays; this is for calls that were not made.
 */
#include "shim/shim.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/*
 * libmemcached keeps its layout to itself (struct memcached_error_t of
 * error.cc, the same since 1.0), and exports nothing that sets an error.
 */
struct error {
	const memcached_st *handle;
	uint64_t query_id;
	struct error *next;
	memcached_return_t rc;
	int errnum;
	size_t n_message;
	char message[];
};

/* Longest message, with the NUL, as libmemcached has it. */
#define MESSAGE_MAX 2048

static atomic_bool is_another_layout;

void shim_clear_errors(memcached_st *handle)
{
	memcached_server_st carrier;

	/* There is an exported way to clear errors only for those of a server. */
	memset(&carrier, 0, sizeof(carrier));
	carrier.error_messages = handle->error_messages;
	handle->error_messages = NULL;
	memcached_real.memcached_server_error_reset(&carrier);
}

static bool is_as_known(const struct error *error, const memcached_st *handle)
{
	return error->handle == handle && error->query_id == handle->query_id &&
	       error->rc == MEMCACHED_DEPRECATED && error->errnum == 0 &&
	       error->n_message < MESSAGE_MAX &&
	       strnlen(error->message, error->n_message + 1) == error->n_message;
}

/* "(handle) what happened -> path/behavior.cc:line" becomes what fetch.cc would have said. */
static void set_message(struct error *error, memcached_return_t rc)
{
	char folder[256] = "";
	const char *place = strstr(error->message, " -> ");
	const char *file = place ? strstr(place, "behavior.cc") : NULL;
	int n;

	if (file) {
		snprintf(folder, sizeof(folder), "%.*s", (int)(file - place - 4), place + 4);
	}
	/* Not longer than the message that was there. */
	n = snprintf(error->message, error->n_message + 1, "(%p) %s -> %sfetch.cc:220",
		     (const void *)error->handle, memcached_real.memcached_strerror(NULL, rc),
		     folder);
	error->n_message = (size_t)n < error->n_message ? (size_t)n : error->n_message;
}

void shim_set_error(memcached_st *handle, memcached_return_t rc)
{
	struct error *error;

	if (!memcached_fatal(rc) || rc == MEMCACHED_ERRNO ||
	    atomic_load_explicit(&is_another_layout, memory_order_relaxed)) {
		return;
	}
	/* A behavior that is no more: leaves an error of its own and does nothing else. */
	memcached_real.memcached_behavior_set(handle, MEMCACHED_BEHAVIOR_CORK, 1);
	error = (void *)handle->error_messages;
	if (error == NULL) {
		return;
	}
	if (!is_as_known(error, handle)) {
		atomic_store_explicit(&is_another_layout, true, memory_order_relaxed);
		shim_clear_errors(handle);
		return;
	}
	error->rc = rc;
	set_message(error, rc);
}
