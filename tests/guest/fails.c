/*
 * A preloaded allocator that fails: what libtower.so asks for is granted as often
 * as GUEST_GRANTED says and never again; everybody else gets what he wants.
 */
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static uintptr_t first;
static uintptr_t last;
static _Atomic long n_asked;

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *bytes, size_t n);

static int find_tower(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size, (void)arg;
	if (strstr(info->dlpi_name, "/libtower.so") == NULL) {
		return 0;
	}
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];

		if (segment->p_type == PT_LOAD && (segment->p_flags & PF_X)) {
			first = info->dlpi_addr + segment->p_vaddr;
			last = first + segment->p_memsz;
		}
	}
	return 1;
}

__attribute__((constructor)) static void look(void)
{
	dl_iterate_phdr(find_tower, NULL);
}

static bool refused(void *caller)
{
	const char *granted = getenv("GUEST_GRANTED");

	if (granted == NULL || (uintptr_t)caller < first || (uintptr_t)caller >= last) {
		return false;
	}
	if (atomic_fetch_add(&n_asked, 1) < atol(granted)) {
		return false;
	}
	errno = ENOMEM;
	return true;
}

void *malloc(size_t n)
{
	return refused(__builtin_return_address(0)) ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	return refused(__builtin_return_address(0)) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *bytes, size_t n)
{
	return refused(__builtin_return_address(0)) ? NULL : __libc_realloc(bytes, n);
}

char *strdup(const char *text)
{
	size_t n = strlen(text) + 1;
	char *copy = refused(__builtin_return_address(0)) ? NULL : __libc_malloc(n);

	return copy ? memcpy(copy, text, n) : NULL;
}

void *mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset)
{
	if (refused(__builtin_return_address(0))) {
		return MAP_FAILED;
	}
	return (void *)syscall(SYS_mmap, at, n, protection, flags, fd, offset);
}
