#include "measure/board.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ALIGNMENT 4096

const char *const board_call_names[BOARD_CALLS] = { "get", "mget", "set", "delete" };

static uint64_t aligned(uint64_t n)
{
	return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

struct board *board_make(const struct board_options *options, int *ret_fd)
{
	uint64_t n_records = options->stream ? options->stream->n_records : 0;
	uint64_t threads_at = aligned(sizeof(struct board));
	uint64_t keys_at = aligned(threads_at + options->n_threads * sizeof(struct board_thread));
	uint64_t records_at =
		aligned(keys_at + options->workload->n_keys * sizeof(struct value_key));
	uint64_t n_bytes = aligned(records_at + n_records * sizeof(struct workload_record));
	int fd = memfd_create("tower-bench", MFD_CLOEXEC);
	struct board *board = MAP_FAILED;

	if (fd >= 0 && ftruncate(fd, (off_t)n_bytes) == 0) {
		board = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	}
	if (board == MAP_FAILED) {
		if (fd >= 0) {
			close(fd);
		}
		return NULL;
	}
	board->magic = BOARD_MAGIC;
	board->n_bytes = n_bytes;
	board->workload = *options->workload;
	board->n_threads = options->n_threads;
	board->threads_at = threads_at;
	board->keys_at = keys_at;
	board->records_at = records_at;
	board->n_records = n_records;
	if (n_records) {
		memcpy((char *)board + records_at, options->stream->records,
		       n_records * sizeof(struct workload_record));
	}
	*ret_fd = fd;
	return board;
}

struct board *board_open(int fd)
{
	struct stat st;
	struct board *board;

	if (fstat(fd, &st) != 0 || (uint64_t)st.st_size < sizeof(*board)) {
		return NULL;
	}
	board = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (board == MAP_FAILED) {
		return NULL;
	}
	if (board->magic != BOARD_MAGIC || board->n_bytes != (uint64_t)st.st_size) {
		munmap(board, (size_t)st.st_size);
		return NULL;
	}
	return board;
}

void board_close(struct board **board)
{
	if (*board) {
		munmap(*board, (*board)->n_bytes);
		*board = NULL;
	}
}

bool board_finished(struct board *board, enum board_phase phase)
{
	for (unsigned i = 0; i < board->n_threads; i++) {
		if (atomic_load(&board_thread(board, i)->finished) < (uint32_t)phase) {
			return false;
		}
	}
	return true;
}

void board_error(struct board *board, const char *format, ...)
{
	va_list args;

	if (atomic_exchange(&board->has_error, true)) {
		return;
	}
	va_start(args, format);
	vsnprintf(board->error, sizeof(board->error), format, args);
	va_end(args);
}
