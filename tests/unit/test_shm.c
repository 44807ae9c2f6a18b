/* Is shm.h right: what is made, what is refused, and that nothing raises a signal? */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/shm.h"

#define PAGE ((size_t)4096)
#define FILE_BYTES (64 * PAGE)
#define BODY 42

struct body {
	struct shm_header header;
	_Atomic int number;
};

static char folder[64];
static char path[96];

static void fill_body(void *start, void *owner)
{
	struct body *body = start;

	body->number += *(int *)owner;
}

static int number = BODY;
static const struct shm_kind kind = {
	.magic = "unittst",
	.format = 3,
	.n_bytes = FILE_BYTES,
	.n_backed = 4096,
	.group = SHM_NO_GROUP,
	.fill = fill_body,
	.owner = &number,
};

static int set_up(void **state)
{
	strcpy(folder, "/dev/shm/tower-test-XXXXXX");
	if (!mkdtemp(folder)) {
		return -1;
	}
	snprintf(path, sizeof(path), "%s/file", folder);
	return 0;
}

static unsigned n_files(bool remove_them)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	unsigned n = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
			n++;
			if (remove_them) {
				unlinkat(dirfd(dir), entry->d_name, 0);
				unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR);
			}
		}
	}
	closedir(dir);
	return n;
}

static int tear_down(void **state)
{
	chmod(folder, 0700);
	n_files(true);
	return rmdir(folder);
}

static void make_file(void)
{
	struct shm shm;

	assert_int_equal(shm_attach(&shm, path, &kind), SHM_OK);
	shm_detach(&shm);
}

static void assert_refused(enum shm_status status)
{
	struct shm shm = { 0 };

	assert_int_equal(shm_attach(&shm, path, &kind), status);
	assert_int_equal(shm_attach_readonly(&shm, path, &kind), status);
	assert_null(shm.start);
}

static unsigned n_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir)) {
		n++;
	}
	closedir(dir);
	return n;
}

static void test_no_file__is_made_filled_and_private(void **state)
{
	struct shm shm;
	struct stat st;
	struct body *body;
	mode_t before = umask(0);
	unsigned n_open = n_descriptors();

	assert_int_equal(shm_attach(&shm, path, &kind), SHM_OK);
	umask(before);
	body = shm.start;
	assert_int_equal(body->number, BODY);
	assert_memory_equal(body->header.magic, kind.magic, SHM_MAGIC_BYTES);
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_int_equal(st.st_size, FILE_BYTES);
	assert_int_equal(st.st_blocks * 512, 4096);
	assert_int_equal(n_files(false), 1);
	assert_int_equal(n_descriptors(), n_open);
	shm_detach(&shm);
	assert_null(shm.start);
	shm_detach(&shm);
}

static void test_umask_that_forbids_all__mode_is_exact(void **state)
{
	struct stat st;
	mode_t before = umask(0777);

	make_file();
	umask(before);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	make_file();
}

static void test_two_mappings__share_and_are_filled_once(void **state)
{
	struct shm a;
	struct shm b;
	struct shm reader;

	assert_int_equal(shm_attach(&a, path, &kind), SHM_OK);
	assert_int_equal(shm_attach(&b, path, &kind), SHM_OK);
	assert_int_equal(shm_attach_readonly(&reader, path, &kind), SHM_OK);
	((struct body *)a.start)->number++;
	assert_int_equal(((struct body *)b.start)->number, BODY + 1);
	assert_int_equal(((struct body *)reader.start)->number, BODY + 1);
	shm_detach(&a);
	shm_detach(&b);
	shm_detach(&reader);
}

/* A process that attaches when the pipe ends, and counts itself in the file. */
static pid_t start_attacher(const int *gate)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct shm shm;
		char byte;

		close(gate[1]);
		if (read(gate[0], &byte, 1) != 0 || shm_attach(&shm, path, &kind) != SHM_OK) {
			_exit(1);
		}
		_exit(((struct body *)shm.start)->number++ >= BODY ? 0 : 2);
	}
	return pid;
}

static void test_many_creators__one_file_never_half_made(void **state)
{
	for (unsigned round = 0; round < 20; round++) {
		pid_t pids[8];
		int gate[2];
		struct shm shm;

		assert_int_equal(pipe(gate), 0);
		for (unsigned i = 0; i < 8; i++) {
			pids[i] = start_attacher(gate);
		}
		close(gate[0]);
		close(gate[1]);
		for (unsigned i = 0; i < 8; i++) {
			int status;

			assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
			assert_int_equal(status, 0);
		}
		assert_int_equal(shm_attach(&shm, path, &kind), SHM_OK);
		assert_int_equal(((struct body *)shm.start)->number, BODY + 8);
		shm_detach(&shm);
		assert_int_equal(n_files(true), 1);
	}
}

static void test_reading_where_nothing_is__makes_nothing(void **state)
{
	struct shm shm;

	assert_int_equal(shm_attach_readonly(&shm, path, &kind), SHM_NONE);
	assert_int_equal(n_files(false), 0);
}

