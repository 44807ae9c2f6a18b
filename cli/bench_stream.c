#include "cli/bench_stream.h"

#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "measure/random.h"

#define NS_PER_S 1000000000
#define ROOM_FIRST 65536

/* Which number a key has: open addressing, never more than half full. */
struct numbers {
	uint64_t *keys;
	uint32_t *numbers; /* + 1; 0: free */
	size_t mask;
	uint32_t n;
};

struct loading {
	struct numbers numbers;
	struct workload_record *records;
	size_t n_records;
	size_t room;
};

static bool numbers_resize(struct numbers *numbers, size_t n_slots)
{
	struct numbers wider = { .keys = calloc(n_slots, sizeof(*wider.keys)),
				 .numbers = calloc(n_slots, sizeof(*wider.numbers)),
				 .mask = n_slots - 1,
				 .n = numbers->n };

	if (!wider.keys || !wider.numbers) {
		free(wider.keys);
		free(wider.numbers);
		return false;
	}
	for (size_t i = 0; numbers->keys && i <= numbers->mask; i++) {
		size_t at = random_scramble(numbers->keys[i]) & wider.mask;

		if (!numbers->numbers[i]) {
			continue;
		}
		while (wider.numbers[at]) {
			at = (at + 1) & wider.mask;
		}
		wider.keys[at] = numbers->keys[i];
		wider.numbers[at] = numbers->numbers[i];
	}
	free(numbers->keys);
	free(numbers->numbers);
	*numbers = wider;
	return true;
}

static bool number_of(struct numbers *numbers, uint64_t key, uint32_t *ret)
{
	size_t at;

	if ((!numbers->keys || numbers->n >= numbers->mask / 2) &&
	    !numbers_resize(numbers, numbers->keys ? 2 * (numbers->mask + 1) : ROOM_FIRST)) {
		return false;
	}
	at = random_scramble(key) & numbers->mask;
	while (numbers->numbers[at] && numbers->keys[at] != key) {
		at = (at + 1) & numbers->mask;
	}
	if (!numbers->numbers[at]) {
		numbers->keys[at] = key;
		numbers->numbers[at] = ++numbers->n;
	}
	*ret = numbers->numbers[at] - 1;
	return true;
}

static uint32_t expiry_of(int64_t ttl_ns)
{
	int64_t seconds = (ttl_ns + NS_PER_S - 1) / NS_PER_S;

	return seconds > WORKLOAD_EXPIRY_MAX ? WORKLOAD_EXPIRY_MAX : (uint32_t)seconds;
}

static bool add(struct loading *loading, const struct trace_request *request)
{
	static const enum workload_operation operations[TRACE_N_OPERATIONS] = {
		[TRACE_GET] = WORKLOAD_GET,
		[TRACE_SET] = WORKLOAD_SET,
		[TRACE_DELETE] = WORKLOAD_DELETE,
		[TRACE_CHANGE] = WORKLOAD_SET,
	};
	struct workload_record record = {
		.operation = operations[request->operation],
		.size = request->size == TRACE_SIZE_UNKNOWN  ? 0
			: request->size > WORKLOAD_VALUE_MAX ? WORKLOAD_VALUE_MAX
							     : (uint32_t)request->size,
		.expiry = expiry_of(request->ttl_ns),
	};

	if (loading->n_records == loading->room) {
		size_t room = loading->room ? 2 * loading->room : ROOM_FIRST;
		struct workload_record *records =
			reallocarray(loading->records, room, sizeof(*records));

		if (!records) {
			return false;
		}
		loading->records = records;
		loading->room = room;
	}
	if (!number_of(&loading->numbers, request->key, &record.key)) {
		return false;
	}
	loading->records[loading->n_records++] = record;
	return true;
}

static bool read_all(struct trace_reader *reader, const char *path, uint64_t max,
		     struct loading *loading)
{
	struct trace_request request;
	enum trace_status status = TRACE_END;

	while ((!max || loading->n_records < max) &&
	       (status = trace_next(reader, &request)) == TRACE_REQUEST) {
		if (!add(loading, &request)) {
			cli_error("bench: %s: %m", path);
			return false;
		}
		if (loading->numbers.n > WORKLOAD_KEYS_MAX) {
			cli_error("bench: %s has more than %u keys", path, WORKLOAD_KEYS_MAX);
			return false;
		}
	}
	if (status == TRACE_BAD) {
		cli_error("bench: %s", trace_why(reader));
		return false;
	}
	if (loading->n_records == 0) {
		cli_error("bench: %s holds no request", path);
		return false;
	}
	return true;
}

bool bench_stream_read(const char *path, enum trace_format format, uint64_t max,
		       struct workload *workload, struct workload_stream *ret)
{
	struct loading loading = { 0 };
	struct trace_reader *reader;
	char why[TRACE_WHY_MAX];
	bool well;

	if (!trace_open(&reader, path, format, why)) {
		cli_error("bench: %s", why);
		return false;
	}
	well = read_all(reader, path, max, &loading);
	trace_close(&reader);
	free(loading.numbers.keys);
	free(loading.numbers.numbers);
	if (!well) {
		free(loading.records);
		return false;
	}
	workload->popularity = WORKLOAD_STREAM;
	workload->n_keys = loading.numbers.n;
	*ret = (struct workload_stream){ loading.n_records, loading.records };
	return true;
}
