/* Forks, exec, vfork and posix_spawn, before and after handles exist. */
#include "tests/guest/host.h"

#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILDREN 8

static _Atomic bool may_end;
static _Atomic unsigned n_rounds;

/* A child that does not run the host's end. */
static int child_session(const char *name)
{
	int pid = fork();

	if (pid == 0) {
		host_session(name);
		_exit(5);
	}
	return pid;
}

static void run_fork_first(void)
{
	host_wait("child", child_session("child"));
	host_session("parent");
	host_wait("child", child_session("child-again"));
}

/* As far as libmemcached allows it: the child makes a connection of its own. */
static void run_fork_handle(void)
{
	memcached_st *handle = host_handle();
	memcached_st *clone;
	int pid;

	host_round(handle, "parent");
	clone = memcached_clone(NULL, handle);
	pid = fork();
	if (pid == 0) {
		host_round(clone, "child");
		memcached_free(clone);
		host_session("child-own");
		exit(5);
	}
	host_wait("child", pid);
	host_round(handle, "parent-after");
	memcached_free(clone);
	memcached_free(handle);
}

static void *rounds(void *arg)
{
	memcached_st *handle = host_handle();
	char key[32];

	snprintf(key, sizeof(key), "rounds-%p", arg);
	while (!may_end) {
		host_quiet_round(handle, key);
		n_rounds++;
	}
	memcached_free(handle);
	return NULL;
}

/* Children of a parent with threads in the middle of calls use the tower at once. */
static void run_fork_threads(void)
{
	pthread_t threads[4];
	unsigned n_good = 0;

	for (size_t i = 0; i < 4; i++) {
		must(pthread_create(&threads[i], NULL, rounds, (void *)i) == 0, "thread");
	}
	while (n_rounds < 50) {
		usleep(1000);
	}
	for (unsigned i = 0; i < 60; i++) {
		int pid = fork();
		int status;

		must(pid >= 0, "fork");
		if (pid == 0) {
			memcached_st *handle = host_handle();
			char key[32];

			snprintf(key, sizeof(key), "child-%u", i);
			_exit(host_quiet_round(handle, key) ? 5 : 6);
		}
		must(waitpid(pid, &status, 0) == pid, "waitpid");
		n_good += WIFEXITED(status) && WEXITSTATUS(status) == 5;
	}
	may_end = true;
	for (size_t i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
	}
	say("children: %u good", n_good);
	host_session("after");
}

/* A child of a child of a child. */
static void run_fork_chain(void)
{
	for (unsigned depth = 0; depth < 4; depth++) {
		char name[16];
		int pid;

		snprintf(name, sizeof(name), "depth-%u", depth);
		host_session(name);
		pid = fork();
		must(pid >= 0, "fork");
		if (pid > 0) {
			host_wait(name, pid);
			exit(0);
		}
	}
}

static char **arguments(const char *hazard)
{
	static char *list[5];

	list[0] = (char *)host_program;
	list[1] = (char *)hazard;
	list[2] = (char *)host_socket;
	list[3] = (char *)host_report;
	return list;
}

static void run_exec(void)
{
	static const char script[] = "ls -l /proc/self/fd | sed -n 's/.* -> //p' | grep -c .";
	static char *const list[] = { (char *)"sh", (char *)"-c", (char *)script, NULL };

	host_session("before");
	execv("/bin/sh", list);
	broken("exec");
}

/* The new program counts the descriptors that it was left. */
static void run_exec_self(void)
{
	memcached_st *handle = host_handle();

	host_round(handle, "before");
	execv(host_program, arguments("descriptors-left"));
	broken("exec");
}

static void run_descriptors_left(void)
{
	printf("%u descriptors\n", host_descriptors());
	fflush(stdout);
	host_session("after-exec");
}

static void run_vfork(void)
{
	memcached_st *handle = host_handle();

	host_round(handle, "before");
	for (unsigned i = 0; i < CHILDREN; i++) {
		int pid = vfork();

		if (pid == 0) {
			execl("/bin/true", "true", (char *)NULL);
			_exit(127);
		}
		host_wait("vfork", pid);
	}
	host_round(handle, "after");
	memcached_free(handle);
}

static void run_spawn(void)
{
	memcached_st *handle = host_handle();
	pid_t pid;

	host_round(handle, "before");
	for (unsigned i = 0; i < CHILDREN; i++) {
		must(posix_spawn(&pid, host_program, NULL, NULL, arguments("nothing-more"),
				 environ) == 0,
		     "posix_spawn");
		host_wait("spawned", pid);
	}
	must(system("true") == 0, "system");
	host_round(handle, "after");
	memcached_free(handle);
}

const struct hazard hazards_processes[] = {
	{ "fork-first", run_fork_first },
	{ "fork-handle", run_fork_handle },
	{ "fork-threads", run_fork_threads },
	{ "fork-chain", run_fork_chain },
	{ "exec", run_exec },
	{ "exec-self", run_exec_self },
	{ "descriptors-left", run_descriptors_left },
	{ "vfork", run_vfork },
	{ "spawn", run_spawn },
	{ "", NULL },
};
