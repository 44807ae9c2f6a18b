/* clock.so: see clock.h. */
#include "tests/differential/clock.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static const struct clock_page *page;

/* Before every other constructor: some ask for the time. */
static void __attribute__((constructor(101))) map_page(void)
{
	const char *path = getenv(CLOCK_FILE_VARIABLE);
	void *mapped;
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	if (fd < 0) {
		return;
	}
	mapped = mmap(NULL, sizeof(*page), PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (mapped != MAP_FAILED) {
		page = mapped;
	}
}

static void answer(int64_t ns, struct timespec *ret_time)
{
	ret_time->tv_sec = ns / CLOCK_NS_PER_S;
	ret_time->tv_nsec = ns % CLOCK_NS_PER_S;
}

EXPORT int clock_gettime(clockid_t id, struct timespec *ret_time)
{
	int64_t now = page ? atomic_load(&page->now_ns) : 0;

	switch (page ? id : CLOCK_PROCESS_CPUTIME_ID) {
	case CLOCK_MONOTONIC:
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_MONOTONIC_COARSE:
	case CLOCK_BOOTTIME:
		answer(now, ret_time);
		return 0;
	case CLOCK_REALTIME:
	case CLOCK_REALTIME_COARSE:
		answer(now + page->wall_ns, ret_time);
		return 0;
	default:
		return (int)syscall(SYS_clock_gettime, id, ret_time);
	}
}

EXPORT int gettimeofday(struct timeval *restrict ret_time, void *restrict zone)
{
	struct timespec now;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &now);
	ret_time->tv_sec = now.tv_sec;
	ret_time->tv_usec = now.tv_nsec / 1000;
	return 0;
}

EXPORT time_t time(time_t *ret_time)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (ret_time) {
		*ret_time = now.tv_sec;
	}
	return now.tv_sec;
}

typedef void *dlsym_fn(void *library, const char *name);

/*
 * The tower looks past clocks that a host has preloaded and asks libc for its
 * own.  All else goes on by a tail call, because libc goes by the caller's
 * address where it is asked for the next symbol of a name.
 */
EXPORT void *dlsym(void *library, const char *name)
{
	static dlsym_fn *real;
	int (*gettime)(clockid_t, struct timespec *) = clock_gettime;
	void *found;

	if (page && strcmp(name, "clock_gettime") == 0) {
		memcpy(&found, &gettime, sizeof(found));
		return found;
	}
	if (real == NULL) {
		found = dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.34");
		memcpy(&real, &found, sizeof(real));
	}
	return real(library, name);
}
