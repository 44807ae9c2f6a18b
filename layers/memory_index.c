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
		struct memory_table *table = &index->tables[i];

		if (table->words) {
			pages_unmap((void *)table->words, table_bytes(table));
		}
	}
}

size_t memory_index_bytes(const struct memory_index *index)
{
	const struct memory_table *before = memory_index_before(index);

	return table_bytes(atomic_load_explicit(&index->now, memory_order_relaxed)) +
	       (before ? table_bytes(before) : 0);
}

size_t memory_index_words(const struct memory_index *index)
{
	return atomic_load_explicit(&index->now, memory_order_acquire)->n_lines * MEMORY_INDEX_LINE;
}

bool memory_index_exchange(struct memory_index *index, size_t n_words)
{
	struct memory_table *now = atomic_load_explicit(&index->now, memory_order_relaxed);
	struct memory_table *other = table_of(index, n_words);

	if (other == NULL || other == now) {
		return false;
	}
	index->n_moved = 0;
	atomic_store_explicit(&index->before, now, memory_order_release);
	atomic_store_explicit(&index->now, other, memory_order_release);
	return true;
}

/* A reader that still looks there finds nothing from now on. */
static void forget_before(struct memory_index *index)
{
	struct memory_table *before = atomic_load_explicit(&index->before, memory_order_relaxed);

	atomic_store_explicit(&index->before, NULL, memory_order_release);
	if (before) {
		table_empty(before);
	}
}

_Atomic uint64_t *memory_index_next_moved(struct memory_index *index, size_t *n_looks)
{
	const struct memory_table *before = memory_index_before(index);

	while (before && index->n_moved < before->n_lines * MEMORY_INDEX_LINE) {
		_Atomic uint64_t *at = &before->words[index->n_moved];

		if (*n_looks == 0) {
			return NULL;
		}
		--*n_looks;
		index->n_moved++;
		if (atomic_load_explicit(at, memory_order_relaxed)) {
			return at;
		}
	}
	forget_before(index);
	return NULL;
}

void memory_index_clear(struct memory_index *index)
{
	forget_before(index);
	table_empty(atomic_load_explicit(&index->now, memory_order_relaxed));
}
