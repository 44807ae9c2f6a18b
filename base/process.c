#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* PROC_TIME_INIT_INO of the kernel: the time namespace whose clocks are not shifted. */
#define TIME_SPACE_INITIAL UINT64_C(0xEFFFFFFA)

/* Of a word, from its low end; a pid is below 2^22 (PID_MAX_LIMIT). */
#define WORD_PID_BITS 22
#define WORD_SPACE_BITS 32
#define WORD_START_BITS 8
#define LOW_BITS(n) ((UINT64_C(1) << (n)) - 1)

static const char *parse_number(const char *text, uint64_t *ret)
{
	uint64_t n = 0;

	if (*text < '0' || *text > '9') {
		return NULL;
	}
	while (*text >= '0' && *text <= '9') {
		n = n * 10 + (uint64_t)(*text++ - '0');
	}
	*ret = n;
	return text;
}

/* From the beginning of one field to that of the n-th after it. */
static const char *skip_fields(const char *text, unsigned n)
{
	while (n-- > 0) {
		text = strchr(text, ' ');
		if (!text) {
			return NULL;
		}
		text++;
	}
	return text;
}

bool process_stat_parse(const char *text, struct process_stat *ret)
{
	const char *open = strchr(text, '(');
	const char *close = strrchr(text, ')');
	const char *at;
	struct process_stat found = { 0 };
	size_t n;

	if (!open || !close || close < open || close[1] != ' ' || close[2] == '\0') {
		return false;
	}
	n = (size_t)(close - open - 1);
	if (n >= sizeof(found.command)) {
		n = sizeof(found.command) - 1;
	}
	memcpy(found.command, open + 1, n);
	found.state = close[2];
	at = skip_fields(close + 2, 17); /* from field 3 to field 20 */
	if (!at || !parse_number(at, &found.n_threads)) {
		return false;
	}
	at = skip_fields(at, 2);
	if (!at || !parse_number(at, &found.start)) {
		return false;
	}
	*ret = found;
	return true;
}

static bool read_stat(const char *path, struct process_stat *ret)
{
	char text[1024];
	size_t n = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		return false;
	}
	while (n < sizeof(text) - 1) {
		ssize_t got = read(fd, text + n, sizeof(text) - 1 - n);

		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got <= 0) {
			break;
		}
		n += (size_t)got;
	}
	close(fd);
	text[n] = '\0';
	return process_stat_parse(text, ret);
}

/*
 * The line "NSpid:" has one number for each pid namespace from that of the
 * mounted /proc down to ours: exactly one, ours, where both are the same.
 * Any other /proc numbers processes differently than we do.
 */
static bool nspid_is_ours(const char *line, pid_t pid)
{
	uint64_t n;

	line += strlen("\nNSpid:");
	while (*line == '\t' || *line == ' ') {
		line++;
	}
	line = parse_number(line, &n);
	return line && *line == '\n' && n == (uint64_t)pid;
}

static bool proc_is_ours(pid_t pid)
{
	char text[1024];
	size_t n_kept = 0;
	bool ours = false;
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		return false;
	}
	for (;;) {
		const size_t n_tail = 128; /* longer than the line that is sought */
		ssize_t got = read(fd, text + n_kept, sizeof(text) - 1 - n_kept);
		const char *line;

		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got <= 0) {
			break;
		}
		n_kept += (size_t)got;
		text[n_kept] = '\0';
		line = strstr(text, "\nNSpid:");
		if (line && strchr(line + 1, '\n')) {
			ours = nspid_is_ours(line, pid);
			break;
		}
		/* The list of groups before it has no bound: keep the end, read on. */
		if (n_kept > n_tail) {
			memmove(text, text + n_kept - n_tail, n_tail);
			n_kept = n_tail;
		}
	}
	close(fd);
	return ours;
}

/* The inode of our pid namespace, or 0 where start times cannot be compared. */
static uint64_t own_space(pid_t pid)
{
	struct stat pid_space;
	struct stat time_space;

	if (stat("/proc/self/ns/pid", &pid_space) != 0 ||
	    (uint64_t)pid_space.st_ino > LOW_BITS(WORD_SPACE_BITS)) {
		return 0;
	}
	/* Kernels without time namespaces have no such file: nothing is shifted there. */
	if (stat("/proc/self/ns/time", &time_space) == 0 &&
	    (uint64_t)time_space.st_ino != TIME_SPACE_INITIAL) {
		return 0;
	}
	return proc_is_ours(pid) ? (uint64_t)pid_space.st_ino : 0;
}

void process_self(struct process *ret)
{
	int saved = errno;
	struct process self = { .pid = getpid() };
	struct process_stat found;

	if (read_stat("/proc/self/stat", &found)) {
		memcpy(self.command, found.command, sizeof(self.command));
		self.start = found.start;
		self.space = own_space(self.pid);
	}
	errno = saved;
	*ret = self;
}

/*
 * Only the bits of `start` in `mask` are compared.  A zombie is gone, but not
 * one that stands for threads which still run (its first thread has ended).
 */
static enum process_life judge(pid_t pid, uint64_t start, uint64_t mask)
{
	char path[32];
	struct process_stat found;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (!read_stat(path, &found)) {
		/* hidepid hides the living, so only the kernel's word counts here. */
		return kill(pid, 0) != 0 && errno == ESRCH ? PROCESS_GONE : PROCESS_UNKNOWN;
	}
	if ((found.start & mask) != (start & mask)) {
		return PROCESS_GONE;
	}
	if ((found.state == 'Z' || found.state == 'X') && found.n_threads <= 1) {
		return PROCESS_GONE;
	}
	return PROCESS_ALIVE;
}

static enum process_life look(const struct process *self, pid_t pid, uint64_t space, uint64_t start,
			      uint64_t mask)
{
	int saved = errno;
	enum process_life life;

	if (pid <= 0 || space == 0 || space != self->space) {
		return PROCESS_UNKNOWN;
	}
	if (pid == self->pid) {
		/* Before us somebody else may have had this pid. */
		return (start & mask) == (self->start & mask) ? PROCESS_ALIVE : PROCESS_GONE;
	}
	life = judge(pid, start, mask);
	errno = saved;
	return life;
}

enum process_life process_alive(const struct process *self, const struct process *other)
{
	return look(self, other->pid, other->space, other->start, UINT64_MAX);
}

uint64_t process_pack(const struct process *process)
{
	uint64_t pid = (uint64_t)process->pid & LOW_BITS(WORD_PID_BITS);
	uint64_t space = process->space & LOW_BITS(WORD_SPACE_BITS);
	uint64_t start = process->start & LOW_BITS(WORD_START_BITS);

	return pid | space << WORD_PID_BITS | start << (WORD_PID_BITS + WORD_SPACE_BITS);
}

pid_t process_word_pid(uint64_t word)
{
	return (pid_t)(word & LOW_BITS(WORD_PID_BITS));
}

enum process_life process_word_alive(const struct process *self, uint64_t word)
{
	uint64_t space = word >> WORD_PID_BITS & LOW_BITS(WORD_SPACE_BITS);
	uint64_t start = word >> (WORD_PID_BITS + WORD_SPACE_BITS);

	return look(self, process_word_pid(word), space, start, LOW_BITS(WORD_START_BITS));
}
