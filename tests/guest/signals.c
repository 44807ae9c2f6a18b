/* Signals during calls: handlers that return, handlers that jump away, storms. */
#include "tests/guest/host.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

static volatile sig_atomic_t n_signals;

static void count(int number)
{
	(void)number;
	n_signals++;
}

static void handle_signal(int number, void (*handler)(int), int flags)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = flags };

	must(sigaction(number, &action, NULL) == 0, "sigaction");
}

static void storm(int which, long every_us)
{
	struct itimerval timer = { { 0, every_us }, { 0, every_us } };

	must(setitimer(which, &timer, NULL) == 0, "setitimer");
}

/* Rounds until so many signals have come. */
static void rounds_under_signals(int wanted)
{
	memcached_st *handle = host_handle();
	unsigned n_bad = 0;

	n_signals = 0;
	for (unsigned i = 0; n_signals < wanted; i++) {
		char key[32];

		snprintf(key, sizeof(key), "signals-%u", i % 100);
		n_bad += !host_quiet_round(handle, key);
	}
	storm(ITIMER_REAL, 0);
	storm(ITIMER_PROF, 0);
	say("bad rounds: %u", n_bad);
	host_round(handle, "after");
	memcached_free(handle);
}

static void run_eintr(void)
{
	handle_signal(SIGALRM, count, 0);
	storm(ITIMER_REAL, 300);
	rounds_under_signals(1000);
}

static void run_prof(void)
{
	handle_signal(SIGPROF, count, SA_RESTART);
	storm(ITIMER_PROF, 1000);
	rounds_under_signals(150);
}

static void run_alternate_stack(void)
{
	stack_t stack = { .ss_sp = malloc(65536), .ss_size = 65536 };

	must(stack.ss_sp && sigaltstack(&stack, NULL) == 0, "sigaltstack");
	handle_signal(SIGALRM, count, SA_ONSTACK);
	storm(ITIMER_REAL, 300);
	rounds_under_signals(500);
}

/* What the program has blocked, ignored and left pending stays so. */
static void run_blocked(void)
{
	sigset_t all;
	sigset_t before;
	sigset_t after;
	sigset_t pending;

	sigfillset(&all);
	handle_signal(SIGPIPE, SIG_IGN, 0);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	pthread_sigmask(SIG_SETMASK, NULL, &before);
	host_session("blocked");
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	sigpending(&pending);
	say("mask kept: %d", memcmp(&before, &after, sizeof(before)) == 0);
	for (int number = 1; number < 32; number++) {
		struct sigaction action;

		if (sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_DFL) {
			say("signal %d is handled", number);
		}
		if (sigismember(&pending, number) == 1) {
			say("signal %d is pending", number);
		}
	}
}

/* --- handlers that jump --- */

static sigjmp_buf back;
static volatile sig_atomic_t may_jump;

static void jump(int number)
{
	if (may_jump) {
		may_jump = 0;
		siglongjmp(back, number);
	}
}

/* As deep in the stack as nothing that is called from main(). */
__attribute__((noinline)) static void deep(memcached_st *handle, const char *key, unsigned depth)
{
	volatile char room[512];

	room[0] = (char)depth;
	if (depth) {
		deep(handle, key, depth - 1);
	}
	may_jump = 1;
	for (unsigned i = 0; i < 1000; i++) {
		memcached_set(handle, key, strlen(key), "jumped", 6, 0, 0);
	}
	room[1] = room[0];
	say("no jump");
}

static void stop_server(int number)
{
	const char *pid = getenv("GUEST_SERVER");

	must(pid && kill(atoi(pid), number) == 0, "kill");
}

/*
 * Calls that wait for a stopped server are left by a jump, as programs do that
 * bound them by alarm(); libmemcached's own handle is not used again.
 */
