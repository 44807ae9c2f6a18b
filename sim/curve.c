#include "sim/curve.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layers/memory_log.h"
#include "sim/cache.h"
#include "sim/opt.h"

/* Of the memory layer's table: a word, where it is as full as it is on average (memory_room.c). */
#define INDEX_BYTES 14

#define PAGE_BYTES 4096

static const struct curve_policy policies[] = {
	{ "lru", "least recently used, exactly", POLICY_LRU, false, false },
	{ "fifo", "first in, first out", POLICY_FIFO, false, false },
	{ "s3fifo", "S3-FIFO, one use is enough", POLICY_S3FIFO, false, false },
	{ "opt", "Belady's: knows the future, no cache is better", POLICY_LRU, false, true },
	{ "tower-lru", "memory.policy = lru as tower does it, by CLOCK", POLICY_LRU, true, false },
	{ "tower-s3fifo", "memory.policy = s3fifo as tower does it", POLICY_S3FIFO, true, false },
};

#define N_POLICIES (sizeof(policies) / sizeof(policies[0]))

struct job {
	const struct stream *stream;
	const struct curve_options *options;
	const uint32_t *next; /* opt.h; NULL where nobody knows the future */
	struct curve_row *rows;
	size_t n_rows;
	atomic_size_t n_taken;
	atomic_bool failed;
};

const struct curve_policy *curve_policy_at(size_t i)
{
	return i < N_POLICIES ? &policies[i] : NULL;
}

const struct curve_policy *curve_policy_find(const char *name, size_t n)
{
	for (size_t i = 0; i < N_POLICIES; i++) {
		if (strlen(policies[i].name) == n && memcmp(policies[i].name, name, n) == 0) {
			return &policies[i];
		}
	}
	return NULL;
}

/* "%", "i", nothing, or a unit of bytes. */
static bool read_unit(const char *text, struct curve_size *size, double *ret_factor)
{
	static const char letters[] = "KMGT";
	const char *letter;

	*ret_factor = 1;
	if (strcmp(text, "%") == 0) {
		size->unit = CURVE_PERCENT;
		return true;
	}
	if (strcmp(text, "i") == 0) {
		size->unit = CURVE_ITEMS;
		return true;
	}
	size->unit = CURVE_BYTES;
	if (*text == '\0') {
		return true;
	}
	letter = strchr(letters, *text);
	if (letter == NULL || text[1]) {
		return false;
	}
	*ret_factor = (double)(UINT64_C(1) << (10 * (letter - letters + 1)));
	return true;
}

bool curve_size_parse(const char *text, size_t n, struct curve_size *ret)
{
	struct curve_size size = { 0 };
	double number;
	double factor;
	size_t n_digits;
	char *end;

	if (n == 0 || n >= sizeof(size.text)) {
		return false;
	}
	memcpy(size.text, text, n);
	/* strtod() would take signs, exponents and names. */
	n_digits = strspn(size.text, "0123456789.");
	number = strtod(size.text, &end);
	if (n_digits == 0 || end != size.text + n_digits || !read_unit(end, &size, &factor)) {
		return false;
	}
	if (size.unit == CURVE_PERCENT) {
		size.percent = number;
		if (!(number > 0 && number <= 100)) {
			return false;
		}
	} else {
		if (factor == 1 && strchr(size.text, '.')) {
			return false; /* a value and a half; 1.5 of what? */
		}
		number *= factor;
		if (!(number >= 1 && number < 1e18)) {
			return false;
		}
		size.n = (uint64_t)number;
	}
	*ret = size;
	return true;
}

