/*
 * fake_layers.h - a tower of three layers that only remember what they were asked,
 * for unit tests of the walk.
 *
 * Each layer has one value under every key, or none.  fakes_setup() and
 * fakes_teardown() belong around each test; the clock is a fake one at
 * FAKES_START_NS.  One thread.
 */
#ifndef TESTS_UNIT_LIB_FAKE_LAYERS_H
#define TESTS_UNIT_LIB_FAKE_LAYERS_H

#include "base/clock.h"
#include "core/tower.h"

#define FAKES_START_NS (1000 * CLOCK_NS_PER_S)

/* One value under one key, and what the layer was asked. */
struct layer {
	bool has;
	bool down;
	char value[16];
	uint64_t slot;
	unsigned gets;
	unsigned peeks;
	unsigned submits;
	unsigned fills;
	unsigned flushes;
	bool flush_comes; /* one was announced */
	unsigned told;
	unsigned abandoned;
	enum layer_outcome told_outcome;
	uint64_t told_slot;
	bool busy_when_told;	    /* the slot, seen by somebody else */
	enum layer_outcome outcome; /* of a write: the authority only */

	/* The authority: what it loses, and what comes back. */
	bool loses;
	bool put_back_owned;
	unsigned writes, puts, takes;
	int64_t exptime;

	/* The deep layer's part in a write, in the order of its calls. */
	char calls[32];
	bool alone;
	enum layer_found found;
	bool busy_when_announced;
	bool fails_to_recall;
	bool off;
	bool several;		/* domains write */
	bool another_came;	/* one, since the value was read */
	bool owned_when_asked;	/* the slot, whether what was put back may stay */
	bool busy_when_leaving; /* the slot, before it is left */
};

extern struct tower tower;
extern struct layer memory;
extern struct layer authority;
extern struct layer deep;

extern const struct layer_ops memory_fake;
extern struct layer_ops
	authority_fake; /* without submit(); a test may change it, and puts it back */

/* Writes whose outcome is not known; given back by fakes_teardown(). */
extern struct slots_doubts *doubts;

/* Of the table of slots. */
extern char fakes_path[80];

int fakes_setup(void **state);
int fakes_teardown(void **state);

/* `text` is borrowed. */
struct layer_key fakes_key(const char *text);

/* Parts of the layers, for others that do something besides. */
void fakes_answer(struct layer *layer, struct layer_batch *batch, struct layer_item *item);
void fakes_get_authority(struct layer *layer, struct layer_batch *batch);
void fakes_write_authority(struct layer *layer, struct layer_write *write);

/* A batch of one, in both halves. */
struct layer_item fakes_read(const char *key);

/* A set, of which memcached says so. */
struct layer_write fakes_write(const char *key, enum layer_outcome outcome);

#endif
