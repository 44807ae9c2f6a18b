#include "tests/differential/worker.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define PLAIN_KEYS 14
#define HOT_KEYS 3
#define RELATIVE_MAX_S 2592000

uint32_t choose(struct worker *worker, uint32_t n)
{
	return random_below(&worker->random, n);
}

bool chance(struct worker *worker, uint32_t percent)
{
	return random_percent(&worker->random, percent);
}

static char *text_buffer(struct worker *worker)
{
	return worker->texts[worker->n_texts++ % WORKER_TEXTS];
}

static struct text repeated(struct worker *worker, char byte, size_t n)
{
	char *buffer = text_buffer(worker);

	memset(buffer, byte, n);
	return (struct text){ buffer, n };
}

/*
 * What is longer on the wire than memcached takes, or ends there early, makes
 * libmemcached take what is left for the answer to the next question, and only
 * the moment decides how that ends; so nobody asks for it.
 */
static size_t longest(const struct worker *worker, const struct handle *handle)
{
	memcached_return_t rc;
	const char *prefix = memcached_callback_get(handle->st, MEMCACHED_CALLBACK_NAMESPACE, &rc);

	return worker->key_max - (prefix ? strlen(prefix) : 0);
}

/*
 * With the text protocol a key with blanks is several words on the wire, and
 * what comes back is the answer to another question, unless keys are verified.
 */
static struct text odd_key(struct worker *worker, const struct handle *handle)
{
	bool is_binary = handle->st->flags.binary_protocol;
	bool may_be_any = is_binary || handle->st->flags.verify_key;
	char *buffer;

	switch (choose(worker, may_be_any ? 7 : 5)) {
	case 0:
		return repeated(worker, 'K', longest(worker, handle));
	case 1:
		return repeated(worker, 'K', longest(worker, handle) - choose(worker, 12));
	case 2:
		/* The binary protocol would let it through, and memcached hang up. */
		return repeated(worker, 'L', is_binary ? 200 : 251 + choose(worker, 30));
	case 3:
		return (struct text){ chance(worker, 50) ? "" : NULL, 0 };
	case 4:
		/* The same item as k1 in the namespace ns1: */
		return (struct text){ "ns1:k1", 6 };
	default:
		buffer = text_buffer(worker);
		memcpy(buffer, "k\0 \xff\n", 5);
		return (struct text){ buffer, 1 + choose(worker, 5) };
	}
}

struct text choose_key(struct worker *worker, const struct handle *handle)
{
	char *buffer;
	uint32_t n;

	if (choose(worker, 100) < 4) {
		return odd_key(worker, handle);
	}
	n = chance(worker, 75) ? HOT_KEYS : PLAIN_KEYS;
	buffer = text_buffer(worker);
	return (struct text){ buffer,
			      (size_t)snprintf(buffer, WORKER_TEXT_MAX, "k%u", choose(worker, n)) };
}

struct text choose_group(struct worker *worker)
{
	static const struct text groups[] = { { "g0", 2 }, { "g1", 2 }, { "g2", 2 }, { "k1", 2 },
					      { "k2", 2 }, { "", 0 },	{ NULL, 0 } };

	return groups[choose(worker, sizeof(groups) / sizeof(groups[0]))];
}

static size_t choose_length(struct worker *worker)
{
	uint32_t kind = choose(worker, 1000);

	if (kind < 100) {
		return 0;
	}
	if (kind < 200) {
		return 1;
	}
	if (kind < 960) {
		return choose(worker, 200);
	}
	if (kind < 993) {
		return 2000 + choose(worker, 9000);
	}
	if (kind < 998) {
		return 60000 + choose(worker, 100000);
	}
	/* Around memcached's limit of 1 MiB for an item. */
	return 1000000 + choose(worker, 150000);
}

struct text choose_value(struct worker *worker)
{
	struct text value = { worker->value, choose_length(worker) };

	if (value.n < 12 && chance(worker, 40)) {
		value.n = (size_t)snprintf(worker->value, 12, "%u", choose(worker, 100000));
		return value;
	}
	memset(worker->value, 'a' + (int)choose(worker, 26), value.n);
	if (value.n > 4) {
		worker->value[1] = (char)('0' + choose(worker, 10));
		worker->value[value.n / 2] = (char)choose(worker, 256);
	}
	if (value.n == 0 && chance(worker, 30)) {
		value.bytes = NULL;
	}
	return value;
}

time_t choose_expiration(struct worker *worker)
{
	static const time_t rare[] = {
		-1, -100, 1000000, RELATIVE_MAX_S, RELATIVE_MAX_S + 1, INT32_MAX, 4000000000, 5000
	};
	uint32_t kind = choose(worker, 100);

	if (kind < 60 || (kind < 88 && !worker->has_expiries)) {
		return 0;
	}
	if (kind < 80) {
		return 1 + (time_t)choose(worker, 6);
	}
	if (kind < 88) {
		return time(NULL) + (time_t)choose(worker, 8) - 2;
	}
	return rare[choose(worker, sizeof(rare) / sizeof(rare[0]))];
}

uint32_t choose_flags(struct worker *worker)
{
	return chance(worker, 40) ? 0 : (uint32_t)random_next(&worker->random);
}
