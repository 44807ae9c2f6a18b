#include "cli/installed.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/env.h"
#include "cli/cli.h"

#define LIBRARY "libtower.so"
#define WORKER "tower-bench-worker"

bool installed_absolute(const char *path, char *ret_path, size_t n)
{
	char folder[PATH_MAX];
	int used;

	if (path[0] == '/') {
		used = snprintf(ret_path, n, "%s", path);
	} else if (getcwd(folder, sizeof(folder))) {
		used = snprintf(ret_path, n, "%s/%s", folder, path);
	} else {
		return false;
	}
	return used >= 0 && (size_t)used < n;
}

static bool is_file(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, R_OK) == 0;
}

/* The folder of this executable, or the empty text. */
static void own_folder(char *ret_folder, size_t n)
{
	ssize_t length = readlink("/proc/self/exe", ret_folder, n - 1);
	char *slash;

	ret_folder[length > 0 ? length : 0] = '\0';
	slash = strrchr(ret_folder, '/');
	if (slash) {
		*slash = '\0';
	}
}

/* Where it was built, or below the prefix that we were installed under, or the usual ones. */
static bool find(const char *name, char *ret_path, size_t n)
{
	static const char *const elsewhere[] = { "/usr/local/lib/tower", "/usr/lib/tower" };
	char folder[PATH_MAX - 64]; /* room for what is put behind it */

	own_folder(folder, sizeof(folder));
	snprintf(ret_path, n, "%s/%s", folder, name);
	if (is_file(ret_path)) {
		return true;
	}
	snprintf(ret_path, n, "%s/../lib/tower/%s", folder, name);
	if (is_file(ret_path)) {
		return true;
	}
	for (size_t i = 0; i < sizeof(elsewhere) / sizeof(elsewhere[0]); i++) {
		snprintf(ret_path, n, "%s/%s", elsewhere[i], name);
		if (is_file(ret_path)) {
			return true;
		}
	}
	return false;
}

bool installed_library(char *ret_path, size_t n)
{
	const char *named = env_get("LIBRARY");
	char folder[PATH_MAX - 64];

	if (named) {
		if (installed_absolute(named, ret_path, n) && is_file(ret_path)) {
			return true;
		}
		cli_error("TOWER_LIBRARY = \"%s\": no such library", named);
		return false;
	}
	if (find(LIBRARY, ret_path, n)) {
		return true;
	}
	own_folder(folder, sizeof(folder));
	cli_error(LIBRARY " is neither in %s nor in %s/../lib/tower, /usr/local/lib/tower or "
			  "/usr/lib/tower; TOWER_LIBRARY can name it",
		  folder, folder);
	return false;
}

bool installed_worker(char *ret_path, size_t n)
{
	char folder[PATH_MAX - 64];

	if (find(WORKER, ret_path, n)) {
		return true;
	}
	own_folder(folder, sizeof(folder));
	cli_error(WORKER " is neither in %s nor in %s/../lib/tower, /usr/local/lib/tower or "
			 "/usr/lib/tower",
		  folder, folder);
	return false;
}
