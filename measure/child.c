#include "measure/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define GIVEN_FD 3

/* Between fork and exec: async-signal-safe calls only. */
static void __attribute__((noreturn)) become(const struct child_options *options, pid_t parent)
{
	sigset_t none;
	int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
	int log = nothing;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent) {
		_exit(127);
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (options->log) {
		log = open(options->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	}
	if (nothing < 0 || log < 0) {
		_exit(127);
	}
	dup2(nothing, STDIN_FILENO);
	dup2(log, STDOUT_FILENO);
	if (options->log) {
		dup2(log, STDERR_FILENO);
	}
	if (options->fd == GIVEN_FD) {
		fcntl(GIVEN_FD, F_SETFD, 0);
	} else if (options->fd >= 0) {
		dup2(options->fd, GIVEN_FD);
	}
	close_range(GIVEN_FD + (options->fd >= 0), ~0U, 0);
	/* A terminal's interrupt is for us, who then end our children in order. */
	setpgid(0, 0);
	/* What POSIX says of its argument: not changed, only not const for history's sake. */
	execvpe(options->words[0], (char *const *)options->words, options->environment);
	_exit(127);
}

pid_t child_start(const struct child_options *options)
{
	pid_t parent = getpid();
	pid_t pid = fork();

	if (pid == 0) {
		become(options, parent);
	}
	return pid > 0 ? pid : 0;
}

bool child_ended(pid_t *pid, int *ret_status)
{
	pid_t ended = *pid ? waitpid(*pid, ret_status, WNOHANG) : 0;

	if (ended != *pid || !*pid) {
		return false;
	}
	*pid = 0;
	return true;
}

void child_end(pid_t *pid)
{
	if (*pid) {
		kill(*pid, SIGKILL);
		while (waitpid(*pid, NULL, 0) < 0 && errno == EINTR) {
		}
		*pid = 0;
	}
}