static void test_symbolic_link__is_refused_and_not_followed(void **state)
{
	char target[128];

	make_file();
	snprintf(target, sizeof(target), "%s/target", folder);
	assert_int_equal(rename(path, target), 0);
	assert_int_equal(symlink(target, path), 0);
	assert_refused(SHM_FOREIGN);

	assert_int_equal(unlink(target), 0);
	assert_refused(SHM_FOREIGN);
	assert_int_equal(access(target, F_OK), -1);
}

static void test_second_name__is_refused(void **state)
{
	char other[128];

	make_file();
	snprintf(other, sizeof(other), "%s/other", folder);
	assert_int_equal(link(path, other), 0);
	assert_refused(SHM_FOREIGN);
	assert_int_equal(unlink(other), 0);
	make_file();
}

static void test_mode_open_to_others__is_refused(void **state)
{
	static const mode_t modes[] = { 0640, 0620, 0604, 0602, 0666, 0700, 02600 };

	make_file();
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		assert_int_equal(chmod(path, modes[i]), 0);
		assert_refused(SHM_FOREIGN);
	}
	assert_int_equal(chmod(path, 0600), 0);
	make_file();
}

static void test_other_owner__is_refused(void **state)
{
	struct shm shm;

	if (geteuid() != 0) {
		/* Somebody else's regular file that we can read. */
		assert_int_equal(shm_attach_readonly(&shm, "/etc/passwd", &kind), SHM_FOREIGN);
		return;
	}
	make_file();
	assert_int_equal(chown(path, 12345, (gid_t)-1), 0);
	assert_refused(SHM_FOREIGN);
}

static void test_fifo_folder_and_socket__are_refused_at_once(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	assert_int_equal(mkfifo(path, 0600), 0);
	assert_refused(SHM_FOREIGN);
	assert_int_equal(unlink(path), 0);

	assert_int_equal(mkdir(path, 0700), 0);
	assert_refused(SHM_FOREIGN);
	assert_int_equal(rmdir(path), 0);

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_refused(SHM_FOREIGN);
	close(fd);
}

static void test_wrong_size__is_a_wrong_format(void **state)
{
	static const off_t sizes[] = { 0, 7, 24, 4096, FILE_BYTES - 1, FILE_BYTES + 4096 };

	make_file();
	/* Downwards, so that what is left of the header stays as it was. */
	for (size_t i = sizeof(sizes) / sizeof(sizes[0]); i-- > 0;) {
		assert_int_equal(truncate(path, sizes[i]), 0);
		assert_refused(SHM_FORMAT);
	}
}

static void write_at(off_t offset, const void *bytes, size_t n)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, n, offset), n);
	close(fd);
}

static void test_other_format_version__is_a_wrong_format(void **state)
{
	uint32_t format = kind.format + 1;

	make_file();
	write_at(offsetof(struct shm_header, format), &format, sizeof(format));
	assert_refused(SHM_FORMAT);
}

static void test_other_magic__is_foreign(void **state)
{
	make_file();
	write_at(0, "UNITTST", 8);
	assert_refused(SHM_FOREIGN);
}

static void test_folder_open_to_all__needs_the_sticky_bit(void **state)
{
	make_file();
	assert_int_equal(chmod(folder, 0777), 0);
	assert_refused(SHM_FOREIGN);
	assert_int_equal(chmod(folder, 01777), 0);
	make_file();
}

static void test_relative_path__is_refused(void **state)
{
	struct shm shm;

	assert_int_equal(shm_attach(&shm, "file", &kind), SHM_FOREIGN);
}

static void test_missing_folder__fails(void **state)
{
	struct shm shm;

	snprintf(path, sizeof(path), "%s/none/file", folder);
	assert_int_equal(shm_attach(&shm, path, &kind), SHM_FAILED);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(shm_attach_readonly(&shm, path, &kind), SHM_NONE);
}

static void test_too_long_path__fails(void **state)
{
	static char longer[8192];
	struct shm shm;

	memset(longer, 'x', sizeof(longer) - 1);
	longer[0] = '/';
	assert_int_equal(shm_attach(&shm, longer, &kind), SHM_FAILED);
	assert_int_equal(errno, ENAMETOOLONG);
}

