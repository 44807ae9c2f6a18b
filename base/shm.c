#include "base/shm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TMPFS_MAGIC 0x01021994

/* Of Linux 5.14; older headers do not have it. */
#define ADVICE_POPULATE_WRITE 23

/* How often a file may vanish between finding it there and opening it. */
#define ROUNDS_MAX 16

static void close_keeping_errno(int fd)
{
	int saved = errno;

	close(fd);
	errno = saved;
}

/*
 * A host without a stdout would else print into our file for as long as it is
 * open.
 */
static int above_stderr(int fd)
{
	int higher;

	if (fd < 0 || fd > STDERR_FILENO) {
		return fd;
	}
	higher = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	close_keeping_errno(fd);
	return higher;
}

static mode_t mode_of(const struct shm_kind *kind)
{
	return kind->group == SHM_NO_GROUP ? S_IRUSR | S_IWUSR
					   : S_IRUSR | S_IWUSR | S_IRGRP | S_IWGRP;
}

/*
 * Only members may give a file to a group, so that the group tells as much as
 * the owner does.
 */
static bool is_ours(const struct stat *st, const struct shm_kind *kind)
{
	if (!S_ISREG(st->st_mode) || st->st_nlink != 1 ||
	    (st->st_mode & ALLPERMS & ~mode_of(kind)) != 0) {
		return false;
	}
	return kind->group == SHM_NO_GROUP ? st->st_uid == geteuid() : st->st_gid == kind->group;
}

/* In a folder that all may write to, only the sticky bit keeps others from our names. */
static bool folder_is_safe(const char *path)
{
	char folder[SHM_PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t n = slash && slash != path ? (size_t)(slash - path) : 1;
	struct stat st;

	if (path[0] != '/' || n >= sizeof(folder)) {
		return false;
	}
	memcpy(folder, path, n);
	folder[n] = '\0';
	return stat(folder, &st) != 0 || !(st.st_mode & S_IWOTH) || (st.st_mode & S_ISVTX);
}

static enum shm_status map(struct shm *ret, int fd, const struct shm_kind *kind, int protection)
{
	struct statfs fs;
	void *start = mmap(NULL, kind->n_bytes, protection, MAP_SHARED, fd, 0);

	if (start == MAP_FAILED) {
		return SHM_FAILED;
	}
	ret->start = start;
	ret->n_bytes = kind->n_bytes;
	ret->tmpfs = fstatfs(fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC;
	return SHM_OK;
}

static enum shm_status open_failed(const char *path)
{
	int saved = errno;
	struct stat st;

	if (saved == ENOENT) {
		return SHM_NONE;
	}
	/* A symbolic link, a folder, a socket, a file that we may not read. */
	if (saved == ELOOP || saved == EISDIR || saved == ENXIO || saved == ENODEV ||
	    ((saved == EACCES || saved == EPERM) && lstat(path, &st) == 0)) {
		return SHM_FOREIGN;
	}
	errno = saved;
	return SHM_FAILED;
}

static enum shm_status check(int fd, const struct shm_kind *kind)
{
	struct shm_header header;
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) != 0) {
		return SHM_FAILED;
	}
	if (!is_ours(&st, kind)) {
		return SHM_FOREIGN;
	}
	n = pread(fd, &header, sizeof(header), 0);
	if (n < 0) {
		return SHM_FAILED;
	}
	if ((size_t)n < sizeof(header)) {
		return SHM_FORMAT;
	}
	if (memcmp(header.magic, kind->magic, sizeof(header.magic)) != 0) {
		return SHM_FOREIGN;
	}
	if (header.format != kind->format || header.n_bytes != kind->n_bytes ||
	    (uint64_t)st.st_size != kind->n_bytes) {
		return SHM_FORMAT;
	}
	return SHM_OK;
}

static enum shm_status attach_existing(struct shm *ret, const char *path,
				       const struct shm_kind *kind, bool readonly)
{
	/* O_NONBLOCK: somebody's FIFO must not hold us up. */
	int flags = (readonly ? O_RDONLY : O_RDWR) | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	int fd = above_stderr(open(path, flags));
	enum shm_status status;

	if (fd < 0) {
		return open_failed(path);
	}
	status = check(fd, kind);
	if (status == SHM_OK) {
		status = map(ret, fd, kind, readonly ? PROT_READ : PROT_READ | PROT_WRITE);
	}
	close_keeping_errno(fd);
	return status;
}

/* ftruncate() past the limit would raise SIGXFSZ in the host. */
static bool set_size(int fd, size_t n)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_FSIZE, &limit) != 0) {
		return false;
	}
	if (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < n) {
		errno = EFBIG;
		return false;
	}
	return ftruncate(fd, (off_t)n) == 0;
}

