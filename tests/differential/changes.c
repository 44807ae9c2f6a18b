/* Operations that change a handle, or speak of the servers themselves. */
#include <libmemcached/util.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/differential/differential.h"
#include "tests/differential/worker.h"

#define CHILD_STEPS 6
#define CHILD_MARK UINT64_C(0xc41d) /* it chooses otherwise than its parent will */

void operate_namespace(struct worker *worker, struct handle *handle)
{
	static const char *const prefixes[] = {
		"ns1:", "ns2", "", NULL, "n", "a:long:namespace:", "bad namespace"
	};
	size_t n = sizeof(prefixes) / sizeof(prefixes[0]);
	/* The last one is no good on the wire; only with verified keys it is refused. */
	const char *prefix = prefixes[choose(worker, handle->st->flags.verify_key ? n : n - 1)];

	if (handle->has_results || handle_encodes(handle)) {
		/* Keys of results are read by the prefix of now, not by that of the request. */
		record(worker, " namespace -");
		return;
	}
	record(worker, " namespace %s -> %d", prefix ? prefix : "(NULL)",
	       memcached_callback_set(handle->st, MEMCACHED_CALLBACK_NAMESPACE, prefix));
}

/* Those that break the connection end what was being fetched. */
void operate_behavior(struct worker *worker, struct handle *handle)
{
	static const struct {
		memcached_behavior_t flag;
		bool disconnects;
		bool is_slow;
	} behaviors[] = {
		{ MEMCACHED_BEHAVIOR_SUPPORT_CAS, false, false },
		{ MEMCACHED_BEHAVIOR_SUPPORT_CAS, false, false },
		{ MEMCACHED_BEHAVIOR_SUPPORT_CAS, false, false },
		{ MEMCACHED_BEHAVIOR_SUPPORT_CAS, false, false },
		{ MEMCACHED_BEHAVIOR_VERIFY_KEY, false, false },
		{ MEMCACHED_BEHAVIOR_HASH_WITH_PREFIX_KEY, false, false },
		{ MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED, false, false },
		{ MEMCACHED_BEHAVIOR_TCP_NODELAY, true, false },
		{ MEMCACHED_BEHAVIOR_NO_BLOCK, true, false },
		{ MEMCACHED_BEHAVIOR_BINARY_PROTOCOL, true, false },
		{ MEMCACHED_BEHAVIOR_BUFFER_REQUESTS, true, true },
		{ MEMCACHED_BEHAVIOR_NOREPLY, false, true },
	};
	size_t at = choose(worker, sizeof(behaviors) / sizeof(behaviors[0]));
	uint64_t value = chance(worker, behaviors[at].is_slow ? 20 : 50);
	memcached_return_t rc;

	if (behaviors[at].flag == MEMCACHED_BEHAVIOR_HASH_WITH_PREFIX_KEY &&
	    worker->has_namespace) {
		record(worker, " behavior -");
		return;
	}
	if (behaviors[at].flag == MEMCACHED_BEHAVIOR_BUFFER_REQUESTS &&
	    !handle_may_buffer(handle)) {
		record(worker, " behavior -");
		return;
	}
	handle_empty_buffers(worker, handle);
	if (behaviors[at].flag == MEMCACHED_BEHAVIOR_BINARY_PROTOCOL) {
		memcached_behavior_set(handle->st, MEMCACHED_BEHAVIOR_BUFFER_REQUESTS, 0);
	}
	handle->is_slow |= behaviors[at].is_slow && value;
	rc = memcached_behavior_set(handle->st, behaviors[at].flag, value);
	record(worker, " behavior %d:%d -> %d", behaviors[at].flag, (int)value, rc);
	if (behaviors[at].disconnects) {
		handle->has_results = false;
	}
	record(worker, " is %llu",
	       (unsigned long long)memcached_behavior_get(handle->st, behaviors[at].flag));
}

void operate_servers(struct worker *worker, struct handle *handle)
{
	const char *path = chance(worker, 50) || worker->has_expiries ? DIFFERENTIAL_SERVER_1
								      : DIFFERENTIAL_SERVER_2;

	handle_empty_buffers(worker, handle);
	/* Connections of a list that grows are libmemcached's own hazard: it waits in vain. */
	memcached_quit(handle->st);
	handle->has_results = false;
	if (handle->n_servers >= 3 || chance(worker, 60)) {
		memcached_servers_reset(handle->st);
		handle->n_servers = 0;
		handle->has_dead = false;
		record(worker, " servers_reset");
	}
	record(worker, " server_add %s -> %d", path,
	       memcached_server_add_unix_socket(handle->st, path));
	handle->n_servers++;
	if (!handle_may_buffer(handle)) {
		memcached_behavior_set(handle->st, MEMCACHED_BEHAVIOR_BUFFER_REQUESTS, 0);
	}
}

