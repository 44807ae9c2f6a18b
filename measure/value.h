/*
 * value.h - values that can be told to be right: each is made of its key and version, and a
 * table that all workers share says which versions of a key may still be read.
 *
 * A write gets its version when it begins.  One that overlapped no other write of its key
 * raises the floor when it ends: nothing older may be read by whoever asks afterwards.  Of
 * writes that overlapped memcached decides which one stays, so these raise nothing.  A write
 * whose outcome is not known never ends.
 *
 * Any thread of any process that shares the table; memory is the caller's.
 */
#ifndef TOWER_MEASURE_VALUE_H
#define TOWER_MEASURE_VALUE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "measure/workload.h"

#define VALUE_BYTES_MIN 16 /* room for key and version */

struct value_key {
	_Atomic uint64_t writes; /* versions given out, << 16, + writes under way */
	_Atomic uint64_t floor;	 /* the oldest version that may be read */
};

struct value_write {
	struct value_key *key;
	uint64_t version;
	uint64_t before; /* writes under way when it began */
};

enum value_fault {
	VALUE_RIGHT,
	VALUE_SHORT,	/* fewer bytes than any value has */
	VALUE_OF_OTHER, /* another key's */
	VALUE_STALE,	/* older than what was acknowledged before it was asked for */
	VALUE_UNBORN,	/* a version that was never written */
	VALUE_LENGTH,	/* not as long as this version is */
	VALUE_BYTES,	/* other bytes than this version has */
	VALUE_FLAGS,
};

extern const char *const value_fault_names[];

struct value_write value_begin(struct value_key *key);
void value_end(const struct value_write *write);

/* To be asked before the read that is checked against it. */
static inline uint64_t value_floor(struct value_key *key)
{
	return atomic_load_explicit(&key->floor, memory_order_acquire);
}

/*
 * Bytes of this version: `size` where it is not 0, else what the workload says, at
 * least VALUE_BYTES_MIN.
 */
uint32_t value_size(const struct workload *workload, uint32_t key, uint64_t version, uint32_t size);

/* Writes n bytes, n >= VALUE_BYTES_MIN. */
void value_make(const struct workload *workload, uint32_t key, uint64_t version, char *ret,
		uint32_t n);

/* The flags that go with it. */
uint32_t value_flags(uint32_t key, uint64_t version);

/*
 * What is wrong with what a read brought; lengths are not known where a stream of requests has
 * its own.  *ret_version is the version that it claims to be, 0 where it is too short to say.
 */
enum value_fault value_check(const struct workload *workload, struct value_key *slot, uint32_t key,
			     uint64_t floor, const char *bytes, size_t n, uint32_t flags,
			     uint64_t *ret_version);

#endif
