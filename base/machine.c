#include "base/machine.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

/* The kernel draws it anew at every start. */
static bool read_boot(char *ret, size_t n)
{
	int file = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t got = file < 0 ? -1 : read(file, ret, n - 1);

	if (file >= 0) {
		close(file);
	}
	ret[got > 0 ? got : 0] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
	return ret[0] != '\0';
}

static char id[64];

static void make_id(void)
{
	char boot[40];
	struct stat network;

	if (!read_boot(boot, sizeof(boot)) && gethostname(boot, sizeof(boot) - 1) != 0) {
		strcpy(boot, "unknown");
	}
	boot[sizeof(boot) - 1] = '\0';
	if (stat("/proc/self/ns/net", &network) != 0) {
		network.st_ino = 0;
	}
	snprintf(id, sizeof(id), "%s.%llu", boot, (unsigned long long)network.st_ino);
}

const char *machine_id(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_id);
	return id;
}

/* Names of one place: a server that listens there listens to all of them, or to one. */
static bool is_loopback(const char *host)
{
	static const char *const names[] = { "localhost", "127.0.0.1", "::1", "ip6-localhost",
					     "localhost.localdomain" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcasecmp(host, names[i]) == 0) {
			return true;
		}
	}
	return false;
}

bool machine_is_here(const char *host)
{
	return is_loopback(host) || strncmp(host, "127.", 4) == 0;
}

void machine_name_server(const char *host, unsigned port, char *ret_name, size_t n)
{
	/* libmemcached gives sockets the usual port, too. */
	if (host[0] == '/') {
		port = 0;
	}
	if (port != 0 && is_loopback(host)) {
		host = "localhost";
	}
	if (port != 0 && !machine_is_here(host)) {
		snprintf(ret_name, n, "%s:%u", host, port);
	} else {
		snprintf(ret_name, n, "%s:%u@%s", host, port, machine_id());
	}
}
