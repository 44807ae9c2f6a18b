#include "cli/served.h"

#include <string.h>

static const struct {
	const char *name, *kind;
} functions[] = {
#define CALL(name, kind, does) { #name, #kind },
#include "shim/api.def"
};

static const char *kind_of(const char *name)
{
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		if (strncmp(functions[i].name, name, STATS_NAME_MAX) == 0) {
			return functions[i].kind;
		}
	}
	return "";
}

static uint64_t less(uint64_t from, uint64_t n)
{
	return from > n ? from - n : 0;
}

bool served_of(const struct stats_snapshot *snapshot, const struct stats_values *values,
	       unsigned call, struct served *ret)
{
	const char *kind = kind_of(snapshot->calls[call]);
	bool single = strcmp(kind, "get") == 0 || strcmp(kind, "exist") == 0;
	const uint64_t *counts;

	if (call >= STATS_READS_MAX || (!single && strcmp(kind, "mget") != 0)) {
		return false;
	}
	counts = values->reads[call];
	*ret = (struct served){
		.nowhere = counts[STATS_READ_NOWHERE],
		.passed = counts[STATS_READ_PASSED],
		.failed = counts[STATS_READ_FAILED],
		.unknown = counts[STATS_READ_ASKED],
	};
	for (unsigned i = 0; i < STATS_LAYERS_MAX; i++) {
		ret->layers[i] = counts[STATS_READ_LAYERS + i];
		ret->unknown = less(ret->unknown, ret->layers[i]);
	}
	ret->unknown = less(ret->unknown, ret->nowhere + ret->passed + ret->failed);
	if (single) {
		/* Calls that asked nothing further were hits at once. */
		ret->layers[STATS_MEMORY] += less(values->calls[call], counts[STATS_READ_ASKED]);
	}
	ret->keys = ret->nowhere + ret->passed + ret->failed + ret->unknown;
	for (unsigned i = 0; i < STATS_LAYERS_MAX; i++) {
		ret->keys += ret->layers[i];
	}
	return true;
}
