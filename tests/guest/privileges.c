/* Who the program is, and where it lives, changes: setuid, chroot, seccomp, mounts. */
#include "tests/guest/host.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define NOBODY 65534

static void become_nobody(void)
{
	must(setgroups(0, NULL) == 0 && setgid(NOBODY) == 0 && setuid(NOBODY) == 0, "setuid");
}

static void run_setuid_first(void)
{
	become_nobody();
	host_session("nobody");
	say("privileged: %lu", getauxval(AT_SECURE));
}

static void run_setuid_later(void)
{
	host_session("root");
	become_nobody();
	host_session("nobody");
	host_child_session();
}

/* A worker that changes its effective user and back, as file servers do. */
static void run_seteuid(void)
{
	host_session("root");
	must(seteuid(NOBODY) == 0, "seteuid");
	host_session("nobody");
	must(seteuid(0) == 0, "seteuid");
	host_session("root");
}

/* The server's socket lies in the argument, which becomes the root. */
static void enter_root(void)
{
	static char inside[108];

	must(chroot(host_argument) == 0 && chdir("/") == 0, "chroot");
	snprintf(inside, sizeof(inside), "/%s", strrchr(host_socket, '/') + 1);
	host_socket = inside;
}

static void run_chroot_first(void)
{
	enter_root();
	host_session("jail");
}

static void run_chroot_later(void)
{
	host_session("outside");
	enter_root();
	become_nobody();
	host_session("jail");
	host_child_session();
}

/* Set-user-id: tower takes nothing from the environment there. */
static void run_privileged(void)
{
	say("privileged: %lu", getauxval(AT_SECURE));
	host_session("privileged");
}

/* --- a filter of system calls --- */

static void forbid(long number)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
		     prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0,
	     "seccomp");
}

/* What tower asks of the kernel and libmemcached can do without. */
static const struct {
	const char *name;
	long number;
} calls[] = {
	{ "openat", SYS_openat },
	{ "newfstatat", SYS_newfstatat },
	{ "fstatfs", SYS_fstatfs },
	{ "ftruncate", SYS_ftruncate },
	{ "fchmod", SYS_fchmod },
	{ "renameat2", SYS_renameat2 },
	{ "unlink", SYS_unlink },
	{ "madvise", SYS_madvise },
	{ "prlimit64", SYS_prlimit64 },
	{ "pread64", SYS_pread64 },
	{ "rt_sigprocmask", SYS_rt_sigprocmask },
	{ "rt_sigtimedwait", SYS_rt_sigtimedwait },
	{ "rt_sigpending", SYS_rt_sigpending },
	{ "clock_nanosleep", SYS_clock_nanosleep },
	{ "getpid", SYS_getpid },
	{ "geteuid", SYS_geteuid },
	{ "kill", SYS_kill },
	{ "getrandom", SYS_getrandom },
	{ "clock_gettime", SYS_clock_gettime },
	{ "set_robust_list", SYS_set_robust_list },
	{ "munmap", SYS_munmap },
};

static void run_filter(void)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		int pid = fork();

		if (pid == 0) {
			forbid(calls[i].number);
			host_session(calls[i].name);
			exit(0);
		}
		host_wait(calls[i].name, pid);
	}
}

static void run_filter_later(void)
{
	host_session("before");
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		int pid = fork();

		if (pid == 0) {
			forbid(calls[i].number);
			host_session(calls[i].name);
			exit(0);
		}
		host_wait(calls[i].name, pid);
	}
}

/* A quiet program in a world that the test made: no /dev/shm, a full one, ... */
static void run_plain(void)
{
	host_session("parent");
	host_child_session();
}

/* So long by the machine's clock, whatever this program is told. */
static void really_sleep(long ms)
{
	struct timespec wait = { ms / 1000, ms % 1000 * 1000000 };

	syscall(SYS_nanosleep, &wait, NULL);
}

/* Values end when the server says, not the clock that the program was given. */
static void run_clock(void)
{
	memcached_st *handle = host_handle();
	static const char *const keys[] = { "clock-1", "clock-0", "clock-more" };

	host_round(handle, "clock");
	memcached_set(handle, keys[0], 7, "one", 3, 1, 0);
	memcached_set(handle, keys[1], 7, "ever", 4, 0, 0);
	memcached_set(handle, keys[2], 10, "day", 3, 86400, 0);
	for (unsigned i = 0; i < 5; i++) {
		for (unsigned n = 0; n < 3; n++) {
			memcached_return_t rc;
			uint32_t flags;
			size_t n_value;
			char *value = memcached_get(handle, keys[n], strlen(keys[n]), &n_value,
						    &flags, &rc);

			/* When in its last second it ends is the server's affair. */
			if (n || i == 0 || i == 4) {
				say("%s: %s", keys[n], value ? value : "gone");
			}
			free(value);
		}
		really_sleep(600);
	}
	memcached_free(handle);
}

/* Files of shared memory go while they are in use. */
static void run_files_removed(void)
{
	host_session("before");
	must(system(host_argument) == 0, host_argument);
	host_session("after");
	host_child_session();
}

const struct hazard hazards_privileges[] = {
	{ "setuid-first", run_setuid_first },
	{ "setuid-later", run_setuid_later },
	{ "seteuid", run_seteuid },
	{ "chroot-first", run_chroot_first },
	{ "chroot-later", run_chroot_later },
	{ "privileged", run_privileged },
	{ "filter", run_filter },
	{ "filter-later", run_filter_later },
	{ "plain", run_plain },
	{ "clock", run_clock },
	{ "files-removed", run_files_removed },
	{ "", NULL },
};
