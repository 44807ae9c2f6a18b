/*
 * racy.h - reading bytes that somebody may be overwriting.
 *
 * For readers that check afterwards whether that happened, and throw away
 * what they read if it did (Boehm, "Can seqlocks get along with programming
 * language memory models?", 2012).  After reading, and before that check, the
 * reader calls racy_done().  ThreadSanitizer knows nothing of such checks, so
 * that in its builds the copy is a loop it does not look at.
 */
#ifndef TOWER_BASE_RACY_H
#define TOWER_BASE_RACY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/likely.h"

#if defined(__SANITIZE_THREAD__)
#define RACY_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RACY_SANITIZED 1
#endif
#endif

#ifdef RACY_SANITIZED

#if defined(__clang__)
#define RACY_FUNCTION __attribute__((no_sanitize("thread"), noinline, unused)) static
#else
#define RACY_FUNCTION                                                                              \
	__attribute__((no_sanitize("thread"), noinline, unused,                                    \
		       optimize("no-tree-loop-distribute-patterns"))) static
#endif

/* An aligned word is copied in one piece here, too: some are written while they are read. */
RACY_FUNCTION void racy_copy(void *to, const void *from, size_t n)
{
	volatile char *target = to;
	const volatile char *source = from;
	size_t i = 0;

	if (((uintptr_t)to | (uintptr_t)from) % sizeof(uint32_t) == 0) {
		for (; i + sizeof(uint32_t) <= n; i += sizeof(uint32_t)) {
			*(volatile uint32_t *)(target + i) =
				*(const volatile uint32_t *)(source + i);
		}
	}
	for (; i < n; i++) {
		target[i] = source[i];
	}
}

RACY_FUNCTION uint64_t racy_word(const void *from)
{
	return *(const volatile uint64_t *)from;
}

RACY_FUNCTION bool racy_equal(const void *racy, const void *own, size_t n)
{
	const volatile char *a = racy;
	const volatile char *b = own;

	for (size_t i = 0; i < n; i++) {
		if (a[i] != b[i]) {
			return false;
		}
	}
	return true;
}

/* A writer whose bytes somebody may be reading. */
RACY_FUNCTION void racy_write(void *to, const void *from, size_t n)
{
	racy_copy(to, from, n);
}

RACY_FUNCTION void racy_write_word(void *to, uint64_t word)
{
	*(volatile uint64_t *)to = word;
}

/* The same where the two overlap. */
RACY_FUNCTION void racy_move(void *to, const void *from, size_t n)
{
	volatile char *target = to;
	const volatile char *source = from;

	if ((const volatile char *)target <= source) {
		racy_copy(to, from, n);
		return;
	}
	while (n--) {
		target[n] = source[n];
	}
}

#else

static inline void racy_copy(void *to, const void *from, size_t n)
{
	memcpy(to, from, n);
	/* What is checked must be what was copied, not the same bytes read once more. */
	__asm__ volatile("" ::: "memory");
}

/* An aligned word, read once. */
static inline uint64_t racy_word(const void *from)
{
	typedef uint64_t __attribute__((may_alias)) any_word;

	return *(const volatile any_word *)from;
}

static inline uint64_t racy_eight(const char *bytes)
{
	uint64_t eight;

	memcpy(&eight, bytes, sizeof(eight));
	return eight;
}

static inline bool racy_equal(const void *racy, const void *own, size_t n)
{
	const char *a = racy;
	const char *b = own;

	/* Most keys: two or four loads of each, which may overlap, instead of a call. */
	if (likely(n >= 8 && n <= 16)) {
		return ((racy_eight(a) ^ racy_eight(b)) |
			(racy_eight(a + n - 8) ^ racy_eight(b + n - 8))) == 0;
	}
	if (likely(n > 16 && n <= 32)) {
		return ((racy_eight(a) ^ racy_eight(b)) | (racy_eight(a + 8) ^ racy_eight(b + 8)) |
			(racy_eight(a + n - 16) ^ racy_eight(b + n - 16)) |
			(racy_eight(a + n - 8) ^ racy_eight(b + n - 8))) == 0;
	}
	return memcmp(a, b, n) == 0;
}

static inline void racy_write(void *to, const void *from, size_t n)
{
	memcpy(to, from, n);
}

/*
 * An aligned word.  Several of them one by one, not as a struct: the processor would wait for
 * words on its way to the cache before it copies them in pairs.
 */
static inline void racy_write_word(void *to, uint64_t word)
{
	typedef uint64_t __attribute__((may_alias)) any_word;

	*(volatile any_word *)to = word;
}

static inline void racy_move(void *to, const void *from, size_t n)
{
	memmove(to, from, n);
}

#endif

/* What was read before is read before what is read after. */
static inline void racy_done(void)
{
	atomic_thread_fence(memory_order_acquire);
}

#endif