static void run_jump(void)
{
	memcached_st *other = host_handle();
	memcached_st *handle;
	unsigned n_left = 0;

	host_round(other, "before");
	handle_signal(SIGALRM, jump, 0);
	for (volatile unsigned i = 0; i < 5; i++) {
		handle = host_handle();
		must(host_quiet_round(handle, "warm"), "warm");
		stop_server(SIGSTOP);
		if (sigsetjmp(back, 1) == 0) {
			storm(ITIMER_REAL, 20000);
			deep(handle, "jumped", i * 3);
		}
		storm(ITIMER_REAL, 0);
		stop_server(SIGCONT);
		n_left++;
		/* The first call after it, from less deep and from deeper. */
		host_session(i % 2 ? "less-deep" : "after");
	}
	say("left: %u", n_left);
	host_round(other, "the-other");
	for (unsigned i = 0; i < 3; i++) {
		say("the key: %d", host_quiet_round(other, "jumped"));
	}
	/* What comes now is served as ever: tests/guest/signals.sh counts the hits. */
	for (unsigned i = 0; i < 500; i++) {
		char key[32];

		snprintf(key, sizeof(key), "afterwards-%u", i);
		must(host_quiet_round(other, key), "afterwards");
	}
	memcached_free(other);
}

static memcached_return_t leave_trigger(memcached_st *handle, char *key, size_t n_key,
					memcached_result_st *result)
{
	(void)handle, (void)key, (void)n_key, (void)result;
	siglongjmp(back, 1);
}

static memcached_return_t leave_execute(const memcached_st *handle, memcached_result_st *result,
					void *owner)
{
	(void)handle, (void)result, (void)owner;
	siglongjmp(back, 1);
}

/* Callbacks that leave the call which calls them, as an exception would. */
static void run_jump_callback(void)
{
	memcached_st *other = host_handle();
	static const char *const keys[] = { "callback.a", "callback.b" };
	static const size_t lengths[] = { 10, 10 };
	memcached_execute_fn callbacks[] = { leave_execute };

	for (volatile unsigned i = 0; i < 20; i++) {
		memcached_st *handle = host_handle();
		memcached_return_t rc;
		uint32_t flags;
		size_t n;

		must(host_quiet_round(handle, keys[0]) && host_quiet_round(handle, keys[1]), "set");
		if (sigsetjmp(back, 1) == 0) {
			memcached_callback_set(handle, MEMCACHED_CALLBACK_GET_FAILURE,
					       (const void *)leave_trigger);
			memcached_get(handle, "callback.none", 13, &n, &flags, &rc);
			say("no trigger");
		}
		handle = host_handle();
		if (sigsetjmp(back, 1) == 0) {
			memcached_mget(handle, keys, lengths, 2);
			memcached_fetch_execute(handle, callbacks, NULL, 1);
			say("no callback");
		}
	}
	host_round(other, "after");
	for (unsigned i = 0; i < 500; i++) {
		char key[32];

		snprintf(key, sizeof(key), "afterwards-%u", i);
		must(host_quiet_round(other, key), "afterwards");
	}
	memcached_free(other);
}

/* Very many, at any moment of a call, on one handle that is thrown away each time. */
static void run_jump_storm(void)
{
	memcached_st *other = host_handle();

	handle_signal(SIGALRM, jump, 0);
	for (volatile unsigned i = 0; i < 900; i++) {
		memcached_st *handle = host_handle();

		if (sigsetjmp(back, 1) == 0) {
			stop_server(SIGSTOP);
			storm(ITIMER_REAL, 1500);
			deep(handle, "storm", i % 5);
		}
		storm(ITIMER_REAL, 0);
		stop_server(SIGCONT);
	}
	/* So many connections at once are refused, and libmemcached remembers it. */
	memcached_free(other);
	sleep(1);
	host_session("after");
	other = host_handle();
	say("the key: %d", host_quiet_round(other, "storm"));
}

const struct hazard hazards_signals[] = {
	{ "eintr", run_eintr },
	{ "prof", run_prof },
	{ "alternate-stack", run_alternate_stack },
	{ "blocked-signals", run_blocked },
	{ "jump", run_jump },
	{ "jump-callback", run_jump_callback },
	{ "jump-storm", run_jump_storm },
	{ "", NULL },
};