void operate_clone(struct worker *worker, struct handle *handle)
{
	struct handle *other = handle_other(worker, handle);

	if (other == NULL) {
		record(worker, " clone -");
		return;
	}
	handle_clone(worker, handle, other);
	if (other->st && !handle_encodes(other) && chance(worker, 40)) {
		record(worker, " ns=%d",
		       memcached_callback_set(other->st, MEMCACHED_CALLBACK_NAMESPACE,
					      chance(worker, 50) ? NULL : "ns1:"));
	}
	if (other->st && chance(worker, 30)) {
		handle_empty_buffers(worker, other);
		memcached_behavior_set(other->st, MEMCACHED_BEHAVIOR_BUFFER_REQUESTS, 0);
		record(worker, " binary=%d",
		       memcached_behavior_set(other->st, MEMCACHED_BEHAVIOR_BINARY_PROTOCOL,
					      chance(worker, 50)));
	}
	record_state(worker, other);
}

void operate_quit(struct worker *worker, struct handle *handle)
{
	memcached_return_t rc = MEMCACHED_SUCCESS;

	handle_empty_buffers(worker, handle);
	if (handle->pool && chance(worker, 50)) {
		/* Back into the pool, and out of it. */
		if (handle->has_results) {
			memcached_quit(handle->st);
		}
		rc = memcached_pool_push(handle->pool, handle->st);
		record(worker, " push=%d", rc);
		handle->st = memcached_pool_pop(handle->pool, false, &rc);
		record(worker, " pop=%s/%d", handle->st ? "ok" : "NULL", rc);
	} else {
		memcached_quit(handle->st);
		record(worker, " quit");
	}
	handle->has_results = false;
}

void operate_flush_buffers(struct worker *worker, struct handle *handle)
{
	record(worker, " flush_buffers -> %d", memcached_flush_buffers(handle->st));
}

/* What goes past every layer, but ends what was being fetched. */
void operate_talk(struct worker *worker, struct handle *handle)
{
	memcached_return_t rc = MEMCACHED_SUCCESS;
	memcached_stat_st *stats;

	/* No verbosity: for a unix socket it asks a name server for its path. */
	switch (choose(worker, 3)) {
	case 0:
		record(worker, " version -> %d", memcached_version(handle->st));
		break;
	case 1:
		stats = memcached_stat(handle->st, NULL, &rc);
		record(worker, " stat -> %s/%d", stats ? "ok" : "NULL", rc);
		memcached_stat_free(handle->st, stats);
		break;
	default:
		record(worker, " errors %s", memcached_strerror(handle->st, MEMCACHED_NOTFOUND));
		return;
	}
	handle->has_results = false;
}

void operate_reopen(struct worker *worker, struct handle *handle)
{
	record(worker, " reopen");
	handle_close(worker, handle);
	handle_open(worker, handle);
}

/*
 * A child that goes on with its parent's handles, on connections of its own: a
 * connection that two share is a hazard of every program's own.
 */
void operate_fork(struct worker *worker, struct handle *handle)
{
	static bool is_child;
	int status = 0;
	pid_t child;

	if (is_child) {
		record(worker, " fork -");
		return;
	}
	for (int i = 0; i < WORKER_HANDLES; i++) {
		if (worker->handles[i].st) {
			memcached_quit(worker->handles[i].st);
			worker->handles[i].has_results = false;
		}
	}
	record(worker, " fork\n");
	child = fork();
	if (child == 0) {
		is_child = true;
		worker->random.state ^= CHILD_MARK;
		for (int i = 0; i < CHILD_STEPS; i++) {
			worker_step(worker);
		}
		_exit(EXIT_SUCCESS);
	}
	waitpid(child, &status, 0);
	record(worker, "%llu.%u h%d forked: %#x", (unsigned long long)worker->step, worker->number,
	       (int)(handle - worker->handles), (unsigned)status);
}