/* fchmod comes last: a change of group may clear bits. */
static bool set_access(int fd, const struct shm_kind *kind)
{
	return (kind->group == SHM_NO_GROUP || fchown(fd, (uid_t)-1, kind->group) == 0) &&
	       fchmod(fd, mode_of(kind)) == 0;
}

static enum shm_status fill_in(struct shm *ret, int fd, const struct shm_kind *kind)
{
	struct shm made = { 0 };
	struct shm_header header = { .format = kind->format, .n_bytes = kind->n_bytes };

	if (!set_access(fd, kind) || !set_size(fd, kind->n_bytes) ||
	    map(&made, fd, kind, PROT_READ | PROT_WRITE) != SHM_OK) {
		return SHM_FAILED;
	}
	if (!shm_back(&made, 0, kind->n_backed)) {
		shm_detach(&made);
		errno = ENOSPC;
		return SHM_FAILED;
	}
	memcpy(header.magic, kind->magic, sizeof(header.magic));
	memcpy(made.start, &header, sizeof(header));
	if (kind->fill) {
		kind->fill(made.start, kind->owner);
	}
	*ret = made;
	return SHM_OK;
}

/* SHM_NONE: another process was faster; its file is there now. */
static enum shm_status create(struct shm *ret, const char *path, const struct shm_kind *kind)
{
	char temporary[SHM_PATH_MAX];
	struct shm made = { 0 };
	enum shm_status status;
	int fd;
	int n = snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path);

	if (n < 0 || (size_t)n >= sizeof(temporary)) {
		errno = ENAMETOOLONG;
		return SHM_FAILED;
	}
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0) {
		return SHM_FAILED;
	}
	fd = above_stderr(fd);
	status = SHM_FAILED;
	if (fd >= 0) {
		status = fill_in(&made, fd, kind);
		close_keeping_errno(fd);
	}
	if (status == SHM_OK &&
	    renameat2(AT_FDCWD, temporary, AT_FDCWD, path, RENAME_NOREPLACE) == 0) {
		*ret = made;
		return SHM_OK;
	}
	n = errno;
	if (status == SHM_OK) {
		shm_detach(&made);
		status = n == EEXIST ? SHM_NONE : SHM_FAILED;
	}
	unlink(temporary);
	errno = n;
	return status;
}

enum shm_status shm_attach(struct shm *ret, const char *path, const struct shm_kind *kind)
{
	if (!folder_is_safe(path)) {
		return SHM_FOREIGN;
	}
	for (unsigned i = 0; i < ROUNDS_MAX; i++) {
		enum shm_status status = attach_existing(ret, path, kind, false);

		if (status == SHM_NONE) {
			status = create(ret, path, kind);
		}
		if (status != SHM_NONE) {
			return status;
		}
	}
	errno = EAGAIN;
	return SHM_FAILED;
}

enum shm_status shm_attach_readonly(struct shm *ret, const char *path, const struct shm_kind *kind)
{
	return folder_is_safe(path) ? attach_existing(ret, path, kind, true) : SHM_FOREIGN;
}

void shm_detach(struct shm *shm)
{
	if (shm->start) {
		munmap(shm->start, shm->n_bytes);
	}
	*shm = (struct shm){ 0 };
}

/*
 * For kernels before 5.14: lets the kernel read a few bytes, which gives the
 * page memory as our own touch would, but answers EFAULT instead of raising
 * SIGBUS; the impossible `how` keeps it from doing anything with them.  On
 * tmpfs a page that was read can be written too; elsewhere it may not.
 */
static bool back_by_reading(const char *page)
{
	errno = 0;
	syscall(SYS_rt_sigprocmask, ~0, page, NULL, sizeof(uint64_t));
	return errno == EINVAL;
}

bool shm_back(const struct shm *shm, size_t offset, size_t n)
{
	size_t n_page = (size_t)sysconf(_SC_PAGESIZE);
	size_t first = offset - offset % n_page;
	char *start = (char *)shm->start + first;

	n += offset - first;
	if (madvise(start, n, ADVICE_POPULATE_WRITE) == 0) {
		return true;
	}
	if (errno != EINVAL || !shm->tmpfs) {
		return false;
	}
	for (size_t i = 0; i < n; i += n_page) {
		if (!back_by_reading(start + i)) {
			return false;
		}
	}
	return true;
}

void shm_unback(const struct shm *shm, size_t offset, size_t n)
{
	madvise((char *)shm->start + offset, n, MADV_REMOVE);
}

const char *shm_why(enum shm_status status)
{
	switch (status) {
	case SHM_OK:
		return "is in use";
	case SHM_NONE:
		return "does not exist";
	case SHM_FOREIGN:
		return "is somebody else's, is open to others, or is no such file of tower's";
	case SHM_FORMAT:
		return "is of another version or was truncated";
	case SHM_FAILED:
		break;
	}
	return strerror(errno);
}
