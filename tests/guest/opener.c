/*
 * A program that does not know libmemcached and opens modules that do, again and
 * again.
 *
 *	opener local|global|deepbind|threads MODULE SOCKET
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *path;
static const char *socket_path;

static void must(bool good, const char *what)
{
	if (!good) {
		fprintf(stderr, "opener: %s\n", what);
		_Exit(3);
	}
}

static int module_round(int mode, bool close_it)
{
	void *module = dlopen(path, mode);
	int (*run)(const char *) = NULL;
	void *found;
	int good;

	must(module != NULL, "dlopen");
	found = dlsym(module, "client_round");
	must(found != NULL, "client_round");
	memcpy(&run, &found, sizeof(run));
	good = run(socket_path);
	if (close_it) {
		dlclose(module);
	}
	return good;
}

static void reopen(int mode)
{
	for (unsigned i = 0; i < 5; i++) {
		printf("closed: %d\n", module_round(mode, true));
	}
	printf("kept: %d\n", module_round(mode, false));
}

static void *many(void *good)
{
	for (unsigned i = 0; i < 30; i++) {
		*(int *)good += module_round(RTLD_NOW | RTLD_LOCAL, true);
	}
	return NULL;
}

static void reopen_in_threads(void)
{
	pthread_t threads[4];
	int good[4] = { 0 };

	for (unsigned i = 0; i < 4; i++) {
		must(pthread_create(&threads[i], NULL, many, &good[i]) == 0, "pthread_create");
	}
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		printf("thread: %d\n", good[i]);
	}
}

int main(int argc, char **argv)
{
	must(argc == 4, "usage: opener HOW MODULE SOCKET");
	path = argv[2];
	socket_path = argv[3];
	if (strcmp(argv[1], "local") == 0) {
		reopen(RTLD_NOW | RTLD_LOCAL);
	} else if (strcmp(argv[1], "global") == 0) {
		reopen(RTLD_NOW | RTLD_GLOBAL);
	} else if (strcmp(argv[1], "deepbind") == 0) {
		reopen(RTLD_LAZY | RTLD_LOCAL | RTLD_DEEPBIND);
	} else {
		reopen_in_threads();
	}
	return 0;
}