uint32_t curve_entry_bytes(uint64_t key_bytes, uint64_t value_bytes)
{
	uint64_t n = memory_log_size(key_bytes, value_bytes, false) + INDEX_BYTES;

	return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

/* --- one row --- */

static uint32_t weigh_one(const struct stream *stream, size_t at, uint32_t key_bytes)
{
	(void)stream;
	(void)at;
	(void)key_bytes;
	return 1;
}

static uint32_t weigh_entry(const struct stream *stream, size_t at, uint32_t key_bytes)
{
	return curve_entry_bytes(key_bytes, stream_size(stream, at));
}

static uint32_t deadline_of(const struct job *job, size_t at, uint32_t now_ms, bool written)
{
	const struct stream *stream = job->stream;
	uint64_t most = job->options->ttl_ms;
	uint64_t own = written && stream->ttls_ms ? stream->ttls_ms[at] : 0;

	if (most == 0 || (own && own < most)) {
		most = own;
	}
	most += now_ms;
	return most == now_ms || most >= CACHE_NEVER ? CACHE_NEVER : (uint32_t)most;
}

static uint64_t play(const struct job *job, struct cache *cache)
{
	const struct stream *stream = job->stream;
	bool has_ends = stream->times_ms && (job->options->ttl_ms || stream->ttls_ms);
	uint64_t n_misses = 0;

	for (size_t i = 0; i < stream->n_requests; i++) {
		uint32_t key = stream->keys[i];
		uint32_t now_ms = has_ends ? stream->times_ms[i] : 0;
		enum trace_operation operation = stream_operation(stream, i);

		if (operation == TRACE_GET) {
			if (cache_get(cache, key, now_ms)) {
				continue;
			}
			n_misses++;
			if (job->options->fill_by_writes) {
				continue;
			}
		} else if (operation != TRACE_SET) {
			cache_drop(cache, key);
			continue;
		}
		cache_put(cache, key, weigh_entry(stream, i, job->options->key_bytes),
			  has_ends ? deadline_of(job, i, now_ms, operation == TRACE_SET)
				   : CACHE_NEVER);
	}
	return n_misses;
}

uint64_t curve_usable_bytes(uint64_t max_bytes, enum policy_kind kind)
{
	/* layers/memory_room.c: slack() */
	uint64_t slack = (max_bytes / MEMORY_RELEASE_PART + UINT64_C(2) * PAGE_BYTES) *
			 (kind == POLICY_S3FIFO ? 2 : 1);

	return slack > max_bytes / MEMORY_SLACK_PART ? max_bytes : max_bytes - slack;
}

/* What the simulated cache holds: of so many keys, so many. */
static uint64_t scaled(const struct stream *stream, const struct curve_size *size,
		       enum policy_kind kind)
{
	uint64_t n = size->n;

	switch (size->unit) {
	case CURVE_PERCENT:
		return (uint64_t)(stream->n_keys * size->percent / 100 + 1e-9);
	case CURVE_BYTES:
		n = curve_usable_bytes(n, kind);
		break;
	case CURVE_ITEMS:
		break;
	}
	return (uint64_t)((double)n * stream->share + 0.5);
}

static bool run_row(const struct job *job, struct curve_row *row)
{
	const struct stream *stream = job->stream;
	const struct cache_options options = {
		.policy = row->policy->kind,
		.as_built = row->policy->as_built,
		.n_keys = stream->n_keys,
		.by_bytes = row->size->unit == CURVE_BYTES,
		.max = scaled(stream, row->size, row->policy->kind),
		.share = stream->share,
	};
	uint64_t n_misses = 0;

	if (row->policy->knows_future) {
		if (!opt_run(stream, job->next, options.max,
			     options.by_bytes ? weigh_entry : weigh_one, job->options->key_bytes,
			     &n_misses)) {
			return false;
		}
	} else {
		struct cache *cache = cache_new(&options);

		if (cache == NULL) {
			return false;
		}
		n_misses = play(job, cache);
		cache_free(&cache);
	}
	row->hit_ratio = stream_hit_ratio(stream, n_misses);
	return true;
}

static void *work(void *arg)
{
	struct job *job = arg;
	size_t at;

	while ((at = atomic_fetch_add(&job->n_taken, 1)) < job->n_rows) {
		if (!run_row(job, &job->rows[at])) {
			atomic_store(&job->failed, true);
		}
	}
	return NULL;
}

/* Here, and in as many threads besides as can be had. */
static void run_all(struct job *job)
{
	pthread_t threads[64];
	unsigned n = 0;

	while (n + 1 < job->options->n_threads && n < sizeof(threads) / sizeof(threads[0]) &&
	       pthread_create(&threads[n], NULL, work, job) == 0) {
		n++;
	}
	work(job);
	while (n) {
		pthread_join(threads[--n], NULL);
	}
}

static void describe(const struct stream *stream, const struct curve_options *options,
		     struct curve_row *row)
{
	double each = curve_entry_bytes(options->key_bytes, (uint64_t)stream->mean_bytes);
	const struct curve_size *size = row->size;

	if (size->unit == CURVE_BYTES) {
		row->bytes = size->n;
		row->items = (uint64_t)((double)size->n / each);
		return;
	}
	row->items =
		size->unit == CURVE_ITEMS
			? size->n
			: (uint64_t)(stream->n_keys / stream->share * size->percent / 100 + 1e-9);
	row->bytes = (uint64_t)((double)row->items * each);
}

bool curve_run(const struct stream *stream, const struct curve_options *options,
	       struct curve_row *ret_rows)
{
	struct job job = { .stream = stream, .options = options, .rows = ret_rows };
	bool has_future = false;
	uint32_t *next = NULL;

	for (size_t i = 0; i < options->n_policies; i++) {
		has_future |= options->policies[i]->knows_future;
		for (size_t k = 0; k < options->n_sizes; k++) {
			struct curve_row *row = &ret_rows[job.n_rows++];

			row->policy = options->policies[i];
			row->size = &options->sizes[k];
			describe(stream, options, row);
		}
	}
	if (has_future) {
		next = opt_next(stream);
		if (next == NULL) {
			return false;
		}
		job.next = next;
	}
	run_all(&job);
	free(next);
	return !atomic_load(&job.failed);
}

/* --- a recommendation --- */

/* The two neighbours among a policy's rows of one unit: not good enough, and good enough. */
struct bracket {
	const struct curve_row *low; /* NULL: no smaller one was tried */
	const struct curve_row *high;
};

static bool is_same_kind(const struct curve_row *row, const struct curve_row *other)
{
	return row->policy == other->policy &&
	       (row->size->unit == CURVE_BYTES) == (other->size->unit == CURVE_BYTES);
}

static struct bracket find_bracket(const struct curve_row *rows, size_t n,
				   const struct curve_row *like, double enough)
{
	struct bracket found = { NULL, NULL };

	for (size_t i = 0; i < n; i++) {
		if (is_same_kind(&rows[i], like) && rows[i].hit_ratio >= enough &&
		    (found.high == NULL || rows[i].bytes < found.high->bytes)) {
			found.high = &rows[i];
		}
	}
	for (size_t i = 0; found.high && i < n; i++) {
		if (is_same_kind(&rows[i], like) && rows[i].bytes < found.high->bytes &&
		    (found.low == NULL || rows[i].bytes > found.low->bytes)) {
			found.low = &rows[i];
		}
	}
	return found;
}

/* As rows are, of a size that nobody asked for. */
static bool try_size(const struct stream *stream, const struct curve_options *options, uint64_t n,
		     struct curve_recommendation *ret)
{
	const struct job job = { .stream = stream, .options = options };

	ret->size.n = n;
	snprintf(ret->size.text, sizeof(ret->size.text), "%" PRIu64 "%s", n,
		 ret->size.unit == CURVE_ITEMS ? "i" : "");
	ret->row.size = &ret->size;
	describe(stream, options, &ret->row);
	return run_row(&job, &ret->row);
}

/* Halves the bracket until its ends are near. */
static void narrow(const struct stream *stream, const struct curve_options *options,
		   const struct bracket *bracket, double enough, struct curve_recommendation *ret)
{
	bool by_bytes = bracket->high->size->unit == CURVE_BYTES;
	uint64_t high = by_bytes ? bracket->high->bytes : bracket->high->items;
	uint64_t low = bracket->low == NULL ? 0
		       : by_bytes	    ? bracket->low->bytes
					    : bracket->low->items;

	ret->row = *bracket->high;
	ret->size = *bracket->high->size;
	while ((double)high > (double)low * CURVE_NEAR && high - low > 1) {
		uint64_t middle = low + (high - low) / 2;
		struct curve_recommendation tried = {
			.row.policy = ret->row.policy,
			.size.unit = by_bytes ? CURVE_BYTES : CURVE_ITEMS,
		};

		if (!try_size(stream, options, middle, &tried)) {
			break;
		}
		if (tried.row.hit_ratio >= enough) {
			high = middle;
			*ret = tried;
		} else {
			low = middle;
		}
	}
	ret->row.size = &ret->size;
}

static bool is_better(const struct curve_row *row, const struct curve_row *than)
{
	return row->bytes < than->bytes ||
	       (row->bytes == than->bytes && row->hit_ratio > than->hit_ratio);
}

bool curve_recommend(const struct stream *stream, const struct curve_options *options,
		     const struct curve_row *rows, size_t n, struct curve_recommendation *ret)
{
	bool found = false;
	double best = 0;

	for (size_t i = 0; i < n; i++) {
		if (!rows[i].policy->knows_future && rows[i].hit_ratio > best) {
			best = rows[i].hit_ratio;
		}
	}
	for (size_t i = 0; best > 0 && i < n; i++) {
		struct curve_recommendation tried;
		struct bracket bracket;

		if (rows[i].policy->knows_future) {
			continue;
		}
		bracket = find_bracket(rows, n, &rows[i], best * CURVE_GOOD_SHARE);
		/* Once for each policy and unit: by the row that is good enough. */
		if (bracket.high != &rows[i]) {
			continue;
		}
		narrow(stream, options, &bracket, best * CURVE_GOOD_SHARE, &tried);
		if (!found || is_better(&tried.row, &ret->row)) {
			found = true;
			*ret = tried;
			ret->row.size = &ret->size;
		}
	}
	return found;
}
