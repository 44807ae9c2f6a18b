#include "tests/differential/worker.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_KEY 24
#define SHOWN_VALUE 10

void record(struct worker *worker, const char *format, ...)
{
	struct board_seat *seat = worker->seat;
	size_t at = atomic_load_explicit(&seat->n_text, memory_order_relaxed);
	size_t room = BOARD_TEXT_MAX - at;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(seat->text + at, room, format, args);
	va_end(args);
	if (n > 0) {
		at += (size_t)n < room ? (size_t)n : room - 1;
	}
	/* Whoever finds the worker dead reads how far it came. */
	atomic_store_explicit(&seat->n_text, at, memory_order_release);
}

static void record_bytes(struct worker *worker, const char *bytes, size_t n)
{
	char shown[2 * SHOWN_KEY + 1];
	size_t at = 0;

	for (size_t i = 0; i < n && at + 3 < sizeof(shown); i++) {
		unsigned char byte = (unsigned char)bytes[i];

		if (isgraph(byte) && byte != '[' && byte != ']' && byte != '\\') {
			shown[at++] = (char)byte;
		} else {
			at += (size_t)snprintf(shown + at, 4, "\\%02x", byte);
		}
	}
	record(worker, "%.*s", (int)at, shown);
}

void record_key(struct worker *worker, struct text key)
{
	if (key.bytes == NULL) {
		record(worker, " [(NULL)]");
		return;
	}
	record(worker, " [");
	record_bytes(worker, key.bytes, key.n < SHOWN_KEY ? key.n : SHOWN_KEY);
	if (key.n > SHOWN_KEY) {
		record(worker, "..%zu", key.n);
	}
	record(worker, "]");
}

void record_group(struct worker *worker, bool by_key, struct text group)
{
	if (by_key) {
		record(worker, " group=%s", group.bytes ? group.bytes : "(NULL)");
	}
}

/* FNV-1a over words, which is enough to see a difference. */
static uint64_t checksum(const char *bytes, size_t n)
{
	uint64_t sum = UINT64_C(14695981039346656037);
	size_t i = 0;

	for (uint64_t word; i + sizeof(word) <= n; i += sizeof(word)) {
		memcpy(&word, bytes + i, sizeof(word));
		sum = (sum ^ word) * UINT64_C(1099511628211);
		sum ^= sum >> 32;
	}
	for (; i < n; i++) {
		sum = (sum ^ (unsigned char)bytes[i]) * UINT64_C(1099511628211);
	}
	return sum;
}

void record_value(struct worker *worker, const char *value, size_t n, bool has_nul)
{
	if (value == NULL) {
		record(worker, " NULL/%zu", n);
		return;
	}
	record(worker, " \"");
	record_bytes(worker, value, n < SHOWN_VALUE ? n : SHOWN_VALUE);
	record(worker, "\"/%zu/%08x%s", n, (unsigned)checksum(value, n),
	       !has_nul || value[n] == '\0' ? "" : " no NUL");
}

void record_result(struct worker *worker, const memcached_result_st *result)
{
	struct text key = { memcached_result_key_value(result),
			    memcached_result_key_length(result) };
	size_t n = memcached_result_length(result);

	record(worker, " {");
	record_key(worker, key);
	if (n == 0) {
		/* Whether its buffer was ever used is nobody's business. */
		record(worker, " empty");
	} else {
		/* libmemcached puts none behind results of the binary protocol. */
		record_value(worker, memcached_result_value(result), n, false);
	}
	record(worker, " flags=%u cas=%llu}", memcached_result_flags(result),
	       (unsigned long long)memcached_result_cas(result));
}

void record_parts_begin(struct worker *worker)
{
	worker->n_parts = 0;
	record_part(worker);
}

void record_part(struct worker *worker)
{
	if (worker->n_parts < WORKER_PARTS) {
		worker->parts[worker->n_parts++] =
			atomic_load_explicit(&worker->seat->n_text, memory_order_relaxed);
	}
}

struct part {
	const char *text;
	size_t n;
};

static int compare_parts(const void *a, const void *b)
{
	const struct part *one = a;
	const struct part *other = b;
	int order = memcmp(one->text, other->text, one->n < other->n ? one->n : other->n);

	return order ? order : (one->n > other->n) - (one->n < other->n);
}

void record_parts_end(struct worker *worker, bool unordered)
{
	struct part parts[WORKER_PARTS];
	char *text = worker->seat->text;
	size_t end = atomic_load_explicit(&worker->seat->n_text, memory_order_relaxed);
	size_t n = end - worker->parts[0];
	char *sorted = unordered ? malloc(n + 1) : NULL;
	size_t at = 0;

	if (sorted == NULL) {
		return;
	}
	for (unsigned i = 0; i < worker->n_parts; i++) {
		size_t next = i + 1 < worker->n_parts ? worker->parts[i + 1] : end;

		parts[i] = (struct part){ text + worker->parts[i], next - worker->parts[i] };
	}
	qsort(parts, worker->n_parts, sizeof(parts[0]), compare_parts);
	for (unsigned i = 0; i < worker->n_parts; i++) {
		memcpy(sorted + at, parts[i].text, parts[i].n);
		at += parts[i].n;
	}
	memcpy(text + worker->parts[0], sorted, n);
	free(sorted);
}

void record_errno(struct worker *worker)
{
	int now = errno;

	record(worker, " errno=%d", now == RECORD_ERRNO || now == EAGAIN ? 0 : now);
}

/* Messages may begin with the address of a handle: "(0x...) ". */
static const char *without_address(const char *message)
{
	const char *end = message && *message == '(' ? strchr(message, ')') : NULL;

	return end ? end + 1 : message;
}

static void record_servers(struct worker *worker, const memcached_st *st)
{
	for (uint32_t i = 0; i < memcached_server_count(st); i++) {
		const memcached_instance_st *server = memcached_server_instance_by_position(st, i);
		memcached_return_t rc = memcached_server_error_return(server);
		const char *message = memcached_server_error(server);

		if (rc != MEMCACHED_SUCCESS) {
			record(worker, " server%u=%d:%s", i, rc,
			       message ? without_address(message) : "");
		}
	}
}

void record_state(struct worker *worker, const struct handle *handle)
{
	memcached_st *st = handle->st;
	memcached_return_t rc;
	const char *prefix;

	if (st == NULL) {
		return;
	}
	prefix = memcached_callback_get(st, MEMCACHED_CALLBACK_NAMESPACE, &rc);
	record(worker, " | error=%d/%d query=%llu ns=%s/%d %s%s%s%s%s", memcached_last_error(st),
	       memcached_last_error_errno(st), (unsigned long long)memcached_query_id(st),
	       prefix ? prefix : "", rc, st->flags.binary_protocol ? "B" : "T",
	       st->flags.support_cas ? "C" : "", st->flags.buffer_requests ? "b" : "",
	       st->flags.reply ? "" : "n", handle->has_results ? "r" : "");
	if (memcached_last_error(st) != MEMCACHED_SUCCESS) {
		record(worker, " %s", without_address(memcached_last_error_message(st)));
	}
	record_servers(worker, st);
}
