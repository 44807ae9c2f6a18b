#include "base/env.h"

#include <string.h>
#include <sys/auxv.h>

#define PREFIX "TOWER_"
#define N_PREFIX (sizeof(PREFIX) - 1)

/* Written by env_capture() only, before there are other threads. */
static char bytes[ENV_BYTES_MAX];
static const char *entries[ENV_NAMES_MAX];
static size_t n_entries;
static size_t n_bytes;
static size_t n_dropped;

static void keep(const char *variable)
{
	size_t n = strlen(variable) + 1;

	if (n_entries == ENV_NAMES_MAX || n > ENV_BYTES_MAX - n_bytes) {
		n_dropped++;
		return;
	}
	memcpy(bytes + n_bytes, variable, n);
	entries[n_entries++] = bytes + n_bytes;
	n_bytes += n;
}

void env_capture(char *const *environment)
{
	n_entries = 0;
	n_bytes = 0;
	n_dropped = 0;
	if (!environment || getauxval(AT_SECURE)) {
		return;
	}
	for (; *environment; environment++) {
		const char *variable = *environment;

		if (strncmp(variable, PREFIX, N_PREFIX) == 0 && strchr(variable, '=')) {
			keep(variable);
		}
	}
}

const char *env_get(const char *name)
{
	size_t n = strlen(name);

	/* As with getenv(), the first of several counts. */
	for (size_t i = 0; i < n_entries; i++) {
		const char *rest = entries[i] + N_PREFIX;

		if (strncmp(rest, name, n) == 0 && rest[n] == '=') {
			return rest + n + 1;
		}
	}
	return NULL;
}

const char *env_at(size_t i)
{
	return i < n_entries ? entries[i] : NULL;
}

size_t env_dropped(void)
{
	return n_dropped;
}
