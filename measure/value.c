#include "measure/value.h"

#include <string.h>

#define UNDER_WAY UINT64_C(0xffff)
#define VERSION_ONE (UINT64_C(1) << 16)

const char *const value_fault_names[] = {
	"right",
	"too short to be a value",
	"the value of another key",
	"older than what was acknowledged before",
	"of a version that nobody wrote",
	"of another length than this version",
	"other bytes than this version",
	"other flags than this version",
};

struct value_write value_begin(struct value_key *key)
{
	uint64_t before = atomic_fetch_add(&key->writes, VERSION_ONE + 1);

	return (struct value_write){ key, (before >> 16) + 1, before & UNDER_WAY };
}

void value_end(const struct value_write *write)
{
	uint64_t last = atomic_fetch_sub(&write->key->writes, 1);
	uint64_t floor;

	if (write->before != 0 || last >> 16 != write->version) {
		return;
	}
	floor = atomic_load(&write->key->floor);
	while (floor < write->version &&
	       !atomic_compare_exchange_weak(&write->key->floor, &floor, write->version)) {
	}
}

static uint64_t pattern(const struct workload *workload, uint32_t key, uint64_t version)
{
	return random_scramble(workload->seed ^ random_scramble(key) ^ (version << 20));
}

uint32_t value_size(const struct workload *workload, uint32_t key, uint64_t version, uint32_t size)
{
	uint64_t n =
		size ? size : workload_number(&workload->values, pattern(workload, key, ~version));

	return n < VALUE_BYTES_MIN	? VALUE_BYTES_MIN
	       : n > WORKLOAD_VALUE_MAX ? WORKLOAD_VALUE_MAX
					: (uint32_t)n;
}

uint32_t value_flags(uint32_t key, uint64_t version)
{
	return (uint32_t)random_scramble(key + version);
}

/* The words behind key and version count up from the pattern. */
void value_make(const struct workload *workload, uint32_t key, uint64_t version, char *ret,
		uint32_t n)
{
	uint64_t word = pattern(workload, key, version);
	uint64_t wide_key = key;
	uint32_t i = VALUE_BYTES_MIN;

	memcpy(ret, &wide_key, sizeof(wide_key));
	memcpy(ret + sizeof(wide_key), &version, sizeof(version));
	for (; i + sizeof(word) <= n; i += sizeof(word), word++) {
		memcpy(ret + i, &word, sizeof(word));
	}
	memcpy(ret + i, &word, n - i);
}

static enum value_fault check_bytes(const struct workload *workload, uint32_t key, uint64_t version,
				    const char *bytes, size_t n)
{
	uint64_t word = pattern(workload, key, version);
	uint64_t differences = 0;
	size_t i = VALUE_BYTES_MIN;

	for (; i + sizeof(word) <= n; i += sizeof(word), word++) {
		uint64_t found;

		memcpy(&found, bytes + i, sizeof(found));
		differences |= found ^ word;
	}
	return differences || memcmp(bytes + i, &word, n - i) != 0 ? VALUE_BYTES : VALUE_RIGHT;
}

enum value_fault value_check(const struct workload *workload, struct value_key *slot, uint32_t key,
			     uint64_t floor, const char *bytes, size_t n, uint32_t flags,
			     uint64_t *ret_version)
{
	uint64_t wide_key;
	uint64_t version;

	*ret_version = 0;
	if (n < VALUE_BYTES_MIN) {
		return VALUE_SHORT;
	}
	memcpy(&wide_key, bytes, sizeof(wide_key));
	memcpy(&version, bytes + sizeof(wide_key), sizeof(version));
	*ret_version = version;
	if (wide_key != key) {
		return VALUE_OF_OTHER;
	}
	if (version < floor) {
		return VALUE_STALE;
	}
	if (version > atomic_load(&slot->writes) >> 16) {
		return VALUE_UNBORN;
	}
	if (flags != value_flags(key, version)) {
		return VALUE_FLAGS;
	}
	if (workload->popularity != WORKLOAD_STREAM && n != value_size(workload, key, version, 0)) {
		return VALUE_LENGTH;
	}
	return check_bytes(workload, key, version, bytes, n);
}
