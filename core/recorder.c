#include "core/recorder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"

/* So much of the file gets room at a time. */
#define STEP_BYTES (UINT64_C(64) << 10)

/* Smaller files are not worth their header. */
#define FILE_BYTES_MIN (UINT64_C(16) << 10)

/* Where there was no room it is asked for again so much later. */
#define FULL_NS CLOCK_NS_PER_S

#define SAMPLE_SEED 0x7472
#define NOWHERE UINT64_MAX

/*
 * A record as it is stored: two words.  Where a thread is so slow that the ring comes
 * round to it, one may be of one record and the other of another: a request that never
 * was among millions.
 */
struct place {
	_Atomic uint64_t key;
	_Atomic uint64_t when_and_what;
};

_Static_assert(sizeof(struct place) == sizeof(struct trace_file_record), "the same bytes");

struct recorder {
	struct recorder_options options;
	struct shm shm;
	_Atomic(struct trace_file *) file; /* NULL: nothing is recorded */
	struct place *places;
	uint64_t n_places;
	uint64_t sample;
	int64_t began_ns;
	_Atomic uint64_t n_backed; /* bytes from the file's beginning that may be written */
	_Atomic int64_t full_until_ns;
};

/*
 * The place of this thread's next record; a multiple of TRACE_FILE_RUN: it has none.  One
 * word, so that a handler which records in the middle of a record can do no worse
 * than lose it.
 */
static __thread uint64_t run_place;

/* --- the file --- */

/* Whether the name is "BASE.<digits>.<digits>"; the last ones. */
static bool is_recording(const char *name, const char *base, uint64_t *ret_time)
{
	size_t n = strlen(base);
	char *end;

	if (strncmp(name, base, n) != 0 || name[n] != '.' || name[n + 1] < '0' ||
	    name[n + 1] > '9') {
		return false;
	}
	strtoull(name + n + 1, &end, 10);
	if (end[0] != '.' || end[1] < '0' || end[1] > '9') {
		return false;
	}
	*ret_time = strtoull(end + 1, &end, 10);
	return *end == '\0';
}

/* How many there are, and the oldest (its name has NAME_MAX bytes). */
static uint64_t count_recordings(DIR *folder, const char *base, char *ret_oldest)
{
	uint64_t oldest = UINT64_MAX;
	uint64_t n = 0;
	struct dirent *entry;

	rewinddir(folder);
	while ((entry = readdir(folder)) != NULL) {
		uint64_t time;

		if (is_recording(entry->d_name, base, &time)) {
			n++;
			if (time < oldest) {
				oldest = time;
				snprintf(ret_oldest, NAME_MAX + 1, "%s", entry->d_name);
			}
		}
	}
	return n;
}

/* Room for one more file of this path. */
static void remove_oldest(const struct recorder_options *options)
{
	char folder_name[SHM_PATH_MAX];
	char oldest[NAME_MAX + 1];
	const char *slash = strrchr(options->path, '/');
	size_t n = slash == options->path ? 1 : (size_t)(slash - options->path);
	DIR *folder;

	if (n >= sizeof(folder_name)) {
		return;
	}
	memcpy(folder_name, options->path, n);
	folder_name[n] = '\0';
	folder = opendir(folder_name);
	if (folder == NULL) {
		return;
	}
	while (count_recordings(folder, slash + 1, oldest) >= options->max_files &&
	       unlinkat(dirfd(folder), oldest, 0) == 0) {
	}
	closedir(folder);
}

static void set_command(char *ret, size_t n)
{
	snprintf(ret, n, "%s", program_invocation_short_name ? program_invocation_short_name : "");
}

static void fill_in(void *start, void *owner)
{
	struct trace_file *file = start;
	const struct recorder *recorder = owner;

	file->n_places = recorder->n_places;
	file->sample = recorder->sample;
	file->wall_ms = clock_wall_ms();
	file->pid = getpid();
	set_command(file->command, sizeof(file->command));
}

/* As large as was asked for, or as the process may make files: the shell's ulimit -f. */
static uint64_t file_bytes(const struct recorder_options *options)
{
	struct rlimit limit;
	uint64_t n = options->max_bytes;

	if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
	    limit.rlim_cur < n) {
		n = limit.rlim_cur;
	}
	return n;
}

static enum shm_status make_file(struct recorder *recorder)
{
	char path[SHM_PATH_MAX];
	uint64_t n_bytes = file_bytes(&recorder->options);
	const uint64_t run_bytes = TRACE_FILE_RUN * sizeof(struct trace_file_record);
	struct shm_kind kind = {
		.magic = TRACE_FILE_MAGIC,
		.format = TRACE_FILE_FORMAT,
		.n_backed = TRACE_FILE_HEADER_BYTES,
		.group = SHM_NO_GROUP,
		.fill = fill_in,
		.owner = recorder,
	};

