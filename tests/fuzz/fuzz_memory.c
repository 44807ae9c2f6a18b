/* Any sequence of operations of the memory layer agrees with a naive map. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/lib/memory_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct memory_model_seen seen = { 0 };
	const char *why = memory_model_run(bytes, n, &seen);

	if (why) {
		fprintf(stderr, "fuzz_memory: %s\n", why);
		abort();
	}
	return 0;
}