/* Runs `body` in a child, which may give up its rights; 0 is good. */
static void assert_child(int (*body)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		_exit(body());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static int attach_unprivileged(void)
{
	struct shm shm;

	if (geteuid() == 0 && seteuid(12345) != 0) {
		return 2;
	}
	return shm_attach(&shm, path, &kind) == SHM_FAILED && errno == EACCES ? 0 : 1;
}

static void test_unwritable_folder__fails(void **state)
{
	assert_int_equal(chmod(folder, 0555), 0);
	assert_child(attach_unprivileged);
	assert_int_equal(n_files(false), 0);
}

static int attach_as_other_user(void)
{
	struct shm shm;

	if (seteuid(12345) != 0) {
		return 2;
	}
	return shm_attach(&shm, path, &kind) == SHM_FOREIGN ? 0 : 1;
}

static void test_file_that_may_not_be_opened__is_foreign(void **state)
{
	if (geteuid() != 0) {
		skip(); /* only root can become somebody else */
	}
	make_file();
	assert_int_equal(chmod(folder, 0755), 0);
	assert_child(attach_as_other_user);
}

static int attach_with_file_limit(void)
{
	struct rlimit limit = { 4096, 4096 };
	struct shm shm;

	/* SIGXFSZ would end us. */
	if (setrlimit(RLIMIT_FSIZE, &limit) != 0) {
		return 2;
	}
	return shm_attach(&shm, path, &kind) == SHM_FAILED && errno == EFBIG ? 0 : 1;
}

static void test_file_size_limit__fails_without_a_signal(void **state)
{
	assert_child(attach_with_file_limit);
	assert_int_equal(n_files(false), 0);
}

static int attach_without_descriptors(void)
{
	struct rlimit limit = { 0, 0 };
	struct shm shm;

	if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
		return 2;
	}
	return shm_attach(&shm, path, &kind) == SHM_FAILED && errno == EMFILE ? 0 : 1;
}

static void test_no_descriptors__fails(void **state)
{
	assert_child(attach_without_descriptors);
}

static int attach_without_stdout(void)
{
	struct shm shm;

	close(STDIN_FILENO);
	close(STDOUT_FILENO);
	close(STDERR_FILENO);
	if (shm_attach(&shm, path, &kind) != SHM_OK) {
		return 1;
	}
	return fcntl(STDOUT_FILENO, F_GETFD) == -1 && fcntl(STDERR_FILENO, F_GETFD) == -1 &&
			       fcntl(3, F_GETFD) == -1
		       ? 0
		       : 2;
}

static void test_host_without_stdout__gets_none_of_ours(void **state)
{
	assert_child(attach_without_stdout);
}

static void test_group_file__has_its_mode_and_group(void **state)
{
	struct shm_kind shared = kind;
	struct shm shm;
	struct stat st;

	shared.group = getegid();
	assert_int_equal(shm_attach(&shm, path, &shared), SHM_OK);
	shm_detach(&shm);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0660);
	assert_int_equal(st.st_gid, shared.group);
	assert_int_equal(shm_attach(&shm, path, &shared), SHM_OK);
	shm_detach(&shm);

	/* Not for those who want it for themselves, nor for another group. */
	assert_refused(SHM_FOREIGN);
	shared.group = getegid() + 1;
	assert_int_equal(shm_attach(&shm, path, &shared), SHM_FOREIGN);
	shared.group = getegid();
	assert_int_equal(chmod(path, 0666), 0);
	assert_int_equal(shm_attach(&shm, path, &shared), SHM_FOREIGN);
}

static void test_backed_pages__have_memory_and_keep_their_content(void **state)
{
	struct shm shm;
	struct stat st;
	char *bytes;

	assert_int_equal(shm_attach(&shm, path, &kind), SHM_OK);
	bytes = shm.start;
	assert_true(shm_back(&shm, 5 * PAGE + 100, PAGE));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_blocks * 512, 3 * PAGE);
	bytes[5 * PAGE] = 'x';
	assert_true(shm_back(&shm, 5 * PAGE, PAGE));
	assert_int_equal(bytes[5 * PAGE], 'x');
	shm_detach(&shm);
}

static void test_truncated_under_us__backing_fails_without_a_signal(void **state)
{
	struct shm shm;

	assert_int_equal(shm_attach(&shm, path, &kind), SHM_OK);
	assert_int_equal(truncate(path, 4096), 0);
	assert_true(shm_back(&shm, 0, 4096));
	assert_false(shm_back(&shm, 4096, 4096));
	shm_detach(&shm);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_no_file__is_made_filled_and_private),
		TEST(test_umask_that_forbids_all__mode_is_exact),
		TEST(test_two_mappings__share_and_are_filled_once),
		TEST(test_many_creators__one_file_never_half_made),
		TEST(test_reading_where_nothing_is__makes_nothing),
		TEST(test_symbolic_link__is_refused_and_not_followed),
		TEST(test_second_name__is_refused),
		TEST(test_mode_open_to_others__is_refused),
		TEST(test_other_owner__is_refused),
		TEST(test_fifo_folder_and_socket__are_refused_at_once),
		TEST(test_wrong_size__is_a_wrong_format),
		TEST(test_other_format_version__is_a_wrong_format),
		TEST(test_other_magic__is_foreign),
		TEST(test_folder_open_to_all__needs_the_sticky_bit),
		TEST(test_relative_path__is_refused),
		TEST(test_missing_folder__fails),
		TEST(test_too_long_path__fails),
		TEST(test_unwritable_folder__fails),
		TEST(test_file_that_may_not_be_opened__is_foreign),
		TEST(test_file_size_limit__fails_without_a_signal),
		TEST(test_no_descriptors__fails),
		TEST(test_host_without_stdout__gets_none_of_ours),
		TEST(test_group_file__has_its_mode_and_group),
		TEST(test_backed_pages__have_memory_and_keep_their_content),
		TEST(test_truncated_under_us__backing_fails_without_a_signal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
