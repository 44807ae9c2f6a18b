#include "layers/memory_index.h"

#include <string.h>
#include <sys/mman.h>

static size_t table_bytes(const struct memory_table *table)
{
	return table->n_lines * MEMORY_INDEX_LINE * sizeof(*table->words);
}

static bool table_open(struct memory_table *table, size_t n_lines)
{
	void *words;

	table->n_lines = n_lines;
	words = mmap(NULL, table_bytes(table), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		     -1, 0);
	if (words == MAP_FAILED) {
		return false;
	}
	table->words = words;
	return true;
}

/*
 * Empties the table and gives its memory back; anonymous pages come back as
 * zeros.  Pages that the program locked (mlockall) do not go back.
 */
static void table_empty(struct memory_table *table)
{
	if (madvise((void *)table->words, table_bytes(table), MADV_DONTNEED) == 0) {
		return;
	}
	for (size_t i = 0; i < table->n_lines * MEMORY_INDEX_LINE; i++) {
		atomic_store_explicit(&table->words[i], 0, memory_order_relaxed);
	}
}

/* The table of so many words, mapped; NULL where memory is out. */
static struct memory_table *table_of(struct memory_index *index, size_t n_words)
{
	struct memory_table *table = index->tables;
	size_t n_lines = 1;

	while (n_lines * MEMORY_INDEX_LINE < n_words) {
		n_lines *= 2;
		table++;
	}
	if (table >= index->tables + MEMORY_INDEX_TABLES ||
	    (table->words == NULL && !table_open(table, n_lines))) {
		return NULL;
	}
	return table;
}

bool memory_index_open(struct memory_index *index, size_t n_words)
{
	struct memory_table *table;

	memset(index, 0, sizeof(*index));
	table = table_of(index, n_words < MEMORY_INDEX_WAYS ? MEMORY_INDEX_WAYS : n_words);
	atomic_store(&index->now, table);
	return table != NULL;
}

void memory_index_close(struct memory_index *index)
{
	for (unsigned i = 0; i < MEMORY_INDEX_TABLES; i++) {
		if (index->tables[i].words) {
			munmap((void *)index->tables[i].words, table_bytes(&index->tables[i]));
		}
	}
}

size_t memory_index_bytes(const struct memory_index *index)
{
	return table_bytes(atomic_load_explicit(&index->now, memory_order_relaxed));
}

size_t memory_index_words(const struct memory_index *index)
{
	return memory_index_bytes(index) / sizeof(uint64_t);
}

struct memory_table *memory_index_table(struct memory_index *index, size_t n_words)
{
	return table_of(index, n_words);
}

void memory_index_exchange(struct memory_index *index, struct memory_table *table)
{
	struct memory_table *before = atomic_load_explicit(&index->now, memory_order_relaxed);

	atomic_store_explicit(&index->now, table, memory_order_release);
	/* A reader that still looks there finds nothing from now on. */
	table_empty(before);
}

bool memory_table_put(struct memory_table *table, uint64_t hash, uint64_t word)
{
	size_t line = (hash >> 16) & (table->n_lines - 1);

	for (unsigned i = 0; i < MEMORY_INDEX_WAYS; i++) {
		size_t at = (line + i / MEMORY_INDEX_LINE) & (table->n_lines - 1);
		_Atomic uint64_t *way =
			&table->words[at * MEMORY_INDEX_LINE + i % MEMORY_INDEX_LINE];

		if (atomic_load_explicit(way, memory_order_relaxed) == 0) {
			atomic_store_explicit(way, word, memory_order_relaxed);
			return true;
		}
	}
	return false;
}

void memory_index_clear(struct memory_index *index)
{
	table_empty(atomic_load_explicit(&index->now, memory_order_relaxed));
}
