#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <poll.h>

#include "tests/faults/lib/domains.h"

struct layer *domains_one, *domains_other;

/* Both have written, and the generation is old enough. */
static void open_both(const struct redis_options *options)
{
	domains_one = deep_with(options);
	domains_other = deep_of_other(options);
	deep_set(domains_one, "first", "v");
	deep_set(domains_other, "first", "v");
	deep_age_generation();
	/* Each has heard of it. */
	deep_wrote(domains_one, LAYER_DELETE, "first", NULL);
	deep_wrote(domains_other, LAYER_DELETE, "first", NULL);
	assert_string_equal(deep_writers(), "several");
}

int domains_setup(void **state)
{
	const struct redis_options options = deep_options(DEEP_LONG_NS);

	if (deep_setup(state) != 0) {
		return -1;
	}
	open_both(&options);
	return 0;
}

int domains_setup_short(void **state)
{
	struct redis_options options = deep_options(DEEP_LONG_NS);

	options.heard_ms = HEARD_MS;
	if (deep_setup(state) != 0) {
		return -1;
	}
	open_both(&options);
	return 0;
}

int domains_setup_apart(void **state)
{
	const struct redis_options options = deep_options(DEEP_LONG_NS);

	if (deep_setup(state) != 0) {
		return -1;
	}
	domains_one = deep_with(&options);
	domains_other = deep_of_other(&options);
	return 0;
}

int domains_teardown(void **state)
{
	redis_ops.close(&domains_one);
	redis_ops.close(&domains_other);
	return deep_teardown(state);
}

const char *domains_record(const char *key, const char *kinds)
{
	static char text[512];
	int64_t give_up = clock_now_ns() + DEEP_PATIENCE_NS;
	const char *at;

	for (;;) {
		snprintf(text, sizeof(text), "GET test:1:{cache:11211}:%llx:r:%s",
			 deep_generation(), key);
		at = deep_command(text);
		snprintf(text, sizeof(text), "%s",
			 strncmp(at, "$-1", 3) == 0 ? "" : strchr(at, '\n') + 1);
		text[strcspn(text, "\r")] = '\0';
		if (strchr(kinds, text[0]) || clock_now_ns() > give_up) {
			return text;
		}
		poll(NULL, 0, 1);
	}
}

void domains_expect_record(const char *key, char kind)
{
	const char kinds[] = { kind, '\0' };

	assert_int_equal(domains_record(key, kinds)[0], kind);
}

int64_t domains_closed_for(const char *key)
{
	const char *record = domains_record(key, "C");

	assert_int_equal(record[0], 'C');
	return strtoll(record + 1, NULL, 10) - clock_wall_ms();
}

struct layer_write domains_begin(struct layer *layer, enum layer_verb verb, const char *key,
				 const char *value)
{
	struct layer_write write = deep_write_of(verb, key, value);

	redis_ops.announce(layer, &write);
	return write;
}

void domains_mark(struct layer *layer, struct layer_write *write)
{
	redis_ops.mark(layer, write);
	redis_ops.marked(layer, write);
}

void domains_end(struct layer *layer, struct layer_write *write)
{
	redis_ops.leaving(layer, write);
	write->alone = true;
	redis_ops.commit(layer, write);
}
