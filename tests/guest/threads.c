/* Threads of the host: many, short-lived, with small stacks, cancelled, and at the end. */
#include "tests/guest/host.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define WAVES 60
#define PER_WAVE 32

static _Atomic unsigned n_good;
static _Atomic unsigned n_rounds;
static _Atomic bool may_end;

static void *one_handle(void *arg)
{
	memcached_st *handle = host_handle();
	char key[32];

	snprintf(key, sizeof(key), "thread-%p", arg);
	n_good += host_quiet_round(handle, key);
	memcached_free(handle);
	return NULL;
}

static pthread_t start(void *(*run)(void *), void *arg, size_t stack)
{
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	if (stack) {
		must(pthread_attr_setstacksize(&attributes, stack) == 0, "stack size");
	}
	must(pthread_create(&thread, &attributes, run, arg) == 0, "pthread_create");
	pthread_attr_destroy(&attributes);
	return thread;
}

static void run_waves(void)
{
	for (size_t wave = 0; wave < WAVES; wave++) {
		pthread_t threads[PER_WAVE];

		for (size_t i = 0; i < PER_WAVE; i++) {
			threads[i] = start(one_handle, (void *)(wave * PER_WAVE + i), 0);
		}
		for (size_t i = 0; i < PER_WAVE; i++) {
			pthread_join(threads[i], NULL);
		}
	}
	say("good: %u of %u", n_good, WAVES * PER_WAVE);
	say("threads left: %u", host_threads());
}

static void *session(void *name)
{
	host_session(name);
	return NULL;
}

/* The first call of the process has the least stack that there is. */
static void run_small_stack(void)
{
	long least = sysconf(_SC_THREAD_STACK_MIN);
	size_t stack = *host_argument ? strtoul(host_argument, NULL, 10) : (size_t)least;

	say("stack: %zu", stack);
	pthread_join(start(session, (void *)"small-1", stack), NULL);
	pthread_join(start(session, (void *)"small-2", stack), NULL);
	host_session("small-3");
}

static void *rounds(void *arg)
{
	memcached_st *handle = host_handle();
	char key[32];

	snprintf(key, sizeof(key), "rounds-%p", arg);
	while (!may_end) {
		n_good += host_quiet_round(handle, key);
		n_rounds++;
	}
	memcached_free(handle);
	return NULL;
}

static void start_rounds(void)
{
	for (size_t i = 0; i < 4; i++) {
		pthread_detach(start(rounds, (void *)i, 0));
	}
	while (n_rounds < 50) {
		usleep(1000);
	}
	say("good: %s", n_good + 4 >= n_rounds ? "all" : "not all");
}

static void run_return(void)
{
	start_rounds();
}

static void run_exit(void)
{
	start_rounds();
	exit(7);
}

static void run_quick_exit(void)
{
	start_rounds();
	quick_exit(7);
}

static void run_raw_exit(void)
{
	start_rounds();
	_exit(7);
}

/* A call in a function that runs at the end, after the library's own end or before. */
static void at_end(void)
{
	host_session("at-end");
}

static void run_call_at_exit(void)
{
	atexit(at_end);
	host_session("before");
	exit(7);
}

static void run_call_at_quick_exit(void)
{
	at_quick_exit(at_end);
	host_session("before");
	quick_exit(7);
}

/* Threads that end in the middle of a call: cancelled while they wait for the server. */
static void *cancelled(void *arg)
{
	memcached_st *handle = host_handle();

	(void)arg;
	n_rounds++;
	for (;;) {
		host_quiet_round(handle, "cancelled");
	}
	return NULL;
}

static void run_cancel(void)
{
	memcached_st *handle = host_handle();

	for (unsigned i = 0; i < 300; i++) {
		unsigned before = n_rounds;
		pthread_t thread = start(cancelled, NULL, 0);

		while (n_rounds == before) {
			usleep(100);
		}
		usleep(i * 7 % 1000);
		pthread_cancel(thread);
		pthread_join(thread, NULL);
	}
	host_round(handle, "cancel");
	say("the same key: %d", host_quiet_round(handle, "cancelled"));
	memcached_free(handle);
}

static void run_no_thread(void)
{
	host_session("first");
	say("threads: %u", host_threads());
	say("descriptors: %u", host_descriptors() - (getenv("GUEST_REDIS") != NULL));
}

const struct hazard hazards_threads[] = {
	{ "threads", run_waves },
	{ "small-stack", run_small_stack },
	{ "return-with-threads", run_return },
	{ "exit-with-threads", run_exit },
	{ "quick-exit-with-threads", run_quick_exit },
	{ "_exit-with-threads", run_raw_exit },
	{ "call-at-exit", run_call_at_exit },
	{ "call-at-quick-exit", run_call_at_quick_exit },
	{ "cancel", run_cancel },
	{ "nothing-more", run_no_thread },
	{ "", NULL },
};
