#include "layers/memory_index.h"

#include <string.h>

#include "base/pages.h"

static size_t table_bytes(const struct memory_table *table)
{
	return table->n_lines * MEMORY_INDEX_LINE * sizeof(*table->words);
}

static bool table_open(struct memory_table *table, size_t n_lines)
{
	void *words;

	table->n_lines = n_lines;
	/* Keys are all over it: no part of it stays untouched for long. */
	words = pages_map(table_bytes(table), true);
	if (words == NULL) {
		return false;
	}
	table->words = words;
	return true;
}

/*
 * Empties the table and gives its memory back; anonymous pages come back as
 * zeros.
 */
static void table_empty(struct memory_table *table)
{
	if (pages_release((void *)table->words, table_bytes(table))) {
		return;
	}
	for (size_t i = 0; i < table->n_lines * MEMORY_INDEX_LINE; i++) {
		atomic_store_explicit(&table->words[i], 0, memory_order_relaxed);
	}
}

bool memory_index_open(struct memory_index *index, size_t n_words)
{
	size_t n_lines = 2;

	while (n_lines * MEMORY_INDEX_LINE < n_words) {
		n_lines *= 2;
	}
	memset(index, 0, sizeof(*index));
	if (!table_open(&index->tables[0], n_lines)) {
		return false;
	}
	index->n_tables = 1;
	atomic_store(&index->now, &index->tables[0]);
	return true;
}

void memory_index_close(struct memory_index *index)
{
	for (unsigned i = 0; i < index->n_tables; i++) {
		pages_unmap((void *)index->tables[i].words, table_bytes(&index->tables[i]));
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

struct memory_table *memory_index_grow(struct memory_index *index)
{
	const struct memory_table *now = atomic_load_explicit(&index->now, memory_order_relaxed);
	struct memory_table *grown = &index->tables[index->n_tables];

	if (index->n_tables == MEMORY_INDEX_TABLES || !table_open(grown, now->n_lines * 2)) {
		return NULL;
	}
	index->n_tables++;
	return grown;
}

void memory_index_exchange(struct memory_index *index, struct memory_table *grown)
{
	struct memory_table *before = atomic_load_explicit(&index->now, memory_order_relaxed);

	atomic_store_explicit(&index->now, grown, memory_order_release);
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