	if (n_bytes < FILE_BYTES_MIN) {
		errno = EFBIG;
		return SHM_FAILED;
	}
	recorder->n_places = (n_bytes - TRACE_FILE_HEADER_BYTES) / run_bytes * TRACE_FILE_RUN;
	kind.n_bytes = TRACE_FILE_HEADER_BYTES + recorder->n_places * sizeof(struct place);
	snprintf(path, sizeof(path), "%s.%d.%" PRId64, recorder->options.path, (int)getpid(),
		 clock_wall_ms());
	return shm_attach(&recorder->shm, path, &kind);
}

static void begin(struct recorder *recorder)
{
	enum shm_status status;
	char *start;

	remove_oldest(&recorder->options);
	recorder->began_ns = clock_coarse_ns();
	status = make_file(recorder);
	if (status != SHM_OK) {
		log_line(LOG_LEVEL_WARN, "trace.path %s: %s; this process is not recorded",
			 recorder->options.path, shm_why(status));
		return;
	}
	start = recorder->shm.start;
	recorder->places = (struct place *)(start + TRACE_FILE_HEADER_BYTES);
	atomic_store(&recorder->n_backed, TRACE_FILE_HEADER_BYTES);
	atomic_store(&recorder->full_until_ns, 0);
	atomic_store_explicit(&recorder->file, (struct trace_file *)start, memory_order_release);
}

struct recorder *recorder_open(const struct recorder_options *options)
{
	struct recorder *made = calloc(1, sizeof(*made));

	if (made) {
		made->options = *options;
		made->sample = (UINT64_C(1) << 32) / (options->one_of ? options->one_of : 1);
		made->sample += made->sample == 0;
		begin(made);
	}
	return made;
}

void recorder_close(struct recorder **recorder)
{
	if (*recorder) {
		shm_detach(&(*recorder)->shm);
		free(*recorder);
		*recorder = NULL;
		run_place = 0;
	}
}

void recorder_child(struct recorder *recorder)
{
	atomic_store_explicit(&recorder->file, NULL, memory_order_relaxed);
	run_place = 0;
}

void recorder_claim(struct recorder *recorder)
{
	shm_detach(&recorder->shm);
	begin(recorder);
}

/* --- a record --- */

/* Whether the file may be written up to there; several threads may ask for the same. */
static bool back(struct recorder *recorder, uint64_t end, int64_t now)
{
	uint64_t backed = atomic_load(&recorder->n_backed);
	uint64_t to = (end + STEP_BYTES - 1) / STEP_BYTES * STEP_BYTES;
	int before = errno;
	bool well;

	if (end <= backed) {
		return true;
	}
	to = to < recorder->shm.n_bytes ? to : recorder->shm.n_bytes;
	well = shm_back(&recorder->shm, backed, to - backed);
	errno = before;
	if (!well) {
		atomic_store(&recorder->full_until_ns, now + FULL_NS);
		return false;
	}
	while (backed < to && !atomic_compare_exchange_weak(&recorder->n_backed, &backed, to)) {
	}
	return true;
}

/* The first place of a run for this thread, or NOWHERE. */
static __attribute__((noinline)) uint64_t take_run(struct recorder *recorder,
						   struct trace_file *file, int64_t now)
{
	uint64_t place;

	if (now < atomic_load_explicit(&recorder->full_until_ns, memory_order_relaxed)) {
		return NOWHERE;
	}
	place = __atomic_fetch_add(&file->n_taken, TRACE_FILE_RUN, __ATOMIC_RELAXED) %
		recorder->n_places;
	if (!back(recorder,
		  TRACE_FILE_HEADER_BYTES + (place + TRACE_FILE_RUN) * sizeof(struct place), now)) {
		__atomic_fetch_add(&file->n_unbacked, TRACE_FILE_RUN, __ATOMIC_RELAXED);
		return NOWHERE;
	}
	return place;
}

static uint64_t when_and_what(const struct recorder *recorder, int64_t now,
			      enum trace_file_operation operation, uint64_t size)
{
	struct trace_file_record record;
	uint64_t word;
	uint64_t ms = (uint64_t)(now - recorder->began_ns) / CLOCK_NS_PER_MS;

	size = size < TRACE_FILE_SIZE_MAX ? size : TRACE_FILE_SIZE_MAX;
	record.time_ms = ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
	record.what = (uint32_t)size << TRACE_FILE_SIZE_SHIFT | (uint32_t)operation;
	memcpy(&word, (char *)&record + sizeof(record.key), sizeof(word));
	return word;
}

void recorder_record(struct recorder *recorder, enum trace_file_operation operation, uint64_t hash,
		     uint64_t size)
{
	struct trace_file *file = atomic_load_explicit(&recorder->file, memory_order_acquire);
	uint64_t place = run_place;
	int64_t now;

	if (file == NULL || hash_mix(hash, SAMPLE_SEED) >> 32 >= recorder->sample) {
		return;
	}
	now = clock_coarse_ns();
	if (place % TRACE_FILE_RUN == 0) {
		place = take_run(recorder, file, now);
		if (place == NOWHERE) {
			return;
		}
	}
	run_place = place + 1;
	atomic_store_explicit(&recorder->places[place].when_and_what,
			      when_and_what(recorder, now, operation, size), memory_order_relaxed);
	atomic_store_explicit(&recorder->places[place].key, hash ? hash : 1, memory_order_relaxed);
}
