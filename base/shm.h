/*
 * shm.h - files of shared memory that several processes map.
 *
 * A path in /dev/shm can be prepared by anybody, so an existing file is used
 * only if it is a regular file under no other name, belongs to our effective
 * user (or to the group, where the kind has one), is not open to others, has
 * exactly the size and format expected, and lies in a folder where others
 * cannot exchange it.  A new file gets its exact mode whatever the umask, is
 * filled in under a temporary name and then renamed into place without
 * replacing anything: nobody ever sees a half-made one, and of several
 * creators one wins and the others use its file.
 *
 * Files are sparse: touching a page of a full file system raises SIGBUS.  So
 * only the first `n_backed` bytes may be touched at once, and every other
 * range after shm_back() (by any process) has succeeded for it.
 *
 * What remains: a process of the same user (or group) that truncates the file
 * after it was mapped gives everybody SIGBUS at the next touch; and on a file
 * system on disk that copies on write, a full disk does, even for a range that
 * was backed.  Such files belong on tmpfs.
 *
 * No descriptor stays open, so that a host which closes all of its own does
 * not close ours, and a mapping outlives chroot and setuid.  A mapping may be
 * used by any thread; attaching needs no lock.  errno is not preserved.
 */
#ifndef TOWER_BASE_SHM_H
#define TOWER_BASE_SHM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SHM_MAGIC_BYTES 8
#define SHM_NO_GROUP ((gid_t)-1)

/* Bytes of a path, NUL included: a thread's stack may be small. */
#define SHM_PATH_MAX 768

/* Every file begins with this; written by shm_attach(), constant afterwards. */
struct shm_header {
	char magic[SHM_MAGIC_BYTES];
	uint32_t format;
	uint32_t unused;
	uint64_t n_bytes;
};

/* What a file must be. */
struct shm_kind {
	char magic[SHM_MAGIC_BYTES]; /* of the module; padded by NULs */
	uint32_t format;
	size_t n_bytes;	 /* of the file */
	size_t n_backed; /* from its beginning, header included: usable at once */
	gid_t group;	 /* SHM_NO_GROUP: mode 0600, else 0660 and of this group */
	/* Fills in the first n_backed bytes (zeros so far) behind the header; may be NULL. */
	void (*fill)(void *start, void *owner);
	void *owner;
};

enum shm_status {
	SHM_OK,
	SHM_NONE,    /* there is none, and none was to be made */
	SHM_FOREIGN, /* somebody else's, open to others, or not one of ours at all */
	SHM_FORMAT,  /* of another format version, truncated, or of another size */
	SHM_FAILED,  /* errno says why */
};

struct shm {
	void *start; /* NULL where nothing is attached */
	size_t n_bytes;
	bool tmpfs;
};

/* Maps the file at `path` (absolute, below SHM_PATH_MAX), making it where there is none. */
enum shm_status shm_attach(struct shm *ret, const char *path, const struct shm_kind *kind);

/* Maps it for reading only, if it is there; `n_backed` and `fill` do not matter. */
enum shm_status shm_attach_readonly(struct shm *ret, const char *path, const struct shm_kind *kind);

/* Unmaps; nothing attached is nothing to do. */
void shm_detach(struct shm *shm);

/*
 * Gives the pages under so many bytes at `offset` memory of their own, for
 * good.  False where the file system is full, or cannot promise it.  Changes
 * no content.
 */
bool shm_back(const struct shm *shm, size_t offset, size_t n);

/*
 * What shm_back() may have left where it failed goes back to the file system; of whole pages
 * that no process uses or ever will.
 */
void shm_unback(const struct shm *shm, size_t offset, size_t n);

/* What the status means, as the end of a sentence; for SHM_FAILED the text of errno. */
const char *shm_why(enum shm_status status);

#endif
